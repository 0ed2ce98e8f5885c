//! Writes a plan down step by step. Host slots come first, so a slot of the child's own is asked for only after the last of them.
use super::ir::{
    Alternative, Barrier, ChildOp, ChildStep, HostOp, HostStep, Plan, Skip, Slot, SlotInfo,
};

/// A plan in the making.
pub(crate) struct Builder {
    plan: Plan,
}

impl Builder {
    pub(crate) fn new(title: String) -> Self {
        let plan = Plan {
            title,
            host: Vec::new(),
            child: Vec::new(),
            slots: Vec::new(),
            handed: Vec::new(),
            cgroup_paths: Default::default(),
            skips: Vec::new(),
        };
        Self { plan }
    }

    /// A slot that the host fills before the child exists and the child inherits.
    pub(crate) fn handed_slot(&mut self, name: impl Into<String>) -> Slot {
        let slot = self.slot(name);
        self.plan.handed.push(slot);
        slot
    }

    /// A slot that the child fills.
    pub(crate) fn slot(&mut self, name: impl Into<String>) -> Slot {
        let number = u16::try_from(self.plan.slots.len()).unwrap_or(u16::MAX);
        self.plan.slots.push(SlotInfo { name: name.into() });
        Slot(number)
    }

    pub(crate) fn slots(&self) -> usize {
        self.plan.slots.len()
    }

    pub(crate) fn host(&mut self, op: HostOp, from: impl Into<String>) {
        self.plan.host.push(HostStep {
            op,
            from: from.into(),
        });
    }

    pub(crate) fn child(&mut self, op: ChildOp, from: impl Into<String>) {
        self.plan.child.push(ChildStep {
            op,
            alternative: None,
            from: from.into(),
        });
    }

    pub(crate) fn child_or(
        &mut self,
        op: ChildOp,
        on: &[i32],
        instead: ChildOp,
        from: impl Into<String>,
    ) {
        let alternative = Some(Alternative {
            on: on.to_vec(),
            op: instead,
        });
        self.plan.child.push(ChildStep {
            op,
            alternative,
            from: from.into(),
        });
    }

    pub(crate) fn child_steps(&mut self, steps: impl IntoIterator<Item = ChildStep>) {
        self.plan.child.extend(steps);
    }

    /// Both lanes meet.
    pub(crate) fn barrier(&mut self, barrier: Barrier) {
        self.host(HostOp::Barrier(barrier), "");
        self.child(ChildOp::Barrier(barrier), "");
    }

    pub(crate) fn skip(&mut self, what: impl Into<String>, reason: impl Into<String>) {
        self.plan.skips.push(Skip {
            what: what.into(),
            reason: reason.into(),
        });
    }

    pub(crate) fn skips(&mut self) -> &mut Vec<Skip> {
        &mut self.plan.skips
    }

    pub(crate) fn cgroup_paths(&mut self, paths: std::collections::BTreeMap<String, String>) {
        self.plan.cgroup_paths = paths;
    }

    pub(crate) fn finish(self) -> Plan {
        self.plan
    }
}
