//! `tare ps`.

use super::print;
use crate::cli::Ps;
use crate::containers::{self, Found, State};
use crate::failure::Failure;
use crate::format::{since, table, wants_json};
use crate::place::Place;
use tare_runtime::Runtime;

pub fn run(place: &Place, words: &Ps) -> Result<(), Failure> {
    let json = wants_json(words.format.as_deref())?;
    let runtime = place.runtime();
    let mut complain = |failure: Failure| eprintln!("tare: {}", failure.message);
    let all = containers::list(place, &mut complain)?;
    let head = [
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "CREATED",
        "STATUS",
        "NAMES",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut lines = String::new();
    for found in &all {
        let state = found.state(&runtime)?;
        if !words.all && !matches!(state, State::Running | State::Paused) {
            continue;
        }
        let record = &found.record;
        let id = if words.no_trunc {
            &record.id
        } else {
            &record.id[..12]
        };
        let command = command(found, words.no_trunc);
        let status = status(found, state);
        let name = record.name.clone().unwrap_or_default();
        if words.quiet {
            lines += &format!("{id}\n");
        } else if json {
            let line = serde_json::json!({
                "ID": id, "Image": record.image, "Command": command, "CreatedAt": record.created,
                "Status": status, "State": word(state), "Names": name,
            });
            lines += &format!("{line}\n");
        } else {
            let created = since(Some(&record.created));
            rows.push(vec![
                id.to_owned(),
                record.image.clone(),
                command,
                created,
                status,
                name,
            ]);
        }
    }
    if !words.quiet && !json {
        lines = table(&rows);
    }
    print(&lines)
}

fn command(found: &Found, whole: bool) -> String {
    let config = &found.record.config;
    let words: Vec<&str> = config
        .entrypoint
        .iter()
        .chain(&config.cmd)
        .map(String::as_str)
        .collect();
    let text: String = words.join(" ").escape_debug().collect();
    if whole || text.chars().count() <= 20 {
        return format!("\"{text}\"");
    }
    let short: String = text.chars().take(19).collect();
    format!("\"{short}…\"")
}

fn word(state: State) -> &'static str {
    match state {
        State::Created => "created",
        State::Running => "running",
        State::Paused => "paused",
        State::Exited => "exited",
    }
}

fn status(found: &Found, state: State) -> String {
    match (state, &found.record.finished) {
        (State::Exited, Some(finished)) => {
            let status = finished
                .status
                .map_or("unknown".to_owned(), |status| status.to_string());
            format!("Exited ({status}) {}", since(Some(&finished.at)))
        }
        (State::Exited, None) => "Exited (unknown)".to_owned(),
        (State::Created, _) => "Created".to_owned(),
        (State::Running, _) => "Up".to_owned(),
        (State::Paused, _) => "Up (Paused)".to_owned(),
    }
}

impl Place {
    /// The runtime whose state is in the run directory.
    pub fn runtime(&self) -> Runtime {
        Runtime::new(self.run.join("runtime"))
    }
}
