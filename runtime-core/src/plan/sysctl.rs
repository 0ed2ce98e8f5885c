//! `linux.sysctl`: which kernel parameters belong to the container alone, and their files below `/proc/sys`.
//!
//! A parameter is taken only if a namespace of the container's own holds it; everything else would change the host.
use super::ir::Namespaces;
use crate::config::{At, ConfigError, invalid};
use std::collections::BTreeMap;

/// Parameters of the IPC namespace that don't start with `fs.mqueue.`.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Namespaces and names that decide what may be set.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Those that the container doesn't share with the caller, new or joined.
    pub own: Namespaces,
    /// `domainname` of the config.
    pub domainname: &'a str,
}

/// File below /proc (like `sys/net/ipv4/ip_forward`) and value of each parameter, by name.
///
/// # Errors
/// A parameter that the container would share with the host, that another member of the config sets too, or that is no path.
pub fn sysctls(
    wire: &BTreeMap<String, String>,
    scope: Scope<'_>,
) -> Result<Vec<(String, String)>, ConfigError> {
    let files = wire.iter().map(|(name, value)| {
        let file = sysctl(name, value, scope).key(name)?;
        Ok((file, value.clone()))
    });
    files.collect()
}

fn sysctl(name: &str, value: &str, scope: Scope<'_>) -> Result<String, ConfigError> {
    super::text::no_nul(name)?;
    super::text::no_nul(value)?;
    let dotted = dotted(name);
    let parts: Vec<String> = dotted
        .split('.')
        .map(|part| part.replace('/', "."))
        .collect();
    if parts
        .iter()
        .any(|part| matches!(part.as_str(), "" | "." | ".."))
    {
        return invalid("is not a parameter's name like net.ipv4.ip_forward");
    }
    namespaced(&dotted, scope)?;
    Ok(format!("sys/{}", parts.join("/")))
}

/// The name with dots between its parts. sysctl(8) takes slashes too: where one comes first, the two swap roles, so that an
/// interface's name may hold a dot (`net/ipv4/conf/eth0.1/forwarding`).
fn dotted(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name.as_bytes()[at] == b'/' => name
            .chars()
            .map(|character| match character {
                '.' => '/',
                '/' => '.',
                other => other,
            })
            .collect(),
        _ => name.to_owned(),
    }
}

fn namespaced(name: &str, scope: Scope<'_>) -> Result<(), ConfigError> {
    let needs = |kind: Namespaces| {
        if scope.own.has(kind) {
            Ok(())
        } else {
            invalid(format!(
                "sysctl {name:?} is not allowed in the host's {kind} namespace; give the container its own"
            ))
        }
    };
    match name {
        "kernel.domainname" => {
            needs(Namespaces::UTS)?;
            conflict(name, "domainname", scope.domainname)
        }
        "kernel.hostname" => invalid(format!(
            "sysctl {name:?} is not allowed as it conflicts with the OCI \"hostname\" field"
        )),
        _ if IPC.contains(&name) || name.starts_with("fs.mqueue.") => needs(Namespaces::IPC),
        _ if name.starts_with("net.") => needs(Namespaces::NETWORK),
        _ if name.starts_with("user.") => needs(Namespaces::USER),
        _ => invalid(format!(
            "sysctl {name:?} is not in a separate kernel namespace, so it would change the host"
        )),
    }
}

fn conflict(name: &str, field: &str, value: &str) -> Result<(), ConfigError> {
    if value.is_empty() {
        Ok(())
    } else {
        invalid(format!(
            "sysctl {name:?} is not allowed as it conflicts with the OCI {field:?} field, which is {value:?}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Namespaces = Namespaces(u32::MAX);

    fn check(name: &str, own: Namespaces, expect: &str) {
        let wire = BTreeMap::from([(name.to_owned(), "1".to_owned())]);
        let result = match sysctls(
            &wire,
            Scope {
                own,
                domainname: "",
            },
        ) {
            Ok(files) => format!("{}={}", files[0].0, files[0].1),
            Err(error) => error.to_string(),
        };
        assert!(result.contains(expect), "{name}: {result}");
    }

    #[test]
    fn each_kind_needs_its_namespace() {
        for name in IPC.iter().chain(&["fs.mqueue.msg_max"]) {
            check(
                name,
                Namespaces::IPC,
                &format!("sys/{}=1", name.replace('.', "/")),
            );
            check(
                name,
                ALL.without(Namespaces::IPC),
                "is not allowed in the host's ipc namespace",
            );
        }
        check(
            "net.ipv4.ip_forward",
            Namespaces::NETWORK,
            "sys/net/ipv4/ip_forward=1",
        );
        check(
            "net.ipv4.ip_forward",
            ALL.without(Namespaces::NETWORK),
            "is not allowed in the host's network namespace",
        );
        check(
            "user.max_user_namespaces",
            Namespaces::USER,
            "sys/user/max_user_namespaces=1",
        );
        check(
            "user.max_user_namespaces",
            ALL.without(Namespaces::USER),
            "is not allowed in the host's user namespace",
        );
        check(
            "kernel.domainname",
            Namespaces::UTS,
            "sys/kernel/domainname=1",
        );
        check(
            "kernel.domainname",
            ALL.without(Namespaces::UTS),
            "is not allowed in the host's uts namespace",
        );
    }

    #[test]
    fn everything_else_is_the_hosts() {
        for name in [
            "kernel.core_pattern",
            "vm.swappiness",
            "kernel.pid_max",
            "kernel.modprobe",
            "fs.file-max",
            "kernel.semaphore",
            "netx.a",
        ] {
            check(name, ALL, "is not in a separate kernel namespace");
        }
        check(
            "kernel.hostname",
            ALL,
            "conflicts with the OCI \"hostname\" field",
        );
    }

    #[test]
    fn domainname_conflicts_only_with_its_field() {
        let wire = BTreeMap::from([("kernel.domainname".to_owned(), "a".to_owned())]);
        let error = sysctls(
            &wire,
            Scope {
                own: ALL,
                domainname: "b",
            },
        )
        .unwrap_err();
        assert_eq!(error.path, "[\"kernel.domainname\"]");
    }

    #[test]
    fn slashes_and_dots() {
        check(
            "net/ipv4/conf/eth0.1/forwarding",
            ALL,
            "sys/net/ipv4/conf/eth0.1/forwarding=1",
        );
        check(
            "net.ipv4.conf.eth0/1.forwarding",
            ALL,
            "sys/net/ipv4/conf/eth0.1/forwarding=1",
        );
        check("kernel/shmmax", ALL, "sys/kernel/shmmax=1");
    }

    #[test]
    fn no_way_out() {
        for name in [
            "net.",
            "net..ipv4",
            ".net",
            "",
            "net/../kernel/core_pattern",
            "net.//.kernel.core_pattern",
            "net/./x",
        ] {
            check(name, ALL, ": ");
        }
        check("net.a\0", ALL, "NUL");
    }
}
