//! Child steps as text.
use super::capabilities;
use super::ir::{ChildOp, Kind, MountAttr, Source};
use super::mount_options::{
    ATIME, MS_REC, NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, RDONLY, STRICTATIME,
};
use super::render::{Names, bits, word, words};
use super::render_host::rlimit;
use std::fmt::Write;

/// Appends one operation.
pub(super) fn write(op: &ChildOp, names: &Names<'_>, out: &mut String) {
    // Writing to a String can't fail.
    let _ = match op {
        ChildOp::Mount { .. } | ChildOp::Bind { .. } | ChildOp::Remount { .. } => {
            mount(op, names, out)
        }
        ChildOp::Mkdir { .. }
        | ChildOp::Mknod { .. }
        | ChildOp::Symlink { .. }
        | ChildOp::BindRoot { .. } => files(op, names, out),
        ChildOp::OpenPty { .. }
        | ChildOp::BindConsole { .. }
        | ChildOp::SendFd { .. }
        | ChildOp::UseTty(_) => terminal(op, names, out),
        ChildOp::RunHook {
            path,
            args,
            env,
            timeout,
            kind,
            ..
        } => {
            let _ = write!(
                out,
                "run {kind} hook {} args [{}] env [{}]",
                word(path),
                words(args),
                words(env)
            );
            if *timeout == 0 {
                Ok(())
            } else {
                write!(out, " for {timeout} s")
            }
        }
        ChildOp::Scheduler {
            policy,
            flags,
            nice,
            priority,
            runtime,
            deadline,
            period,
        } => {
            write!(
                out,
                "scheduler {policy} flags {flags:#x} nice {nice} priority {priority} {runtime}/{deadline}/{period} ns"
            )
        }
        ChildOp::Seccomp {
            program,
            flags,
            listener,
        } => {
            let _ = write!(
                out,
                "seccomp {} instructions flags {flags:#x}",
                program.len() / 8
            );
            write!(out, "{}", if *listener { " with listener" } else { "" })
        }
        ChildOp::CapSet {
            effective,
            permitted,
            inheritable,
        } => {
            write!(
                out,
                "capabilities effective {effective:#x} permitted {permitted:#x} inheritable {inheritable:#x}"
            )
        }
        ChildOp::Exec { args, env } => write!(out, "exec [{}] env [{}]", words(args), words(env)),
        op => simple(op, names, out),
    };
}

fn simple(op: &ChildOp, names: &Names<'_>, out: &mut String) -> std::fmt::Result {
    match op {
        ChildOp::Nothing => write!(out, "go on"),
        ChildOp::NonDumpable => write!(out, "non-dumpable"),
        ChildOp::Join { slot, kind } => write!(out, "join {kind} {}", names.of(*slot)),
        ChildOp::Unshare(kinds) => write!(out, "unshare {kinds}"),
        ChildOp::BecomeRoot { clear_groups } => {
            write!(
                out,
                "become root{}",
                if *clear_groups { " without groups" } else { "" }
            )
        }
        ChildOp::Fork => write!(out, "fork"),
        ChildOp::TimeOffsets(lines) => {
            let _ = write!(out, "enter time namespace");
            lines.lines().try_for_each(|line| write!(out, " {line};"))
        }
        ChildOp::Barrier(barrier) => write!(out, "barrier {}", barrier.name()),
        ChildOp::Setsid => write!(out, "new session"),
        ChildOp::JoinKeyring(name) => write!(out, "join keyring {}", word(name)),
        ChildOp::LoopbackUp => write!(out, "loopback up"),
        ChildOp::Hostname(name) => write!(out, "hostname {}", word(name)),
        ChildOp::Domainname(name) => write!(out, "domainname {}", word(name)),
        ChildOp::OpenProc(slot) => write!(out, "open /proc -> {}", names.of(*slot)),
        ChildOp::OpenNull(slot) => write!(out, "open /dev/null -> {}", names.of(*slot)),
        ChildOp::WriteProc { path, text, .. } => {
            write!(out, "write {} to /proc/{path}", word(text))
        }
        ChildOp::Propagation(bits) => write!(out, "make the tree {}", propagation(*bits)),
        ChildOp::OwnStdio { uid, .. } => write!(out, "own stdio by uid {uid}"),
        ChildOp::PivotRoot(slot) => write!(out, "pivot root to {}", names.of(*slot)),
        ChildOp::MoveRoot(slot) => write!(out, "move root to {}", names.of(*slot)),
        ChildOp::Chroot(slot) => write!(out, "chroot to {}", names.of(*slot)),
        ChildOp::CloneRoot { root, tree } => write!(
            out,
            "clone {} with its mounts -> {}",
            names.of(*root),
            names.of(*tree)
        ),
        ChildOp::RootPropagation(bits) => write!(out, "make / {}", propagation(*bits)),
        ChildOp::RootReadonly => write!(out, "make / read-only"),
        ChildOp::Mask { path, .. } => write!(out, "mask {}", word(path)),
        ChildOp::ReadonlyPath(path) => write!(out, "make {} read-only", word(path)),
        ChildOp::Rlimit(limit) => rlimit(*limit, out),
        ChildOp::Affinity(mask) => write!(out, "run on cpus {}", bits(mask)),
        ChildOp::IoPriority(value) => write!(
            out,
            "io priority class {} level {}",
            value >> 13,
            value & 0x1fff
        ),
        ChildOp::MemoryPolicy { mode, nodes } => {
            write!(out, "memory policy {mode:#x} nodes {}", bits(nodes))
        }
        ChildOp::Personality(domain) => write!(out, "personality {domain:#x}"),
        ChildOp::Umask(mask) => write!(out, "umask {mask:04o}"),
        ChildOp::Bounding(mask) => write!(out, "bounding set {}", capability_list(*mask)),
        ChildOp::Groups(groups) => write!(out, "groups {groups:?}"),
        ChildOp::Ids { uid, gid } => write!(out, "ids {uid}:{gid}"),
        ChildOp::Chdir { path, create } => {
            write!(
                out,
                "chdir {}{}",
                word(path),
                if *create { ", made if absent" } else { "" }
            )
        }
        ChildOp::FindHome(uid) => write!(out, "find home of uid {uid}"),
        ChildOp::FindExecutable { candidates } => {
            write!(out, "find executable [{}]", words(candidates))
        }
        ChildOp::CloseOnExecFrom(first) => write!(out, "close on exec from {first}"),
        ChildOp::Ambient(mask) => write!(out, "ambient set {}", capability_list(*mask)),
        ChildOp::NoNewPrivs => write!(out, "no new privileges"),
        ChildOp::AwaitStart { exec, result } => {
            write!(out, "await start {} {}", names.of(*exec), names.of(*result))
        }
        other => write!(out, "{other:?}"),
    }
}

fn mount(op: &ChildOp, names: &Names<'_>, out: &mut String) -> std::fmt::Result {
    match op {
        ChildOp::Mount {
            fstype,
            source,
            dest,
            attr,
            options,
            copy_up,
            no_symlink,
            ..
        } => {
            let _ = write!(out, "mount {}", word(fstype));
            if source != fstype {
                let _ = write!(out, " {}", word(source));
            }
            let _ = write!(out, " on {}", word(dest));
            attributes(*attr, out);
            data(options, out);
            let _ = write!(
                out,
                "{}",
                if *copy_up {
                    " with a copy of what is there"
                } else {
                    ""
                }
            );
            write!(out, "{}", if *no_symlink { ", no symlink" } else { "" })
        }
        ChildOp::Bind {
            source,
            dest,
            kind,
            recursive,
            attr,
            idmap,
            ..
        } => {
            let source = match source {
                Source::Path(path) => word(path),
                Source::Slot(slot) => names.of(*slot),
            };
            let verb = if *recursive { "rbind" } else { "bind" };
            let kind = match kind {
                Kind::Directory => " directory",
                Kind::File => " file",
                Kind::LikeSource => "",
            };
            let _ = write!(out, "{verb} {source} on{kind} {}", word(dest));
            attributes(*attr, out);
            match idmap {
                Some((slot, recursive)) => {
                    write!(
                        out,
                        " {} by {}",
                        if *recursive { "ridmap" } else { "idmap" },
                        names.of(*slot)
                    )
                }
                None => Ok(()),
            }
        }
        ChildOp::Remount {
            dest,
            attr,
            options,
            ..
        } => {
            let _ = write!(out, "remount {}", word(dest));
            attributes(*attr, out);
            data(options, out);
            Ok(())
        }
        other => write!(out, "{other:?}"),
    }
}

fn files(op: &ChildOp, names: &Names<'_>, out: &mut String) -> std::fmt::Result {
    match op {
        ChildOp::Mkdir { dest, mode, .. } => write!(out, "mkdir {} {mode:04o}", word(dest)),
        ChildOp::Mknod {
            dest,
            mode,
            major,
            minor,
            uid,
            gid,
            ..
        } => {
            let kind = match mode & 0o170_000 {
                0o010_000 => 'p',
                0o060_000 => 'b',
                _ => 'c',
            };
            write!(
                out,
                "mknod {} {kind} {major}:{minor} {:04o} {uid}:{gid}",
                word(dest),
                mode & 0o7777
            )
        }
        ChildOp::Symlink {
            dest,
            target,
            replace,
            ..
        } => {
            write!(
                out,
                "symlink {} to {}{}",
                word(dest),
                word(target),
                if *replace { ", replaced" } else { "" }
            )
        }
        ChildOp::BindRoot { root, path, tree } => {
            let source = tree.map_or_else(|| word(path), |slot| names.of(slot));
            write!(
                out,
                "bind root {source} -> {}, parent private",
                names.of(*root)
            )
        }
        other => write!(out, "{other:?}"),
    }
}

fn terminal(op: &ChildOp, names: &Names<'_>, out: &mut String) -> std::fmt::Result {
    match op {
        ChildOp::OpenPty {
            master,
            slave,
            rows,
            columns,
            uid,
            ..
        } => {
            write!(
                out,
                "open pty {columns}x{rows} for uid {uid} -> {} {}",
                names.of(*master),
                names.of(*slave)
            )
        }
        ChildOp::BindConsole { slave, .. } => {
            write!(out, "bind {} on /dev/console", names.of(*slave))
        }
        ChildOp::SendFd { slot, barrier } => write!(
            out,
            "send {} at barrier {}",
            names.of(*slot),
            barrier.name()
        ),
        ChildOp::UseTty(slave) => write!(out, "use {} as terminal", names.of(*slave)),
        other => write!(out, "{other:?}"),
    }
}

fn capability_list(mask: u64) -> String {
    if mask == 0 {
        "none".to_owned()
    } else {
        capabilities::list(mask)
    }
}

/// mount(8)'s word for MS_* propagation bits.
fn propagation(bits: u32) -> String {
    let kind = match bits & !MS_REC {
        0x2_0000 => "unbindable",
        0x4_0000 => "private",
        0x8_0000 => "slave",
        0x10_0000 => "shared",
        other => return format!("{other:#x}"),
    };
    format!("{}{kind}", if bits & MS_REC == 0 { "" } else { "r" })
}

const WORDS: [(u64, &str, &str); 6] = [
    (RDONLY, "ro", "rw"),
    (NOSUID, "nosuid", "suid"),
    (NODEV, "nodev", "dev"),
    (NOEXEC, "noexec", "exec"),
    (NODIRATIME, "nodiratime", "diratime"),
    (NOSYMFOLLOW, "nosymfollow", "symfollow"),
];

fn attributes(attr: MountAttr, out: &mut String) {
    let mut list: Vec<String> = Vec::new();
    for (prefix, set, clear) in [
        ("", attr.set, attr.clear),
        ("r", attr.set_recursive, attr.clear_recursive),
    ] {
        for (bit, on, off) in WORDS {
            if set & bit != 0 {
                list.push(format!("{prefix}{on}"));
            } else if clear & bit != 0 {
                list.push(format!("{prefix}{off}"));
            }
        }
        if clear & ATIME != 0 {
            let atime = match set & ATIME {
                NOATIME => "noatime",
                STRICTATIME => "strictatime",
                _ => "relatime",
            };
            list.push(format!("{prefix}{atime}"));
        }
    }
    if attr.propagation != 0 {
        list.push(propagation(attr.propagation));
    }
    if !list.is_empty() {
        let _ = write!(out, " {}", list.join(","));
    }
}

fn data(options: &[(String, Option<String>)], out: &mut String) {
    if options.is_empty() {
        return;
    }
    let list = options.iter().map(|(key, value)| match value {
        Some(value) => word(&format!("{key}={value}")),
        None => word(key),
    });
    let _ = write!(out, " ({})", list.collect::<Vec<_>>().join(","));
}
