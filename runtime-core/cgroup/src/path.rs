//! `linux.cgroupsPath`: where the container's cgroup goes. Pure.
use crate::Refusal;

const JSON: &str = "linux.cgroupsPath";

/// A cgroupfs path, not yet joined to a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// From the hierarchy's mount point: starts with `/`.
    Absolute(String),
    /// Below the caller's own cgroup (v1) or beside it (v2, where a cgroup with processes can't have controllers below).
    Relative(String),
}

/// Reads `linux.cgroupsPath` for the cgroupfs manager; an absent one is the container's id.
pub(crate) fn cgroupfs(path: &str, id: &str) -> Result<Place, Refusal> {
    if path.is_empty() {
        return Ok(Place::Relative(component(id)?.to_string()));
    }
    let clean = clean(path)?;
    if clean.is_empty() {
        return Err(Refusal::new(
            JSON,
            format!("{path:?} is the root cgroup; a container needs one of its own"),
        ));
    }
    Ok(if path.starts_with('/') {
        Place::Absolute(format!("/{clean}"))
    } else {
        Place::Relative(clean)
    })
}

/// Reads the name of a cgroup that somebody else made: a path from the hierarchies' mount points, with or without its first slash,
/// or a slice. Empty for the root.
pub(crate) fn foreign(path: &str) -> Result<String, Refusal> {
    let below = if !path.contains('/') && path.ends_with(".slice") {
        expand_slice(path)
    } else {
        clean(path).map(|clean| match clean.as_str() {
            "" => String::new(),
            clean => format!("/{clean}"),
        })
    };
    below.map_err(|refusal| Refusal::new("cgroup", refusal.why))
}

/// A systemd path in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    /// The slice that holds it, empty for the manager's default.
    pub slice: String,
    /// Unit name: `prefix-name.scope`, or a slice.
    pub name: String,
}

/// Reads `slice:prefix:name` for the systemd manager; an absent one is a scope named after the container.
pub(crate) fn systemd(path: &str, id: &str) -> Result<Unit, Refusal> {
    if path.is_empty() {
        return Ok(Unit {
            slice: String::new(),
            name: format!("trun-{}.scope", unit_part(id)?),
        });
    }
    let parts: Vec<&str> = path.split(':').collect();
    let &[slice, prefix, name] = parts.as_slice() else {
        let why = format!(
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {path:?} instead"
        );
        return Err(Refusal::new(JSON, why));
    };
    if !slice.is_empty() {
        expand_slice(slice)?;
    }
    let name = match (name, prefix) {
        ("", _) => {
            return Err(Refusal::new(
                JSON,
                format!("{path:?} has no unit name after the second colon"),
            ));
        }
        (name, _) if name.ends_with(".slice") => {
            expand_slice(name)?;
            name.to_string()
        }
        (name, "") => format!("{}.scope", unit_part(name)?),
        (name, prefix) => format!("{}-{}.scope", unit_part(prefix)?, unit_part(name)?),
    };
    if name.len() > 255 {
        return Err(Refusal::new(
            JSON,
            format!(
                "the unit name {name:?} has {} bytes; systemd takes 255",
                name.len()
            ),
        ));
    }
    Ok(Unit {
        slice: slice.to_string(),
        name,
    })
}

/// The cgroup of a slice: `a-b.slice` is `/a.slice/a-b.slice`, `-.slice` is the root (empty).
pub(crate) fn expand_slice(slice: &str) -> Result<String, Refusal> {
    let invalid = || Refusal::new(JSON, format!("invalid slice name: {slice}"));
    let stem = slice.strip_suffix(".slice").ok_or_else(invalid)?;
    if stem == "-" {
        return Ok(String::new());
    }
    unit_part(stem)?;
    let mut path = String::new();
    let mut prefix = String::new();
    for part in stem.split('-') {
        if part.is_empty() {
            return Err(invalid());
        }
        path += &format!("/{prefix}{part}.slice");
        prefix += &format!("{part}-");
    }
    Ok(path)
}

/// `a//b/./c/` is `a/b/c`; `..` is refused: what it would mean depends on who looks.
fn clean(path: &str) -> Result<String, Refusal> {
    if path.len() >= 4096 {
        return Err(Refusal::new(
            JSON,
            format!("has {} bytes; the kernel takes 4095", path.len()),
        ));
    }
    let mut parts = Vec::new();
    for part in path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        parts.push(component(part)?);
    }
    Ok(parts.join("/"))
}

fn component(part: &str) -> Result<&str, Refusal> {
    let why = match part {
        "" | "." => "an empty name can't be a cgroup".to_string(),
        ".." => {
            "`..` is not taken: name the cgroup from the root, or relative to the runtime's own"
                .to_string()
        }
        _ if part.contains(['\0', '\n']) => {
            "a NUL byte or a newline can't be part of a cgroup's name".to_string()
        }
        _ if part.contains('/') => "a slash can't be part of a cgroup's name".to_string(),
        _ if part.len() > 255 => format!("one part has {} bytes; the kernel takes 255", part.len()),
        _ => return Ok(part),
    };
    Err(Refusal::new(JSON, why))
}

/// A piece of a unit name: the characters that systemd takes.
fn unit_part(part: &str) -> Result<&str, Refusal> {
    let taken = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@+".contains(&byte);
    match part.bytes().find(|byte| !taken(*byte)) {
        Some(byte) => Err(Refusal::new(
            JSON,
            format!(
                "{part:?} has {:?}, which a systemd unit name can't have",
                byte as char
            ),
        )),
        None => Ok(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expect: &str) {
        let got = match cgroupfs(path, "c1") {
            Ok(Place::Absolute(path)) => format!("abs {path}"),
            Ok(Place::Relative(path)) => format!("rel {path}"),
            Err(refusal) => refusal.to_string(),
        };
        assert!(got.starts_with(expect), "{path:?}: {got}");
    }

    #[test]
    fn cgroupfs_paths() {
        check("", "rel c1");
        check("/docker/x", "abs /docker/x");
        check("//docker///x/./", "abs /docker/x");
        check("a/b", "rel a/b");
        check("./a", "rel a");
        check("a:b", "rel a:b");
        check("/", "linux.cgroupsPath: \"/\" is the root cgroup");
        check("./.", "linux.cgroupsPath: ");
        check("/a/../b", "linux.cgroupsPath: `..` is not taken");
        check("..", "linux.cgroupsPath: `..` is not taken");
        check("/a\nb", "linux.cgroupsPath: a NUL byte");
        check("/a\0b", "linux.cgroupsPath: a NUL byte");
        check(
            &"x".repeat(256),
            "linux.cgroupsPath: one part has 256 bytes",
        );
        check(&"/y".repeat(2100), "linux.cgroupsPath: has 4200 bytes");
        check("..a/b..", "rel ..a/b..");
    }

    #[test]
    fn an_id_is_a_name_not_a_path() {
        for id in ["", "..", ".", "a/b"] {
            assert!(cgroupfs("", id).is_err(), "{id:?}");
        }
    }

    fn check_unit(path: &str, expect: &str) {
        let got = match systemd(path, "c1") {
            Ok(unit) => format!("{} in {}", unit.name, unit.slice),
            Err(refusal) => refusal.to_string(),
        };
        assert!(got.starts_with(expect), "{path:?}: {got}");
    }

    #[test]
    fn systemd_paths() {
        check_unit("", "trun-c1.scope in ");
        check_unit(
            "system.slice:docker:1234",
            "docker-1234.scope in system.slice",
        );
        check_unit(":docker:1234", "docker-1234.scope in ");
        check_unit("a-b.slice::x", "x.scope in a-b.slice");
        check_unit("a.slice:p:a-x.slice", "a-x.slice in a.slice");
        check_unit(
            "/docker/x",
            "linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\"",
        );
        check_unit("a:b:c:d", "linux.cgroupsPath: expected");
        check_unit(
            "system:docker:1",
            "linux.cgroupsPath: invalid slice name: system",
        );
        check_unit("a--b.slice:d:1", "linux.cgroupsPath: invalid slice name");
        check_unit("-a.slice:d:1", "linux.cgroupsPath: invalid slice name");
        check_unit(".slice:d:1", "linux.cgroupsPath: invalid slice name");
        check_unit("a/b.slice:d:1", "linux.cgroupsPath: \"a/b\" has '/'");
        check_unit(
            "system.slice:d:",
            "linux.cgroupsPath: \"system.slice:d:\" has no unit name",
        );
        check_unit("system.slice:d:x y", "linux.cgroupsPath: \"x y\" has ' '");
        check_unit("system.slice:d:../x", "linux.cgroupsPath: ");
        check_unit(
            &format!("system.slice:d:{}", "x".repeat(255)),
            "linux.cgroupsPath: the unit name",
        );
    }

    #[test]
    fn cgroups_of_others() {
        for (path, expect) in [
            ("/kubepods/pod1", "/kubepods/pod1"),
            ("kubepods//pod1/", "/kubepods/pod1"),
            (
                "/kubepods.slice/kubepods-pod1.slice",
                "/kubepods.slice/kubepods-pod1.slice",
            ),
            ("kubepods-pod1.slice", "/kubepods.slice/kubepods-pod1.slice"),
            ("/", ""),
            ("-.slice", ""),
        ] {
            assert_eq!(foreign(path).as_deref(), Ok(expect), "{path}");
        }
        for path in ["/a/../b", "a--b.slice", "/a\0b"] {
            let refusal = foreign(path).unwrap_err();
            assert_eq!(refusal.json, "cgroup", "{refusal}");
        }
    }

    #[test]
    fn slices_nest() {
        assert_eq!(
            expand_slice("test-a-b.slice").unwrap(),
            "/test.slice/test-a.slice/test-a-b.slice"
        );
        assert_eq!(expand_slice("-.slice").unwrap(), "");
        assert_eq!(expand_slice("user.slice").unwrap(), "/user.slice");
    }
}
