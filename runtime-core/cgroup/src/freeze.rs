//! Freezing, thawing, and signals to all processes at once.
use crate::directory::Directory;
use crate::{Cgroup, Error};
use rustix::io::Errno;
use std::time::{Duration, Instant};

const SIGKILL: u32 = 9;

/// How long a freeze may take before it is undone and reported.
const PATIENCE: Duration = Duration::from_secs(10);

impl Cgroup {
    /// Freezes all processes, or none: on failure they are thawed again. Returns when all stand still.
    pub fn freeze(&self) -> Result<(), Error> {
        if let Some(directory) = self.optional("freezer")? {
            return v1_freeze(&directory).inspect_err(|_| {
                let _ = directory.write(V1_STATE, "THAWED");
            });
        }
        let directory = self.unified("freeze")?;
        write(&directory, V2_STATE, "1")?;
        wait_frozen(&directory).inspect_err(|_| {
            let _ = directory.write(V2_STATE, "0");
        })
    }

    /// Thaws them.
    pub fn thaw(&self) -> Result<(), Error> {
        if let Some(directory) = self.optional("freezer")? {
            return write(&directory, V1_STATE, "THAWED");
        }
        write(&self.unified("thaw")?, V2_STATE, "0")
    }

    /// Thaws what has just been sent its end: it may have gone since, and its directory with it.
    pub fn thaw_the_dying(&self) -> Result<(), Error> {
        match self.thaw() {
            Err(Error::NoController { .. }) => Ok(()),
            Err(error) if matches!(error.errno(), Some(Errno::NOENT | Errno::NODEV)) => Ok(()),
            other => other,
        }
    }

    /// Whether the container itself was frozen (not a cgroup above it). False for one without cgroup or without freezer.
    pub fn frozen(&self) -> Result<bool, Error> {
        if let Some(directory) = self.optional("freezer")? {
            let state = directory.optional_text(V1_STATE)?.unwrap_or_default();
            let own = directory.optional_text("freezer.self_freezing")?;
            return Ok(state.trim() != "THAWED"
                && !state.is_empty()
                && own.is_none_or(|own| own.trim() == "1"));
        }
        let Some(directory) = self.optional("")? else {
            return Ok(false);
        };
        Ok(directory
            .optional_text(V2_STATE)?
            .is_some_and(|state| state.trim() == "1"))
    }

    /// Sends a signal to every process in the container; returns how many there were.
    ///
    /// SIGKILL goes through `cgroup.kill` where the kernel has it. Otherwise the container is frozen while it is signalled, so
    /// that no fork escapes; without freezer the list is read again until nothing new turns up. A paused container stays paused,
    /// except after SIGKILL, which v1 delivers only to thawed processes.
    pub fn kill(&self, signal: u32) -> Result<usize, Error> {
        let fatal = signal == SIGKILL;
        if fatal
            && !self.saved().paths.contains_key("freezer")
            && let Some(directory) = self.optional("")?
        {
            let count = self.pids()?.len();
            match directory.write("cgroup.kill", "1") {
                Ok(()) => return Ok(count),
                Err(Errno::NOENT | Errno::NOTSUP) => {}
                Err(errno) => return Err(Error::io("write", directory.file("cgroup.kill"), errno)),
            }
        }
        let was_frozen = self.frozen()?;
        let frozen = was_frozen || self.freeze().is_ok();
        let sent = if frozen {
            self.signal_listed(signal, &mut Vec::new())
        } else {
            self.signal_until_quiet(signal, fatal)
        };
        if frozen && (fatal || !was_frozen) {
            self.thaw_the_dying()?;
        }
        sent
    }

    fn signal_until_quiet(&self, signal: u32, fatal: bool) -> Result<usize, Error> {
        let mut seen = Vec::new();
        let mut count = 0;
        for _ in 0..100 {
            let sent = self.signal_listed(signal, &mut seen)?;
            count += sent;
            if sent == 0 || !fatal {
                break;
            }
        }
        Ok(count)
    }

    /// Signals whom it hasn't signalled yet.
    fn signal_listed(&self, signal: u32, seen: &mut Vec<i32>) -> Result<usize, Error> {
        let own = tare_sys::process::pid();
        let mut count = 0;
        for pid in self.pids()?.into_iter().filter(|pid| *pid != own) {
            if seen.contains(&pid) {
                continue;
            }
            seen.push(pid);
            match tare_sys::process::kill(pid, signal) {
                Ok(()) => count += 1,
                Err(tare_sys::Errno::ESRCH) => {}
                Err(errno) => {
                    return Err(Error::io(
                        "signal",
                        format!("process {pid}"),
                        Errno::from_raw_os_error(errno.get()),
                    ));
                }
            }
        }
        Ok(count)
    }

    fn unified(&self, what: &'static str) -> Result<Directory, Error> {
        self.optional("")?.ok_or(Error::NoController {
            what,
            controller: "freezer",
        })
    }
}

const V1_STATE: &str = "freezer.state";
const V2_STATE: &str = "cgroup.freeze";

/// v1 can hang in FREEZING while processes are being added: writing the state again, and now and then a short thaw, gets it through
/// (kernel documentation of the freezer, and runc's experience).
fn v1_freeze(directory: &Directory) -> Result<(), Error> {
    let end = Instant::now() + PATIENCE;
    let mut round = 0u32;
    loop {
        write(directory, V1_STATE, "FROZEN")?;
        let state = directory.text(V1_STATE)?;
        match state.trim() {
            "FROZEN" => return Ok(()),
            "FREEZING" if Instant::now() < end => {}
            _ => {
                return Err(Error::Freeze {
                    path: directory.path().to_string(),
                    why: format!("freezer.state is {}", state.trim()),
                });
            }
        }
        round += 1;
        if round.is_multiple_of(50) {
            write(directory, V1_STATE, "THAWED")?;
            std::thread::sleep(Duration::from_millis(10));
        } else if round.is_multiple_of(25) {
            std::thread::sleep(Duration::from_micros(50));
        }
    }
}

fn wait_frozen(directory: &Directory) -> Result<(), Error> {
    let end = Instant::now() + PATIENCE;
    let mut wait = Duration::from_micros(20);
    loop {
        let events = directory.text("cgroup.events")?;
        if events.lines().any(|line| line == "frozen 1") {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(Error::Freeze {
                path: directory.path().to_string(),
                why: format!("cgroup.events still says {:?}", events.trim()),
            });
        }
        std::thread::sleep(wait);
        wait = (wait * 2).min(Duration::from_millis(10));
    }
}

fn write(directory: &Directory, file: &str, value: &str) -> Result<(), Error> {
    directory
        .write(file, value)
        .map_err(|errno| Error::io("write", directory.file(file), errno))
}
