//! `list`: the containers under the root.
use super::{Context, state};
use crate::args::Matches;
use crate::error::Failure;
use std::fmt::Write;

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    let format = matches.value("format").unwrap_or("table");
    if !matches!(format, "table" | "json" | "") {
        return Err(Failure::new(format!(
            "invalid format option {format:?}: must be table or json"
        )));
    }
    let listing = context.runtime.list()?;
    listing
        .unusable
        .iter()
        .for_each(|error| context.log.warning(&error.report()));
    if matches.has("quiet") {
        let ids: String = listing
            .containers
            .iter()
            .map(|container| format!("{}\n", container.id()))
            .collect();
        return crate::print(&ids);
    }
    let mut states = Vec::new();
    for container in &listing.containers {
        match state::of(container) {
            Ok(state) => states.push(state),
            Err(failure) => context.log.warning(&failure.message),
        }
    }
    if format == "json" {
        let text =
            serde_json::to_string(&states).map_err(|error| Failure::new(error.to_string()))?;
        return crate::print(&format!("{text}\n"));
    }
    let rows = states.into_iter().map(|state| {
        [
            state.id,
            state.pid.to_string(),
            state.status.to_owned(),
            state.bundle,
            state.created,
            state.owner,
        ]
    });
    crate::print(&table(
        &["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"],
        rows.collect(),
    ))
}

/// Columns as wide as their widest cell and three spaces.
fn table(head: &[&str; 6], rows: Vec<[String; 6]>) -> String {
    let mut text = String::new();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].len())
            .chain([head[column].len()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let lines = std::iter::once(head.map(str::to_owned)).chain(rows.iter().cloned());
    for line in lines {
        let cells: Vec<_> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        let _ = writeln!(text, "{}", cells.join("   ").trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_line_up() {
        let row = ["c1", "42", "running", "/b", "now", "root"].map(str::to_owned);
        let text = super::table(
            &["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"],
            vec![row],
        );
        assert_eq!(
            text,
            "ID   PID   STATUS    BUNDLE   CREATED   OWNER\nc1   42    running   /b       now       root\n"
        );
    }
}
