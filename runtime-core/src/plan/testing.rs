//! Facts and options for the unit tests of the modules beside it.
use super::facts::{HostFacts, PlanOptions, Verb};
use super::ir::Namespaces;
use std::path::PathBuf;

/// A new kernel, root, no cgroup filesystem.
pub(crate) fn facts() -> HostFacts {
    HostFacts {
        kernel: (6, 18),
        uid: 0,
        gid: 0,
        capabilities: 0x1ff_ffff_ffff,
        last_capability: 40,
        initial_userns: true,
        own_uids: Vec::new(),
        own_gids: Vec::new(),
        setgroups_denied: false,
        no_new_privileges: false,
        filtered: false,
        namespaces: Namespaces::ALL
            .iter()
            .fold(Namespaces::default(), |set, (kind, _)| set.with(*kind)),
        cgroup: tare_cgroup::Layout::default(),
        apparmor: false,
        selinux: false,
        mount_setattr: true,
        idmapped_mounts: true,
        seccomp_flags: 0x3f,
        newuidmap: Some("/usr/bin/newuidmap".to_owned()),
        newgidmap: Some("/usr/bin/newgidmap".to_owned()),
        resctrl: None,
    }
}

/// `create c1` in `/b`, cgroups left alone.
pub(crate) fn options() -> PlanOptions {
    PlanOptions {
        id: "c1".to_owned(),
        bundle: PathBuf::from("/b"),
        verb: Verb::Create,
        cgroup_manager: tare_cgroup::Manager::Disabled,
        rootless: false,
        no_pivot: false,
        no_new_keyring: false,
        preserve_fds: 0,
        listen_fds: 0,
        console: false,
        pidfd_socket: false,
        pid_file: false,
        notify_socket: None,
        state_dir: PathBuf::from("/run/trun/c1"),
    }
}
