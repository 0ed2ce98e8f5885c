//! Rules on arguments as decisions on 32-bit words, built from the last to the first.
use crate::arch::{Endian, Traits};
use crate::condition::{Condition, Ladder, Operator, Rung};
use crate::graph::{Comparison, Graph, NodeId, Test};

/// Offset of `args` in `struct seccomp_data`.
const OFFSET_ARGUMENTS: u32 = 16;

/// The decision for a call whose rules are `ladder`; `otherwise` if none matches.
pub(crate) fn decide(
    graph: &mut Graph,
    traits: &Traits,
    ladder: &Ladder,
    otherwise: NodeId,
) -> NodeId {
    let mut rules = Vec::with_capacity(ladder.rungs.len());
    rules.extend(ladder.rungs.iter().map(|rung| Steps {
        steps: steps(traits, rung),
        end: graph.ret(rung.action.value()),
    }));
    climb(graph, &rules, 0, otherwise)
}

struct Steps {
    steps: Vec<Step>,
    end: NodeId,
}

/// What has to hold, one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Masked {
        offset: u32,
        mask: u32,
        value: u32,
    },
    Differs {
        low: u32,
        high: Option<u32>,
        value: u64,
    },
    Exceeds {
        low: u32,
        high: Option<u32>,
        value: u64,
        or_equal: bool,
        negated: bool,
    },
}

/// Rules of which the first `depth` steps are the same: neighbours with the same next step share its test.
fn climb(graph: &mut Graph, rules: &[Steps], depth: usize, otherwise: NodeId) -> NodeId {
    let mut next = otherwise;
    let mut end = rules.len();
    while end > 0 {
        let last = &rules[end - 1];
        let Some(step) = last.steps.get(depth).copied() else {
            next = last.end;
            end -= 1;
            continue;
        };
        let mut start = end - 1;
        while start > 0 && rules[start - 1].steps.get(depth) == Some(&step) {
            start -= 1;
        }
        let yes = climb(graph, &rules[start..end], depth + 1, next);
        next = test(graph, step, yes, next);
        end = start;
    }
    next
}

fn steps(traits: &Traits, rung: &Rung) -> Vec<Step> {
    let mut steps = Vec::with_capacity(rung.conditions.len() * 2);
    for condition in &rung.conditions {
        append_steps(&mut steps, traits, condition);
    }
    steps
}

fn append_steps(steps: &mut Vec<Step>, traits: &Traits, condition: &Condition) {
    let first = OFFSET_ARGUMENTS + 8 * u32::from(condition.argument);
    let (low, high) = match traits.endian {
        Endian::Little => (first, first + 4),
        Endian::Big => (first + 4, first),
    };
    let high = traits.wide.then_some(high);
    let value = condition.value;
    let exceeds = |or_equal, negated| Step::Exceeds {
        low,
        high,
        value,
        or_equal,
        negated,
    };
    match condition.operator {
        Operator::Equal | Operator::MaskedEqual => {
            if let Some(offset) = high {
                let (mask, value) = ((condition.mask >> 32) as u32, (value >> 32) as u32);
                steps.push(Step::Masked {
                    offset,
                    mask,
                    value,
                });
            }
            steps.push(Step::Masked {
                offset: low,
                mask: condition.mask as u32,
                value: value as u32,
            });
        }
        Operator::NotEqual => steps.push(Step::Differs { low, high, value }),
        Operator::Greater => steps.push(exceeds(false, false)),
        Operator::GreaterOrEqual => steps.push(exceeds(true, false)),
        Operator::Less => steps.push(exceeds(true, true)),
        Operator::LessOrEqual => steps.push(exceeds(false, true)),
    }
}

fn test(graph: &mut Graph, step: Step, yes: NodeId, no: NodeId) -> NodeId {
    match step {
        Step::Masked {
            offset,
            mask,
            value,
        } => masked(graph, offset, mask, value, yes, no),
        Step::Differs { low, high, value } => {
            let on_low = masked(graph, low, u32::MAX, value as u32, no, yes);
            match high {
                Some(high) => masked(graph, high, u32::MAX, (value >> 32) as u32, on_low, yes),
                None => on_low,
            }
        }
        Step::Exceeds {
            low,
            high,
            value,
            or_equal,
            negated,
        } => {
            let (yes, no) = if negated { (no, yes) } else { (yes, no) };
            let comparison = if or_equal {
                Comparison::GreaterOrEqual
            } else {
                Comparison::Greater
            };
            let on_low = plain(graph, low, comparison, value as u32, yes, no);
            let Some(high) = high else { return on_low };
            let value = (value >> 32) as u32;
            let on_equal = plain(graph, high, Comparison::Equal, value, on_low, no);
            plain(graph, high, Comparison::Greater, value, yes, on_equal)
        }
    }
}

fn masked(
    graph: &mut Graph,
    offset: u32,
    mask: u32,
    value: u32,
    yes: NodeId,
    no: NodeId,
) -> NodeId {
    if mask == 0 {
        return yes;
    }
    if mask == u32::MAX {
        return plain(graph, offset, Comparison::Equal, value, yes, no);
    }
    if value == 0 {
        return plain(graph, offset, Comparison::AnyBit, mask, no, yes);
    }
    if value == mask && mask.is_power_of_two() {
        return plain(graph, offset, Comparison::AnyBit, mask, yes, no);
    }
    graph.test(Test {
        offset,
        mask,
        comparison: Comparison::Equal,
        value,
        yes,
        no,
    })
}

fn plain(
    graph: &mut Graph,
    offset: u32,
    comparison: Comparison,
    value: u32,
    yes: NodeId,
    no: NodeId,
) -> NodeId {
    // Every word is at least 0.
    if comparison == Comparison::GreaterOrEqual && value == 0 {
        return yes;
    }
    graph.test(Test {
        offset,
        mask: u32::MAX,
        comparison,
        value,
        yes,
        no,
    })
}
