//! A root file system made by mmdebstrap, as an ext4 image in the cache.

use crate::archive::{Apt, Archive};
use crate::process;
use crate::scenario::Userland;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Left out when packages are unpacked: nobody reads them in a guest.
const EXCLUDED: [&str; 4] = ["doc", "man", "locale", "info"];

/// Bump it when the way in which the image is made changes.
const RECIPE: &str = "1";

/// Room for what the suites write.
const SIZE: &str = "2G";

/// Makes it, or finds it in the cache: the key is the archive's state and the list of packages.
pub fn make(archive: &Archive, userland: Userland, cache: &Path) -> Result<PathBuf, String> {
    let apt = Apt::new(archive, userland.release, cache)?;
    let packages = userland.packages.join(",");
    let key = digest(&[&apt.state()?, &packages, RECIPE, SIZE]);
    let image = cache.join(format!("{}-{key:016x}.ext4", userland.name));
    if image.exists() {
        return Ok(image);
    }
    println!("making the userland {}", userland.name);
    let work = cache.join(format!("work-{}", std::process::id()));
    let made = build(archive, userland, &packages, &work, &image);
    let _ = fs::remove_dir_all(&work);
    made.map(|()| {
        forget_older(cache, userland.name, &image);
        image
    })
}

pub fn digest(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

fn build(
    archive: &Archive,
    userland: Userland,
    packages: &str,
    work: &Path,
    image: &Path,
) -> Result<(), String> {
    let io = |error| format!("{}: {error}", work.display());
    fs::create_dir_all(work).map_err(io)?;
    let tree = work.join("root").to_string_lossy().into_owned();
    let new = work.join("new.ext4").to_string_lossy().into_owned();
    let excluded = EXCLUDED.map(|name| format!("--dpkgopt=path-exclude=/usr/share/{name}/*"));
    let include = format!("--include={packages}");
    let sources = archive.sources(userland.release);
    let mut arguments = vec![
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        "--aptopt=Acquire::Check-Valid-Until \"false\"",
        include.as_str(),
    ];
    arguments.extend(excluded.iter().map(String::as_str));
    arguments.extend([userland.release.codename(), tree.as_str()]);
    arguments.extend(sources.iter().map(String::as_str));
    process::run("mmdebstrap", &arguments)?;
    process::run(
        "mke2fs",
        &[
            "-q",
            "-t",
            "ext4",
            "-O",
            "^has_journal",
            "-d",
            &tree,
            &new,
            SIZE,
        ],
    )?;
    fs::rename(&new, image).map_err(io)
}

/// Images that this one replaces.
fn forget_older(cache: &Path, name: &str, image: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let path = entry.path();
        let file = entry.file_name().to_string_lossy().into_owned();
        let same = file
            .strip_suffix(".ext4")
            .and_then(|stem| stem.rsplit_once('-'))
            .is_some_and(|(of, _)| of == name);
        if same && path != image {
            let _ = fs::remove_file(path);
        }
    }
}
