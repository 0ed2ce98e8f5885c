//! Hundreds of containers alive at once in one process: sixteen threads create, start, look into, kill and delete them through
//! the library, phase by phase, so that between two phases all of them are there.

use crate::bundle::{self, Kind};
use crate::world::World;
use rustix::fs::MemfdFlags;
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::Mutex;
use std::time::Instant;
use tare_runtime::{
    Console, Container, CreateOptions, ExecOptions, ExitStatus, Runtime, Signal, Status, Stdio,
};

/// One container as its thread has it.
struct Held {
    number: usize,
    container: Option<Container>,
}

type Step = fn(&World, &Runtime, &mut Held) -> Result<(), String>;

const PHASES: [(&str, Step); 6] = [
    ("create", create),
    ("start", start),
    ("exec", exec),
    ("state", state),
    ("kill", kill),
    ("delete", delete),
];

pub fn run(world: &World) -> Result<(), String> {
    run_some(world, world.options.count, world.options.workers)
}

/// The same with other numbers.
pub fn run_some(world: &World, count: usize, workers: usize) -> Result<(), String> {
    let runtime = world.runtime();
    let mut held: Vec<Vec<Held>> = (0..workers)
        .map(|worker| {
            let numbers = (worker..count).step_by(workers);
            numbers
                .map(|number| Held {
                    number,
                    container: None,
                })
                .collect()
        })
        .collect();
    let before = figures();
    for (phase, step) in PHASES {
        let begin = Instant::now();
        let errors = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for (worker, share) in held.iter_mut().enumerate() {
                let (errors, runtime) = (&errors, &runtime);
                let builder = std::thread::Builder::new().name(format!("{phase} {worker}"));
                let work = move || {
                    for one in share {
                        if let Err(error) = step(world, runtime, one) {
                            let text = format!("{phase} {}: {error}", world.id(one.number));
                            errors.lock().expect("nobody panics with it").push(text);
                        }
                    }
                };
                builder
                    .spawn_scoped(scope, work)
                    .expect("a thread can be started");
            }
        });
        let errors = errors.into_inner().expect("all threads have ended");
        let took = begin.elapsed().as_secs_f64();
        println!(
            "  {phase}: {count} in {took:.2} s, {:.2} ms each",
            took * 1000.0 / count as f64
        );
        if !errors.is_empty() {
            let shown: Vec<_> = errors.iter().take(5).map(String::as_str).collect();
            return Err(format!("{} failed: {}", errors.len(), shown.join("; ")));
        }
        let expected = match phase {
            "create" => Some(Status::Created),
            "start" | "exec" | "state" => Some(Status::Running),
            "kill" => Some(Status::Stopped),
            _ => None,
        };
        listed(&runtime, count, expected)?;
        if phase == "create" {
            tell_figures(world, &runtime, count, &before)?;
        }
    }
    poststop_ran(world, count)
}

/// All are listed, whole and with this status; None: none is listed.
fn listed(runtime: &Runtime, count: usize, status: Option<Status>) -> Result<(), String> {
    let listing = runtime.list().map_err(|error| error.report())?;
    if let Some(error) = listing.unusable.first() {
        return Err(format!("list: {}", error.report()));
    }
    let wanted = status.map_or(0, |_| count);
    let found = listing.containers.len();
    if found != wanted {
        return Err(format!("list: {found} containers instead of {wanted}"));
    }
    for container in &listing.containers {
        let seen = container.status().map_err(|error| error.report())?;
        if Some(seen) != status {
            return Err(format!("list: {} is {seen}", container.id()));
        }
    }
    Ok(())
}

fn create(world: &World, runtime: &Runtime, held: &mut Held) -> Result<(), String> {
    let bundle =
        bundle::write(world, held.number, &["sleep", "1000"]).map_err(|error| error.to_string())?;
    let terminal = bundle::kind(held.number) == Kind::Terminal;
    let options = CreateOptions {
        stdio: null_stdio()?,
        console: if terminal {
            Console::Keep
        } else {
            Console::None
        },
        ..CreateOptions::default()
    };
    let container = runtime
        .create(&world.id(held.number), bundle, options)
        .map_err(|error| error.report())?;
    held.container = Some(container);
    Ok(())
}

fn start(_: &World, _: &Runtime, held: &mut Held) -> Result<(), String> {
    taken(held)?.start().map_err(|error| error.report())
}

fn exec(world: &World, _: &Runtime, held: &mut Held) -> Result<(), String> {
    let number = held.number;
    let output = rustix::fs::memfd_create("output", MemfdFlags::CLOEXEC)
        .map_err(|errno| errno.to_string())?;
    let mut output = File::from(output);
    let options = ExecOptions {
        process: bundle::process(&["sh", "-c", bundle::SCRIPT]),
        stdio: Stdio {
            stdout: Some(
                output
                    .try_clone()
                    .map_err(|error| error.to_string())?
                    .into(),
            ),
            ..null_stdio()?
        },
        ..ExecOptions::default()
    };
    let process = taken(held)?.exec(options).map_err(|error| error.report())?;
    let ended = process.wait().map_err(|error| error.report())?;
    if ended != ExitStatus::Exited(bundle::STATUS) {
        return Err(format!("it ended as {ended:?}"));
    }
    let mut printed = String::new();
    output
        .rewind()
        .and_then(|()| output.read_to_string(&mut printed))
        .map_err(|error| error.to_string())?;
    bundle::check(world, number, &printed)
}

fn state(world: &World, runtime: &Runtime, held: &mut Held) -> Result<(), String> {
    let id = world.id(held.number);
    let ours = taken(held)?
        .pid()
        .map_or(0, |pid| pid.as_raw_nonzero().get());
    // As another process would: found anew by its id.
    let state = runtime
        .load(&id)
        .and_then(|container| container.state())
        .map_err(|error| error.report())?;
    if (state.id.as_str(), state.pid, state.status) != (id.as_str(), ours, "running") {
        return Err(format!("{state:?}, and its pid was {ours}"));
    }
    Ok(())
}

fn kill(_: &World, _: &Runtime, held: &mut Held) -> Result<(), String> {
    let container = taken(held)?;
    container
        .kill(Signal::KILL, false)
        .map_err(|error| error.report())?;
    match container.wait().map_err(|error| error.report())? {
        ExitStatus::Signaled(9) => Ok(()),
        other => Err(format!("it ended as {other:?}")),
    }
}

fn delete(_: &World, _: &Runtime, held: &mut Held) -> Result<(), String> {
    let container = held.container.take().ok_or("it was never made")?;
    let warnings = container.delete(false).map_err(|error| error.report())?;
    warnings
        .first()
        .map_or(Ok(()), |warning| Err(warning.report()))
}

fn taken(held: &mut Held) -> Result<&mut Container, String> {
    held.container
        .as_mut()
        .ok_or_else(|| "it was never made".to_owned())
}

pub fn null_stdio() -> Result<Stdio, String> {
    let null = || {
        let file = File::options().read(true).write(true).open("/dev/null");
        file.map(|file| Some(file.into()))
            .map_err(|error| error.to_string())
    };
    Ok(Stdio {
        stdin: null()?,
        stdout: null()?,
        stderr: null()?,
    })
}

fn poststop_ran(world: &World, count: usize) -> Result<(), String> {
    for number in (0..count).filter(|n| bundle::kind(*n) == Kind::Hooks) {
        for kind in bundle::HOOKS {
            let file = bundle::hook_file(world, number, kind);
            if !file.exists() {
                return Err(format!("{kind} of {} did not run", world.id(number)));
            }
        }
    }
    Ok(())
}

/// Open descriptors and resident KiB of this process.
fn figures() -> (usize, u64) {
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    (descriptors, resident("self"))
}

fn resident(pid: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let field = |name: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0)
    };
    field("Rss:")
}

fn tell_figures(
    world: &World,
    runtime: &Runtime,
    count: usize,
    before: &(usize, u64),
) -> Result<(), String> {
    let (descriptors, own) = figures();
    let listing = runtime.list().map_err(|error| error.report())?;
    let mut inits: Vec<u64> = listing
        .containers
        .iter()
        .filter_map(|container| Some(resident(&container.pid()?.as_raw_nonzero().to_string())))
        .collect();
    inits.sort_unstable();
    let kernel: Vec<u64> = (0..count)
        .filter_map(|number| {
            let group = format!("/sys/fs/cgroup/memory/{}", world.id(number));
            let text =
                std::fs::read_to_string(format!("{group}/memory.kmem.usage_in_bytes")).ok()?;
            text.trim().parse().ok()
        })
        .collect();
    let count = count as f64;
    println!(
        "  while all wait for start: init resident {} KiB at the median, {} at most; kernel memory charged {:.0} KiB each; \
         this process holds {:.2} descriptors and {:.1} KiB more for each",
        inits.get(inits.len() / 2).copied().unwrap_or(0),
        inits.last().copied().unwrap_or(0),
        kernel.iter().sum::<u64>() as f64 / 1024.0 / count,
        descriptors.saturating_sub(before.0) as f64 / count,
        own.saturating_sub(before.1) as f64 / count,
    );
    Ok(())
}
