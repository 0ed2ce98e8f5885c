//! What a container costs: this runtime and its rivals, measured in the same run, interleaved, over the same bundle.
//!
//! One command at a time, save where parallel callers are the subject; each command is run by `measure` (measure.c), a small
//! static program that takes the time, the CPU time and the peak memory. This harness only spawns it and waits, so its own
//! size does not show. Each section measures first; its report is made of the samples alone.
#![forbid(unsafe_code)]

mod arguments;
mod bench;
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
use report::Part;
use samples::Sample;
use std::process::ExitCode;
use std::time::Instant;

/// Name, how to measure, how to tell.
type Section = (
    &'static str,
    fn(&Bench) -> Result<Vec<Sample>, String>,
    fn(&Options, &[Sample]) -> Part,
);

const SECTIONS: [Section; 6] = [
    ("lifecycle", lifecycle::measure, lifecycle::report),
    ("embed", embed::measure, embed::report),
    ("memory", memory::measure, memory::report),
    ("parallel", parallel::measure, parallel::report),
    ("idle", idle::measure, idle::report),
    ("scaling", scaling::measure, scaling::report),
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
    let machine = machine::describe(&options.runtimes, &options.revision)?;
    let (mut samples, mut parts) = (Vec::new(), Vec::new());
    for (name, measure, report) in SECTIONS {
        if !options.wants(name) {
            continue;
        }
        let begin = Instant::now();
        let measured = measure(&bench).map_err(|error| format!("{name}: {error}"))?;
        eprintln!("{name}: {} s", begin.elapsed().as_secs());
        let mut part = report(options, &measured);
        if !options.has_rivals() {
            part.goals.clear(); // two revisions against each other: the goals are about rivals
        }
        parts.push(part);
        samples.extend(measured);
    }
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
