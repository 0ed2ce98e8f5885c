//! What containerd is told in its configuration, or by its client, of how to run a container.
//!
//! `containerd.runc.v1.Options` comes from clients that know runc's options; CRI sends `runtimeoptions.v1.Options`, whose body
//! is the TOML of `[…runtimes.NAME.options]`, to each runtime whose name is not runc's own.
use crate::failure::{Code, Failure};
use tare_shim_wire::messages::google::Any;
use tare_shim_wire::messages::runtime::CheckpointOptions;
use tare_shim_wire::options::{self as wire, Found};

/// The options, wherever they came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Switch the root without pivot_root.
    pub no_pivot_root: bool,
    /// Stay in the shim's session keyring.
    pub no_new_keyring: bool,
    /// Where the shim itself is put: a path in each hierarchy.
    pub shim_cgroup: String,
    /// Who owns pipes of the container's output.
    pub io_uid: u32,
    /// The same for the group.
    pub io_gid: u32,
    /// The runtime's program. There is none; taken and not used.
    pub binary_name: String,
    /// Directory of the containers' state; empty for the default.
    pub root: String,
    /// Have systemd make the cgroups.
    pub systemd_cgroup: bool,
    /// One shim for all containers of the node.
    pub node: bool,
    /// Keys that mean nothing here, for a warning.
    pub ignored: Vec<String>,
}

/// What is to be done to have the options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Here they are.
    Given(Box<Options>),
    /// They are TOML in this file.
    File(String),
}

/// Reads the options of a request.
///
/// # Errors
/// INVALID_ARGUMENT: a type that we don't know, bytes that are no such message, TOML that is none.
pub fn read(any: Option<&Any>) -> Result<Source, Failure> {
    // Of a restore, which is not there yet.
    let any = any.filter(|any| !any.is::<CheckpointOptions>());
    match wire::Options::find(any).map_err(invalid)? {
        Found::Options(options) => Ok(Source::Given(Box::new(Options::from(*options)))),
        Found::File(path) => Ok(Source::File(path)),
    }
}

/// Reads options from TOML.
///
/// # Errors
/// INVALID_ARGUMENT with the place.
pub fn parse(body: &[u8]) -> Result<Options, Failure> {
    let options = wire::Options::of_toml(body).map_err(invalid)?;
    Ok(Options::from(options))
}

impl From<wire::Options> for Options {
    fn from(options: wire::Options) -> Options {
        let runc = options.runc;
        Options {
            no_pivot_root: runc.no_pivot_root,
            no_new_keyring: runc.no_new_keyring,
            shim_cgroup: runc.shim_cgroup,
            io_uid: runc.io_uid,
            io_gid: runc.io_gid,
            binary_name: runc.binary_name,
            root: runc.root,
            systemd_cgroup: runc.systemd_cgroup,
            node: options.sharing == wire::Sharing::Node,
            ignored: options.ignored,
        }
    }
}

fn invalid(error: wire::Error) -> Failure {
    Failure::new(Code::InvalidArgument, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tare_shim_wire::messages::runtime::{GenericOptions, RuncOptions};

    fn given(any: &Any) -> Options {
        match read(Some(any)).unwrap() {
            Source::Given(options) => *options,
            Source::File(path) => panic!("a file: {path}"),
        }
    }

    #[test]
    fn runcs_options_and_cris_toml_say_the_same() {
        let runc = RuncOptions {
            no_pivot_root: true,
            io_uid: 7,
            root: "/run/x".to_owned(),
            systemd_cgroup: true,
            ..RuncOptions::default()
        };
        let body = b"NoPivotRoot = true\nIoUid = 7\nRoot = \"/run/x\"\nSystemdCgroup = true\nCriuPath = \"\"\n".to_vec();
        let generic = GenericOptions {
            type_url: "containerd.runc.v1.Options".to_owned(),
            config_path: String::new(),
            config_body: body,
        };
        let ours = given(&Any::pack(&runc));
        let mut theirs = given(&Any::pack(&generic));
        assert_eq!(std::mem::take(&mut theirs.ignored), ["CriuPath"]);
        assert_eq!(ours, theirs);
        assert!(ours.systemd_cgroup && ours.no_pivot_root && ours.io_uid == 7);
    }

    #[test]
    fn none_are_the_defaults() {
        assert_eq!(read(None).unwrap(), Source::Given(Box::default()));
        let empty = Any::pack(&GenericOptions::default());
        assert_eq!(given(&empty), Options::default());
    }

    #[test]
    fn a_path_is_left_to_whoever_reads_files() {
        let generic = GenericOptions {
            config_path: "/etc/x.toml".to_owned(),
            ..GenericOptions::default()
        };
        let any = Any {
            type_url: "type.googleapis.com/runtimeoptions.v1.Options".to_owned(),
            ..Any::pack(&generic)
        };
        assert_eq!(
            read(Some(&any)).unwrap(),
            Source::File("/etc/x.toml".to_owned())
        );
    }

    #[test]
    fn what_does_not_parse_is_the_callers_mistake() {
        let bytes = |kind: &str, value: &[u8]| Any {
            type_url: kind.to_owned(),
            value: value.to_vec(),
        };
        let toml = GenericOptions {
            config_body: b"SystemdCgroup = maybe".to_vec(),
            ..GenericOptions::default()
        };
        for any in [
            bytes("containerd.runc.v1.Options", b"\xff\xff\xff"),
            bytes("some.Type", b"x"),
            Any::pack(&toml),
        ] {
            let failure = read(Some(&any)).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument, "{failure}");
        }
    }
}
