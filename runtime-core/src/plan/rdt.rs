//! `linux.intelRdt`: the resctrl group, its lines, and what may stand in them.
use super::ir::IntelRdt;
use super::text::no_nul;
use crate::config::{At, ConfigError, invalid};

/// The group of a container with this id on a host that mounts resctrl at `mount`.
///
/// # Errors
/// No resctrl on this host, a `closID` that isn't one directory's name, or a line that would be more than one.
pub fn group(
    wire: &tare_oci::IntelRdt,
    id: &str,
    mount: Option<&str>,
) -> Result<IntelRdt, ConfigError> {
    let Some(mount) = mount else {
        return invalid(
            "resctrl is not mounted, or this CPU or kernel has no Resource Director Technology",
        );
    };
    clos(&wire.clos_id).field("closID")?;
    let mut schemata = Vec::new();
    for (name, text, prefix) in [
        ("l3CacheSchema", &wire.l3_cache_schema, "L3"),
        ("memBwSchema", &wire.mem_bw_schema, "MB"),
    ] {
        for text in text.split('\n').filter(|text| !text.trim().is_empty()) {
            let text = line(text).field(name)?;
            if !text.starts_with(prefix) {
                return invalid(format!("{text:?} does not start with {prefix}")).field(name);
            }
            schemata.push(text);
        }
    }
    // Last, so that it wins where both set one resource (runtime-spec, config-linux.md, "schemata").
    for (index, text) in wire.schemata.iter().enumerate() {
        schemata.push(line(text).index(index).field("schemata")?);
    }
    Ok(IntelRdt {
        mount: mount.to_owned(),
        clos: if wire.clos_id.is_empty() {
            id.to_owned()
        } else {
            wire.clos_id.clone()
        },
        named: !wire.clos_id.is_empty(),
        schemata,
        monitor: wire.enable_monitoring.then(|| id.to_owned()),
    })
}

/// `/` alone is the root group.
fn clos(name: &str) -> Result<(), ConfigError> {
    no_nul(name)?;
    if matches!(name, "." | "..") || (name.len() > 1 && name.contains('/')) {
        return invalid(format!("{name:?} is not a directory's name"));
    }
    if matches!(name, "info" | "mon_groups" | "mon_data") {
        return invalid(format!("{name:?} is a name of the kernel's own"));
    }
    Ok(())
}

fn line(text: &str) -> Result<String, ConfigError> {
    let text = no_nul(text)?.trim_end_matches('\n');
    if text.contains('\n') {
        return invalid("is more than one line");
    }
    if !text.contains(':') {
        return invalid(format!("{text:?} is not of the form RESOURCE:ID=VALUE;..."));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expect: &str) {
        let wire = serde_json::from_str(json).unwrap();
        let result = match group(&wire, "c1", Some("/sys/fs/resctrl")) {
            Ok(group) => format!(
                "{} named={} {:?} {:?}",
                group.clos, group.named, group.schemata, group.monitor
            ),
            Err(error) => error.to_string(),
        };
        assert_eq!(result, expect, "{json}");
    }

    #[test]
    fn groups() {
        check("{}", "c1 named=false [] None");
        check(r#"{"closID":"gold"}"#, "gold named=true [] None");
        check(r#"{"closID":"/"}"#, "/ named=true [] None");
        check(
            r#"{"l3CacheSchema":"L3:0=f;1=f\nL3DATA:0=f","memBwSchema":"MB:0=20","schemata":["L2:0=f"],"enableMonitoring":true}"#,
            r#"c1 named=false ["L3:0=f;1=f", "L3DATA:0=f", "MB:0=20", "L2:0=f"] Some("c1")"#,
        );
        check(
            r#"{"l3CacheSchema":"L3:0=f","memBwSchema":"MB:0=20","schemata":["MB:0=50","L3:0=3"]}"#,
            r#"c1 named=false ["L3:0=f", "MB:0=20", "MB:0=50", "L3:0=3"] None"#,
        );
    }

    #[test]
    fn refused() {
        check(
            r#"{"closID":".."}"#,
            r#"closID: ".." is not a directory's name"#,
        );
        check(
            r#"{"closID":"a/b"}"#,
            r#"closID: "a/b" is not a directory's name"#,
        );
        check(
            r#"{"closID":"info"}"#,
            r#"closID: "info" is a name of the kernel's own"#,
        );
        check(
            r#"{"schemata":["a\nb"]}"#,
            "schemata[0]: is more than one line",
        );
        check(
            r#"{"schemata":["L3"]}"#,
            r#"schemata[0]: "L3" is not of the form RESOURCE:ID=VALUE;..."#,
        );
        check(
            r#"{"memBwSchema":"L3:0=f"}"#,
            r#"memBwSchema: "L3:0=f" does not start with MB"#,
        );
        let without = group(&tare_oci::IntelRdt::default(), "c1", None);
        assert!(
            without
                .unwrap_err()
                .reason
                .contains("resctrl is not mounted")
        );
    }
}
