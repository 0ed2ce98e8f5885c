//! The command line: of the suite, and of the process that it starts for each case.

use std::path::PathBuf;

pub const HELP: &str = "shim-conformance --shim PATH [OPTIONS] [FILTER]

Plays containerd to a shim, as root; FILTER is a part of cases' names, or several with commas between them.

  --shim PATH       the shim
  --runc PATH       the runtime that the shim is told to use
  --name NAME       what containerd calls the runtime, for the report (io.containerd.runc.v2)
  --expected FILE   cases that fail with this shim, and why that is right
  --jobs N          cases at a time (2)
  --nightly         ten thousand processes, gigabytes of output
  --keep            keep the directories of failed cases
  --list            print the cases' names

shim-conformance bench ROUNDS SAMPLES.csv SHIM...

Times a container's life through each of the shims, by turns; shares are the first one's.

shim-conformance idle ROUNDS SAMPLES.csv SHIM...

The same of what they hold and do while nothing happens: memory, wakeups.
";

/// What the suite is asked for.
#[derive(Debug, Clone)]
pub struct Options {
    pub shim: PathBuf,
    pub runc: Option<PathBuf>,
    pub name: String,
    pub expected: Option<PathBuf>,
    pub jobs: usize,
    pub nightly: bool,
    pub keep: bool,
    pub filter: String,
}

/// What the process of one case is told.
#[derive(Debug, Clone, Default)]
pub struct CaseOptions {
    pub name: String,
    pub shim: PathBuf,
    pub runc: Option<PathBuf>,
    pub nightly: bool,
    /// Begins all ids of the case.
    pub tag: String,
    pub directory: PathBuf,
    pub template: PathBuf,
    pub outcome: PathBuf,
}

/// What is to be timed.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    pub rounds: usize,
    /// Where the raw data go.
    pub samples: PathBuf,
    pub shims: Vec<PathBuf>,
}

pub enum Command {
    Help,
    List,
    Suite(Options),
    OneCase(CaseOptions),
    Bench(BenchOptions),
    Idle(BenchOptions),
}

pub fn parse(words: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut words = words.peekable();
    if words.next_if(|word| word == "one-case").is_some() {
        return one_case(words).map(Command::OneCase);
    }
    if words.next_if(|word| word == "bench").is_some() {
        return bench(words).map(Command::Bench);
    }
    if words.next_if(|word| word == "idle").is_some() {
        return bench(words).map(Command::Idle);
    }
    let mut options = Options {
        shim: PathBuf::new(),
        runc: None,
        name: "io.containerd.runc.v2".to_owned(),
        expected: None,
        jobs: 2,
        nightly: false,
        keep: false,
        filter: String::new(),
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--list" => return Ok(Command::List),
            "--shim" => options.shim = absolute(&value()?)?,
            "--runc" => options.runc = Some(absolute(&value()?)?),
            "--name" => options.name = value()?,
            "--expected" => options.expected = Some(value()?.into()),
            "--jobs" => {
                let text = value()?;
                let number = text.parse().ok().filter(|number| *number > 0);
                options.jobs = number.ok_or(format!("--jobs {text}: not a number above zero"))?;
            }
            "--nightly" => options.nightly = true,
            "--keep" => options.keep = true,
            other if other.starts_with('-') => {
                return Err(format!("no option {other}; --help names them"));
            }
            filter => options.filter = filter.to_owned(),
        }
    }
    if options.shim.as_os_str().is_empty() {
        return Err("--shim PATH is missing; --help says more".to_owned());
    }
    Ok(Command::Suite(options))
}

fn bench(mut words: impl Iterator<Item = String>) -> Result<BenchOptions, String> {
    let rounds = words.next().and_then(|word| word.parse().ok());
    let rounds = rounds.filter(|rounds| *rounds > 0);
    let samples = words.next().map(PathBuf::from);
    let shims: Result<Vec<PathBuf>, String> = words.map(|word| absolute(&word)).collect();
    match (rounds, samples, shims?) {
        (Some(rounds), Some(samples), shims) if !shims.is_empty() => Ok(BenchOptions {
            rounds,
            samples,
            shims,
        }),
        _ => Err("wanted: ROUNDS SAMPLES.csv SHIM...".to_owned()),
    }
}

fn one_case(mut words: impl Iterator<Item = String>) -> Result<CaseOptions, String> {
    let mut options = CaseOptions::default();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} wants a value"));
        match word.as_str() {
            "--name" => options.name = value()?,
            "--shim" => options.shim = value()?.into(),
            "--runc" => options.runc = Some(value()?.into()),
            "--nightly" => options.nightly = true,
            "--tag" => options.tag = value()?,
            "--directory" => options.directory = value()?.into(),
            "--template" => options.template = value()?.into(),
            "--outcome" => options.outcome = value()?.into(),
            other => return Err(format!("no option {other} of one-case")),
        }
    }
    Ok(options)
}

/// A shim is started in its bundle, so its path must hold from everywhere.
fn absolute(path: &str) -> Result<PathBuf, String> {
    std::fs::canonicalize(path).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shim_is_asked_for() {
        let parse = |words: &[&str]| parse(words.iter().map(|word| (*word).to_owned()));
        assert!(parse(&[]).is_err());
        assert!(parse(&["--shim"]).is_err());
        assert!(parse(&["--shim", "/no/such/shim"]).is_err());
        assert!(parse(&["--shim", "/", "--jobs", "0"]).is_err());
        let Ok(Command::Suite(options)) = parse(&["--shim", "/", "task/", "--nightly"]) else {
            panic!("not a suite");
        };
        assert!(options.nightly && options.filter == "task/");
    }
}
