//! `config.json` and its parts: read bytes, say exactly where they are wrong. No IO.
//!
//! [`load`] refuses what no plan could ever be made of: text that is too large or isn't JSON of the right shape, and an
//! `ociVersion` that this runtime doesn't speak. What a value *means*, and whether it fits its neighbours, is decided by the
//! modules of [`crate::plan`]; both report a [`ConfigError`] that names the JSON path.
use serde::de::DeserializeOwned;
use tare_oci::{Process, Resources, Spec};

mod error;
mod version;

pub use error::{At, ConfigError, invalid};
pub use version::{NEWEST as OCI_VERSION_NEWEST, OLDEST as OCI_VERSION_OLDEST};

/// Largest document read, in bytes. Docker's default config is 12 KB; the largest seen in the wild (10,000 mounts) is 2 MB.
pub const MAX_BYTES: usize = 16 << 20;

/// Reads a `config.json`.
///
/// # Errors
/// [`ConfigError`] for more than [`MAX_BYTES`], for text that isn't JSON (line and column), for a value of the wrong type
/// (JSON path), and for an `ociVersion` that isn't 1.x.
pub fn load(bytes: &[u8]) -> Result<Spec, ConfigError> {
    let spec: Spec = parse(bytes)?;
    version::check(&spec.oci_version).field("ociVersion")?;
    Ok(spec)
}

/// Reads the document that `exec --process` takes.
///
/// # Errors
/// As [`load`]; paths start at `process`.
pub fn load_process(bytes: &[u8]) -> Result<Process, ConfigError> {
    parse(bytes).field("process")
}

/// Reads the document that `update --resources` takes.
///
/// # Errors
/// As [`load`]; paths start at `linux.resources`.
pub fn load_resources(bytes: &[u8]) -> Result<Resources, ConfigError> {
    parse(bytes).field("linux.resources")
}

/// One pass when the document is good; a second one, which tracks the path, only to explain a failure.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ConfigError> {
    if bytes.len() > MAX_BYTES {
        return invalid(format!(
            "the document has {} bytes and at most {MAX_BYTES} are read; a config.json is a few kilobytes, so this is the wrong file",
            bytes.len()
        ));
    }
    match bytes.trim_ascii_start().first() {
        None => return invalid("the document is empty"),
        // serde would read a list as the members in their order.
        Some(b'[' | b'n') => return invalid("the document is not a JSON object"),
        Some(_) => {}
    }
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(error) => Err(explain::<T>(bytes, &error)),
    }
}

fn explain<T: DeserializeOwned>(bytes: &[u8], first: &serde_json::Error) -> ConfigError {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => ConfigError::new(first.to_string()),
        Err(error) => {
            // "?" stands for a member whose name was not read to its end.
            let path = error.path().to_string();
            let path = path.trim_end_matches(['?', '.']).to_owned();
            ConfigError {
                path,
                reason: error.inner().to_string(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        match load(text.as_bytes()) {
            Ok(spec) => assert_eq!(format!("ok {}", spec.oci_version), expect),
            Err(error) => assert_eq!(error.to_string(), expect),
        }
    }

    #[test]
    fn good_documents() {
        check(r#"{"ociVersion":"1.0.2"}"#, "ok 1.0.2");
        check(
            r#"{"ociVersion":"1.2.0","unknown":{"deep":[1]},"linux":{"new":true}}"#,
            "ok 1.2.0",
        );
        check(
            r#"{"ociVersion":"1.0.2","mounts":null,"annotations":null}"#,
            "ok 1.0.2",
        );
    }

    #[test]
    fn wrong_types_name_the_path() {
        check(
            r#"{"ociVersion":"1.0.2","process":{"args":["sh",3]}}"#,
            "process.args[1]: invalid type: integer `3`, expected a string at line 1 column 47",
        );
        check(
            r#"{"ociVersion":"1.0.2","linux":{"resources":{"memory":{"limit":"1g"}}}}"#,
            "linux.resources.memory.limit: invalid type: string \"1g\", expected i64 at line 1 column 66",
        );
        check(
            r#"{"ociVersion":"1.0.2","linux":{"uidMappings":[{"containerID":0,"hostID":-1,"size":1}]}}"#,
            "linux.uidMappings[0].hostID: invalid value: integer `-1`, expected u32 at line 1 column 74",
        );
        check(
            r#"{"ociVersion":"1.0.2","process":{"user":{"uid":"4294967295"}}}"#,
            "process.user.uid: invalid type: string \"4294967295\", expected i64 at line 1 column 59",
        );
    }

    #[test]
    fn broken_documents() {
        check("", "config: the document is empty");
        check(" \n\t", "config: the document is empty");
        check("[]", "config: the document is not a JSON object");
        check(
            r#"{"ociVersion":"1.0.2""#,
            "config: EOF while parsing an object at line 1 column 21",
        );
        check("null", "config: the document is not a JSON object");
        check("\0\0", "config: expected value at line 1 column 1");
        check(
            r#"{"ociVersion":"1.0.2"} {}"#,
            "config: trailing characters at line 1 column 24",
        );
        check(r#"{}"#, "ociVersion: is needed, for example \"1.2.0\"");
    }

    #[test]
    fn deep_nesting_does_not_reach_the_stack() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        check(
            &format!(r#"{{"ociVersion":"1.0.2","unknown":{deep}}}"#),
            "ok 1.0.2",
        );
        let error =
            load(format!(r#"{{"ociVersion":"1.0.2","mounts":{deep}}}"#).as_bytes()).unwrap_err();
        assert_eq!(error.path, "mounts[0][0]");
    }

    #[test]
    fn a_huge_document_is_refused_before_it_is_parsed() {
        let error = load(&vec![b' '; MAX_BYTES + 1]).unwrap_err().to_string();
        assert!(
            error.starts_with("config: the document has 16777217 bytes"),
            "{error}"
        );
    }

    #[test]
    fn parts_carry_their_prefix() {
        assert_eq!(
            load_process(br#"{"cwd":1}"#).unwrap_err().to_string(),
            "process.cwd: invalid type: integer `1`, expected a string at line 1 column 8"
        );
        assert_eq!(
            load_resources(br#"{"pids":{"limit":"x"}}"#)
                .unwrap_err()
                .to_string(),
            "linux.resources.pids.limit: invalid type: string \"x\", expected i64 at line 1 column 20"
        );
    }
}
