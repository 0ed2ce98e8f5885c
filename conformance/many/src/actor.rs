//! One call on the raced container: through the library in this process, or through trun.

use crate::bundle;
use crate::outcome::{End, Verb, classify};
use crate::process;
use crate::processes::trun;
use crate::threads::null_stdio;
use crate::world::World;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tare_runtime::{CreateOptions, Error, ExecOptions, RdtUpdate, Runtime, Signal};

/// What is called on which container.
pub struct Target<'a> {
    pub world: &'a World,
    pub id: &'a str,
    pub bundle: &'a Path,
}

/// A call with what is random in it.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub verb: Verb,
    pub signal: i32,
    pub through_trun: bool,
}

/// How it ended, and what it said.
pub struct Ended {
    pub end: End,
    pub message: String,
}

pub fn call(target: &Target<'_>, call: Call) -> Ended {
    let result = if call.through_trun {
        by_trun(target, call)
    } else {
        by_library(target, call)
    };
    match result {
        Ok(()) => Ended {
            end: End::Done,
            message: String::new(),
        },
        Err(message) => Ended {
            end: classify(&message),
            message,
        },
    }
}

fn by_library(target: &Target<'_>, call: Call) -> Result<(), String> {
    let runtime = target.world.runtime();
    let told = |error: Error| error.report();
    match call.verb {
        Verb::Create => create(target, &runtime),
        Verb::Start => runtime
            .load(target.id)
            .and_then(|mut container| container.start())
            .map_err(told),
        Verb::Kill => {
            let signal = Signal::from_number(call.signal).unwrap_or(Signal::KILL);
            runtime
                .load(target.id)
                .and_then(|container| container.kill(signal, false))
                .map_err(told)
        }
        Verb::Delete | Verb::DeleteForce => {
            let warnings = runtime
                .delete(target.id, call.verb == Verb::DeleteForce)
                .map_err(told)?;
            warnings
                .first()
                .map_or(Ok(()), |warning| Err(warning.report()))
        }
        Verb::State => {
            let state = runtime
                .load(target.id)
                .and_then(|container| container.state());
            whole(&serde_json::to_value(state.map_err(told)?).map_err(|error| error.to_string())?)
        }
        Verb::List => {
            let listing = runtime.list().map_err(told)?;
            if let Some(error) = listing.unusable.first() {
                return Err(format!("unusable: {}", error.report()));
            }
            for container in &listing.containers {
                let state = container.state().map_err(|error| error.report())?;
                whole(&serde_json::to_value(state).map_err(|error| error.to_string())?)?;
            }
            Ok(())
        }
        Verb::Exec => {
            let container = runtime.load(target.id).map_err(told)?;
            let options = ExecOptions {
                process: bundle::process(&["true"]),
                stdio: null_stdio()?,
                ..ExecOptions::default()
            };
            let process = container.exec(options).map_err(told)?;
            // It may be killed with its container, and then that is its end.
            process.wait().map(drop).map_err(told)
        }
        Verb::Pause => runtime
            .load(target.id)
            .and_then(|container| container.pause())
            .map_err(told),
        Verb::Resume => runtime
            .load(target.id)
            .and_then(|container| container.resume())
            .map_err(told),
        Verb::Update => {
            let resources = serde_json::from_str(UPDATE).map_err(|error| error.to_string())?;
            runtime
                .load(target.id)
                .and_then(|mut container| container.update(&resources, &RdtUpdate::default()))
                .map(drop)
                .map_err(told)
        }
    }
}

const UPDATE: &str = r#"{"pids":{"limit":32}}"#;

fn create(target: &Target<'_>, runtime: &Runtime) -> Result<(), String> {
    let options = CreateOptions {
        stdio: null_stdio()?,
        ..CreateOptions::default()
    };
    runtime
        .create(target.id, target.bundle, options)
        .map(drop)
        .map_err(|error| error.report())
}

fn by_trun(target: &Target<'_>, call: Call) -> Result<(), String> {
    let number = call.signal.to_string();
    let bundle = target.bundle.to_string_lossy();
    let words: Vec<&str> = match call.verb {
        Verb::Create => vec!["create", "--bundle", &bundle, target.id],
        Verb::Start => vec!["start", target.id],
        Verb::Kill => vec!["kill", target.id, &number],
        Verb::Delete => vec!["delete", target.id],
        Verb::DeleteForce => vec!["delete", "--force", target.id],
        Verb::State => vec!["state", target.id],
        Verb::List => vec!["list", "--format", "json"],
        Verb::Exec => vec!["exec", target.id, "true"],
        Verb::Pause => vec!["pause", target.id],
        Verb::Resume => vec!["resume", target.id],
        Verb::Update => vec!["update", "--pids-limit", "32", target.id],
    };
    let log = rustix::fs::memfd_create("log", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|errno| errno.to_string())?;
    let mut log = std::fs::File::from(log);
    let output = rustix::fs::memfd_create("output", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(|errno| errno.to_string())?;
    let mut output = std::fs::File::from(output);
    // Files: what a container inherits must keep no pipe of ours open.
    let hand = |file: &std::fs::File| file.try_clone().map(Stdio::from).map_err(|e| e.to_string());
    let mut child = trun(&target.world.options, &words)
        .stdout(hand(&output)?)
        .stderr(hand(&log)?)
        .spawn()
        .map_err(|error| error.to_string())?;
    let limit = Duration::from_secs(target.world.options.limit);
    let status = process::wait_child(&mut child, limit).ok_or("no end")?;
    let text = |file: &mut std::fs::File| {
        use std::io::{Read, Seek};
        let mut text = String::new();
        let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
        text
    };
    let (said, printed) = (text(&mut log), text(&mut output));
    let of_exec = call.verb == Verb::Exec && status.code().is_some_and(|code| code != 255);
    if !status.success() && !of_exec {
        return Err(format!("{status}: {said}"));
    }
    if !said.is_empty() {
        return Err(format!("it succeeded and said: {said}"));
    }
    match call.verb {
        Verb::State | Verb::List => {
            let value: serde_json::Value =
                serde_json::from_str(&printed).map_err(|error| format!("{error}: {printed}"))?;
            match value.as_array() {
                Some(all) => all.iter().try_for_each(whole),
                None => whole(&value),
            }
        }
        _ => Ok(()),
    }
}

/// A state document that is whole: only one that is being created may lack what `create` has yet to write.
pub fn whole(state: &serde_json::Value) -> Result<(), String> {
    let text = |key: &str| state[key].as_str().unwrap_or_default();
    let pid = state["pid"].as_i64().unwrap_or(-1);
    let status = text("status");
    let right = match status {
        "creating" => pid == 0,
        "stopped" => pid == 0,
        "created" | "running" | "paused" => pid > 0,
        _ => false,
    };
    let filled = status == "creating"
        || ["bundle", "rootfs", "created", "ociVersion"]
            .iter()
            .all(|key| !text(key).is_empty());
    if right && filled && !text("id").is_empty() {
        Ok(())
    } else {
        Err(format!("half a container: {state}"))
    }
}

#[cfg(test)]
mod tests {
    use super::whole;
    use serde_json::json;

    #[test]
    fn half_a_container_is_seen() {
        let full = json!({"ociVersion": "1", "id": "a", "pid": 0, "status": "stopped", "bundle": "/b", "rootfs": "/r", "created": "now"});
        assert!(whole(&full).is_ok());
        for (key, value) in [
            ("pid", json!(3)),
            ("bundle", json!("")),
            ("status", json!("odd")),
            ("id", json!("")),
        ] {
            let mut half = full.clone();
            half[key] = value;
            assert!(whole(&half).is_err(), "{half}");
        }
        assert!(whole(&json!({"id": "a", "pid": 0, "status": "creating"})).is_ok());
        assert!(whole(&json!({"id": "a", "pid": 0, "status": "running", "bundle": "/b"})).is_err());
    }
}
