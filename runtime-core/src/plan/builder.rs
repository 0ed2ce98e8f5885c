//! Writes a plan down step by step. Host slots come first, so a slot of the child's own is asked for only after the last of them.
use super::ir::{
    Alternative, Barrier, ChildOp, ChildStep, HostOp, HostStep, Plan, Skip, Slot, SlotInfo,
};
use crate::config::{At, ConfigError, invalid};

/// Operations that `stage-init` takes in one program; an alternative counts for three.
const MAX_OPS: usize = 4096;

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

    /// The plan, unless `stage-init` could not take it.
    pub(crate) fn finish(self) -> Result<Plan, ConfigError> {
        let slots = self.plan.slots.len();
        if slots > tare_stage::SLOTS {
            return invalid(format!(
                "need {slots} file descriptors, and at most {} are passed",
                tare_stage::SLOTS
            ))
            .field("mounts");
        }
        let ops: usize = self
            .plan
            .child
            .iter()
            .map(|step| if step.alternative.is_some() { 3 } else { 1 })
            .sum();
        if ops > MAX_OPS {
            return invalid(format!(
                "make a plan of {ops} operations, and at most {MAX_OPS} are run"
            ))
            .field("mounts");
        }
        Ok(self.plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stage_init_could_not_take_is_refused() {
        let mut builder = Builder::new(String::new());
        for _ in 0..=MAX_OPS / 3 {
            builder.child_or(ChildOp::Nothing, &[1], ChildOp::Nothing, "");
        }
        let error = builder.finish().unwrap_err().to_string();
        assert_eq!(
            error,
            "mounts: make a plan of 4098 operations, and at most 4096 are run"
        );
        let mut builder = Builder::new(String::new());
        for _ in 0..=tare_stage::SLOTS {
            builder.slot("");
        }
        let error = builder.finish().unwrap_err().to_string();
        assert!(error.starts_with("mounts: need "), "{error}");
    }
}
