//! Gathers [`HostFacts`]: slow facts of this host, asked of the kernel once for each plan and never of anything a container owns.
//!
//! Only what the spec can need is asked: the kinds of namespaces that it lists, LSMs for labels, helpers for id maps, resctrl for intelRdt.
use crate::error::Error;
use crate::plan::facts::HostFacts;
use crate::plan::ir::{Extent, Namespaces};
use std::path::Path;
use tare_oci::{Namespace, Spec};
use tare_sys::Fd;

/// The facts that a plan for this spec can depend on.
pub(crate) fn facts(spec: &Spec) -> Result<HostFacts, Error> {
    let linux = spec.linux.as_ref();
    let kernel = kernel();
    let uid = rustix::process::geteuid().as_raw();
    let process = spec.process.as_ref();
    let labels = process
        .is_some_and(|p| !p.apparmor_profile.is_empty() || !p.selinux_label.is_empty())
        || linux.is_some_and(|l| !l.mount_label.is_empty());
    let maps = linux.is_some_and(|l| {
        l.namespaces
            .iter()
            .any(|n| n.kind == "user" && n.path.is_empty())
    });
    let helper = |name: &str| {
        if maps && uid != 0 {
            find_helper(name)
        } else {
            None
        }
    };
    let initial_userns = is_initial_userns();
    let capabilities =
        tare_sys::cred::capabilities().map_err(|errno| Error::system("capget", errno))?;
    Ok(HostFacts {
        kernel,
        uid,
        gid: rustix::process::getegid().as_raw(),
        capabilities: capabilities.effective,
        last_capability: last_capability(),
        initial_userns,
        own_uids: own_ids("/proc/self/uid_map", initial_userns),
        own_gids: own_ids("/proc/self/gid_map", initial_userns),
        setgroups_denied: !initial_userns && read("/proc/self/setgroups").starts_with("deny"),
        no_new_privileges: rustix::thread::no_new_privs().unwrap_or(false),
        filtered: rustix::thread::secure_computing_mode()
            .is_ok_and(|mode| mode == rustix::thread::SecureComputingMode::Filter),
        namespaces: namespaces(linux.map_or(&[][..], |l| &l.namespaces))?,
        cgroup: tare_cgroup::Layout::detect()?,
        apparmor: labels && read("/sys/module/apparmor/parameters/enabled").starts_with('Y'),
        selinux: labels && Path::new("/sys/fs/selinux/enforce").exists(),
        mount_setattr: kernel >= (5, 12),
        idmapped_mounts: kernel >= (5, 12),
        seccomp_flags: seccomp_flags(linux.is_some_and(|l| l.seccomp.is_some())),
        newuidmap: helper("newuidmap"),
        newgidmap: helper("newgidmap"),
        resctrl: if linux.is_some_and(|l| l.intel_rdt.is_some()) {
            resctrl(&read("/proc/self/mountinfo"))
        } else {
            None
        },
    })
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Major and minor of the release; (0, 0), which has nothing, when it makes no sense.
fn kernel() -> (u32, u32) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// PR_CAPBSET_READ fails for the first number that the kernel doesn't have; from the newest known on upwards that is one call.
fn last_capability() -> u8 {
    let known = |number: u32| tare_sys::cred::in_bounding(number).is_ok();
    let mut last = 40;
    while last < 63 && known(last + 1) {
        last += 1;
    }
    while last > 0 && !known(last) {
        last -= 1;
    }
    last as u8
}

/// The initial user namespace has a fixed inode (PROC_USER_INIT_INO in the kernel's include/linux/proc_ns.h).
fn is_initial_userns() -> bool {
    const PROC_USER_INIT_INO: u64 = 0xEFFF_FFFD;
    tare_sys::path::stat_at(Fd::CWD, c"/proc/self/ns/user", 0)
        .is_ok_and(|stat| stat.inode == PROC_USER_INIT_INO)
}

/// The whole range, which the initial user namespace has, stands for no limit.
fn own_ids(file: &str, initial: bool) -> Vec<Extent> {
    let text = if initial { String::new() } else { read(file) };
    let extent = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u32>);
        let mut next = || numbers.next()?.ok();
        Some(Extent {
            inside: next()?,
            outside: next()?,
            size: next()?,
        })
    };
    text.lines().filter_map(extent).collect()
}

/// Of the kinds that are listed those that this kernel has.
fn namespaces(listed: &[Namespace]) -> Result<Namespaces, Error> {
    // Present in every kernel that has what else is needed (openat2, Linux 5.6), unless configured out.
    let files = [
        ("user", Namespaces::USER, c"/proc/self/ns/user"),
        ("mount", Namespaces::MOUNT, c"/proc/self/ns/mnt"),
        ("pid", Namespaces::PID, c"/proc/self/ns/pid"),
        ("network", Namespaces::NETWORK, c"/proc/self/ns/net"),
        ("ipc", Namespaces::IPC, c"/proc/self/ns/ipc"),
        ("uts", Namespaces::UTS, c"/proc/self/ns/uts"),
        ("cgroup", Namespaces::CGROUP, c"/proc/self/ns/cgroup"),
        ("time", Namespaces::TIME, c"/proc/self/ns/time"),
    ];
    let mut all = Namespaces::default();
    for (name, kind, file) in files {
        if !listed.iter().any(|one| one.kind == name) {
            continue;
        }
        match tare_sys::path::stat_at(Fd::CWD, file, tare_sys::path::flags::SYMLINK_NOFOLLOW) {
            Ok(_) => all = all.with(kind),
            Err(tare_sys::Errno::ENOENT) => {}
            Err(errno) => {
                let path = file.to_string_lossy().into_owned();
                return Err(Error::path("stat", Path::new(&path), errno));
            }
        }
    }
    Ok(all)
}

fn seccomp_flags(asked: bool) -> u32 {
    if !asked {
        return 0;
    }
    // TSYNC, LOG, SPEC_ALLOW, NEW_LISTENER, TSYNC_ESRCH, WAIT_KILLABLE_RECV
    [1, 2, 4, 8, 16, 32]
        .into_iter()
        .filter(|flag| tare_sys::secure::flag_known(*flag))
        .sum()
}

fn find_helper(name: &str) -> Option<String> {
    // Fixed places and no PATH: the library reads no environment, and the helper runs with more rights than its caller.
    ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"]
        .iter()
        .map(|directory| format!("{directory}/{name}"))
        .find(|path| Path::new(path).exists())
}

/// Where resctrl is mounted, by the text of mountinfo.
pub(crate) fn resctrl(mountinfo: &str) -> Option<String> {
    mountinfo.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (after.split(' ').next()? == "resctrl")
            .then(|| before.split(' ').nth(4).map(str::to_owned))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tare_oci::Linux;

    #[test]
    fn this_host_has_facts() {
        let listed = ["mount", "pid"].map(|kind| Namespace {
            kind: kind.to_owned(),
            ..Namespace::default()
        });
        let spec = Spec {
            linux: Some(Linux {
                namespaces: listed.into(),
                ..Linux::default()
            }),
            ..Spec::default()
        };
        let facts = facts(&spec).unwrap();
        assert!(facts.kernel_at_least(5, 6), "{:?}", facts.kernel);
        assert!(facts.last_capability >= 37 && facts.last_capability < 64);
        assert_eq!(
            facts.namespaces,
            Namespaces::MOUNT.with(Namespaces::PID),
            "what the spec lists, and nothing else"
        );
    }
}
