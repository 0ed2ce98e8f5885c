//! `tare pull`.

use super::print;
use crate::cli::Pull;
use crate::failure::Failure;
use crate::place::{Place, registry_settings};
use crate::progress::{Progress, Way};
use tare_image::Reference;
use tare_image::policy::Policy;
use tare_image::pull::{PullOptions, Pulled, pull};
use tare_image::registry::Client;
use tare_image::store::Store;

pub fn run(place: &Place, words: &Pull) -> Result<(), Failure> {
    let reference: Reference = words.image.parse()?;
    let mut options = options()?;
    if let Some(platform) = &words.platform {
        options.platform = platform.parse()?;
    }
    options.keep_blobs = words.keep_blobs;
    if let Some(parallel) = words.parallel {
        options.parallel = parallel.max(1);
    }
    let store = place.store()?;
    let pulled = fetch(&store, &reference, &options, words.quiet)?;
    if !words.quiet {
        let status = if pulled.new {
            "Downloaded newer image"
        } else {
            "Image is up to date"
        };
        eprintln!(
            "Digest: {}\nStatus: {status} for {}",
            pulled.to.target.digest,
            reference.familiar()
        );
    }
    print(&format!("{reference}\n"))
}

/// Pulls with progress on standard error.
pub fn fetch(
    store: &Store,
    reference: &Reference,
    options: &PullOptions,
    quiet: bool,
) -> Result<Pulled, Failure> {
    let client = Client::new(registry_settings());
    let progress = Progress::new(quiet, Way::Pull);
    progress.outcome(pull(store, &client, reference, options, &progress))
}

/// The usual options, with the machine's policy.
pub fn options() -> Result<PullOptions, Failure> {
    const POLICY: &str = "/etc/tare/policy.json";
    let policy = match std::fs::read(POLICY) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|error| Failure::new(format!("{POLICY}: {error}")))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Policy::default(),
        Err(error) => return Err(Failure::new(format!("{POLICY}: {error}"))),
    };
    Ok(PullOptions {
        policy,
        ..PullOptions::default()
    })
}
