//! The tables for people, and the raw data: every sample as CSV, the machine's notes as JSON.

use crate::arguments::Options;
use crate::lifecycle::{Sample, VERBS};
use crate::statistics::{Ratio, median, paired_ratio, quantile};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;

/// Two tables: each verb and runtime with its figures, and the first runtime as a share of each other one.
pub fn markdown(options: &Options, samples: &[Sample]) -> String {
    let mut out = format!(
        "Bundle `{}`, {} rounds.\n\n",
        options.bundle, options.rounds
    );
    out.push_str(
        "| verb | runtime | min ms | median | p90 | CPU ms | RSS MB | x first [95 %] | failed |\n",
    );
    out.push_str("|---|---|---|---|---|---|---|---|---|\n");
    let first = &options.runtimes[0].name;
    for verb in VERBS {
        for runtime in &options.runtimes {
            row(
                &mut out,
                samples,
                verb,
                &runtime.name,
                &walls(samples, verb, first),
            );
        }
    }
    for also in &options.also {
        row(
            &mut out,
            samples,
            "also",
            &also.name,
            &walls(samples, "run", first),
        );
    }
    if options.runtimes.len() > 1 {
        shares(&mut out, options, samples);
    }
    out
}

/// Writes `samples.csv`, `machine.json` and `README.md` to the folder of this run.
pub fn write(
    options: &Options,
    samples: &[Sample],
    machine: &Value,
    table: &str,
) -> Result<(), String> {
    let mut csv = String::from("round,runtime,verb,status,wall_ns,user_us,system_us,peak_kib\n");
    for sample in samples {
        let cost = sample.cost;
        let _ = writeln!(
            csv,
            "{},{},{},{},{},{},{},{}",
            sample.round,
            sample.name,
            sample.verb,
            sample.status,
            cost.wall,
            cost.user,
            cost.system,
            cost.memory
        );
    }
    let notes = format!(
        "# Lifecycle, {}\n\n{table}\nMachine: see machine.json. Raw data: samples.csv.\n",
        text(machine, "date")
    );
    let folder = &options.results;
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (name, content) in [
        ("samples.csv", csv),
        ("machine.json", format!("{machine:#}\n")),
        ("README.md", notes),
    ] {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    eprintln!("raw data: {}", folder.display());
    Ok(())
}

fn row(out: &mut String, samples: &[Sample], verb: &str, name: &str, base: &[f64]) {
    let mine: Vec<&Sample> = samples
        .iter()
        .filter(|sample| sample.verb == verb && sample.name == name)
        .collect();
    let wall = walls(samples, verb, name);
    let processor: Vec<f64> = mine
        .iter()
        .map(|sample| (sample.cost.user + sample.cost.system) as f64 / 1e3)
        .collect();
    let memory = mine
        .iter()
        .map(|sample| sample.cost.memory)
        .max()
        .unwrap_or(0) as f64
        / 1024.0;
    let failed = mine.iter().filter(|sample| sample.status != 0).count();
    let _ = writeln!(
        out,
        "| {verb} | {name} | {:.2} | {:.2} | {:.2} | {:.2} | {memory:.1} | {} | {} |",
        quantile(&wall, 0.0),
        median(&wall),
        quantile(&wall, 0.9),
        median(&processor),
        interval(paired_ratio(&wall, base)),
        if failed == 0 {
            String::new()
        } else {
            failed.to_string()
        },
    );
}

fn shares(out: &mut String, options: &Options, samples: &[Sample]) {
    let (first, others) = (&options.runtimes[0].name, &options.runtimes[1..]);
    let heads: Vec<String> = others
        .iter()
        .map(|runtime| format!("of {}", runtime.name))
        .collect();
    let _ = write!(
        out,
        "\n{first} as a share of the others, medians [95 %]:\n\n| verb | {} |\n|---|",
        heads.join(" | ")
    );
    out.push_str(&"---|".repeat(others.len()));
    out.push('\n');
    for verb in VERBS {
        let mine = walls(samples, verb, first);
        let cells: Vec<String> = others
            .iter()
            .map(|other| interval(paired_ratio(&mine, &walls(samples, verb, &other.name))))
            .collect();
        let _ = writeln!(out, "| {verb} | {} |", cells.join(" | "));
    }
}

fn walls(samples: &[Sample], verb: &str, name: &str) -> Vec<f64> {
    let mine = samples
        .iter()
        .filter(|sample| sample.verb == verb && sample.name == name);
    mine.map(|sample| sample.cost.wall as f64 / 1e6).collect()
}

fn interval(ratio: Ratio) -> String {
    format!("{:.2} [{:.2}, {:.2}]", ratio.value, ratio.low, ratio.high)
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
