//! `tare history`.

use super::images::{Image, must_find};
use super::print;
use crate::cli::History;
use crate::failure::Failure;
use crate::format::{since, size, table};
use crate::place::Place;

/// Letters of a command that are shown.
const SHOWN: usize = 45;

pub fn run(place: &Place, words: &History) -> Result<(), Failure> {
    let store = place.store()?;
    let (_, to) = must_find(&store, &words.image)?;
    let image = Image::load(&store, &to)?;
    let mut diff_ids = image.config.rootfs.diff_ids.iter();
    let mut rows = Vec::new();
    for step in &image.config.history {
        let layer = if step.empty_layer {
            None
        } else {
            diff_ids.next()
        };
        let bytes = match layer {
            Some(diff_id) => store.layer(*diff_id)?.map_or(0, |meta| meta.bytes),
            None => 0,
        };
        let mut command = step.created_by.clone().unwrap_or_default();
        if !words.no_trunc && command.chars().count() > SHOWN {
            command = command.chars().take(SHOWN - 1).collect::<String>() + "…";
        }
        let comment = step
            .other
            .get("comment")
            .and_then(|comment| comment.as_str())
            .unwrap_or_default();
        rows.push(vec![
            "<missing>".to_owned(),
            since(step.created.as_deref()),
            command,
            size(bytes),
            comment.to_owned(),
        ]);
    }
    rows.reverse();
    let id = if words.no_trunc {
        to.config.to_string()
    } else {
        to.config.short()
    };
    match rows.first_mut() {
        Some(first) => first[0] = id,
        None => rows.push(vec![
            id,
            since(image.config.created.as_deref()),
            String::new(),
            size(image.bytes(&store)),
            String::new(),
        ]),
    }
    if words.quiet {
        return print(
            &rows
                .iter()
                .map(|row| format!("{}\n", row[0]))
                .collect::<String>(),
        );
    }
    rows.insert(
        0,
        ["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]
            .map(str::to_owned)
            .to_vec(),
    );
    print(&table(&rows))
}
