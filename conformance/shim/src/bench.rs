//! What a life costs through each of some shims, by turns: the same calls that containerd makes, timed as its client sees them.

use crate::args::{BenchOptions, CaseOptions};
use crate::lab::{Dialect, Lab};
use crate::{reaper, rootfs};
use rustix::process::{getpid, set_child_subreaper};
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The steps, in the order of [`Sample::times`].
const STEPS: [&str; 5] = ["start", "create", "begin", "exec", "delete"];
/// What containerd waits for until a container runs: the first three together.
const RUNS: usize = 3;
/// Namespaces are taken down in the background.
const REST: Duration = Duration::from_millis(80);

/// One life.
struct Sample {
    shim: usize,
    times: [Duration; STEPS.len()],
}

pub fn run(options: &BenchOptions) -> ExitCode {
    match measure(options) {
        Ok(samples) => {
            let text = csv(options, &samples);
            if let Err(error) = fs::write(&options.samples, text) {
                eprintln!("{}: {error}", options.samples.display());
                return ExitCode::from(1);
            }
            print!("{}", report(options, &samples));
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("shim-conformance: {message}");
            ExitCode::from(1)
        }
    }
}

fn measure(options: &BenchOptions) -> Result<Vec<Sample>, String> {
    in_turn(options, |shim, tag, place, template| Sample {
        shim,
        times: life(&options.shims[shim], tag, place, template),
    })
}

/// Each shim by its number in each round, with a tag, a directory of its own and the root file system's template.
pub fn in_turn<T>(
    options: &BenchOptions,
    mut one: impl FnMut(usize, String, &Path, &Path) -> T,
) -> Result<Vec<T>, String> {
    set_child_subreaper(Some(getpid()))
        .map_err(|error| format!("cannot become a subreaper: {error}"))?;
    reaper::begin();
    let me = std::process::id();
    let base = std::env::temp_dir().join(format!("tare-shim-{me}"));
    let template = base.join("template");
    fs::create_dir_all(&template).map_err(|error| format!("{}: {error}", template.display()))?;
    rootfs::make_template(&template)?;
    let mut samples = Vec::new();
    for round in 0..options.rounds {
        for turn in 0..options.shims.len() {
            // Each is first as often as the others.
            let shim = (round + turn) % options.shims.len();
            std::thread::sleep(REST);
            let place = base.join(format!("{round}-{shim}"));
            fs::create_dir_all(&place).map_err(|error| format!("{}: {error}", place.display()))?;
            let tag = format!("sb-{me}-{}", round * 10 + shim);
            samples.push(one(shim, tag, &place, &template));
            let _ = fs::remove_dir_all(&place);
        }
    }
    let _ = fs::remove_dir_all(&base);
    Ok(samples)
}

fn life(shim: &Path, tag: String, place: &Path, template: &Path) -> [Duration; STEPS.len()] {
    let lab = Lab::new(CaseOptions {
        shim: shim.to_owned(),
        tag,
        directory: place.to_owned(),
        template: template.to_owned(),
        ..CaseOptions::default()
    });
    let container = lab.container("", &["sleep", "1000"]);
    container.write();
    let (id, mut times) = (container.id.as_str(), Vec::new());
    let mut last = Instant::now();
    let mut step = |times: &mut Vec<Duration>| {
        times.push(last.elapsed());
        last = Instant::now();
    };
    // As containerd 2.0 to 2.2: the one dialect that all shims speak.
    let output = lab.start_output(&container, Dialect::V2_0, b"");
    let (version, address) = output.old_answer();
    let task = lab.connect_by(&lab.socket(&container, &output, &address), version);
    step(&mut times);
    lab.create(&task, &container);
    step(&mut times);
    task.start(id, "").expect("Start");
    step(&mut times);
    let process = container.process(&["true"]);
    task.exec(id, "e", &process, &container.stdio)
        .expect("Exec");
    task.start(id, "e").expect("Start");
    assert_eq!(task.wait(id, "e").expect("Wait"), 0);
    step(&mut times);
    task.kill(id, "", 9).expect("Kill");
    assert_eq!(task.wait(id, "").expect("Wait"), 137);
    task.delete(id, "").expect("Delete");
    step(&mut times);
    // As containerd does with the last one; a shim may be gone before it has answered.
    let _ = task.shutdown(id);
    drop(task);
    let left = lab.finish();
    assert!(left.is_empty(), "{left:?}");
    times.try_into().expect("a time for each step")
}

fn csv(options: &BenchOptions, samples: &[Sample]) -> String {
    let mut text = format!("shim,{} us\n", STEPS.join(" us,"));
    for sample in samples {
        let times = sample.times.map(|time| time.as_micros().to_string());
        let _ = writeln!(
            text,
            "{},{}",
            name(&options.shims[sample.shim]),
            times.join(",")
        );
    }
    text
}

/// Medians, and what the first shim takes of each other's: the medians of the rounds' ratios.
fn report(options: &BenchOptions, samples: &[Sample]) -> String {
    let of = |shim: usize, steps: &Range<usize>| -> Vec<f64> {
        let own = samples.iter().filter(|sample| sample.shim == shim);
        let sums = own.map(|sample| sample.times[steps.clone()].iter().sum::<Duration>());
        sums.map(|sum| sum.as_secs_f64() * 1e3).collect()
    };
    let mut text = format!("{} rounds\n| what |", options.rounds);
    for shim in &options.shims {
        let _ = write!(text, " {}, ms |", name(shim));
    }
    text += " share of the others |\n";
    let each = STEPS.into_iter().zip((0..).map(|index| index..index + 1));
    let rows = [("start to running", 0..RUNS)].into_iter().chain(each);
    for (what, steps) in rows {
        let ours = of(0, &steps);
        let _ = write!(text, "| {what} |");
        for shim in 0..options.shims.len() {
            let _ = write!(text, " {:.2} |", median(of(shim, &steps)));
        }
        for shim in 1..options.shims.len() {
            let theirs = of(shim, &steps);
            let shares = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs);
            let _ = write!(text, " {:.2}", median(shares.collect()));
        }
        text += " |\n";
    }
    text
}

pub fn name(shim: &Path) -> String {
    let name = shim.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
