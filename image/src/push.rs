//! An image from the store to a registry: what the registry lacks of it, then its manifest.
//!
//! A layer goes there by the cheapest way that keeps its digest: the registry has it, or another of its repositories has it, or its
//! compressed bytes are in the store, or the registry that it came from gives them once more.
//! Only if none is left it is compressed anew, which gives the image another manifest.

use crate::compress::Gzip;
use crate::manifest::{Descriptor, Manifest, media};
use crate::pull::{LayerProgress, State, Watch};
use crate::registry::{Client, Outgoing, RegistryError};
use crate::store::{Name, Ref, Store, StoreError};
use crate::{Digest, Reference};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use thiserror::Error;

/// Why an image could not be pushed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PushError {
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A reference that names no place.
    #[error("{0} is a digest: a push needs a tag")]
    Digest(String),
    /// A layer that may not be given on.
    #[error("the layer {0} may not be distributed, and the registry does not have it")]
    Foreign(Digest),
    /// Somebody asked for the end.
    #[error("interrupted")]
    Interrupted,
}

/// What was pushed.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// The manifest's descriptor at the registry.
    pub manifest: Descriptor,
    /// Whether it is the one that the image has in the store; if not, layers were compressed anew.
    pub same: bool,
}

/// Layers at once.
const PARALLEL: usize = 4;

/// Pushes an image under a tag.
pub fn push(
    store: &Store,
    client: &Client,
    image: &Ref,
    to: &Reference,
    watch: &dyn Watch,
) -> Result<Pushed, PushError> {
    if to.tag().is_none() {
        return Err(PushError::Digest(to.familiar()));
    }
    let mut lease = store.lease()?;
    lease.add(store, &[image.manifest, image.config])?;
    let content = store.blob(image.manifest)?;
    let manifest = store.manifest(image.manifest)?;
    let config = store.config(&manifest)?;
    lease.add(store, &config.rootfs.diff_ids)?;
    let sources = sources(store, &manifest)?;
    let progress: Vec<LayerProgress> = manifest
        .layers
        .iter()
        .map(|layer| LayerProgress::new(layer.digest, layer.size))
        .collect();
    let progress = Arc::new(progress);
    watch.layers(&progress);

    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let ended = || stop.load(Relaxed) || watch.stop().load(Relaxed);
    let results: Mutex<Vec<(usize, Result<Descriptor, PushError>)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..PARALLEL.min(manifest.layers.len()) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Relaxed);
                    let Some(layer) = manifest.layers.get(number) else {
                        return;
                    };
                    if ended() {
                        return;
                    }
                    let one = Layer {
                        store,
                        client,
                        to,
                        sources: &sources[number],
                        descriptor: layer,
                        diff_id: config.rootfs.diff_ids[number],
                        progress: &progress[number],
                        stop: &ended,
                    };
                    let outcome = one.push();
                    let failed = outcome.is_err();
                    results
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((number, outcome));
                    // Noted first: what others say after it is that they were stopped.
                    if failed {
                        stop.store(true, Relaxed);
                    }
                }
            });
        }
    });
    let mut layers = manifest.layers.clone();
    for (number, outcome) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
        layers[number] = outcome?;
    }
    if watch.stop().load(Relaxed) {
        return Err(PushError::Interrupted);
    }
    if !client.has_blob(to, image.config)? {
        let bytes = store.blob(image.config)?;
        let open = |from: u64| -> io::Result<Box<dyn Read>> {
            let mut reader = io::Cursor::new(bytes.clone());
            reader.set_position(from);
            Ok(Box::new(reader))
        };
        let blob = Outgoing {
            digest: image.config,
            size: bytes.len() as u64,
            open: &open,
            sent: &AtomicU64::new(0),
            stop: &|| watch.stop().load(Relaxed),
        };
        client.upload(to, &blob)?;
    }
    let same = layers == manifest.layers;
    let (content, media_type) = if same {
        let own = if manifest.media_type.is_empty() {
            media::MANIFEST
        } else {
            &manifest.media_type
        };
        (content, own.to_owned())
    } else {
        let changed = Manifest { layers, ..manifest };
        let own = if changed.media_type.is_empty() {
            media::MANIFEST.to_owned()
        } else {
            changed.media_type.clone()
        };
        (
            serde_json::to_vec(&changed).expect("it came from JSON"),
            own,
        )
    };
    let descriptor = Descriptor::of(&media_type, &content);
    client.put_manifest(to, &descriptor, &content)?;
    if !same {
        store.put_blob(&content)?;
    }
    let known = Ref {
        target: descriptor.clone(),
        manifest: descriptor.digest,
        ..image.clone()
    };
    store.set_ref(&Name::Reference(to.clone()), &known)?;
    Ok(Pushed {
        manifest: descriptor,
        same,
    })
}

/// For each layer the names under which registries have it, as they were pulled or pushed: of this image, or of one that it was made of.
fn sources(store: &Store, manifest: &Manifest) -> Result<Vec<Vec<Reference>>, StoreError> {
    let mut sources = vec![Vec::new(); manifest.layers.len()];
    for (name, to) in store.refs()? {
        let Name::Reference(reference) = name else {
            continue;
        };
        // One whose documents are damaged has nothing to give.
        let Ok(other) = store.manifest(to.manifest) else {
            continue;
        };
        let has: HashSet<Digest> = other.layers.iter().map(|layer| layer.digest).collect();
        for (layer, sources) in manifest.layers.iter().zip(&mut sources) {
            if has.contains(&layer.digest) {
                sources.push(reference.clone());
            }
        }
    }
    Ok(sources)
}

struct Layer<'a> {
    store: &'a Store,
    client: &'a Client,
    to: &'a Reference,
    sources: &'a [Reference],
    descriptor: &'a Descriptor,
    diff_id: Digest,
    progress: &'a LayerProgress,
    stop: &'a (dyn Fn() -> bool + Sync),
}

impl Layer<'_> {
    /// Sees that the registry has the layer; as what.
    fn push(&self) -> Result<Descriptor, PushError> {
        self.progress.set(State::Pulling);
        let compressed = !matches!(
            self.descriptor.media_type.as_str(),
            media::LAYER | media::DOCKER_LAYER
        );
        if compressed {
            if let Some(state) = self.as_it_is()? {
                self.progress.set(state);
                return Ok(self.descriptor.clone());
            }
            if media::is_foreign(&self.descriptor.media_type) {
                return Err(PushError::Foreign(self.descriptor.digest));
            }
        }
        let descriptor = self.anew()?;
        self.progress.set(State::Done);
        Ok(descriptor)
    }

    /// With the digest that it has; None: there is no way.
    fn as_it_is(&self) -> Result<Option<State>, PushError> {
        let (digest, size) = (self.descriptor.digest, self.descriptor.size);
        if self.client.has_blob(self.to, digest)? {
            return Ok(Some(State::Exists));
        }
        let same_registry = self
            .sources
            .iter()
            .filter(|source| source.registry() == self.to.registry());
        for source in same_registry {
            if source.repository() != self.to.repository()
                && self.client.mount(self.to, digest, source.repository())?
            {
                return Ok(Some(State::Exists));
            }
        }
        if let Some(path) = self.store.blob_file(digest) {
            self.file(digest, size, &path)?;
            return Ok(Some(State::Done));
        }
        for source in self.sources.iter().filter(|source| {
            source.repository() != self.to.repository() || source.registry() != self.to.registry()
        }) {
            // Whether it is still there is seen before the upload begins.
            if !self.client.has_blob(source, digest).unwrap_or(false) {
                continue;
            }
            let open = |from: u64| -> io::Result<Box<dyn Read>> {
                let blob = self.client.blob_from(source, self.descriptor, from);
                Ok(Box::new(blob))
            };
            self.upload(digest, size, &open)?;
            return Ok(Some(State::Done));
        }
        Ok(None)
    }

    /// Compressed by us: the same bytes each time.
    fn anew(&self) -> Result<Descriptor, PushError> {
        let media_type = match self
            .descriptor
            .media_type
            .starts_with("application/vnd.docker.")
        {
            true => media::DOCKER_LAYER_GZIP,
            false => media::LAYER_GZIP,
        };
        if let Some((digest, size)) = self.store.compressed(self.diff_id)
            && self.client.has_blob(self.to, digest)?
        {
            return Ok(Descriptor::new(media_type, digest, size));
        }
        let mut blob = self.store.new_blob()?;
        let layer = self.store.layer(self.diff_id)?;
        let size = layer.map_or(self.descriptor.size, |layer| layer.size);
        self.progress.begin(State::Preparing, size);
        let mut archive = Counted {
            out: Gzip::new(&mut blob),
            count: self.progress.counter(),
            stop: self.stop,
        };
        let made = self.store.write_archive(self.diff_id, &mut archive);
        if (self.stop)() {
            return Err(PushError::Interrupted);
        }
        made?;
        let written = archive.out.finish().and_then(|blob| blob.flush());
        written.map_err(|error| self.store.blob_error(error))?;
        let (digest, size) = blob.commit(self.store)?;
        self.store.note_compressed(self.diff_id, digest, size)?;
        if !self.client.has_blob(self.to, digest)? {
            let path = self
                .store
                .blob_file(digest)
                .ok_or(StoreError::Missing { digest })?;
            self.file(digest, size, &path)?;
        }
        Ok(Descriptor::new(media_type, digest, size))
    }

    fn file(&self, digest: Digest, size: u64, path: &Path) -> Result<(), PushError> {
        let open = |from: u64| -> io::Result<Box<dyn Read>> {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(from))?;
            Ok(Box::new(file))
        };
        self.upload(digest, size, &open)
    }

    fn upload(
        &self,
        digest: Digest,
        size: u64,
        open: &dyn Fn(u64) -> io::Result<Box<dyn Read>>,
    ) -> Result<(), PushError> {
        self.progress.begin(State::Pulling, size);
        let blob = Outgoing {
            digest,
            size,
            open,
            sent: self.progress.counter(),
            stop: self.stop,
        };
        match self.client.upload(self.to, &blob) {
            Err(_) if (self.stop)() => Err(PushError::Interrupted),
            outcome => Ok(outcome?),
        }
    }
}

/// Counts what is written through it, until somebody wants it to end.
struct Counted<'a, W> {
    out: W,
    count: &'a AtomicU64,
    stop: &'a dyn Fn() -> bool,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.stop)() {
            return Err(io::Error::other("interrupted"));
        }
        let written = self.out.write(bytes)?;
        self.count.fetch_add(written as u64, Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
