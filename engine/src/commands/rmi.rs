//! `tare rmi`.

use super::images::must_find;
use super::print;
use crate::cli::Remove;
use crate::containers;
use crate::failure::Failure;
use crate::place::Place;
use tare_image::Reference;
use tare_image::store::{Name, Store};

pub fn run(place: &Place, words: &Remove) -> Result<u8, Failure> {
    let store = place.store()?;
    let mut status = 0;
    for image in &words.images {
        match remove(place, &store, image, words.force) {
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

fn remove(place: &Place, store: &Store, text: &str, force: bool) -> Result<String, Failure> {
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
    // Another name of the image is no container's loss.
    let others = store
        .refs()?
        .into_iter()
        .filter(|(_, other)| other.config == to.config)
        .count();
    if others <= all.len() && !force {
        let mut broken = None;
        let found = containers::list(place, &mut |failure| broken = Some(failure))?;
        if let Some(failure) = broken {
            return Err(failure);
        }
        if let Some(user) = found
            .iter()
            .find(|found| found.record.base.config == to.config)
        {
            return Err(Failure::new(format!(
                "conflict: unable to remove {text} (must be forced) - container {:.12} is using its image {}",
                user.record.id,
                to.config.short()
            )));
        }
    }
    let mut said = String::new();
    for name in &all {
        if store.remove_ref(name)?
            && let Name::Reference(reference) = name
        {
            said += &format!("Untagged: {}\n", reference.familiar());
        }
    }
    let collected = store.collect(|| containers::used(place))?;
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
