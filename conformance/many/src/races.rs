//! Rounds of races on one container: three to five actors call verbs at random; each call must come to a documented end, and
//! after `delete --force` nothing is left. The seed of each failing round is printed.

use crate::actor::{Call, Ended, Target, call};
use crate::bundle;
use crate::outcome::{End, Verb, allowed};
use crate::process;
use crate::random::Random;
use crate::world::{World, cgroups};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tare_runtime::{Error, Status};

/// Actors that wait for a paused container go on when it is deleted; they get this long to end by themselves.
const PATIENCE: Duration = Duration::from_millis(400);

pub fn all_verbs(world: &World) -> Result<(), String> {
    rounds(world, &crate::outcome::VERBS, world.options.rounds)
}

/// The same id made by all at once, and deleted while it is made.
pub fn one_id(world: &World) -> Result<(), String> {
    let verbs = [
        Verb::Create,
        Verb::Create,
        Verb::Delete,
        Verb::DeleteForce,
        Verb::List,
        Verb::State,
    ];
    rounds(world, &verbs, world.options.rounds / 4)
}

/// No new container comes to be: whoever was killed has to stop, whatever freezes or starts it meanwhile.
pub fn killed_stays_killed(world: &World) -> Result<(), String> {
    let verbs = [
        Verb::Start,
        Verb::Kill,
        Verb::Pause,
        Verb::Resume,
        Verb::Exec,
        Verb::Update,
    ];
    rounds(world, &verbs, world.options.rounds / 4)
}

fn rounds(world: &World, verbs: &[Verb], count: usize) -> Result<(), String> {
    let begin = Instant::now();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut failed = Vec::new();
    for round in 0..count.max(1) {
        let seed = world.options.seed.wrapping_add(round as u64);
        if let Err(error) = one_round(world, verbs, seed, &mut seen) {
            failed.push(format!("--seed {seed} --rounds 1: {error}"));
            if failed.len() == 5 {
                break;
            }
        }
    }
    let calls: usize = seen.values().sum();
    let ends: Vec<String> = seen.iter().map(|(end, n)| format!("{end} {n}")).collect();
    println!(
        "  {calls} calls in {} rounds, {:.1} s: {}",
        count.max(1),
        begin.elapsed().as_secs_f32(),
        ends.join(", ")
    );
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\n    "))
    }
}

fn one_round(
    world: &World,
    verbs: &[Verb],
    seed: u64,
    seen: &mut BTreeMap<String, usize>,
) -> Result<(), String> {
    let mut random = Random::new(seed);
    // The kind follows from the number: plain, with a user namespace, a filter, hooks; a terminal needs a caller who holds it.
    let number = random.pick(&[0, 0, 0, 1, 3, 5]);
    let args: &[&str] = random.pick(&[&["sleep", "1000"], &["sleep", "1000"], &["true"]]);
    let bundle = bundle::write(world, number, args).map_err(|error| error.to_string())?;
    let id = world.id(number);
    let target = Target {
        world,
        id: &id,
        bundle: &bundle,
    };
    let creates = verbs.contains(&Verb::Create);
    if !creates || random.below(2) == 0 {
        made(&target)?;
    }
    let programs: Vec<Vec<Call>> = (0..3 + random.below(3))
        .map(|_| {
            let through_trun = random.below(4) == 0;
            (0..2 + random.below(4))
                .map(|_| Call {
                    verb: random.pick(verbs),
                    signal: random.pick(&[9, 9, 15, 0]),
                    through_trun,
                })
                .collect()
        })
        .collect();
    let ends = act(&target, &programs)?;
    let mut wrong = Vec::new();
    for (call, ended) in &ends {
        *seen
            .entry(format!("{} {:?}", call.verb.name(), ended.end))
            .or_insert(0) += 1;
        if !allowed(call.verb, ended.end) {
            wrong.push(format!("{call:?}: {}", ended.message.trim()));
        }
    }
    let killed = ends
        .iter()
        .any(|(call, ended)| call.verb == Verb::Kill && call.signal == 9 && ended.end == End::Done);
    if killed && !creates && !stops(&target) {
        wrong.push(format!(
            "killed, and it still is {:?}",
            world.runtime().status(&id)
        ));
    }
    let last = call(
        &target,
        Call {
            verb: Verb::DeleteForce,
            signal: 9,
            through_trun: false,
        },
    );
    if last.end != End::Done {
        wrong.push(format!("the last delete --force: {}", last.message));
    }
    wrong.extend(left(world, &id));
    if wrong.is_empty() {
        Ok(())
    } else {
        let text: Vec<String> = programs
            .iter()
            .map(|program| format!("{program:?}"))
            .collect();
        Err(format!(
            "{}\n      actors: {}",
            wrong.join("; "),
            text.join("\n        ")
        ))
    }
}

fn made(target: &Target<'_>) -> Result<(), String> {
    let ended = call(
        target,
        Call {
            verb: Verb::Create,
            signal: 0,
            through_trun: false,
        },
    );
    if ended.end == End::Done {
        Ok(())
    } else {
        Err(format!("the first create: {}", ended.message))
    }
}

/// All actors at once; whoever is still waiting when the patience ends waits for a paused container, which is then deleted.
fn act(target: &Target<'_>, programs: &[Vec<Call>]) -> Result<Vec<(Call, Ended)>, String> {
    let ends = Mutex::new(Vec::new());
    let running = AtomicUsize::new(programs.len());
    std::thread::scope(|scope| {
        for (actor, program) in programs.iter().enumerate() {
            let (ends, running) = (&ends, &running);
            let builder = std::thread::Builder::new().name(format!("actor {actor}"));
            let work = move || {
                for one in program {
                    let name = format!("{actor} {}", one.verb.name());
                    let name = std::ffi::CString::new(name).unwrap_or_default();
                    let _ = rustix::thread::set_name(&name);
                    let ended = call(target, *one);
                    ends.lock()
                        .expect("nobody panics with it")
                        .push((*one, ended));
                }
                running.fetch_sub(1, Ordering::AcqRel);
            };
            if let Err(error) = builder.spawn_scoped(scope, work) {
                running.fetch_sub(1, Ordering::AcqRel);
                eprintln!("many: no thread: {error}");
            }
        }
        let done = || running.load(Ordering::Acquire) == 0;
        while !process::eventually(PATIENCE, done) {
            call(
                target,
                Call {
                    verb: Verb::DeleteForce,
                    signal: 9,
                    through_trun: false,
                },
            );
        }
    });
    ends.into_inner()
        .map_err(|_| "an actor panicked".to_owned())
}

/// Whether the container stops or is gone within some seconds.
fn stops(target: &Target<'_>) -> bool {
    process::eventually(Duration::from_secs(5), || {
        matches!(
            target.world.runtime().status(target.id),
            Ok(None | Some(Status::Stopped)) | Err(Error::NotFound { .. })
        )
    })
}

/// What this container left.
fn left(world: &World, id: &str) -> Vec<String> {
    let mut found = Vec::new();
    process::eventually(Duration::from_secs(5), || {
        process::reap_all();
        found.clear();
        for pid in process::descendants(std::process::id() as i32) {
            found.push(format!("left: process {}", process::describe(pid)));
        }
        let directory = world.state_root.join(id);
        if directory.exists() {
            found.push(format!("left: {}", directory.display()));
        }
        found.is_empty()
    });
    found.extend(
        cgroups(&world.tag)
            .iter()
            .map(|group| format!("left: {}", group.display())),
    );
    found.extend(
        world
            .changes_here()
            .into_iter()
            .map(|change| format!("left: {change}")),
    );
    found
}
