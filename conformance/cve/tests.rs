//! The list of holes is whole: each id is attacked by a file named after it or its like, or stands in later.toml.

use super::{FILES, all};
use std::collections::BTreeSet;

const IDS: &str = include_str!("ids.txt");
const LATER: &str = include_str!("later.toml");

/// The values of one key in later.toml.
fn later(key: &str) -> Vec<&'static str> {
    LATER
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value.trim_matches('"'))
        .collect()
}

#[test]
fn every_hole_is_attacked_or_stands_in_the_list_for_later() {
    let attacked: BTreeSet<&str> = all()
        .iter()
        .flat_map(|attack| attack.ids)
        .copied()
        .collect();
    let listed: BTreeSet<&str> = later("id").into_iter().collect();
    let ids: BTreeSet<&str> = IDS.lines().collect();
    let missing: Vec<&&str> = ids
        .iter()
        .filter(|id| !attacked.contains(**id) && !listed.contains(**id))
        .collect();
    assert!(
        missing.is_empty(),
        "neither attacked nor listed: {missing:?}"
    );
    let both: Vec<&&str> = attacked.intersection(&listed).collect();
    assert!(
        both.is_empty(),
        "attacked, so no longer for later: {both:?}"
    );
    let unknown: Vec<&&str> = attacked
        .union(&listed)
        .filter(|id| !ids.contains(**id))
        .collect();
    assert!(unknown.is_empty(), "not in ids.txt: {unknown:?}");
}

#[test]
fn what_is_for_later_says_where_and_what() {
    let count = later("id").len();
    assert_eq!(LATER.matches("[[hole]]").count(), count);
    assert_eq!(later("crate").len(), count);
    assert!(later("scenario").iter().all(|text| text.len() > 30));
    assert_eq!(later("scenario").len(), count);
    for name in later("crate") {
        assert!(
            ["shim", "engine", "image", "build", "trun"].contains(&name),
            "{name}"
        );
    }
}

#[test]
fn each_file_is_named_after_its_hole() {
    for attack in all() {
        let (file, _) = attack.name.split_once('/').unwrap();
        let id = file.to_uppercase().replace('_', "-");
        assert_eq!(attack.ids.first(), Some(&id.as_str()), "{}", attack.name);
    }
    assert!(FILES.is_sorted(), "the list in mod.rs is in order");
}

#[test]
fn no_two_attacks_share_a_name() {
    let mut names: Vec<String> = all().into_iter().map(|attack| attack.name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}
