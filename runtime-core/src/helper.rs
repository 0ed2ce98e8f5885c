//! A program of the host that is run to its end: a hook, newuidmap. Between it and us stands a `stage-init`, which waits for it and
//! tells its status over a socket.
//!
//! A child of our own would not do: a process that embeds this library may ignore SIGCHLD or reap with waitpid(-1) in another
//! thread, and a status is told once. It gets no fd but 0 to 2, whatever else the embedding process holds open without
//! close-on-exec.
use crate::control::{Received, receive};
use crate::error::Error;
use crate::lower::lower;
use crate::plan::ir::{Barrier, ChildOp, ChildStep, Namespaces, Plan, Slot, SlotInfo};
use crate::spawn::{How, spawn};
use crate::wait::{ExitStatus, wait_child};
use rustix::fs::{Access, AtFlags, CWD, MemfdFlags};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use tare_stage::report::Frame;
use tare_sys::Errno;

/// How much of the output is kept, counted from its end, in bytes.
const OUTPUT_KEPT: u64 = 1024;

/// What to run.
pub(crate) struct Helper<'a> {
    /// Absolute path.
    pub(crate) path: &'a str,
    /// argv; empty stands for the path alone.
    pub(crate) args: &'a [String],
    /// The whole environment.
    pub(crate) env: &'a [String],
    /// Its stdin.
    pub(crate) input: &'a [u8],
    /// Seconds, 0 for no limit.
    pub(crate) timeout: u32,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself.
    As(ExitStatus),
    /// It took longer than it may, and was killed.
    Late,
}

/// Runs it; its end and the last of its output. A path that can't be executed is an error at once.
pub(crate) fn run(helper: &Helper<'_>) -> Result<(Ended, String), Error> {
    rustix::fs::accessat(CWD, helper.path, Access::EXEC_OK, AtFlags::EACCESS)
        .map_err(|errno| Error::path("execute", helper.path.as_ref(), errno))?;
    let input = memory_file(helper.input)?;
    let mut output = memory_file(&[])?;
    let plan = plan(helper);
    let lowered = lower(&plan, 3, false).map_err(|error| Error::Unsupported {
        what: format!("run {}", helper.path),
        why: error.to_string(),
    })?;
    let how = How {
        namespaces: Namespaces::default(),
        cgroup: None,
        stdio: [
            Some(input.as_fd()),
            Some(output.as_fd()),
            Some(output.as_fd()),
        ],
        first_fd: 3,
        handed: vec![input.as_fd()],
        timed: false,
    };
    let child = spawn(&lowered, &how)?;
    let told = receive(child.control.as_fd());
    // Whoever else reaps is welcome to: what counts was told.
    let _ = wait_child(child.pidfd.as_fd());
    let ended = match told? {
        Received::Frame(Frame::Barrier { .. }, ..) => Ended::As(ExitStatus::Exited(0)),
        Received::Frame(Frame::Failure { errno, .. }, ..)
            if Errno::new(errno as i32) == Errno::ETIMEDOUT =>
        {
            Ended::Late
        }
        Received::Frame(Frame::Failure { errno, detail, .. }, ..) => match detail.checked_sub(1) {
            Some(status) => Ended::As(ExitStatus::of_wait(status)),
            None => {
                return Err(Error::system(
                    format!("run {}", helper.path),
                    Errno::new(errno as i32),
                ));
            }
        },
        Received::Frame(Frame::Forked { .. }, ..) | Received::End => {
            return Err(Error::Unsupported {
                what: format!("run {}", helper.path),
                why: "the process that waits for it was killed".to_owned(),
            });
        }
    };
    Ok((ended, tail(&mut output)))
}

fn plan(helper: &Helper<'_>) -> Plan {
    let step = |op| ChildStep {
        op,
        alternative: None,
        from: String::new(),
    };
    let args = if helper.args.is_empty() {
        vec![helper.path.to_owned()]
    } else {
        helper.args.to_vec()
    };
    Plan {
        title: helper.path.to_owned(),
        host: Vec::new(),
        child: vec![
            step(ChildOp::Umask(umask())),
            step(ChildOp::RunHook {
                path: helper.path.to_owned(),
                args,
                env: helper.env.to_vec(),
                timeout: helper.timeout,
                state: Slot(0),
                kind: String::new(),
            }),
            step(ChildOp::Barrier(Barrier::Created)),
        ],
        slots: vec![SlotInfo {
            name: "stdin".to_owned(),
        }],
        handed: vec![Slot(0)],
        cgroup_paths: Default::default(),
        skips: Vec::new(),
    }
}

/// Ours; umask(2) would have to set it to ask.
fn umask() -> u32 {
    const USUAL: u32 = 0o022;
    std::fs::read_to_string("/proc/thread-self/status")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("Umask:"))?;
            u32::from_str_radix(line.trim(), 8).ok()
        })
        .unwrap_or(USUAL)
}

/// A file without a name: no pipe that fills up, no thread that must empty it.
fn memory_file(content: &[u8]) -> Result<File, Error> {
    let fd = rustix::fs::memfd_create("hook", MemfdFlags::CLOEXEC)
        .map_err(|errno| Error::system("make a memory file", errno))?;
    let mut file = File::from(fd);
    file.write_all(content)
        .and_then(|()| file.rewind())
        .map_err(|error| Error::system("write a memory file", &error))?;
    Ok(file)
}

fn tail(output: &mut File) -> String {
    let mut bytes = Vec::new();
    let length = output.seek(SeekFrom::End(0)).unwrap_or(0);
    let read = output
        .seek(SeekFrom::Start(length.saturating_sub(OUTPUT_KEPT)))
        .and_then(|_| output.read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (Ended, String) {
        let args = ["sh", "-c", script].map(str::to_owned);
        run(&Helper {
            path: "/bin/sh",
            args: &args,
            env: &["ONLY=this".to_owned()],
            input: b"what is given\n",
            timeout: 20,
        })
        .unwrap()
    }

    #[test]
    fn a_status_is_told_though_somebody_else_may_reap() {
        assert_eq!(shell("exit 7").0, Ended::As(ExitStatus::Exited(7)));
        assert_eq!(shell("kill -9 $$").0, Ended::As(ExitStatus::Signaled(9)));
        let (ended, said) = shell("read -r line; echo \"$line, $ONLY\"");
        assert_eq!(ended, Ended::As(ExitStatus::Exited(0)));
        assert_eq!(said, "what is given, this");
    }

    #[test]
    fn it_gets_three_descriptors_the_callers_mask_and_no_signal_blocked() {
        // Without close-on-exec, as an embedding process may hold it.
        let open = File::open("/dev/null").unwrap();
        rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
        let (_, said) = shell("ls /proc/$$/fd; umask; grep SigBlk /proc/self/status");
        let own = format!("{:04o}", umask());
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            ["0", "1", "2", own.as_str(), "SigBlk:\t0000000000000000"]
        );
    }
}
