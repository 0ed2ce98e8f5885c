//! Whose processes are in a cgroup that only a kept configuration names?
//!
//! Without a record the cgroup's place is a guess: a container of another state root may have the same one. The rule: `create`
//! writes `config.json` once, before it makes any process, and makes init right after it. So the oldest process must have started
//! after that file was written and within [`WINDOW`]; all others are init's descendants or came later. A process that is older
//! than the file is certainly another's; one that is much younger may be (or its init has ended and shared the host's pid
//! namespace), and what isn't known to be ours isn't killed.
use crate::error::Error;
use crate::procfs;
use crate::store::StateDir;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// How long a `create` may take from reading its configuration to its process.
const WINDOW: Duration = Duration::from_secs(60);
/// Both times are rounded: a file's to the timer tick, a process's down to 10 ms.
const ROUNDING: Duration = Duration::from_millis(50);
/// USER_HZ, the unit of /proc/PID/stat.
const TICKS_PER_SECOND: u64 = 100;

/// Refuses processes that may be another container's.
///
/// # Errors
/// [`Error::Unsupported`] with the pid and the reason.
pub(super) fn check(dir: &StateDir, cgroup: &tare_cgroup::Cgroup) -> Result<(), Error> {
    let mut starts = Vec::new();
    for pid in cgroup.pids()? {
        if let Some(stat) = procfs::stat(pid)? {
            starts.push((since_boot(stat.start), pid));
        }
    }
    let Some((oldest, pid)) = starts.into_iter().min() else {
        return Ok(());
    };
    let why = match dir.config_written()? {
        Some(written) => doubt(boot_time_of(written), oldest),
        None => Some("when this container was created can't be told"),
    };
    why.map_or(Ok(()), |why| {
        Err(Error::Unsupported {
            what: format!(
                "kill process {pid}, the oldest in the cgroup that the kept config.json of {} names",
                dir.id()
            ),
            why: format!("state.json is unusable, and the process may be another container's: {why}; end it yourself if it isn't, then try again"),
        })
    })
}

/// Why the oldest process may not be this container's; both times since boot.
fn doubt(written: Duration, oldest: Duration) -> Option<&'static str> {
    if oldest + ROUNDING < written {
        Some("it started before this container was created")
    } else if oldest > written + WINDOW {
        Some("it started long after this container was created")
    } else {
        None
    }
}

fn since_boot(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND))
}

/// A file's time on the clock that processes' start times are on; zero for one before this boot.
fn boot_time_of(realtime: Duration) -> Duration {
    let now = |clock| {
        let time = clock_gettime(clock);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    };
    let age = now(ClockId::Realtime).saturating_sub(realtime);
    now(ClockId::Boottime).saturating_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_started_with_the_container_is_its_own() {
        let ms = Duration::from_millis;
        for (written, oldest, sure) in [
            (1_000, 1_020, true),
            (1_004, 1_000, true),
            (1_000, 60_900, true),
            (1_000, 940, false),
            (90_000, 10, false),
            (1_000, 61_010, false),
        ] {
            let doubt = doubt(ms(written), ms(oldest));
            assert_eq!(doubt.is_none(), sure, "{written} {oldest}: {doubt:?}");
        }
    }

    #[test]
    fn this_process_started_in_the_past_by_both_clocks() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let start = since_boot(procfs::stat(pid).unwrap().unwrap().start);
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let now = boot_time_of(now);
        assert!(start <= now && now - start < Duration::from_secs(3600));
        assert_eq!(boot_time_of(Duration::ZERO), Duration::ZERO);
    }
}
