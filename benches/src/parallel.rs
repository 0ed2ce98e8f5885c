//! Many `run`s by several callers at once: throughput of a block of them, and blocks of all runtimes in turns.

use crate::arguments::{Options, Runtime};
use crate::bench::{Bench, text};
use crate::budget::Budget;
use crate::curves;
use crate::measure::Cost;
use crate::report::{Goal, Limit, Part, estimate, unless_zero};
use crate::samples::{Key, Sample, of, rounds, subjects, walls};
use crate::statistics::{Random, middle, paired_ratio};
use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

const NAME: &str = "parallel";
const BARE: &str = "barerun";
/// The runs of a runtime come in so many blocks, so that others have their turn between.
const BLOCKS: usize = 8;
/// A block leaves the kernel a hundred network namespaces to take down.
const REST: Duration = Duration::from_millis(400);

/// All blocks.
pub fn measure(bench: &Bench, budget: &Budget) -> Result<Vec<Sample>, String> {
    let options = &bench.options;
    let runtimes: Vec<Option<&Runtime>> = options.newest().into_iter().map(Some).collect();
    // And what the kernel itself takes, alone and beside itself.
    let subjects = [&runtimes[..], &[None]].concat();
    let mut order: Vec<(usize, Option<&Runtime>)> = options
        .callers
        .iter()
        .flat_map(|callers| subjects.iter().map(move |subject| (*callers, *subject)))
        .collect();
    let mut random = Random::new();
    let mut samples = Vec::new();
    for round in 1..=BLOCKS {
        if budget.is_over(round) {
            break;
        }
        random.shuffle(&mut order);
        for (callers, runtime) in &order {
            sleep(REST);
            samples.push(Sample {
                section: NAME,
                round,
                subject: runtime.map_or(BARE, |one| &one.name).to_owned(),
                what: what(options),
                count: *callers,
                cost: block(bench, *runtime, *callers, round)?,
            });
        }
    }
    Ok(samples)
}

/// The wall time of the whole block; the status is how many runs failed.
fn block(
    bench: &Bench,
    runtime: Option<&Runtime>,
    callers: usize,
    round: usize,
) -> Result<Cost, String> {
    let bundle = text(&bench.bundles.true_of(&bench.options.bundle));
    let begin = Instant::now();
    let failed = bench.in_parallel(callers, block_size(&bench.options), |number| {
        let place = format!("p{callers}-{round}-{number}");
        match runtime {
            Some(runtime) => {
                let id = bench.id(&runtime.name, &place);
                bench.unmeasured(runtime, &["run", "--bundle", &bundle, &id])
            }
            None => bench.barerun_unmeasured(&bench.id(BARE, &place)),
        }
    })?;
    Ok(Cost {
        wall: begin.elapsed().as_nanos() as u64,
        status: i32::try_from(failed).unwrap_or(i32::MAX),
        ..Cost::default()
    })
}

fn block_size(options: &Options) -> usize {
    options.runs.div_ceil(BLOCKS)
}

fn what(options: &Options) -> String {
    format!("{} runs", block_size(options))
}

fn key<'a>(subject: &'a str, what: &'a str, callers: usize) -> Key<'a> {
    Key {
        section: NAME,
        subject,
        what,
        count: callers,
    }
}

/// Runs a second, and how many times as many as the others.
pub fn report(options: &Options, samples: &[Sample]) -> Part {
    let ours = options.ours().name.as_str();
    let names: Vec<&str> = options
        .runtimes
        .iter()
        .map(|one| one.name.as_str())
        .chain([BARE])
        .collect();
    let subjects = subjects(samples, NAME, &names);
    let what = what(options);
    let rates = |subject: &str, callers: usize| -> Vec<f64> {
        let walls = walls(samples, key(subject, &what, callers));
        walls
            .iter()
            .map(|wall| block_size(options) as f64 / wall * 1e3)
            .collect()
    };
    let mut text = format!(
        "{} blocks of {what} for each, bundle `{}`.\n\n\
         | callers | subject | runs a second [95 %] | throughput of {ours} as a multiple [95 %] | failed |\n|---|---|---|---|---|\n",
        rounds(samples, NAME),
        options.bundle
    );
    let mut goals = Vec::new();
    for callers in &options.callers {
        for subject in &subjects {
            let rate = rates(subject, *callers);
            let share = paired_ratio(&rates(ours, *callers), &rate);
            let failed: i32 = of(samples, key(subject, &what, *callers))
                .map(|one| one.cost.status)
                .sum();
            let _ = writeln!(
                text,
                "| {callers} | {subject} | {} | {} | {} |",
                estimate(middle(&rate)),
                if *subject == ours {
                    String::new()
                } else {
                    estimate(share)
                },
                unless_zero(failed as usize),
            );
            if Some(*subject) == options.rival("crun").map(|crun| crun.name.as_str()) {
                goals.push(Goal::new(
                    format!("throughput with {callers} at a time against {subject}"),
                    Limit::AtLeast(2.0),
                    "x",
                    share,
                ));
            }
        }
    }
    let curves = subjects.iter().map(|subject| {
        let points = options.callers.iter();
        let points = points.map(|callers| (*callers as f64, middle(&rates(subject, *callers))));
        ((*subject).to_owned(), points.collect())
    });
    let panel = curves::Panel {
        title: "Throughput".to_owned(),
        horizontal: "callers at a time".to_owned(),
        curves: curves.collect(),
    };
    Part {
        title: "Parallel callers",
        text,
        goals,
        plots: vec![(
            "parallel.svg".to_owned(),
            curves::draw(
                "run by parallel callers: medians of blocks, 95 % intervals",
                "runs a second",
                &[panel],
            ),
        )],
    }
}
