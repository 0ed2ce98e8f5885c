//! `delete`: what a server that is gone has left, cleaned up from what is on disk alone.
use crate::arguments::Arguments;
use crate::clock::stamp;
use crate::failure::{Code, Failure};
use crate::{furniture, record, rootfs, work};
use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;
use tare_shim_wire::Message;
use tare_shim_wire::messages::task::DeleteResponse;

/// Ends and removes the container of the bundle, unmounts its root, and prints how it ended: by SIGKILL, for all that is known.
///
/// # Errors
/// What could not be removed, for standard error.
pub fn delete(arguments: &Arguments) -> Result<(), Failure> {
    let bundle = if arguments.bundle.as_os_str().is_empty() {
        std::env::current_dir().map_err(|error| Failure::io("find the bundle", &error))?
    } else {
        PathBuf::from(&arguments.bundle)
    };
    if arguments.id.is_empty() {
        return Err(Failure::new(Code::InvalidArgument, "delete needs -id"));
    }
    let pid = std::fs::read_to_string(bundle.join("init.pid"))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    let options = record::kept(&bundle).unwrap_or_default().options;
    let runtime = work::runtime(&options, &arguments.namespace);
    let deleted = work::delete(&runtime, &arguments.id, &bundle, true);
    rootfs::unmake(&bundle.join("rootfs"));
    furniture::clear(&bundle);
    deleted?;
    let answer = DeleteResponse {
        pid,
        exit_status: 137,
        exited_at: Some(stamp(SystemTime::now())),
    };
    let mut out = std::io::stdout();
    out.write_all(&answer.encode())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::io("print the answer", &error))
}
