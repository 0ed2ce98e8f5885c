//! Images from an archive: an OCI layout, a docker archive of any age, or both at once.
//!
//! The archive is read once, from beginning to end: what looks like a layer is unpacked as it comes, and what the documents at the end
//! say decides which of them are images. The rest is garbage.

use crate::import::assemble;
use crate::layer::{LayerError, LayerWriter, Taken};
use crate::manifest::{CONFIG_LIMIT, Config, Descriptor, Document, DocumentError, media};
use crate::outer::Outer;
use crate::store::{Lease, Name, Ref, Store, StoreError};
use crate::unpack::{Limits, UnpackError};
use crate::{Digest, Platform, Reference};
use serde::Deserialize;
use serde_json::Map;
use std::collections::HashMap;
use std::io::Read;
use tare_tar::{Entry, Kind, Reader, Sink, TarError};
use thiserror::Error;

/// Why an archive can't be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The archive itself.
    #[error("the archive")]
    Archive(#[source] UnpackError),
    /// A document of it.
    #[error("the archive's {what}")]
    Document {
        /// Which.
        what: String,
        /// What is wrong.
        #[source]
        source: DocumentError,
    },
    /// It lacks something that it speaks of.
    #[error("the archive has no {what}, of which its {by} speaks")]
    Missing {
        /// What is missing.
        what: String,
        /// The document.
        by: &'static str,
    },
    /// A layer of it.
    #[error("the archive's layer {what}")]
    Layer {
        /// Which.
        what: String,
        /// What is wrong.
        #[source]
        source: LayerError,
    },
    /// Content that is not what its name says.
    #[error("the archive's {what} is {found}")]
    Digest {
        /// The name.
        what: String,
        /// What it is.
        found: Digest,
    },
    /// It is no archive of images.
    #[error(
        "the archive has neither manifest.json nor index.json: `tare import` takes an archive of a file system"
    )]
    NoImages,
    /// More than such an archive may have.
    #[error("the archive has more than {0} documents")]
    Documents(usize),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An image that was loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its names; none: it is known by its id.
    pub names: Vec<Reference>,
    /// The image.
    pub to: Ref,
}

/// Small files of an archive at most.
const DOCUMENTS: usize = 10_000;
/// Bytes of all of them.
const BYTES: u64 = 64 << 20;

/// Loads all images of an archive, compressed by gzip, zstd, bzip2, xz or not at all.
pub fn load(
    store: &Store,
    source: impl Read,
    limits: Limits,
    platform: &Platform,
) -> Result<Vec<Loaded>, LoadError> {
    let mut contents = Contents {
        store,
        limits,
        lease: store.lease()?,
        documents: HashMap::new(),
        bytes: 0,
        layers: HashMap::new(),
        links: HashMap::new(),
        open: Open::Nothing,
    };
    let mut reader = Reader::new(tare_tar::Limits::default());
    Outer::new(source).each(|piece| reader.push(piece, &mut contents))?;
    reader
        .finish()
        .map_err(|error| LoadError::Archive(error.into()))?;
    let found = contents.images(platform)?;
    // The archive may be gone tomorrow: what was loaded from it must not be.
    store.sync()?;
    for image in &found {
        let names = image.names.iter().cloned().map(Name::Reference);
        let untagged = image
            .names
            .is_empty()
            .then_some(Name::Untagged(image.to.manifest));
        for name in names.chain(untagged) {
            store.set_ref(&name, &image.to)?;
        }
    }
    store.sync()?;
    Ok(found)
}

struct Contents<'a> {
    store: &'a Store,
    limits: Limits,
    lease: Lease,
    /// By path.
    documents: HashMap<String, Vec<u8>>,
    bytes: u64,
    layers: HashMap<String, Result<Taken, LayerError>>,
    /// Docker's old archives have a layer once and point to it.
    links: HashMap<String, String>,
    open: Open,
}

enum Open {
    Nothing,
    /// What it is shows its first byte.
    Unknown(String),
    Document(String, Vec<u8>),
    Layer(String, Box<LayerWriter>),
    /// A layer that can't be taken; whether anybody wants it is seen at the end.
    Bad(String, LayerError),
}

impl From<TarError> for LoadError {
    fn from(error: TarError) -> Self {
        Self::Archive(error.into())
    }
}

impl Sink for Contents<'_> {
    type Error = LoadError;

    fn entry(&mut self, entry: Entry) -> Result<(), LoadError> {
        let path = plain(&String::from_utf8_lossy(&entry.path));
        match entry.kind {
            Kind::File => self.open = Open::Unknown(path),
            Kind::Symlink | Kind::Hardlink => {
                let link = String::from_utf8_lossy(&entry.link).into_owned();
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                let target = if entry.kind == Kind::Symlink {
                    plain(&format!("{folder}/{link}"))
                } else {
                    plain(&link)
                };
                if self.links.len() < DOCUMENTS {
                    self.links.insert(path, target);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, _: u64, bytes: &[u8]) -> Result<(), LoadError> {
        if let Open::Unknown(path) = &mut self.open {
            let path = std::mem::take(path);
            self.open = match bytes {
                [b'{', b'"' | b' ' | b'\n' | b'\r' | b'\t' | b'}', ..] => {
                    Open::Document(path, Vec::new())
                }
                _ if path.ends_with(".json") => Open::Document(path, Vec::new()),
                _ => match LayerWriter::new(self.store, self.limits, true) {
                    Ok(layer) => Open::Layer(path, Box::new(layer)),
                    Err(error) => Open::Bad(path, error),
                },
            };
        }
        match &mut self.open {
            Open::Document(path, content) => {
                self.bytes += bytes.len() as u64;
                if self.bytes > BYTES
                    || content.len() as u64 > CONFIG_LIMIT
                    || self.documents.len() >= DOCUMENTS
                {
                    return Err(LoadError::Document {
                        what: path.clone(),
                        source: DocumentError::Malformed {
                            what: "it",
                            why: format!(
                                "more than {CONFIG_LIMIT} bytes, or {BYTES} with all others"
                            ),
                        },
                    });
                }
                content.extend_from_slice(bytes);
            }
            Open::Layer(path, layer) => {
                if let Err(error) = layer.push(bytes) {
                    self.open = Open::Bad(std::mem::take(path), error);
                }
            }
            Open::Nothing | Open::Unknown(_) | Open::Bad(..) => {}
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), LoadError> {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing | Open::Unknown(_) => {}
            Open::Document(path, content) => {
                self.documents.insert(path, content);
            }
            Open::Layer(path, layer) => {
                let taken = layer.finish(self.store);
                if let Ok(taken) = &taken {
                    self.lease.add(self.store, &[taken.diff_id, taken.blob])?;
                }
                self.layers.insert(path, taken);
            }
            Open::Bad(path, error) => {
                if self.layers.len() >= DOCUMENTS {
                    return Err(LoadError::Documents(DOCUMENTS));
                }
                self.layers.insert(path, Err(error));
            }
        }
        Ok(())
    }
}

/// An entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Archived {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Contents<'_> {
    fn images(mut self, platform: &Platform) -> Result<Vec<Loaded>, LoadError> {
        let mut found: Vec<Loaded> = Vec::new();
        let mut add = |image: Loaded| match found
            .iter_mut()
            .find(|other| other.to.config == image.to.config)
        {
            Some(other) => {
                let new = image
                    .names
                    .into_iter()
                    .filter(|name| !other.names.contains(name))
                    .collect::<Vec<_>>();
                other.names.extend(new);
            }
            None => found.push(image),
        };
        let index = self.documents.get("index.json").cloned();
        let archive = self.documents.get("manifest.json").cloned();
        if index.is_none() && archive.is_none() {
            return Err(LoadError::NoImages);
        }
        if let Some(index) = index {
            let wrong = |source| LoadError::Document {
                what: "index.json".to_owned(),
                source,
            };
            let Document::Index(index) = Document::read(&index, media::INDEX).map_err(wrong)?
            else {
                return Err(wrong(DocumentError::Ambiguous));
            };
            for descriptor in &index.manifests {
                if let Some(image) = self.of_layout(descriptor, platform)? {
                    add(image);
                }
            }
        }
        if let Some(archive) = archive {
            let images: Vec<Archived> =
                serde_json::from_slice(&archive).map_err(|error| LoadError::Document {
                    what: "manifest.json".to_owned(),
                    source: DocumentError::Malformed {
                        what: "it",
                        why: error.to_string(),
                    },
                })?;
            for image in images {
                add(self.of_archive(&image)?);
            }
        }
        Ok(found)
    }

    /// A document by its digest.
    fn blob(&self, digest: Digest, by: &'static str) -> Result<Vec<u8>, LoadError> {
        let path = format!("blobs/sha256/{}", digest.hex());
        let content = self
            .documents
            .get(&path)
            .ok_or_else(|| LoadError::Missing {
                what: path.clone(),
                by,
            })?;
        match Digest::of(content) {
            found if found == digest => Ok(content.clone()),
            found => Err(LoadError::Digest { what: path, found }),
        }
    }

    /// A layer by its path, through links.
    fn layer(&mut self, path: &str, by: &'static str) -> Result<&Taken, LoadError> {
        let mut path = plain(path);
        for _ in 0..8 {
            match self.links.get(&path) {
                Some(target) => path = target.clone(),
                None => break,
            }
        }
        let missing = || LoadError::Missing {
            what: path.clone(),
            by,
        };
        if matches!(self.layers.get(&path), Some(Err(_)))
            && let Some(Err(source)) = self.layers.remove(&path)
        {
            return Err(LoadError::Layer { what: path, source });
        }
        match self.layers.get(&path) {
            Some(Ok(taken)) => Ok(taken),
            _ => Err(missing()),
        }
    }

    /// An image of an OCI layout. None: something else, such as an attestation.
    fn of_layout(
        &mut self,
        descriptor: &Descriptor,
        platform: &Platform,
    ) -> Result<Option<Loaded>, LoadError> {
        const BY: &str = "index.json";
        let wrong = |source| LoadError::Document {
            what: descriptor.digest.to_string(),
            source,
        };
        let mut chosen = descriptor.clone();
        let (manifest, content) = loop {
            let content = self.blob(chosen.digest, BY)?;
            match Document::read(&content, &chosen.media_type) {
                Ok(Document::Manifest(manifest)) => break (manifest, content),
                Ok(Document::Index(index)) => {
                    chosen = index.choose(platform).map_err(wrong)?.clone()
                }
                Err(DocumentError::Type { .. }) => return Ok(None),
                Err(error) => return Err(wrong(error)),
            }
        };
        let config_bytes = self.blob(manifest.config.digest, BY)?;
        let config = Config::read(&config_bytes, manifest.layers.len()).map_err(wrong)?;
        for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let path = format!("blobs/sha256/{}", layer.digest.hex());
            let taken = self.layer(&path, BY)?;
            if taken.blob != layer.digest || taken.diff_id != *diff_id {
                let found = if taken.blob == layer.digest {
                    taken.diff_id
                } else {
                    taken.blob
                };
                return Err(LoadError::Digest { what: path, found });
            }
        }
        let top = self.blob(descriptor.digest, BY)?;
        let digests = [descriptor.digest, chosen.digest, manifest.config.digest];
        self.lease.add(self.store, &digests)?;
        for content in [&top, &content, &config_bytes] {
            self.store.put_blob(content)?;
        }
        let annotation = |name: &str| {
            let annotations = descriptor.other.get("annotations")?;
            annotations.get(name)?.as_str().map(str::to_owned)
        };
        let name = annotation("io.containerd.image.name").or_else(|| {
            // Skopeo and podman write the whole name here, others the tag alone.
            annotation("org.opencontainers.image.ref.name").filter(|name| name.contains([':', '/']))
        });
        let names = name
            .and_then(|name| name.parse().ok())
            .into_iter()
            .collect();
        Ok(Some(Loaded {
            names,
            to: Ref {
                target: Descriptor {
                    other: Map::new(),
                    platform: None,
                    ..descriptor.clone()
                },
                manifest: chosen.digest,
                config: manifest.config.digest,
                platform: config.platform,
            },
        }))
    }

    /// An image of a docker archive.
    fn of_archive(&mut self, image: &Archived) -> Result<Loaded, LoadError> {
        const BY: &str = "manifest.json";
        let path = plain(&image.config);
        let missing = || LoadError::Missing {
            what: path.clone(),
            by: BY,
        };
        let config_bytes = self.documents.get(&path).ok_or_else(missing)?.clone();
        // Its name is its digest, which others may hold against the image.
        let named = path
            .rsplit('/')
            .next()
            .unwrap_or(&path)
            .trim_end_matches(".json")
            .to_owned();
        let found = Digest::of(&config_bytes);
        if Digest::from_hex(&named).is_ok_and(|named| named != found) {
            return Err(LoadError::Digest { what: path, found });
        }
        let config = Config::read(&config_bytes, image.layers.len())
            .map_err(|source| LoadError::Document { what: path, source })?;
        let mut layers = Vec::new();
        for (path, diff_id) in image.layers.iter().zip(&config.rootfs.diff_ids) {
            let taken = self.layer(path, BY)?;
            if taken.diff_id != *diff_id {
                return Err(LoadError::Digest {
                    what: path.clone(),
                    found: taken.diff_id,
                });
            }
            let size = self.store.layer(*diff_id)?.map_or(0, |meta| meta.size);
            layers.push((*diff_id, size));
        }
        let names = image
            .repo_tags
            .iter()
            .flatten()
            .filter_map(|name| name.parse().ok())
            .collect();
        let to = assemble(
            self.store,
            &mut self.lease,
            &config_bytes,
            &layers,
            config.platform,
        )?;
        Ok(Loaded { names, to })
    }
}

/// A path without `.`, `..` and slashes that mean nothing; nothing outside is ever opened by it.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
