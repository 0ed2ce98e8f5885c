//! The second disk: what is tested, and the guest's scripts.

use crate::args::Options;
use crate::process;
use std::fs;
use std::path::{Path, PathBuf};

/// Made anew for each run: it takes a second.
pub fn make(options: &Options) -> Result<PathBuf, String> {
    let tree = options.logs.join("payload");
    let image = options.logs.join("payload.ext4");
    let _ = fs::remove_dir_all(&tree);
    let _ = fs::remove_file(&image);
    let io = |error| format!("{}: {error}", tree.display());
    fs::create_dir_all(&tree).map_err(io)?;
    copy(&options.binaries, &tree.join("bin")).map_err(io)?;
    copy(&options.guest, &tree.join("guest")).map_err(io)?;
    process::run(
        "mke2fs",
        &[
            "-q",
            "-t",
            "ext4",
            "-O",
            "^has_journal",
            "-E",
            "root_owner=0:0",
            "-d",
            &tree.to_string_lossy(),
            &image.to_string_lossy(),
            "512M",
        ],
    )?;
    fs::remove_dir_all(&tree).map_err(io)?;
    Ok(image)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
