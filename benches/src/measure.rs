//! Runs one command under `measure` and reads the line that it wrote.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What one run of a command took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Wall time, nanoseconds, from before the vfork until the command was reaped.
    pub wall: u64,
    /// User time, microseconds.
    pub user: u64,
    /// System time, microseconds.
    pub system: u64,
    /// Peak resident memory, KiB.
    pub memory: u64,
    /// Exit status, 128 + signal number after a signal.
    pub status: i32,
}

/// The means to run commands.
pub struct Meter {
    program: PathBuf,
    out: PathBuf,
    log: File,
}

impl Meter {
    /// `program` is measure.c's; `log` collects what the commands print.
    pub fn new(program: &Path, work: &Path, log: &Path) -> Result<Meter, String> {
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(log)
            .map_err(|error| format!("{}: {error}", log.display()))?;
        Ok(Meter {
            program: program.to_owned(),
            out: work.join("measured"),
            log,
        })
    }

    /// Runs a command without measuring it, beside others; returns whether it succeeded.
    pub fn unmeasured(&self, program: &Path, arguments: &[&str]) -> Result<bool, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", program.display());
        let output = || self.log.try_clone().map(Stdio::from).map_err(failed);
        let status = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .status()
            .map_err(failed)?;
        Ok(status.success())
    }

    /// Runs the command once.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> Result<Cost, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.program.display());
        let output = || self.log.try_clone().map(Stdio::from).map_err(failed);
        let status = Command::new(&self.program)
            .arg(&self.out)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?)
            .status()
            .map_err(failed)?;
        if !status.success() {
            return Err(format!(
                "{} {}: {status}",
                self.program.display(),
                program.display()
            ));
        }
        let line = fs::read_to_string(&self.out).map_err(failed)?;
        parse(&line).ok_or_else(|| format!("{} wrote {line:?}", self.program.display()))
    }
}

fn parse(line: &str) -> Option<Cost> {
    let mut words = line.split_whitespace();
    let mut number = || words.next()?.parse().ok();
    let (wall, user, system, memory) = (number()?, number()?, number()?, number()?);
    let status = i32::try_from(number()?).ok()?;
    Some(Cost {
        wall,
        user,
        system,
        memory,
        status,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_five_numbers() {
        let cost = Cost {
            wall: 1,
            user: 2,
            system: 3,
            memory: 4,
            status: 137,
        };
        assert_eq!(parse("1 2 3 4 137\n"), Some(cost));
        assert_eq!(parse("1 2 3 4\n"), None);
        assert_eq!(parse("1 2 x 4 5\n"), None);
    }
}
