//! The cases, each in a process of its own under a time limit, and the sum.

use crate::args::Options;
use crate::world::World;
use crate::{hang, host, process, processes, races, threads};
use rustix::process::Signal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

type Run = fn(&World) -> Result<(), String>;

/// Exit status of a case that this machine cannot show, its reason printed.
const SKIPPED: i32 = 77;
/// A case that fails half-way leaves thousands.
const LEAKS_SHOWN: usize = 20;

fn all() -> Vec<(&'static str, Run)> {
    vec![
        ("threads-of-one-process", threads::run),
        ("processes-through-trun", processes::run),
        ("races-on-one-container", races::all_verbs),
        ("races-for-one-id", races::one_id),
        ("killed-stays-killed", races::killed_stays_killed),
        ("foreign-children", host::foreign_children),
        ("signals-everywhere", host::lifecycle),
        ("children-ignored", host::lifecycle),
        ("children-reaped-by-a-handler", host::lifecycle),
        ("children-reaped-by-a-thread", host::reaping_thread),
        ("other-directories", host::other_directories),
        ("few-descriptors", host::few_descriptors),
    ]
}

/// Runs the chosen cases one after another; the last line counts them.
pub fn run_all(options: &Options) -> ExitCode {
    println!("seed {}", options.seed);
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let chosen = all()
        .into_iter()
        .filter(|(name, _)| name.contains(&options.filter));
    for (name, _) in chosen {
        let begin = Instant::now();
        let status = run_apart(name, options);
        let took = begin.elapsed().as_secs_f32();
        match status {
            Some(0) => {
                passed += 1;
                println!("ok {name} ({took:.1} s)");
            }
            Some(SKIPPED) => skipped += 1,
            _ => {
                failed += 1;
                println!("FAIL {name} ({took:.1} s)");
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ExitCode::from(u8::from(failed > 0 || passed == 0))
}

/// The status that the case's process ended with, or None when it had to be killed.
fn run_apart(name: &str, options: &Options) -> Option<i32> {
    let mut options = options.clone();
    options.directory =
        std::env::temp_dir().join(format!("tare-many-{}-{name}", std::process::id()));
    let program = std::env::current_exe().expect("own path is known");
    // `env` becomes the program, so the pid is the case's.
    let mut child = Command::new("/usr/bin/env")
        .args(host::surroundings(name))
        .arg(program)
        .args(["--case", name])
        .args(options.words())
        .stdin(std::process::Stdio::null())
        .spawn()
        .expect("a process can be started");
    let pid = child.id() as i32;
    let status = process::wait_child(&mut child, Duration::from_secs(options.limit));
    if status.is_none() {
        println!("{name}: no end within {} s; it hangs here:", options.limit);
        let tree = process::descendants(pid);
        for pid in std::iter::once(pid).chain(tree.iter().copied()) {
            print!("{}", hang::describe(pid));
        }
        process::kill(pid, Signal::KILL);
        let _ = child.wait();
        tree.into_iter()
            .for_each(|pid| process::kill(pid, Signal::KILL));
    }
    if status.is_none_or(|status| !status.success()) {
        World::clear(&options.directory);
    }
    status.and_then(|status| status.code())
}

/// One case, in this process: its world, the case, what is left.
pub fn run_here(name: &str, options: &Options) -> ExitCode {
    let Some((_, run)) = all().into_iter().find(|(other, _)| *other == name) else {
        eprintln!("many: no case {name}");
        return ExitCode::from(2);
    };
    let world = match World::new(name, options) {
        Ok(world) => world,
        Err(error) => {
            println!("  {name}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = catch_unwind(AssertUnwindSafe(|| run(&world)))
        .unwrap_or_else(|_| Err("it panicked".to_owned()));
    let left = world.finish();
    if let Err(error) = &ended {
        println!("  {name}: {error}");
    }
    for leak in left.iter().take(LEAKS_SHOWN) {
        println!("  {name}: left: {leak}");
    }
    if left.len() > LEAKS_SHOWN {
        println!("  {name}: left: {} more", left.len() - LEAKS_SHOWN);
    }
    ExitCode::from(u8::from(ended.is_err() || !left.is_empty()))
}
