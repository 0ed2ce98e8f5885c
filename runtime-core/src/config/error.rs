//! The one error of reading and deciding a config: where (JSON path) and why.
use std::fmt;

/// A value that the spec forbids or that fits neither its neighbours nor this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// JSON path from the root of `config.json`, like `mounts[3].options[1]`; empty for the document as a whole.
    pub path: String,
    /// What is wrong, and what would be right where that can be said.
    pub reason: String,
}

impl ConfigError {
    /// An error about the value that the caller is looking at; [`At`] adds the path on the way up.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            reason: reason.into(),
        }
    }

    fn prefixed(mut self, prefix: &str) -> Self {
        if self.path.is_empty() {
            prefix.clone_into(&mut self.path);
        } else if self.path.starts_with('[') {
            self.path.insert_str(0, prefix);
        } else {
            self.path = format!("{prefix}.{}", self.path);
        }
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "config"
        } else {
            &self.path
        };
        write!(formatter, "{path}: {}", self.reason)
    }
}

impl std::error::Error for ConfigError {}

/// `Err` of a [`ConfigError`] without a path yet.
///
/// # Errors
/// Always.
pub fn invalid<T>(reason: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::new(reason))
}

/// Puts the place in front of an error on its way up, so that the path costs nothing while all is well.
pub trait At: Sized {
    /// The error is in this member.
    #[must_use]
    fn field(self, name: &str) -> Self;
    /// The error is in this element.
    #[must_use]
    fn index(self, index: usize) -> Self;
    /// The error is in the map's value of this key, written `map["key"]`.
    #[must_use]
    fn key(self, key: &str) -> Self;
}

impl<T> At for Result<T, ConfigError> {
    fn field(self, name: &str) -> Self {
        self.map_err(|error| error.prefixed(name))
    }

    fn index(self, index: usize) -> Self {
        self.map_err(|error| error.prefixed(&format!("[{index}]")))
    }

    fn key(self, key: &str) -> Self {
        self.map_err(|error| error.prefixed(&format!("[{key:?}]")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_grows_from_the_inside() {
        let error = invalid::<()>("why")
            .field("size")
            .index(2)
            .field("uidMappings")
            .field("linux")
            .unwrap_err();
        assert_eq!(error.to_string(), "linux.uidMappings[2].size: why");
        let error = invalid::<()>("why")
            .key("net.x")
            .field("linux.sysctl")
            .unwrap_err();
        assert_eq!(error.to_string(), r#"linux.sysctl["net.x"]: why"#);
        assert_eq!(invalid::<()>("why").unwrap_err().to_string(), "config: why");
    }
}
