//! Which slots a step fills and which it uses.
use super::ir::{ChildOp, HostOp, Slot, Source};

/// Slots that a host step fills.
pub(super) fn host_fills(op: &HostOp) -> Vec<Slot> {
    match op {
        HostOp::OpenNamespace { slot, .. }
        | HostOp::OpenProcess { slot, .. }
        | HostOp::OpenRootOf { slot, .. }
        | HostOp::OpenTree { slot, .. }
        | HostOp::MakeIdmap { slot, .. }
        | HostOp::MakeStateFile { slot, .. } => vec![*slot],
        HostOp::MakeFifos { exec, result } => vec![*exec, *result],
        _ => Vec::new(),
    }
}

/// Slots that a child step fills.
pub(super) fn child_fills(op: &ChildOp) -> Vec<Slot> {
    match op {
        ChildOp::OpenProc(slot)
        | ChildOp::OpenNull(slot)
        | ChildOp::CloneRoot { tree: slot, .. }
        | ChildOp::BindRoot { root: slot, .. } => vec![*slot],
        ChildOp::OpenPty { master, slave, .. } => vec![*master, *slave],
        _ => Vec::new(),
    }
}

/// Slots that a child step needs filled.
pub(super) fn child_uses(op: &ChildOp) -> Vec<Slot> {
    match op {
        ChildOp::Join { slot, .. }
        | ChildOp::SendFd { slot, .. }
        | ChildOp::UseTty(slot)
        | ChildOp::PivotRoot(slot)
        | ChildOp::MoveRoot(slot)
        | ChildOp::Chroot(slot)
        | ChildOp::CloneRoot { root: slot, .. }
        | ChildOp::WriteProc { proc: slot, .. }
        | ChildOp::Mask { null: slot, .. }
        | ChildOp::RunHook { state: slot, .. }
        | ChildOp::Mount { root: slot, .. }
        | ChildOp::Remount { root: slot, .. }
        | ChildOp::Mkdir { root: slot, .. }
        | ChildOp::Mknod { root: slot, .. }
        | ChildOp::Symlink { root: slot, .. }
        | ChildOp::OpenPty { root: slot, .. } => vec![*slot],
        ChildOp::BindRoot { tree, .. } => tree.iter().copied().collect(),
        ChildOp::Bind {
            root,
            source,
            idmap,
            ..
        } => {
            let source = match source {
                Source::Slot(slot) => Some(*slot),
                Source::Path(_) => None,
            };
            std::iter::once(*root)
                .chain(source)
                .chain(idmap.map(|(slot, _)| slot))
                .collect()
        }
        ChildOp::BindConsole { root, slave } => vec![*root, *slave],
        ChildOp::AwaitStart { exec, result } => vec![*exec, *result],
        _ => Vec::new(),
    }
}
