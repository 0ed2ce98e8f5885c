//! `tare images`, and how an image is found by what a person types.

use super::print;
use crate::cli::Images;
use crate::failure::Failure;
use crate::format::{since, size, table, wants_json};
use crate::place::Place;
use std::collections::BTreeSet;
use tare_image::Reference;
use tare_image::manifest::Config;
use tare_image::store::{Name, Ref, Store};

pub fn run(place: &Place, words: &Images) -> Result<(), Failure> {
    let store = place.store()?;
    let json = wants_json(words.format.as_deref())?;
    let wanted: Option<Reference> = words.repository.as_deref().map(str::parse).transpose()?;
    let tagged = words.repository.as_deref().is_some_and(|text| {
        text.rsplit('/')
            .next()
            .is_some_and(|last| last.contains(':'))
    });
    let fits = |name: &Name| match (&wanted, name) {
        (None, _) => true,
        (Some(_), Name::Untagged(_)) => false,
        (Some(wanted), Name::Reference(found)) => {
            found.familiar_repository() == wanted.familiar_repository()
                && (!tagged || found.tag() == wanted.tag())
        }
    };
    let mut rows = Vec::new();
    let mut ids = BTreeSet::new();
    let mut lines = String::new();
    let mut all = Vec::new();
    for (name, to) in store.refs()?.into_iter().filter(|(name, _)| fits(name)) {
        // One whose documents are damaged is still listed, so that it can be removed.
        let image = Image::load(&store, &to).ok();
        all.push((name, to, image));
    }
    let created = |image: &Option<Image>| {
        image
            .as_ref()
            .and_then(|image| image.config.created.clone())
            .unwrap_or_default()
    };
    all.sort_by_key(|(_, _, image)| std::cmp::Reverse(created(image)));
    for (name, to, image) in &all {
        let (repository, tag) = match name {
            Name::Untagged(_) => ("<none>".to_owned(), "<none>".to_owned()),
            Name::Reference(reference) => (
                reference.familiar_repository(),
                reference.tag().unwrap_or("<none>").to_owned(),
            ),
        };
        let id = if words.no_trunc {
            to.config.to_string()
        } else {
            to.config.short()
        };
        if words.quiet {
            if ids.insert(id.clone()) {
                lines += &format!("{id}\n");
            }
            continue;
        }
        let bytes = image.as_ref().map(|image| image.bytes(&store));
        let bytes = bytes.map_or_else(|| "damaged".to_owned(), size);
        let made = image
            .as_ref()
            .and_then(|image| image.config.created.as_deref());
        if json {
            let line = serde_json::json!({
                "Repository": repository, "Tag": tag, "ID": id, "Digest": to.target.digest,
                "CreatedAt": made.unwrap_or_default(), "CreatedSince": since(made), "Size": bytes,
                "Platform": to.platform.to_string(),
            });
            lines += &format!("{line}\n");
            continue;
        }
        let mut row = vec![repository, tag];
        if words.digests {
            row.push(to.target.digest.to_string());
        }
        row.extend([id, since(made), bytes]);
        rows.push(row);
    }
    if !words.quiet && !json {
        let mut head = vec!["REPOSITORY", "TAG"];
        if words.digests {
            head.push("DIGEST");
        }
        head.extend(["IMAGE ID", "CREATED", "SIZE"]);
        rows.insert(0, head.into_iter().map(str::to_owned).collect());
        lines = table(&rows);
    }
    print(&lines)
}

/// What an image says of itself.
pub struct Image {
    pub config: Config,
}

impl Image {
    pub fn load(store: &Store, to: &Ref) -> Result<Self, Failure> {
        let manifest = store.manifest(to.manifest)?;
        let config = store.config(&manifest)?;
        Ok(Self { config })
    }

    /// Bytes of its layers' files, as they were counted when they were unpacked.
    pub fn bytes(&self, store: &Store) -> u64 {
        let mut seen = BTreeSet::new();
        let layers = self
            .config
            .rootfs
            .diff_ids
            .iter()
            .filter(|diff_id| seen.insert(**diff_id));
        layers
            .filter_map(|diff_id| store.layer(*diff_id).ok().flatten())
            .map(|meta| meta.bytes)
            .sum()
    }
}

/// An image by its name, or by the beginning of its id; all its names with it.
pub fn find(store: &Store, text: &str) -> Result<Option<(Vec<Name>, Ref)>, Failure> {
    let refs = store.refs()?;
    let names_of = |to: &Ref| -> Vec<Name> {
        let same = refs.iter().filter(|(_, other)| other.config == to.config);
        same.map(|(name, _)| name.clone()).collect()
    };
    if let Ok(reference) = text.parse::<Reference>() {
        if let Some(to) = store.get_ref(&Name::Reference(reference.clone()))? {
            return Ok(Some((vec![Name::Reference(reference)], to)));
        }
        // A digest also finds what was pulled by its tag.
        let by_digest = refs
            .iter()
            .find(|(name, to)| match (name, reference.digest()) {
                (Name::Reference(found), Some(digest)) => {
                    found.repository() == reference.repository()
                        && found.registry() == reference.registry()
                        && [to.target.digest, to.manifest].contains(&digest)
                }
                _ => false,
            });
        if let Some((_, to)) = by_digest {
            return Ok(Some((names_of(to), to.clone())));
        }
    }
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    if hex.is_empty() || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let mut found: Vec<&Ref> = refs
        .iter()
        .map(|(_, to)| to)
        .filter(|to| to.config.hex().starts_with(hex))
        .collect();
    found.dedup_by_key(|to| to.config);
    let ids: BTreeSet<_> = found.iter().map(|to| to.config).collect();
    match (ids.len(), found.first()) {
        (0, _) | (_, None) => Ok(None),
        (1, Some(to)) => Ok(Some((names_of(to), (*to).clone()))),
        (count, _) => Err(Failure::new(format!(
            "{text}: {count} images have an id that begins so; give more of it"
        ))),
    }
}

/// The same, or docker's words for it.
pub fn must_find(store: &Store, text: &str) -> Result<(Vec<Name>, Ref), Failure> {
    find(store, text)?.ok_or_else(|| Failure::new(format!("No such image: {text}")))
}
