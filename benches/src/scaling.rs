//! What one mount, device, masked path, seccomp rule or id map more costs `run`: the slope over 1, 10 and 100 of them.

use crate::arguments::{Options, Runtime};
use crate::bench::Bench;
use crate::budget::Budget;
use crate::curves;
use crate::report::{Goal, Limit, Part, estimate};
use crate::samples::{Key, Sample, rounds, subjects, walls};
use crate::statistics::{Random, middle, slope, slope_difference, straightness};
use crate::variations::{KINDS, prepare, spec};
use std::fmt::Write as _;

const NAME: &str = "scaling";

/// Half as many rounds as verbs get: a slope is made of three medians.
pub fn measure(bench: &Bench, budget: &Budget) -> Result<Vec<Sample>, String> {
    let options = &bench.options;
    let most = options.items.iter().copied().max().unwrap_or(0);
    prepare(&options.work.join("rootfs"), most)
        .map_err(|error| format!("{}: {error}", options.work.display()))?;
    let docker = bench.bundles.docker();
    let mut order: Vec<(&str, usize, &Runtime)> = Vec::new();
    for kind in KINDS {
        for items in &options.items {
            let spec = spec(docker, kind, *items, &options.work.join("rootfs/tmp"));
            bench.bundles.add(&name_of(kind, *items), spec)?;
            order.extend(
                options
                    .newest()
                    .iter()
                    .map(|runtime| (kind, *items, *runtime)),
            );
        }
    }
    let mut random = Random::new();
    let mut samples = Vec::new();
    for round in 0..=options.rounds.div_ceil(2) {
        if budget.is_over(round) {
            break;
        }
        random.shuffle(&mut order);
        for (kind, items, runtime) in &order {
            let bundle = name_of(kind, *items);
            let id = bench.id(&runtime.name, &format!("{bundle}-{round}"));
            let cost = bench.run(runtime, &bench.bundles.true_of(&bundle), &id)?;
            if round > 0 {
                samples.push(Sample {
                    section: NAME,
                    round,
                    subject: runtime.name.clone(),
                    what: (*kind).to_owned(),
                    count: *items,
                    cost,
                });
            }
        }
    }
    Ok(samples)
}

fn name_of(kind: &str, items: usize) -> String {
    format!("{}-{items}", kind.replace(' ', "-"))
}

fn micro(milliseconds: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let each = milliseconds.iter();
    each.map(|values| values.iter().map(|value| value * 1e3).collect())
        .collect()
}

/// A slope for each kind and runtime.
pub fn report(options: &Options, samples: &[Sample]) -> Part {
    let ours = options.ours().name.as_str();
    let names: Vec<&str> = options
        .runtimes
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let subjects = subjects(samples, NAME, &names);
    let xs: Vec<f64> = options.items.iter().map(|items| *items as f64).collect();
    let counts: Vec<String> = options.items.iter().map(usize::to_string).collect();
    let mut text = format!(
        "Median ms of `run` with {} items more, {} rounds. The slope is that of the straight line of least squares through \
         the medians; R² says how straight they lie.\n\n\
         | what | subject | ms with {} | us per item [95 %] | R² | slope of {ours} minus it [95 %] |\n|---|---|{}---|---|---|\n",
        counts.join(", "),
        rounds(samples, NAME),
        counts.join(" | "),
        "---|".repeat(counts.len()),
    );
    let (mut panels, mut goals) = (Vec::new(), Vec::new());
    for kind in KINDS {
        let of = |subject: &str| -> Vec<Vec<f64>> {
            let key = |items: &usize| Key {
                section: NAME,
                subject,
                what: kind,
                count: *items,
            };
            options
                .items
                .iter()
                .map(|items| walls(samples, key(items)))
                .collect()
        };
        let mine = micro(&of(ours));
        let mut curves = Vec::new();
        for subject in &subjects {
            let values = of(subject);
            let points: Vec<_> = values.iter().map(|values| middle(values)).collect();
            let medians: Vec<String> = points
                .iter()
                .map(|point| format!("{:.2}", point.value))
                .collect();
            let more = slope_difference(&xs, &mine, &micro(&values));
            let _ = writeln!(
                text,
                "| {kind} | {subject} | {} | {} | {:.3} | {} |",
                medians.join(" | "),
                estimate(slope(&xs, &micro(&values))),
                straightness(&xs, &values),
                if *subject == ours {
                    String::new()
                } else {
                    estimate(more)
                },
            );
            curves.push((
                (*subject).to_owned(),
                xs.iter().copied().zip(points).collect(),
            ));
            if Some(*subject) == options.rival("crun").map(|crun| crun.name.as_str()) {
                goals.push(Goal::new(
                    format!("slope of {kind} minus that of {subject}"),
                    Limit::AtMost(0.0),
                    "us per item",
                    more,
                ));
            }
        }
        panels.push(curves::Panel {
            title: kind.to_owned(),
            horizontal: format!("{kind}, count"),
            curves,
        });
    }
    Part {
        title: "Scaling",
        text,
        goals,
        plots: vec![(
            "scaling.svg".to_owned(),
            curves::draw(
                "run with more items: medians with 95 % intervals",
                "wall time, ms",
                &panels,
            ),
        )],
    }
}
