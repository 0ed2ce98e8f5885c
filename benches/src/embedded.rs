//! A program with memory and threads of its own that makes a container whenever a line tells it to. Shared with the program
//! in `compare/`, so that both libraries live in the same kind of process.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Where containers come from and go to.
pub struct Place {
    /// The state root.
    pub root: PathBuf,
    /// The bundle, whose program ends at once.
    pub bundle: PathBuf,
}

/// The words `ROOT BUNDLE MEBIBYTES THREADS`; then a line `ID` on standard input is answered by four numbers: nanoseconds
/// of create, start, wait and delete. `make` calls its second argument after each of the four.
pub fn serve(make: impl Fn(&Place, &str, &mut dyn FnMut()) -> Result<(), String>) -> ExitCode {
    match try_serve(make) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn try_serve(
    make: impl Fn(&Place, &str, &mut dyn FnMut()) -> Result<(), String>,
) -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [root, bundle, mebibytes, threads] = words.as_slice() else {
        return Err("usage: ROOT BUNDLE MEBIBYTES THREADS".to_owned());
    };
    let place = Place {
        root: root.into(),
        bundle: bundle.into(),
    };
    let count = |word: &str| {
        word.parse::<usize>()
            .map_err(|error| format!("{word}: {error}"))
    };
    let (mebibytes, threads) = (count(mebibytes)?, count(threads)?);
    let resident = vec![1_u8; mebibytes << 20];
    for _ in 1..threads {
        std::thread::spawn(|| {
            loop {
                std::thread::park();
            }
        });
    }
    say("ready")?;
    for line in std::io::stdin().lock().lines() {
        let id = line.map_err(|error| format!("standard input: {error}"))?;
        let mut last = Instant::now();
        let mut took = Vec::new();
        make(&place, &id, &mut || {
            took.push(last.elapsed().as_nanos().to_string());
            last = Instant::now();
        })
        .map_err(|error| format!("{id}: {error}"))?;
        say(&took.join(" "))?;
    }
    std::hint::black_box(&resident);
    Ok(())
}

fn say(line: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|error| format!("standard output: {error}"))
}
