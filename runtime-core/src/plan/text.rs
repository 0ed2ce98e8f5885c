//! Strings that become C strings, paths and environments: what they may not hold.
use crate::config::{At, ConfigError, invalid};

/// Refuses a NUL byte: the kernel would read the text only up to it, so that something else than what was written would be done.
///
/// # Errors
/// [`ConfigError`] at the value itself.
pub fn no_nul(text: &str) -> Result<&str, ConfigError> {
    match text.find('\0') {
        None => Ok(text),
        Some(at) => invalid(format!("has a NUL byte at position {at}")),
    }
}

/// [`no_nul`] for each of a list.
///
/// # Errors
/// [`ConfigError`] at the element.
pub fn no_nuls(texts: &[String]) -> Result<(), ConfigError> {
    texts
        .iter()
        .enumerate()
        .try_for_each(|(index, text)| no_nul(text).map(|_| ()).index(index))
}

/// An absolute path without NUL.
///
/// # Errors
/// [`ConfigError`] at the value itself.
pub fn absolute(path: &str) -> Result<&str, ConfigError> {
    if path.is_empty() {
        return invalid("is empty and must be an absolute path");
    }
    if !path.starts_with('/') {
        return invalid(format!("{path:?} is not an absolute path"));
    }
    no_nul(path)
}

/// An environment: later entries of a name replace earlier ones, as runc does since 1.3; the place of the first one is kept.
///
/// # Errors
/// [`ConfigError`] at an element that isn't `NAME=VALUE`, has an empty name or a NUL byte.
pub fn environment(entries: &[String]) -> Result<Vec<String>, ConfigError> {
    let mut decided: Vec<String> = Vec::with_capacity(entries.len() + 1);
    let mut places = std::collections::HashMap::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let name = variable_name(entry).index(index)?;
        match places.get(name) {
            Some(&place) => entry.clone_into(&mut decided[place]),
            None => {
                places.insert(name, decided.len());
                decided.push(entry.clone());
            }
        }
    }
    Ok(decided)
}

fn variable_name(entry: &str) -> Result<&str, ConfigError> {
    no_nul(entry)?;
    match entry.split_once('=') {
        None => invalid(format!("{entry:?} is not of the form NAME=VALUE")),
        Some(("", _)) => invalid(format!("{entry:?} has an empty name")),
        Some((name, _)) => Ok(name),
    }
}

/// The value of a variable, if it is set.
#[must_use]
pub fn variable<'a>(environment: &'a [String], name: &str) -> Option<&'a str> {
    environment
        .iter()
        .find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
}

/// The path without `.`, empty components and `..` beyond the root, always absolute: what a path inside the container means as
/// long as it has no symlink. For comparing, never for opening.
#[must_use]
pub fn clean(path: &str) -> String {
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
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn nul_is_refused_with_its_place() {
        assert_eq!(no_nul("a").unwrap(), "a");
        assert_eq!(
            no_nul("ab\0c").unwrap_err().reason,
            "has a NUL byte at position 2"
        );
        assert_eq!(
            no_nuls(&strings(&["a", "\0"])).unwrap_err().to_string(),
            "[1]: has a NUL byte at position 0"
        );
    }

    #[test]
    fn absolute_paths() {
        assert!(absolute("/").is_ok());
        assert!(
            absolute("a/b")
                .unwrap_err()
                .reason
                .contains("not an absolute path")
        );
        assert!(absolute("").unwrap_err().reason.contains("is empty"));
        assert!(absolute("/a\0").unwrap_err().reason.contains("NUL"));
    }

    #[test]
    fn environments() {
        let check = |entries: &[&str], expect: &[&str]| {
            assert_eq!(environment(&strings(entries)).unwrap(), strings(expect))
        };
        check(&["A=1", "B=2"], &["A=1", "B=2"]);
        check(&["A=1", "B=2", "A=3"], &["A=3", "B=2"]);
        check(&["A=", "A==x"], &["A==x"]);
        check(&["=A=1".trim_start_matches('=')], &["A=1"]);
        let refused = |entry: &str, expect: &str| {
            assert_eq!(
                environment(&strings(&["X=1", entry]))
                    .unwrap_err()
                    .to_string(),
                expect
            );
        };
        refused("A", "[1]: \"A\" is not of the form NAME=VALUE");
        refused("", "[1]: \"\" is not of the form NAME=VALUE");
        refused("=1", "[1]: \"=1\" has an empty name");
        refused("A=\0", "[1]: has a NUL byte at position 2");
        assert_eq!(
            variable(&strings(&["HOMES=1", "HOME=/x"]), "HOME"),
            Some("/x")
        );
        assert_eq!(variable(&strings(&["HOMES=1"]), "HOME"), None);
    }

    #[test]
    fn cleaning() {
        for (path, expect) in [
            ("/", "/"),
            ("", "/"),
            ("/dev/", "/dev"),
            ("//a/./b/../c", "/a/c"),
            ("/../..", "/"),
            ("dev/../proc/", "/proc"),
            ("/...", "/..."),
        ] {
            assert_eq!(clean(path), expect, "{path}");
        }
    }
}
