//! The command line that bench.sh and bench-ab.sh build.

use std::path::PathBuf;

/// What can be asked for with `--only`, in the order of the report.
pub const SECTIONS: [&str; 6] = [
    "lifecycle",
    "embed",
    "memory",
    "parallel",
    "idle",
    "scaling",
];

const USAGE: &str = "usage: tare-benches --work DIR --results DIR --tools DIR --docker-spec PATH --busybox PATH \
--barerun-flags LETTERS [--rounds N] [--bundle NAME] [--only SECTION,...] [--runs N] [--callers N,...] [--idle N,...] \
[--items N,...] [--revision TEXT] NAME=RUNTIME...
sections: lifecycle embed memory parallel idle scaling";

/// A runtime to measure.
#[derive(Clone)]
pub struct Runtime {
    /// What the tables call it.
    pub name: String,
    /// The program.
    pub path: PathBuf,
}

/// Everything that was typed.
pub struct Options {
    /// Where bundles, state and the log lie while measuring.
    pub work: PathBuf,
    /// The folder for this run's raw data.
    pub results: PathBuf,
    /// Where bench.sh put measure, filter, barerun, barestate, embed and, if it could be built, compare.
    pub tools: PathBuf,
    /// Rounds that count; one more warms up.
    pub rounds: usize,
    /// `docker`, `docker-nonet`, `seccomp` or `plain`.
    pub bundle: String,
    /// What barerun cannot do here or should do otherwise: its letters.
    pub barerun_flags: String,
    /// benches/docker-spec.json.
    pub docker_spec: PathBuf,
    /// A static busybox for the root file system.
    pub busybox: PathBuf,
    /// The sections to run.
    pub only: Vec<String>,
    /// How many `run`s the callers of the section `parallel` share.
    pub runs: usize,
    /// How many of them there are at a time.
    pub callers: Vec<usize>,
    /// How many idle containers exist.
    pub idle: Vec<usize>,
    /// How many mounts, devices, ... the section `scaling` adds.
    pub items: Vec<usize>,
    /// Of this tree, for the notes.
    pub revision: String,
    /// The first is the one that ratios refer to.
    pub runtimes: Vec<Runtime>,
}

impl Options {
    /// What the measured programs print.
    pub fn log(&self) -> PathBuf {
        self.work.join("log")
    }

    /// Whether a section is to run.
    pub fn wants(&self, section: &str) -> bool {
        self.only.iter().any(|wanted| wanted == section)
    }

    /// The first runtime.
    pub fn ours(&self) -> &Runtime {
        &self.runtimes[0]
    }

    /// The newest runtime of a kind, `crun` or `runc`: the one named last.
    pub fn rival(&self, kind: &str) -> Option<&Runtime> {
        let rivals = self.runtimes.iter().skip(1);
        rivals.rev().find(|runtime| runtime.name.starts_with(kind))
    }

    /// Whether there is a rival of any kind.
    pub fn has_rivals(&self) -> bool {
        ["crun", "runc"]
            .iter()
            .any(|kind| self.rival(kind).is_some())
    }

    /// The first runtime and the newest of each kind; without rivals of those kinds, all.
    pub fn newest(&self) -> Vec<&Runtime> {
        let rivals: Vec<&Runtime> = ["crun", "runc"]
            .iter()
            .filter_map(|kind| self.rival(kind))
            .collect();
        if rivals.is_empty() {
            return self.runtimes.iter().collect();
        }
        [self.ours()].into_iter().chain(rivals).collect()
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
            let (name, path) = word
                .split_once('=')
                .ok_or_else(|| format!("{word}: not NAME=RUNTIME\n{USAGE}"))?;
            runtimes.push(Runtime {
                name: name.to_owned(),
                path: path.into(),
            });
        }
    }
    let mut get = |flag: &str, default: Option<&str>| {
        let mut found = default.map(str::to_owned);
        named.retain(|(name, value)| {
            if name == flag {
                found = Some(value.clone());
            }
            name != flag
        });
        found.ok_or_else(|| format!("{flag} is missing\n{USAGE}"))
    };
    let options = Options {
        work: get("--work", None)?.into(),
        results: get("--results", None)?.into(),
        tools: get("--tools", None)?.into(),
        rounds: count("--rounds", &get("--rounds", Some("50"))?)?,
        bundle: get("--bundle", Some("docker"))?,
        barerun_flags: get("--barerun-flags", None)?,
        docker_spec: get("--docker-spec", None)?.into(),
        busybox: get("--busybox", None)?.into(),
        only: sections(&get("--only", Some(&SECTIONS.join(",")))?)?,
        runs: count("--runs", &get("--runs", Some("1000"))?)?,
        callers: counts("--callers", &get("--callers", Some("1,2,8,32"))?)?,
        idle: counts("--idle", &get("--idle", Some("10,100,1000"))?)?,
        items: counts("--items", &get("--items", Some("1,10,100"))?)?,
        revision: get("--revision", Some(""))?,
        runtimes,
    };
    if let Some((flag, _)) = named.first() {
        return Err(format!("{flag}: no such option\n{USAGE}"));
    }
    if options.runtimes.is_empty() {
        return Err(USAGE.to_owned());
    }
    Ok(options)
}

fn sections(text: &str) -> Result<Vec<String>, String> {
    let wanted: Vec<String> = text.split(',').map(str::to_owned).collect();
    for section in &wanted {
        if !SECTIONS.contains(&section.as_str()) {
            return Err(format!("--only: no section {section}\n{USAGE}"));
        }
    }
    Ok(wanted)
}

fn counts(flag: &str, text: &str) -> Result<Vec<usize>, String> {
    text.split(',').map(|word| count(flag, word)).collect()
}

fn count(flag: &str, text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("{flag}: not a count: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: &str =
        "--work w --results r --tools t --docker-spec d --busybox b --barerun-flags k ";

    fn options(words: &str) -> Result<Options, String> {
        parse(
            format!("{NEEDED}{words}")
                .split_whitespace()
                .map(str::to_owned),
        )
    }

    #[test]
    fn the_newest_rival_of_a_kind_is_the_last_one() {
        let named = options("trun=a runc-1=b crun-1=c runc-2=d crun-2=e").unwrap();
        let names: Vec<&str> = named.newest().iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["trun", "crun-2", "runc-2"]);
        let revisions = options("base=a tip=b").unwrap();
        assert_eq!(revisions.newest().len(), 2);
        assert!(named.has_rivals() && !revisions.has_rivals());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(options("a=b").unwrap().only.len(), SECTIONS.len());
        assert_eq!(options("--idle 5,50 a=b").unwrap().idle, [5, 50]);
        for wrong in [
            "",
            "a",
            "--only nothing a=b",
            "--rounds 0 a=b",
            "--idle 5,x a=b",
            "--what 1 a=b",
            "a=b --runs",
        ] {
            assert!(options(wrong).is_err(), "{wrong}");
        }
    }
}
