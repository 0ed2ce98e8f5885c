//! Faults that a test asks for, one a process: a step of a lane fails, before or after its work, or its process dies there.
//! Only with the feature `proof`.
use crate::error::{Errno, Error};
use crate::lane::Lane as Running;
use crate::lower::Lowered;
use crate::plan::ir::Plan;
use std::str::FromStr;
use std::sync::OnceLock;
use tare_stage::fault::{Fault as Word, PARK, PARK_HOP};

/// What goes wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which lane.
    pub lane: Lane,
    /// Step of the lane, from 1 as the plan numbers them.
    pub step: usize,
    /// What happens.
    pub what: What,
    /// After the step's work, not instead of it.
    pub late: bool,
    /// Of a step with an alternative the first form only, so that the alternative is run.
    pub first: bool,
    /// What is then left on purpose, so that a test can show that it would see it.
    pub keep: Option<Keep>,
}

/// What a rollback can leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// The child runs on.
    Child,
    /// Its cgroups stay.
    Cgroup,
    /// The state directory stays.
    State,
    /// The pid file stays.
    PidFile,
    /// A file descriptor of the caller stays open.
    Descriptor,
    /// A mount on the state directory stays.
    Mount,
}

/// Where a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The child's.
    Child,
    /// The host's.
    Host,
    /// Nowhere: the plan is the error, and nothing of it is run.
    Show,
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The step fails so.
    Errno(i32),
    /// Host: it kills itself. Child: it stands still as `tare-parked`; it may be init of a pid namespace, which can't kill itself.
    Die,
    /// The hop stands still as `tare-parked` when it has made the final process.
    HopDies,
}

static FAULT: OnceLock<Fault> = OnceLock::new();

/// Holds for the rest of this process. A second call changes nothing.
pub fn arm(fault: Fault) {
    let _ = FAULT.set(fault);
}

/// `LANE:STEP:WHAT`, with WHAT an errno's number, `die` or `hop`, then `+` for late or `~` for the first form only, `!KEPT` at the end; or
/// `show`.
impl FromStr for Fault {
    type Err = String;
    fn from_str(text: &str) -> Result<Fault, String> {
        let wrong = || format!("not LANE:STEP:WHAT: {text:?}");
        if text == "show" {
            return Ok(Fault {
                lane: Lane::Show,
                step: 0,
                what: What::Die,
                late: false,
                first: false,
                keep: None,
            });
        }
        let (text, keep) = match text.split_once('!') {
            None => (text, None),
            Some((text, kept)) => (
                text,
                Some(match kept {
                    "child" => Keep::Child,
                    "cgroup" => Keep::Cgroup,
                    "state" => Keep::State,
                    "pidfile" => Keep::PidFile,
                    "descriptor" => Keep::Descriptor,
                    "mount" => Keep::Mount,
                    _ => return Err(wrong()),
                }),
            ),
        };
        let mut parts = text.split(':');
        let (Some(lane), Some(step), Some(what), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let (what, late) = match what.strip_suffix('+') {
            Some(what) => (what, true),
            None => (what, false),
        };
        let (what, first) = match what.strip_suffix('~') {
            Some(what) => (what, true),
            None => (what, false),
        };
        Ok(Fault {
            lane: match lane {
                "child" => Lane::Child,
                "host" => Lane::Host,
                _ => return Err(wrong()),
            },
            step: step.parse().map_err(|_| wrong())?,
            what: match what {
                "die" => What::Die,
                "hop" => What::HopDies,
                number => What::Errno(number.parse().map_err(|_| wrong())?),
            },
            late,
            first,
            keep,
        })
    }
}

/// Whether a rollback leaves this on purpose.
pub(crate) fn keeps(what: Keep) -> bool {
    FAULT.get().is_some_and(|fault| fault.keep == Some(what))
}

/// Puts a fault of the child lane into its program.
pub(crate) fn child(lowered: &mut Lowered) {
    let steps = &lowered.steps;
    let Some(fault) = FAULT.get().filter(|fault| fault.lane == Lane::Child) else {
        return;
    };
    let ops = steps.iter().filter(|step| **step + 1 == fault.step).count();
    let Some(first) = steps.iter().position(|step| step + 1 == fault.step) else {
        return;
    };
    let what = match fault.what {
        What::Errno(errno) => errno.unsigned_abs(),
        What::Die => PARK,
        What::HopDies => PARK_HOP,
    };
    let narrow = |number: usize| u32::try_from(number).unwrap_or(0);
    // An alternative is three ops: the choice, the first form, the other.
    let (first, ops) = if fault.first && ops == 3 {
        (first + 1, 1)
    } else {
        (first, ops)
    };
    let word = Word::new(narrow(first), narrow(ops), what, fault.late);
    lowered.bytes[12..16].copy_from_slice(&word.0.to_ne_bytes());
}

/// Before (`late` false) and after the host lane's step at `index`.
pub(crate) fn host(index: usize, late: bool) -> Result<(), Error> {
    let here =
        |fault: &&Fault| fault.lane == Lane::Host && fault.step == index + 1 && fault.late == late;
    match FAULT.get().filter(here).map(|fault| fault.what) {
        None => Ok(()),
        Some(What::Errno(errno)) => Err(Error::system("a test's fault", Errno::new(errno))),
        Some(What::Die | What::HopDies) => {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
            Ok(())
        }
    }
}

/// What a lane is told to leave at its end; tells whether that is all.
pub(crate) fn leaves(lane: &mut Running<'_>) -> bool {
    match FAULT.get().and_then(|fault| fault.keep) {
        Some(Keep::Child) => return true,
        Some(Keep::Cgroup) => lane.forget_cgroup(),
        Some(Keep::PidFile) => lane.forget_pid_file(),
        Some(Keep::Descriptor) => {
            if let Ok(fd) = rustix::fs::memfd_create("kept", rustix::fs::MemfdFlags::CLOEXEC) {
                std::mem::forget(fd);
            }
        }
        Some(Keep::Mount) => {
            if let Some(path) = lane.state_directory() {
                let flags = rustix::mount::MountFlags::empty();
                let _ = rustix::mount::mount("none", path, "tmpfs", flags, None);
            }
        }
        Some(Keep::State) | None => {}
    }
    false
}

/// Gives the plan instead of running it, if that was asked for.
pub(crate) fn show(plan: &Plan) -> Result<(), Error> {
    match FAULT.get() {
        Some(Fault {
            lane: Lane::Show, ..
        }) => Err(Error::Unsupported {
            what: format!("{plan}"),
            why: "a test asked for the plan".to_owned(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_their_words() {
        let fault = |lane, step, what, late| Fault {
            lane,
            step,
            what,
            late,
            first: false,
            keep: None,
        };
        for (text, expected) in [
            ("child:3:1", fault(Lane::Child, 3, What::Errno(1), false)),
            ("host:12:28+", fault(Lane::Host, 12, What::Errno(28), true)),
            ("host:1:die", fault(Lane::Host, 1, What::Die, false)),
            ("child:2:hop", fault(Lane::Child, 2, What::HopDies, false)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "child",
            "child:x:1",
            "other:1:1",
            "child:1:1:1",
            "child:1:",
        ] {
            assert!(text.parse::<Fault>().is_err(), "{text}");
        }
    }
}
