//! A layer that comes by pushes, for archives within archives: what [`crate::pipeline`] does on threads, in one.

use crate::Digest;
use crate::digest::Hasher;
use crate::inflate::Inflater;
use crate::pipeline::Unpacked;
use crate::store::{Ingest, NewBlob, Record, Store, StoreError};
use crate::unpack::{Limits, Privileges, UnpackError, Unpacker};
use std::io::Write;
use thiserror::Error;

/// Why a layer can't be taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LayerError {
    /// It is no layer, or a hostile one.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Unpacks what is pushed to it.
pub(crate) struct LayerWriter {
    ingest: Ingest,
    inflater: Inflater,
    buffer: Vec<u8>,
    inner: Inner,
    blob: Hasher,
    blob_size: u64,
    /// The bytes as they come, kept.
    copy: Option<NewBlob>,
}

struct Inner {
    unpacker: Unpacker<Record>,
    hasher: Hasher,
    size: u64,
    limit: u64,
}

/// A layer that was taken.
pub(crate) struct Taken {
    pub(crate) diff_id: Digest,
    /// Of the bytes as they came.
    pub(crate) blob: Digest,
    pub(crate) blob_size: u64,
}

impl LayerWriter {
    /// `keep` also keeps the bytes as they come, if they are compressed.
    pub(crate) fn new(store: &Store, limits: Limits, keep: bool) -> Result<Self, LayerError> {
        let ingest = store.ingest()?;
        let record = ingest.record()?;
        let unpacker = Unpacker::new(ingest.directory()?, Privileges::own(), limits, record)?;
        Ok(Self {
            ingest,
            inflater: Inflater::new(),
            buffer: Vec::new(),
            inner: Inner {
                unpacker,
                hasher: Hasher::default(),
                size: 0,
                limit: limits.bytes,
            },
            blob: Hasher::default(),
            blob_size: 0,
            copy: if keep { Some(store.new_blob()?) } else { None },
        })
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), LayerError> {
        self.blob.update(bytes);
        self.blob_size += bytes.len() as u64;
        if let Some(copy) = &mut self.copy {
            copy.write_all(bytes).map_err(UnpackError::Record)?;
        }
        let inner = &mut self.inner;
        self.inflater
            .push(bytes, &mut self.buffer, &mut |piece: &mut Vec<u8>| {
                inner.take(piece)
            })?;
        Ok(())
    }

    pub(crate) fn finish(mut self, store: &Store) -> Result<Taken, LayerError> {
        let inner = &mut self.inner;
        self.inflater
            .finish(&mut self.buffer, &mut |piece: &mut Vec<u8>| {
                inner.take(piece)
            })?;
        let (totals, record) = self.inner.unpacker.finish()?;
        let unpacked = Unpacked {
            diff_id: self.inner.hasher.finish(),
            blob: self.blob.finish(),
            blob_size: self.blob_size,
            size: self.inner.size,
            totals,
        };
        store.finish_layer(self.ingest, record, &unpacked)?;
        // One that is not compressed can be put together again from its files.
        if let Some(copy) = self.copy.filter(|_| unpacked.blob != unpacked.diff_id) {
            copy.commit(store)?;
        }
        Ok(Taken {
            diff_id: unpacked.diff_id,
            blob: unpacked.blob,
            blob_size: unpacked.blob_size,
        })
    }
}

impl Inner {
    fn take(&mut self, piece: &[u8]) -> Result<(), UnpackError> {
        self.size += piece.len() as u64;
        if self.size > self.limit {
            return Err(UnpackError::Limit {
                what: "bytes",
                limit: self.limit,
            });
        }
        self.hasher.update(piece);
        self.unpacker.push(piece)
    }
}
