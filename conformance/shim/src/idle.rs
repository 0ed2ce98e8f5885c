//! What shims hold and do while nothing happens: memory with one container, for each further one of a pod, for each of ten pods,
//! and how often they wake.

use crate::args::{BenchOptions, CaseOptions};
use crate::bench::{in_turn, median, name};
use crate::container::Container;
use crate::lab::{Dialect, Lab};
use crate::task::Task;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, DirEntry};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Each shim has come to rest then: ours gives memory back two seconds after its last call.
const SETTLED: Duration = Duration::from_secs(5);
/// How long it is watched for wakeups.
const WATCHED: Duration = Duration::from_secs(10);
/// Containers beside a pod's first, and pods beside each other.
const FURTHER: usize = 10;

/// One shim of one round.
struct Sample {
    shim: usize,
    one: Memory,
    threads: usize,
    switches: u64,
    eleven: Memory,
    /// Of each of ten.
    beside: Memory,
}

/// In KiB, by smaps_rollup.
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    resident: u64,
    proportional: u64,
    private: u64,
}

pub fn run(options: &BenchOptions) -> ExitCode {
    let samples = in_turn(options, |shim, tag, place, template| Sample {
        shim,
        ..watch(&options.shims[shim], tag, place, template)
    });
    let done = samples.and_then(|samples| {
        let written = fs::write(&options.samples, csv(options, &samples));
        written.map_err(|error| format!("{}: {error}", options.samples.display()))?;
        Ok(report(options, &samples))
    });
    match done {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("shim-conformance: {message}");
            ExitCode::from(1)
        }
    }
}

/// Whatever happens nothing is left.
fn watch(shim: &Path, tag: String, place: &Path, template: &Path) -> Sample {
    let lab = Lab::new(CaseOptions {
        shim: shim.to_owned(),
        tag,
        directory: place.to_owned(),
        template: template.to_owned(),
        ..CaseOptions::default()
    });
    let mut run = Vec::new();
    let sample = catch_unwind(AssertUnwindSafe(|| idling(&lab, &mut run)));
    for (task, id) in run {
        // Each by the version of the service that its shim speaks; what is left then is told below.
        let _ = task.kill(&id, "", 9);
        let _ = task.wait(&id, "");
        let _ = task.delete(&id, "");
        let _ = task.shutdown(&id);
    }
    let left = lab.finish();
    let sample = sample.unwrap_or_else(|panic| resume_unwind(panic));
    assert!(left.is_empty(), "{left:?}");
    sample
}

fn idling(lab: &Lab, run: &mut Vec<(Task, String)>) -> Sample {
    let member = |number: usize| {
        let container = lab.container(&format!("c{number}"), &["sleep", "1000"]);
        container.in_group(&lab.namespace)
    };
    let pid = idle(lab, member(0), run);
    std::thread::sleep(SETTLED);
    let one = Memory::of(pid);
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let before = switches(pid);
    std::thread::sleep(WATCHED);
    let switches = between(&before, &switches(pid));
    for number in 1..=FURTHER {
        let same = idle(lab, member(number), run);
        assert_eq!(same, pid, "a pod has one shim");
    }
    std::thread::sleep(SETTLED);
    let eleven = Memory::of(pid);
    let mut others = Vec::new();
    for number in 0..FURTHER {
        let other = lab.container(&format!("p{number}"), &["sleep", "1000"]);
        others.push(idle(lab, other, run));
    }
    std::thread::sleep(SETTLED);
    Sample {
        shim: 0,
        one,
        threads,
        switches,
        eleven,
        beside: Memory::mean(&others),
    }
}

/// The shim of one that runs, by the one dialect that all shims speak.
fn idle(lab: &Lab, container: Container, run: &mut Vec<(Task, String)>) -> i32 {
    container.write();
    let output = lab.start_output(&container, Dialect::V2_0, b"");
    let (version, address) = output.old_answer();
    let socket = lab.socket(&container, &output, &address);
    let task = lab.connect_by(&socket, version);
    lab.create(&task, &container);
    let id = container.id;
    run.push((task.clone(), id.clone()));
    task.start(&id, "").expect("Start");
    task.connect(&id).expect("Connect").0
}

impl Memory {
    fn of(pid: i32) -> Memory {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it lives");
        let value = |key: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.unwrap_or_else(|| panic!("no {key} in {text}"))
        };
        Memory {
            resident: value("Rss:"),
            proportional: value("Pss:"),
            private: value("Private_Clean:") + value("Private_Dirty:"),
        }
    }

    fn mean(pids: &[i32]) -> Memory {
        let all: Vec<Memory> = pids.iter().map(|pid| Memory::of(*pid)).collect();
        let mean = |of: fn(&Memory) -> u64| all.iter().map(of).sum::<u64>() / all.len() as u64;
        Memory {
            resident: mean(|memory| memory.resident),
            proportional: mean(|memory| memory.proportional),
            private: mean(|memory| memory.private),
        }
    }
}

/// How often each thread was put on a processor and left it, of its own accord or not.
pub fn switches(pid: i32) -> BTreeMap<OsString, u64> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
    let of_thread = |status: String| -> u64 {
        let counts = status
            .lines()
            .filter_map(|line| line.split_once("ctxt_switches:"))
            .filter_map(|(_, count)| count.trim().parse::<u64>().ok());
        counts.sum()
    };
    let one = |thread: DirEntry| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        Some((thread.file_name(), of_thread(status)))
    };
    threads.flatten().filter_map(one).collect()
}

/// How many there were between the two. A thread that has ended meanwhile has woken for that once at least.
pub fn between(before: &BTreeMap<OsString, u64>, after: &BTreeMap<OsString, u64>) -> u64 {
    let ended = before.keys().filter(|thread| !after.contains_key(*thread));
    let known = |thread| before.get(thread).copied().unwrap_or(0);
    let more = after.iter().map(|(thread, count)| count - known(thread));
    more.sum::<u64>() + ended.count() as u64
}

fn csv(options: &BenchOptions, samples: &[Sample]) -> String {
    let mut text = "shim,threads,switches".to_owned();
    for what in ["one", "eleven", "beside"] {
        let _ = write!(text, ",{what} rss KiB,{what} pss KiB,{what} private KiB");
    }
    for sample in samples {
        let shim = name(&options.shims[sample.shim]);
        let _ = write!(text, "\n{shim},{},{}", sample.threads, sample.switches);
        for memory in [sample.one, sample.eleven, sample.beside] {
            let Memory {
                resident,
                proportional,
                private,
            } = memory;
            let _ = write!(text, ",{resident},{proportional},{private}");
        }
    }
    text + "\n"
}

/// Medians, and what the first shim takes of each other's.
fn report(options: &BenchOptions, samples: &[Sample]) -> String {
    type Row = (&'static str, fn(&Sample) -> f64);
    let rows: [Row; 9] = [
        ("one container, resident, KiB", |it| it.one.resident as f64),
        ("one container, proportional, KiB", |it| {
            it.one.proportional as f64
        }),
        ("one container, private, KiB", |it| it.one.private as f64),
        ("each further container of the pod, resident, KiB", |it| {
            each(it.one.resident, it.eleven.resident)
        }),
        (
            "each further container of the pod, proportional, KiB",
            |it| each(it.one.proportional, it.eleven.proportional),
        ),
        ("each of eleven shims, resident, KiB", |it| {
            it.beside.resident as f64
        }),
        ("each of eleven shims, proportional, KiB", |it| {
            it.beside.proportional as f64
        }),
        ("threads", |it| it.threads as f64),
        ("context switches in ten seconds", |it| it.switches as f64),
    ];
    let mut text = format!("{} rounds\n| what |", options.rounds);
    for shim in &options.shims {
        let _ = write!(text, " {} |", name(shim));
    }
    text += " share of the others |\n";
    for (what, of) in rows {
        let middle = |shim: usize| {
            let own = samples.iter().filter(|sample| sample.shim == shim);
            median(own.map(of).collect())
        };
        let _ = write!(text, "| {what} |");
        for shim in 0..options.shims.len() {
            let _ = write!(text, " {:.1} |", middle(shim));
        }
        for shim in 1..options.shims.len() {
            let share = middle(0) / middle(shim);
            // Of nothing there is no share.
            let _ = match share.is_finite() {
                true => write!(text, " {share:.3}"),
                false => write!(text, " -"),
            };
        }
        text += " |\n";
    }
    text
}

fn each(one: u64, eleven: u64) -> f64 {
    (eleven as f64 - one as f64) / FURTHER as f64
}
