//! What each system call of one architecture gets, by number.
use crate::action::Action;
use crate::arch::{Arch, IPC, ORDINARY_SLOTS, SLOTS, SOCKETCALL, Traits};
use crate::arguments;
use crate::condition::{Condition, Contradiction, Ladder, Operator, Rung};
use crate::graph::{Graph, NodeId};
use crate::names::Syscall;
use crate::profile::{Profile, Rule};
use crate::{MAX_INSTRUCTIONS, SeccompError};

/// The rules of one architecture, gathered by slot.
pub(crate) struct Verdicts {
    arch: Arch,
    traits: Traits,
    slots: Vec<u16>,
    ladders: Vec<Ladder>,
    unconditional: Vec<Action>,
    /// One above the highest slot that the profile names, 0 if it names none.
    beyond: u16,
}

/// From this number on, up to the next range, the decision is the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Range {
    pub(crate) start: u32,
    pub(crate) decision: NodeId,
}

impl Range {
    pub(crate) fn new(start: u32, decision: NodeId) -> Self {
        Self { start, decision }
    }
}

/// What all numbers of an architecture get.
pub(crate) struct Coverage {
    /// By ascending start, the first at 0, neighbours different.
    pub(crate) ranges: Vec<Range>,
    /// For calls newer than the profile, if they get something of their own.
    pub(crate) newer: Option<NodeId>,
}

/// No rule names the slot.
const UNNAMED: u16 = 0;
/// Slot values from here on are ladders, those below unconditional actions.
const FIRST_LADDER: u16 = 1 << 15;

impl Verdicts {
    /// Applies the rules in the profile's order to each of its architectures: the first unconditional rule for a
    /// call decides, whatever conditional ones stand before or after it.
    pub(crate) fn gather(profile: &Profile) -> Result<Vec<Self>, SeccompError> {
        let mut all: Vec<_> = profile.archs.iter().map(|&arch| Self::new(arch)).collect();
        for rule in &profile.rules {
            let redundant = rule.action == profile.default_action;
            for &call in &rule.calls {
                for verdicts in &mut all {
                    verdicts.note_newest(call);
                    if !redundant {
                        let applied = verdicts.apply(rule, call);
                        applied.map_err(|refusal| refusal.error(rule, call))?;
                    }
                }
            }
        }
        Ok(all)
    }

    fn new(arch: Arch) -> Self {
        Self {
            arch,
            traits: arch.traits(),
            slots: vec![UNNAMED; SLOTS],
            ladders: Vec::new(),
            unconditional: Vec::new(),
            beyond: 0,
        }
    }

    /// The decisions by ascending number.
    pub(crate) fn cover(&self, graph: &mut Graph, default_action: Action) -> Coverage {
        let default = graph.ret(default_action.value());
        let stubbed = self.beyond != 0 && !default_action.lets_pass();
        let stub = stubbed.then(|| graph.ret(Action::NOT_IMPLEMENTED.value()));
        let newer = stub.unwrap_or(default);
        let unconditional: Vec<_> = self
            .unconditional
            .iter()
            .map(|action| graph.ret(action.value()))
            .collect();
        let named = self
            .slots
            .iter()
            .rposition(|&value| value != UNNAMED)
            .map_or(0, |slot| slot as u16 + 1);
        let beyond = self.beyond;
        let background = |slot| if slot < beyond { default } else { newer };

        let mut ranges = Ranges {
            list: Vec::with_capacity(128),
        };
        ranges.push(0, default);
        for slot in 0..named.max(beyond) {
            if slot == ORDINARY_SLOTS {
                ranges.push(self.traits.number(slot - 1) + 1, background(slot - 1));
            }
            let decision = match self.slots[usize::from(slot)] {
                // s390: where the kernel leaves the number of a call above its table.
                UNNAMED if slot == 0 && matches!(self.arch, Arch::S390 | Arch::S390x) => newer,
                UNNAMED => background(slot),
                value if value < FIRST_LADDER => unconditional[usize::from(value) - 1],
                value => {
                    let ladder = &self.ladders[usize::from(value - FIRST_LADDER)];
                    arguments::decide(graph, &self.traits, ladder, background(slot))
                }
            };
            ranges.push(self.traits.number(slot), decision);
        }
        if let Some(last) = named.max(beyond).checked_sub(1) {
            ranges.push(self.traits.number(last) + 1, newer);
        }
        Coverage {
            ranges: ranges.list,
            newer: stub,
        }
    }

    pub(crate) fn arch(&self) -> Arch {
        self.arch
    }

    fn note_newest(&mut self, call: Syscall) {
        // The own number of a call behind a multiplexer does not count.
        if self.traits.multiplexer && call.multiplexed() != 0 {
            return;
        }
        if let Some(slot) = self.traits.slot(call.row())
            && self.traits.number(slot) != 0
        {
            self.beyond = self.beyond.max(slot + 1);
        }
    }

    /// An unconditional rule stands there.
    fn is_settled(&self, slot: u16) -> bool {
        (UNNAMED + 1..FIRST_LADDER).contains(&self.slots[usize::from(slot)])
    }

    /// Whatever the arguments, unless an earlier unconditional rule stands there.
    fn settle(&mut self, slot: u16, action: Action) {
        if self.is_settled(slot) {
            return;
        }
        let known = self
            .unconditional
            .iter()
            .rposition(|&known| known == action);
        let index = known.unwrap_or_else(|| {
            self.unconditional.push(action);
            self.unconditional.len() - 1
        });
        self.slots[usize::from(slot)] = index as u16 + 1;
    }

    fn apply(&mut self, rule: &Rule, call: Syscall) -> Result<(), Refusal> {
        if self.traits.multiplexer && call.multiplexed() != 0 {
            let (slot, code) = match call.multiplexed() {
                code @ ..200 => (SOCKETCALL, code - 100),
                code => (IPC, code - 200),
            };
            // The other arguments are a pointer to the real ones: libseccomp compares them all the same.
            let selector = Condition::new(0, Operator::Equal, code.into(), 0);
            for alternative in &rule.alternatives {
                let rest = alternative
                    .iter()
                    .filter(|condition| condition.argument != 0)
                    .copied();
                let conditions = std::iter::once(selector).chain(rest);
                self.add(slot, conditions, rule.action)?;
            }
        }
        if let Some(slot) = self.traits.slot(call.row()) {
            if rule.alternatives.iter().any(Vec::is_empty) {
                self.settle(slot, rule.action);
                return Ok(());
            }
            for alternative in &rule.alternatives {
                self.add(slot, alternative.iter().copied(), rule.action)?;
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        slot: u16,
        conditions: impl Iterator<Item = Condition>,
        action: Action,
    ) -> Result<(), Refusal> {
        if self.is_settled(slot) {
            return Ok(());
        }
        let wide = self.traits.wide;
        let conditions =
            conditions.map(|condition| if wide { condition } else { condition.narrow() });
        let conditions: Vec<_> = conditions
            .filter(|condition| !condition.is_vacuous())
            .collect();
        if conditions.is_empty() {
            self.settle(slot, action);
            return Ok(());
        }
        let place = &mut self.slots[usize::from(slot)];
        if *place == UNNAMED {
            *place = FIRST_LADDER + self.ladders.len() as u16;
            self.ladders.push(Ladder::default());
        }
        let ladder = &mut self.ladders[usize::from(*place - FIRST_LADDER)];
        ladder.add(Rung { conditions, action }, wide)?;
        if ladder.rungs.len() > MAX_INSTRUCTIONS {
            Err(Refusal::TooMany)
        } else {
            Ok(())
        }
    }
}

/// Why a rule cannot be taken; the caller knows where it stands.
enum Refusal {
    Contradiction,
    TooMany,
}

impl From<Contradiction> for Refusal {
    fn from(Contradiction: Contradiction) -> Self {
        Self::Contradiction
    }
}

impl Refusal {
    fn error(self, rule: &Rule, call: Syscall) -> SeccompError {
        match self {
            Self::Contradiction => SeccompError::Conflict {
                path: format!("linux.seccomp.syscalls[{}]", rule.entry),
                name: call.name().to_owned(),
            },
            Self::TooMany => SeccompError::TooLong {
                instructions: MAX_INSTRUCTIONS + 1,
            },
        }
    }
}

struct Ranges {
    list: Vec<Range>,
}

impl Ranges {
    /// `start` is at or after the last one.
    fn push(&mut self, start: u32, decision: NodeId) {
        if let Some(last) = self.list.last_mut() {
            if last.decision == decision {
                return;
            }
            if last.start == start {
                last.decision = decision;
                return self.merge_last();
            }
        }
        self.list.push(Range { start, decision });
    }

    fn merge_last(&mut self) {
        if let [.., before, last] = self.list[..]
            && before.decision == last.decision
        {
            self.list.pop();
        }
    }
}
