//! The profile checked and decided: words become actions, conditions and calls; errors name the JSON path.
use crate::action::{Action, MAX_ERRNO};
use crate::condition::{Condition, Operator};
use crate::names::Syscall;
use crate::target::flag;
use crate::{Arch, SeccompError, Skip, Target};
use tare_oci::{Seccomp, SeccompArg, SeccompSyscall};

/// A profile whose every word is understood and possible on the target.
pub(crate) struct Profile {
    pub(crate) default_action: Action,
    /// The native one first, then those listed, each once.
    pub(crate) archs: Vec<Arch>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) flags: u32,
    pub(crate) uses_notify: bool,
    pub(crate) skipped: Vec<Skip>,
}

/// One entry of `linux.seccomp.syscalls`.
pub(crate) struct Rule {
    /// Its index there.
    pub(crate) entry: usize,
    pub(crate) calls: Vec<Syscall>,
    pub(crate) action: Action,
    /// Any of these lets the rule match; one without conditions always does.
    pub(crate) alternatives: Vec<Vec<Condition>>,
}

/// Arguments of a system call.
const ARGUMENTS: u32 = 6;

impl Profile {
    pub(crate) fn read(seccomp: &Seccomp, target: &Target) -> Result<Self, SeccompError> {
        let path = || "linux.seccomp.defaultAction".to_owned();
        let errno_path = || "linux.seccomp.defaultErrnoRet".to_owned();
        let default_action = action(
            &seccomp.default_action,
            seccomp.default_errno_ret,
            target,
            (&path, &errno_path),
        )?;
        if default_action == Action::Notify {
            return Err(SeccompError::invalid(
                path(),
                "SCMP_ACT_NOTIFY cannot be used as default action",
            ));
        }
        let archs = archs(seccomp, target)?;
        let mut skipped = Vec::new();
        let mut rules = Vec::with_capacity(seccomp.syscalls.len());
        for (entry, syscall) in seccomp.syscalls.iter().enumerate() {
            rules.push(rule(entry, syscall, target, &mut skipped)?);
        }
        let notifies = |syscall: &SeccompSyscall| {
            syscall.action == "SCMP_ACT_NOTIFY" && !syscall.names.is_empty()
        };
        let uses_notify = seccomp.syscalls.iter().any(notifies);
        if uses_notify && seccomp.listener_path.is_empty() {
            let path = "linux.seccomp.listenerPath".to_owned();
            return Err(SeccompError::invalid(
                path,
                "seccomp listenerPath is not set",
            ));
        }
        let flags = flags(seccomp, target, uses_notify, &mut skipped)?;
        Ok(Self {
            default_action,
            archs,
            rules,
            flags,
            uses_notify,
            skipped,
        })
    }
}

type Path<'a> = &'a dyn Fn() -> String;

fn action(
    name: &str,
    errno: Option<u32>,
    target: &Target,
    (path, errno_path): (Path, Path),
) -> Result<Action, SeccompError> {
    let unknown = || SeccompError::UnknownAction {
        path: path(),
        name: name.to_owned(),
    };
    let action = Action::from_name(name).ok_or_else(unknown)?;
    if !target.actions.contains(action.kind()) {
        return Err(SeccompError::Unsupported {
            path: path(),
            name: name.to_owned(),
        });
    }
    let Some(errno) = errno else {
        return Ok(action);
    };
    let (action, limit) = match action {
        Action::Errno(_) => (Action::Errno(errno as u16), MAX_ERRNO),
        Action::Trace(_) => (Action::Trace(errno as u16), u16::MAX.into()),
        // "When the action doesn't support an errno, the runtime MUST print an error and fail."
        _ => {
            return Err(SeccompError::invalid(
                errno_path(),
                format!("{name} takes no errno"),
            ));
        }
    };
    if errno > limit {
        let reason = format!("{errno} is out of range: {name} takes 0 to {limit}");
        return Err(SeccompError::invalid(errno_path(), reason));
    }
    Ok(action)
}

fn archs(seccomp: &Seccomp, target: &Target) -> Result<Vec<Arch>, SeccompError> {
    let mut archs = vec![target.native];
    for (index, name) in seccomp.architectures.iter().enumerate() {
        let path = || format!("linux.seccomp.architectures[{index}]");
        let unknown = || SeccompError::UnknownArch {
            path: path(),
            name: name.clone(),
        };
        let arch = Arch::from_name(name).ok_or_else(unknown)?;
        if arch.traits().endian != target.native.traits().endian {
            let native = target.native.name();
            let reason = format!(
                "{name} has not the byte order of {native}, so one filter cannot serve both"
            );
            return Err(SeccompError::invalid(path(), reason));
        }
        if !archs.contains(&arch) {
            archs.push(arch);
        }
    }
    Ok(archs)
}

fn rule(
    entry: usize,
    syscall: &SeccompSyscall,
    target: &Target,
    skipped: &mut Vec<Skip>,
) -> Result<Rule, SeccompError> {
    let path = || format!("linux.seccomp.syscalls[{entry}].action");
    let errno_path = || format!("linux.seccomp.syscalls[{entry}].errnoRet");
    let action = action(
        &syscall.action,
        syscall.errno_ret,
        target,
        (&path, &errno_path),
    )?;
    let mut calls = Vec::with_capacity(syscall.names.len());
    for (index, name) in syscall.names.iter().enumerate() {
        let path = || format!("linux.seccomp.syscalls[{entry}].names[{index}]");
        if name.is_empty() {
            return Err(SeccompError::invalid(
                path(),
                "empty string is not a valid syscall",
            ));
        }
        // The process that loads the filter could not hand over the descriptor.
        if name == "write" && action == Action::Notify {
            let reason = "SCMP_ACT_NOTIFY cannot be used for the write syscall";
            return Err(SeccompError::invalid(path(), reason));
        }
        match Syscall::from_name(name) {
            Some(call) => calls.push(call),
            None if target.refuse_unknown_syscalls => {
                return Err(SeccompError::UnknownSyscall {
                    path: path(),
                    name: name.clone(),
                });
            }
            None => {
                let reason = format!(
                    "unknown system call {name} (tables of {})",
                    crate::syscalls::SOURCE
                );
                skipped.push(Skip {
                    json_path: path(),
                    reason,
                });
            }
        }
    }
    Ok(Rule {
        entry,
        calls,
        action,
        alternatives: alternatives(entry, &syscall.args)?,
    })
}

/// All conditions must hold; but two on one argument make each condition a rule of its own, as runc has it.
fn alternatives(entry: usize, args: &[SeccompArg]) -> Result<Vec<Vec<Condition>>, SeccompError> {
    let mut conditions = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        let path = |field| format!("linux.seccomp.syscalls[{entry}].args[{index}].{field}");
        if arg.index >= ARGUMENTS {
            let reason = format!("{}: a system call has arguments 0 to 5", arg.index);
            return Err(SeccompError::invalid(path("index"), reason));
        }
        let unknown = || SeccompError::UnknownOperator {
            path: path("op"),
            name: arg.op.clone(),
        };
        let operator = Operator::from_name(&arg.op).ok_or_else(unknown)?;
        let two = arg.value_two.unwrap_or(0);
        conditions.push(Condition::new(arg.index as u8, operator, arg.value, two));
    }
    let mut seen = 0_u8;
    let mut repeated = false;
    for condition in &conditions {
        repeated |= seen & (1 << condition.argument) != 0;
        seen |= 1 << condition.argument;
    }
    if repeated {
        return Ok(conditions
            .into_iter()
            .map(|condition| vec![condition])
            .collect());
    }
    conditions.sort_by_key(|condition| condition.argument);
    Ok(vec![conditions])
}

fn flags(
    seccomp: &Seccomp,
    target: &Target,
    uses_notify: bool,
    skipped: &mut Vec<Skip>,
) -> Result<u32, SeccompError> {
    // A profile that lists no flag gets the one that costs nothing in speed.
    let mut flags = if seccomp.flags.is_empty() {
        flag::SPEC_ALLOW & target.flags
    } else {
        0
    };
    if uses_notify {
        if target.flags & flag::NEW_LISTENER == 0 {
            let (path, name) = (
                "linux.seccomp".to_owned(),
                "SECCOMP_FILTER_FLAG_NEW_LISTENER".to_owned(),
            );
            return Err(SeccompError::Unsupported { path, name });
        }
        flags |= flag::NEW_LISTENER;
    }
    for (index, name) in seccomp.flags.iter().enumerate() {
        let path = || format!("linux.seccomp.flags[{index}]");
        let wanted = match name.as_str() {
            "SECCOMP_FILTER_FLAG_TSYNC" if uses_notify => {
                if target.flags & flag::TSYNC_ESRCH == 0 {
                    let reason = "this kernel does not take it together with SCMP_ACT_NOTIFY; \
                                  the filter is loaded by a process of one thread, which needs no synchronising";
                    skipped.push(Skip {
                        json_path: path(),
                        reason: reason.to_owned(),
                    });
                    continue;
                }
                flag::TSYNC | flag::TSYNC_ESRCH
            }
            "SECCOMP_FILTER_FLAG_TSYNC" => flag::TSYNC,
            "SECCOMP_FILTER_FLAG_LOG" => flag::LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => flag::SPEC_ALLOW,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" if !uses_notify => {
                let reason = format!("{name} needs a rule with SCMP_ACT_NOTIFY");
                return Err(SeccompError::invalid(path(), reason));
            }
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => flag::WAIT_KILLABLE_RECV,
            _ => {
                return Err(SeccompError::UnknownFlag {
                    path: path(),
                    name: name.clone(),
                });
            }
        };
        if target.flags & wanted != wanted {
            return Err(SeccompError::Unsupported {
                path: path(),
                name: name.clone(),
            });
        }
        flags |= wanted;
    }
    Ok(flags)
}
