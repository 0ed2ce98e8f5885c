//! The first talk with containerd: in which dialect it asks for a server, where that listens, how it is answered. Pure.
//!
//! | containerd | asks by | takes as answer |
//! |---|---|---|
//! | 1.6 | flags, options on stdin | the bare address |
//! | 1.7 to 2.2 | the same | the bare address, or JSON |
//! | from 2.3 | BootstrapParams on stdin, flags too | BootstrapResult |
use crate::arguments::Arguments;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tare_shim_wire::Message;
use tare_shim_wire::messages::bootstrap::{BootstrapParams, BootstrapResult};
use tare_shim_wire::messages::google::Any;
use tare_shim_wire::messages::runtime::{GenericOptions, RuncOptions};

/// Where sockets are, unless containerd says otherwise.
const SOCKETS: &str = "/run/containerd/s";

/// The annotations that name a group whose containers share a server, the first that is there.
const GROUPS: [&str; 2] = [
    "io.containerd.runc.v2.group",
    "io.kubernetes.cri.sandbox-id",
];

/// How the caller talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// By flags; the answer is the bare address, which all versions before 2.3 understand.
    Flags,
    /// By BootstrapParams.
    Params,
}

/// What the caller wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// How it talks.
    pub dialect: Dialect,
    /// The runtime's options.
    pub options: Option<Any>,
    /// The directory for sockets.
    pub sockets: PathBuf,
    /// Where events go; empty when only the environment tells.
    pub events: String,
}

/// Reads standard input. What older versions send there, a bare Any, decodes as BootstrapParams too: its ids give it away.
pub fn request(input: &[u8], arguments: &Arguments) -> Request {
    let params = BootstrapParams::decode(input).ok().filter(|params| {
        !input.is_empty()
            && params.instance_id == arguments.id
            && params.namespace == arguments.namespace
    });
    match params {
        Some(params) => Request {
            dialect: Dialect::Params,
            options: params
                .extensions
                .into_iter()
                .filter_map(|extension| extension.value)
                .find(is_options),
            sockets: params
                .socket_dir
                .filter(|directory| !directory.is_empty())
                .unwrap_or_else(|| SOCKETS.to_owned())
                .into(),
            events: params.containerd_ttrpc_address,
        },
        None => Request {
            dialect: Dialect::Flags,
            options: Any::decode(input)
                .ok()
                .filter(|any| !any.type_url.is_empty()),
            sockets: SOCKETS.into(),
            events: String::new(),
        },
    }
}

fn is_options(any: &Any) -> bool {
    any.is::<RuncOptions>() || any.is::<GenericOptions>()
}

#[derive(Deserialize)]
struct Annotated {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

/// The group of a container by its config.json, of which nothing else is looked at; its id where it names none.
///
/// # Errors
/// What is wrong with the JSON.
pub fn group(config: &[u8], id: &str) -> Result<String, serde_json::Error> {
    let config: Annotated = serde_json::from_slice(config)?;
    let annotations = config.annotations.unwrap_or_default();
    let named = GROUPS.iter().find_map(|key| annotations.get(*key));
    Ok(named
        .filter(|group| !group.is_empty())
        .map_or(id, String::as_str)
        .to_owned())
}

/// The socket of a group: a name of fixed length whatever the group is called, for a socket's path has an end at 107 bytes.
pub fn socket(sockets: &Path, arguments: &Arguments, group: &str) -> PathBuf {
    let mut name = PathBuf::from(&arguments.address)
        .join(&arguments.namespace)
        .join(group);
    if arguments.debug {
        name.push("debug");
    }
    let hash = Sha256::digest(name.as_os_str().as_encoded_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    sockets.join(hex)
}

/// What goes to standard output.
pub fn answer(dialect: Dialect, address: &str) -> Vec<u8> {
    match dialect {
        Dialect::Flags => address.as_bytes().to_vec(),
        Dialect::Params => BootstrapResult {
            version: 3,
            address: address.to_owned(),
            protocol: "ttrpc".to_owned(),
            ..BootstrapResult::default()
        }
        .encode(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tare_shim_wire::messages::bootstrap::Extension;

    fn arguments() -> Arguments {
        Arguments {
            namespace: "k8s.io".to_owned(),
            id: "c1".to_owned(),
            address: "/run/containerd/containerd.sock".to_owned(),
            ..Arguments::default()
        }
    }

    fn options() -> Any {
        Any {
            type_url: "containerd.runc.v1.Options".to_owned(),
            value: vec![8, 1],
        }
    }

    #[test]
    fn params_are_known_by_their_ids() {
        let params = BootstrapParams {
            instance_id: "c1".to_owned(),
            namespace: "k8s.io".to_owned(),
            containerd_ttrpc_address: "/run/t".to_owned(),
            socket_dir: Some("/run/x/s".to_owned()),
            extensions: [Any::json("some.Other", Vec::new()), options()]
                .map(|any| Extension { value: Some(any) })
                .into(),
            ..BootstrapParams::default()
        };
        let found = request(&params.encode(), &arguments());
        let expected = Request {
            dialect: Dialect::Params,
            options: Some(options()),
            sockets: "/run/x/s".into(),
            events: "/run/t".to_owned(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn an_any_that_looks_like_params_is_an_any() {
        let bytes = options().encode();
        assert!(BootstrapParams::decode(&bytes).is_ok());
        let found = request(&bytes, &arguments());
        assert_eq!(
            (found.dialect, found.options),
            (Dialect::Flags, Some(options()))
        );
        for input in [&b""[..], b"\xff\xff\xff"] {
            let found = request(input, &arguments());
            assert_eq!((found.dialect, found.options), (Dialect::Flags, None));
        }
    }

    #[test]
    fn the_first_group_that_is_named_counts() {
        let config =
            |annotations: &str| format!(r#"{{"process":{{}},"annotations":{annotations}}}"#);
        for (annotations, expected) in [
            (r#"{"io.kubernetes.cri.sandbox-id":"pod"}"#, "pod"),
            (
                r#"{"io.kubernetes.cri.sandbox-id":"pod","io.containerd.runc.v2.group":"g"}"#,
                "g",
            ),
            (r#"{"io.containerd.runc.v2.group":""}"#, "c1"),
            ("null", "c1"),
        ] {
            assert_eq!(
                group(config(annotations).as_bytes(), "c1").unwrap(),
                expected
            );
        }
        assert!(group(b"{", "c1").is_err());
    }

    #[test]
    fn a_socket_has_a_name_of_its_own_and_fits() {
        let path = |group: &str| socket(Path::new(SOCKETS), &arguments(), group);
        assert_ne!(path("a"), path("b"));
        assert!(path(&"x".repeat(1000)).as_os_str().len() < 107);
    }

    #[test]
    fn each_dialect_has_its_answer() {
        assert_eq!(answer(Dialect::Flags, "unix:///x"), b"unix:///x");
        let params = answer(Dialect::Params, "unix:///x");
        let result = BootstrapResult::decode(&params).unwrap();
        assert_eq!((result.version, result.protocol.as_str()), (3, "ttrpc"));
    }
}
