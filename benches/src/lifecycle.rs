//! The rounds: in each, every runtime does every verb once, in an order drawn anew, so that drift and noise of the machine
//! fall on all alike, and so does what the one before leaves the kernel to do.

use crate::arguments::{Options, Runtime};
use crate::bundle::Bundles;
use crate::measure::{Cost, Meter};
use crate::statistics::Random;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The verbs in the order of the tables.
pub const VERBS: [&str; 7] = ["run", "create", "start", "exec", "kill", "delete", "state"];

/// Before a container is made: without it the times of whoever followed a certain runtime had two modes, likely because the
/// kernel takes down the network namespace of the one before in the background and a new one waits for it (not isolated).
const SETTLE: Duration = Duration::from_millis(50);

/// One timed command.
pub struct Sample {
    /// Counts from 1; the warm-up round is not kept.
    pub round: usize,
    /// The runtime's or the other command's name.
    pub name: String,
    /// One of [`VERBS`], or `also`.
    pub verb: &'static str,
    /// Its exit status.
    pub status: i32,
    /// What it took.
    pub cost: Cost,
}

/// Runs all rounds.
pub fn measure(options: &Options, bundles: &Bundles) -> Result<Vec<Sample>, String> {
    let meter = Meter::new(&options.measure, &options.work, &options.log())?;
    let mut samples = Vec::new();
    let mut random = Random::new();
    let mut order: Vec<&Runtime> = options.runtimes.iter().collect();
    for round in 0..=options.rounds {
        let mut run = Round {
            meter: &meter,
            options,
            bundles,
            round,
            samples: Vec::new(),
        };
        random.shuffle(&mut order);
        for runtime in &order {
            run.one_life(runtime)?;
        }
        run.others()?;
        if round > 0 {
            samples.append(&mut run.samples);
        }
    }
    Ok(samples)
}

struct Round<'a> {
    meter: &'a Meter,
    options: &'a Options,
    bundles: &'a Bundles,
    round: usize,
    samples: Vec<Sample>,
}

impl Round<'_> {
    /// `run` of a program that ends at once; then a sleeping container from `create` to `delete`.
    fn one_life(&mut self, runtime: &Runtime) -> Result<(), String> {
        let id = format!(
            "bench-{}-{}-{}",
            std::process::id(),
            runtime.name.replace('.', "-"),
            self.round
        );
        let pid_file = self.options.work.join("pid");
        let _ = fs::remove_file(&pid_file); // of the container before; absent at first
        let pid_path = pid_file.to_string_lossy().into_owned();
        let bundle = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        let short = bundle(self.bundles.true_of(&self.options.bundle));
        let long = bundle(self.bundles.sleep_of(&self.options.bundle));

        sleep(SETTLE);
        self.verb(
            runtime,
            "run",
            &["run", "--bundle", &short, &format!("{id}-run")],
        )?;
        sleep(SETTLE);
        self.verb(
            runtime,
            "create",
            &["create", "--bundle", &long, "--pid-file", &pid_path, &id],
        )?;
        self.verb(runtime, "start", &["start", &id])?;
        self.verb(runtime, "state", &["state", &id])?;
        self.verb(runtime, "exec", &["exec", &id, "/bin/true"])?;
        self.verb(runtime, "kill", &["kill", &id, "KILL"])?;
        wait_until_dead(&pid_file)?;
        self.verb(runtime, "delete", &["delete", &id])
    }

    fn verb(
        &mut self,
        runtime: &Runtime,
        verb: &'static str,
        arguments: &[&str],
    ) -> Result<(), String> {
        let root = self
            .options
            .work
            .join("state")
            .join(&runtime.name)
            .to_string_lossy()
            .into_owned();
        let mut all = vec!["--root", root.as_str()];
        all.extend(arguments);
        let cost = self.meter.run(&runtime.path, &all)?;
        self.keep(&runtime.name, verb, cost);
        Ok(())
    }

    fn others(&mut self) -> Result<(), String> {
        for (index, also) in self.options.also.iter().enumerate() {
            let id = format!("bench-{}-also{index}-{}", std::process::id(), self.round);
            let work = self.options.work.to_string_lossy().into_owned();
            let words: Vec<String> = also
                .command
                .iter()
                .map(|word| word.replace("%ID%", &id).replace("%WORK%", &work))
                .collect();
            let arguments: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
            let program = words
                .first()
                .ok_or_else(|| format!("{}: no command", also.name))?;
            sleep(SETTLE);
            let cost = self.meter.run(Path::new(program), &arguments)?;
            self.keep(&also.name, "also", cost);
        }
        Ok(())
    }

    fn keep(&mut self, name: &str, verb: &'static str, cost: Cost) {
        self.samples.push(Sample {
            round: self.round,
            name: name.to_owned(),
            verb,
            status: cost.status,
            cost,
        });
    }
}

/// Polls the container's process, not the runtime, so that nothing else runs between two timed commands.
fn wait_until_dead(pid_file: &Path) -> Result<(), String> {
    let text =
        fs::read_to_string(pid_file).map_err(|error| format!("{}: {error}", pid_file.display()))?;
    let stat = format!("/proc/{}/stat", text.trim());
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
    Err(format!("process {} outlived SIGKILL by 10 s", text.trim()))
}
