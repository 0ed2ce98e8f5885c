//! Labels, capabilities, no_new_privs and the system-call filter: what is decided, and in which order it comes into force.
use super::builder::Builder;
use super::capabilities::{self, Sets};
use super::facts::HostFacts;
use super::ir::{Barrier, ChildOp, HostOp, Slot};
use super::text::no_nul;
use crate::config::{At, ConfigError, invalid};
use std::collections::BTreeMap;
use tare_oci::{Linux, Process, Seccomp};

const ENOENT: i32 = 2;
/// Annotation of crun's: with it a call that no table knows is refused instead of left out.
const FAIL_UNKNOWN: &str = "run.oci.seccomp_fail_unknown_syscall";

/// Everything that confines the program, decided.
pub(crate) struct Security {
    sets: Sets,
    no_new_privs: bool,
    apparmor: Option<String>,
    selinux: Option<String>,
    filter: Option<Filter>,
}

struct Filter {
    program: Vec<u8>,
    flags: u32,
    /// Agent's socket and its metadata.
    listener: Option<(String, String)>,
}

/// Whether the annotations ask to refuse system calls that no table knows: present, and not `0`.
pub(crate) fn refuses_unknown(annotations: &BTreeMap<String, String>) -> bool {
    annotations
        .get(FAIL_UNKNOWN)
        .is_some_and(|value| value != "0")
}

/// Reads the confinement of `process` and `linux`; `strict` as [`refuses_unknown`] says.
pub(crate) fn decide(
    process: &Process,
    linux: &Linux,
    facts: &HostFacts,
    strict: bool,
    builder: &mut Builder,
) -> Result<Security, ConfigError> {
    // None given is none had, as runc has it: a program gets what its config says and nothing by leaving it out.
    let none = tare_oci::Capabilities::default();
    let wire = process.capabilities.as_ref().unwrap_or(&none);
    let sets = capabilities::sets(wire, facts.last_capability, builder.skips())
        .field("process.capabilities")?;
    Ok(Security {
        sets,
        no_new_privs: process.no_new_privileges,
        apparmor: apparmor(&process.apparmor_profile, facts, builder)
            .field("process.apparmorProfile")?,
        selinux: selinux(&process.selinux_label, facts).field("process.selinuxLabel")?,
        filter: match &linux.seccomp {
            Some(wire) => filter(wire, facts, strict, builder)?,
            None => None,
        },
    })
}

fn apparmor(
    profile: &str,
    facts: &HostFacts,
    builder: &mut Builder,
) -> Result<Option<String>, ConfigError> {
    no_nul(profile)?;
    match profile {
        "" => Ok(None),
        _ if facts.apparmor => Ok(Some(profile.to_owned())),
        "unconfined" => {
            builder.skip(
                "process.apparmorProfile",
                "AppArmor is not in force on this host",
            );
            Ok(None)
        }
        _ => invalid(format!(
            "{profile:?} can't be applied: AppArmor is not in force on this host"
        )),
    }
}

fn selinux(label: &str, facts: &HostFacts) -> Result<Option<String>, ConfigError> {
    no_nul(label)?;
    match label {
        "" => Ok(None),
        _ if facts.selinux => Ok(Some(label.to_owned())),
        _ => invalid(
            "selinux label is specified in config, but selinux is disabled or not supported",
        ),
    }
}

/// The label for new mounts, or empty.
pub(crate) fn mount_label<'a>(
    linux: &'a Linux,
    facts: &HostFacts,
    builder: &mut Builder,
) -> Result<&'a str, ConfigError> {
    let label = no_nul(&linux.mount_label).field("linux.mountLabel")?;
    if !label.is_empty() && !facts.selinux {
        builder.skip("linux.mountLabel", "SELinux is not in force on this host");
        return Ok("");
    }
    Ok(label)
}

fn filter(
    wire: &Seccomp,
    facts: &HostFacts,
    strict: bool,
    builder: &mut Builder,
) -> Result<Option<Filter>, ConfigError> {
    if tare_seccomp::is_empty(wire) {
        builder.skip("linux.seccomp", "it has neither a default action nor rules");
        return Ok(None);
    }
    let Some(native) = tare_seccomp::Arch::native() else {
        return invalid("system-call filters are not known for this machine's architecture")
            .field("linux.seccomp");
    };
    let target = tare_seccomp::Target {
        flags: facts.seccomp_flags,
        refuse_unknown_syscalls: strict,
        ..tare_seccomp::Target::latest(native)
    };
    let filter =
        tare_seccomp::compile(wire, &target).map_err(|error| located(&error.to_string()))?;
    for skip in &filter.skipped {
        builder.skip(skip.json_path.clone(), skip.reason.clone());
    }
    let listener = listener(wire, filter.uses_notify, builder)?;
    Ok(Some(Filter {
        program: filter.as_bytes(),
        flags: filter.flags,
        listener,
    }))
}

fn listener(
    wire: &Seccomp,
    used: bool,
    builder: &mut Builder,
) -> Result<Option<(String, String)>, ConfigError> {
    no_nul(&wire.listener_path).field("linux.seccomp.listenerPath")?;
    match (used, wire.listener_path.as_str()) {
        (true, "") => invalid("is needed: SCMP_ACT_NOTIFY hands calls to the agent behind it")
            .field("linux.seccomp.listenerPath"),
        (true, path) if !path.starts_with('/') => {
            invalid(format!("{path:?} is not an absolute path")).field("linux.seccomp.listenerPath")
        }
        (true, path) => Ok(Some((path.to_owned(), wire.listener_metadata.clone()))),
        (false, "") => {
            if wire.listener_metadata.is_empty() {
                Ok(None)
            } else {
                invalid("is for an agent, and no listenerPath is given")
                    .field("linux.seccomp.listenerMetadata")
            }
        }
        (false, _) => {
            builder.skip(
                "linux.seccomp.listenerPath",
                "no rule has SCMP_ACT_NOTIFY, so there is nothing to listen to",
            );
            Ok(None)
        }
    }
}

/// The compiler's message starts with the JSON path.
fn located(message: &str) -> ConfigError {
    match message.split_once(": ") {
        Some((path, reason)) => ConfigError {
            path: path.to_owned(),
            reason: reason.to_owned(),
        },
        None => ConfigError {
            path: "linux.seccomp".to_owned(),
            reason: message.to_owned(),
        },
    }
}

/// The labels that the exec takes on.
pub(crate) fn labels(security: &Security, proc: Slot, builder: &mut Builder) {
    let write = |path: &str, text: String| ChildOp::WriteProc {
        proc,
        path: path.to_owned(),
        text,
    };
    if let Some(profile) = &security.apparmor {
        let text = format!("exec {profile}");
        // Before Linux 5.8 the file of AppArmor's own isn't there.
        let instead = write("self/attr/exec", text.clone());
        builder.child_or(
            write("self/attr/apparmor/exec", text),
            &[ENOENT],
            instead,
            "process.apparmorProfile",
        );
    }
    if let Some(label) = &security.selinux {
        builder.child(
            write("self/attr/exec", label.clone()),
            "process.selinuxLabel",
        );
    }
}

/// The bounding set, while CAP_SETPCAP is still there.
pub(crate) fn bounding(security: &Security, builder: &mut Builder) {
    builder.child(
        ChildOp::Bounding(security.sets.bounding),
        "process.capabilities.bounding",
    );
}

/// The last confinements. Without no_new_privs a filter needs CAP_SYS_ADMIN, so it comes before the capabilities go; with it the
/// filter comes last, so that it need allow the fewest calls.
pub(crate) fn confine(security: &Security, builder: &mut Builder) {
    if security.no_new_privs {
        capability_sets(security, builder);
        builder.child(ChildOp::NoNewPrivs, "process.noNewPrivileges");
        load_filter(security, builder);
    } else {
        load_filter(security, builder);
        capability_sets(security, builder);
    }
}

fn capability_sets(security: &Security, builder: &mut Builder) {
    let Sets {
        effective,
        permitted,
        inheritable,
        ambient,
        ..
    } = security.sets;
    builder.child(
        ChildOp::CapSet {
            effective,
            permitted,
            inheritable,
        },
        "process.capabilities",
    );
    if ambient != 0 {
        builder.child(ChildOp::Ambient(ambient), "process.capabilities.ambient");
    }
}

fn load_filter(security: &Security, builder: &mut Builder) {
    let Some(filter) = &security.filter else {
        return;
    };
    if filter.listener.is_some() {
        builder.barrier(Barrier::Listener);
    }
    if let Some((path, metadata)) = &filter.listener {
        let op = HostOp::PassListener {
            path: path.clone(),
            metadata: metadata.clone(),
        };
        builder.host(op, "linux.seccomp.listenerPath");
    }
    let op = ChildOp::Seccomp {
        program: filter.program.clone(),
        flags: filter.flags,
        listener: filter.listener.is_some(),
    };
    builder.child(op, "linux.seccomp");
}

#[cfg(test)]
mod tests {
    use super::super::testing::facts;
    use super::*;

    #[test]
    fn unknown_calls_are_left_out_or_refused_as_annotated() {
        let wire: Seccomp = serde_json::from_str(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["ptrace","frobnicate"],"action":"SCMP_ACT_ERRNO"}]}"#,
        )
        .unwrap();
        for (value, refused) in [(None, false), (Some("0"), false), (Some("1"), true)] {
            let annotations = value
                .map(|value| (FAIL_UNKNOWN.to_owned(), value.to_owned()))
                .into_iter()
                .collect();
            let mut builder = Builder::new("create c".to_owned());
            let result = filter(&wire, &facts(), refuses_unknown(&annotations), &mut builder);
            match result {
                Ok(filter) => assert!(filter.is_some() && !refused, "{value:?}"),
                Err(error) => {
                    assert!(refused, "{value:?}: {error}");
                    assert!(
                        error.path.starts_with("linux.seccomp.syscalls[0]")
                            && error.reason.contains("frobnicate"),
                        "{error}"
                    );
                }
            }
        }
    }
}
