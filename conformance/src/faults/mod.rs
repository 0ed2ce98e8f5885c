//! `conformance faults`: every step of both lanes of many plans fails or dies, and nothing may be left of it.
//!
//! The runtime must be built with the feature `proof` (`.ci/build-proof.sh`): it reads from `TARE_FAULT` which step is to go wrong.
//! Each part (a plan and a lane) is a process of its own, a subreaper in a mount namespace of its own, so that whatever a fault
//! leaves is seen and is its own.

mod cases;
mod errnos;
mod ground;
mod left;
mod parked;
mod plans;
mod steps;
mod sweep;
mod syscalls;
mod systemd;
mod watched;

use crate::args::CaseOptions;
use crate::sandbox::Sandbox;
use crate::{case, leaks, process, rootfs};
use ground::Ground;
use rustix::process::{Signal, getpid, set_child_subreaper};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use steps::Steps;
use sweep::{Lane, Sweep};

const HELP: &str = "\
usage: conformance faults --runtime PATH [options]

  --runtime PATH        a runtime built with the feature proof
  --filter TEXT         only parts whose name contains TEXT, or one of several with commas between
  --full                every error that a step can give, before and after its work
  --jobs N              parts at once (default 2)
  --patience N          waits N times as long before something counts as hanging
  --list                print the names of the parts and stop
  --verbose             print every fault, not only those that show something wrong
";

/// How a result begins that only says what this machine can't show.
const SKIP: &str = "skip: ";

/// A part that takes longer is killed and fails.
const LIMIT: Duration = Duration::from_secs(900);

#[derive(Default)]
struct Options {
    runtime: PathBuf,
    filter: String,
    full: bool,
    jobs: usize,
    patience: u32,
    list: bool,
    verbose: bool,
    /// Of the hidden form that runs one part.
    part: Option<String>,
    directory: PathBuf,
    template: PathBuf,
    tag: String,
}

pub fn main(words: impl Iterator<Item = String>) -> ExitCode {
    let options = match parse(words) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("conformance: {message}");
            return ExitCode::from(2);
        }
    };
    if let Some(part) = &options.part {
        return run_part(&options, part);
    }
    let parts: Vec<String> = parts()
        .into_iter()
        .filter(|name| options.filter.split(',').any(|text| name.contains(text)))
        .collect();
    if options.list {
        parts.iter().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    match run_all(&options, &parts) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("conformance: {message}");
            ExitCode::from(2)
        }
    }
}

fn parse(words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        jobs: 2,
        patience: 1,
        ..Options::default()
    };
    let mut words = words;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--full" => options.full = true,
            "--list" => options.list = true,
            "--verbose" => options.verbose = true,
            "--filter" => options.filter = value()?,
            "--patience" => {
                options.patience = value()?.parse().map_err(|_| "--patience: not a count")?;
            }
            "--jobs" => options.jobs = value()?.parse().map_err(|_| "--jobs: not a count")?,
            "--runtime" => {
                let path = value()?;
                options.runtime =
                    fs::canonicalize(&path).map_err(|error| format!("{path}: {error}"))?;
            }
            "--part" => options.part = Some(value()?),
            "--directory" => options.directory = value()?.into(),
            "--template" => options.template = value()?.into(),
            "--tag" => options.tag = value()?,
            _ => return Err(format!("unknown argument {word}\n{HELP}")),
        }
    }
    if options.runtime.as_os_str().is_empty() && !options.list {
        return Err(format!("--runtime is missing\n{HELP}"));
    }
    Ok(options)
}

fn parts() -> Vec<String> {
    let plans = plans::ALL.iter();
    let own = ["plain/proof".to_owned()];
    let lanes =
        plans.flat_map(|plan| ["child", "host"].map(|lane| format!("{}/{lane}", plan.name)));
    let calls = syscalls::VERBS.iter();
    let calls = calls.map(|(verb, _)| format!("syscalls/{verb}"));
    let cases = cases::ALL.iter().map(|(name, _)| format!("cases/{name}"));
    let watched = watched::ALL.iter().map(|plan| plan.name.to_owned());
    own.into_iter()
        .chain(lanes)
        .chain(watched)
        .chain(calls)
        .chain(cases)
        .collect()
}

/// Runs the parts, several at once; whether all was well.
fn run_all(options: &Options, parts: &[String]) -> Result<bool, String> {
    if parts.is_empty() {
        return Err(format!("no part contains {:?}", options.filter));
    }
    set_child_subreaper(Some(getpid())).map_err(|error| format!("become a subreaper: {error}"))?;
    let base = std::env::temp_dir().join(format!("tare-faults-{}", std::process::id()));
    let template = base.join("template");
    fs::create_dir_all(&template).map_err(|error| format!("{}: {error}", template.display()))?;
    // The user of the rootless plan must pass through.
    fs::set_permissions(&base, fs::Permissions::from_mode(0o711))
        .map_err(|error| error.to_string())?;
    let made = rootfs::make_template(&template);
    let next = AtomicUsize::new(0);
    let counts = Mutex::new(BTreeMap::new());
    if made.is_ok() {
        std::thread::scope(|scope| {
            for _ in 0..options.jobs {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(part) = parts.get(index) else { break };
                        let begin = Instant::now();
                        let tag = format!("tf-{}-{index}", std::process::id());
                        let directory = base.join(index.to_string());
                        let counts_here = spawn_part(options, part, &tag, &directory, &template);
                        let took = begin.elapsed().as_secs_f32();
                        println!("{part}: {counts_here} ({took:.1} s)");
                        let mut counts = counts.lock().expect("no thread panics with the lock");
                        counts.insert(part.clone(), counts_here);
                    }
                });
            }
        });
    }
    let _ = fs::remove_dir_all(&base);
    made?;
    let counts = counts.into_inner().expect("all threads have ended");
    let mut sum = Counts::default();
    for one in counts.values() {
        sum.passed += one.passed;
        sum.failed += one.failed;
        sum.skipped += one.skipped;
    }
    println!("{sum}");
    Ok(sum.failed == 0 && sum.passed > 0)
}

/// How many faults of a part went well, how many did not, and how many could not be tried here.
#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl std::fmt::Display for Counts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(out, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// One part in a process and a mount namespace of its own.
fn spawn_part(
    options: &Options,
    part: &str,
    tag: &str,
    directory: &Path,
    template: &Path,
) -> Counts {
    if let Err(error) = fs::create_dir(directory) {
        println!("FAIL {part}: {}: {error}", directory.display());
        return Counts {
            failed: 1,
            ..Counts::default()
        };
    }
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().expect("own path is known"))
        .args(["faults", "--part", part, "--tag", tag])
        .args(["--patience", &options.patience.to_string()])
        .arg("--runtime")
        .arg(&options.runtime)
        .arg("--directory")
        .arg(directory)
        .arg("--template")
        .arg(template)
        .args(options.full.then_some("--full"))
        .args(options.verbose.then_some("--verbose"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("FAIL {part}: unshare: {error}");
            return Counts {
                failed: 1,
                ..Counts::default()
            };
        }
    };
    let mut output = child.stdout.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = output.read_to_string(&mut text);
        text
    });
    let ended = process::wait_child(&mut child, LIMIT);
    if ended.is_none() {
        for pid in process::descendants(child.id() as i32) {
            process::kill(pid, Signal::KILL);
        }
        process::kill(child.id() as i32, Signal::KILL);
        let _ = child.wait();
    }
    let text = reader.join().unwrap_or_default();
    let (mut counts, mut whole) = (Counts::default(), false);
    for line in text.lines() {
        match line.split(' ').next() {
            Some("ok") => counts.passed += 1,
            Some("FAIL") => counts.failed += 1,
            Some("skipped") => counts.skipped += 1,
            Some("end") => whole = true,
            _ => {}
        }
        if line.starts_with("FAIL") || line.starts_with("skipped") || options.verbose {
            println!("{line}");
        }
    }
    if !whole {
        println!("FAIL {part}: it ended early: {ended:?}");
        counts.failed += 1;
        leaks::clear(&leaks::Watch {
            tag,
            directory,
            roots: &[],
            temporary: None,
            descriptors: None,
        });
    }
    let _ = fs::remove_dir_all(directory);
    counts
}

fn run_part(options: &Options, part: &str) -> ExitCode {
    set_child_subreaper(Some(getpid())).expect("prctl(PR_SET_CHILD_SUBREAPER) always works");
    case::remember_messages();
    process::be_patient(options.patience);
    let (name, rest) = part.split_once('/').unwrap_or((part, ""));
    let plan_name = match name {
        "syscalls" | "cases" => "plain",
        plan => plan,
    };
    let mut known = plans::ALL.iter().chain(&watched::ALL);
    let plan = known.find(|plan| plan.name == plan_name);
    let plan = plan.expect("the parent knows the plans");
    let done = std::panic::catch_unwind(|| {
        let mut ground = Ground::new(sandbox(options), plan);
        let mut tell = |fault: &str, result: Result<(), String>| match result {
            Ok(()) => println!("ok {part} {fault}"),
            Err(message) => {
                let message = message.replace('\n', " ");
                match message.strip_prefix(SKIP) {
                    Some(reason) => println!("skipped {part} {fault}: {reason}"),
                    None => println!("FAIL {part} {fault}: {message}"),
                }
            }
        };
        ground.forget();
        match (name, rest) {
            ("syscalls", verb) => call_sweep(options, &mut ground, verb, &mut tell),
            ("cases", case) => case_of(options, &mut ground, case, &mut tell),
            (_, "") => watched::run(&mut ground, &mut tell),
            (_, "child") => lane_sweep(options, &mut ground, Some(Lane::Child), &mut tell),
            (_, "host") => lane_sweep(options, &mut ground, Some(Lane::Host), &mut tell),
            _ => lane_sweep(options, &mut ground, None, &mut tell),
        }
        process::reap_all();
        drop(ground);
        let left = leaks::find(&watch(options));
        assert!(left.is_empty(), "left at the end: {}", left.join("; "));
    });
    if done.is_err() {
        println!("FAIL {part}: {}", case::last_message().replace('\n', " "));
        leaks::clear(&watch(options));
    }
    println!("end");
    ExitCode::SUCCESS
}

fn watch(options: &Options) -> leaks::Watch<'_> {
    leaks::Watch {
        tag: &options.tag,
        directory: &options.directory,
        roots: &[],
        temporary: None,
        descriptors: None,
    }
}

fn sandbox(options: &Options) -> Sandbox {
    Sandbox::new(&CaseOptions {
        name: String::new(),
        runtime: options.runtime.clone(),
        runtime_name: "trun".to_owned(),
        tag: options.tag.clone(),
        directory: options.directory.clone(),
        template: options.template.clone(),
        outcome: PathBuf::new(),
        starts: 0,
        weaken: String::new(),
        systemd: false,
        patience: options.patience,
    })
}

type Tell<'a> = dyn FnMut(&str, Result<(), String>) + 'a;

fn lane_sweep(options: &Options, ground: &mut Ground, lane: Option<Lane>, tell: &mut Tell<'_>) {
    if ground.verb == plans::Verb::Exec {
        ground.make_target();
        ground.forget();
    }
    let steps = Steps::ask(ground);
    if ground.verb != plans::Verb::Exec {
        ground.groups = steps.groups().map(PathBuf::from).collect();
    }
    let mut sweep = Sweep {
        ground,
        lane: lane.unwrap_or(Lane::Host),
        full: options.full,
        steps,
        tell,
    };
    match lane {
        Some(_) => sweep.run(),
        None => sweep.prove(),
    }
    if ground.verb == plans::Verb::Exec {
        ground.delete_by_force().ok();
    }
}

fn call_sweep(options: &Options, ground: &mut Ground, verb: &str, tell: &mut Tell<'_>) {
    let found = syscalls::VERBS.iter().find(|(name, _)| *name == verb);
    let (_, verb) = found.expect("the parent knows the verbs");
    if *verb == syscalls::Verb::Foreground {
        let ends = ["/bin/sh", "-c", "echo > /ran"];
        ground.sandbox.spec.args(&ends);
        ground.sandbox.write_spec();
    }
    ground.groups = Steps::ask(ground).groups().map(PathBuf::from).collect();
    let mut calls = syscalls::Calls {
        ground,
        verb: *verb,
        full: options.full,
        tell,
        own: Default::default(),
    };
    calls.run();
}

fn case_of(options: &Options, ground: &mut Ground, case: &str, tell: &mut Tell<'_>) {
    let found = cases::ALL.iter().find(|(name, _)| *name == case);
    let (_, run) = found.expect("the parent knows the cases");
    ground.groups = Steps::ask(ground).groups().map(PathBuf::from).collect();
    run(&mut cases::Cases {
        ground,
        full: options.full,
        tell,
    });
}
