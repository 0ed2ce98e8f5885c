//! `tare image referrers`: of what the registry has, not the store.

use super::print;
use crate::cli::Referrers;
use crate::failure::Failure;
use crate::format::{size, table, wants_json};
use crate::place::registry_settings;
use tare_image::Reference;
use tare_image::registry::Client;

pub fn run(words: &Referrers) -> Result<(), Failure> {
    let json = wants_json(words.format.as_deref())?;
    let reference: Reference = words.image.parse()?;
    let client = Client::new(registry_settings());
    let subject = match reference.digest() {
        Some(digest) => digest,
        None => client.manifest(&reference)?.descriptor.digest,
    };
    let found = client.referrers(&reference, subject, words.artifact_type.as_deref())?;
    if json {
        let mut lines = String::new();
        for descriptor in &found {
            lines += &serde_json::to_string(descriptor)?;
            lines.push('\n');
        }
        return print(&lines);
    }
    let mut rows = vec![
        ["DIGEST", "ARTIFACT TYPE", "SIZE"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(found.iter().map(|descriptor| {
        // A registry's words must not move a terminal's cursor.
        let kind = descriptor.artifact_type().unwrap_or("<none>").chars();
        vec![
            descriptor.digest.to_string(),
            kind.filter(|letter| !letter.is_control()).collect(),
            size(descriptor.size),
        ]
    }));
    print(&table(&rows))
}
