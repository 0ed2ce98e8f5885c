//! The library in processes that are unkind to it: they fork, take signals, reap or ignore children, change their threads'
//! directories and namespaces, and have few descriptors left.

use crate::bundle;
use crate::threads::{self, null_stdio};
use crate::world::World;
use rustix::process::{Resource, Rlimit, WaitOptions, getrlimit, setrlimit};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tare_runtime::{Container, CreateOptions, ExecOptions, ExitStatus, Signal};

const CONTAINERS: usize = 48;
const THREADS: usize = 8;
const CLONE_NEWNS: u32 = 0x2_0000;
const CLONE_FS: u32 = 0x200;

/// The shared object of the cases about signals, and the words for `env` that the case's process is started through.
pub fn surroundings(name: &str) -> Vec<String> {
    let preload = format!("LD_PRELOAD={}", env!("STORM"));
    match name {
        "signals-everywhere" => vec![preload, "TARE_STORM=1".to_owned()],
        "children-reaped-by-a-handler" => vec![preload, "TARE_REAP=1".to_owned()],
        "children-ignored" => vec!["--ignore-signal=CHLD".to_owned()],
        _ => Vec::new(),
    }
}

/// The usual life of some containers; what is unkind is around the process.
pub fn lifecycle(world: &World) -> Result<(), String> {
    threads::run_some(world, CONTAINERS, THREADS)
}

/// Other threads start other programs all the time; none of them may get a descriptor of ours.
pub fn foreign_children(world: &World) -> Result<(), String> {
    // Whoever started the test may have left some open.
    let before = inherited()?;
    let done = AtomicBool::new(false);
    let started = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let foreign: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) {
                        let now = inherited()?;
                        if now != before {
                            return Err(format!(
                                "a foreign program got {now:?}, and {before:?} before"
                            ));
                        }
                        started.fetch_add(1, Ordering::Relaxed);
                    }
                    Ok::<(), String>(())
                })
            })
            .collect();
        let result = threads::run_some(world, CONTAINERS, THREADS);
        done.store(true, Ordering::Release);
        for thread in foreign {
            thread
                .join()
                .map_err(|_| "a thread panicked".to_owned())??;
        }
        result
    })?;
    println!("  {} foreign programs meanwhile", started.into_inner());
    Ok(())
}

/// The descriptors above 2 that a program started now gets, without that of its own listing.
fn inherited() -> Result<Vec<String>, String> {
    let output = Command::new("/bin/busybox")
        .args(["ls", "-l", "/proc/self/fd"])
        .output()
        .map_err(|error| format!("start a foreign program: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let entries = text
        .lines()
        .filter(|line| line.contains(" -> "))
        .filter_map(|line| {
            let at = line.rfind(" -> ")?;
            let (before, target) = line.split_at(at);
            let number = before.rsplit(' ').next()?;
            let listing = target.starts_with(" -> /proc/");
            (!listing && !["0", "1", "2"].contains(&number)).then(|| format!("{number}{target}"))
        });
    Ok(entries.collect())
}

/// Another thread reaps every child of the process, ours too.
pub fn reaping_thread(world: &World) -> Result<(), String> {
    let done = AtomicBool::new(false);
    let taken = AtomicUsize::new(0);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                match rustix::process::wait(WaitOptions::NOHANG) {
                    Ok(Some(_)) => drop(taken.fetch_add(1, Ordering::Relaxed)),
                    _ => std::thread::yield_now(),
                }
            }
        });
        let result = threads::run_some(world, CONTAINERS, THREADS);
        done.store(true, Ordering::Release);
        result
    });
    let taken = taken.into_inner();
    println!("  {taken} children were reaped by the other thread");
    if taken == 0 {
        return result.and(Err("the other thread reaped nobody".to_owned()));
    }
    result
}

/// Threads with a directory, and with a mount namespace, of their own.
pub fn other_directories(world: &World) -> Result<(), String> {
    let run = |number: usize, mount: bool| -> Result<(), String> {
        let bundle = world.directory.join("bundles").join(number.to_string());
        std::fs::create_dir_all(&bundle).map_err(|error| error.to_string())?;
        let kinds = if mount { CLONE_NEWNS } else { CLONE_FS };
        tare_sys::ns::unshare(kinds).map_err(|errno| errno.to_string())?;
        if mount {
            let flags = rustix::mount::MountFlags::empty();
            rustix::mount::mount("many", &bundle, "tmpfs", flags, None::<&std::ffi::CStr>)
                .map_err(|errno| errno.to_string())?;
        }
        let written =
            bundle::write(world, number, &["sleep", "1000"]).map_err(|e| e.to_string())?;
        rustix::process::chdir(&written).map_err(|errno| errno.to_string())?;
        // Relative: each thread means its own directory, which for one of them only this thread can see.
        let held = made(world, number, ".")?;
        let bundle_told = held.record().tare.bundle.clone();
        if bundle_told.trim_end_matches("/.") != written.to_string_lossy() {
            return Err(format!("the bundle is {bundle_told}"));
        }
        whole_life(held)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|number| scope.spawn(move || run(number, number % 2 == 1)))
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })
}

fn made(world: &World, number: usize, bundle: &str) -> Result<Container, String> {
    let terminal = bundle::kind(number) == bundle::Kind::Terminal;
    let options = CreateOptions {
        stdio: null_stdio()?,
        console: if terminal {
            tare_runtime::Console::Keep
        } else {
            tare_runtime::Console::None
        },
        ..CreateOptions::default()
    };
    world
        .runtime()
        .create(&world.id(number), bundle, options)
        .map_err(|error| error.report())
}

fn whole_life(mut container: Container) -> Result<(), String> {
    let told = |error: tare_runtime::Error| error.report();
    container.start().map_err(told)?;
    let options = ExecOptions {
        process: bundle::process(&["true"]),
        stdio: null_stdio()?,
        ..ExecOptions::default()
    };
    let ended = container
        .exec(options)
        .and_then(|process| process.wait())
        .map_err(told)?;
    if ended != ExitStatus::Exited(0) {
        return Err(format!("the exec ended as {ended:?}"));
    }
    container.kill(Signal::KILL, false).map_err(told)?;
    container.wait().map_err(told)?;
    container.delete(false).map_err(told).map(drop)
}

/// From too few descriptors to just enough: each call works or says that there are too few, and leaves nothing.
pub fn few_descriptors(world: &World) -> Result<(), String> {
    let whole = getrlimit(Resource::Nofile);
    let limited = |limit: u64| {
        let soft = Rlimit {
            current: Some(limit),
            maximum: whole.maximum,
        };
        setrlimit(Resource::Nofile, soft).map_err(|errno| errno.to_string())
    };
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
    let mut firsts = Vec::new();
    for number in 0..bundle::KINDS.len() {
        let written =
            bundle::write(world, number, &["sleep", "1000"]).map_err(|e| e.to_string())?;
        let written = written.to_string_lossy();
        let mut first = None;
        for limit in open - 1..open + 40 {
            limited(limit)?;
            let result = made(world, number, &written);
            limited(whole.current.unwrap_or(1024))?;
            match result {
                Ok(container) => {
                    first.get_or_insert(limit - open);
                    whole_life(container)?;
                }
                Err(error) if error.contains("EMFILE") || error.contains("Too many open files") => {
                }
                Err(error) => return Err(format!("with {limit} descriptors: {error}")),
            }
            let left = world.look();
            if !left.is_empty() {
                return Err(format!(
                    "with {limit} descriptors, left: {}",
                    left.join("; ")
                ));
            }
        }
        firsts.push(format!("{:?} {first:?}", bundle::kind(number)));
    }
    println!(
        "  free descriptors that create needs: {}",
        firsts.join(", ")
    );
    Ok(())
}
