//! `linux.namespaces` with the ids, offsets and names that belong to them: what is made, what is joined.
use super::facts::HostFacts;
use super::ids;
use super::ir::{Extent, Namespaces};
use super::text::{absolute, no_nul};
use crate::config::{At, ConfigError, invalid};
use tare_oci::{Linux, Spec};

/// A namespace to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Exactly one type.
    pub kind: Namespaces,
    /// Host path.
    pub path: String,
    /// Place in `linux.namespaces`.
    pub index: usize,
}

/// What the container shares with nobody, with somebody, and with the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decided {
    /// Made.
    pub new: Namespaces,
    /// Joined, in the order in which that must be done: the user namespace first, since it gives the right to join the others.
    pub joined: Vec<Joined>,
    /// Maps of the new user namespace, or what the config says about the joined one.
    pub uids: Vec<Extent>,
    /// As `uids`, for gids.
    pub gids: Vec<Extent>,
    /// Lines for `/proc/self/timens_offsets`; empty for none.
    pub time_offsets: String,
}

impl Decided {
    /// New or joined.
    #[must_use]
    pub fn own(&self) -> Namespaces {
        self.joined
            .iter()
            .fold(self.new, |set, joined| set.with(joined.kind))
    }

    /// The ids that exist inside, where that is known and limited: uids and gids.
    pub(crate) fn ids<'a>(&'a self, facts: &'a HostFacts) -> Option<(&'a [Extent], &'a [Extent])> {
        let (uids, gids) = if self.own().has(Namespaces::USER) {
            (&self.uids, &self.gids)
        } else {
            (&facts.own_uids, &facts.own_gids)
        };
        (!uids.is_empty() && !gids.is_empty()).then_some((uids, gids))
    }

    /// Whether a namespace of this type is joined by path.
    #[must_use]
    pub fn joins(&self, kind: Namespaces) -> bool {
        self.joined.iter().any(|joined| joined.kind == kind)
    }
}

/// Order of joining.
const JOIN_ORDER: [Namespaces; 8] = [
    Namespaces::USER,
    Namespaces::PID,
    Namespaces::IPC,
    Namespaces::UTS,
    Namespaces::NETWORK,
    Namespaces::CGROUP,
    Namespaces::TIME,
    Namespaces::MOUNT,
];

/// Reads everything of the config that hangs on a namespace.
///
/// # Errors
/// An unknown or repeated type, a relative path, a type that this kernel lacks, and whatever needs a namespace that isn't there.
pub fn decide(spec: &Spec, facts: &HostFacts) -> Result<Decided, ConfigError> {
    let none = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    let mut decided = sort(linux, facts).field("linux.namespaces")?;
    maps(linux, &mut decided)?;
    decided.time_offsets = time_offsets(linux, &decided).field("linux.timeOffsets")?;
    names(spec, decided.own())?;
    paths(linux, decided.own())?;
    Ok(decided)
}

fn sort(linux: &Linux, facts: &HostFacts) -> Result<Decided, ConfigError> {
    let mut decided = Decided::default();
    for (index, namespace) in linux.namespaces.iter().enumerate() {
        let Some(kind) = Namespaces::by_name(&namespace.kind) else {
            let names: Vec<&str> = Namespaces::ALL.iter().map(|(_, name)| *name).collect();
            return invalid(format!(
                "{:?} is not one of {}",
                namespace.kind,
                names.join(", ")
            ))
            .field("type")
            .index(index);
        };
        if decided.own().has(kind) {
            return invalid(format!("{kind} is given twice"))
                .field("type")
                .index(index);
        }
        if !facts.namespaces.has(kind) {
            return invalid(format!("this kernel has no {kind} namespaces"))
                .field("type")
                .index(index);
        }
        if namespace.path.is_empty() {
            decided.new = decided.new.with(kind);
        } else {
            let path = absolute(&namespace.path)
                .field("path")
                .index(index)?
                .to_owned();
            decided.joined.push(Joined { kind, path, index });
        }
    }
    decided
        .joined
        .sort_by_key(|joined| JOIN_ORDER.iter().position(|kind| *kind == joined.kind));
    Ok(decided)
}

/// containerd and CRI-O give both a path and the maps of the namespace behind it; then the maps are what ids inside mean.
fn maps(linux: &Linux, decided: &mut Decided) -> Result<(), ConfigError> {
    let user = Namespaces::USER;
    for (name, mappings) in [
        ("linux.uidMappings", &linux.uid_mappings),
        ("linux.gidMappings", &linux.gid_mappings),
    ] {
        if !decided.own().has(user) && !mappings.is_empty() {
            return invalid("needs a user namespace in linux.namespaces").field(name);
        }
        if decided.new.has(user) || !mappings.is_empty() {
            let extents = ids::extents(mappings).field(name)?;
            if name == "linux.uidMappings" {
                decided.uids = extents;
            } else {
                decided.gids = extents;
            }
        }
    }
    Ok(())
}

fn time_offsets(linux: &Linux, decided: &Decided) -> Result<String, ConfigError> {
    if linux.time_offsets.is_empty() {
        return Ok(String::new());
    }
    if decided.joins(Namespaces::TIME) {
        return invalid("can't be given for a time namespace that is joined by path");
    }
    if !decided.new.has(Namespaces::TIME) {
        return invalid("needs a new time namespace in linux.namespaces");
    }
    let mut lines = String::new();
    for (clock, offset) in &linux.time_offsets {
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return invalid(
                "is not a clock with an offset; those are \"monotonic\" and \"boottime\"",
            )
            .key(clock);
        }
        if offset.nanosecs >= 1_000_000_000 {
            return invalid(format!("{} is a second or more", offset.nanosecs))
                .field("nanosecs")
                .key(clock);
        }
        lines.push_str(&format!("{clock} {} {}\n", offset.secs, offset.nanosecs));
    }
    Ok(lines)
}

/// The kernel's limit for both names (__NEW_UTS_LEN).
const MAX_NAME: usize = 64;

fn names(spec: &Spec, own: Namespaces) -> Result<(), ConfigError> {
    for (field, name) in [
        ("hostname", &spec.hostname),
        ("domainname", &spec.domainname),
    ] {
        no_nul(name).field(field)?;
        if !name.is_empty() && !own.has(Namespaces::UTS) {
            return invalid(format!(
                "unable to set {field} without a private UTS namespace; add one to linux.namespaces"
            ))
            .field(field);
        }
        if name.len() > MAX_NAME {
            return invalid(format!(
                "has {} bytes and the kernel takes at most {MAX_NAME}",
                name.len()
            ))
            .field(field);
        }
    }
    Ok(())
}

fn paths(linux: &Linux, own: Namespaces) -> Result<(), ConfigError> {
    if own.has(Namespaces::MOUNT) {
        return Ok(());
    }
    for (field, list) in [
        ("linux.maskedPaths", &linux.masked_paths),
        ("linux.readonlyPaths", &linux.readonly_paths),
    ] {
        if !list.is_empty() {
            return invalid("unable to restrict paths without a private mount namespace; add one to linux.namespaces").field(field);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::facts;
    use super::*;

    fn check(json: &str, expect: &str) {
        let spec: Spec = serde_json::from_str(json).unwrap();
        let result = match decide(&spec, &facts()) {
            Ok(decided) => {
                let joined: Vec<String> = decided
                    .joined
                    .iter()
                    .map(|joined| format!("{}[{}]={}", joined.kind, joined.index, joined.path))
                    .collect();
                format!("new {} joined {}", decided.new, joined.join(" "))
                    .trim_end()
                    .to_owned()
            }
            Err(error) => error.to_string(),
        };
        assert!(result.starts_with(expect), "{json}: {result}");
    }

    fn linux(members: &str) -> String {
        format!(r#"{{"linux":{{{members}}}}}"#)
    }

    #[test]
    fn made_and_joined() {
        check("{}", "new  joined");
        check(
            &linux(r#""namespaces":[{"type":"pid"},{"type":"mount"}]"#),
            "new mount,pid joined",
        );
        check(
            &linux(
                r#""namespaces":[{"type":"mount","path":"/m"},{"type":"network","path":"/n"},{"type":"user","path":"/u"},{"type":"ipc"}]"#,
            ),
            "new ipc joined user[2]=/u network[1]=/n mount[0]=/m",
        );
    }

    #[test]
    fn refused_lists() {
        check(
            &linux(r#""namespaces":[{"type":"pid"},{"type":"pid","path":"/x"}]"#),
            "linux.namespaces[1].type: pid is given twice",
        );
        check(
            &linux(r#""namespaces":[{"type":"net"}]"#),
            "linux.namespaces[0].type: \"net\" is not one of user, mount, pid,",
        );
        check(
            &linux(r#""namespaces":[{"type":"ipc","path":"proc/1/ns/ipc"}]"#),
            "linux.namespaces[0].path: \"proc/1/ns/ipc\" is not an",
        );
        let mut old = facts();
        old.namespaces = old.namespaces.without(Namespaces::TIME);
        let spec: Spec = serde_json::from_str(&linux(r#""namespaces":[{"type":"time"}]"#)).unwrap();
        assert_eq!(
            decide(&spec, &old).unwrap_err().reason,
            "this kernel has no time namespaces"
        );
    }

    #[test]
    fn maps_belong_to_a_user_namespace() {
        let map = r#"[{"containerID":0,"hostID":1000,"size":1}]"#;
        check(
            &linux(&format!(r#""uidMappings":{map}"#)),
            "linux.uidMappings: needs a user namespace",
        );
        check(
            &linux(&format!(r#""gidMappings":{map}"#)),
            "linux.gidMappings: needs a user namespace",
        );
        let user = r#""namespaces":[{"type":"user"}]"#;
        check(
            &linux(user),
            "linux.uidMappings: is empty, so no id would exist inside",
        );
        check(
            &linux(&format!(r#"{user},"uidMappings":{map}"#)),
            "linux.gidMappings: is empty",
        );
        check(
            &linux(&format!(
                r#"{user},"uidMappings":{map},"gidMappings":{map}"#
            )),
            "new user joined",
        );
        check(
            &linux(r#""namespaces":[{"type":"user","path":"/u"}]"#),
            "new  joined user[0]=/u",
        );
        check(
            &linux(&format!(
                r#""namespaces":[{{"type":"user","path":"/u"}}],"uidMappings":{map}"#
            )),
            "new  joined user",
        );
    }

    #[test]
    fn offsets_belong_to_a_new_time_namespace() {
        let time = r#""namespaces":[{"type":"time"}]"#;
        let offsets = |text: &str| format!(r#""timeOffsets":{{{text}}}"#);
        let good = offsets(r#""monotonic":{"secs":-1,"nanosecs":5},"boottime":{"secs":7}"#);
        check(
            &linux(&good),
            "linux.timeOffsets: needs a new time namespace",
        );
        check(
            &linux(&format!(
                r#""namespaces":[{{"type":"time","path":"/t"}}],{good}"#
            )),
            "linux.timeOffsets: can't be given for a time",
        );
        check(
            &linux(&format!("{time},{}", offsets(r#""realtime":{"secs":1}"#))),
            "linux.timeOffsets[\"realtime\"]: is not a clock",
        );
        let second = offsets(r#""monotonic":{"nanosecs":1000000000}"#);
        check(
            &linux(&format!("{time},{second}")),
            "linux.timeOffsets[\"monotonic\"].nanosecs: 1000000000 is a second or more",
        );
        let spec: Spec = serde_json::from_str(&linux(&format!("{time},{good}"))).unwrap();
        assert_eq!(
            decide(&spec, &facts()).unwrap().time_offsets,
            "boottime 7 0\nmonotonic -1 5\n"
        );
    }

    #[test]
    fn names_need_uts() {
        check(
            r#"{"hostname":"a"}"#,
            "hostname: unable to set hostname without a private UTS namespace",
        );
        check(
            r#"{"domainname":"a"}"#,
            "domainname: unable to set domainname without a private UTS namespace",
        );
        let uts = r#""linux":{"namespaces":[{"type":"uts","path":"/x"}]}"#;
        check(&format!(r#"{{"hostname":"a",{uts}}}"#), "new  joined uts");
        check(
            &format!(r#"{{"hostname":"{}",{uts}}}"#, "a".repeat(65)),
            "hostname: has 65 bytes",
        );
        check(
            &format!(r#"{{"domainname":"a\u0000",{uts}}}"#),
            "domainname: has a NUL byte",
        );
    }

    #[test]
    fn restricted_paths_need_a_mount_namespace() {
        check(
            &linux(r#""maskedPaths":["/x"]"#),
            "linux.maskedPaths: unable to restrict",
        );
        check(
            &linux(r#""readonlyPaths":["/x"]"#),
            "linux.readonlyPaths: unable to restrict",
        );
        check(
            &linux(r#""maskedPaths":["/x"],"namespaces":[{"type":"mount"}]"#),
            "new mount",
        );
    }
}
