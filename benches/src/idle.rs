//! Whether `run` takes longer when many other containers exist.

use crate::arguments::{Options, Runtime};
use crate::bench::{Bench, text};
use crate::budget::Budget;
use crate::curves;
use crate::measure::Cost;
use crate::report::{Goal, Limit, Part, estimate};
use crate::samples::{Key, Sample, rounds, subjects, walls};
use crate::statistics::{median, middle, quantile, ratio_of_medians};
use std::fmt::Write as _;
use std::thread::sleep;
use std::time::Duration;

const NAME: &str = "idle";
/// Who makes and removes the idle ones.
const CALLERS: usize = 4;
/// After many containers were made or removed.
const REST: Duration = Duration::from_secs(1);

/// For one runtime after the other, so that each meets only its own containers: levels that rise, and at each `run` and
/// barerun in turns. barerun shows what the kernel itself takes longer for.
pub fn measure(bench: &Bench, budget: &Budget) -> Result<Vec<Sample>, String> {
    let options = &bench.options;
    let mut samples = Vec::new();
    let rivals = options.newest();
    for runtime in rivals.iter().filter(|one| !one.name.starts_with("runc")) {
        let mut exist = 0;
        let measured = levels((bench, budget), runtime, &mut exist, &mut samples);
        // Whatever happened: what was made goes.
        let failed = bench.in_parallel(CALLERS, exist, |number| {
            let id = idle_id(bench, runtime, number);
            bench.unmeasured(runtime, &["delete", "--force", &id])
        })?;
        measured?;
        if failed > 0 {
            return Err(format!(
                "{}: {failed} idle containers were not deleted",
                runtime.name
            ));
        }
        sleep(REST);
    }
    Ok(samples)
}

fn levels(
    (bench, budget): (&Bench, &Budget),
    runtime: &Runtime,
    exist: &mut usize,
    samples: &mut Vec<Sample>,
) -> Result<(), String> {
    let options = &bench.options;
    let sleeper = text(&bench.bundles.sleep_of(&options.bundle));
    let short = bench.bundles.true_of(&options.bundle);
    for level in &options.idle {
        let first = *exist;
        *exist = (*level).max(first);
        let failed = bench.in_parallel(CALLERS, *exist - first, |number| {
            let id = idle_id(bench, runtime, first + number);
            bench.unmeasured(runtime, &["create", "--bundle", &sleeper, &id])
        })?;
        if failed > 0 {
            return Err(format!(
                "{}: {failed} idle containers were not made",
                runtime.name
            ));
        }
        sleep(REST);
        for round in 0..=options.rounds.div_ceil(2) {
            if budget.is_over(round) {
                break;
            }
            let id = bench.id(&runtime.name, &format!("among-{level}-{round}"));
            let mut keep = |what: &str, cost: Cost| {
                if round > 0 {
                    samples.push(Sample {
                        section: NAME,
                        round,
                        subject: runtime.name.clone(),
                        what: what.to_owned(),
                        count: *level,
                        cost,
                    });
                }
            };
            keep("run", bench.run(runtime, &short, &id)?);
            keep("barerun", bench.barerun(&id)?);
        }
    }
    Ok(())
}

fn idle_id(bench: &Bench, runtime: &Runtime, number: usize) -> String {
    bench.id(&runtime.name, &format!("idle-{number}"))
}

/// Each level, and the last one as a multiple of the first.
pub fn report(options: &Options, samples: &[Sample]) -> Part {
    let names: Vec<&str> = options
        .runtimes
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let subjects = subjects(samples, NAME, &names);
    let (first, last) = (
        options.idle.first().copied().unwrap_or(0),
        options.idle.last().copied().unwrap_or(0),
    );
    let mut text = format!(
        "`run` while so many created containers of the same runtime exist, {} rounds; barerun beside each.\n\n\
         | idle | subject | what | median ms | p90 | multiple of the one with {first} [95 %] |\n|---|---|---|---|---|---|\n",
        rounds(samples, NAME)
    );
    let (mut goals, mut curves) = (Vec::new(), Vec::new());
    for subject in &subjects {
        for what in ["run", "barerun"] {
            let of = |level: usize| {
                let key = Key {
                    section: NAME,
                    subject,
                    what,
                    count: level,
                };
                walls(samples, key)
            };
            for level in &options.idle {
                let _ = writeln!(
                    text,
                    "| {level} | {subject} | {what} | {:.2} | {:.2} | {} |",
                    median(&of(*level)),
                    quantile(&of(*level), 0.9),
                    estimate(ratio_of_medians(&of(*level), &of(first))),
                );
            }
            let label = match what {
                "run" => (*subject).to_owned(),
                _ => format!("barerun among those of {subject}"),
            };
            let points = options.idle.iter();
            let points = points.map(|level| (*level as f64, middle(&of(*level))));
            curves.push((label, points.collect()));
            if what == "run" && *subject == options.ours().name {
                goals.push(Goal::new(
                    format!("run among {last} idle containers against {first}"),
                    Limit::AtMost(1.1),
                    "x",
                    ratio_of_medians(&of(last), &of(first)),
                ));
            }
        }
    }
    let panel = curves::Panel {
        title: "Latency".to_owned(),
        horizontal: "containers that exist".to_owned(),
        curves,
    };
    Part {
        title: "Idle containers",
        text,
        goals,
        plots: vec![(
            "idle.svg".to_owned(),
            curves::draw(
                "run among idle containers: medians, 95 % intervals",
                "wall time, ms",
                &[panel],
            ),
        )],
    }
}
