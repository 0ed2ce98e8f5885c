//! CVE-2024-25621 (containerd): directories of the runtime's state were open to other users.
//!
//! The mode is a number in the code: no plan has it. The oracle is shown to fail by a directory opened by hand.

use crate::case::harm;
use crate::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::panic::catch_unwind;
use std::path::Path;

super::attacks!(["CVE-2024-25621"];
    state_is_closed without "",
);

/// Others may pass through a directory, never list or write it; files are the owner's.
fn closed(path: &Path) {
    let stat = fs::symlink_metadata(path).unwrap();
    let open = if stat.is_dir() { 0o066 } else { 0o022 };
    // The fifos and the socket are asked for by name, by the container too.
    let special = !stat.is_dir() && !stat.is_file();
    if !special && stat.mode() & open != 0 {
        harm(format!("{} has mode {:o}", path.display(), stat.mode()));
    }
    if stat.uid() != 0 {
        harm(format!("{} belongs to {}", path.display(), stat.uid()));
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        closed(&entry.path());
    }
}

fn state_is_closed(s: &mut Sandbox) {
    let open = s.path("opened");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(catch_unwind(|| closed(Path::new(&open))).is_err(), "the oracle is blind");
    s.spec.args(&["/inspect", "wait"]);
    // Whatever the caller's umask.
    s.create_call(&[]).prelude("umask 000").run().ok();
    closed(&s.environment.root);
    s.start().ok();
    closed(&s.environment.root);
    s.stop();
    closed(&s.environment.root);
}
