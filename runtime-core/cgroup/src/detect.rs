//! Reads this host's layout. The parsing is [`Layout::parse`]'s.
use crate::directory::read_path;
use crate::layout::Hierarchy;
use crate::{Error, Layout};
use rustix::fs::{Access, AtFlags, CWD};

impl Layout {
    /// This host's layout as the calling process sees it: three small files, and for a caller without uid 0 one access check a hierarchy.
    pub fn detect() -> Result<Layout, Error> {
        let read = |path: &str| read_path(path).map_err(|errno| Error::io("read", path, errno));
        let systemd = rustix::fs::access("/run/systemd/system", Access::EXISTS).is_ok();
        let mut layout = Layout::parse(
            &read("/proc/self/mountinfo")?,
            &read("/proc/self/cgroup")?,
            "",
            systemd,
        );
        let privileged = rustix::process::geteuid().is_root();
        if !privileged {
            for hierarchy in &mut layout.v1 {
                let own = directory(hierarchy, hierarchy.own_below_mount());
                hierarchy.writable = writable(&own);
            }
        }
        if let Some(unified) = &mut layout.unified {
            // A user gets only what was delegated: what the cgroup above its own offers.
            let above = parent(unified.own_below_mount());
            let above = directory(unified, if privileged { "/" } else { above });
            let text = read_path(&format!("{above}/cgroup.controllers")).unwrap_or_default();
            unified.controllers = text.split_ascii_whitespace().map(str::to_string).collect();
            unified.writable = privileged || writable(&above);
        }
        Ok(layout)
    }
}

fn directory(hierarchy: &Hierarchy, path: &str) -> String {
    format!("{}{}", hierarchy.mount, path.trim_end_matches('/'))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("/", |(parent, _)| parent)
}

fn writable(path: &str) -> bool {
    rustix::fs::accessat(
        CWD,
        path,
        Access::WRITE_OK | Access::EXEC_OK,
        AtFlags::EACCESS,
    )
    .is_ok()
}
