//! What a pod has in its directory for its containers: names, where to look up others, shared memory.
use crate::failure::Failure;
use crate::pod::{self, FILES, Pod, SHM};
use crate::{rootfs, start};
use rustix::mount::{MountFlags, mount};
use serde_json::Value;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The config.json of a container with what its pod has for it, beside its own.
const FURNISHED: &str = "config.pod.json";

/// A pod that is there.
#[derive(Debug, Clone)]
pub struct Place {
    /// The sandbox's id.
    pub id: String,
    /// Its directory.
    pub directory: PathBuf,
    /// What it has.
    pub pod: Pod,
    /// Of what holds its namespaces.
    pub pid: u32,
}

/// Writes a pod's files and mounts its shared memory.
///
/// # Errors
/// Nothing is mounted then; files go with their directory.
pub fn furnish(directory: &Path, pod: &Pod) -> Result<(), Failure> {
    let own = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let host = rustix::system::uname();
    let name = match pod.hostname.as_str() {
        "" => host.nodename().to_string_lossy().into_owned(),
        name => name.to_owned(),
    };
    let contents = [
        format!("{name}\n"),
        own("/etc/hosts"),
        pod.resolv_conf().unwrap_or_else(|| own("/etc/resolv.conf")),
    ];
    for ((file, _), text) in FILES.iter().zip(contents) {
        let path = directory.join(file);
        start::put(&path, text.as_bytes())
            .map_err(|error| Failure::io(format!("write {}", path.display()), &error))?;
    }
    if pod.ipc {
        let path = directory.join(SHM.0);
        let fail = |error| Failure::io(format!("make {}", path.display()), &error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(fail)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        mount("shm", &path, "tmpfs", flags, c"mode=1777,size=65536k")
            .map_err(|errno| Failure::io(format!("mount {}", path.display()), &errno.into()))?;
    }
    Ok(())
}

/// Unmounts what [`furnish`] has mounted. Containers that have it keep it.
pub fn clear(directory: &Path) {
    rootfs::unmake(&directory.join(SHM.0));
}

/// The config to make a container with: another than its own, where it belongs to a pod that has something for it.
///
/// # Errors
/// For what it may not have of the pod.
pub fn config(bundle: &Path, places: &[Place]) -> Result<Option<PathBuf>, Failure> {
    if places.is_empty() {
        return Ok(None);
    }
    let text = fs::read(bundle.join("config.json")).unwrap_or_default();
    // Whoever reads it next says what is wrong with it.
    let Ok(mut config) = serde_json::from_slice::<Value>(&text) else {
        return Ok(None);
    };
    let id = pod_of(bundle, &config);
    let Some(place) = places.iter().find(|place| place.id == id) else {
        return Ok(None);
    };
    pod::guard(&config, &place.pod, place.pid)?;
    if !pod::furnish(&mut config, &place.directory, place.pod.ipc) {
        return Ok(None);
    }
    let path = bundle.join(FURNISHED);
    start::put(&path, config.to_string().as_bytes())
        .map_err(|error| Failure::io(format!("write {}", path.display()), &error))?;
    Ok(Some(path))
}

/// Whether a container is of a pod.
pub fn is_of(bundle: &Path, pod: &str) -> bool {
    let text = fs::read(bundle.join("config.json")).unwrap_or_default();
    serde_json::from_slice(&text).is_ok_and(|config| pod_of(bundle, &config) == pod)
}

fn pod_of(bundle: &Path, config: &Value) -> String {
    let named = config["annotations"]["io.kubernetes.cri.sandbox-id"].as_str();
    named.map_or_else(
        // From 2.0 on containerd writes it; the annotation is kubelet's.
        || fs::read_to_string(bundle.join("sandbox")).unwrap_or_default(),
        str::to_owned,
    )
}
