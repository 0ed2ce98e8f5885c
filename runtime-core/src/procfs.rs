//! What /proc says of a process: its state and start time, which together tell a process from a later one of the same pid.
use crate::error::Error;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Fields of /proc/PID/stat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// `R`, `S`, `D`, `Z`, `X`, ...
    pub state: u8,
    /// In do_exit(), perhaps waiting for the other processes of its pid namespace.
    pub is_exiting: bool,
    /// Clock ticks since boot.
    pub start: u64,
}

impl Stat {
    /// A zombie has ended; only its parent has not asked yet.
    pub(crate) fn is_alive(self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Reads /proc/PID/stat; `None` when there is no such process.
pub(crate) fn stat(pid: i32) -> Result<Option<Stat>, Error> {
    let path = format!("/proc/{pid}/stat");
    let fd = match rustix::fs::openat(
        CWD,
        path.as_str(),
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
        Err(errno) => return Err(Error::path("open", Path::new(&path), errno)),
    };
    let mut bytes = [0u8; 1024];
    match File::from(fd).read(&mut bytes) {
        Ok(length) => parse(&bytes[..length])
            .map(Some)
            .ok_or_else(|| Error::Unsupported {
                what: format!("read {path}"),
                why: "its content is not what proc(5) says".to_owned(),
            }),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(Error::path("read", Path::new(&path), &error)),
    }
}

/// Whether the process that had this pid and start time still lives.
pub(crate) fn is_alive(pid: i32, start: u64) -> Result<bool, Error> {
    Ok(pid > 0 && stat(pid)?.is_some_and(|stat| stat.start == start && stat.is_alive()))
}

/// Whether a process has ended, is ending, or has a SIGKILL waiting for it.
pub(crate) fn is_dying(pid: i32) -> Result<bool, Error> {
    let path = format!("/proc/{pid}/status");
    let exiting = match stat(pid)? {
        Some(stat) => stat.is_exiting || !stat.is_alive(),
        None => true,
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(exiting || kill_pending(&text)),
        Err(error)
            if matches!(
                error.raw_os_error().map(Errno::from_raw_os_error),
                Some(Errno::NOENT | Errno::SRCH)
            ) =>
        {
            Ok(true)
        }
        Err(error) => Err(Error::path("read", Path::new(&path), &error)),
    }
}

fn kill_pending(status: &str) -> bool {
    const SIGKILL: u64 = 1 << 8;
    status
        .lines()
        .filter_map(|line| {
            line.strip_prefix("SigPnd:")
                .or(line.strip_prefix("ShdPnd:"))
        })
        .filter_map(|set| u64::from_str_radix(set.trim(), 16).ok())
        .any(|set| set & SIGKILL != 0)
}

/// A handle on the live process of this pid and start time; `None` when it has ended.
pub(crate) fn open(pid: i32, start: u64) -> Result<Option<OwnedFd>, Error> {
    let Some(number) = Pid::from_raw(pid) else {
        return Ok(None);
    };
    let fd = match rustix::process::pidfd_open(number, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
        Err(errno) => return Err(Error::system(format!("open process {pid}"), errno)),
    };
    // Asked after the open: had the pid been given to another process before it, the start time tells.
    Ok(is_alive(pid, start)?.then_some(fd))
}

/// Reads the text of /proc/PID/stat.
pub(crate) fn parse(bytes: &[u8]) -> Option<Stat> {
    // The command name is in parentheses and may hold spaces and parentheses itself.
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    let mut fields = text.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    // state is field 3, flags field 9, starttime field 22.
    const PF_EXITING: u64 = 4;
    let flags: u64 = fields.nth(5)?.parse().ok()?;
    let start = fields.nth(12)?.parse().ok()?;
    Some(Stat {
        state,
        is_exiting: flags & PF_EXITING != 0,
        start,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = b"42 (a) Z (b) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 10 18446744073709551615";
        assert_eq!(
            parse(line),
            Some(Stat {
                state: b'S',
                is_exiting: false,
                start: 98765
            })
        );
        let exiting = b"42 (a) S 1 42 42 0 -1 4194564 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000";
        assert!(parse(exiting).unwrap().is_exiting);
        assert_eq!(parse(b"42 (a"), None);
        assert_eq!(parse(b"42 (a) S 1"), None);
    }

    #[test]
    fn this_process_is_alive_and_another_start_time_is_not() {
        let pid = std::process::id() as i32;
        let start = stat(pid).unwrap().unwrap().start;
        assert!(is_alive(pid, start).unwrap());
        assert!(!is_alive(pid, start + 1).unwrap());
        assert!(open(pid, start).unwrap().is_some());
        assert!(open(pid, start + 1).unwrap().is_none());
        assert!(!is_alive(0, start).unwrap());
        assert_eq!(stat(i32::MAX).unwrap(), None);
    }

    #[test]
    fn a_kill_that_waits_is_seen() {
        let status = |thread: &str, process: &str| {
            kill_pending(&format!(
                "SigQ:\t0/1\nSigPnd:\t{thread}\nShdPnd:\t{process}\nSigBlk:\t0000000000000100\n"
            ))
        };
        assert!(!status("0000000000000000", "0000000000004000"));
        assert!(status("0000000000000100", "0000000000000000"));
        assert!(status("0000000000000000", "0000000000000101"));
        assert!(is_dying(i32::MAX).unwrap() && !is_dying(std::process::id() as i32).unwrap());
    }
}
