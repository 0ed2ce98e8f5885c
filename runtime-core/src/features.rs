//! The features document: what this runtime can do, whatever the host.
use std::collections::BTreeMap;
use tare_oci::{
    CgroupFeatures, Enabled, Features, IntelRdtFeatures, LinuxFeatures, MemoryPolicyFeatures,
    MountExtensions, SeccompFeatures,
};
use tare_seccomp::flag;

/// What this runtime can do. Only `linux.seccomp.supportedFlags` depends on the kernel, which is asked.
pub fn features() -> Features {
    let seccomp = tare_seccomp::features();
    let kernel = [
        flag::LOG,
        flag::SPEC_ALLOW,
        flag::TSYNC,
        flag::WAIT_KILLABLE_RECV,
    ]
    .into_iter()
    .filter(|bit| tare_sys::secure::flag_known(*bit))
    .fold(0, |known, bit| known | bit);
    let mut options = crate::plan::mount_options::known();
    options.sort_unstable();
    options.dedup();
    Features {
        oci_version_min: crate::config::OCI_VERSION_OLDEST.to_owned(),
        oci_version_max: crate::config::OCI_VERSION_NEWEST.to_owned(),
        hooks: owned(&[
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ]),
        mount_options: owned(&options),
        linux: LinuxFeatures {
            namespaces: owned(&[
                "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts",
            ]),
            capabilities: owned(&crate::plan::capabilities::NAMES),
            cgroup: CgroupFeatures {
                v1: true,
                v2: true,
                systemd: true,
                systemd_user: true,
                rdma: true,
            },
            seccomp: SeccompFeatures {
                enabled: true,
                actions: owned(seccomp.actions),
                operators: owned(seccomp.operators),
                archs: owned(seccomp.archs),
                known_flags: owned(seccomp.known_flags),
                supported_flags: tare_seccomp::supported_flags(kernel)
                    .map(str::to_owned)
                    .collect(),
            },
            apparmor: Enabled { enabled: true },
            selinux: Enabled { enabled: true },
            intel_rdt: IntelRdtFeatures {
                enabled: true,
                schemata: true,
                monitoring: true,
            },
            memory_policy: MemoryPolicyFeatures {
                modes: owned(&MEMORY_MODES),
                flags: owned(&MEMORY_FLAGS),
            },
            mount_extensions: MountExtensions {
                idmap: Enabled { enabled: true },
            },
            net_devices: Enabled { enabled: true },
        },
        annotations: BTreeMap::from([
            (
                "io.tare.version".to_owned(),
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
            (
                "org.opencontainers.runc.checkpoint.enabled".to_owned(),
                "false".to_owned(),
            ),
            (
                "run.oci.crun.checkpoint.enabled".to_owned(),
                "false".to_owned(),
            ),
        ]),
        potentially_unsafe_config_annotations: owned(&UNSAFE_ANNOTATIONS),
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

const MEMORY_MODES: [&str; 7] = [
    "MPOL_BIND",
    "MPOL_DEFAULT",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];

const MEMORY_FLAGS: [&str; 3] = [
    "MPOL_F_NUMA_BALANCING",
    "MPOL_F_RELATIVE_NODES",
    "MPOL_F_STATIC_NODES",
];

/// Annotations (a trailing dot: all that begin so) by which a config's author changes what happens on the host.
const UNSAFE_ANNOTATIONS: [&str; 4] = [
    "org.systemd.property.",
    "run.oci.keep_original_groups",
    "run.oci.seccomp_fail_unknown_syscall",
    "run.oci.systemd.subgroup",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_callers_read_is_there() {
        let value = serde_json::to_value(features()).unwrap();
        // CRI-O decides on recursive read-only mounts by these.
        let options = value["mountOptions"].as_array().unwrap();
        for option in ["rro", "ro", "rbind", "tmpcopyup", "idmap"] {
            assert!(options.contains(&option.into()), "{option}");
        }
        assert_eq!(value["linux"]["mountExtensions"]["idmap"]["enabled"], true);
        assert_eq!(value["linux"]["cgroup"]["systemdUser"], true);
        assert!(
            value["linux"]["seccomp"]["supportedFlags"]
                .as_array()
                .is_some()
        );
        assert_eq!(
            value["ociVersionMin"].as_str().unwrap().chars().next(),
            Some('1')
        );
    }
}
