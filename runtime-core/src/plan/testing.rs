//! Facts for the unit tests of the modules beside it.
use super::facts::HostFacts;
use super::ir::Namespaces;

/// A new kernel, root, no cgroup filesystem.
pub(crate) fn facts() -> HostFacts {
    HostFacts {
        kernel: (6, 18),
        uid: 0,
        gid: 0,
        capabilities: 0x1ff_ffff_ffff,
        last_capability: 40,
        initial_userns: true,
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
