//! A process that `exec` puts into a container is looked at by that container at each step of its way: it stands still there, and
//! the container's root tries to open it, to trace it, and to follow what it holds.

use super::ground::Ground;
use super::left::Before;
use super::parked;
use super::plans::{Plan, Verb, user_namespace};
use super::steps::Steps;
use crate::inspect::Report;
use crate::process;
use serde_json::json;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Who looks: a root without CAP_SYS_PTRACE, and one with it over a user namespace of its own. That capability of the initial
/// user namespace passes by whatever a process does about itself.
#[rustfmt::skip]
pub const ALL: [Plan; 2] = [
    Plan { name: "watched", verb: Verb::Exec, prepare: |_| {} },
    Plan { name: "watched-userns", verb: Verb::Exec, prepare: tracer },
];

fn tracer(g: &mut Ground) {
    user_namespace(g);
    let all = ["CAP_SYS_PTRACE", "CAP_KILL", "CAP_DAC_READ_SEARCH"];
    for set in ["bounding", "effective", "permitted", "inheritable"] {
        g.sandbox
            .spec
            .set(&format!("process.capabilities.{set}"), json!(all));
    }
}

pub fn run(ground: &mut Ground, tell: &mut dyn FnMut(&str, Result<(), String>)) {
    ground.make_target();
    ground.forget();
    // Without the defence the same looks must find something, or they would prove nothing.
    for weak in [false, true] {
        let (mut seen, mut harmed) = (0, 0);
        if weak {
            let weaken = ("TARE_WEAKEN".to_owned(), "dumpable".to_owned());
            ground.environment.push(weaken);
        }
        let steps = Steps::ask(ground);
        for (index, text) in steps.child.iter().enumerate() {
            let before = Before::now(ground);
            let result = catch_unwind(AssertUnwindSafe(|| {
                let found = at(ground, index + 1);
                let left = before.left(ground);
                assert!(left.is_empty(), "left: {}", left.join("; "));
                found
            }));
            let result = match result {
                Ok(found) => {
                    seen += usize::from(found.is_some());
                    let found = found.unwrap_or_default();
                    harmed += usize::from(!found.is_empty());
                    if found.is_empty() || weak {
                        Ok(())
                    } else {
                        Err(format!("the container got at it: {}", found.join(", ")))
                    }
                }
                Err(_) => {
                    before.restore(ground);
                    Err(crate::case::last_message())
                }
            };
            if !weak || result.is_err() {
                tell(&format!("at {} ({text})", index + 1), result);
            }
        }
        if weak {
            ground.environment.pop();
            tell(
                "without the defence it is got at",
                holds(harmed > 0, harmed),
            );
        } else {
            tell("the container sees it", holds(seen > 1, seen));
        }
    }
    ground.delete_by_force().ok();
}

fn holds(whether: bool, count: usize) -> Result<(), String> {
    whether
        .then_some(())
        .ok_or_else(|| format!("at {count} steps only"))
}

/// What the container got of it; `None` where it isn't in the container's pid namespace yet.
fn at(ground: &Ground, step: usize) -> Option<Vec<String>> {
    let fault = format!("child:{step}:die");
    let running = ground.make().env("TARE_FAULT", &fault).spawn();
    let pid = parked::find(&running, &ground.known.borrow()).expect("the fault did not strike");
    let found = inner_pid(pid).map(|inner| looks(ground, &inner));
    parked::kill(&running, &ground.known.borrow());
    running.finish(Duration::from_secs(20));
    let _ = fs::remove_file(ground.pid_file());
    ground.attend_end();
    found
}

fn inner_pid(pid: i32) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it stands still");
    let line = status.lines().find(|line| line.starts_with("NSpid:"))?;
    line.split_whitespace().nth(2).map(str::to_owned)
}

fn looks(ground: &Ground, pid: &str) -> Vec<String> {
    let mut probes: Vec<String> = (0..32)
        .map(|n| format!("stat:/proc/{pid}/fd/{n}"))
        .collect();
    for name in ["root/", "cwd/", "exe"] {
        probes.push(format!("stat:/proc/{pid}/{name}"));
    }
    for name in ["mem", "exe", "maps", "environ", "auxv", "ns/mnt", "ns/user"] {
        probes.push(format!("open:/proc/{pid}/{name}"));
    }
    probes.push(format!("openrw:/proc/{pid}/mem"));
    probes.push(format!("seize:{pid}"));
    let asked: Vec<&str> = probes.iter().map(String::as_str).collect();
    let words = ["exec", &ground.sandbox.id, "/inspect", "probe"];
    let output = ground.call(&[&words[..], &asked].concat()).run().ok();
    assert!(process::is_alive(ground.init.get()), "the container ended");
    let report = Report::parse(&output.stdout);
    let got = asked.into_iter().filter(|probe| report.errno(probe) == 0);
    got.map(str::to_owned).collect()
}
