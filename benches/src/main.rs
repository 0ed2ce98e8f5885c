//! What a container costs: this runtime and its rivals, measured in the same run, interleaved, over the same bundle.
//!
//! One command at a time, save where parallel callers are the subject; each command is run by `measure` (measure.c), a small
//! static program that takes the time, the CPU time and the peak memory. This harness only spawns it and waits, so its own
//! size does not show. Each section measures first; its report is made of the samples alone.
#![forbid(unsafe_code)]

mod arguments;
mod bench;
mod budget;
mod bundle;
mod curves;
mod embed;
mod idle;
mod lifecycle;
mod machine;
mod measure;
mod memory;
mod parallel;
mod report;
mod samples;
mod scaling;
mod statistics;
mod strips;
mod svg;
mod variations;

use arguments::Options;
use bench::Bench;
use budget::Budget;
use report::Part;
use samples::Sample;
use std::process::ExitCode;

/// Name, seconds, how to measure, how to tell.
type Section = (
    &'static str,
    u64,
    fn(&Bench, &Budget) -> Result<Vec<Sample>, String>,
    fn(&Options, &[Sample]) -> Part,
);

/// Together 20 minutes; on a quiet machine none of them needs all of its own.
const SECTIONS: [Section; 6] = [
    ("lifecycle", 240, lifecycle::measure, lifecycle::report),
    ("embed", 120, embed::measure, embed::report),
    ("memory", 120, memory::measure, memory::report),
    ("parallel", 360, parallel::measure, parallel::report),
    ("idle", 180, idle::measure, idle::report),
    ("scaling", 180, scaling::measure, scaling::report),
];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let bench = Bench::new(arguments::parse(std::env::args().skip(1))?)?;
    let options = &bench.options;
    let mut machine = machine::describe(&options.runtimes, &options.revision)?;
    let (mut samples, mut parts) = (Vec::new(), Vec::new());
    for (name, seconds, measure, report) in SECTIONS {
        if !options.wants(name) {
            continue;
        }
        eprint!("{name}: ");
        let budget = Budget::new(seconds);
        let measured = measure(&bench, &budget).map_err(|error| format!("{name}: {error}"))?;
        eprintln!("{} s{}", budget.spent(), budget.remark());
        let mut part = report(options, &measured);
        if !options.has_rivals() {
            part.goals.clear(); // two revisions against each other: the goals are about rivals
        }
        parts.push(part);
        samples.extend(measured);
    }
    machine["load after"] = machine::load().into();
    println!("{}", report::markdown(&parts));
    report::write(options, &samples, &machine, &parts)?;
    let failed = samples.iter().filter(|one| one.cost.status != 0).count();
    if failed > 0 {
        return Err(format!(
            "{failed} of {} commands failed: see {}",
            samples.len(),
            options.log().display()
        ));
    }
    Ok(())
}
