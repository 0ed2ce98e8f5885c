//! The options that containerd gives a container: a message that holds them, or TOML.
//!
//! CRI sends [`RuncOptions`] to a runtime of type `io.containerd.runc.v2` only; every other one gets [`GenericOptions`] with the
//! TOML of config.toml's `options` in it, or with the path of a file that has it.
mod toml;

use crate::codec;
use crate::messages::google::Any;
use crate::messages::runtime::{GenericOptions, RuncOptions};

/// The longest TOML that is read.
pub const MOST_TOML: usize = 64 << 10;

/// Options, wherever they came from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Those that containerd's own shim has too.
    pub runc: RuncOptions,
    /// Which containers share a shim.
    pub sharing: Sharing,
    /// Top-level keys of the TOML that mean nothing here. Go's decoder passes over such keys, and so do we; they are worth a
    /// warning, since a misspelt option is one of them.
    pub ignored: Vec<String>,
}

/// Which containers share a shim.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Those of a pod.
    #[default]
    Pod,
    /// All of the node.
    Node,
}

/// What a value of options was.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The options.
    Options(Box<Options>),
    /// The path of a file with TOML, which is the caller's to read and to give to [`Options::of_toml`].
    File(String),
}

/// Options that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The value is not the message that it says to be.
    #[error("runtime options: {0}")]
    Message(#[from] codec::Error),
    /// The value is something else.
    #[error(
        "runtime options of type {0:?}: expected containerd.runc.v1.Options or runtimeoptions.v1.Options"
    )]
    Type(String),
    /// More than [`MOST_TOML`] bytes.
    #[error("runtime options: {0} bytes of TOML, at most 65536 are read")]
    Long(usize),
    /// The TOML is not UTF-8.
    #[error("runtime options: the TOML is not UTF-8")]
    Text,
    /// The TOML is none.
    #[error("runtime options, line {line} of the TOML: {why}")]
    Toml {
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        why: String,
    },
    /// A key whose value it can't have.
    #[error("runtime options, line {line} of the TOML: {key}: {found}, expected {expected}")]
    Value {
        /// The line, from 1.
        line: usize,
        /// The key, as it stands there.
        key: String,
        /// What the value is.
        found: &'static str,
        /// What it can be.
        expected: &'static str,
    },
}

impl Options {
    /// Reads the value that `Create`, a starting shim or `-info` got. One without content has no options, whatever its type.
    pub fn find(value: Option<&Any>) -> Result<Found, Error> {
        let Some(value) = value.filter(|value| !value.value.is_empty()) else {
            return Ok(Found::Options(Box::default()));
        };
        let options = if let Some(runc) = value.unpack::<RuncOptions>() {
            Options {
                runc: runc?,
                ..Options::default()
            }
        } else if let Some(generic) = value.unpack::<GenericOptions>() {
            let generic = generic?;
            if !generic.config_path.is_empty() {
                return Ok(Found::File(generic.config_path));
            }
            Options::of_toml(&generic.config_body)?
        } else {
            return Err(Error::Type(value.type_url.clone()));
        };
        Ok(Found::Options(Box::new(options)))
    }

    /// Reads TOML. Upper and lower case of keys are the same, as to Go's decoder.
    pub fn of_toml(text: &[u8]) -> Result<Options, Error> {
        if text.len() > MOST_TOML {
            return Err(Error::Long(text.len()));
        }
        let text = std::str::from_utf8(text).map_err(|_| Error::Text)?;
        toml::read(text)
    }
}

#[cfg(test)]
mod tests;
