//! A plan's child lane as the flat bytes that `stage-init` runs. Pure; each plan op is one stage op.
use crate::plan::ir::{ChildOp, Kind, MountAttr, Plan, Slot, Source};
use std::ffi::CString;
use tare_stage::{Attr, Flags, HEADER, List, MAGIC, Op, SLOTS, Sink, Table};

/// The bytes, and which plan step each stage op stands for.
pub(crate) struct Lowered {
    /// The program.
    pub(crate) bytes: Vec<u8>,
    /// By op index: index of the child step.
    pub(crate) steps: Vec<usize>,
}

/// A text with a NUL inside, or more slots than `stage-init` has: what `plan` refuses already, told again rather than cut.
#[derive(Debug, thiserror::Error)]
#[error("child step {step} can't be lowered: {why}")]
pub struct LowerError {
    /// From 1.
    pub step: usize,
    /// What is wrong.
    pub why: &'static str,
}

/// Lowers the child lane. `first_fd` is the number of the shared area's fd; the control socket and the slots follow it.
pub(crate) fn lower(plan: &Plan, first_fd: u32, timed: bool) -> Result<Lowered, LowerError> {
    let mut writer = Writer::default();
    let mut steps = Vec::new();
    let too_many = LowerError {
        step: 0,
        why: "too many slots",
    };
    if plan.slots.len() > SLOTS {
        return Err(too_many);
    }
    for (index, step) in plan.child.iter().enumerate() {
        let fail = |why| LowerError {
            step: index + 1,
            why,
        };
        if let Some(alternative) = &step.alternative {
            let on = |n: usize| {
                alternative
                    .on
                    .get(n)
                    .map_or(0, |errno| errno.unsigned_abs())
            };
            if alternative.on.len() > 4 {
                return Err(fail("more than four errors have an alternative"));
            }
            writer.op(&Op::Try {
                e1: on(0),
                e2: on(1),
                e3: on(2),
                e4: on(3),
            });
            steps.push(index);
        }
        put(&step.op, &mut writer).map_err(fail)?;
        steps.push(index);
        if let Some(alternative) = &step.alternative {
            put(&alternative.op, &mut writer).map_err(fail)?;
            steps.push(index);
        }
    }
    let flags = Flags(if timed { Flags::TIMED } else { 0 });
    let handed = u32::try_from(plan.handed.len()).map_err(|_| too_many)?;
    Ok(Lowered {
        bytes: writer.finish(flags, first_fd + 1, handed),
        steps,
    })
}

/// Collects records (words) and the blob; offsets of the blob are fixed when all is known.
#[derive(Default)]
struct Writer {
    records: Vec<u32>,
    starts: Vec<usize>,
    /// Indices in `records` that hold blob offsets.
    fixes: Vec<usize>,
    blob: Vec<u8>,
    /// Places in the blob that hold u64 string offsets.
    table_fixes: Vec<usize>,
}

impl Sink for Writer {
    fn word(&mut self, word: u32) {
        self.records.push(word);
    }
    fn blob(&mut self, bytes: &[u8]) -> u32 {
        let at = self.blob.len() as u32;
        self.blob.extend_from_slice(bytes);
        self.fixes.push(self.records.len());
        at
    }
    fn offset(&mut self, at: u32) {
        self.fixes.push(self.records.len());
        self.records.push(at);
    }
}

impl Writer {
    fn op(&mut self, op: &Op<'_>) {
        self.starts.push(self.records.len());
        op.encode(self);
    }

    /// A pointer table of these strings.
    fn table(&mut self, strings: &[String]) -> Result<Table, &'static str> {
        let mut offsets = Vec::with_capacity(strings.len());
        for text in strings {
            offsets.push(self.blob.len() as u64);
            self.blob.extend_from_slice(c(text)?.as_bytes_with_nul());
        }
        while !self.blob.len().is_multiple_of(8) {
            self.blob.push(0);
        }
        let at = self.blob.len() as u32;
        for offset in offsets {
            self.table_fixes.push(self.blob.len());
            self.blob.extend_from_slice(&offset.to_ne_bytes());
        }
        self.blob.extend_from_slice(&0u64.to_ne_bytes());
        Ok(Table {
            at,
            count: strings.len() as u32,
        })
    }

    fn finish(mut self, flags: Flags, control: u32, handed: u32) -> Vec<u8> {
        let index_at = HEADER * 4;
        let records_at = index_at + self.starts.len() * 4;
        let blob_at = (records_at + self.records.len() * 4).next_multiple_of(8);
        for fix in &self.fixes {
            self.records[*fix] += blob_at as u32;
        }
        for fix in &self.table_fixes {
            let place = &mut self.blob[*fix..*fix + 8];
            let offset = u64::from_ne_bytes(place.try_into().unwrap_or_default()) + blob_at as u64;
            place.copy_from_slice(&offset.to_ne_bytes());
        }
        let length = blob_at + self.blob.len();
        let header = [
            MAGIC,
            self.starts.len() as u32,
            flags.0,
            0,
            control,
            handed,
            index_at as u32,
            length as u32,
        ];
        let mut bytes = Vec::with_capacity(length);
        let starts = self
            .starts
            .iter()
            .map(|start| (records_at + start * 4) as u32);
        for word in header
            .into_iter()
            .chain(starts)
            .chain(self.records.iter().copied())
        {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.resize(blob_at, 0);
        bytes.extend_from_slice(&self.blob);
        bytes
    }
}

fn c(text: &str) -> Result<CString, &'static str> {
    CString::new(text).map_err(|_| "a text has a NUL byte inside")
}

fn attr(attr: &MountAttr) -> Attr {
    // MOUNT_ATTR_* all fit 32 bits.
    Attr {
        set: attr.set as u32,
        clear: attr.clear as u32,
        set_recursive: attr.set_recursive as u32,
        clear_recursive: attr.clear_recursive as u32,
        propagation: attr.propagation,
    }
}

fn strings<'s>(texts: impl Iterator<Item = &'s str>) -> Result<(Vec<u8>, u32), &'static str> {
    let (mut bytes, mut count) = (Vec::new(), 0);
    for text in texts {
        bytes.extend_from_slice(c(text)?.as_bytes_with_nul());
        count += 1;
    }
    Ok((bytes, count))
}

fn options(options: &[(String, Option<String>)]) -> Result<(Vec<u8>, u32), &'static str> {
    strings(
        options
            .iter()
            .flat_map(|(key, value)| [key.as_str(), value.as_deref().unwrap_or("")]),
    )
}

fn words(masks: &[u64]) -> Vec<u8> {
    masks.iter().flat_map(|mask| mask.to_ne_bytes()).collect()
}

fn slot(slot: Slot) -> u16 {
    slot.0
}

#[rustfmt::skip]
fn put(op: &ChildOp, writer: &mut Writer) -> Result<(), &'static str> {
    match op {
        ChildOp::Nothing => writer.op(&Op::Nothing {}),
        ChildOp::NonDumpable => writer.op(&Op::NonDumpable {}),
        ChildOp::Join { slot: s, kind } => writer.op(&Op::Join { slot: slot(*s), kinds: kind.0 }),
        ChildOp::Unshare(kinds) => writer.op(&Op::Unshare { kinds: kinds.0 }),
        ChildOp::BecomeRoot { clear_groups } => writer.op(&Op::BecomeRoot { clear_groups: *clear_groups }),
        ChildOp::Fork => writer.op(&Op::Fork {}),
        ChildOp::TimeOffsets(text) => { let text = c(text)?; writer.op(&Op::TimeOffsets { text: &text }) }
        ChildOp::Barrier(barrier) => writer.op(&Op::Barrier { id: barrier.number(), signals: barrier.child_signals(), waits: barrier.child_waits() }),
        ChildOp::Setsid => writer.op(&Op::Setsid {}),
        ChildOp::JoinKeyring(name) => { let name = c(name)?; writer.op(&Op::JoinKeyring { name: &name }) }
        ChildOp::LoopbackUp => writer.op(&Op::LoopbackUp {}),
        ChildOp::Hostname(name) => { let name = c(name)?; writer.op(&Op::Hostname { name: &name }) }
        ChildOp::Domainname(name) => { let name = c(name)?; writer.op(&Op::Domainname { name: &name }) }
        ChildOp::OpenProc(s) => writer.op(&Op::OpenProc { slot: slot(*s) }),
        ChildOp::OpenNull(s) => writer.op(&Op::OpenNull { slot: slot(*s) }),
        ChildOp::WriteProc { proc, path, text } => {
            let (path, text) = (c(path)?, c(text)?);
            writer.op(&Op::WriteProc { proc_slot: slot(*proc), path: &path, text: &text })
        }
        ChildOp::Propagation(flags) => writer.op(&Op::Propagation { flags: *flags }),
        ChildOp::BindRoot { root, path, tree } => {
            let path = c(path)?;
            writer.op(&Op::BindRoot { root: slot(*root), path: &path, tree: tree.map(slot) })
        }
        ChildOp::Mount { root, fstype, source, dest, attr: a, options: o, copy_up, no_symlink } => {
            let (fstype, source, dest, (bytes, count)) = (c(fstype)?, c(source)?, c(dest)?, options(o)?);
            let list = List::new(&bytes, count);
            writer.op(&Op::Mount { root: slot(*root), fstype: &fstype, source: &source, dest: &dest, attr: attr(a), options: list, copy_up: *copy_up, no_symlink: *no_symlink })
        }
        ChildOp::Bind { root, source, dest, kind, recursive, attr: a, idmap } => {
            let dest = c(dest)?;
            let kind = match kind { Kind::Directory => 0, Kind::File => 1, Kind::LikeSource => 2 };
            let (map, all) = (idmap.map(|(s, _)| slot(s)), idmap.is_some_and(|(_, all)| all));
            match source {
                Source::Path(path) => {
                    let path = c(path)?;
                    writer.op(&Op::BindPath { root: slot(*root), source: &path, dest: &dest, kind, recursive: *recursive, attr: attr(a), idmap: map, idmap_recursive: all })
                }
                Source::Slot(tree) => writer.op(&Op::BindTree { root: slot(*root), source: slot(*tree), dest: &dest, kind, recursive: *recursive, attr: attr(a), idmap: map, idmap_recursive: all }),
            }
        }
        ChildOp::Remount { root, dest, attr: a, options: o } => {
            let (dest, (bytes, count)) = (c(dest)?, options(o)?);
            writer.op(&Op::Remount { root: slot(*root), dest: &dest, attr: attr(a), options: List::new(&bytes, count) })
        }
        ChildOp::Mkdir { root, dest, mode } => { let dest = c(dest)?; writer.op(&Op::Mkdir { root: slot(*root), dest: &dest, mode: *mode }) }
        ChildOp::Mknod { root, dest, mode, major, minor, uid, gid } => {
            let dest = c(dest)?;
            writer.op(&Op::Mknod { root: slot(*root), dest: &dest, mode: *mode, major: *major, minor: *minor, uid: *uid, gid: *gid })
        }
        ChildOp::Symlink { root, dest, target, replace } => {
            let (dest, target) = (c(dest)?, c(target)?);
            writer.op(&Op::Symlink { root: slot(*root), dest: &dest, target: &target, replace: *replace })
        }
        ChildOp::OpenPty { root, master, slave, rows, columns, uid } =>
            writer.op(&Op::OpenPty { root: slot(*root), master: slot(*master), slave: slot(*slave), rows: u32::from(*rows), columns: u32::from(*columns), uid: *uid }),
        ChildOp::BindConsole { root, slave } => writer.op(&Op::BindConsole { root: slot(*root), slave: slot(*slave) }),
        ChildOp::SendFd { slot: s, barrier } => writer.op(&Op::SendFd { slot: slot(*s), id: barrier.number() }),
        ChildOp::UseTty(s) => writer.op(&Op::UseTty { slave: slot(*s) }),
        ChildOp::OwnStdio { uid } => writer.op(&Op::OwnStdio { uid: *uid }),
        ChildOp::RunHook { path, args, env, timeout, state, kind: _ } => {
            let (path, args, env) = (c(path)?, writer.table(args)?, writer.table(env)?);
            writer.op(&Op::RunHook { path: &path, args, env, timeout: *timeout, state: slot(*state) })
        }
        ChildOp::PivotRoot(s) => writer.op(&Op::PivotRoot { root: slot(*s) }),
        ChildOp::MoveRoot(s) => writer.op(&Op::MoveRoot { root: slot(*s) }),
        ChildOp::Chroot(s) => writer.op(&Op::Chroot { root: slot(*s) }),
        ChildOp::CloneRoot { root, tree } => writer.op(&Op::CloneRoot { root: slot(*root), tree: slot(*tree) }),
        ChildOp::RootPropagation(flags) => writer.op(&Op::RootPropagation { flags: *flags }),
        ChildOp::RootReadonly => writer.op(&Op::RootReadonly {}),
        ChildOp::Mask { path, null } => { let path = c(path)?; writer.op(&Op::Mask { path: &path, null: slot(*null) }) }
        ChildOp::ReadonlyPath(path) => { let path = c(path)?; writer.op(&Op::ReadonlyPath { path: &path }) }
        ChildOp::Rlimit(limit) => writer.op(&Op::Rlimit { resource: limit.resource, soft: limit.soft, hard: limit.hard }),
        ChildOp::Affinity(mask) => writer.op(&Op::Affinity { mask: &words(mask) }),
        ChildOp::Scheduler { policy, flags, nice, priority, runtime, deadline, period } =>
            writer.op(&Op::Scheduler { policy: *policy, flags: *flags, nice: *nice as u32, priority: *priority, runtime: *runtime, deadline: *deadline, period: *period }),
        ChildOp::IoPriority(value) => writer.op(&Op::IoPriority { value: *value }),
        ChildOp::MemoryPolicy { mode, nodes } => writer.op(&Op::MemoryPolicy { mode: *mode, nodes: &words(nodes) }),
        ChildOp::Personality(persona) => writer.op(&Op::Personality { persona: *persona }),
        ChildOp::Umask(mask) => writer.op(&Op::Umask { mask: *mask }),
        ChildOp::Bounding(keep) => writer.op(&Op::Bounding { keep: *keep }),
        ChildOp::Groups(ids) => {
            let ids: Vec<u8> = ids.iter().flat_map(|id| id.to_ne_bytes()).collect();
            writer.op(&Op::Groups { ids: &ids })
        }
        ChildOp::Ids { uid, gid } => writer.op(&Op::Ids { uid: *uid, gid: *gid }),
        ChildOp::Chdir { path, create } => { let path = c(path)?; writer.op(&Op::Chdir { path: &path, create: *create }) }
        ChildOp::FindHome(uid) => writer.op(&Op::FindHome { uid: *uid }),
        ChildOp::FindExecutable { candidates } => {
            let (bytes, count) = strings(candidates.iter().map(String::as_str))?;
            writer.op(&Op::FindExecutable { candidates: List::new(&bytes, count) })
        }
        ChildOp::CloseOnExecFrom(first) => writer.op(&Op::CloseOnExecFrom { first: *first }),
        ChildOp::CapSet { effective, permitted, inheritable } => writer.op(&Op::CapSet { effective: *effective, permitted: *permitted, inheritable: *inheritable }),
        ChildOp::Ambient(mask) => writer.op(&Op::Ambient { mask: *mask }),
        ChildOp::NoNewPrivs => writer.op(&Op::NoNewPrivs {}),
        ChildOp::Seccomp { program, flags, listener } => writer.op(&Op::Seccomp { program, flags: *flags, listener: *listener }),
        ChildOp::AwaitStart { exec, result } => writer.op(&Op::AwaitStart { exec: slot(*exec), result: slot(*result) }),
        ChildOp::Exec { args, env } => {
            let (args, env) = (writer.table(args)?, writer.table(env)?);
            writer.op(&Op::Exec { args, env })
        }
    }
    Ok(())
}

#[cfg(any(test, feature = "doors"))]
mod raise;
#[cfg(any(test, feature = "doors"))]
pub(crate) mod read_back;
#[cfg(test)]
mod tests;
