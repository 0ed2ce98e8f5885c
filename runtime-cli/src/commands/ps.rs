//! `ps`: the container's processes, as a list of pids or through the host's ps.
use super::Context;
use crate::args::Matches;
use crate::error::Failure;
use std::process::{Command, Stdio};

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    let pids = context.container(matches)?.processes()?;
    match matches.value("format").unwrap_or("table") {
        "json" => {
            let text =
                serde_json::to_string(&pids).map_err(|error| Failure::new(error.to_string()))?;
            crate::print(&format!("{text}\n"))
        }
        "table" | "" => table(&pids, matches.operands.get(1..).unwrap_or_default()),
        other => Err(Failure::new(format!(
            "invalid format option {other:?}: must be table or json"
        ))),
    }
}

fn table(pids: &[i32], options: &[String]) -> Result<u8, Failure> {
    let default = ["-ef".to_owned()];
    let options = if options.is_empty() {
        &default
    } else {
        options
    };
    // The host's ps reads the host's /proc; nothing of the container's is executed.
    let output = Command::new("ps")
        .args(options)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            Failure::file("run", "ps", &error).hint("install procps, or use --format json")
        })?;
    if !output.status.success() {
        return Err(Failure::new(format!(
            "ps {}: {}",
            options.join(" "),
            output.status
        )));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    crate::print(&filter(&text, pids)?)
}

/// The head line and those of the container's processes, pure.
fn filter(text: &str, pids: &[i32]) -> Result<String, Failure> {
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let column = head
        .split_whitespace()
        .position(|title| title == "PID")
        .ok_or_else(|| {
            Failure::new("couldn't find PID field in ps output")
                .hint("let the options print the column PID")
        })?;
    let of_container = |line: &&str| {
        let pid = line
            .split_whitespace()
            .nth(column)
            .and_then(|text| text.parse::<i32>().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let kept = std::iter::once(head).chain(lines.filter(of_container));
    Ok(kept.map(|line| format!("{line}\n")).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_of_other_processes_go() {
        let text = "UID        PID  PPID CMD\nroot         1     0 init\nroot        42     1 sleep 42\nroot        43     1 x 42\n";
        assert_eq!(
            super::filter(text, &[42]).unwrap(),
            "UID        PID  PPID CMD\nroot        42     1 sleep 42\n"
        );
        assert!(super::filter("CMD\nx\n", &[1]).is_err());
    }
}
