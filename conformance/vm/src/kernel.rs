//! A Debian kernel: fetched, unpacked, and an initramfs beside it with the modules that the guest needs.

use crate::archive::{Apt, Archive};
use crate::cpio;
use crate::process;
use crate::scenario::Release;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What Debian builds as modules and the guest cannot do without, or a suite asks for. Those that a kernel has built in are left out.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "overlay",
    "fuse",
    "bfq",
    "null_blk",
    "dummy",
    "veth",
    "bridge",
];

pub struct Kernel {
    pub version: String,
    pub image: PathBuf,
    /// Names and contents of the modules, in the order in which they load.
    pub modules: PathBuf,
}

/// Fetches and unpacks it, or finds it in the cache.
pub fn make(archive: &Archive, release: Release, cache: &Path) -> Result<Kernel, String> {
    let apt = Apt::new(archive, release, cache)?;
    let package = apt.dependency("linux-image-cloud-amd64", "linux-image-")?;
    let version = package.trim_start_matches("linux-image-").to_owned();
    let directory = cache.join(format!("linux-{version}-{}", recipe()));
    let kernel = Kernel {
        image: directory.join("vmlinuz"),
        modules: directory.join("modules.cpio"),
        version,
    };
    if kernel.image.exists() {
        return Ok(kernel);
    }
    println!("fetching {package}");
    let work = cache.join(format!("work-{}", std::process::id()));
    let made = unpack(&apt, &package, &kernel, &work, &directory);
    let _ = fs::remove_dir_all(&work);
    made.map(|()| kernel)
}

fn recipe() -> String {
    format!("{:08x}", crate::userland::digest(&[&MODULES.join(" ")]))
}

fn unpack(
    apt: &Apt,
    package: &str,
    kernel: &Kernel,
    work: &Path,
    directory: &Path,
) -> Result<(), String> {
    let io = |error| format!("{}: {error}", work.display());
    fs::create_dir_all(work).map_err(io)?;
    let file = apt.download(package, work)?;
    let tree = work.join("tree");
    process::run("dpkg-deb", &["-x", &shown(&file), &shown(&tree)])?;
    let base = [tree.clone(), tree.join("usr")]
        .into_iter()
        .find(|base| base.join("lib/modules").join(&kernel.version).is_dir())
        .ok_or_else(|| format!("{package} holds no lib/modules/{}", kernel.version))?;
    process::run("depmod", &["-b", &shown(&base), &kernel.version])?;
    let modules = base.join("lib/modules").join(&kernel.version);
    let dependencies = fs::read_to_string(modules.join("modules.dep")).map_err(io)?;
    let mut entries = cpio::Writer::default();
    entries.directory("modules");
    for (number, path) in order(&dependencies, MODULES).iter().enumerate() {
        let bytes = plain(&modules.join(path))?;
        // The number keeps the order in a listing.
        entries.file(
            &format!("modules/{number:02}-{}.ko", name(path)),
            &bytes,
            0o644,
        );
    }
    // One rename makes it whole.
    let ready = work.join("ready");
    let image = tree.join(format!("boot/vmlinuz-{}", kernel.version));
    let make = || {
        fs::create_dir(&ready)?;
        fs::copy(&image, ready.join("vmlinuz"))?;
        fs::write(ready.join("modules.cpio"), entries.finish())?;
        fs::rename(&ready, directory)
    };
    make().map_err(io)
}

/// A module's bytes; newer kernels' are compressed.
fn plain(path: &Path) -> Result<Vec<u8>, String> {
    if path.extension().is_some_and(|end| end == "xz") {
        return process::output("xz", &["-dc", &shown(path)]);
    }
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Paths of the wanted modules and all that they need, each after what it needs. Absent ones are built in.
fn order(dependencies: &str, wanted: &[&str]) -> Vec<String> {
    let table: HashMap<&str, (&str, Vec<&str>)> = dependencies
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needs)| {
            (
                name(path),
                (path, needs.split_whitespace().map(name).collect()),
            )
        })
        .collect();
    let mut found = Vec::new();
    for module in wanted {
        visit(module, &table, &mut found);
    }
    found
}

fn visit(module: &str, table: &HashMap<&str, (&str, Vec<&str>)>, found: &mut Vec<String>) {
    let Some((path, needs)) = table.get(module) else {
        return;
    };
    if found.iter().any(|known| known == path) {
        return;
    }
    needs.iter().for_each(|need| visit(need, table, found));
    found.push((*path).to_owned());
}

/// `kernel/drivers/block/virtio_blk.ko.xz` is `virtio_blk`.
fn name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file)
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_come_after_what_they_need() {
        let table = "kernel/a/virtio.ko:\nkernel/a/ring.ko: kernel/a/virtio.ko\nkernel/b/virtio_blk.ko.xz: kernel/a/ring.ko kernel/a/virtio.ko\nkernel/c/other.ko:\n";
        assert_eq!(
            order(table, &["built_in", "virtio_blk", "ring"]),
            [
                "kernel/a/virtio.ko",
                "kernel/a/ring.ko",
                "kernel/b/virtio_blk.ko.xz"
            ]
        );
    }
}
