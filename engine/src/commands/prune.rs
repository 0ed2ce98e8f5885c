//! `tare image prune` and `tare image df`.

use super::images::Image;
use super::print;
use crate::cli::Prune;
use crate::containers;
use crate::failure::Failure;
use crate::format::{size, table};
use crate::place::Place;
use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use tare_image::store::Name;

pub fn run(place: &Place, words: &Prune) -> Result<(), Failure> {
    let store = place.store()?;
    if !words.force {
        let which = if words.all {
            "all images without a container"
        } else {
            "all images without a name"
        };
        eprint!("WARNING! This will remove {which}.\nAre you sure you want to continue? [y/N] ");
        let _ = std::io::stderr().flush();
        let mut answer = String::new();
        let _ = std::io::stdin().read_line(&mut answer);
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(());
        }
    }
    let mut said = String::new();
    let used = containers::used(place)?;
    for (name, to) in store.refs()? {
        if used.contains(&to.config) {
            continue;
        }
        match &name {
            Name::Untagged(_) => {
                store.remove_ref(&name)?;
            }
            Name::Reference(reference) if words.all => {
                store.remove_ref(&name)?;
                said += &format!("untagged: {}\n", reference.familiar());
            }
            Name::Reference(_) => continue,
        }
        said += &format!("deleted: {}\n", to.config);
    }
    let collected = store.collect(|| containers::used(place))?;
    said += &format!("\nTotal reclaimed space: {}\n", size(collected.bytes));
    print(&said)
}

/// What images take: each layer once, by the numbers that were written when it was unpacked.
pub fn df(place: &Place) -> Result<(), Failure> {
    let store = place.store()?;
    let mut images = BTreeMap::new();
    let mut users: BTreeMap<_, (u64, HashSet<_>)> = BTreeMap::new();
    for (name, to) in store.refs()? {
        let Ok(image) = Image::load(&store, &to) else {
            continue;
        };
        for diff_id in &image.config.rootfs.diff_ids {
            if let Some(meta) = store.layer(*diff_id)? {
                let user = users
                    .entry(*diff_id)
                    .or_insert((meta.bytes, HashSet::new()));
                user.1.insert(to.config);
            }
        }
        images.entry(to.config).or_insert((name, image));
    }
    let head = [
        "REPOSITORY",
        "TAG",
        "IMAGE ID",
        "SHARED SIZE",
        "UNIQUE SIZE",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut rows = vec![head];
    for (id, (name, image)) in &images {
        let layers: HashSet<_> = image.config.rootfs.diff_ids.iter().collect();
        let (mut shared, mut own) = (0, 0);
        for diff_id in layers {
            match users.get(diff_id) {
                Some((bytes, users)) if users.len() > 1 => shared += bytes,
                Some((bytes, _)) => own += bytes,
                None => {}
            }
        }
        let (repository, tag) = match name {
            Name::Reference(reference) => (
                reference.familiar_repository(),
                reference.tag().unwrap_or("<none>").to_owned(),
            ),
            Name::Untagged(_) => ("<none>".to_owned(), "<none>".to_owned()),
        };
        rows.push(vec![repository, tag, id.short(), size(shared), size(own)]);
    }
    let all: u64 = users.values().map(|(bytes, _)| bytes).sum();
    print(&format!(
        "{}\n{} images, {}\n",
        table(&rows),
        images.len(),
        size(all)
    ))
}
