//! The plan's op that a decoded one stands for: what the tests and the fuzz targets compare with.
use crate::plan::ir::{Barrier, ChildOp, Kind, MountAttr, Namespaces, Rlimit, Slot, Source};
use std::ffi::CStr;
use tare_stage::{Attr, List, Op, Table};

/// The op that the decoded one stands for. Exhaustive over the stage's kinds, so that a new one can't be left out.
pub(super) fn raise(op: Op<'_>, strings: &dyn Fn(Table) -> Vec<String>) -> ChildOp {
    let s = |text: &CStr| text.to_str().unwrap().to_owned();
    let list = |list: List<'_>| list.iter().map(s).collect::<Vec<_>>();
    let options = |options: List<'_>| {
        let words = list(options);
        assert!(words.len().is_multiple_of(2));
        let pair = |pair: &[String]| {
            (
                pair[0].clone(),
                Some(pair[1].clone()).filter(|v| !v.is_empty()),
            )
        };
        words.chunks(2).map(pair).collect::<Vec<_>>()
    };
    let attr = |a: Attr| MountAttr {
        set: a.set.into(),
        clear: a.clear.into(),
        set_recursive: a.set_recursive.into(),
        clear_recursive: a.clear_recursive.into(),
        propagation: a.propagation,
    };
    let longs = |bytes: &[u8]| {
        assert!(bytes.len().is_multiple_of(8));
        bytes
            .chunks(8)
            .map(|word| u64::from_ne_bytes(word.try_into().unwrap()))
            .collect::<Vec<_>>()
    };
    let kind = |kind| [Kind::Directory, Kind::File, Kind::LikeSource][kind as usize];
    let meet = |id: u32| {
        let barrier = barrier(id as usize - 1);
        assert_eq!(barrier.number(), id);
        barrier
    };
    let bind = |root, source, dest, k, recursive, a, idmap: Option<u16>, all: bool| {
        assert!(idmap.is_some() || !all);
        ChildOp::Bind {
            root: Slot(root),
            source,
            dest: s(dest),
            kind: kind(k),
            recursive,
            attr: attr(a),
            idmap: idmap.map(|slot| (Slot(slot), all)),
        }
    };
    match op {
        Op::Nothing {} => ChildOp::Nothing,
        Op::Try { .. } => panic!("a try within a step"),
        Op::NonDumpable {} => ChildOp::NonDumpable,
        Op::Join { slot, kinds } => ChildOp::Join {
            slot: Slot(slot),
            kind: Namespaces(kinds),
        },
        Op::Unshare { kinds } => ChildOp::Unshare(Namespaces(kinds)),
        Op::BecomeRoot { clear_groups } => ChildOp::BecomeRoot { clear_groups },
        Op::Fork {} => ChildOp::Fork,
        Op::TimeOffsets { text } => ChildOp::TimeOffsets(s(text)),
        Op::Barrier { id, signals, waits } => {
            let barrier = meet(id);
            assert_eq!(
                (signals, waits),
                (barrier.child_signals(), barrier.child_waits())
            );
            ChildOp::Barrier(barrier)
        }
        Op::Setsid {} => ChildOp::Setsid,
        Op::JoinKeyring { name } => ChildOp::JoinKeyring(s(name)),
        Op::LoopbackUp {} => ChildOp::LoopbackUp,
        Op::Hostname { name } => ChildOp::Hostname(s(name)),
        Op::Domainname { name } => ChildOp::Domainname(s(name)),
        Op::OpenProc { slot } => ChildOp::OpenProc(Slot(slot)),
        Op::OpenNull { slot } => ChildOp::OpenNull(Slot(slot)),
        Op::WriteProc {
            proc_slot,
            path,
            text,
        } => ChildOp::WriteProc {
            proc: Slot(proc_slot),
            path: s(path),
            text: s(text),
        },
        Op::Propagation { flags } => ChildOp::Propagation(flags),
        Op::BindRoot { root, path, tree } => ChildOp::BindRoot {
            root: Slot(root),
            path: s(path),
            tree: tree.map(Slot),
        },
        Op::Mount {
            root,
            fstype,
            source,
            dest,
            attr: a,
            options: o,
            copy_up,
            no_symlink,
        } => ChildOp::Mount {
            root: Slot(root),
            fstype: s(fstype),
            source: s(source),
            dest: s(dest),
            attr: attr(a),
            options: options(o),
            copy_up,
            no_symlink,
        },
        Op::BindPath {
            root,
            source,
            dest,
            kind,
            recursive,
            attr,
            idmap,
            idmap_recursive,
        } => bind(
            root,
            Source::Path(s(source)),
            dest,
            kind,
            recursive,
            attr,
            idmap,
            idmap_recursive,
        ),
        Op::BindTree {
            root,
            source,
            dest,
            kind,
            recursive,
            attr,
            idmap,
            idmap_recursive,
        } => bind(
            root,
            Source::Slot(Slot(source)),
            dest,
            kind,
            recursive,
            attr,
            idmap,
            idmap_recursive,
        ),
        Op::Remount {
            root,
            dest,
            attr: a,
            options: o,
        } => ChildOp::Remount {
            root: Slot(root),
            dest: s(dest),
            attr: attr(a),
            options: options(o),
        },
        Op::Mkdir { root, dest, mode } => ChildOp::Mkdir {
            root: Slot(root),
            dest: s(dest),
            mode,
        },
        Op::Mknod {
            root,
            dest,
            mode,
            major,
            minor,
            uid,
            gid,
        } => ChildOp::Mknod {
            root: Slot(root),
            dest: s(dest),
            mode,
            major,
            minor,
            uid,
            gid,
        },
        Op::Symlink {
            root,
            dest,
            target,
            replace,
        } => ChildOp::Symlink {
            root: Slot(root),
            dest: s(dest),
            target: s(target),
            replace,
        },
        Op::OpenPty {
            root,
            master,
            slave,
            rows,
            columns,
            uid,
        } => ChildOp::OpenPty {
            root: Slot(root),
            master: Slot(master),
            slave: Slot(slave),
            rows: rows.try_into().unwrap(),
            columns: columns.try_into().unwrap(),
            uid,
        },
        Op::BindConsole { root, slave } => ChildOp::BindConsole {
            root: Slot(root),
            slave: Slot(slave),
        },
        Op::SendFd { slot, id } => ChildOp::SendFd {
            slot: Slot(slot),
            barrier: meet(id),
        },
        Op::UseTty { slave } => ChildOp::UseTty(Slot(slave)),
        Op::OwnStdio { uid } => ChildOp::OwnStdio { uid },
        Op::RunHook {
            path,
            args,
            env,
            timeout,
            state,
        } => ChildOp::RunHook {
            path: s(path),
            args: strings(args),
            env: strings(env),
            timeout,
            state: Slot(state),
            kind: String::new(),
        },
        Op::PivotRoot { root } => ChildOp::PivotRoot(Slot(root)),
        Op::MoveRoot { root } => ChildOp::MoveRoot(Slot(root)),
        Op::Chroot { root } => ChildOp::Chroot(Slot(root)),
        Op::CloneRoot { root, tree } => ChildOp::CloneRoot {
            root: Slot(root),
            tree: Slot(tree),
        },
        Op::RootPropagation { flags } => ChildOp::RootPropagation(flags),
        Op::RootReadonly {} => ChildOp::RootReadonly,
        Op::Mask { path, null } => ChildOp::Mask {
            path: s(path),
            null: Slot(null),
        },
        Op::ReadonlyPath { path } => ChildOp::ReadonlyPath(s(path)),
        Op::Rlimit {
            resource,
            soft,
            hard,
        } => ChildOp::Rlimit(Rlimit {
            resource,
            name: "",
            soft,
            hard,
        }),
        Op::Affinity { mask } => ChildOp::Affinity(longs(mask)),
        Op::Scheduler {
            policy,
            flags,
            nice,
            priority,
            runtime,
            deadline,
            period,
        } => ChildOp::Scheduler {
            policy,
            flags,
            nice: nice as i32,
            priority,
            runtime,
            deadline,
            period,
        },
        Op::IoPriority { value } => ChildOp::IoPriority(value),
        Op::MemoryPolicy { mode, nodes } => ChildOp::MemoryPolicy {
            mode,
            nodes: longs(nodes),
        },
        Op::Personality { persona } => ChildOp::Personality(persona),
        Op::Umask { mask } => ChildOp::Umask(mask),
        Op::Bounding { keep } => ChildOp::Bounding(keep),
        Op::Groups { ids } => ChildOp::Groups(
            ids.chunks(4)
                .map(|id| u32::from_ne_bytes(id.try_into().unwrap()))
                .collect(),
        ),
        Op::Ids { uid, gid } => ChildOp::Ids { uid, gid },
        Op::Chdir { path, create } => ChildOp::Chdir {
            path: s(path),
            create,
        },
        Op::FindHome { uid } => ChildOp::FindHome(uid),
        Op::FindExecutable { candidates } => ChildOp::FindExecutable {
            candidates: list(candidates),
        },
        Op::CloseOnExecFrom { first } => ChildOp::CloseOnExecFrom(first),
        Op::CapSet {
            effective,
            permitted,
            inheritable,
        } => ChildOp::CapSet {
            effective,
            permitted,
            inheritable,
        },
        Op::Ambient { mask } => ChildOp::Ambient(mask),
        Op::NoNewPrivs {} => ChildOp::NoNewPrivs,
        Op::Seccomp {
            program,
            flags,
            listener,
        } => ChildOp::Seccomp {
            program: program.to_vec(),
            flags,
            listener,
        },
        Op::AwaitStart { exec, result } => ChildOp::AwaitStart {
            exec: Slot(exec),
            result: Slot(result),
        },
        Op::Exec { args, env } => ChildOp::Exec {
            args: strings(args),
            env: strings(env),
        },
    }
}

/// The barrier of this number, from 0, beginning anew after the last.
pub(super) fn barrier(number: usize) -> Barrier {
    use Barrier::*;
    [
        Mapped, Namespaces, Placed, Hooks, Console, Listener, Created, Go, Unmapped,
    ][number % 9]
}
