//! What a container costs: this runtime and its rivals, measured in the same run, interleaved, over the same bundle.
//!
//! One thread, one command at a time; each command is run by `measure` (measure.c), a small static program that takes the
//! time, the CPU time and the peak memory. This harness only spawns it and waits, so its own size does not show.
#![forbid(unsafe_code)]

mod arguments;
mod bundle;
mod lifecycle;
mod machine;
mod measure;
mod report;
mod statistics;

use std::process::ExitCode;

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
    let options = arguments::parse(std::env::args().skip(1))?;
    let bundles = bundle::make(&options.work, &options.docker_spec, &options.busybox)?;
    bundle::write_filter(
        &options.work,
        &options.docker_spec,
        &options.filter_compiler,
    )?;
    let before = machine::describe(&options.runtimes)?;
    let samples = lifecycle::measure(&options, &bundles)?;
    let table = report::markdown(&options, &samples);
    println!("{table}");
    report::write(&options, &samples, &before, &table)?;
    let failed = samples.iter().filter(|sample| sample.status != 0).count();
    if failed > 0 {
        return Err(format!(
            "{failed} of {} commands failed: see {}",
            samples.len(),
            options.log().display()
        ));
    }
    Ok(())
}
