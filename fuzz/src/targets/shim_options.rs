//! Options of a container, as a value of any type or as TOML.
use tare_shim_wire::Message;
use tare_shim_wire::messages::google::Any;
use tare_shim_wire::options::{Found, Options};

/// Runs one input: the first byte says what the rest is.
pub fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let options = match kind {
        b't' => Options::of_toml(rest),
        b'a' => match Any::decode(rest) {
            Err(_) => return,
            Ok(value) => match Options::find(Some(&value)) {
                Ok(Found::Options(options)) => Ok(*options),
                Ok(Found::File(path)) => return assert!(!path.is_empty()),
                Err(error) => Err(error),
            },
        },
        _ => return,
    };
    match options {
        Ok(options) => {
            assert!(options.ignored.iter().map(String::len).sum::<usize>() <= rest.len());
            // The message of runc says the same.
            let found = Options::find(Some(&Any::pack(&options.runc)));
            let Ok(Found::Options(again)) = found else {
                panic!("{found:?}");
            };
            assert_eq!(again.runc, options.runc);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
