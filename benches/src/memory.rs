//! What setting a container up is billed to its own memory cgroup, and the smallest limit that it can be set up in.

use crate::arguments::{Options, Runtime};
use crate::bench::{Bench, read_pid, text, wait_until_dead};
use crate::budget::Budget;
use crate::measure::Cost;
use crate::report::{Goal, Limit, Part, estimate, exact};
use crate::samples::{Key, Sample, memory, subjects};
use crate::statistics::{median, middle, quantile};
use serde_json::json;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "memory";
const CREATED: &str = "peak after create";
const STARTED: &str = "peak after start";
const SMALLEST: &str = "smallest limit";
const IN_A_MEBIBYTE: &str = "runs in 1 MiB";
/// Times that the peak is read, and that a run is tried in 1 MiB.
const ROUNDS: usize = 10;
/// Times that a limit must be enough for.
const TRIES: usize = 3;
/// Limits are tried in steps of this many KiB, up to [`LARGEST`].
const GRAIN: u64 = 64;
const LARGEST: u64 = 64 * 1024;

/// Peaks, then limits, of each runtime.
pub fn measure(bench: &Bench, budget: &Budget) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    for round in 1..=ROUNDS {
        if budget.is_over(round) {
            break;
        }
        for runtime in bench.options.newest() {
            peaks(bench, runtime, round, &mut samples)?;
        }
        bare_peak(bench, round, &mut samples)?;
    }
    for runtime in bench.options.newest() {
        let name = runtime.name.as_str();
        let mut broken = None;
        let smallest = smallest(LARGEST / GRAIN, |grains| {
            (0..TRIES).all(|_| {
                starts_within(bench, runtime, grains * GRAIN).unwrap_or_else(|error| {
                    broken = Some(error);
                    false
                })
            })
        });
        if let Some(error) = broken {
            return Err(error);
        }
        // Nothing is kept for a runtime that does not start in the largest either.
        if let Some(grains) = smallest {
            samples.push(sample(1, (name, SMALLEST), grains * GRAIN));
        }
        for round in 1..=ROUNDS {
            let good = starts_within(bench, runtime, 1024)?;
            samples.push(sample(round, (name, IN_A_MEBIBYTE), u64::from(good)));
        }
    }
    Ok(samples)
}

/// The kernel's own count: after create nothing of the program ran yet.
fn peaks(
    bench: &Bench,
    runtime: &Runtime,
    round: usize,
    samples: &mut Vec<Sample>,
) -> Result<(), String> {
    let name = runtime.name.as_str();
    let id = bench.id(name, &format!("billed-{round}"));
    let (bundle, pid_file) = (
        text(&bench.bundles.sleep_of(&bench.options.bundle)),
        text(&bench.options.work.join("pid")),
    );
    bench.need(
        runtime,
        &["create", "--bundle", &bundle, "--pid-file", &pid_file, &id],
    )?;
    let pid = read_pid(Path::new(&pid_file))?;
    let file = peak_file(pid)?;
    samples.push(sample(round, (name, CREATED), read_kib(&file)?));
    bench.need(runtime, &["start", &id])?;
    samples.push(sample(round, (name, STARTED), read_kib(&file)?));
    bench.need(runtime, &["kill", &id, "KILL"])?;
    wait_until_dead(pid)?;
    bench.need(runtime, &["delete", &id])?;
    Ok(())
}

/// The same for the bare system calls and the program that they end in; barerun prints it (flag b).
fn bare_peak(bench: &Bench, round: usize, samples: &mut Vec<Sample>) -> Result<(), String> {
    let flags = format!("{}b", bench.options.barerun_flags);
    if flags.contains('c') {
        return Ok(()); // no cgroups, nothing to bill to
    }
    let work = &bench.options.work;
    let output = Command::new(bench.options.tools.join("barerun"))
        .args([work.join("rootfs"), work.join("docker-tree.bpf")])
        .args([&bench.id("barerun", &format!("billed-{round}")), &flags])
        .output()
        .map_err(|error| format!("barerun: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let bytes: u64 = text
        .trim()
        .parse()
        .map_err(|_| format!("barerun with {flags} said {text:?}"))?;
    samples.push(sample(round, ("barerun", STARTED), bytes.div_ceil(1024)));
    Ok(())
}

/// Whether `run` of docker's spec with this limit ends well within ten seconds. A failed one is cleared away.
fn starts_within(bench: &Bench, runtime: &Runtime, kib: u64) -> Result<bool, String> {
    let mut spec = bench.bundles.docker().clone();
    spec["linux"]["resources"]["memory"] = json!({ "limit": kib * 1024 });
    bench.bundles.add("limit", spec)?;
    let bundle = text(&bench.bundles.true_of("limit"));
    let id = bench.id(&runtime.name, "limit");
    let (root, program) = (text(&bench.state_of(runtime)), text(&runtime.path));
    let words = [
        "-k", "1", "10", &program, "--root", &root, "run", "--bundle", &bundle, &id,
    ];
    let cost = bench.command(Path::new("/usr/bin/timeout"), &words)?;
    if cost.status != 0 {
        bench.unmeasured(runtime, &["delete", "--force", &id])?;
    }
    Ok(cost.status == 0)
}

/// The smallest number up to `most` that is enough, found by halving; none if `most` is not.
fn smallest(most: u64, mut enough: impl FnMut(u64) -> bool) -> Option<u64> {
    if !enough(most) {
        return None;
    }
    let (mut low, mut high) = (0, most); // low is not enough, high is
    while high - low > 1 {
        let middle = low.midpoint(high);
        if enough(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// Where the kernel tells the most memory that the process's cgroup ever had.
fn peak_file(pid: u32) -> Result<PathBuf, String> {
    let path = format!("/proc/{pid}/cgroup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    peak_path(&text).ok_or_else(|| format!("{path}: no memory cgroup in {text:?}"))
}

fn peak_path(cgroups: &str) -> Option<PathBuf> {
    let below = |prefix: &str, path: &str, file: &str| {
        Some(
            Path::new(prefix)
                .join(path.trim_start_matches('/'))
                .join(file),
        )
    };
    let fields = cgroups.lines().filter_map(|line| {
        let (_, rest) = line.split_once(':')?;
        rest.split_once(':')
    });
    let all: Vec<(&str, &str)> = fields.collect();
    let v1 = all
        .iter()
        .find(|(controllers, _)| controllers.split(',').any(|one| one == "memory"));
    match v1 {
        Some((_, path)) => below("/sys/fs/cgroup/memory", path, "memory.max_usage_in_bytes"),
        None => {
            let (_, path) = all.iter().find(|(controllers, _)| controllers.is_empty())?;
            below("/sys/fs/cgroup", path, "memory.peak")
        }
    }
}

fn read_kib(file: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let bytes: u64 = text
        .trim()
        .parse()
        .map_err(|_| format!("{}: not a number: {text:?}", file.display()))?;
    Ok(bytes.div_ceil(1024))
}

fn sample(round: usize, (subject, what): (&str, &str), memory: u64) -> Sample {
    Sample {
        section: NAME,
        round,
        subject: subject.to_owned(),
        what: what.to_owned(),
        count: 0,
        cost: Cost {
            memory,
            ..Cost::default()
        },
    }
}

/// One row a runtime.
pub fn report(options: &Options, samples: &[Sample]) -> Part {
    let names: Vec<&str> = options
        .runtimes
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let of = |subject: &str, what: &str| {
        let key = Key {
            section: NAME,
            subject,
            what,
            count: 0,
        };
        memory(samples, key)
    };
    let good = |subject: &str| of(subject, IN_A_MEBIBYTE).iter().sum::<f64>();
    let mut text = format!(
        "The peak of the container's own memory cgroup, as the kernel counts it, {ROUNDS} rounds, medians [95 %]. After start \
         the program (busybox) is in it too. The smallest limit was enough {TRIES} times of {TRIES}, in steps of {GRAIN} KiB.\n\n\
         | subject | after create, KiB | largest | after start, KiB | smallest limit, KiB | of {ROUNDS} runs in 1 MiB |\n\
         |---|---|---|---|---|---|\n"
    );
    for subject in subjects(samples, NAME, &names) {
        let bare = subject == "barerun";
        let number = |value: f64| {
            if value.is_nan() {
                "-".to_owned()
            } else {
                format!("{value:.0}")
            }
        };
        let _ = writeln!(
            text,
            "| {subject} | {} | {} | {} | {} | {} |",
            estimate(middle(&of(subject, CREATED))),
            number(quantile(&of(subject, CREATED), 1.0)),
            estimate(middle(&of(subject, STARTED))),
            number(median(&of(subject, SMALLEST))),
            if bare {
                "-".to_owned()
            } else {
                number(good(subject))
            },
        );
    }
    let ours = options.ours().name.as_str();
    Part {
        title: "Memory of the container's cgroup",
        text,
        goals: vec![
            Goal::new(
                "memory billed by set-up".to_owned(),
                Limit::AtMost(300.0),
                "KB",
                middle(&of(ours, CREATED)),
            ),
            Goal::new(
                "smallest memory limit".to_owned(),
                Limit::AtMost(1024.0),
                "KiB",
                exact(median(&of(ours, SMALLEST))),
            ),
            Goal::new(
                format!("runs in 1 MiB that end well, of {ROUNDS}"),
                Limit::AtLeast(ROUNDS as f64),
                "runs",
                exact(good(ours)),
            ),
        ],
        plots: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halving_finds_the_edge() {
        for edge in [1, 7, 64, 100] {
            assert_eq!(smallest(100, |number| number >= edge), Some(edge));
        }
        assert_eq!(smallest(100, |_| false), None);
    }

    #[test]
    fn the_peak_is_where_the_cgroup_version_has_it() {
        let v1 = "9:pids:/a\n4:memory:/bench/x\n1:name=systemd:/a\n0::/\n";
        assert_eq!(
            peak_path(v1),
            Some("/sys/fs/cgroup/memory/bench/x/memory.max_usage_in_bytes".into())
        );
        assert_eq!(
            peak_path("0::/bench/x\n"),
            Some("/sys/fs/cgroup/bench/x/memory.peak".into())
        );
        assert_eq!(peak_path(""), None);
    }
}
