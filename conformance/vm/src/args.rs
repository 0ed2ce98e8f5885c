//! What was typed.

use std::path::PathBuf;

pub const HELP: &str = "\
usage: vm --binaries DIR --guest DIR [options]

  --binaries DIR   programs for the guest: trun, conformance, the crates' tests
  --guest DIR      scripts for the guest
  --cache DIR      where kernels and userlands are kept (default /var/cache/tare-vm)
  --logs DIR       where the consoles are written (default target/vm)
  --filter TEXT    only scenarios whose name contains TEXT
  --cases TEXT     in each suite, only cases whose name contains TEXT
  --suites TEXT    only suites whose name contains TEXT
  --gate           only the gate's part
  --list           print the scenarios and stop
";

#[derive(Debug)]
pub enum Command {
    Run(Options),
    List,
    Help,
}

#[derive(Debug)]
pub struct Options {
    pub binaries: PathBuf,
    pub guest: PathBuf,
    pub cache: PathBuf,
    pub logs: PathBuf,
    pub filter: String,
    pub cases: String,
    pub suites: String,
    pub gate: bool,
}

pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = Options {
        binaries: PathBuf::new(),
        guest: PathBuf::new(),
        cache: "/var/cache/tare-vm".into(),
        logs: "target/vm".into(),
        filter: String::new(),
        cases: String::new(),
        suites: String::new(),
        gate: false,
    };
    while let Some(flag) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{flag} needs a value"))
        };
        match flag.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--list" => return Ok(Command::List),
            "--gate" => options.gate = true,
            "--binaries" => options.binaries = value()?.into(),
            "--guest" => options.guest = value()?.into(),
            "--cache" => options.cache = value()?.into(),
            "--logs" => options.logs = value()?.into(),
            "--filter" => options.filter = value()?,
            "--cases" => options.cases = value()?,
            "--suites" => options.suites = value()?,
            _ => return Err(format!("unknown argument {flag}\n{HELP}")),
        }
    }
    // It travels on the kernel's command line.
    if options
        .cases
        .contains(|c: char| !c.is_ascii_alphanumeric() && !"-_/.,".contains(c))
    {
        return Err("--cases: letters, digits and - _ / . , only".into());
    }
    for (flag, path) in [
        ("--binaries", &options.binaries),
        ("--guest", &options.guest),
    ] {
        if !path.is_dir() {
            return Err(format!("{flag}: no such directory: {:?}", path));
        }
    }
    Ok(Command::Run(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], expect: &str) {
        let error = parse(words.iter().map(|word| (*word).to_owned())).unwrap_err();
        assert!(error.starts_with(expect), "{error}");
    }

    #[test]
    fn wrong_arguments_are_named() {
        check(&["--colour"], "unknown argument --colour");
        check(&["--cases"], "--cases needs a value");
        check(&["--cases", "a b"], "--cases: letters");
        check(
            &["--binaries", "/nonexistent"],
            "--binaries: no such directory",
        );
    }
}
