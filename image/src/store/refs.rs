//! Names of images, and images without one.

use super::{Store, StoreError, files};
use crate::manifest::Descriptor;
use crate::{Digest, Platform, Reference};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ref {
    /// What the registry has by that name: an index, or the manifest itself.
    pub target: Descriptor,
    /// The manifest of the image.
    pub manifest: Digest,
    /// The image's config: its id.
    pub config: Digest,
    /// For whom the image is.
    pub platform: Platform,
}

/// A name in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// A tag or digest of a repository.
    Reference(Reference),
    /// None any more; the digest of its manifest tells it from others.
    Untagged(Digest),
}

const UNTAGGED: &str = "untagged";

impl Store {
    fn ref_path(&self, name: &Name) -> PathBuf {
        let refs = self.root.join("refs");
        match name {
            Name::Untagged(digest) => refs.join(UNTAGGED).join(digest.hex()),
            Name::Reference(reference) => {
                let folder = refs.join(reference.registry()).join(reference.repository());
                match (reference.tag(), reference.digest()) {
                    (Some(tag), _) => folder.join(format!(":{tag}")),
                    (None, Some(digest)) => folder.join(format!("@{}", digest.hex())),
                    (None, None) => folder.join(":latest"),
                }
            }
        }
    }

    /// What a name stands for; None: nothing.
    pub fn get_ref(&self, name: &Name) -> Result<Option<Ref>, StoreError> {
        read(&self.ref_path(name))
    }

    /// Makes a name stand for an image. An image that loses its last name by it becomes untagged.
    pub fn set_ref(&self, name: &Name, to: &Ref) -> Result<(), StoreError> {
        let before = self.get_ref(name)?;
        self.write(name, to)?;
        if let Name::Reference(_) = name {
            let untagged = self.ref_path(&Name::Untagged(to.manifest));
            remove(&untagged)?;
        }
        match before {
            Some(before) if before.manifest != to.manifest => self.keep_untagged(&before),
            _ => Ok(()),
        }
    }

    fn write(&self, name: &Name, to: &Ref) -> Result<(), StoreError> {
        let path = self.ref_path(name);
        let content = serde_json::to_vec(to).expect("strings and numbers only");
        let write = || {
            files::make_all(path.parent().expect("a ref is in a directory"))?;
            files::replace(&path, &content)
        };
        // Whoever removes a repository's last name may remove its directory between the two.
        write()
            .or_else(|_| write())
            .map_err(|error| StoreError::io("write", &path, error))
    }

    fn keep_untagged(&self, image: &Ref) -> Result<(), StoreError> {
        let named = self
            .refs()?
            .iter()
            .any(|(_, other)| other.config == image.config);
        if named {
            return Ok(());
        }
        self.write(&Name::Untagged(image.manifest), image)
    }

    /// Takes a name away; whether there was one.
    pub fn remove_ref(&self, name: &Name) -> Result<bool, StoreError> {
        let path = self.ref_path(name);
        let removed = remove(&path)?;
        // Directories that are empty now, up to `refs`; one that is in use stays by itself.
        let refs = self.root.join("refs");
        let above = path
            .ancestors()
            .skip(1)
            .take_while(|folder| *folder != refs);
        for folder in above {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(removed)
    }

    /// All names with what they stand for, sorted.
    pub fn refs(&self) -> Result<Vec<(Name, Ref)>, StoreError> {
        let refs = self.root.join("refs");
        let mut found = Vec::new();
        for registry in list(&refs)? {
            let folder = refs.join(&registry);
            if registry == UNTAGGED {
                for hex in list(&folder)? {
                    if let (Ok(digest), Some(to)) =
                        (Digest::from_hex(&hex), read(&folder.join(&hex))?)
                    {
                        found.push((Name::Untagged(digest), to));
                    }
                }
                continue;
            }
            self.repository(&folder, &registry, "", &mut found)?;
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn repository(
        &self,
        folder: &Path,
        registry: &str,
        path: &str,
        found: &mut Vec<(Name, Ref)>,
    ) -> Result<(), StoreError> {
        for name in list(folder)? {
            let below = folder.join(&name);
            let text = match name.split_at_checked(1) {
                Some((":", tag)) => format!("{registry}/{path}:{tag}"),
                Some(("@", hex)) => format!("{registry}/{path}@sha256:{hex}"),
                // Unfinished.
                Some((".", _)) => continue,
                _ => {
                    let path = if path.is_empty() {
                        name
                    } else {
                        format!("{path}/{name}")
                    };
                    self.repository(&below, registry, &path, found)?;
                    continue;
                }
            };
            if let (Ok(reference), Some(to)) = (text.parse(), read(&below)?) {
                found.push((Name::Reference(reference), to));
            }
        }
        Ok(())
    }
}

/// A ref's file; one that a crash has left without content is none.
fn read(path: &Path) -> Result<Option<Ref>, StoreError> {
    match fs::read(path) {
        Ok(content) => Ok(serde_json::from_slice(&content).ok()),
        Err(error) if matches!(error.raw_os_error(), Some(2 | 20 | 21)) => Ok(None),
        Err(error) => Err(StoreError::io("read", path, error)),
    }
}

fn remove(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(2 | 20)) => Ok(false),
        Err(error) => Err(StoreError::io("remove", path, error)),
    }
}

fn list(folder: &Path) -> Result<Vec<String>, StoreError> {
    files::names(folder).map_err(|error| StoreError::io("list", folder, error))
}
