//! What every section needs: the options, the bundles, and the ways to run something once.

use crate::arguments::{Options, Runtime};
use crate::bundle::Bundles;
use crate::measure::{Cost, Meter};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// Before a container is made: without it the times of whoever followed a certain runtime had two modes, likely because the
/// kernel takes down the network namespace of the one before in the background and a new one waits for it (not isolated).
const SETTLE: Duration = Duration::from_millis(50);

/// Everything that is made once.
pub struct Bench {
    /// What was typed.
    pub options: Options,
    /// What is run.
    pub bundles: Bundles,
    meter: Meter,
}

impl Bench {
    /// Makes the bundles and the filter for barerun.
    pub fn new(options: Options) -> Result<Bench, String> {
        let bundles = crate::bundle::make(&options.work, &options.docker_spec, &options.busybox)?;
        crate::bundle::write_filter(
            &options.work,
            &options.docker_spec,
            &options.tools.join("filter"),
        )?;
        let meter = Meter::new(
            &options.tools.join("measure"),
            &options.work,
            &options.log(),
        )?;
        Ok(Bench {
            options,
            bundles,
            meter,
        })
    }

    /// The state root of a runtime; bench.sh clears what a run that was cut short leaves in it.
    pub fn state_of(&self, runtime: &Runtime) -> PathBuf {
        self.options.work.join("state").join(&runtime.name)
    }

    /// A container's name that no other of this run has; also the name of its cgroup.
    pub fn id(&self, subject: &str, suffix: &str) -> String {
        let subject = subject.replace('.', "-");
        format!("bench-{}-{subject}-{suffix}", std::process::id())
    }

    /// Runs a program and waits.
    pub fn command(&self, program: &Path, arguments: &[&str]) -> Result<Cost, String> {
        self.meter.run(program, arguments)
    }

    /// Runs a verb of a runtime.
    pub fn verb(&self, runtime: &Runtime, arguments: &[&str]) -> Result<Cost, String> {
        let root = text(&self.state_of(runtime));
        let mut all = vec!["--root", root.as_str()];
        all.extend(arguments);
        self.command(&runtime.path, &all)
    }

    /// Runs a verb that the section cannot do without; the error shows what it said.
    pub fn need(&self, runtime: &Runtime, arguments: &[&str]) -> Result<Cost, String> {
        let cost = self.verb(runtime, arguments)?;
        if cost.status != 0 {
            return Err(format!(
                "{} {}: exit status {}",
                runtime.name,
                arguments.join(" "),
                cost.status
            ));
        }
        Ok(cost)
    }

    /// `run` of a bundle whose program ends at once, after a pause.
    pub fn run(&self, runtime: &Runtime, bundle: &Path, id: &str) -> Result<Cost, String> {
        self.settle();
        self.verb(runtime, &["run", "--bundle", &text(bundle), id])
    }

    /// The same work by bare system calls, after a pause.
    pub fn barerun(&self, id: &str) -> Result<Cost, String> {
        self.settle();
        let (program, words) = self.barerun_words(id);
        self.command(&program, &words.each_ref().map(String::as_str))
    }

    /// The same beside others, without measuring it; returns whether it succeeded.
    pub fn barerun_unmeasured(&self, id: &str) -> Result<bool, String> {
        let (program, words) = self.barerun_words(id);
        self.meter
            .unmeasured(&program, &words.each_ref().map(String::as_str))
    }

    fn barerun_words(&self, id: &str) -> (PathBuf, [String; 4]) {
        let work = &self.options.work;
        let words = [
            text(&work.join("rootfs")),
            text(&work.join("docker-tree.bpf")),
            id.to_owned(),
            self.options.barerun_flags.clone(),
        ];
        (self.options.tools.join("barerun"), words)
    }

    /// Runs a verb of a runtime beside others, without measuring it; returns whether it succeeded.
    pub fn unmeasured(&self, runtime: &Runtime, arguments: &[&str]) -> Result<bool, String> {
        let root = text(&self.state_of(runtime));
        let mut all = vec!["--root", root.as_str()];
        all.extend(arguments);
        self.meter.unmeasured(&runtime.path, &all)
    }

    /// Calls `one` with each number below `count`, by so many callers at a time; returns how many said false.
    pub fn in_parallel(
        &self,
        callers: usize,
        count: usize,
        one: impl Fn(usize) -> Result<bool, String> + Sync,
    ) -> Result<usize, String> {
        let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let caller = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                if !one(number)? {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        thread::scope(|scope| {
            let callers: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
            callers.into_iter().try_for_each(|one| {
                one.join()
                    .unwrap_or_else(|_| Err("a caller panicked".to_owned()))
            })
        })?;
        Ok(failed.into_inner())
    }

    /// Lets the kernel come to rest.
    pub fn settle(&self) {
        sleep(SETTLE);
    }
}

/// A path as a word of a command line.
pub fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The process id in a pid file.
pub fn read_pid(pid_file: &Path) -> Result<u32, String> {
    let text =
        fs::read_to_string(pid_file).map_err(|error| format!("{}: {error}", pid_file.display()))?;
    text.trim()
        .parse()
        .map_err(|_| format!("{}: not a process id: {text:?}", pid_file.display()))
}

/// Polls the container's process, not the runtime, so that nothing else runs between two timed commands.
pub fn wait_until_dead(pid: u32) -> Result<(), String> {
    let stat = format!("/proc/{pid}/stat");
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(10) {
        // Gone, or a zombie that init has not yet reaped.
        let state = fs::read_to_string(&stat)
            .ok()
            .and_then(|line| line.rsplit_once(") ").map(|(_, rest)| rest.to_owned()));
        if state.is_none_or(|rest| rest.starts_with('Z') || rest.starts_with('X')) {
            return Ok(());
        }
        sleep(Duration::from_millis(1));
    }
    Err(format!("process {pid} outlived SIGKILL by 10 s"))
}
