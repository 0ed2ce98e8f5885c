//! The command line that bench.sh and bench-ab.sh build.

use std::path::PathBuf;

const USAGE: &str = "usage: tare-benches --work DIR --results DIR --rounds N --bundle NAME --measure PATH \
--filter-compiler PATH --docker-spec PATH --busybox PATH [--also NAME=COMMAND]... NAME=RUNTIME...";

/// A runtime to measure.
pub struct Runtime {
    /// What the tables call it.
    pub name: String,
    /// The program.
    pub path: PathBuf,
}

/// Any other command, timed once a round.
pub struct Also {
    /// What the tables call it.
    pub name: String,
    /// Program and arguments; `%ID%` becomes a fresh name, `%WORK%` the working folder.
    pub command: Vec<String>,
}

/// Everything that was typed.
pub struct Options {
    /// Where bundles, state and the log lie while measuring.
    pub work: PathBuf,
    /// The folder for this run's raw data.
    pub results: PathBuf,
    /// Rounds that count; one more warms up.
    pub rounds: usize,
    /// `docker`, `docker-nonet`, `seccomp` or `plain`.
    pub bundle: String,
    /// The program of measure.c.
    pub measure: PathBuf,
    /// The program of filter.c.
    pub filter_compiler: PathBuf,
    /// benches/docker-spec.json.
    pub docker_spec: PathBuf,
    /// A static busybox for the root file system.
    pub busybox: PathBuf,
    /// The first is the one that ratios refer to.
    pub runtimes: Vec<Runtime>,
    /// Further commands.
    pub also: Vec<Also>,
}

impl Options {
    /// What the measured programs print.
    pub fn log(&self) -> PathBuf {
        self.work.join("log")
    }
}

/// Reads the words; an error is the usage or what is wrong.
pub fn parse(words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut named: Vec<(String, String)> = Vec::new();
    let mut runtimes = Vec::new();
    let mut words = words;
    while let Some(word) = words.next() {
        if word.starts_with("--") {
            let value = words
                .next()
                .ok_or_else(|| format!("{word} needs a value\n{USAGE}"))?;
            named.push((word, value));
        } else {
            let (name, path) = pair(&word)?;
            runtimes.push(Runtime {
                name,
                path: path.into(),
            });
        }
    }
    let get = |flag: &str| {
        let found = named.iter().rev().find(|(name, _)| name == flag);
        found
            .map(|(_, value)| value.clone())
            .ok_or_else(|| format!("{flag} is missing\n{USAGE}"))
    };
    let also = named
        .iter()
        .filter(|(name, _)| name == "--also")
        .map(|(_, value)| {
            let (name, command) = pair(value)?;
            Ok(Also {
                name,
                command: command.split_whitespace().map(str::to_owned).collect(),
            })
        });
    let also = also.collect::<Result<Vec<_>, String>>()?;
    let rounds = get("--rounds")?;
    if runtimes.is_empty() {
        return Err(USAGE.to_owned());
    }
    Ok(Options {
        work: get("--work")?.into(),
        results: get("--results")?.into(),
        rounds: rounds
            .parse()
            .ok()
            .filter(|count| *count > 0)
            .ok_or(format!("--rounds: not a count: {rounds}"))?,
        bundle: get("--bundle")?,
        measure: get("--measure")?.into(),
        filter_compiler: get("--filter-compiler")?.into(),
        docker_spec: get("--docker-spec")?.into(),
        busybox: get("--busybox")?.into(),
        runtimes,
        also,
    })
}

fn pair(word: &str) -> Result<(String, String), String> {
    let (name, value) = word
        .split_once('=')
        .ok_or_else(|| format!("{word}: not NAME=VALUE\n{USAGE}"))?;
    Ok((name.to_owned(), value.to_owned()))
}
