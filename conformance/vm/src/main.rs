//! `vm`: boots Debian kernels in qemu and runs the project's suites inside; see README.md beside this crate.
//!
//! Only what is decided here: which scenarios run, and how their counts are summed.
#![forbid(unsafe_code)]

mod archive;
mod args;
mod cpio;
mod kernel;
mod machine;
mod payload;
mod process;
mod report;
mod scenario;
mod userland;

use args::{Command, Options};
use report::Counts;
use scenario::Scenario;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    match args::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => {
            print!("{}", args::HELP);
            ExitCode::SUCCESS
        }
        Ok(Command::List) => {
            for scenario in scenario::ALL {
                println!("{:<12} {}", scenario.name, scenario.shows);
            }
            ExitCode::SUCCESS
        }
        Ok(Command::Run(options)) => run(&options),
        Err(message) => {
            eprintln!("vm: {message}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> ExitCode {
    let chosen: Vec<&Scenario> = scenario::ALL
        .iter()
        .filter(|scenario| scenario.name.contains(&options.filter))
        .filter(|scenario| !options.gate || scenario.gate.is_some())
        .filter(|scenario| !scenario.on_demand() || scenario.name == options.filter)
        .collect();
    if chosen.is_empty() {
        eprintln!(
            "vm: no scenario's name contains {:?}; --list names them",
            options.filter
        );
        return ExitCode::from(2);
    }
    let mut lines = Vec::new();
    let mut sum = Counts::default();
    for scenario in chosen {
        let begin = Instant::now();
        let counts = boot(scenario, options).unwrap_or_else(|message| {
            println!("vm {}: {message}", scenario.name);
            Counts::one_failure()
        });
        lines.push(format!(
            "vm {:<12} {:>4} s  {}",
            scenario.name,
            begin.elapsed().as_secs(),
            counts.shown()
        ));
        sum.add(counts);
    }
    println!();
    lines.iter().for_each(|line| println!("{line}"));
    println!("{}", sum.shown());
    ExitCode::from(u8::from(sum.failed > 0 || sum.passed == 0))
}

fn boot(scenario: &Scenario, options: &Options) -> Result<Counts, String> {
    let archive = archive::find()?;
    let kernel = kernel::make(&archive, scenario.kernel, &options.cache)?;
    let userland = userland::make(&archive, scenario.userland, &options.cache)?;
    let payload = payload::make(options)?;
    println!("\n== vm {}: Linux {}", scenario.name, kernel.version);
    machine::run(scenario, &kernel, &userland, &payload, options)
}
