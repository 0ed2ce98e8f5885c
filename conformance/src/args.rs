//! What was typed: options of the suite, and of the hidden command that runs one case in its own process.

use std::path::{Path, PathBuf};

pub const HELP: &str = "\
usage: conformance --runtime PATH [options]

  --runtime PATH        the OCI runtime to drive
  --runtime-name NAME   trun, runc or crun: whose expected differences apply (default: by file name)
  --filter TEXT         only cases whose name contains TEXT; TEXT,TEXT: one of them
  --jobs N              cases at once (default 2)
  --list                print the names of the cases and stop
  --junit FILE          also write the results as JUnit XML
  --expected FILE       differences with their reasons (default: the list built in)
  --patience N          wait N times longer than usual: for slow machines (default 1)
  --systemd-cgroup      let systemd make the groups: --systemd-cgroup before every verb
  --keep                leave the working directory of each failed case

usage: conformance cve --runtime PATH --proof PATH [--starts N] [options]

  The attacks of conformance/cve: each must do harm to a plan without its defence, and none to the runtime.

  --proof PATH          the runtime built with the feature `proof`: its plans can be weakened
  --starts N            starts of each race (default 50)

usage: conformance runtime-tools --suite DIRECTORY --runtime PATH --expected FILE [options]

  --suite DIRECTORY     the built validation suite of OCI runtime-tools (see runtime-tools/build.sh)
  --runtime, --runtime-name, --filter, --jobs, --keep as above
";

#[derive(Debug)]
pub enum Command {
    Suite(Options),
    /// The attacks.
    Attacks(Options),
    OneCase(CaseOptions),
    RuntimeTools(RuntimeToolsOptions),
    Help,
}

/// The validation suite of OCI runtime-tools.
#[derive(Debug, Clone)]
pub struct RuntimeToolsOptions {
    pub suite: PathBuf,
    pub runtime: PathBuf,
    pub runtime_name: String,
    pub expected: PathBuf,
    pub filter: String,
    pub jobs: usize,
    pub keep: bool,
}

#[derive(Debug, Clone)]
pub struct Options {
    pub runtime: PathBuf,
    pub runtime_name: String,
    pub filter: String,
    pub jobs: usize,
    pub list: bool,
    pub junit: Option<PathBuf>,
    pub expected: Option<PathBuf>,
    pub systemd: bool,
    pub patience: u32,
    pub keep: bool,
    /// For the attacks: the runtime whose plans can be weakened.
    pub proof: Option<PathBuf>,
    /// For the attacks: starts of each race.
    pub starts: usize,
}

/// One case, run by a process of its own so that whatever it leaves behind is attributed to it.
#[derive(Debug, Clone)]
pub struct CaseOptions {
    pub name: String,
    pub runtime: PathBuf,
    pub runtime_name: String,
    pub systemd: bool,
    pub patience: u32,
    /// Prefix of every container id of the case, unique in this machine.
    pub tag: String,
    /// The case's own directory, empty.
    pub directory: PathBuf,
    /// The shared read-only root file system.
    pub template: PathBuf,
    /// Where the outcome is written.
    pub outcome: PathBuf,
    /// Starts of each race, if it is an attack.
    pub starts: usize,
    /// Defences that the runtime leaves out, if it is one whose plans can be weakened.
    pub weaken: String,
}

pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut given = Given::default();
    let mut arguments = arguments.peekable();
    let one_case = arguments.next_if(|first| first == "one-case").is_some();
    let attacks = arguments.next_if(|first| first == "cve").is_some();
    let runtime_tools = arguments
        .next_if(|first| first == "runtime-tools")
        .is_some();
    while let Some(argument) = arguments.next() {
        let (flag, inline) = match argument.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (argument.clone(), None),
        };
        match flag.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--list" => given.list = true,
            "--keep" => given.keep = true,
            "--systemd-cgroup" => given.systemd = true,
            _ => {
                let value = inline
                    .or_else(|| arguments.next())
                    .ok_or_else(|| format!("{flag} needs a value"))?;
                given.set(&flag, value)?;
            }
        }
    }
    if one_case {
        given.into_case().map(Command::OneCase)
    } else if attacks {
        given.into_suite().map(Command::Attacks)
    } else if runtime_tools {
        given.into_runtime_tools().map(Command::RuntimeTools)
    } else {
        given.into_suite().map(Command::Suite)
    }
}

#[derive(Default)]
struct Given {
    list: bool,
    systemd: bool,
    keep: bool,
    values: Vec<(String, String)>,
}

impl Given {
    fn set(&mut self, flag: &str, value: String) -> Result<(), String> {
        const KNOWN: [&str; 16] = [
            "--runtime",
            "--runtime-name",
            "--filter",
            "--jobs",
            "--junit",
            "--expected",
            "--name",
            "--tag",
            "--directory",
            "--template",
            "--outcome",
            "--proof",
            "--starts",
            "--patience",
            "--weaken",
            "--suite",
        ];
        if !KNOWN.contains(&flag) {
            return Err(format!("unknown argument {flag}\n{HELP}"));
        }
        self.values.push((flag.to_owned(), value));
        Ok(())
    }

    fn get(&self, flag: &str) -> Option<String> {
        self.values
            .iter()
            .rev()
            .find(|(name, _)| name == flag)
            .map(|(_, value)| value.clone())
    }

    fn need(&self, flag: &str) -> Result<String, String> {
        self.get(flag).ok_or_else(|| format!("{flag} is missing"))
    }

    fn count(&self, flag: &str, default: &str) -> Result<usize, String> {
        let text = self.get(flag).unwrap_or_else(|| default.to_owned());
        let number = text.parse().ok().filter(|number| *number > 0);
        number.ok_or_else(|| format!("{flag}: not a count: {text}"))
    }

    fn into_suite(self) -> Result<Options, String> {
        let runtime = match self.get("--runtime") {
            Some(path) => absolute(&path)?,
            None if self.list => PathBuf::new(),
            None => return Err(format!("--runtime is missing\n{HELP}")),
        };
        Ok(Options {
            proof: self
                .get("--proof")
                .map(|path| absolute(&path))
                .transpose()?,
            starts: self.count("--starts", "50")?,
            runtime_name: self
                .get("--runtime-name")
                .unwrap_or_else(|| name_of(&runtime)),
            runtime,
            filter: self.get("--filter").unwrap_or_default(),
            jobs: self.count("--jobs", "2")?,
            list: self.list,
            junit: self.get("--junit").map(PathBuf::from),
            expected: self.get("--expected").map(PathBuf::from),
            systemd: self.systemd,
            patience: self.count("--patience", "1")? as u32,
            keep: self.keep,
        })
    }

    fn into_runtime_tools(self) -> Result<RuntimeToolsOptions, String> {
        let runtime = absolute(&self.need("--runtime")?)?;
        Ok(RuntimeToolsOptions {
            suite: self.need("--suite")?.into(),
            runtime_name: self
                .get("--runtime-name")
                .unwrap_or_else(|| name_of(&runtime)),
            runtime,
            expected: self.need("--expected")?.into(),
            filter: self.get("--filter").unwrap_or_default(),
            jobs: self.count("--jobs", "4")?,
            keep: self.keep,
        })
    }

    fn into_case(self) -> Result<CaseOptions, String> {
        Ok(CaseOptions {
            name: self.need("--name")?,
            systemd: self.systemd,
            patience: self.count("--patience", "1")? as u32,
            runtime: self.need("--runtime")?.into(),
            runtime_name: self.need("--runtime-name")?,
            tag: self.need("--tag")?,
            directory: self.need("--directory")?.into(),
            template: self.need("--template")?.into(),
            outcome: self.need("--outcome")?.into(),
            starts: self.count("--starts", "1")?,
            weaken: self.get("--weaken").unwrap_or_default(),
        })
    }
}

/// A bare word is looked up in PATH as a shell does; anything else is a path.
fn absolute(path: &str) -> Result<PathBuf, String> {
    let found = if path.contains('/') {
        Path::new(path).canonicalize().ok()
    } else {
        std::env::var_os("PATH").and_then(|list| {
            std::env::split_paths(&list)
                .map(|d| d.join(path))
                .find(|p| p.is_file())
        })
    };
    // The file name decides which runtime a multi-call binary is: keep it, resolve only its directory.
    found
        .ok_or_else(|| format!("--runtime: no such program: {path}"))
        .map(|resolved| {
            let typed = Path::new(path);
            match (
                typed.parent().and_then(|parent| parent.canonicalize().ok()),
                typed.file_name(),
            ) {
                (Some(parent), Some(name)) if path.contains('/') => parent.join(name),
                _ => resolved,
            }
        })
}

fn name_of(runtime: &Path) -> String {
    let file = runtime
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    ["runc", "crun"]
        .into_iter()
        .find(|name| file.starts_with(name))
        .unwrap_or("trun")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_file() {
        assert_eq!(name_of(Path::new("/usr/bin/runc-1.3")), "runc");
        assert_eq!(name_of(Path::new("/opt/trun")), "trun");
    }

    #[test]
    fn unknown_flags_are_refused() {
        let error = parse(["--colour".to_owned(), "x".to_owned()].into_iter()).unwrap_err();
        assert!(error.contains("unknown argument --colour"), "{error}");
    }
}
