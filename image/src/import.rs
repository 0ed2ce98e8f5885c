//! A file system as an image: one layer, and what the image says of itself.

use crate::layer::LayerWriter;
use crate::load::{LoadError, Loaded};
use crate::manifest::{Config, Descriptor, Manifest, RootFs, RunConfig, media};
use crate::outer::Outer;
use crate::store::{Lease, Name, Ref, Store, StoreError};
use crate::unpack::Limits;
use crate::{Digest, Platform, Reference};
use serde_json::Map;
use std::io::Read;

/// Makes an image of one layer from an archive of a file system.
pub fn import(
    store: &Store,
    source: impl Read,
    limits: Limits,
    name: Option<&Reference>,
    made: ImportedAs,
) -> Result<Loaded, LoadError> {
    let mut lease = store.lease()?;
    let wrong = |source| LoadError::Layer {
        what: "to import".to_owned(),
        source,
    };
    let mut layer = LayerWriter::new(store, limits, false).map_err(wrong)?;
    Outer::new(source).each(|piece| layer.push(piece).map_err(wrong))?;
    let taken = layer.finish(store).map_err(wrong)?;
    lease.add(store, &[taken.diff_id])?;
    let size = taken.blob_size;
    let mut history = crate::manifest::History {
        created: made.created.clone(),
        ..Default::default()
    };
    history
        .other
        .insert("comment".to_owned(), made.comment.into());
    let config = Config {
        created: made.created,
        platform: made.platform.clone(),
        config: made.config,
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: vec![taken.diff_id],
        },
        history: vec![history],
        other: Map::new(),
    };
    let config = serde_json::to_vec(&config).expect("strings and numbers only");
    let to = assemble(
        store,
        &mut lease,
        &config,
        &[(taken.diff_id, size)],
        made.platform,
    )?;
    store.sync()?;
    let key = name.map_or(Name::Untagged(to.manifest), |name| {
        Name::Reference(name.clone())
    });
    store.set_ref(&key, &to)?;
    store.sync()?;
    Ok(Loaded {
        names: name.into_iter().cloned().collect(),
        to,
    })
}

/// What an imported image says of itself.
#[derive(Debug, Clone)]
pub struct ImportedAs {
    /// RFC 3339.
    pub created: Option<String>,
    /// For whom it is.
    pub platform: Platform,
    /// What a container of it runs.
    pub config: RunConfig,
    /// Where it came from.
    pub comment: String,
}

/// Stores config and manifest of an image whose layers are there, not compressed.
pub(crate) fn assemble(
    store: &Store,
    lease: &mut Lease,
    config: &[u8],
    layers: &[(Digest, u64)],
    platform: Platform,
) -> Result<Ref, StoreError> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::MANIFEST.to_owned(),
        config: Descriptor::of(media::CONFIG, config),
        layers: layers
            .iter()
            .map(|(diff_id, size)| Descriptor::new(media::LAYER, *diff_id, *size))
            .collect(),
        other: Map::new(),
    };
    let content = serde_json::to_vec(&manifest).expect("strings and numbers only");
    let target = Descriptor::of(media::MANIFEST, &content);
    lease.add(store, &[target.digest, manifest.config.digest])?;
    store.put_blob(config)?;
    store.put_blob(&content)?;
    Ok(Ref {
        manifest: target.digest,
        target,
        config: manifest.config.digest,
        platform,
    })
}
