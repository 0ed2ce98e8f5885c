//! What a person calls an image: docker's grammar of references, with its short names (distribution/reference).

use crate::Digest;
use std::fmt;
use std::str::FromStr;

/// `[REGISTRY/]REPOSITORY[:TAG][@DIGEST]`, in full.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference format: {text:?}: {why}")]
pub struct ReferenceError {
    text: String,
    why: &'static str,
}

/// The registry of names that say none.
pub const DEFAULT_REGISTRY: &str = "docker.io";

impl Reference {
    /// The registry's name, with a port where it has one: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository's name at its registry: `library/debian`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; None where only a digest was said.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of a manifest or index.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What a registry is asked for: the digest, else the tag.
    pub fn wanted(&self) -> String {
        match (self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same repository with a tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError {
                text: tag.to_owned(),
                why: "a tag has letters, digits and _ . - only, and at most 128 of them",
            });
        }
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same repository and a digest alone.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The repository as docker shows it: without `docker.io/`, and without `library/`.
    pub fn familiar_repository(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        let short = match self.repository.strip_prefix("library/") {
            // `docker.io/library/a/b` is not `a/b`.
            Some(rest) if !rest.contains('/') => rest,
            _ => &self.repository,
        };
        // What would be read as another registry's, or as an id, keeps its own.
        let first = short.split_once('/').map(|(first, _)| first);
        if first.is_some_and(is_registry) || Digest::from_hex(short).is_ok() {
            return format!("{}/{}", self.registry, self.repository);
        }
        short.to_owned()
    }

    /// The whole as docker shows it.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_repository(), self.end())
    }

    fn end(&self) -> String {
        let mut text = String::new();
        if let Some(tag) = &self.tag {
            text += &format!(":{tag}");
        }
        if let Some(digest) = &self.digest {
            text += &format!("@{digest}");
        }
        text
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(
            formatter,
            "{}/{}{}",
            self.registry,
            self.repository,
            self.end()
        )
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    /// A name without tag and digest gets the tag `latest`.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        parse(text).map_err(|why| ReferenceError {
            text: text.chars().take(300).collect(),
            why,
        })
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() == 64 && Digest::from_hex(text).is_ok() {
        return Err("64 hexadecimal digits are an image's id, not a name");
    }
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => {
            let digest = digest.parse().map_err(|_| "what follows @ is no digest")?;
            (rest, Some(digest))
        }
        None => (text, None),
    };
    // A colon before the last slash belongs to a port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("a tag has letters, digits and _ . - only, and at most 128 of them");
    }
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => (first, path),
        _ => (DEFAULT_REGISTRY, name),
    };
    if !is_host(registry) {
        return Err("the registry is no host name");
    }
    let registry = match registry {
        "index.docker.io" => DEFAULT_REGISTRY,
        other => other,
    };
    if path.chars().any(|letter| letter.is_ascii_uppercase()) {
        return Err("a repository's name must be in lower case");
    }
    if !path.split('/').all(is_component) {
        return Err(
            "a repository's name has lower case letters and digits, with . _ __ or - between them, and slashes",
        );
    }
    let repository = match registry == DEFAULT_REGISTRY && !path.contains('/') {
        true => format!("library/{path}"),
        false => path.to_owned(),
    };
    if registry.len() + 1 + repository.len() > 255 {
        return Err("a name has at most 255 characters");
    }
    let tag = match (tag, digest) {
        (None, None) => Some("latest".to_owned()),
        (tag, _) => tag.map(str::to_owned),
    };
    Ok(Reference {
        registry: registry.to_owned(),
        repository,
        tag,
        digest,
    })
}

/// Whether the first component of a name is a registry: it has a dot or a port, is localhost, or is no repository's component.
fn is_registry(first: &str) -> bool {
    first.contains(['.', ':'])
        || first == "localhost"
        || first.chars().any(|letter| letter.is_ascii_uppercase())
}

/// A host name or an IPv6 address in brackets, with or without a port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, "")) => (address, None),
            Some((address, port)) => (address, port.strip_prefix(':').or(Some(""))),
            None => return false,
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port_is_fine = port.is_none_or(|port| {
        !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    let host_is_fine = if text.starts_with('[') {
        !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b':')
    } else {
        host.split('.').all(|label| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            !label.is_empty()
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
    };
    port_is_fine && host_is_fine
}

/// Runs of lower case letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    if !alphanumeric(*first) || !alphanumeric(*last) {
        return false;
    }
    bytes.split(|byte| alphanumeric(*byte)).all(|join| {
        matches!(join, b"" | b"." | b"_" | b"__") || join.iter().all(|byte| *byte == b'-')
    })
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let rest = |byte: u8| word(byte) || byte == b'.' || byte == b'-';
    text.len() <= 128 && text.bytes().next().is_some_and(word) && text.bytes().all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_full_and_as_people_say_them() {
        let check = |text: &str, full: &str, familiar: &str| {
            let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
            assert_eq!(full.parse::<Reference>().as_ref(), Ok(&reference));
        };
        let digest = Digest::of(b"");
        check("debian", "docker.io/library/debian:latest", "debian:latest");
        check("debian:12", "docker.io/library/debian:12", "debian:12");
        check("a/b", "docker.io/a/b:latest", "a/b:latest");
        check(
            "index.docker.io/debian",
            "docker.io/library/debian:latest",
            "debian:latest",
        );
        check(
            "docker.io/library/a/b",
            "docker.io/library/a/b:latest",
            "library/a/b:latest",
        );
        check(
            "docker.io/ghcr.io/a",
            "docker.io/ghcr.io/a:latest",
            "docker.io/ghcr.io/a:latest",
        );
        check("localhost/a", "localhost/a:latest", "localhost/a:latest");
        check(
            "localhost:5000/a:b",
            "localhost:5000/a:b",
            "localhost:5000/a:b",
        );
        check("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest");
        check(
            "ghcr.io/a/b/c",
            "ghcr.io/a/b/c:latest",
            "ghcr.io/a/b/c:latest",
        );
        check("Host/a", "Host/a:latest", "Host/a:latest");
        check(
            "a__b.c-d---e",
            "docker.io/library/a__b.c-d---e:latest",
            "a__b.c-d---e:latest",
        );
        check(
            &format!("debian@{digest}"),
            &format!("docker.io/library/debian@{digest}"),
            &format!("debian@{digest}"),
        );
        check(
            &format!("debian:12@{digest}"),
            &format!("docker.io/library/debian:12@{digest}"),
            &format!("debian:12@{digest}"),
        );
    }

    #[test]
    fn what_is_no_name() {
        let long = "a".repeat(256);
        for wrong in [
            "",
            ":",
            "a:",
            "Debian",
            "a//b",
            "/a",
            "a/",
            "a:b c",
            "a@sha256:1",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a_.b",
            "a:-b",
            "../a",
            "a/../b",
            "host:/a",
            "host:x/a",
            "ho_st.x/a",
            "[::1/a",
            "[]/a",
            "-host.de/a",
            &"0".repeat(64),
            &long,
            &format!("a:{}", "t".repeat(129)),
        ] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong:?}");
        }
    }
}
