//! `linux.netDevices`: interfaces that move into the container's network namespace.
use super::ir::HostOp;
use crate::config::{At, ConfigError, invalid};
use std::collections::{BTreeMap, HashSet};
use tare_oci::NetDevice;

/// The moves, by name outside.
///
/// # Errors
/// A name that the kernel can't give to an interface, or two interfaces with one name inside.
pub fn moves(wire: &BTreeMap<String, NetDevice>) -> Result<Vec<HostOp>, ConfigError> {
    let mut inside: HashSet<&str> = HashSet::new();
    let mut moves = Vec::new();
    for (name, device) in wire {
        interface_name(name, false).key(name)?;
        let rename = if device.name.is_empty() {
            name
        } else {
            &device.name
        };
        interface_name(rename, !device.name.is_empty())
            .field("name")
            .key(name)?;
        // Two with one pattern get two numbers.
        if !rename.contains('%') && !inside.insert(rename) {
            return invalid(format!("{rename:?} is the name of another moved interface"))
                .field("name")
                .key(name);
        }
        moves.push(HostOp::MoveNetDevice {
            name: name.clone(),
            rename: rename.clone(),
        });
    }
    Ok(moves)
}

/// The kernel's dev_valid_name, and `%` only where it asks for a number, as `%d` and once.
fn interface_name(name: &str, numbered: bool) -> Result<(), ConfigError> {
    if name.is_empty() || name.len() > 15 {
        return invalid(format!(
            "{name:?} is not an interface's name: those have 1 to 15 bytes"
        ));
    }
    if name == "." || name == ".." {
        return invalid(format!("{name:?} is not an interface's name"));
    }
    let fixed = if numbered {
        name.replacen("%d", "", 1)
    } else {
        name.to_owned()
    };
    if let Some(bad) = fixed
        .chars()
        .find(|character| matches!(character, '/' | ':' | '%' | '\0') || character.is_whitespace())
    {
        return invalid(format!(
            "{name:?} is not an interface's name: {bad:?} is not allowed"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let wire: BTreeMap<String, NetDevice> = text
            .split_whitespace()
            .map(|word| {
                let (name, rename) = word.split_once('=').unwrap_or((word, ""));
                (
                    name.to_owned(),
                    NetDevice {
                        name: rename.to_owned(),
                    },
                )
            })
            .collect();
        let result = match moves(&wire) {
            Ok(ops) => format!("{ops:?}").replace("MoveNetDevice ", ""),
            Err(error) => error.to_string(),
        };
        assert!(result.contains(expect), "{text}: {result}");
    }

    #[test]
    fn moving() {
        check("", "[]");
        check("eth0", r#"{ name: "eth0", rename: "eth0" }"#);
        check(
            "eth0=lan b=wan",
            r#"[{ name: "b", rename: "wan" }, { name: "eth0", rename: "lan" }]"#,
        );
        check("fifteen-bytes-x", r#"rename: "fifteen-bytes-x""#);
        check("a=eth%d b=eth%d", r#"{ name: "b", rename: "eth%d" }"#);
    }

    #[test]
    fn refused() {
        check(
            "sixteen-bytes-xx",
            r#"["sixteen-bytes-xx"]: "sixteen-bytes-xx" is not an interface's name: those have 1 to 15 bytes"#,
        );
        check("a=..", r#"["a"].name: ".." is not an interface's name"#);
        check("a=b/c", r#"'/' is not allowed"#);
        check("eth%d", r#"["eth%d"]: "eth%d" is not"#);
        check("a=eth%d%d", r#"'%' is not allowed"#);
        check("a=eth%s", r#"'%' is not allowed"#);
        check("a=eth%", r#"'%' is not allowed"#);
        check("a:1", r#"':' is not allowed"#);
        check(
            "a=x b=x",
            r#"["b"].name: "x" is the name of another moved interface"#,
        );
        check(
            "a=b b",
            r#"["b"].name: "b" is the name of another moved interface"#,
        );
        let space = BTreeMap::from([("a b".to_owned(), NetDevice::default())]);
        assert!(
            moves(&space)
                .unwrap_err()
                .reason
                .contains("' ' is not allowed")
        );
    }
}
