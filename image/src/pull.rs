//! An image from a registry into the store: its documents, then every layer that is missing, several at once.

use crate::manifest::{Config, Descriptor, Document, DocumentError, Manifest};
use crate::pipeline::{self, Expected, Settings};
use crate::policy::{Policy, Refused};
use crate::registry::{Client, Fetched, RegistryError};
use crate::store::{Lease, Name, Ref, Store, StoreError};
use crate::unpack::{Limits, Privileges, UnpackError};
use crate::{Digest, Platform, Reference};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use thiserror::Error;

/// Why an image could not be pulled. What came whole stays in the store until garbage is collected; a name is set last.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PullError {
    /// The registry, or the way to it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The policy.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The image's documents.
    #[error("the image {name}")]
    Document {
        /// As it was asked for.
        name: String,
        /// What is wrong.
        #[source]
        source: DocumentError,
    },
    /// A layer.
    #[error("layer {number} of {count} ({digest}) of {name}")]
    Layer {
        /// As it was asked for.
        name: String,
        /// Counted from one, the lowest first.
        number: usize,
        /// How many there are.
        count: usize,
        /// As the manifest has it.
        digest: Digest,
        /// What is wrong.
        #[source]
        source: Box<UnpackError>,
    },
}

/// How an image is pulled.
#[derive(Debug, Clone)]
pub struct PullOptions {
    /// For which machine.
    pub platform: Platform,
    /// What its layers may have.
    pub limits: Limits,
    /// What its files may be given.
    pub privileges: Privileges,
    /// Layers at once.
    pub parallel: usize,
    /// Whether the compressed layers are kept, so that they can be pushed and saved with the same digests.
    pub keep_blobs: bool,
    /// Which images may be used.
    pub policy: Policy,
}

impl Default for PullOptions {
    /// For this machine; as many layers as it has processors, and one that waits for the network.
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(2, usize::from);
        Self {
            platform: Platform::host(),
            limits: Limits::default(),
            privileges: Privileges::own(),
            parallel: (processors + 1).min(8),
            keep_blobs: false,
            policy: Policy::default(),
        }
    }
}

/// An image that is in the store.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// What the name stands for now.
    pub to: Ref,
    /// Whether anything had to be fetched besides documents.
    pub new: bool,
}

/// What a layer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Its turn has not come.
    Waiting,
    /// It comes, and is unpacked as it comes.
    Pulling,
    /// It is there.
    Done,
    /// It was there already.
    Exists,
    /// It is compressed, to be pushed.
    Preparing,
}

/// One layer's progress, written by the pull and read by whoever shows it.
#[derive(Debug)]
pub struct LayerProgress {
    /// As the manifest has it.
    pub digest: Digest,
    size: AtomicU64,
    moved: AtomicU64,
    state: AtomicU8,
}

impl LayerProgress {
    pub(crate) fn new(digest: Digest, size: u64) -> Self {
        Self {
            digest,
            size: AtomicU64::new(size),
            moved: AtomicU64::new(0),
            state: AtomicU8::new(State::Waiting as u8),
        }
    }

    /// Bytes in all: compressed, or of the archive while that is compressed.
    pub fn size(&self) -> u64 {
        self.size.load(Relaxed)
    }

    /// Bytes that have come, or are sent.
    pub fn moved(&self) -> u64 {
        self.moved.load(Relaxed)
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        match self.state.load(Relaxed) {
            0 => State::Waiting,
            1 => State::Pulling,
            2 => State::Done,
            3 => State::Exists,
            _ => State::Preparing,
        }
    }

    /// For what changes them as it goes.
    pub(crate) fn counter(&self) -> &AtomicU64 {
        &self.moved
    }

    /// Begins to count anew, to another end.
    pub(crate) fn begin(&self, state: State, size: u64) {
        self.moved.store(0, Relaxed);
        self.size.store(size, Relaxed);
        self.set(state);
    }

    pub(crate) fn set(&self, state: State) {
        self.state.store(state as u8, Relaxed);
    }
}

/// Who is told.
pub trait Watch: Sync {
    /// The documents are there; the layers come now. Returns when the pull should go on; `layers` changes meanwhile.
    fn layers(&self, layers: &std::sync::Arc<Vec<LayerProgress>>) {
        let _ = layers;
    }

    /// Whether it should end.
    fn stop(&self) -> &AtomicBool;
}

/// Pulls an image and gives it its name.
pub fn pull(
    store: &Store,
    client: &Client,
    reference: &Reference,
    options: &PullOptions,
    watch: &dyn Watch,
) -> Result<Pulled, PullError> {
    // What a killed pull has left. If it can't go now it goes with the next one.
    let _ = store.sweep();
    let mut lease = store.lease()?;
    let top = client.manifest(reference)?;
    let image = choose(client, reference, options, &top)?;
    let image = image.as_ref().unwrap_or(&top);
    let Document::Manifest(manifest) = &image.document else {
        return Err(document_error(reference, DocumentError::Ambiguous));
    };
    options
        .policy
        .admit(reference, [top.descriptor.digest, image.descriptor.digest])?;
    lease.add(
        store,
        &[
            top.descriptor.digest,
            image.descriptor.digest,
            manifest.config.digest,
        ],
    )?;
    store.put_blob(&top.content)?;
    store.put_blob(&image.content)?;
    let config = config(store, client, reference, manifest)?;
    let new = layers(
        store, client, reference, options, watch, manifest, &config, &mut lease,
    )?;
    let mut platform = config.platform.clone();
    platform.os_version = None;
    let to = Ref {
        target: top.descriptor.clone(),
        manifest: image.descriptor.digest,
        config: manifest.config.digest,
        platform,
    };
    store.set_ref(&Name::Reference(reference.clone()), &to)?;
    Ok(Pulled { to, new })
}

fn document_error(reference: &Reference, source: DocumentError) -> PullError {
    PullError::Document {
        name: reference.familiar(),
        source,
    }
}

/// The image of an index, through indexes within it; None: the top is the image.
fn choose(
    client: &Client,
    reference: &Reference,
    options: &PullOptions,
    top: &Fetched,
) -> Result<Option<Fetched>, PullError> {
    let mut found: Option<Fetched> = None;
    for _ in 0..4 {
        let Document::Index(index) = &found.as_ref().unwrap_or(top).document else {
            return Ok(found);
        };
        let chosen = index
            .choose(&options.platform)
            .map_err(|error| document_error(reference, error))?;
        found = Some(client.manifest(&reference.with_digest(chosen.digest))?);
    }
    match &found {
        Some(Fetched {
            document: Document::Manifest(_),
            ..
        }) => Ok(found),
        _ => Err(document_error(
            reference,
            DocumentError::Malformed {
                what: "the index",
                why: "indexes within indexes, more than three deep".to_owned(),
            },
        )),
    }
}

fn config(
    store: &Store,
    client: &Client,
    reference: &Reference,
    manifest: &Manifest,
) -> Result<Config, PullError> {
    let content = match store.blob(manifest.config.digest) {
        Ok(content) => content,
        Err(_) => {
            let content = client.small_blob(reference, &manifest.config)?;
            store.put_blob(&content)?;
            content
        }
    };
    Config::read(&content, manifest.layers.len()).map_err(|error| document_error(reference, error))
}

/// One layer to bring.
struct Job<'a> {
    number: usize,
    descriptor: &'a Descriptor,
    diff_id: Digest,
}

#[expect(
    clippy::too_many_arguments,
    reason = "a step of `pull`, which has all of them at hand"
)]
fn layers(
    store: &Store,
    client: &Client,
    reference: &Reference,
    options: &PullOptions,
    watch: &dyn Watch,
    manifest: &Manifest,
    config: &Config,
    lease: &mut Lease,
) -> Result<bool, PullError> {
    let diff_ids = &config.rootfs.diff_ids;
    lease.add(store, diff_ids)?;
    let blobs: Vec<Digest> = manifest.layers.iter().map(|layer| layer.digest).collect();
    lease.add(store, &blobs)?;
    let progress: Vec<LayerProgress> = manifest
        .layers
        .iter()
        .map(|layer| LayerProgress::new(layer.digest, layer.size))
        .collect();
    let progress = std::sync::Arc::new(progress);
    watch.layers(&progress);
    let mut jobs: Vec<Job> = Vec::new();
    for (number, (descriptor, diff_id)) in manifest.layers.iter().zip(diff_ids).enumerate() {
        let there = store.layer(*diff_id)?.is_some()
            && (!options.keep_blobs || store.has(descriptor.digest));
        if there || jobs.iter().any(|job| job.diff_id == *diff_id) {
            progress[number].set(State::Exists);
            continue;
        }
        jobs.push(Job {
            number,
            descriptor,
            diff_id: *diff_id,
        });
    }
    // The largest first: the last one to come should be short.
    jobs.sort_by_key(|job| std::cmp::Reverse(job.descriptor.size));
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<PullError>> = Mutex::new(None);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..options.parallel.max(1).min(jobs.len()) {
            scope.spawn(|| {
                while let Some(job) = jobs.get(next.fetch_add(1, Relaxed)) {
                    if stop.load(Relaxed) || watch.stop().load(Relaxed) {
                        return;
                    }
                    let progress = &progress[job.number];
                    progress.set(State::Pulling);
                    match layer(
                        store, client, reference, options, job, progress, watch, &stop,
                    ) {
                        Ok(state) => progress.set(state),
                        Err(error) => {
                            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                            // What others say after the first is that they were stopped.
                            if !stop.swap(true, Relaxed) {
                                *failed = Some(error.of(reference, job, manifest.layers.len()));
                            }
                            return;
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None if watch.stop().load(Relaxed) => Err(PullError::Layer {
            name: reference.familiar(),
            number: 0,
            count: manifest.layers.len(),
            digest: manifest.config.digest,
            source: Box::new(UnpackError::Interrupted),
        }),
        None => Ok(!jobs.is_empty()),
    }
}

enum Failure {
    Store(StoreError),
    Unpack(UnpackError),
}

impl Failure {
    fn of(self, reference: &Reference, job: &Job, count: usize) -> PullError {
        match self {
            Self::Store(error) => PullError::Store(error),
            Self::Unpack(source) => PullError::Layer {
                name: reference.familiar(),
                number: job.number + 1,
                count,
                digest: job.descriptor.digest,
                source: Box::new(source),
            },
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the body of the loop in `layers`"
)]
fn layer(
    store: &Store,
    client: &Client,
    reference: &Reference,
    options: &PullOptions,
    job: &Job,
    progress: &LayerProgress,
    watch: &dyn Watch,
    stop: &AtomicBool,
) -> Result<State, Failure> {
    let _alone = store.lock_layer(job.diff_id).map_err(Failure::Store)?;
    // Somebody else may have done it while we waited.
    let there = store.layer(job.diff_id).map_err(Failure::Store)?.is_some();
    if there && (!options.keep_blobs || store.has(job.descriptor.digest)) {
        return Ok(State::Exists);
    }
    let ingest = store.ingest().map_err(Failure::Store)?;
    let record = ingest.record().map_err(Failure::Store)?;
    let directory = ingest.directory().map_err(Failure::Store)?;
    let mut blob = match options.keep_blobs {
        true => Some(store.new_blob().map_err(Failure::Store)?),
        false => None,
    };
    let expected = Expected {
        blob: Some((job.descriptor.digest, job.descriptor.size)),
        diff_id: Some(job.diff_id),
    };
    let ended = || stop.load(Relaxed) || watch.stop().load(Relaxed);
    let settings = Settings {
        privileges: options.privileges,
        limits: options.limits,
        received: progress.counter(),
        stop: &ended,
    };
    let source = client.blob(reference, job.descriptor);
    let tee = blob
        .as_mut()
        .map(|blob| blob as &mut (dyn std::io::Write + Send));
    let unpacked = pipeline::unpack(source, expected, directory, &settings, tee, record);
    let (unpacked, record) = unpacked.map_err(Failure::Unpack)?;
    if let Some(blob) = blob {
        blob.commit(store).map_err(Failure::Store)?;
    }
    store
        .finish_layer(ingest, record, &unpacked)
        .map_err(Failure::Store)?;
    Ok(State::Done)
}
