//! Ids of a container's own, and what a configuration may not have where ids are few.

use crate::cli::Run;
use crate::containers::Maps;
use crate::failure::Failure;
use serde_json::{Value, json};
use tare_oci::IdMapping;

/// Gives it ids of its own.
pub fn map(spec: &mut Value, maps: &Maps) {
    let linux = &mut spec["linux"];
    linux["uidMappings"] = json!(maps.uids);
    linux["gidMappings"] = json!(maps.gids);
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.push(json!({ "type": "user" }));
    }
    let has_group = maps.gids.iter().any(|map| {
        (map.container_id..=map.container_id.saturating_add(map.size - 1)).contains(&TERMINALS)
    });
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        if !has_group {
            without_group(mounts);
        }
        // Its root is no root of the cgroups, which only the host's could show it.
        mounts.retain(|mount| mount["type"] != "cgroup");
    }
}

/// The group of terminals, `tty`.
const TERMINALS: u32 = 5;

/// What is typed as `CONTAINER:HOST:COUNT`.
pub fn maps(words: &Run) -> Result<Option<Maps>, Failure> {
    let parse = |option: &str, texts: &[String]| -> Result<Vec<IdMapping>, Failure> {
        let one = |text: &String| {
            let numbers: Option<Vec<u32>> = text.split(':').map(|word| word.parse().ok()).collect();
            match numbers.as_deref() {
                Some([container_id, host_id, size]) if *size > 0 => Ok(IdMapping {
                    container_id: *container_id,
                    host_id: *host_id,
                    size: *size,
                }),
                _ => Err(Failure::new(format!(
                    "--{option} {text}: it must be CONTAINER:HOST:COUNT, three numbers of which the last is not 0"
                ))),
            }
        };
        texts.iter().map(one).collect()
    };
    let (uids, gids) = (
        parse("uidmap", &words.uidmap)?,
        parse("gidmap", &words.gidmap)?,
    );
    Ok(match (uids.is_empty(), gids.is_empty()) {
        (true, true) => None,
        (false, true) => Some(Maps {
            gids: uids.clone(),
            uids,
        }),
        (true, false) => Some(Maps {
            uids: gids.clone(),
            gids,
        }),
        (false, false) => Some(Maps { uids, gids }),
    })
}

/// What root of a user namespace can mount of it.
pub fn adapt(mounts: &mut Vec<Value>) {
    mounts.retain(|mount| mount["type"] != "cgroup");
    if !crate::namespace::maps_group(TERMINALS) {
        without_group(mounts);
    }
}

fn without_group(mounts: &mut Vec<Value>) {
    for mount in mounts {
        if let Some(options) = mount["options"].as_array_mut() {
            options.retain(|option| option != "gid=5");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn typed(text: &[&str]) -> Result<Option<Maps>, Failure> {
        let all = ["tare", "run"].iter().chain(text).chain(&["i"]);
        match crate::cli::Cli::try_parse_from(all).unwrap().command {
            crate::cli::Command::Run(run) => maps(&run),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_typed() {
        assert_eq!(typed(&[]).unwrap(), None);
        let one = typed(&["--uidmap", "0:100000:10"]).unwrap().unwrap();
        assert_eq!(one.uids, one.gids);
        assert_eq!(
            (one.root_uid(), one.root_gid()),
            (Some(100_000), Some(100_000))
        );
        let both = typed(&[
            "--uidmap", "0:1:2", "--uidmap", "2:9:1", "--gidmap", "5:6:1",
        ])
        .unwrap()
        .unwrap();
        assert_eq!((both.uids.len(), both.root_gid()), (2, None));
        for wrong in [
            "",
            "0:1",
            "0:1:0",
            "0:1:2:3",
            "a:1:2",
            "0:-1:2",
            "0:4294967296:1",
        ] {
            assert!(typed(&["--uidmap", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_configuration_of_a_map() {
        let check = |size: u32, group: bool| {
            let mut spec = json!({
                "linux": { "namespaces": [] },
                "mounts": [
                    { "type": "devpts", "options": ["newinstance", "gid=5"] },
                    { "type": "cgroup", "options": [] },
                ],
            });
            let ids = vec![IdMapping {
                container_id: 0,
                host_id: 9,
                size,
            }];
            map(
                &mut spec,
                &Maps {
                    uids: ids.clone(),
                    gids: ids,
                },
            );
            assert_eq!(spec["linux"]["uidMappings"][0]["hostID"], 9);
            assert_eq!(spec["linux"]["namespaces"][0]["type"], "user");
            let mounts = spec["mounts"].to_string();
            assert_eq!(mounts.contains("gid=5"), group, "{mounts}");
            assert!(!mounts.contains("cgroup"), "{mounts}");
        };
        check(5, false);
        check(6, true);
    }
}
