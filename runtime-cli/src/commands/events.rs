//! `events`: statistics at intervals and out-of-memory events, one JSON object a line, until the container is gone.
use super::{Context, id};
use crate::args::Matches;
use crate::error::Failure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::{Duration, Instant};
use tare_runtime::{Container, OomEvent, OomWatch, Status};

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    let container = context.container(matches)?;
    let interval = interval(matches.value("interval").unwrap_or("5s"))?;
    if container.status()? == Status::Stopped {
        return Err(Failure::new(format!(
            "container with id {} is not running",
            id(matches)
        )));
    }
    if matches.has("stats") {
        return crate::print(&stats(&container)?);
    }
    watch(&container, interval)
}

fn watch(container: &Container, interval: Duration) -> Result<u8, Failure> {
    let pidfd = container.pidfd()?;
    // A container without memory cgroup has statistics all the same.
    let mut oom = container.events().ok();
    let mut next = Instant::now() + interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let mut fds = vec![PollFd::new(&pidfd, PollFlags::IN)];
        fds.extend(oom.as_ref().map(|oom| PollFd::new(oom, PollFlags::IN)));
        let timeout = Timespec {
            tv_sec: left.as_secs().cast_signed(),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Failure::system("poll", errno)),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if ready.get(1) == Some(&true) && !report_oom(container, &mut oom)? {
            return Ok(0);
        }
        if ready.first() == Some(&true) {
            return Ok(0);
        }
        if Instant::now() >= next {
            crate::print(&stats(container)?)?;
            next += interval;
        }
    }
}

/// Prints what has happened; false when nothing more will.
fn report_oom(container: &Container, oom: &mut Option<OomWatch>) -> Result<bool, Failure> {
    let Some(watch) = oom else { return Ok(true) };
    match watch
        .read()
        .map_err(|error| Failure::new(error.to_string()))?
    {
        Some(OomEvent::Oom) => {
            crate::print(&line(
                &serde_json::json!({"type": "oom", "id": container.id()}),
            ))?;
        }
        Some(OomEvent::Gone) => return Ok(false),
        None => {}
    }
    Ok(true)
}

fn stats(container: &Container) -> Result<String, Failure> {
    let fail = |error: serde_json::Error| Failure::new(error.to_string());
    let mut data = serde_json::to_value(container.stats()?).map_err(fail)?;
    // runc's document has these whether or not there is anything to say.
    data["intel_rdt"] = serde_json::json!({});
    data["network_interfaces"] = serde_json::Value::Null;
    Ok(line(
        &serde_json::json!({"type": "stats", "id": container.id(), "data": data}),
    ))
}

fn line(value: &serde_json::Value) -> String {
    format!("{value}\n")
}

/// Go's durations as far as people write them: `5s`, `500ms`, `1m30s`.
fn interval(text: &str) -> Result<Duration, Failure> {
    parse_duration(text).filter(|duration| !duration.is_zero()).ok_or_else(|| {
        Failure::new(format!("duration interval must be greater than 0: invalid value {text:?} for flag -interval"))
    })
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let value: f64 = rest[..number].parse().ok()?;
        let after = &rest[number..];
        let unit = after
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(after.len());
        let seconds = match &after[..unit] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total += value * seconds;
        rest = &after[unit..];
    }
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go() {
        for (text, expect) in [
            ("5s", Some(5000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("0.5s", Some(500)),
            ("1h", Some(3_600_000)),
            ("5", None),
            ("s", None),
            ("-5s", None),
            ("5x", None),
        ] {
            assert_eq!(
                parse_duration(text),
                expect.map(Duration::from_millis),
                "{text}"
            );
        }
        assert!(interval("0s").is_err() && interval("").is_err());
    }
}
