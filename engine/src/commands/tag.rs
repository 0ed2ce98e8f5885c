//! `tare tag`.

use super::images::must_find;
use crate::cli::Tag;
use crate::failure::Failure;
use crate::place::Place;
use tare_image::Reference;
use tare_image::store::Name;

pub fn run(place: &Place, words: &Tag) -> Result<(), Failure> {
    let target: Reference = words.target.parse()?;
    if target.digest().is_some() {
        return Err(Failure::new(
            "refusing to create a tag with a digest reference",
        ));
    }
    let store = place.store()?;
    // Nobody takes the image away between the two.
    let mut lease = store.lease()?;
    let (_, to) = must_find(&store, &words.source)?;
    lease.add(&store, &[to.target.digest, to.manifest, to.config])?;
    let (_, to) = must_find(&store, &words.source)?;
    store.set_ref(&Name::Reference(target), &to)?;
    Ok(())
}
