//! The container's cgroups: asks tare-cgroup to decide, with what the rest of the config says about who will own them.
use super::builder::Builder;
use super::facts::{HostFacts, PlanOptions};
use super::ids::outside;
use super::ir::Namespaces;
use super::mount_options;
use super::namespaces::Decided;
use super::text::clean;
use crate::config::ConfigError;
use tare_oci::Spec;

/// The cgroup driver's decision; what it leaves out goes to the plan's skips.
pub(crate) fn decide(
    spec: &Spec,
    namespaces: &Decided,
    uid: u32,
    facts: &HostFacts,
    options: &PlanOptions,
    builder: &mut Builder,
) -> Result<tare_cgroup::Decision, ConfigError> {
    let linux = spec.linux.as_ref();
    let request = tare_cgroup::Request {
        manager: options.cgroup_manager.clone(),
        path: linux.map_or("", |linux| linux.cgroups_path.as_str()),
        id: &options.id,
        resources: linux.and_then(|linux| linux.resources.as_ref()),
        annotations: Some(&spec.annotations),
        rootless: options.rootless,
        uid: facts.uid,
        owner: owner(spec, namespaces, uid),
    };
    let decision = tare_cgroup::decide(&facts.cgroup, &request).map_err(|refusal| ConfigError {
        path: refusal.json,
        reason: refusal.why,
    })?;
    for skip in &decision.skips {
        builder.skip(skip.what.clone(), skip.reason.clone());
    }
    Ok(decision)
}

/// The host's id of the program's user, where the container may make cgroups of its own: it has a cgroup namespace and a writable
/// cgroup mount (config-linux.md, "Cgroup ownership"). Root of the host owns them anyway.
fn owner(spec: &Spec, namespaces: &Decided, uid: u32) -> Option<u32> {
    let writable = spec.mounts.iter().any(|mount| {
        clean(&mount.destination) == "/sys/fs/cgroup"
            && matches!(mount.kind.as_str(), "cgroup" | "cgroup2")
            && !mount_options::parse(&mount.options).attributes.readonly()
    });
    if !writable || !namespaces.new.has(Namespaces::CGROUP) {
        return None;
    }
    let owner = if namespaces.own().has(Namespaces::USER) {
        outside(&namespaces.uids, uid)?
    } else {
        uid
    };
    (owner != 0).then_some(owner)
}

#[cfg(test)]
mod tests {
    use super::super::namespaces;
    use super::super::testing::facts;
    use super::*;

    fn check(mount: &str, linux: &str, uid: u32, expect: Option<u32>) {
        let json = format!(r#"{{"mounts":[{mount}],"linux":{{{linux}}}}}"#);
        let spec: Spec = serde_json::from_str(&json).unwrap();
        let decided = namespaces::decide(&spec, &facts()).unwrap();
        assert_eq!(owner(&spec, &decided, uid), expect, "{json}");
    }

    #[test]
    fn ownership() {
        let rw = r#"{"destination":"/sys/fs/cgroup/","type":"cgroup","source":"cgroup","options":["rw"]}"#;
        let ro = r#"{"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup","options":["ro"]}"#;
        let new = r#""namespaces":[{"type":"cgroup"}]"#;
        let map = r#"[{"containerID":0,"hostID":5000,"size":10}]"#;
        let user = format!(
            r#""namespaces":[{{"type":"cgroup"}},{{"type":"user"}}],"uidMappings":{map},"gidMappings":{map}"#
        );
        check(rw, new, 0, None);
        check(rw, new, 1000, Some(1000));
        check(rw, &user, 0, Some(5000));
        check(rw, &user, 3, Some(5003));
        check(rw, &user, 11, None);
        check(ro, &user, 0, None);
        check(rw, "", 1000, None);
        check("", new, 1000, None);
    }
}
