//! A case: a named function that panics when an assertion fails. It runs in a process of its own.

use crate::args::CaseOptions;
use crate::leaks;
use crate::process;
use crate::sandbox::Sandbox;
use rustix::process::{Signal, getpid, set_child_subreaper};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;
use std::{fs, panic};

pub struct Case {
    /// `suite/what-it-shows`.
    pub name: String,
    pub run: fn(&mut Sandbox),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
    /// An attack did what it must not: a failure, but for a weakened plan, which shows with it that the attack is alive.
    Harmed(String),
}

/// Lists the functions of one suite as cases: `cases!("mounts": tmpfs_size)` is `mounts/tmpfs-size`.
macro_rules! cases {
    ($suite:literal: $($function:ident),* $(,)?) => {
        pub fn cases() -> Vec<$crate::case::Case> {
            vec![$($crate::case::Case {
                name: format!("{}/{}", $suite, stringify!($function).replace('_', "-")),
                run: $function,
            }),*]
        }
    };
}
pub(crate) use cases;

struct Skip(String);

/// Ends the case: this machine cannot show what it asks.
pub fn skip(reason: impl Into<String>) -> ! {
    panic_any(Skip(reason.into()))
}

struct Harm(String);

/// Ends an attack: it succeeded.
pub fn harm(what: impl Into<String>) -> ! {
    panic_any(Harm(what.into()))
}

static MESSAGE: Mutex<String> = Mutex::new(String::new());

/// Runs one case, cleans up whatever happens, and writes the outcome for the runner.
pub fn run_in_this_process(options: &CaseOptions) -> ExitCode {
    crate::process::be_patient(options.patience);
    set_child_subreaper(Some(getpid())).expect("prctl(PR_SET_CHILD_SUBREAPER) always works");
    remember_messages();
    let Some(case) = crate::suites::all()
        .into_iter()
        .chain(crate::cve::cases())
        .find(|case| case.name == options.name)
    else {
        eprintln!("conformance: no case {}", options.name);
        return ExitCode::from(2);
    };
    let verdict = run(&case, options);
    let written = fs::write(&options.outcome, encode(&verdict).to_string());
    written.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

/// From here on a panic is not printed but kept for `last_message`.
pub fn remember_messages() {
    panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map(|at| format!(" ({}:{})", at.file(), at.line()))
            .unwrap_or_default();
        let text = info.payload_as_str().unwrap_or("panic without a message");
        *MESSAGE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = format!("{text}{place}");
    }));
}

/// What the last panic said.
pub fn last_message() -> String {
    MESSAGE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .clone()
}

fn run(case: &Case, options: &CaseOptions) -> Verdict {
    let descriptors = leaks::descriptors();
    let mut sandbox = match catch_unwind(|| Sandbox::new(options)) {
        Ok(sandbox) => sandbox,
        Err(payload) => return verdict_of(payload.as_ref()),
    };
    let ended = catch_unwind(AssertUnwindSafe(|| (case.run)(&mut sandbox)));
    let verdict = ended.map_or_else(|payload| verdict_of(payload.as_ref()), |()| Verdict::Passed);
    if matches!(verdict, Verdict::Harmed(_)) {
        // An attack that got through ends where it stands; its containers may wait for each other's ends.
        for pid in process::descendants(std::process::id() as i32) {
            process::kill(pid, Signal::KILL);
        }
        process::eventually(Duration::from_secs(2), || {
            process::reap_all();
            process::descendants(std::process::id() as i32).is_empty()
        });
    }
    let left =
        catch_unwind(AssertUnwindSafe(|| sandbox.finish(descriptors))).unwrap_or_else(|_| {
            vec![
                MESSAGE
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner())
                    .clone(),
            ]
        });
    match (verdict, left.is_empty()) {
        (verdict, true) => verdict,
        // What an attack that got through has left is part of the harm.
        (Verdict::Harmed(message), false) => Verdict::Harmed(message),
        (Verdict::Failed(message), false) => {
            Verdict::Failed(format!("{message}\nleft: {}", left.join("\nleft: ")))
        }
        (_, false) => Verdict::Failed(format!("left: {}", left.join("\nleft: "))),
    }
}

fn verdict_of(payload: &(dyn std::any::Any + Send)) -> Verdict {
    if let Some(Harm(what)) = payload.downcast_ref::<Harm>() {
        return Verdict::Harmed(what.clone());
    }
    match payload.downcast_ref::<Skip>() {
        Some(Skip(reason)) => Verdict::Skipped(reason.clone()),
        None => Verdict::Failed(
            MESSAGE
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .clone(),
        ),
    }
}

fn encode(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Passed => json!({"verdict": "passed"}),
        Verdict::Failed(message) => json!({"verdict": "failed", "message": message}),
        Verdict::Skipped(reason) => json!({"verdict": "skipped", "message": reason}),
        Verdict::Harmed(what) => json!({"verdict": "harmed", "message": what}),
    }
}

/// Reads what `run_in_this_process` wrote; None when there is nothing whole.
pub fn decode(text: &str) -> Option<Verdict> {
    let value: Value = serde_json::from_str(text).ok()?;
    let message = || value["message"].as_str().unwrap_or_default().to_owned();
    match value["verdict"].as_str()? {
        "passed" => Some(Verdict::Passed),
        "failed" => Some(Verdict::Failed(message())),
        "skipped" => Some(Verdict::Skipped(message())),
        "harmed" => Some(Verdict::Harmed(message())),
        _ => None,
    }
}
