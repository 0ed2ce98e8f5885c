//! A case: a named function that panics when an assertion fails. It runs in a process of its own.

use crate::args::CaseOptions;
use crate::lab::Lab;
use rustix::process::{getpid, set_child_subreaper};
use serde_json::{Value, json};
use std::fs;
use std::panic::{self, AssertUnwindSafe, catch_unwind, panic_any};
use std::process::ExitCode;
use std::sync::Mutex;

pub struct Case {
    /// `group/what-it-shows`.
    pub name: String,
    pub run: fn(&mut Lab),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Lists the functions of one file as cases: `cases!("task": start_twice)` is `task/start-twice`.
macro_rules! cases {
    ($group:literal: $($function:ident),* $(,)?) => {
        pub fn cases() -> Vec<$crate::case::Case> {
            vec![$($crate::case::Case {
                name: format!("{}/{}", $group, stringify!($function).replace('_', "-")),
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

static MESSAGE: Mutex<String> = Mutex::new(String::new());

/// Runs one case, cleans up whatever happens, and writes the outcome for the runner.
pub fn run_in_this_process(options: CaseOptions) -> ExitCode {
    // Shims leave their caller; here they stay among the case's descendants.
    set_child_subreaper(Some(getpid())).expect("prctl(PR_SET_CHILD_SUBREAPER) always works");
    crate::reaper::begin();
    remember_messages();
    let mut all = crate::cases::all().into_iter();
    let Some(case) = all.find(|case| case.name == options.name) else {
        eprintln!("shim-conformance: no case {}", options.name);
        return ExitCode::from(2);
    };
    let outcome = options.outcome.clone();
    let verdict = run(&case, options);
    let written = fs::write(outcome, encode(&verdict).to_string());
    written.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn run(case: &Case, options: CaseOptions) -> Verdict {
    let mut lab = match catch_unwind(|| Lab::new(options)) {
        Ok(lab) => lab,
        Err(payload) => return verdict(payload.as_ref()),
    };
    let ended = catch_unwind(AssertUnwindSafe(|| (case.run)(&mut lab)));
    let verdict = ended.map_or_else(|payload| verdict(payload.as_ref()), |()| Verdict::Passed);
    let log = lab.log();
    let left = catch_unwind(AssertUnwindSafe(|| lab.finish()));
    let left = left.unwrap_or_else(|_| vec![last_message()]);
    match (verdict, left.is_empty()) {
        (Verdict::Failed(message), true) => Verdict::Failed(message + &log),
        (verdict, true) => verdict,
        (Verdict::Failed(message), false) => {
            Verdict::Failed(format!("{message}\nleft: {}{log}", left.join("\nleft: ")))
        }
        (_, false) => Verdict::Failed(format!("left: {}{log}", left.join("\nleft: "))),
    }
}

/// From here on a panic is not printed but kept.
fn remember_messages() {
    panic::set_hook(Box::new(|info| {
        let place = info.location();
        let place = place.map(|at| format!(" ({}:{})", at.file(), at.line()));
        let text = info.payload_as_str().unwrap_or("panic without a message");
        *MESSAGE
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) =
            format!("{text}{}", place.unwrap_or_default());
    }));
}

fn last_message() -> String {
    MESSAGE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .clone()
}

fn verdict(payload: &(dyn std::any::Any + Send)) -> Verdict {
    match payload.downcast_ref::<Skip>() {
        Some(Skip(reason)) => Verdict::Skipped(reason.clone()),
        None => Verdict::Failed(last_message()),
    }
}

fn encode(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Passed => json!({"verdict": "passed"}),
        Verdict::Failed(message) => json!({"verdict": "failed", "message": message}),
        Verdict::Skipped(reason) => json!({"verdict": "skipped", "message": reason}),
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
        _ => None,
    }
}
