//! What went wrong in a plan, in words: the step, the errno, for the container's program and hooks their own errors.
//!
//! Pure but for one look at what is in force outside, once a step was refused.
use crate::error::{Error, ProgramError};
use crate::outside::Outside;
use crate::plan::ir::{ChildOp, Plan};
use crate::wait::ExitStatus;
use tare_sys::Errno;

/// A failed child step. `detail` is the third word of the failure frame.
pub(crate) fn in_child_step(plan: &Plan, step: usize, errno: Errno, detail: u32) -> Error {
    let of = plan.child.len();
    let Some(failed) = plan.child.get(step) else {
        return Error::Step {
            step: step + 1,
            of,
            what: "an unknown step".to_owned(),
            errno,
            hint: None,
        };
    };
    match &failed.op {
        ChildOp::FindExecutable { candidates } => {
            let program = program_of(plan);
            let candidate = (detail as usize)
                .checked_sub(1)
                .and_then(|index| candidates.get(index))
                .or(candidates.first());
            program_error(&program, candidate.map_or("", String::as_str), errno)
        }
        ChildOp::Exec { .. } => execve_error(&program_of(plan), errno),
        ChildOp::RunHook { path, kind, .. } => {
            let kind = if kind == "startContainer" {
                "startContainer"
            } else {
                "createContainer"
            };
            let index = plan.child[..step]
                .iter()
                .filter(|s| matches!(&s.op, ChildOp::RunHook { kind: k, .. } if k == kind))
                .count();
            Error::Hook {
                kind,
                index,
                path: path.into(),
                why: hook_words(errno, detail),
            }
        }
        // Only a handle on a process answers so: the init of an `exec` has ended.
        ChildOp::Join { .. } if errno == Errno::ESRCH => Error::CannotExec {
            status: crate::Status::Stopped,
        },
        op => Error::Step {
            step: step + 1,
            of,
            what: plan.child_text(failed),
            errno,
            hint: Outside::look()
                .child(op, errno)
                .or_else(|| hint(op, errno, &failed.from))
                .or_else(|| {
                    let instead = failed.alternative.as_ref()?;
                    hint(&instead.op, errno, &failed.from)
                }),
        },
    }
}

/// A failed host step: what says only what the kernel refused is told with the step.
pub(crate) fn in_host_step(plan: &Plan, index: usize, error: Error) -> Error {
    let (step, of) = (index + 1, plan.host.len());
    let text = |plan: &Plan| {
        plan.host
            .get(index)
            .map(|step| plan.host_text(&step.op))
            .unwrap_or_default()
    };
    match error {
        Error::System { what, errno } => Error::Step {
            step,
            of,
            what: format!("host: {}: {what}", text(plan)),
            errno,
            hint: plan
                .host
                .get(index)
                .and_then(|step| Outside::look().host(&step.op, errno))
                .or_else(|| crate::hint::errno_hint(errno.get()).map(str::to_owned)),
        },
        Error::Missing { .. } => within(step, of, text(plan), error),
        Error::Cgroup(tare_cgroup::Error::Refused(_)) => error,
        Error::Cgroup(_) => within(step, of, text(plan), error),
        other => other,
    }
}

fn within(step: usize, of: usize, what: String, error: Error) -> Error {
    Error::HostStep {
        step,
        of,
        what,
        source: Box::new(error),
    }
}

/// The child ended without a word.
pub(crate) fn child_died(plan: &Plan, step: usize, how: Option<ExitStatus>) -> Error {
    let (how, hint) = match how {
        Some(ExitStatus::Signaled(9)) => (
            "was killed by signal 9".to_owned(),
            Some("was it the out-of-memory killer? A memory limit of less than 1 MiB is too small for any program".to_owned()),
        ),
        Some(ExitStatus::Signaled(31)) => (
            "was killed by signal 31 (SIGSYS)".to_owned(),
            Some("linux.seccomp kills a call that the runtime needs after the filter: capset, prctl, read, write, execve".to_owned()),
        ),
        Some(ExitStatus::Signaled(signal)) => (format!("was killed by signal {signal}"), None),
        Some(ExitStatus::Exited(status)) => (format!("exited with status {status}"), None),
        None => ("is gone".to_owned(), None),
    };
    let what = plan
        .child
        .get(step)
        .map(|failed| plan.child_text(failed))
        .unwrap_or_default();
    Error::ChildDied {
        step: step + 1,
        of: plan.child.len(),
        what,
        how,
        hint,
    }
}

/// Failure of the last step or of one before it, told by `start` from the record.
pub(crate) fn in_tail(record: &crate::Record, op: u32, errno: Errno, detail: u32) -> Error {
    let tail = &record.tare.tail;
    let last = tail.iter().map(|step| step.op).max();
    let Some(step) = tail.iter().find(|step| step.op == op as usize) else {
        return Error::Step {
            step: 0,
            of: record.tare.steps,
            what: "an unknown step".to_owned(),
            errno,
            hint: None,
        };
    };
    if Some(step.op) == last {
        return execve_error(&record.tare.program, errno);
    }
    if let Some(hook) = step.text.strip_prefix(START_HOOK) {
        return Error::Hook {
            kind: "startContainer",
            index: tail
                .iter()
                .filter(|other| other.op < step.op && other.text.starts_with(START_HOOK))
                .count(),
            path: hook.split(" args [").next().unwrap_or(hook).into(),
            why: hook_words(errno, detail),
        };
    }
    Error::Step {
        step: step.step,
        of: record.tare.steps,
        what: step.text.clone(),
        errno,
        hint: None,
    }
}

/// How the plan's text of such a step begins; the record has no more of it.
const START_HOOK: &str = "run startContainer hook ";

fn hook_words(errno: Errno, detail: u32) -> String {
    match (errno, detail.checked_sub(1)) {
        (Errno::ETIMEDOUT, _) => "took longer than its timeout and was killed".to_owned(),
        (_, Some(status)) if status & 0x7f != 0 => format!("killed by signal {}", status & 0x7f),
        (_, Some(status)) => match status >> 8 & 0xff {
            127 => "exit status 127: missing, or its interpreter is".to_owned(),
            126 => "exit status 126: can't be executed".to_owned(),
            code => format!("exit status {code}"),
        },
        (errno, None) => errno.to_string(),
    }
}

fn program_of(plan: &Plan) -> String {
    plan.child
        .iter()
        .rev()
        .find_map(|step| match &step.op {
            ChildOp::Exec { args, .. } => args.first().cloned(),
            _ => None,
        })
        .unwrap_or_default()
}

fn program_error(program: &str, candidate: &str, errno: Errno) -> Error {
    let why = match errno {
        Errno::ENOENT if !program.contains('/') => ProgramError::NotInPath,
        Errno::ENOENT => ProgramError::Absent(candidate.to_owned()),
        Errno::EACCES | Errno::EPERM => ProgramError::NotExecutable,
        Errno::EISDIR => ProgramError::Directory,
        Errno::ENOTDIR => ProgramError::NotADirectory(candidate.to_owned()),
        other => ProgramError::Other(other),
    };
    Error::Program {
        program: program.to_owned(),
        why,
    }
}

/// The file was found at `create`, so ENOENT here means its interpreter.
fn execve_error(program: &str, errno: Errno) -> Error {
    let why = match errno {
        Errno::ENOENT => ProgramError::InterpreterAbsent("of its #! line or ELF header".to_owned()),
        Errno::ENOEXEC => ProgramError::WrongFormat,
        Errno::EACCES | Errno::EPERM => ProgramError::NotExecutable,
        Errno::EISDIR => ProgramError::Directory,
        other => ProgramError::Other(other),
    };
    Error::Program {
        program: program.to_owned(),
        why,
    }
}

/// What to do about the mistakes that people make most, by operation and errno.
fn hint(op: &ChildOp, errno: Errno, from: &str) -> Option<String> {
    let text = match (op, errno) {
        (ChildOp::BindRoot { .. }, Errno::ENOENT | Errno::ENOTDIR) => {
            "root.path must be a directory, absolute or relative to the bundle; unpack the image there first".to_owned()
        }
        (ChildOp::BindRoot { path, .. }, Errno::EACCES) => format!(
            "the container's root, as the host sees its id, must be allowed to search every directory of {path}"
        ),
        (ChildOp::Bind { .. } | ChildOp::Mkdir { .. } | ChildOp::Mount { .. }, Errno::EACCES) => {
            "the container's root, as the host sees its id, lacks the right to a directory on the way, or to write where a mount point has to be made".to_owned()
        }
        (ChildOp::Bind { source, .. }, Errno::ENOENT) => match source {
            crate::plan::ir::Source::Path(path) => format!("the mount's source {path} is missing on the host; make it or fix {from}"),
            crate::plan::ir::Source::Slot(_) => format!("fix {from}"),
        },
        (ChildOp::Bind { .. }, Errno::ENOTDIR | Errno::EISDIR) => {
            "a directory can only be mounted on a directory, and a file on a file".to_owned()
        }
        (ChildOp::Mount { fstype, .. }, Errno::ENODEV) => format!("this kernel has no filesystem {fstype:?} (is its module loaded?)"),
        (ChildOp::Mount { .. }, Errno::EPERM) => {
            "a user namespace may mount this only with namespaces of its own (proc needs pid, sysfs needs network) and none of the host's masked".to_owned()
        }
        (ChildOp::Mount { .. }, Errno::EINVAL) => format!("the filesystem refuses an option or its value; see {from} and dmesg"),
        (ChildOp::Mount { .. }, Errno::ELOOP | Errno::ENOTDIR) => "the destination must not be a symlink and must be a directory".to_owned(),
        (ChildOp::WriteProc { .. }, Errno::ENOENT) => "this kernel does not have the setting".to_owned(),
        (ChildOp::WriteProc { .. }, Errno::EINVAL) => "the kernel refuses the value".to_owned(),
        (ChildOp::Unshare(_), Errno::ENOSPC) => "raise the limit in /proc/sys/user/max_*_namespaces".to_owned(),
        (ChildOp::Unshare(_) | ChildOp::Join { .. }, Errno::EPERM) => {
            "this needs root, or a user namespace in linux.namespaces".to_owned()
        }
        (ChildOp::Bounding(_), Errno::EPERM) => {
            "taking capabilities out of the bounding set takes CAP_SETPCAP, which the caller lacks; let whoever started the caller give it that capability, or add a user namespace".to_owned()
        }
        (ChildOp::Rlimit(_), Errno::EPERM) => "raising a hard limit needs CAP_SYS_RESOURCE; lower it in process.rlimits".to_owned(),
        (ChildOp::Groups(_), Errno::EPERM) => "setgroups is denied in this user namespace; leave process.user.additionalGids empty".to_owned(),
        (ChildOp::Ids { .. }, Errno::EINVAL) => "the id has no mapping in the container's user namespace".to_owned(),
        (ChildOp::Chdir { .. }, _) => "process.cwd must be a directory that process.user may enter".to_owned(),
        (ChildOp::Seccomp { .. }, Errno::EINVAL) => "the kernel refuses the filter or one of linux.seccomp.flags".to_owned(),
        _ => return crate::hint::errno_hint(errno.get()).map(str::to_owned),
    };
    Some(text)
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
