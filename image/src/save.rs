//! Images as one archive that is an OCI layout and a docker archive at once (image-spec image-layout.md; docker save).
//!
//! The same images give the same bytes.

use crate::manifest::{Descriptor, Index, Manifest, media};
use crate::store::{Store, StoreError};
use crate::{Digest, Reference};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use tare_tar::{Entry, Kind, Writer};
use thiserror::Error;

/// Why an archive could not be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Where it goes.
    #[error("writing the archive")]
    Write(#[from] io::Error),
}

/// An image with the names that go with it.
#[derive(Debug, Clone)]
pub struct Saved {
    /// Its manifest.
    pub manifest: Digest,
    /// Its names; the archive of an image without any has only its digest.
    pub names: Vec<Reference>,
}

/// Content of the archive, by digest.
enum Blob {
    Bytes(Vec<u8>),
    /// A compressed layer that is kept.
    File(Digest),
    /// A layer by its diff_id, put together from its files.
    Archive(u64),
}

/// Writes images as an archive.
pub fn save(store: &Store, images: &[Saved], out: &mut dyn Write) -> Result<(), SaveError> {
    let mut blobs: BTreeMap<Digest, Blob> = BTreeMap::new();
    let mut index = Vec::new();
    let mut archive = Vec::new();
    let mut lease = store.lease()?;
    for image in images {
        let manifest = store.manifest(image.manifest)?;
        let config = store.config(&manifest)?;
        lease.add(store, &[image.manifest, manifest.config.digest])?;
        lease.add(store, &config.rootfs.diff_ids)?;
        let (manifest, content) = portable(
            store,
            &manifest,
            &store.blob(image.manifest)?,
            &config.rootfs.diff_ids,
        )?;
        for (layer, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
            let blob = match layer.digest == *diff_id {
                true => Blob::Archive(layer.size),
                false => Blob::File(layer.digest),
            };
            blobs.insert(layer.digest, blob);
        }
        blobs.insert(
            manifest.config.digest,
            Blob::Bytes(store.blob(manifest.config.digest)?),
        );
        let mut descriptor = Descriptor::of(media_type(&manifest), &content);
        blobs.insert(descriptor.digest, Blob::Bytes(content));
        descriptor.platform = Some(config.platform.clone());
        let path = |digest: Digest| format!("blobs/sha256/{}", digest.hex());
        let layers: Vec<String> = manifest
            .layers
            .iter()
            .map(|layer| path(layer.digest))
            .collect();
        let tags: Vec<String> = image.names.iter().map(Reference::familiar).collect();
        archive.push(
            json!({ "Config": path(manifest.config.digest), "RepoTags": tags, "Layers": layers }),
        );
        if image.names.is_empty() {
            index.push(descriptor.clone());
        }
        for name in &image.names {
            let mut named = descriptor.clone();
            let annotations = json!({
                "io.containerd.image.name": name.to_string(),
                "org.opencontainers.image.ref.name": name.tag().unwrap_or_default(),
            });
            named.other.insert("annotations".to_owned(), annotations);
            index.push(named);
        }
    }
    let index = Index {
        schema_version: 2,
        media_type: media::INDEX.to_owned(),
        manifests: index,
        other: Map::new(),
    };
    let mut tar = Tar {
        writer: Writer::new(),
        out,
    };
    tar.directory("blobs")?;
    tar.directory("blobs/sha256")?;
    for (digest, blob) in &blobs {
        tar.blob(store, *digest, blob)?;
    }
    tar.file(
        "index.json",
        &serde_json::to_vec(&index).expect("strings and numbers only"),
    )?;
    tar.file(
        "manifest.json",
        Value::Array(archive).to_string().as_bytes(),
    )?;
    tar.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    tar.writer.finish();
    tar.give()?;
    Ok(())
}

fn media_type(manifest: &Manifest) -> &str {
    match manifest.media_type.as_str() {
        "" => media::MANIFEST,
        own => own,
    }
}

/// The manifest itself where all compressed layers are kept, else one of the same config whose layers are not compressed.
fn portable(
    store: &Store,
    manifest: &Manifest,
    content: &[u8],
    diff_ids: &[Digest],
) -> Result<(Manifest, Vec<u8>), SaveError> {
    let pairs = || manifest.layers.iter().zip(diff_ids);
    if pairs().all(|(layer, diff_id)| layer.digest == *diff_id || store.has(layer.digest)) {
        return Ok((manifest.clone(), content.to_vec()));
    }
    let docker = manifest.media_type == media::DOCKER_MANIFEST;
    let mut layers = Vec::new();
    for diff_id in diff_ids {
        let meta = store
            .layer(*diff_id)?
            .ok_or(StoreError::Missing { digest: *diff_id })?;
        let own = if docker {
            media::DOCKER_LAYER
        } else {
            media::LAYER
        };
        layers.push(Descriptor::new(own, *diff_id, meta.size));
    }
    let plain = Manifest {
        layers,
        ..manifest.clone()
    };
    let content = serde_json::to_vec(&plain).expect("it came from JSON");
    Ok((plain, content))
}

struct Tar<'a> {
    writer: Writer,
    out: &'a mut dyn Write,
}

impl Tar<'_> {
    fn give(&mut self) -> io::Result<()> {
        let bytes = self.writer.output();
        self.out.write_all(bytes)?;
        bytes.clear();
        Ok(())
    }

    fn directory(&mut self, path: &str) -> io::Result<()> {
        self.writer.entry(&Entry::new(
            Kind::Directory,
            format!("{path}/").as_bytes(),
            0o755,
        ));
        self.give()
    }

    fn begin(&mut self, path: &str, size: u64) {
        let mut entry = Entry::new(Kind::File, path.as_bytes(), 0o644);
        entry.size = size;
        self.writer.entry(&entry);
    }

    fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.begin(path, content.len() as u64);
        self.writer.data(content);
        self.give()
    }

    fn blob(&mut self, store: &Store, digest: Digest, blob: &Blob) -> Result<(), SaveError> {
        let path = format!("blobs/sha256/{}", digest.hex());
        match blob {
            Blob::Bytes(content) => self.file(&path, content)?,
            Blob::File(digest) => {
                let place = store
                    .blob_file(*digest)
                    .ok_or(StoreError::Missing { digest: *digest })?;
                let mut file = File::open(place)?;
                self.begin(&path, file.metadata()?.len());
                let mut buffer = vec![0; 128 << 10];
                loop {
                    let length = file.read(&mut buffer)?;
                    if length == 0 {
                        break;
                    }
                    self.writer.data(&buffer[..length]);
                    self.give()?;
                }
            }
            Blob::Archive(size) => {
                self.begin(&path, *size);
                self.give()?;
                store.write_archive(digest, &mut *self)?;
            }
        }
        Ok(())
    }
}

impl Write for Tar<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.data(bytes);
        self.give()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
