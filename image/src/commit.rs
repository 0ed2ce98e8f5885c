//! What a container has changed, as an image: one more layer on those that it began with.

use crate::diff::{Changes, DiffError, write_layer};
use crate::layer::{LayerError, LayerWriter};
use crate::manifest::{Descriptor, History, LAYERS_LIMIT, Manifest, RunConfig, media};
use crate::store::{Name, Ref, Store, StoreError};
use crate::unpack::Limits;
use crate::{Digest, Reference};
use serde_json::{Map, Value};
use std::io::{self, Write};
use thiserror::Error;

/// Why no image could be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The changes can't be read.
    #[error("the container's changes")]
    Diff(#[source] DiffError),
    /// They are no layer that may be kept.
    #[error("the layer of the container's changes")]
    Layer(#[source] LayerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There would be more than any reader takes.
    #[error(
        "the image has {0} layers already, and no more than {LAYERS_LIMIT} can be read: make it anew by export and import"
    )]
    Layers(usize),
}

/// What the image says of itself.
#[derive(Debug, Clone, Default)]
pub struct CommittedAs {
    /// RFC 3339.
    pub created: Option<String>,
    /// What the container ran.
    pub created_by: String,
    /// Whose image it is; empty: whose the base was.
    pub author: String,
    /// What its history says.
    pub comment: String,
    /// What a container of it runs.
    pub config: RunConfig,
}

/// Makes an image of a base and of a container's changes, which nobody may add to meanwhile; under a name, or under none.
///
/// The base's layers stay what they were, so whoever has them needs only the new one.
pub fn commit(
    store: &Store,
    base: &Ref,
    changes: &Changes,
    name: Option<&Reference>,
    made: CommittedAs,
) -> Result<Ref, CommitError> {
    let mut lease = store.lease()?;
    lease.add(store, &[base.manifest, base.config])?;
    let below = store.manifest(base.manifest)?;
    let mut config = store.config(&below)?;
    lease.add(store, &config.rootfs.diff_ids)?;
    if below.layers.len() >= LAYERS_LIMIT {
        return Err(CommitError::Layers(below.layers.len()));
    }
    let (diff_id, size) = layer(store, changes)?;
    lease.add(store, &[diff_id])?;

    config.rootfs.diff_ids.push(diff_id);
    config.created.clone_from(&made.created);
    config.config = made.config;
    let mut history = History {
        created: made.created,
        created_by: Some(made.created_by),
        ..History::default()
    };
    for (key, text) in [("comment", &made.comment), ("author", &made.author)] {
        if !text.is_empty() {
            history
                .other
                .insert(key.to_owned(), Value::from(text.as_str()));
        }
    }
    if !made.author.is_empty() {
        config.other.insert("author".to_owned(), made.author.into());
    }
    config.history.push(history);
    let config_bytes = serde_json::to_vec(&config).expect("strings and numbers only");

    let mut layers: Vec<Descriptor> = below.layers.into_iter().map(of_oci).collect();
    layers.push(Descriptor::new(media::LAYER, diff_id, size));
    let manifest = Manifest {
        schema_version: 2,
        media_type: media::MANIFEST.to_owned(),
        config: Descriptor::of(media::CONFIG, &config_bytes),
        layers,
        other: Map::new(),
    };
    let content = serde_json::to_vec(&manifest).expect("strings and numbers only");
    let target = Descriptor::of(media::MANIFEST, &content);
    lease.add(store, &[target.digest, manifest.config.digest])?;
    store.put_blob(&config_bytes)?;
    store.put_blob(&content)?;
    let to = Ref {
        manifest: target.digest,
        target,
        config: manifest.config.digest,
        platform: config.platform,
    };
    // Nobody else has it: it is on the disk before it has a name.
    store.sync()?;
    let key = name.map_or(Name::Untagged(to.manifest), |name| {
        Name::Reference(name.clone())
    });
    store.set_ref(&key, &to)?;
    store.sync()?;
    Ok(to)
}

/// The changes as a layer of the store.
fn layer(store: &Store, changes: &Changes) -> Result<(Digest, u64), CommitError> {
    let writer = LayerWriter::new(store, Limits::default(), false).map_err(CommitError::Layer)?;
    let mut taking = Taking {
        writer,
        refused: None,
    };
    let written = write_layer(changes, &mut taking);
    if let Some(error) = taking.refused {
        return Err(CommitError::Layer(error));
    }
    written.map_err(CommitError::Diff)?;
    let taken = taking.writer.finish(store).map_err(CommitError::Layer)?;
    Ok((taken.diff_id, taken.blob_size))
}

struct Taking {
    writer: LayerWriter,
    /// Why the layer is not taken, which an `io::Error` can't hold.
    refused: Option<LayerError>,
}

impl Write for Taking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.writer.push(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.refused = Some(error);
                Err(io::Error::other("the layer is not taken"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A layer of one of docker's manifests as one of OCI's: the same bytes, and no reader has to know both kinds in one manifest.
fn of_oci(layer: Descriptor) -> Descriptor {
    let media_type = match layer.media_type.as_str() {
        media::DOCKER_LAYER => media::LAYER,
        media::DOCKER_LAYER_GZIP => media::LAYER_GZIP,
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => {
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        }
        _ => return layer,
    };
    Descriptor {
        media_type: media_type.to_owned(),
        ..layer
    }
}
