//! `tare push`.

use super::images::must_find;
use super::print;
use crate::cli::Push;
use crate::failure::Failure;
use crate::place::{Place, registry_settings};
use crate::progress::{Progress, Way};
use tare_image::Reference;
use tare_image::push::push;
use tare_image::registry::Client;
use tare_image::store::Name;

pub fn run(place: &Place, words: &Push) -> Result<(), Failure> {
    let reference: Reference = words.image.parse()?;
    let store = place.store()?;
    let Some(image) = store.get_ref(&Name::Reference(reference.clone()))? else {
        // An id names an image, but no place to push it to.
        let hint = must_find(&store, &words.image).is_ok();
        let more = if hint {
            ": give it a name by `tare tag` first"
        } else {
            ""
        };
        return Err(Failure::new(format!(
            "An image does not exist locally with the tag: {}{more}",
            reference.familiar()
        )));
    };
    let client = Client::new(registry_settings());
    let progress = Progress::new(words.quiet, Way::Push);
    let pushed = progress.outcome(push(&store, &client, &image, &reference, &progress))?;
    drop(progress);
    if !words.quiet {
        if !pushed.same {
            eprintln!(
                "Layers were compressed anew, so the image has another digest at the registry."
            );
        }
        let tag = reference.tag().unwrap_or_default();
        eprintln!(
            "{tag}: digest: {} size: {}",
            pushed.manifest.digest, pushed.manifest.size
        );
    }
    print(&format!("{reference}\n"))
}
