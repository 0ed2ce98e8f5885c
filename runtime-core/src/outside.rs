//! What restricts this process from outside: an outer container's filter and masks, an administrator's limits.
//!
//! Looked at only once a step was refused, to say which of them it was. Looking is apart from wording, which is pure.
use crate::plan::ir::{ChildOp, HostOp, MapWriter, Namespaces};
use tare_sys::Errno;

/// What is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outside {
    /// A seccomp filter.
    filtered: bool,
    /// What is mounted over parts of /proc; each hides something.
    covered_proc: Vec<String>,
    /// The uppermost mount on /proc is read-only.
    readonly_proc: bool,
    /// `user.max_user_namespaces`.
    max_user_namespaces: String,
    /// `kernel.unprivileged_userns_clone`, Debian's own.
    unprivileged_clone: String,
    /// `kernel.apparmor_restrict_unprivileged_userns`, Ubuntu's own.
    apparmor_restricts: String,
}

impl Outside {
    /// Looks.
    pub(crate) fn look() -> Outside {
        let sysctl = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default();
            text.trim().to_owned()
        };
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let (covered_proc, readonly_proc) = proc_mounts(&table);
        Outside {
            filtered: rustix::thread::secure_computing_mode()
                .is_ok_and(|mode| mode == rustix::thread::SecureComputingMode::Filter),
            covered_proc,
            readonly_proc,
            max_user_namespaces: sysctl("user/max_user_namespaces"),
            unprivileged_clone: sysctl("kernel/unprivileged_userns_clone"),
            apparmor_restricts: sysctl("kernel/apparmor_restrict_unprivileged_userns"),
        }
    }

    /// Advice for a refused step of the child, besides what the step itself suggests.
    pub(crate) fn child(&self, op: &ChildOp, errno: Errno) -> Option<String> {
        match op {
            ChildOp::Mount { fstype, .. } if fstype == "proc" && errno == Errno::EPERM => {
                (!self.covered_proc.is_empty()).then(|| {
                    format!(
                        "a new procfs would uncover what is hidden outside: {}. Start the outer container with an unmasked /proc (docker: --security-opt systempaths=unconfined, podman: --security-opt unmask=ALL, Kubernetes: procMount: Unmasked), or mount the outer /proc here, whose processes show then (type bind, source /proc, option rbind)",
                        some(&self.covered_proc)
                    )
                })
            }
            ChildOp::WriteProc { .. } | ChildOp::TimeOffsets(_)
                if errno == Errno::EROFS && self.readonly_proc =>
            {
                Some("the caller's /proc is read-only; start the outer container with a writable one".to_owned())
            }
            ChildOp::Unshare(namespaces) if namespaces.has(Namespaces::USER) => {
                self.user_namespace(errno)
            }
            _ => None,
        }
        .or_else(|| self.filter(calls(op), errno))
    }

    /// Advice for a refused step of the host.
    pub(crate) fn host(&self, op: &HostOp, errno: Errno) -> Option<String> {
        match op {
            HostOp::Spawn { namespaces, .. } if namespaces.has(Namespaces::USER) => self
                .user_namespace(errno)
                .or_else(|| self.filter("clone3, execveat", errno)),
            HostOp::Spawn { .. } => self.filter("clone3, execveat", errno),
            HostOp::MakeIdmap { .. } => self.user_namespace(errno),
            HostOp::OpenTree { .. } => self.filter("open_tree", errno),
            HostOp::MapTree { .. } => self.filter("mount_setattr", errno),
            HostOp::WriteMaps { writer, .. } => match errno {
                Errno::EROFS => Some(
                    "the caller's /proc is read-only, so no new user namespace can get its ids; start the outer container with a writable /proc, or leave the user namespace out".to_owned(),
                ),
                Errno::EPERM | Errno::EACCES if self.apparmor_restricts == "1" => Some(APPARMOR.to_owned()),
                Errno::EPERM if *writer == MapWriter::Direct => Some(
                    "the kernel refuses these ids: they must be the caller's own, or the caller needs CAP_SETUID and CAP_SETGID; its uid 0 takes CAP_SETFCAP".to_owned(),
                ),
                _ => None,
            },
            _ => None,
        }
    }

    fn user_namespace(&self, errno: Errno) -> Option<String> {
        let max = &self.max_user_namespaces;
        Some(match errno {
            Errno::ENOSPC | Errno::EUSERS if max == "0" => {
                "user namespaces are turned off here: the sysctl user.max_user_namespaces is 0; raise it".to_owned()
            }
            Errno::ENOSPC | Errno::EUSERS => format!(
                "a limit of user namespaces is reached: of their number (sysctl user.max_user_namespaces, {max} here, and that of each outer one), or of their depth, which the kernel keeps at 32"
            ),
            Errno::EPERM if self.unprivileged_clone == "0" => {
                "user namespaces are root's alone here: the sysctl kernel.unprivileged_userns_clone is 0; set it to 1".to_owned()
            }
            Errno::EPERM | Errno::EACCES if self.apparmor_restricts == "1" => APPARMOR.to_owned(),
            Errno::EPERM if !self.filtered => {
                "the kernel makes no user namespace for a caller in a chroot, or whose own ids are not mapped".to_owned()
            }
            _ => return None,
        })
    }

    /// A filter answers with any errno that its author liked, most often these.
    fn filter(&self, calls: &str, errno: Errno) -> Option<String> {
        let typical = matches!(errno, Errno::EPERM | Errno::ENOSYS | Errno::EACCES);
        (self.filtered && typical && !calls.is_empty()).then(|| {
            format!(
                "a seccomp filter that was set outside is in force and may be what refuses this; it must allow {calls} (docker, podman: --security-opt seccomp=PROFILE or unconfined)"
            )
        })
    }
}

const APPARMOR: &str = "AppArmor restricts user namespaces here: the sysctl kernel.apparmor_restrict_unprivileged_userns is 1; give the caller a profile with the rule `userns,`, or set it to 0";

/// The system calls of a step that filters commonly refuse.
fn calls(op: &ChildOp) -> &'static str {
    match op {
        ChildOp::Join { .. } => "setns",
        ChildOp::Unshare(_) => "unshare",
        ChildOp::Fork => "clone3",
        ChildOp::JoinKeyring(_) => "keyctl",
        ChildOp::Hostname(_) => "sethostname",
        ChildOp::Domainname(_) => "setdomainname",
        ChildOp::OpenNull(_) => "open_tree",
        ChildOp::Propagation(_) | ChildOp::RootPropagation(_) | ChildOp::RootReadonly => {
            "mount, mount_setattr"
        }
        ChildOp::BindRoot { .. } | ChildOp::Bind { .. } | ChildOp::ReadonlyPath(_) => {
            "open_tree, mount_setattr, move_mount"
        }
        ChildOp::Mount { .. } => "fsopen, fsconfig, fsmount, mount_setattr, move_mount",
        ChildOp::Mask { .. } => "fsopen, fsconfig, fsmount, open_tree, move_mount",
        ChildOp::Remount { .. } => "fspick, fsconfig, mount_setattr",
        ChildOp::PivotRoot(_) => "pivot_root, umount2",
        ChildOp::MoveRoot(_) => "mount, chroot",
        ChildOp::Chroot(_) => "chroot",
        ChildOp::Seccomp { .. } => "seccomp",
        _ => "",
    }
}

/// What is mounted on the uppermost mount of /proc, and whether that is read-only. Lines stand in any order.
fn proc_mounts(table: &str) -> (Vec<String>, bool) {
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split(' ').collect())
        .collect();
    let at = |point: fn(&str) -> bool| {
        lines
            .iter()
            .filter_map(move |fields| match fields.as_slice() {
                [id, parent, _, _, here, options, ..] if point(here) => {
                    Some((*id, *parent, *here, *options))
                }
                _ => None,
            })
    };
    let covers = |id: &str| at(|point| point == "/proc").any(|(_, parent, ..)| parent == id);
    let Some((top, _, _, options)) = at(|point| point == "/proc").find(|(id, ..)| !covers(id))
    else {
        return (Vec::new(), false);
    };
    let mut covered: Vec<String> = at(|point| point.starts_with("/proc/"))
        .filter(|(_, parent, ..)| *parent == top)
        .map(|(_, _, point, _)| point.to_owned())
        .collect();
    covered.sort();
    (covered, options.split(',').any(|option| option == "ro"))
}

fn some(list: &[String]) -> String {
    const SHOWN: usize = 3;
    let shown = list.get(..SHOWN).unwrap_or(list).join(", ");
    match list.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What to do when newuidmap(1) or newgidmap(1) said this.
pub(crate) fn helper_advice(program: &str, said: &str) -> &'static str {
    let group = program.ends_with("newgidmap");
    if said.contains("Cannot determine your user name") {
        "; /etc/subuid and /etc/subgid go by names, and the caller's uid has none in the passwd database: add an entry, or map only the caller's own id"
    } else if said.contains("not allowed") {
        if group {
            "; /etc/subgid has no line NAME:FIRST:COUNT that gives the caller these ids (usermod --add-subgids)"
        } else {
            "; /etc/subuid has no line NAME:FIRST:COUNT that gives the caller these ids (usermod --add-subuids)"
        }
    } else if said.contains("not permitted") {
        "; the program needs its setuid bit (or file capability), a mount without nosuid, and an outer user namespace that has these ids"
    } else if said.contains("Read-only file system") {
        "; the caller's /proc is read-only"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::ir::{MountAttr, Slot};

    fn mount(fstype: &str) -> ChildOp {
        ChildOp::Mount {
            root: Slot(0),
            fstype: fstype.to_owned(),
            source: String::new(),
            dest: "/proc".to_owned(),
            attr: MountAttr::default(),
            options: Vec::new(),
            copy_up: false,
            no_symlink: true,
        }
    }

    fn check(advice: Option<String>, expect: &[&str]) {
        match advice {
            None => assert!(expect.is_empty(), "no advice, but {expect:?}"),
            Some(text) => {
                assert!(!expect.is_empty(), "{text}");
                for words in expect {
                    assert!(text.contains(words), "{text:?} lacks {words:?}");
                }
            }
        }
    }

    #[test]
    fn user_namespaces() {
        let spawn = HostOp::Spawn {
            namespaces: Namespaces::USER,
            into_cgroup: false,
        };
        let with = |max: &str, clone: &str, apparmor: &str, filtered: bool| Outside {
            max_user_namespaces: max.to_owned(),
            unprivileged_clone: clone.to_owned(),
            apparmor_restricts: apparmor.to_owned(),
            filtered,
            ..Outside::default()
        };
        let at = |outside: Outside, errno| outside.host(&spawn, errno);
        check(
            at(with("0", "", "", false), Errno::ENOSPC),
            &["user.max_user_namespaces is 0"],
        );
        check(
            at(with("7", "", "", false), Errno::ENOSPC),
            &["user.max_user_namespaces, 7 here", "32"],
        );
        check(
            at(with("7", "0", "", false), Errno::EPERM),
            &["kernel.unprivileged_userns_clone is 0"],
        );
        check(
            at(with("7", "1", "1", false), Errno::EACCES),
            &["apparmor_restrict_unprivileged_userns is 1"],
        );
        check(at(with("7", "", "", false), Errno::EPERM), &["chroot"]);
        check(
            at(with("7", "", "", true), Errno::EPERM),
            &["seccomp", "clone3"],
        );
        check(
            at(with("7", "", "", true), Errno::ENOSYS),
            &["seccomp", "clone3"],
        );
        check(at(with("7", "", "", true), Errno::ENOMEM), &[]);
    }

    #[test]
    fn masked_proc() {
        let masked = Outside {
            covered_proc: ["/proc/acpi", "/proc/keys", "/proc/sys", "/proc/bus"]
                .map(str::to_owned)
                .to_vec(),
            filtered: true,
            ..Outside::default()
        };
        check(
            masked.child(&mount("proc"), Errno::EPERM),
            &[
                "/proc/acpi, /proc/keys, /proc/sys and 1 more",
                "systempaths=unconfined",
            ],
        );
        check(
            masked.child(&mount("tmpfs"), Errno::EPERM),
            &["seccomp", "fsopen"],
        );
        check(Outside::default().child(&mount("proc"), Errno::EPERM), &[]);
        check(
            masked.child(&ChildOp::PivotRoot(Slot(0)), Errno::EPERM),
            &["pivot_root"],
        );
        check(masked.child(&ChildOp::Setsid, Errno::EPERM), &[]);
    }

    #[test]
    fn the_mount_table() {
        let table = "32 22 0:5 / /proc/sys ro - proc p rw\n\
                     22 27 0:21 / /proc ro,nosuid - proc proc rw\n\
                     30 22 0:5 / /proc/kcore rw - devtmpfs d rw\n\
                     31 30 0:5 / /proc/kcore rw - devtmpfs d rw\n\
                     33 27 0:5 / /sys ro - sysfs s rw\n";
        let covered = ["/proc/kcore", "/proc/sys"].map(str::to_owned).to_vec();
        assert_eq!(proc_mounts(table), (covered, true));
        let over = format!("{table}40 22 0:60 / /proc rw - proc proc rw\n");
        assert_eq!(proc_mounts(&over), (Vec::new(), false));
        assert_eq!(proc_mounts(""), (Vec::new(), false));
    }

    #[test]
    fn helpers() {
        for (program, said, expect) in [
            (
                "/usr/bin/newuidmap",
                "newuidmap: uid range [1-11) -> [700000-700010) not allowed",
                "/etc/subuid",
            ),
            (
                "/usr/bin/newgidmap",
                "newgidmap: gid range [1-11) -> [700000-700010) not allowed",
                "/etc/subgid",
            ),
            (
                "/usr/bin/newuidmap",
                "newuidmap: Cannot determine your user name.",
                "passwd database",
            ),
            (
                "/usr/bin/newuidmap",
                "newuidmap: write to uid_map failed: Operation not permitted",
                "setuid bit",
            ),
        ] {
            assert!(helper_advice(program, said).contains(expect), "{said}");
        }
        assert_eq!(helper_advice("/usr/bin/newuidmap", "?"), "");
    }
}
