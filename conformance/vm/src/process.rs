//! Runs a tool of the host to its end.

use std::process::{Command, Stdio};

/// Runs it; its stderr is the error's text.
pub fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    output(program, arguments).map(drop)
}

/// Runs it and gives its stdout.
pub fn output(program: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program} did not start: {error}"))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(15)..].join("\n");
    Err(format!(
        "{program} {}: {}\n{last}",
        arguments.join(" "),
        output.status
    ))
}

pub fn text(program: &str, arguments: &[&str]) -> Result<String, String> {
    Ok(String::from_utf8_lossy(&output(program, arguments)?).into_owned())
}
