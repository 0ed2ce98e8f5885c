//! An op of any kind, with any values.
use crate::lower::raise::barrier;
use crate::plan::ir::{ChildOp, Kind, MountAttr, Namespaces, Rlimit, Slot, Source};
use proptest::prelude::*;
use tare_stage::SLOTS;

pub(super) const KINDS: usize = 62;

/// What an op is made of.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) kind: usize,
    pub(super) texts: Vec<String>,
    pub(super) numbers: Vec<u64>,
    pub(super) yes: [bool; 3],
}

pub(super) fn parts() -> impl Strategy<Value = Parts> {
    let numbers = prop_oneof![any::<u64>(), 0..16u64, Just(u64::MAX), Just(1 << 31)];
    (
        0..KINDS,
        prop::collection::vec("[^\0]{0,12}", 3..8),
        prop::collection::vec(numbers, 8),
        any::<[bool; 3]>(),
    )
        .prop_map(|(kind, texts, numbers, yes)| Parts {
            kind,
            texts,
            numbers,
            yes,
        })
}

/// The op of this kind.
pub(super) fn make(parts: &Parts) -> ChildOp {
    let text = |index: usize| parts.texts[index].clone();
    let long = |index: usize| parts.numbers[index];
    let word = |index: usize| parts.numbers[index] as u32;
    let slot = |index: usize| Slot((parts.numbers[index] % SLOTS as u64) as u16);
    let yes = |index: usize| parts.yes[index];
    let root = slot(0);
    let attr = MountAttr {
        set: word(1).into(),
        clear: word(2).into(),
        set_recursive: word(3).into(),
        clear_recursive: word(4).into(),
        propagation: word(5),
    };
    let options = || {
        let pair = |pair: &[String]| {
            let value = pair.get(1).filter(|value| !value.is_empty());
            (pair[0].clone(), value.cloned())
        };
        parts.texts[1..].chunks(2).map(pair).collect::<Vec<_>>()
    };
    let rest = |from: usize| parts.texts[from..].to_vec();
    let bind = |source| ChildOp::Bind {
        root,
        source,
        dest: text(0),
        kind: [Kind::Directory, Kind::File, Kind::LikeSource][long(6) as usize % 3],
        recursive: yes(0),
        attr,
        idmap: yes(1).then(|| (slot(7), yes(2))),
    };
    match parts.kind {
        0 => ChildOp::Nothing,
        1 => ChildOp::NonDumpable,
        2 => ChildOp::Join {
            slot: root,
            kind: Namespaces(word(1)),
        },
        3 => ChildOp::Unshare(Namespaces(word(0))),
        4 => ChildOp::BecomeRoot {
            clear_groups: yes(0),
        },
        5 => ChildOp::Fork,
        6 => ChildOp::TimeOffsets(text(0)),
        7 => ChildOp::Barrier(barrier(long(0) as usize)),
        8 => ChildOp::Setsid,
        9 => ChildOp::JoinKeyring(text(0)),
        10 => ChildOp::LoopbackUp,
        11 => ChildOp::Hostname(text(0)),
        12 => ChildOp::Domainname(text(0)),
        13 => ChildOp::OpenProc(root),
        14 => ChildOp::OpenNull(root),
        15 => ChildOp::WriteProc {
            proc: root,
            path: text(0),
            text: text(1),
        },
        16 => ChildOp::Propagation(word(0)),
        17 => ChildOp::BindRoot {
            root,
            path: text(0),
            tree: yes(1).then(|| slot(1)),
        },
        18 => ChildOp::Mount {
            root,
            fstype: text(0),
            source: text(1),
            dest: text(2),
            attr,
            options: options(),
            copy_up: yes(0),
            no_symlink: yes(1),
        },
        19 => bind(Source::Path(text(1))),
        20 => bind(Source::Slot(slot(6))),
        21 => ChildOp::Remount {
            root,
            dest: text(0),
            attr,
            options: options(),
        },
        22 => ChildOp::Mkdir {
            root,
            dest: text(0),
            mode: word(1),
        },
        23 => ChildOp::Mknod {
            root,
            dest: text(0),
            mode: word(1),
            major: word(2),
            minor: word(3),
            uid: word(4),
            gid: word(5),
        },
        24 => ChildOp::Symlink {
            root,
            dest: text(0),
            target: text(1),
            replace: yes(0),
        },
        25 => ChildOp::OpenPty {
            root,
            master: slot(1),
            slave: slot(2),
            rows: long(3) as u16,
            columns: long(4) as u16,
            uid: word(5),
        },
        26 => ChildOp::BindConsole {
            root,
            slave: slot(1),
        },
        27 => ChildOp::SendFd {
            slot: root,
            barrier: barrier(long(1) as usize),
        },
        28 => ChildOp::UseTty(root),
        29 => ChildOp::OwnStdio { uid: word(0) },
        30 => ChildOp::RunHook {
            path: text(0),
            args: rest(1),
            env: rest(2),
            timeout: word(1),
            state: root,
            kind: String::new(),
        },
        31 => ChildOp::PivotRoot(root),
        32 => ChildOp::MoveRoot(root),
        33 => ChildOp::Chroot(root),
        34 => ChildOp::RootPropagation(word(0)),
        35 => ChildOp::RootReadonly,
        36 => ChildOp::Mask {
            path: text(0),
            null: root,
        },
        37 => ChildOp::ReadonlyPath(text(0)),
        38 => ChildOp::Rlimit(Rlimit {
            resource: word(0),
            name: "",
            soft: long(1),
            hard: long(2),
        }),
        39 => ChildOp::Affinity(parts.numbers.clone()),
        40 => ChildOp::Scheduler {
            policy: word(0),
            flags: long(1),
            nice: word(2) as i32,
            priority: word(3),
            runtime: long(4),
            deadline: long(5),
            period: long(6),
        },
        41 => ChildOp::IoPriority(word(0)),
        42 => ChildOp::MemoryPolicy {
            mode: word(0),
            nodes: parts.numbers[1..].to_vec(),
        },
        43 => ChildOp::Personality(word(0)),
        44 => ChildOp::Umask(word(0)),
        45 => ChildOp::Bounding(long(0)),
        46 => ChildOp::Groups(parts.numbers.iter().map(|n| *n as u32).collect()),
        47 => ChildOp::Ids {
            uid: word(0),
            gid: word(1),
        },
        48 => ChildOp::Chdir {
            path: text(0),
            create: yes(0),
        },
        49 => ChildOp::FindHome(word(0)),
        50 => ChildOp::FindExecutable {
            candidates: rest(0),
        },
        51 => ChildOp::CloseOnExecFrom(word(0)),
        52 => ChildOp::CapSet {
            effective: long(0),
            permitted: long(1),
            inheritable: long(2),
        },
        53 => ChildOp::Ambient(long(0)),
        54 => ChildOp::NoNewPrivs,
        55 => ChildOp::Seccomp {
            program: parts
                .numbers
                .iter()
                .flat_map(|word| word.to_ne_bytes())
                .collect(),
            flags: word(0),
            listener: yes(0),
        },
        56 => ChildOp::AwaitStart {
            exec: root,
            result: slot(1),
        },
        57 => ChildOp::Exec {
            args: rest(0),
            env: rest(2),
        },
        58 => ChildOp::Exec {
            args: Vec::new(),
            env: Vec::new(),
        },
        59 => ChildOp::Affinity(Vec::new()),
        60 => ChildOp::CloneRoot {
            root,
            tree: slot(1),
        },
        _ => ChildOp::FindExecutable {
            candidates: Vec::new(),
        },
    }
}
