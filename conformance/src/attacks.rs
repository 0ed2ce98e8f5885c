//! `conformance cve`: each attack does harm to a plan without its defence, which shows that it is alive, and none to the runtime.

use crate::args::Options;
use crate::case::Verdict;
use crate::cve::{self, Attack};
use crate::report::{Line, judge};
use crate::runner::{Job, Work, finish};
use rustix::process::{getpid, set_child_subreaper};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Starts within which an attack has to get through a weakened plan.
const ALIVE_WITHIN: usize = 500;

pub fn run(options: &Options) -> ExitCode {
    let chosen: Vec<Attack> = cve::all()
        .into_iter()
        .filter(|attack| attack.name.contains(&options.filter))
        .collect();
    if options.list {
        for attack in &chosen {
            println!("{} ({})", attack.name, attack.ids.join(", "));
        }
        return ExitCode::SUCCESS;
    }
    let Some(proof) = &options.proof else {
        eprintln!("conformance: --proof is missing: the runtime whose plans can be weakened");
        return ExitCode::from(2);
    };
    match run_all(options, proof, &chosen) {
        Ok(lines) => finish(options, &lines),
        Err(message) => {
            eprintln!("conformance: {message}");
            ExitCode::from(2)
        }
    }
}

fn run_all(options: &Options, proof: &Path, chosen: &[Attack]) -> Result<Vec<Line>, String> {
    set_child_subreaper(Some(getpid()))
        .map_err(|error| format!("cannot become a subreaper: {error}"))?;
    let work = Work::new()?;
    let (next, number) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let lines = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some(attack) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = Instant::now();
                    let case = |runtime: &Path, weaken: &str| {
                        let job = Job {
                            name: &attack.name,
                            runtime,
                            runtime_name: &options.runtime_name,
                            // A weakened plan has to lose a race once, and ends with it.
                            starts: if !weaken.is_empty() && weaken == attack.without {
                                options.starts.max(ALIVE_WITHIN)
                            } else {
                                options.starts
                            },
                            weaken,
                            systemd: false,
                            limit: Duration::from_secs(120 + options.starts as u64 / 2),
                            patience: 1,
                            keep: options.keep,
                        };
                        work.run_case(&job, number.fetch_add(1, Ordering::Relaxed))
                    };
                    let (verdict, told) = prove(attack, &options.runtime, proof, case);
                    let line = judge(&attack.name, verdict, None, started.elapsed());
                    let mut lines = lines
                        .lock()
                        .expect("no thread panics while it holds the lock");
                    println!("{}", line.text());
                    told.iter().for_each(|line| println!("     {line}"));
                    lines.push(line);
                }
            });
        }
    });
    let mut lines = lines.into_inner().expect("all threads have ended");
    lines.extend(work.left());
    Ok(lines)
}

/// First the weakened plan, then those that lack only some of what guards against it, then the runtime as it is.
fn prove(
    attack: &Attack,
    runtime: &Path,
    proof: &Path,
    case: impl Fn(&Path, &str) -> Verdict,
) -> (Verdict, Vec<String>) {
    let mut told = Vec::new();
    if attack.without.is_empty() {
        told.push("alive: shown by the attack itself".to_owned());
    } else {
        match case(proof, attack.without) {
            Verdict::Harmed(what) => told.push(format!("alive without {}: {what}", attack.without)),
            Verdict::Skipped(reason) => return (Verdict::Skipped(reason), told),
            other => {
                let dead = format!("dead: without {} it ended as {other:?}", attack.without);
                return (Verdict::Failed(dead), told);
            }
        }
    }
    for lesser in attack.held_without {
        match case(proof, lesser) {
            Verdict::Passed => told.push(format!("held without {lesser}")),
            Verdict::Harmed(what) | Verdict::Failed(what) => {
                return (Verdict::Failed(format!("without {lesser}: {what}")), told);
            }
            Verdict::Skipped(reason) => return (Verdict::Skipped(reason), told),
        }
    }
    let verdict = case(runtime, "");
    if verdict == Verdict::Passed {
        told.push("held".to_owned());
    }
    (verdict, told)
}
