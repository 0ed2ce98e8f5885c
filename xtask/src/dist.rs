//! Packs a release: the tree that `make install` lays out, as one archive with its checksum.

use crate::process;
use std::fs;
use std::path::Path;

/// Writes `target/dist/tare-VERSION-ARCH.tar.gz` and its `.sha256`.
pub fn run(root: &Path) -> Result<(), String> {
    let name = format!(
        "tare-{}-{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    let dist = root.join("target/dist");
    let tree = dist.join(&name);
    if tree.exists() {
        fs::remove_dir_all(&tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    }
    fs::create_dir_all(&tree).map_err(|error| format!("{}: {error}", tree.display()))?;
    let destination = tree.to_string_lossy().into_owned();
    process::run(
        root,
        ".ci/install.sh",
        &[],
        &[("DESTDIR", destination.as_str()), ("PREFIX", "/usr/local")],
    )?;
    let archive = format!("{name}.tar.gz");
    // Sorted names, one owner and no times: the same tree packs to the same bytes.
    let arguments = [
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
        "--use-compress-program=gzip -n",
        "-cf",
        &archive,
        &name,
    ];
    process::run(&dist, "tar", &arguments, &[])?;
    let sum = process::output(&dist, "sha256sum", &[&archive], &[])?;
    fs::write(dist.join(format!("{archive}.sha256")), &sum)
        .map_err(|error| format!("{archive}.sha256: {error}"))?;
    print!("{sum}");
    Ok(())
}
