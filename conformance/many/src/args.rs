//! What was typed: the suite's options, and the hidden words by which it calls itself for one case or one worker.

use std::path::PathBuf;

pub const HELP: &str = "\
usage: many --trun PATH [options]

  --trun PATH      the trun to drive
  --filter TEXT    only cases whose name contains TEXT
  --count N        containers alive at once (default 500)
  --workers N      threads, or processes, that work on them (default 16)
  --rounds N       rounds of races on one container (default 1000)
  --seed N         seed of the races (default: the time)
  --limit SECONDS  a case that takes longer is told, killed, and fails (default 600)
";

#[derive(Debug, Clone)]
pub struct Options {
    pub trun: PathBuf,
    pub filter: String,
    pub count: usize,
    pub workers: usize,
    pub rounds: usize,
    pub seed: u64,
    pub limit: u64,
    /// The case's own directory; made by the case.
    pub directory: PathBuf,
}

#[derive(Debug)]
pub enum Command {
    Suite(Options),
    /// One case, in this process.
    Case(String, Options),
    /// One of the processes that share the containers among them.
    Worker(usize, Options),
    Help,
}

pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = Options {
        trun: PathBuf::new(),
        filter: String::new(),
        count: 500,
        workers: 16,
        rounds: 1000,
        seed: std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |since| since.as_secs()),
        limit: 600,
        directory: PathBuf::new(),
    };
    let (mut case, mut share) = (None, None);
    while let Some(word) = words.next() {
        if word == "--help" || word == "-h" {
            return Ok(Command::Help);
        }
        let value = words.next().ok_or(format!("{word} needs a value"))?;
        let number = || -> Result<usize, String> {
            value
                .parse()
                .map_err(|_| format!("{word}: not a number: {value}"))
        };
        match word.as_str() {
            "--trun" => {
                options.trun =
                    std::fs::canonicalize(&value).map_err(|error| format!("{value}: {error}"))?;
            }
            "--filter" => options.filter = value,
            "--count" => options.count = number()?,
            "--workers" => options.workers = number()?.max(1),
            "--rounds" => options.rounds = number()?,
            "--seed" => options.seed = number()? as u64,
            "--limit" => options.limit = number()? as u64,
            "--directory" => options.directory = PathBuf::from(value),
            "--case" => case = Some(value),
            "--share" => share = Some(number()?),
            _ => return Err(format!("unknown argument {word}\n{HELP}")),
        }
    }
    if options.trun.as_os_str().is_empty() {
        return Err(format!("--trun is missing\n{HELP}"));
    }
    Ok(match (case, share) {
        (_, Some(share)) => Command::Worker(share, options),
        (Some(name), None) => Command::Case(name, options),
        (None, None) => Command::Suite(options),
    })
}

impl Options {
    /// The words that give these options to another process of this program.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (flag, value) in [
            ("--trun", self.trun.to_string_lossy().into_owned()),
            ("--count", self.count.to_string()),
            ("--workers", self.workers.to_string()),
            ("--rounds", self.rounds.to_string()),
            ("--seed", self.seed.to_string()),
            ("--limit", self.limit.to_string()),
            ("--directory", self.directory.to_string_lossy().into_owned()),
        ] {
            words.extend([flag.to_owned(), value]);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_told_all() {
        let words = ["--trun", "/", "--seed", "7", "--count", "3"].map(str::to_owned);
        let Ok(Command::Suite(options)) = parse(words.into_iter()) else {
            panic!("not a suite")
        };
        let words = options
            .words()
            .into_iter()
            .chain(["--share".into(), "2".into()]);
        let Ok(Command::Worker(2, told)) = parse(words) else {
            panic!("not a worker")
        };
        assert_eq!((told.seed, told.count, told.workers), (7, 3, 16));
        assert!(parse(["--colour".to_owned(), "x".to_owned()].into_iter()).is_err());
    }
}
