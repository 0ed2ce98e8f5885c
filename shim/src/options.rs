//! What containerd is told in its configuration, or by its client, of how to run a container.
//!
//! `containerd.runc.v1.Options` comes from clients that know runc's options; CRI sends `runtimeoptions.v1.Options`, whose body
//! is the TOML of `[…runtimes.NAME.options]`, to each runtime whose name is not runc's own.
use crate::failure::{Code, Failure};
use tare_shim_wire::messages::google::Any;
use tare_shim_wire::messages::runtime::CheckpointOptions;
pub use tare_shim_wire::messages::runtime::RuncOptions;
pub use tare_shim_wire::options::{Found, Options, Sharing};

/// Reads the options of a request.
///
/// # Errors
/// INVALID_ARGUMENT: a type that we don't know, bytes that are no such message, TOML that is none.
pub fn read(any: Option<&Any>) -> Result<Found, Failure> {
    // Of a restore, which is not there yet.
    let any = any.filter(|any| !any.is::<CheckpointOptions>());
    Options::find(any).map_err(invalid)
}

/// Reads options from TOML.
///
/// # Errors
/// INVALID_ARGUMENT with the place.
pub fn parse(body: &[u8]) -> Result<Options, Failure> {
    Options::of_toml(body).map_err(invalid)
}

fn invalid(error: tare_shim_wire::options::Error) -> Failure {
    Failure::new(Code::InvalidArgument, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tare_shim_wire::messages::runtime::GenericOptions;

    fn given(any: &Any) -> Options {
        match read(Some(any)).unwrap() {
            Found::Options(options) => *options,
            Found::File(path) => panic!("a file: {path}"),
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
        assert!(ours.runc.systemd_cgroup && ours.runc.no_pivot_root && ours.runc.io_uid == 7);
    }

    #[test]
    fn none_are_the_defaults() {
        assert_eq!(read(None).unwrap(), Found::Options(Box::default()));
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
            Found::File("/etc/x.toml".to_owned())
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
