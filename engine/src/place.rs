//! Where things are: from options and the environment, which only a program may read.

use crate::failure::Failure;
use std::env;
use std::path::{Path, PathBuf};
use tare_image::registry::Settings;
use tare_image::store::Store;

/// The directories of one engine.
#[derive(Debug, Clone)]
pub struct Place {
    /// Images and containers.
    pub root: PathBuf,
    /// What lives as long as the machine runs.
    pub run: PathBuf,
}

impl Place {
    /// `--root`, else `TARE_ROOT`, else the system's directory for root and the user's own for others.
    pub fn find(root: Option<&Path>, run: Option<&Path>) -> Result<Self, Failure> {
        let variable = |name: &str| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let system = rustix::process::geteuid().is_root();
        let root = root.map(Path::to_owned).or_else(|| variable("TARE_ROOT"));
        let root = match root {
            Some(root) => std::path::absolute(&root).map_err(|error| Failure::new(format!("{}: {error}", root.display())))?,
            None if system => PathBuf::from("/var/lib/tare"),
            None => variable("XDG_DATA_HOME")
                .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
                .map(|data| data.join("tare"))
                .ok_or_else(|| Failure::new("neither --root nor TARE_ROOT, XDG_DATA_HOME or HOME says where to keep images"))?,
        };
        let run = match (run, variable("XDG_RUNTIME_DIR")) {
            (Some(run), _) => run.to_owned(),
            (None, _) if system => PathBuf::from("/run/tare"),
            (None, Some(run)) => run.join("tare"),
            (None, None) => root.join("run"),
        };
        Ok(Self { root, run })
    }

    /// The store of images.
    pub fn store(&self) -> Result<Store, Failure> {
        Ok(Store::open(&self.root.join("images"))?)
    }
}

/// Docker's `config.json`.
pub fn docker_config() -> Option<PathBuf> {
    let folder = env::var_os("DOCKER_CONFIG")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    let folder =
        folder.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".docker")));
    folder.map(|folder| folder.join("config.json"))
}

/// How registries are reached; `TARE_CERTS` is a directory like `/etc/tare/certs.d` that is looked into first.
pub fn registry_settings() -> Settings {
    let folders = [
        "/etc/tare/certs.d",
        "/etc/containerd/certs.d",
        "/etc/docker/certs.d",
    ];
    let own = env::var_os("TARE_CERTS").filter(|value| !value.is_empty());
    let hosts = own.map(PathBuf::from).into_iter();
    Settings {
        docker_config: docker_config(),
        hosts: hosts.chain(folders.iter().map(PathBuf::from)).collect(),
        proxy_from_environment: true,
        ..Settings::default()
    }
}
