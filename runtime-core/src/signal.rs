//! Signals: their names and numbers, and sending one.
use crate::Status;
use crate::error::Error;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd};
use std::str::FromStr;

/// A signal that can be sent: 1 to 64, or 0, which only asks whether the process is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signal(i32);

/// The kernel's first and last real-time signals; the C library keeps 32 and 33 for itself.
const REALTIME: std::ops::RangeInclusive<i32> = 34..=64;

impl Signal {
    /// Asks for an orderly end.
    pub const TERM: Signal = Signal(15);
    /// Ends at once.
    pub const KILL: Signal = Signal(9);

    /// From the kernel's number.
    pub fn from_number(number: i32) -> Option<Signal> {
        (0..=64).contains(&number).then_some(Signal(number))
    }

    /// The kernel's number.
    pub fn number(self) -> i32 {
        self.0
    }

    /// Sends it to the process of a pidfd.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it has ended and been waited for.
    pub fn send(self, process: impl AsFd) -> Result<(), Error> {
        let process = tare_sys::Fd::new(process.as_fd().as_raw_fd());
        match tare_sys::signal::send(process, self.0.unsigned_abs()) {
            Ok(()) => Ok(()),
            Err(tare_sys::Errno::ESRCH) => Err(Error::NotRunning {
                status: Status::Stopped,
            }),
            Err(errno) => Err(Error::system(format!("send {self}"), errno)),
        }
    }
}

impl FromStr for Signal {
    type Err = Error;

    /// A number, `NAME` or `SIGNAME` in any case, `RTMIN+N`, `RTMAX-N`.
    fn from_str(text: &str) -> Result<Signal, Error> {
        parse(text).ok_or_else(|| Error::UnknownSignal(text.to_owned()))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None if REALTIME.contains(&self.0) => {
                write!(f, "SIGRTMIN+{}", self.0 - REALTIME.start())
            }
            None => write!(f, "signal {}", self.0),
        }
    }
}

fn parse(text: &str) -> Option<Signal> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Signal::from_number(text.parse().ok()?);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(Signal(*number));
    }
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        REALTIME.start() + offset(rest, "+")?
    } else {
        REALTIME.end() - offset(name.strip_prefix("RTMAX")?, "-")?
    };
    REALTIME.contains(&number).then_some(Signal(number))
}

fn offset(text: &str, sign: &str) -> Option<i32> {
    if text.is_empty() {
        return Some(0);
    }
    let digits = text.strip_prefix(sign)?;
    let plain =
        !digits.is_empty() && digits.len() <= 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// The first name of a number is the one shown.
#[rustfmt::skip]
const NAMES: [(&str, i32); 35] = [
    ("HUP", 1), ("INT", 2), ("QUIT", 3), ("ILL", 4), ("TRAP", 5), ("ABRT", 6), ("IOT", 6), ("BUS", 7),
    ("FPE", 8), ("KILL", 9), ("USR1", 10), ("SEGV", 11), ("USR2", 12), ("PIPE", 13), ("ALRM", 14), ("TERM", 15),
    ("STKFLT", 16), ("CHLD", 17), ("CLD", 17), ("CONT", 18), ("STOP", 19), ("TSTP", 20), ("TTIN", 21), ("TTOU", 22),
    ("URG", 23), ("XCPU", 24), ("XFSZ", 25), ("VTALRM", 26), ("PROF", 27), ("WINCH", 28), ("IO", 29), ("POLL", 29),
    ("PWR", 30), ("SYS", 31), ("UNUSED", 31),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<i32>) {
        let got = text.parse::<Signal>();
        assert_eq!(
            got.as_ref().ok().map(|signal| signal.number()),
            expect,
            "{text:?}: {got:?}"
        );
        if let Err(error) = got {
            assert_eq!(error.to_string(), format!("unknown signal {text:?}"));
        }
    }

    #[test]
    fn what_callers_write() {
        check("9", Some(9));
        check("0", Some(0));
        check("KILL", Some(9));
        check("SIGKILL", Some(9));
        check("sigkill", Some(9));
        check("term", Some(15));
        check("SIGRTMIN+3", Some(37));
        check("RTMIN", Some(34));
        check("rtmax-1", Some(63));
        check("64", Some(64));
        for bad in [
            "",
            "65",
            "-9",
            "+9",
            "SIG",
            "SIGSIGKILL",
            "KILLL",
            " 9",
            "9 ",
            "RTMIN+31",
            "RTMIN-1",
            "RTMIN+",
            "RTMIN++1",
            "99999999999",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn a_name_reads_back_as_itself() {
        for number in 1..=64 {
            let signal = Signal::from_number(number).unwrap();
            match signal.to_string() {
                shown if shown.starts_with("SIG") => {
                    assert_eq!(shown.parse::<Signal>().unwrap(), signal)
                }
                shown => assert!(shown == "signal 32" || shown == "signal 33", "{shown}"),
            }
        }
    }
}
