//! From what was typed and the environment to what is used: state root, rights, cgroup manager.
use crate::args::Matches;
use crate::error::Failure;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use tare_runtime::{CgroupManager, ListenFds, Runtime};

/// What the process finds itself in; read once.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Effective user id.
    pub uid: u32,
    /// Whether it is the initial user namespace.
    pub initial_userns: bool,
    /// `USER`.
    pub user: Option<String>,
    /// `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<String>,
    /// `DBUS_SESSION_BUS_ADDRESS`.
    pub session_bus: Option<String>,
}

/// What the global flags come to.
#[derive(Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The state root.
    pub root: PathBuf,
    /// Whether the root is below `XDG_RUNTIME_DIR`, where unused files are cleaned up unless sticky.
    pub sticky: bool,
    /// `None` is auto.
    pub rootless: Option<bool>,
    /// Who makes the cgroups.
    pub manager: CgroupManager,
}

impl Surroundings {
    /// Asks the kernel and the environment.
    pub fn read() -> Surroundings {
        let text = |name| {
            env::var(name)
                .ok()
                .filter(|value: &String| !value.is_empty())
        };
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let whole: Vec<_> = map.split_ascii_whitespace().collect();
        Surroundings {
            uid: rustix::process::geteuid().as_raw(),
            initial_userns: map.is_empty() || whole == ["0", "0", "4294967295"],
            user: text("USER"),
            runtime_dir: text("XDG_RUNTIME_DIR"),
            session_bus: text("DBUS_SESSION_BUS_ADDRESS"),
        }
    }

    /// Root of the host, or a user namespace's root that poses as it.
    fn is_root(&self) -> bool {
        // In a user namespace USER tells whether a user became root by mapping (podman unshare) or a container's root runs us.
        let mapped =
            !self.initial_userns && self.user.as_deref().is_some_and(|user| user != "root");
        self.uid == 0 && !mapped
    }
}

/// Resolves the global flags, pure.
pub fn resolve(global: &Matches, around: &Surroundings) -> Result<Resolved, Failure> {
    let rootless = match global.value("rootless") {
        None | Some("auto" | "") => None,
        Some("true" | "1") => Some(true),
        Some("false" | "0") => Some(false),
        Some(other) => {
            return Err(Failure::new(format!(
                "invalid value {other:?} for --rootless: must be true, false or auto"
            )));
        }
    };
    let unprivileged = rootless.unwrap_or(!around.is_root());
    let (root, sticky) = match (global.value("root"), &around.runtime_dir) {
        (Some(root), _) if !root.is_empty() => (PathBuf::from(root), false),
        (_, Some(dir)) if !around.is_root() => (Path::new(dir).join("trun"), true),
        _ => (PathBuf::from("/run/trun"), false),
    };
    let manager = match (global.value("cgroup-manager"), global.has("systemd-cgroup")) {
        (Some("systemd"), _) | (None, true) => systemd(around, unprivileged),
        (Some("cgroupfs"), _) | (None, false) => CgroupManager::Cgroupfs,
        (Some("disabled"), _) => CgroupManager::Disabled,
        (Some(other), _) => {
            let words =
                format!("unknown cgroup manager {other:?}: must be cgroupfs, systemd or disabled");
            return Err(Failure::new(words));
        }
    };
    Ok(Resolved {
        root,
        sticky,
        rootless,
        manager,
    })
}

fn systemd(around: &Surroundings, user: bool) -> CgroupManager {
    let address = match (user, &around.session_bus, &around.runtime_dir) {
        (true, Some(address), _) => address.clone(),
        (true, None, Some(dir)) => format!("unix:path={dir}/bus"),
        _ => String::new(),
    };
    CgroupManager::Systemd { user, address }
}

impl Resolved {
    /// The library's runtime over these.
    pub fn runtime(&self) -> Runtime {
        // Relative to where we are: the container's hooks and the reader of an error may be elsewhere.
        let root = std::path::absolute(&self.root).unwrap_or_else(|_| self.root.clone());
        Runtime::new(root)
            .with_cgroup_manager(self.manager.clone())
            .with_rootless(self.rootless)
    }

    /// Makes the state root of a user sticky, as the XDG specification asks for files that shall stay.
    pub fn keep_root(&self) {
        use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
        if self.sticky {
            let _ = std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.root);
            // Where that fails, creating the container will say so.
            let _ = std::fs::set_permissions(&self.root, std::fs::Permissions::from_mode(0o1700));
        }
    }
}

/// The service manager's sockets that were passed to us, if they were meant for us.
pub fn listen_fds() -> ListenFds {
    let number = |name| {
        env::var(name)
            .ok()
            .and_then(|text: String| text.parse::<u32>().ok())
    };
    let count = number("LISTEN_FDS").unwrap_or(0);
    // Without LISTEN_PID the count is taken on trust, as runc does for callers that set only the one.
    if number("LISTEN_PID").is_some_and(|pid| pid != std::process::id()) {
        return ListenFds::default();
    }
    ListenFds {
        count,
        names: env::var("LISTEN_FDNAMES").ok().filter(|_| count > 0),
    }
}

/// The service manager's notify socket.
pub fn notify_socket() -> Option<PathBuf> {
    env::var_os("NOTIFY_SOCKET")
        .filter(|path: &OsString| !path.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Invocation, parse};

    fn check(line: &str, around: &Surroundings) -> Result<Resolved, String> {
        let words: Vec<_> = line
            .split_whitespace()
            .chain(["list"])
            .map(str::to_owned)
            .collect();
        let (_, Ok(Invocation::Run { global, .. })) = parse(&words) else {
            panic!("{line}")
        };
        resolve(&global, around).map_err(|failure| failure.message)
    }

    fn root() -> Surroundings {
        Surroundings {
            uid: 0,
            initial_userns: true,
            runtime_dir: Some("/run/user/0".into()),
            ..Default::default()
        }
    }

    fn user() -> Surroundings {
        Surroundings {
            uid: 1000,
            initial_userns: true,
            runtime_dir: Some("/run/user/1000".into()),
            ..Default::default()
        }
    }

    #[test]
    fn the_state_root() {
        let path = |line, around: &Surroundings| check(line, around).unwrap().root;
        assert_eq!(path("", &root()), Path::new("/run/trun"));
        assert_eq!(path("--root /x", &user()), Path::new("/x"));
        assert_eq!(path("", &user()), Path::new("/run/user/1000/trun"));
        assert_eq!(
            path(
                "",
                &Surroundings {
                    runtime_dir: None,
                    ..user()
                }
            ),
            Path::new("/run/trun")
        );
        let mapped = Surroundings {
            uid: 0,
            initial_userns: false,
            user: Some("ann".into()),
            ..user()
        };
        assert_eq!(path("", &mapped), Path::new("/run/user/1000/trun"));
        let nested = Surroundings {
            uid: 0,
            initial_userns: false,
            ..user()
        };
        assert_eq!(path("", &nested), Path::new("/run/trun"));
    }

    #[test]
    fn the_cgroup_manager() {
        let manager = |line, around: &Surroundings| check(line, around).unwrap().manager;
        let systemd = |user, address: &str| CgroupManager::Systemd {
            user,
            address: address.into(),
        };
        assert_eq!(manager("", &root()), CgroupManager::Cgroupfs);
        assert_eq!(manager("--systemd-cgroup", &root()), systemd(false, ""));
        assert_eq!(
            manager("--cgroup-manager systemd", &user()),
            systemd(true, "unix:path=/run/user/1000/bus")
        );
        assert_eq!(
            manager("--systemd-cgroup --cgroup-manager disabled", &root()),
            CgroupManager::Disabled
        );
        let bus = Surroundings {
            session_bus: Some("unix:path=/b".into()),
            ..user()
        };
        assert_eq!(
            manager("--systemd-cgroup", &bus),
            systemd(true, "unix:path=/b")
        );
        assert!(check("--cgroup-manager other", &root()).is_err());
    }

    #[test]
    fn rootless() {
        let choice = |line| check(line, &root()).map(|resolved| resolved.rootless);
        assert_eq!(choice(""), Ok(None));
        assert_eq!(choice("--rootless=auto"), Ok(None));
        assert_eq!(choice("--rootless=true"), Ok(Some(true)));
        assert_eq!(choice("--rootless false"), Ok(Some(false)));
        assert!(choice("--rootless=maybe").is_err());
    }
}
