//! Conditions on arguments, and the order in which the rules of one call are tried.
use crate::action::Action;
use std::cmp::Ordering;

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operator {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    MaskedEqual,
}

/// One argument compared with a value, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Condition {
    pub(crate) argument: u8,
    pub(crate) operator: Operator,
    /// All ones unless the operator is `MaskedEqual`.
    pub(crate) mask: u64,
    /// Bits outside the mask are clear.
    pub(crate) value: u64,
}

impl Operator {
    /// From `SCMP_CMP_*`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "SCMP_CMP_NE" => Self::NotEqual,
            "SCMP_CMP_LT" => Self::Less,
            "SCMP_CMP_LE" => Self::LessOrEqual,
            "SCMP_CMP_EQ" => Self::Equal,
            "SCMP_CMP_GE" => Self::GreaterOrEqual,
            "SCMP_CMP_GT" => Self::Greater,
            "SCMP_CMP_MASKED_EQ" => Self::MaskedEqual,
            _ => return None,
        })
    }

    /// Tried earlier if smaller.
    fn rank(self) -> u8 {
        match self {
            Self::Equal | Self::NotEqual | Self::MaskedEqual => 0,
            Self::Less | Self::LessOrEqual => 1,
            Self::Greater | Self::GreaterOrEqual => 2,
        }
    }
}

impl Condition {
    /// From the profile's `value` and `valueTwo`.
    pub(crate) fn new(argument: u8, operator: Operator, value: u64, value_two: u64) -> Self {
        match operator {
            Operator::MaskedEqual => Self {
                argument,
                operator,
                mask: value,
                value: value_two & value,
            },
            _ => Self {
                argument,
                operator,
                mask: u64::MAX,
                value,
            },
        }
    }

    /// As an architecture with arguments of 32 bits sees it.
    pub(crate) fn narrow(self) -> Self {
        let low = u64::from(u32::MAX);
        let mask = if self.operator == Operator::MaskedEqual {
            self.mask & low
        } else {
            self.mask
        };
        Self {
            mask,
            value: self.value & low,
            ..self
        }
    }

    /// Holds for every argument.
    pub(crate) fn is_vacuous(&self) -> bool {
        self.operator == Operator::MaskedEqual && self.mask == 0
    }
}

/// The rules of one call that depend on its arguments, in the order in which they are tried; the first that
/// matches decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ladder {
    pub(crate) rungs: Vec<Rung>,
}

/// One rule: conditions by ascending argument, all of which must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rung {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) action: Action,
}

/// The rule asks for another action than an earlier one that it repeats or widens.
#[derive(Debug)]
pub(crate) struct Contradiction;

impl Ladder {
    /// Puts a rule where libseccomp's tree would try it: higher arguments before lower ones, equalities before
    /// "less" before "greater", narrower ranges before wider ones, then first come first served. A rule that
    /// only narrows an earlier one is void; one that widens an earlier one replaces it.
    /// `wide`: arguments have 64 bits, compared as two words.
    pub(crate) fn add(&mut self, new: Rung, wide: bool) -> Result<(), Contradiction> {
        let mut at = 0;
        // Rules that begin with the same tests stay together.
        let mut shared = 0;
        while at < self.rungs.len() {
            let old = &self.rungs[at];
            let now = shared_tests(&new.conditions, &old.conditions, wide);
            if now < shared {
                break;
            }
            shared = now;
            match relate(&new.conditions, &old.conditions, wide) {
                Relation::Earlier => break,
                Relation::Later => at += 1,
                Relation::Narrower => return Ok(()),
                Relation::Same | Relation::Wider if old.action != new.action => {
                    return Err(Contradiction);
                }
                Relation::Same => return Ok(()),
                Relation::Wider => drop(self.rungs.remove(at)),
            }
        }
        self.rungs.insert(at, new);
        Ok(())
    }
}

enum Relation {
    Earlier,
    Later,
    /// The old rule's conditions are the first of the new one's.
    Narrower,
    Same,
    /// The new rule's conditions are the first of the old one's.
    Wider,
}

fn relate(new: &[Condition], old: &[Condition], wide: bool) -> Relation {
    for (new, old) in new.iter().zip(old) {
        match compare(new, old, wide) {
            Ordering::Less => return Relation::Earlier,
            Ordering::Greater => return Relation::Later,
            Ordering::Equal if new != old => return Relation::Later,
            Ordering::Equal => {}
        }
    }
    match new.len().cmp(&old.len()) {
        Ordering::Less => Relation::Wider,
        Ordering::Equal => Relation::Same,
        Ordering::Greater => Relation::Narrower,
    }
}

/// How many tests of one word two rules have in common before they part.
fn shared_tests(new: &[Condition], old: &[Condition], wide: bool) -> usize {
    let mut shared = 0;
    for (new, old) in new.iter().zip(old) {
        if new == old {
            shared += 2;
            continue;
        }
        let same_kind = match (new.operator.rank(), old.operator.rank()) {
            (0, 0) => {
                (new.operator == Operator::MaskedEqual) == (old.operator == Operator::MaskedEqual)
            }
            (new, old) => new != 0 && old != 0,
        };
        let upper = |condition: &Condition| {
            (
                condition.argument,
                condition.mask >> 32,
                condition.value >> 32,
            )
        };
        return shared + usize::from(wide && same_kind && upper(new) == upper(old));
    }
    shared
}

/// `Less`: the new condition is tried before the old one. Equal without being the same: no preference.
fn compare(new: &Condition, old: &Condition, wide: bool) -> Ordering {
    let first_word = if wide { 32 } else { 0 };
    let by_kind = old
        .argument
        .cmp(&new.argument)
        .then(new.operator.rank().cmp(&old.operator.rank()));
    by_kind.then_with(|| match new.operator.rank() {
        0 => {
            let same_test = (
                new.mask >> first_word,
                new.operator == Operator::MaskedEqual,
            ) == (
                old.mask >> first_word,
                old.operator == Operator::MaskedEqual,
            );
            let high = (old.value >> first_word).cmp(&(new.value >> first_word));
            if same_test {
                high.then(old.value.cmp(&new.value))
            } else {
                high
            }
        }
        1 => new.value.cmp(&old.value),
        _ => old.value.cmp(&new.value),
    })
}
