//! Reads this host's layout. The parsing is [`Layout::parse`]'s.
use crate::directory::read_path;
use crate::layout::Hierarchy;
use crate::{Error, Layout};
use rustix::fs::{Access, AtFlags, CWD};

impl Layout {
    /// This host's layout as the calling process sees it: three small files, and for a caller without the host's
    /// rights one access check a hierarchy.
    pub fn detect() -> Result<Layout, Error> {
        let read = |path: &str| read_path(path).map_err(|errno| Error::io("read", path, errno));
        let systemd = rustix::fs::access("/run/systemd/system", Access::EXISTS).is_ok();
        let mut layout = Layout::parse(
            &read("/proc/self/mountinfo")?,
            &read("/proc/self/cgroup")?,
            "",
            systemd,
        );
        // Root of a user namespace is nobody to the cgroups that were not delegated to it.
        let privileged = rustix::process::geteuid().is_root() && in_initial_userns();
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

/// The initial user namespace has a fixed inode (PROC_USER_INIT_INO in the kernel's include/linux/proc_ns.h).
fn in_initial_userns() -> bool {
    const PROC_USER_INIT_INO: u64 = 0xEFFF_FFFD;
    rustix::fs::stat("/proc/self/ns/user").is_ok_and(|stat| stat.st_ino == PROC_USER_INIT_INO)
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
