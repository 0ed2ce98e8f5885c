//! How this host's cgroups are laid out, as plain data; parsed from `/proc/self/mountinfo` and `/proc/self/cgroup` by pure code.
//!
//! The input is untrusted in the sense that anybody may mount anything: a line that makes no sense is left out, nothing panics.

/// Which hierarchies carry the controllers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// No cgroup filesystem is mounted.
    #[default]
    None,
    /// All controllers on v1, no v2 mount.
    V1,
    /// v1 controllers beside a v2 mount, which may have controllers of its own.
    Hybrid,
    /// v2 only.
    V2,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hierarchy {
    /// Mount point, such as `/sys/fs/cgroup/memory`.
    pub mount: String,
    /// The cgroup that stands at the mount point (mountinfo's root field): `/` on a host, deeper inside a container
    /// without cgroup namespace, `/..` forms where the mount reaches above the namespace's root.
    pub root: String,
    /// The calling process's cgroup as `/proc/self/cgroup` has it.
    pub own: String,
    /// v1: what is co-mounted (`cpu`, `cpuacct`, `name=systemd`); v2: what `cgroup.controllers` at the mount offers.
    pub controllers: Vec<String>,
    /// Whether the caller may make cgroups beside (v2) or below (v1) its own; looked up for a caller without uid 0, else true.
    pub writable: bool,
}

/// The layout of a host. [`Layout::parse`] makes it from texts (goldens), [`Layout::detect`] from this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Which hierarchies carry the controllers.
    pub mode: Mode,
    /// v1 hierarchies in mount order, each mounted once.
    pub v1: Vec<Hierarchy>,
    /// The v2 hierarchy.
    pub unified: Option<Hierarchy>,
    /// Whether systemd runs as the host's init (`/run/systemd/system` exists).
    pub systemd: bool,
}

impl Layout {
    /// Reads a layout from the texts of `/proc/self/mountinfo`, `/proc/self/cgroup` and the v2 mount's `cgroup.controllers`
    /// (empty where there is none). All hierarchies are taken as writable.
    pub fn parse(mountinfo: &str, own: &str, controllers: &str, systemd: bool) -> Layout {
        let mut layout = Layout {
            systemd,
            ..Layout::default()
        };
        for line in mountinfo.lines() {
            let Some(mount) = parse_mount(line) else {
                continue;
            };
            match mount.kind {
                "cgroup2" => add_unified(&mut layout, mount),
                _ => add_v1(&mut layout, mount),
            }
        }
        for line in own.lines() {
            place_own(&mut layout, line);
        }
        if let Some(unified) = &mut layout.unified {
            unified.controllers = controllers
                .split_ascii_whitespace()
                .map(str::to_string)
                .collect();
        }
        let with_controllers = layout.v1.iter().any(|hierarchy| {
            hierarchy
                .controllers
                .iter()
                .any(|name| !name.starts_with("name="))
        });
        layout.mode = match (with_controllers, &layout.unified) {
            (false, None) if layout.v1.is_empty() => Mode::None,
            (_, None) => Mode::V1,
            (true, Some(_)) => Mode::Hybrid,
            (false, Some(_)) => Mode::V2,
        };
        layout
    }

    /// The v1 hierarchy that carries a controller.
    pub fn v1_of(&self, controller: &str) -> Option<&Hierarchy> {
        self.v1
            .iter()
            .find(|hierarchy| hierarchy.controllers.iter().any(|name| name == controller))
    }

    /// Whether the v2 hierarchy offers a controller.
    pub fn unified_has(&self, controller: &str) -> bool {
        self.unified
            .as_ref()
            .is_some_and(|unified| unified.controllers.iter().any(|name| name == controller))
    }
}

impl Hierarchy {
    /// The caller's own cgroup seen from the mount point: `/` where it can't be seen from there.
    pub fn own_below_mount(&self) -> &str {
        if self.own.split('/').any(|part| part == "..")
            || self.root.split('/').any(|part| part == "..")
        {
            return "/";
        }
        if self.root == "/" {
            return if self.own.is_empty() { "/" } else { &self.own };
        }
        match self.own.strip_prefix(self.root.as_str()) {
            Some("") => "/",
            Some(rest) if rest.starts_with('/') => rest,
            _ => "/",
        }
    }
}

struct Mount<'a> {
    kind: &'a str,
    root: String,
    point: String,
    options: &'a str,
}

fn parse_mount(line: &str) -> Option<Mount<'_>> {
    let (head, tail) = line.split_once(" - ")?;
    let mut tail = tail.split(' ');
    let kind = tail.next()?;
    if kind != "cgroup" && kind != "cgroup2" {
        return None;
    }
    let options = tail.nth(1)?;
    let mut head = head.split(' ').skip(3);
    let (root, point) = (unescape(head.next()?), unescape(head.next()?));
    // The root may be above the namespace's; a mount point never has such a part, and paths are made from it.
    let plain = point.starts_with('/') && !point.split('/').any(|part| part == "..");
    (root.starts_with('/') && plain).then_some(Mount {
        kind,
        root,
        point,
        options,
    })
}

/// Undoes mountinfo's `\040` escapes; a broken escape stays as it is.
fn unescape(field: &str) -> String {
    if !field.contains('\\') {
        return field.to_string();
    }
    let bytes = field.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'\\')
            .then(|| bytes.get(at + 1..at + 4))
            .flatten()
            .and_then(octal);
        match code {
            Some(code) => {
                out.push(code);
                at += 4;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn octal(digits: &[u8]) -> Option<u8> {
    let mut value = 0u32;
    for digit in digits {
        value = value * 8 + u32::from(digit.checked_sub(b'0').filter(|digit| *digit < 8)?);
    }
    u8::try_from(value).ok()
}

/// Mount options of the superblock that name no controller.
const NOT_CONTROLLERS: [&str; 8] = [
    "rw",
    "ro",
    "xattr",
    "noprefix",
    "clone_children",
    "none",
    "cpuset_v2_mode",
    "favordynmods",
];

fn add_v1(layout: &mut Layout, mount: Mount<'_>) {
    let controllers: Vec<String> = mount
        .options
        .split(',')
        .filter(|option| {
            !option.is_empty()
                && !NOT_CONTROLLERS.contains(option)
                && (!option.contains('=') || option.starts_with("name="))
        })
        .map(str::to_string)
        .collect();
    let known = |name: &String| {
        layout
            .v1
            .iter()
            .any(|hierarchy| hierarchy.controllers.contains(name))
    };
    if controllers.is_empty() || controllers.iter().any(known) {
        return;
    }
    layout.v1.push(Hierarchy {
        mount: mount.point,
        root: mount.root,
        own: "/".to_string(),
        controllers,
        writable: true,
    });
}

/// Of several v2 mounts the one at `/sys/fs/cgroup` or below it counts, else the first.
fn add_unified(layout: &mut Layout, mount: Mount<'_>) {
    let usual = |point: &str| point == "/sys/fs/cgroup" || point.starts_with("/sys/fs/cgroup/");
    if layout
        .unified
        .as_ref()
        .is_some_and(|known| usual(&known.mount) || !usual(&mount.point))
    {
        return;
    }
    let own = layout
        .unified
        .take()
        .map_or_else(|| "/".to_string(), |known| known.own);
    layout.unified = Some(Hierarchy {
        mount: mount.point,
        root: mount.root,
        own,
        controllers: Vec::new(),
        writable: true,
    });
}

/// Takes one line of `/proc/self/cgroup`: `4:memory:/path`, `0::/path`.
fn place_own(layout: &mut Layout, line: &str) {
    let mut fields = line.splitn(3, ':');
    let (Some(number), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next())
    else {
        return;
    };
    if !path.starts_with('/') {
        return;
    }
    if number == "0" && names.is_empty() {
        if let Some(unified) = &mut layout.unified {
            unified.own = path.to_string();
        }
        return;
    }
    let names: Vec<&str> = names.split(',').collect();
    for hierarchy in &mut layout.v1 {
        if hierarchy
            .controllers
            .iter()
            .any(|name| names.contains(&name.as_str()))
        {
            hierarchy.own = path.to_string();
        }
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
