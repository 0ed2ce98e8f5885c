//! Running other programs: what they print, or why they failed.

use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a program in `dir` with its output shown; an error names the command line.
pub fn run(
    dir: &Path,
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<(), String> {
    let status = command(dir, program, arguments, environment)
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {status}", arguments.join(" ")))
}

/// Runs a program in `dir` and returns its stdout; an error carries its stderr.
pub fn output(
    dir: &Path,
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<String, String> {
    let output = command(dir, program, arguments, environment)
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{program} {}: {}\n{stderr}",
        arguments.join(" "),
        output.status
    ))
}

/// The cargo that runs this xtask.
pub fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn command(dir: &Path, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(dir)
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    command
}
