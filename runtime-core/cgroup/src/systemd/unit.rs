//! Calls to systemd's manager: start, change and stop a transient unit.
use super::bus::{Bus, CallError};
use super::message::Message;
use super::{Property, Scope, Value};
use crate::Error;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
/// Every systemd that is met in the field has the properties of this version.
const BASE_VERSION: u32 = 241;

/// Starts the scope with the process in it and waits until systemd has done so.
///
/// A unit of that name that is left over in failed state is reset, once.
pub(crate) fn start(scope: &Scope, pid: u32) -> Result<(), Error> {
    const CALL: &str = "StartTransientUnit";
    let mut bus = Bus::connect(&scope.address)?;
    let version = version_for(&mut bus, &scope.properties);
    let mut properties = properties(&scope.properties, version);
    properties.push(property(
        "PIDs",
        Value::Array("u".into(), vec![Value::U32(pid)]),
    ));
    listen(&mut bus).map_err(|error| error.about(CALL, &scope.unit))?;
    let body = || {
        let aux = Value::Array("(sa(sv))".into(), Vec::new());
        vec![
            text(&scope.unit),
            text("replace"),
            Value::Array("(sv)".into(), properties.clone()),
            aux,
        ]
    };
    let mut answer = bus.call(SYSTEMD, PATH, MANAGER, CALL, body());
    if let Err(error) = &answer
        && error.is("org.freedesktop.systemd1.UnitExists")
    {
        let _ = reset(&mut bus, &scope.unit);
        answer = bus.call(SYSTEMD, PATH, MANAGER, CALL, body());
    }
    let job = job_of(answer.map_err(|error| error.about(CALL, &scope.unit))?);
    let result = wait_job(&mut bus, &job).map_err(|error| error.about(CALL, &scope.unit))?;
    if result != "done" {
        let _ = reset(&mut bus, &scope.unit);
        return Err(Error::Systemd {
            call: CALL,
            unit: scope.unit.clone(),
            why: format!("error creating systemd unit: got {result:?}"),
        });
    }
    Ok(())
}

/// Changes properties of a running unit, until it stops.
pub(crate) fn set_properties(address: &str, unit: &str, changed: &[Property]) -> Result<(), Error> {
    if changed.is_empty() {
        return Ok(());
    }
    let mut bus = Bus::connect(address)?;
    let version = version_for(&mut bus, changed);
    let body = vec![
        text(unit),
        Value::Bool(true),
        Value::Array("(sv)".into(), properties(changed, version)),
    ];
    bus.call(SYSTEMD, PATH, MANAGER, "SetUnitProperties", body)
        .map(drop)
        .map_err(|error| error.about("SetUnitProperties", unit))
}

/// Moves a process into a unit, below its cgroup where `below` isn't empty.
pub(crate) fn attach(address: &str, unit: &str, below: &str, pid: u32) -> Result<(), Error> {
    let mut bus = Bus::connect(address)?;
    let pids = Value::Array("u".into(), vec![Value::U32(pid)]);
    let body = vec![
        text(unit),
        text(&format!("/{}", below.trim_matches('/'))),
        pids,
    ];
    bus.call(SYSTEMD, PATH, MANAGER, "AttachProcessesToUnit", body)
        .map(drop)
        .map_err(|error| error.about("AttachProcessesToUnit", unit))
}

/// Stops the unit and forgets it; one that is gone already is fine.
pub(crate) fn stop(address: &str, unit: &str) -> Result<(), Error> {
    const CALL: &str = "StopUnit";
    let mut bus = Bus::connect(address)?;
    listen(&mut bus).map_err(|error| error.about(CALL, unit))?;
    let outcome = match bus.call(
        SYSTEMD,
        PATH,
        MANAGER,
        CALL,
        vec![text(unit), text("replace")],
    ) {
        Ok(answer) => wait_job(&mut bus, &job_of(answer))
            .map(drop)
            .map_err(|error| error.about(CALL, unit)),
        Err(error) if error.is("org.freedesktop.systemd1.NoSuchUnit") => Ok(()),
        Err(error) => Err(error.about(CALL, unit)),
    };
    // A failed unit stays until it is reset; one that isn't failed or isn't there gives an error that says nothing new.
    let _ = reset(&mut bus, unit);
    outcome
}

fn reset(bus: &mut Bus, unit: &str) -> Result<(), CallError> {
    bus.call(SYSTEMD, PATH, MANAGER, "ResetFailedUnit", vec![text(unit)])
        .map(drop)
}

/// systemd sends JobRemoved only while somebody is subscribed.
fn listen(bus: &mut Bus) -> Result<(), CallError> {
    let rule = format!("type='signal',interface='{MANAGER}',member='JobRemoved',path='{PATH}'");
    bus.tell(
        "org.freedesktop.DBus",
        "/org/freedesktop/DBus",
        "org.freedesktop.DBus",
        "AddMatch",
        vec![text(&rule)],
    )?;
    bus.tell(SYSTEMD, PATH, MANAGER, "Subscribe", Vec::new())
}

fn job_of(answer: Vec<Value>) -> String {
    match answer.into_iter().next() {
        Some(Value::Path(path)) => path,
        _ => String::new(),
    }
}

/// JobRemoved(u id, o job, s unit, s result); gives the result.
fn wait_job(bus: &mut Bus, job: &str) -> Result<String, CallError> {
    bus.wait_signal(
        |message: &Message| match (message.member.as_str(), message.body.as_slice()) {
            ("JobRemoved", [_, Value::Path(path), _, Value::Text(result)]) if path == job => {
                Some(result.clone())
            }
            _ => None,
        },
    )
}

/// Asked only when a property depends on it. A manager that doesn't say is taken for an old one.
fn version_for(bus: &mut Bus, wanted: &[Property]) -> u32 {
    if wanted.iter().all(|property| property.since <= BASE_VERSION) {
        return BASE_VERSION;
    }
    let body = vec![text(MANAGER), text("Version")];
    match bus
        .call(
            SYSTEMD,
            PATH,
            "org.freedesktop.DBus.Properties",
            "Get",
            body,
        )
        .map(|answer| answer.into_iter().next())
    {
        Ok(Some(Value::Variant(value))) => match *value {
            Value::Text(version) => parse_version(&version),
            _ => BASE_VERSION,
        },
        _ => BASE_VERSION,
    }
}

/// `v245.4-1.fc32`, `252`, `"v249"`.
fn parse_version(text: &str) -> u32 {
    let digits = text.trim_start_matches(['"', 'v']);
    let end = digits
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(BASE_VERSION)
}

fn properties(wanted: &[Property], version: u32) -> Vec<Value> {
    wanted
        .iter()
        .filter(|wanted| wanted.since <= version)
        .map(|wanted| property(&wanted.name, wanted.value.clone()))
        .collect()
}

fn property(name: &str, value: Value) -> Value {
    Value::Struct(vec![text(name), Value::Variant(Box::new(value))])
}

fn text(text: &str) -> Value {
    Value::Text(text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, expect) in [
            ("v245.4-1.fc32", 245),
            ("252", 252),
            ("\"v249\"", 249),
            ("252.22-1~deb12u1", 252),
            ("", 241),
            ("x", 241),
        ] {
            assert_eq!(parse_version(text), expect, "{text}");
        }
    }
}
