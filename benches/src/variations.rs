//! Specs with so many items of one kind more, for the section `scaling`.

use crate::bundle::without_network;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// What there can be more of.
pub const KINDS: [&str; 5] = [
    "mounts",
    "devices",
    "masked paths",
    "seccomp rules",
    "uid maps",
];

/// Makes what the items point to, so that no runtime pays for its creation: directories to mount on, files and directories
/// to mask.
pub fn prepare(root: &Path, items: usize) -> std::io::Result<()> {
    for item in 0..items {
        fs::create_dir_all(root.join(format!("mnt/{item}")))?;
        fs::create_dir_all(root.join("mask"))?;
        let path = root.join(format!("mask/{item}"));
        if item % 2 == 0 {
            fs::write(path, "")?;
        } else {
            fs::create_dir_all(path)?;
        }
    }
    Ok(())
}

/// Docker's default spec with so many items more. `source` is a directory of the host to bind.
///
/// In the host's network, because making and removing a network namespace takes longer than a hundred items and varies
/// more; only id maps need one, for a user namespace may mount no sysfs of the host's network.
pub fn spec(docker: &Value, kind: &str, items: usize, source: &Path) -> Value {
    let mut spec = match kind {
        "uid maps" => docker.clone(),
        _ => without_network(docker),
    };
    let numbers = 0..items;
    match kind {
        "mounts" => extend(
            &mut spec["mounts"],
            numbers.map(|item| {
                json!({ "destination": format!("/mnt/{item}"), "type": "bind", "source": source,
                        "options": ["rbind", "ro", "nosuid", "rprivate"] })
            }),
        ),
        "devices" => extend(
            &mut spec["linux"]["devices"],
            numbers.map(|item| {
                json!({ "path": format!("/dev/bench{item}"), "type": "c", "major": 1, "minor": 3,
                        "fileMode": 438, "uid": 0, "gid": 0 })
            }),
        ),
        "masked paths" => extend(
            &mut spec["linux"]["maskedPaths"],
            numbers.map(|item| json!(format!("/mask/{item}"))),
        ),
        "seccomp rules" => spec["linux"]["seccomp"] = rules(docker, items),
        _ => map_ids(&mut spec, items),
    }
    spec
}

/// A profile that allows all but calls whose last argument is a value that no program passes: one rule a system call.
fn rules(docker: &Value, items: usize) -> Value {
    let seccomp = &docker["linux"]["seccomp"];
    let names = seccomp["syscalls"][0]["names"].as_array();
    let rules = names.into_iter().flatten().take(items).map(|name| {
        json!({ "names": [name], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
                "args": [{ "index": 5, "value": 0x7a7e_7a7e_7a7e_u64, "op": "SCMP_CMP_EQ" }] })
    });
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": seccomp["architectures"],
            "syscalls": rules.collect::<Vec<_>>() })
}

/// A user namespace whose ids are mapped one by one, to the same ids of the host. Group 5, which docker gives terminals to,
/// need not be among them; the sysctls stay out, because one map cannot hold their whole range.
fn map_ids(spec: &mut Value, items: usize) {
    let maps: Vec<Value> = (0..items)
        .map(|id| json!({ "containerID": id, "hostID": id, "size": 1 }))
        .collect();
    extend(
        &mut spec["linux"]["namespaces"],
        [json!({ "type": "user" })].into_iter(),
    );
    spec["linux"]["uidMappings"] = json!(maps);
    spec["linux"]["gidMappings"] = json!(maps);
    if let Some(linux) = spec["linux"].as_object_mut() {
        linux.remove("sysctl");
    }
    for mount in spec["mounts"].as_array_mut().into_iter().flatten() {
        if let Some(options) = mount["options"].as_array_mut() {
            options.retain(|option| option != "gid=5");
        }
    }
}

fn extend(list: &mut Value, items: impl Iterator<Item = Value>) {
    if list.is_null() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut() {
        list.extend(items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn docker() -> Value {
        serde_json::from_str(include_str!("../docker-spec.json")).unwrap()
    }

    #[test]
    fn each_kind_adds_as_many_items_as_asked_for() {
        let docker = docker();
        let length = |spec: &Value, path: &str| {
            let list = spec.pointer(path).and_then(Value::as_array);
            list.map_or(0, Vec::len)
        };
        for (kind, path) in [
            ("mounts", "/mounts"),
            ("devices", "/linux/devices"),
            ("masked paths", "/linux/maskedPaths"),
            ("uid maps", "/linux/uidMappings"),
            ("uid maps", "/linux/gidMappings"),
        ] {
            for items in [1, 100] {
                let more = spec(&docker, kind, items, Path::new("/source"));
                assert_eq!(
                    length(&more, path),
                    length(&docker, path) + items,
                    "{kind} {items}"
                );
            }
        }
        let rules = spec(&docker, "seccomp rules", 100, Path::new("/source"));
        assert_eq!(length(&rules, "/linux/seccomp/syscalls"), 100);
    }
}
