//! Golden plans: a spec and a host in, the rendered plan (or the refusal) out; no root, no kernel, milliseconds.
//!
//! `goldens/NAME.HOST.txt` is a case: lines `key: value` (a `#` line says why the case exists), then `---`, then what the planner
//! answers. Keys: `base` (a spec of `support`), `patch` (a JSON merge patch of it), `options` (words of `support::options`), and
//! for a case of `exec`: `process` (the document), and `into` (the container's namespaces by name, comma-separated).
//! `TARE_BLESS=1` writes the answers anew. Arguments are parts of the names of the cases to run.
mod support;

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tare_runtime::plan::ir::Namespaces;
use tare_runtime::plan::{ExecTarget, check, plan, plan_exec};

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let bless = std::env::var_os("TARE_BLESS").is_some();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let mut failures = 0;
    let mut cases = 0;
    for path in files(&directory) {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        cases += 1;
        if let Err(text) = run(&path, &name, bless) {
            failures += 1;
            println!("{name}: {text}");
        }
    }
    println!("{cases} goldens, {failures} differ");
    if failures == 0 && (cases > 0 || !filters.is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
}

fn run(path: &Path, name: &str, bless: bool) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let (input, expect) = text.split_once("---\n").ok_or("no line ---")?;
    let answer = answer(input, name)?;
    if bless {
        return std::fs::write(path, format!("{input}---\n{answer}"))
            .map_err(|error| error.to_string());
    }
    if answer == expect {
        Ok(())
    } else {
        Err(difference(expect, &answer))
    }
}

fn answer(input: &str, name: &str) -> Result<String, String> {
    let host = name
        .split('.')
        .nth(1)
        .ok_or("the name is not NAME.HOST.txt")?;
    let facts = support::host(host).ok_or(format!("{host}: no such host"))?;
    let keys: BTreeMap<&str, &str> = input
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .collect();
    let options = support::options(keys.get("options").copied().unwrap_or_default())?;
    let base = keys.get("base").copied().unwrap_or("minimal");
    let mut spec = support::base(base).ok_or(format!("{base}: no such base"))?;
    if let Some(patch) = keys.get("patch") {
        let patch: Value =
            serde_json::from_str(patch).map_err(|error| format!("patch: {error}"))?;
        support::merge(&mut spec, &patch);
    }
    let spec = match tare_runtime::config::load(spec.to_string().as_bytes()) {
        Ok(spec) => spec,
        Err(error) => return Ok(format!("refused {error}\n")),
    };
    let planned = match keys.get("process") {
        None => plan(&spec, &facts, &options),
        Some(process) => {
            let process = tare_runtime::config::load_process(process.as_bytes())
                .map_err(|error| error.to_string())?;
            let into = keys.get("into").copied().unwrap_or("pid,mount");
            let namespaces = into
                .split(',')
                .filter_map(Namespaces::by_name)
                .fold(Namespaces::default(), Namespaces::with);
            let cgroups = [String::new()];
            let linux = spec.linux.unwrap_or_default();
            let target = ExecTarget {
                pid: 4711,
                namespaces,
                linux: &linux,
                cgroups: &cgroups,
                into_cgroup: true,
            };
            plan_exec(&process, &target, &facts, &options)
        }
    };
    let planned = match planned {
        Ok(planned) => planned,
        Err(error) => return Ok(format!("refused {error}\n")),
    };
    match check(&planned) {
        Ok(()) => Ok(planned.to_string()),
        Err(flaw) => Err(format!("{flaw}\n{planned}")),
    }
}

fn difference(expect: &str, answer: &str) -> String {
    let mut text = "differs:\n".to_owned();
    let (mut old, mut new) = (expect.lines(), answer.lines());
    loop {
        match (old.next(), new.next()) {
            (None, None) => return text,
            (old, new) if old == new => {}
            (old, new) => {
                for (sign, line) in [('-', old), ('+', new)] {
                    if let Some(line) = line {
                        text.push_str(&format!("  {sign} {line}\n"));
                    }
                }
            }
        }
    }
}
