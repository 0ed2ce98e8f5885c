//! Lowering, seen from its other end: the stage decoder reads from the bytes what the plan says.
use super::create::plan;
use super::ir::{ChildOp, Plan, Source};
use super::testing::{facts, options};
use crate::lower::lower;
use std::ffi::CStr;
use tare_stage::{List, Op, Program, Table};

/// A spec that makes as many kinds of steps as one can.
const SPEC: &str = r#"{
    "process": {"args": ["sh", "-c", ""], "cwd": "/w", "env": ["PATH=/bin:/usr/bin", "A=é"], "noNewPrivileges": true, "terminal": true,
        "consoleSize": {"height": 24, "width": 80}, "user": {"uid": 1000, "gid": 1001, "additionalGids": [5, 6]}, "oomScoreAdj": 7,
        "capabilities": {"bounding": ["CAP_KILL", "CAP_CHECKPOINT_RESTORE"], "permitted": ["CAP_CHECKPOINT_RESTORE"],
            "inheritable": ["CAP_CHECKPOINT_RESTORE"], "ambient": ["CAP_CHECKPOINT_RESTORE"]},
        "scheduler": {"policy": "SCHED_DEADLINE", "runtime": 5000000000, "deadline": 6000000000, "period": 7000000000},
        "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 3}},
    "root": {"path": "r", "readonly": true}, "hostname": "h", "domainname": "d",
    "mounts": [{"destination": "/proc", "type": "proc"},
        {"destination": "/sys", "type": "sysfs", "options": ["ro"]},
        {"destination": "/t", "type": "tmpfs", "source": "s", "options": ["ro", "nosymfollow", "mode=755", "sync", "tmpcopyup"]},
        {"destination": "/b", "type": "bind", "source": "/src", "options": ["rbind", "rro", "noatime", "rslave", "shared"]},
        {"destination": "/i", "type": "bind", "source": "/src", "options": ["bind"],
            "uidMappings": [{"containerID": 0, "hostID": 1, "size": 2}], "gidMappings": [{"containerID": 0, "hostID": 1, "size": 2}]},
        {"destination": "/b", "options": ["remount", "ro", "size=1m"]}],
    "hooks": {"createContainer": [{"path": "/h", "args": ["h", "1"], "env": ["X=1"], "timeout": 5}], "startContainer": [{"path": "/s"}]},
    "linux": {
        "namespaces": [{"type": "mount"}, {"type": "pid", "path": "/p"}, {"type": "network"}, {"type": "uts"}, {"type": "ipc"},
            {"type": "cgroup"}, {"type": "time"}],
        "timeOffsets": {"monotonic": {"secs": -5, "nanosecs": 6}},
        "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"], "rootfsPropagation": "rshared",
        "devices": [{"type": "b", "path": "/dev/sda", "major": 8, "minor": 1, "uid": 3, "gid": 4}],
        "sysctl": {"kernel.shmmax": "5"}, "personality": {"domain": "LINUX32"}, "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0,64"},
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/a", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}
    }
}"#;

fn planned() -> Plan {
    let mut options = options();
    options.console = true;
    plan(&serde_json::from_str(SPEC).unwrap(), &facts(), &options).unwrap()
}

#[test]
fn every_step_is_decoded_as_it_was_planned() {
    let plan = planned();
    let mut lowered = lower(&plan, 100, false).unwrap();
    let program = Program::decode(&mut lowered.bytes).expect("the decoder takes what lower makes");
    assert_eq!(
        (program.control, program.handed as usize),
        (101, plan.handed.len())
    );
    assert_eq!(program.count as usize, lowered.steps.len());
    let mut index = 0;
    for (place, step) in plan.child.iter().enumerate() {
        let mut next = || {
            assert_eq!(lowered.steps[index as usize], place);
            index += 1;
            program.op(index - 1).expect("an op")
        };
        match &step.alternative {
            None => same(&step.op, next(), &program),
            Some(alternative) => {
                let Op::Try { e1, e2, e3, e4 } = next() else {
                    panic!("no try before {:?}", step.op)
                };
                let on: Vec<i32> = [e1, e2, e3, e4]
                    .into_iter()
                    .filter(|errno| *errno != 0)
                    .map(|errno| errno as i32)
                    .collect();
                assert_eq!(on, alternative.on);
                same(&step.op, next(), &program);
                same(&alternative.op, next(), &program);
            }
        }
    }
    assert_eq!(index, program.count);
}

fn text(text: &CStr) -> &str {
    text.to_str().unwrap()
}

fn list(list: List<'_>) -> Vec<String> {
    list.iter().map(|word| text(word).to_owned()).collect()
}

fn pairs(options: &[(String, Option<String>)]) -> Vec<String> {
    options
        .iter()
        .flat_map(|(key, value)| [key.clone(), value.clone().unwrap_or_default()])
        .collect()
}

fn table(program: &Program<'_>, of: Table, expect: &[String]) {
    assert_eq!(of.count as usize, expect.len());
    assert!(program.table(of).is_some());
}

/// Panics unless the decoded op is the planned one.
fn same(planned: &ChildOp, decoded: Op<'_>, program: &Program<'_>) {
    let equal = match (planned, decoded) {
        (
            ChildOp::Mount {
                root,
                fstype,
                source,
                dest,
                attr,
                options,
                copy_up,
                no_symlink,
            },
            Op::Mount {
                root: r,
                fstype: f,
                source: s,
                dest: d,
                attr: a,
                options: o,
                copy_up: c,
                no_symlink: n,
            },
        ) => {
            (
                root.0,
                fstype.as_str(),
                source.as_str(),
                dest.as_str(),
                *copy_up,
                *no_symlink,
            ) == (r, text(f), text(s), text(d), c, n)
                && (attr.set, attr.clear, attr.propagation)
                    == (a.set.into(), a.clear.into(), a.propagation)
                && pairs(options) == list(o)
        }
        (
            ChildOp::Bind {
                root,
                source: Source::Path(source),
                dest,
                recursive,
                attr,
                idmap,
                ..
            },
            Op::BindPath {
                root: r,
                source: s,
                dest: d,
                recursive: re,
                attr: a,
                idmap: i,
                ..
            },
        ) => {
            (root.0, source.as_str(), dest.as_str(), *recursive) == (r, text(s), text(d), re)
                && (attr.set, attr.set_recursive, attr.clear)
                    == (a.set.into(), a.set_recursive.into(), a.clear.into())
                && idmap.map(|(slot, _)| slot.0) == i
        }
        (
            ChildOp::Bind {
                root,
                source: Source::Slot(source),
                dest,
                idmap,
                ..
            },
            Op::BindTree {
                root: r,
                source: s,
                dest: d,
                idmap: i,
                ..
            },
        ) => {
            (root.0, source.0, dest.as_str()) == (r, s, text(d))
                && idmap.map(|(slot, _)| slot.0) == i
        }
        (
            ChildOp::Remount {
                root,
                dest,
                attr,
                options,
            },
            Op::Remount {
                root: r,
                dest: d,
                attr: a,
                options: o,
            },
        ) => {
            (root.0, dest.as_str(), attr.propagation) == (r, text(d), a.propagation)
                && pairs(options) == list(o)
        }
        (
            ChildOp::Symlink {
                root,
                dest,
                target,
                replace,
            },
            Op::Symlink {
                root: r,
                dest: d,
                target: t,
                replace: re,
            },
        ) => (root.0, dest.as_str(), target.as_str(), *replace) == (r, text(d), text(t), re),
        (
            ChildOp::Mknod {
                dest,
                mode,
                major,
                minor,
                uid,
                gid,
                ..
            },
            Op::Mknod {
                dest: d,
                mode: m,
                major: a,
                minor: i,
                uid: u,
                gid: g,
                ..
            },
        ) => (dest.as_str(), *mode, *major, *minor, *uid, *gid) == (text(d), m, a, i, u, g),
        (
            ChildOp::WriteProc {
                proc,
                path,
                text: planned,
            },
            Op::WriteProc {
                proc_slot,
                path: p,
                text: t,
            },
        ) => (proc.0, path.as_str(), planned.as_str()) == (proc_slot, text(p), text(t)),
        (
            ChildOp::RunHook {
                path,
                args,
                env,
                timeout,
                state,
                ..
            },
            Op::RunHook {
                path: p,
                args: a,
                env: e,
                timeout: t,
                state: s,
            },
        ) => {
            table(program, a, args);
            table(program, e, env);
            (path.as_str(), *timeout, state.0) == (text(p), t, s)
        }
        (ChildOp::Exec { args, env }, Op::Exec { args: a, env: e }) => {
            table(program, a, args);
            table(program, e, env);
            true
        }
        (ChildOp::FindExecutable { candidates }, Op::FindExecutable { candidates: c }) => {
            *candidates == list(c)
        }
        (ChildOp::Groups(groups), Op::Groups { ids }) => groups
            .iter()
            .flat_map(|id| id.to_ne_bytes())
            .eq(ids.iter().copied()),
        (
            ChildOp::CapSet {
                effective,
                permitted,
                inheritable,
            },
            Op::CapSet {
                effective: e,
                permitted: p,
                inheritable: i,
            },
        ) => (*effective, *permitted, *inheritable) == (e, p, i),
        (ChildOp::Ambient(mask), Op::Ambient { mask: m }) => *mask == m,
        (ChildOp::Bounding(mask), Op::Bounding { keep }) => *mask == keep,
        (
            ChildOp::Seccomp {
                program: bytes,
                flags,
                listener,
            },
            Op::Seccomp {
                program: b,
                flags: f,
                listener: l,
            },
        ) => (bytes.as_slice(), *flags, *listener) == (b, f, l),
        (
            ChildOp::Scheduler {
                policy,
                nice,
                runtime,
                deadline,
                period,
                ..
            },
            Op::Scheduler {
                policy: p,
                nice: n,
                runtime: r,
                deadline: d,
                period: e,
                ..
            },
        ) => (*policy, *nice, *runtime, *deadline, *period) == (p, n as i32, r, d, e),
        (ChildOp::MemoryPolicy { mode, nodes }, Op::MemoryPolicy { mode: m, nodes: n }) => {
            *mode == m
                && nodes
                    .iter()
                    .flat_map(|word| word.to_ne_bytes())
                    .eq(n.iter().copied())
        }
        (ChildOp::TimeOffsets(planned), Op::TimeOffsets { text: t }) => planned == text(t),
        (ChildOp::Ids { uid, gid }, Op::Ids { uid: u, gid: g }) => (*uid, *gid) == (u, g),
        (ChildOp::Chdir { path, create }, Op::Chdir { path: p, create: c }) => {
            (path.as_str(), *create) == (text(p), c)
        }
        (ChildOp::Barrier(barrier), Op::Barrier { id, signals, waits }) => {
            (
                barrier.number(),
                barrier.child_signals(),
                barrier.child_waits(),
            ) == (id, signals, waits)
        }
        (planned, decoded) => {
            // The kinds must agree; the fields of these are one or two numbers or a text, whose forms agree in Debug.
            let kind = |text: String| {
                text.split([' ', '(', '{'])
                    .next()
                    .unwrap_or_default()
                    .to_owned()
            };
            let (planned, decoded) = (format!("{planned:?}"), format!("{decoded:?}"));
            assert_eq!(kind(planned.clone()), kind(decoded.clone()));
            let numbers = |text: &str| {
                let digits = text
                    .split(|character: char| !character.is_ascii_digit())
                    .filter(|digits| !digits.is_empty());
                digits.map(str::to_owned).collect::<Vec<_>>()
            };
            let simple = matches!(
                kind(planned.clone()).as_str(),
                "OpenProc"
                    | "OpenNull"
                    | "PivotRoot"
                    | "Umask"
                    | "IoPriority"
                    | "CloseOnExecFrom"
                    | "UseTty"
            );
            !simple || numbers(&planned) == numbers(&decoded)
        }
    };
    assert!(equal, "{planned:?}\n{decoded:?}");
}

#[test]
fn many_kinds_were_seen() {
    let plan = planned();
    let mut kinds: Vec<std::mem::Discriminant<ChildOp>> = plan
        .child
        .iter()
        .map(|step| std::mem::discriminant(&step.op))
        .collect();
    kinds.sort_by_key(|kind| format!("{kind:?}"));
    kinds.dedup();
    assert!(kinds.len() >= 45, "{} kinds", kinds.len());
}

#[test]
fn a_nul_is_refused_rather_than_cut() {
    let mut plan = planned();
    plan.child[0].op = ChildOp::Hostname("a\0b".to_owned());
    let error = lower(&plan, 3, false).map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        error,
        "child step 1 can't be lowered: a text has a NUL byte inside"
    );
}
