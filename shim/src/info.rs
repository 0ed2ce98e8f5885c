//! `-info`: what this runtime is and can do.
use crate::failure::Failure;
use std::io::{Read, Write};
use tare_shim_wire::Message;
use tare_shim_wire::messages::google::Any;
use tare_shim_wire::messages::runtime::{RuntimeInfo, RuntimeVersion};
use tare_shim_wire::messages::urls;

/// The name that containerd finds this program by.
pub const NAME: &str = "io.containerd.tare.v2";

/// Prints a RuntimeInfo: the version, the options that were given on standard input, and the OCI features document.
///
/// # Errors
/// When it can't be printed.
pub fn info() -> Result<(), Failure> {
    let mut input = Vec::new();
    std::io::stdin()
        .take(1 << 20)
        .read_to_end(&mut input)
        .map_err(|error| Failure::io("read standard input", &error))?;
    let features = serde_json::to_vec(&tare_runtime::features())
        .map_err(|error| Failure::io("write the features", &error.into()))?;
    let info = RuntimeInfo {
        name: NAME.to_owned(),
        version: Some(RuntimeVersion {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: String::new(),
        }),
        options: Any::decode(&input)
            .ok()
            .filter(|any| !any.type_url.is_empty()),
        features: Some(Any::json(urls::FEATURES, features)),
        ..RuntimeInfo::default()
    };
    let mut out = std::io::stdout();
    out.write_all(&info.encode())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::io("print the answer", &error))
}
