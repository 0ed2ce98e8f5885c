//! `tare rmi`.

use super::images::must_find;
use super::print;
use crate::cli::Remove;
use crate::failure::Failure;
use crate::place::Place;
use std::collections::HashSet;
use tare_image::Reference;
use tare_image::store::{Name, Store};

pub fn run(place: &Place, words: &Remove) -> Result<u8, Failure> {
    let store = place.store()?;
    let mut status = 0;
    for image in &words.images {
        match remove(&store, image, words.force) {
            Ok(said) => print(&said)?,
            // The others are removed all the same.
            Err(failure) => {
                eprintln!("tare: {}", failure.message);
                status = 1;
            }
        }
    }
    Ok(status)
}

fn remove(store: &Store, text: &str, force: bool) -> Result<String, Failure> {
    let (names, to) = must_find(store, text)?;
    let by_name = text
        .parse::<Reference>()
        .is_ok_and(|reference| names.contains(&Name::Reference(reference)));
    let all: Vec<Name> = names.clone();
    if !by_name && all.len() > 1 && !force {
        return Err(Failure::new(format!(
            "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
            to.config.short()
        )));
    }
    let mut said = String::new();
    for name in &all {
        if store.remove_ref(name)?
            && let Name::Reference(reference) = name
        {
            said += &format!("Untagged: {}\n", reference.familiar());
        }
    }
    let collected = store.collect(&HashSet::new())?;
    for digest in collected
        .blobs
        .iter()
        .filter(|digest| **digest == to.config)
    {
        said += &format!("Deleted: {digest}\n");
    }
    for layer in &collected.layers {
        said += &format!("Deleted: {layer}\n");
    }
    Ok(said)
}
