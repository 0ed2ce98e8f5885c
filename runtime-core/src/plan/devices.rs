//! Device nodes: the spec's defaults, `linux.devices`, and how a node gets there.
//!
//! A node is made by mknod where the container's root user is the host's; in a user namespace the kernel refuses that, so the
//! host's node is bind-mounted in its place.
use super::ir::{Alternative, ChildOp, ChildStep, Kind, MountAttr, Slot, Source};
use super::text::{absolute, clean};
use crate::config::{At, ConfigError, invalid};
use std::collections::{HashMap, HashSet};
use tare_oci::Device;

const S_IFIFO: u32 = 0o010_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFMT: u32 = 0o170_000;
const EPERM: i32 = 1;
const EACCES: i32 = 13;

/// A device node, decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Absolute, inside; the same path is bind-mounted from the host where mknod isn't possible.
    pub path: String,
    /// S_IF* and permission bits.
    pub mode: u32,
    /// Device number.
    pub major: u32,
    /// Device number.
    pub minor: u32,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
    /// JSON path, or empty for a default.
    pub from: String,
}

/// Every container has these (config-linux.md, "Default Devices"), unless the config gives the path itself.
const DEFAULT: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/random", 1, 8),
    ("/dev/full", 1, 7),
    ("/dev/tty", 5, 0),
    ("/dev/zero", 1, 5),
    ("/dev/urandom", 1, 9),
];

/// The defaults that the config doesn't replace, then the config's own in their order.
///
/// # Errors
/// An unknown type, a path that isn't absolute, numbers that the kernel can't encode, mode bits beyond the permissions, or one path
/// with two meanings.
pub fn nodes(wire: &[Device]) -> Result<Vec<Node>, ConfigError> {
    let mut nodes: Vec<Node> = Vec::with_capacity(DEFAULT.len() + wire.len());
    let given: HashSet<String> = wire.iter().map(|device| clean(&device.path)).collect();
    for (path, major, minor) in DEFAULT {
        if !given.contains(path) {
            nodes.push(Node {
                path: path.to_owned(),
                mode: S_IFCHR | 0o666,
                major,
                minor,
                uid: 0,
                gid: 0,
                from: String::new(),
            });
        }
    }
    let mut places: HashMap<String, usize> = HashMap::new();
    for (index, device) in wire.iter().enumerate() {
        let node = node(device, index).index(index)?;
        match places.get(&node.path).map(|place| &nodes[*place]) {
            Some(known)
                if (known.mode & S_IFMT, known.major, known.minor)
                    != (node.mode & S_IFMT, node.major, node.minor) =>
            {
                return invalid(format!("{:?} is also given as another device", node.path))
                    .field("path")
                    .index(index);
            }
            Some(_) => {}
            None => {
                places.insert(node.path.clone(), nodes.len());
                nodes.push(node);
            }
        }
    }
    Ok(nodes)
}

fn node(wire: &Device, index: usize) -> Result<Node, ConfigError> {
    let path = clean(absolute(&wire.path).field("path")?);
    if path == "/" {
        return invalid("is the root directory").field("path");
    }
    let kind = match wire.kind.as_str() {
        "c" | "u" => S_IFCHR,
        "b" => S_IFBLK,
        "p" => S_IFIFO,
        kind => return invalid(format!("{kind:?} is not one of c, u, b, p")).field("type"),
    };
    // Go producers hand over st_mode as it is: the type bits in it say nothing new.
    let permissions = wire.file_mode.unwrap_or(0o666) & !S_IFMT;
    if permissions & !0o7777 != 0 {
        return invalid(format!(
            "{:o} (octal) has bits beyond the permissions",
            wire.file_mode.unwrap_or(0)
        ))
        .field("fileMode");
    }
    let fifo = kind == S_IFIFO;
    Ok(Node {
        path,
        mode: kind | permissions,
        major: if fifo {
            0
        } else {
            device_number(wire.major, 12).field("major")?
        },
        minor: if fifo {
            0
        } else {
            device_number(wire.minor, 20).field("minor")?
        },
        uid: owner(wire.uid).field("uid")?,
        gid: owner(wire.gid).field("gid")?,
        from: format!("linux.devices[{index}]"),
    })
}

fn device_number(value: i64, bits: u32) -> Result<u32, ConfigError> {
    match u32::try_from(value) {
        Ok(number) if number < 1 << bits => Ok(number),
        _ => invalid(format!("{value} is outside 0 to {}", (1 << bits) - 1)),
    }
}

fn owner(id: Option<u32>) -> Result<u32, ConfigError> {
    match id {
        Some(u32::MAX) => invalid("4294967295 is not an id; ids are 0 to 4294967294"),
        id => Ok(id.unwrap_or(0)),
    }
}

/// The step that puts a node below `root`. `bind`: the container's root user isn't the host's.
#[must_use]
pub fn step(node: &Node, root: Slot, bind: bool) -> ChildStep {
    let from = node.from.clone();
    let fifo = node.mode & S_IFMT == S_IFIFO;
    let binding = ChildOp::Bind {
        root,
        source: Source::Path(node.path.clone()),
        dest: node.path.clone(),
        kind: Kind::File,
        recursive: false,
        attr: MountAttr::default(),
        idmap: None,
    };
    if bind && !fifo {
        return ChildStep {
            op: binding,
            alternative: None,
            from,
        };
    }
    let op = ChildOp::Mknod {
        root,
        dest: node.path.clone(),
        mode: node.mode,
        major: node.major,
        minor: node.minor,
        uid: node.uid,
        gid: node.gid,
    };
    let alternative = (!fifo).then(|| Alternative {
        on: vec![EPERM, EACCES],
        op: binding,
    });
    ChildStep {
        op,
        alternative,
        from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expect: &str) {
        let wire: Vec<Device> = serde_json::from_str(json).unwrap();
        let result = match nodes(&wire) {
            Ok(nodes) => {
                let words = nodes
                    .iter()
                    .filter(|node| !node.from.is_empty())
                    .map(|node| {
                        format!(
                            "{} {:o} {}:{} {}:{}",
                            node.path, node.mode, node.major, node.minor, node.uid, node.gid
                        )
                    });
                words.collect::<Vec<_>>().join("; ")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(result, expect, "{json}");
    }

    #[test]
    fn defaults() {
        let paths: Vec<String> = nodes(&[])
            .unwrap()
            .into_iter()
            .map(|node| node.path)
            .collect();
        assert_eq!(
            paths,
            [
                "/dev/null",
                "/dev/random",
                "/dev/full",
                "/dev/tty",
                "/dev/zero",
                "/dev/urandom"
            ]
        );
        let own = [Device {
            kind: "c".to_owned(),
            path: "/dev//null".to_owned(),
            major: 1,
            minor: 3,
            ..Device::default()
        }];
        let nodes = nodes(&own).unwrap();
        assert_eq!(nodes.len(), 6);
        assert_eq!(nodes[5].from, "linux.devices[0]");
    }

    #[test]
    fn own_devices() {
        check(
            r#"[{"type":"c","path":"/dev/fuse","major":10,"minor":229,"fileMode":384,"uid":1,"gid":2}]"#,
            "/dev/fuse 20600 10:229 1:2",
        );
        check(
            r#"[{"type":"u","path":"/dev/x","major":4095,"minor":1048575}]"#,
            "/dev/x 20666 4095:1048575 0:0",
        );
        check(
            r#"[{"type":"b","path":"/dev/sda","major":8,"minor":0,"fileMode":24992}]"#,
            "/dev/sda 60640 8:0 0:0",
        );
        check(
            r#"[{"type":"p","path":"/run/f","major":-1,"minor":-1,"fileMode":511}]"#,
            "/run/f 10777 0:0 0:0",
        );
        let twice = r#"{"type":"c","path":"/dev/a","major":1,"minor":1}"#;
        check(&format!("[{twice},{twice}]"), "/dev/a 20666 1:1 0:0");
    }

    #[test]
    fn refused() {
        check(
            r#"[{"type":"d","path":"/dev/a"}]"#,
            r#"[0].type: "d" is not one of c, u, b, p"#,
        );
        check(
            r#"[{"type":"c","path":"dev/a"}]"#,
            r#"[0].path: "dev/a" is not an absolute path"#,
        );
        check(
            r#"[{"type":"c","path":"/"}]"#,
            "[0].path: is the root directory",
        );
        check(
            r#"[{"type":"c","path":"/a\u0000"}]"#,
            "[0].path: has a NUL byte at position 2",
        );
        check(
            r#"[{"type":"c","path":"/a","major":4096}]"#,
            "[0].major: 4096 is outside 0 to 4095",
        );
        check(
            r#"[{"type":"c","path":"/a","major":-1}]"#,
            "[0].major: -1 is outside 0 to 4095",
        );
        check(
            r#"[{"type":"b","path":"/a","minor":1048576}]"#,
            "[0].minor: 1048576 is outside 0 to 1048575",
        );
        check(
            r#"[{"type":"c","path":"/a","fileMode":262145}]"#,
            "[0].fileMode: 1000001 (octal) has bits beyond the permissions",
        );
        check(
            r#"[{"type":"c","path":"/a","uid":4294967295}]"#,
            "[0].uid: 4294967295 is not an id; ids are 0 to 4294967294",
        );
        check(
            r#"[{"type":"c","path":"/a","minor":1},{"type":"b","path":"/a/","minor":1}]"#,
            r#"[1].path: "/a/" is also given as another device"#
                .replace("/a/", "/a")
                .as_str(),
        );
    }

    #[test]
    fn steps() {
        let node = &nodes(&[]).unwrap()[0];
        let made = step(node, Slot(0), false);
        assert!(matches!(made.op, ChildOp::Mknod { .. }));
        assert_eq!(
            made.alternative.map(|alternative| alternative.on),
            Some(vec![EPERM, EACCES])
        );
        let bound = step(node, Slot(0), true);
        assert!(matches!(bound.op, ChildOp::Bind { .. }) && bound.alternative.is_none());
        let fifo = Node {
            mode: S_IFIFO | 0o600,
            ..node.clone()
        };
        assert!(
            matches!(step(&fifo, Slot(0), true).op, ChildOp::Mknod { .. }),
            "the kernel lets a user namespace make fifos"
        );
    }
}
