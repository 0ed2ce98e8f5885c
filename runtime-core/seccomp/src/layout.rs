//! From decisions to a program: dispatch by architecture, search by number, placement of the code.
use crate::arch::{Arch, X32_BIT};
use crate::assemble::{Assembler, Label};
use crate::graph::{Comparison, Graph, Node, NodeId, Test};
use crate::program::{Instruction, OFFSET_ARCH, OFFSET_NUMBER};
use crate::verdicts::{Coverage, Range};
use crate::{MAX_INSTRUCTIONS, SeccompError};

/// One value of `seccomp_data.arch` and what its calls get.
pub(crate) struct Section {
    pub(crate) token: u32,
    pub(crate) coverage: Coverage,
}

const BIT_31: u32 = 1 << 31;

/// The whole filter's decision; `unlisted` is for an architecture that no section covers.
pub(crate) fn dispatch(graph: &mut Graph, sections: &[Section], unlisted: NodeId) -> NodeId {
    sections.iter().rev().fold(unlisted, |no, section| {
        let yes = search(graph, &section.coverage.ranges);
        let value = section.token;
        graph.test(Test {
            offset: OFFSET_ARCH,
            mask: u32::MAX,
            comparison: Comparison::Equal,
            value,
            yes,
            no,
        })
    })
}

/// x86-64 and x32 share a token: one list of numbers, divided by bit 30. A tracer that skips a call sets the number
/// to -1, which must not count as x32 where x32 is not listed. From bit 31 on libseccomp takes numbers for x32's, but
/// runc looks at bit 30 first.
pub(crate) fn join_x32(
    sections: &mut Vec<Section>,
    x32: Option<Coverage>,
    default: NodeId,
    unlisted: NodeId,
) {
    let token = Arch::X32.traits().token;
    if x32.is_some() && !sections.iter().any(|section| section.token == token) {
        let ranges = vec![Range::new(0, unlisted)];
        let coverage = Coverage {
            ranges,
            newer: None,
        };
        sections.push(Section { token, coverage });
    }
    let mut sections = sections.iter_mut();
    let Some(section) = sections.find(|section| section.token == token) else {
        return;
    };
    let Coverage { ranges, newer } = &mut section.coverage;
    let listed = x32.is_some();
    let upper = x32.map_or_else(|| vec![Range::new(0, unlisted)], |x32| x32.ranges);
    let last = upper.last().map_or(unlisted, |range| range.decision);
    let clamped = |range: Range| Range::new(range.start.max(X32_BIT), range.decision);
    ranges.extend(upper.into_iter().map(clamped));
    ranges.push(Range::new(
        BIT_31,
        newer.unwrap_or(if listed { default } else { unlisted }),
    ));
    ranges.push(Range::new(BIT_31 | X32_BIT, last));
    if !listed {
        ranges.push(Range::new(u32::MAX, default));
    }
    // Of those that start at bit 30 the last counts.
    ranges.reverse();
    ranges.dedup_by_key(|range| range.start);
    ranges.reverse();
    ranges.dedup_by_key(|range| range.decision);
}

/// A search that halves the numbers rather than the ranges, because the kernel asks for every number once. Wide ranges
/// count as [`WIDE`], since real numbers end a little above the last name. Lone numbers
/// between equal neighbours take one comparison each.
struct Search<'a> {
    graph: &'a mut Graph,
    ranges: &'a [Range],
    /// Weight of all ranges before each.
    before: Vec<u32>,
}

const WIDE: u32 = 16;

fn search(graph: &mut Graph, ranges: &[Range]) -> NodeId {
    let mut before = Vec::with_capacity(ranges.len() + 1);
    let mut weight = 0;
    for (index, range) in ranges.iter().enumerate() {
        before.push(weight);
        let end = ranges.get(index + 1).map_or(u32::MAX, |next| next.start);
        weight += (end - range.start).min(WIDE);
    }
    before.push(weight);
    Search {
        graph,
        ranges,
        before,
    }
    .between(0, ranges.len())
}

impl Search<'_> {
    /// The decision among the ranges `first..end`, at least one.
    fn between(&mut self, first: usize, end: usize) -> NodeId {
        let ranges = &self.ranges[first..end];
        if let [only] = ranges {
            return only.decision;
        }
        if let Some(decision) = self.lone_numbers(ranges) {
            return decision;
        }
        let middle = self.middle(first, end);
        let (yes, no) = (self.between(middle, end), self.between(first, middle));
        self.test(
            Comparison::GreaterOrEqual,
            self.ranges[middle].start,
            yes,
            no,
        )
    }

    /// Up to three lone numbers between equal neighbours.
    fn lone_numbers(&mut self, ranges: &[Range]) -> Option<NodeId> {
        let around = ranges[0].decision;
        let is_lone = |pair: &[Range]| pair[1].start - pair[0].start == 1;
        let alternate = matches!(ranges.len(), 3 | 5 | 7)
            && ranges
                .iter()
                .step_by(2)
                .all(|range| range.decision == around)
            && ranges[1..].chunks(2).all(is_lone);
        let lone = ranges.iter().skip(1).step_by(2);
        alternate.then(|| {
            lone.rfold(around, |no, range| {
                self.test(Comparison::Equal, range.start, range.decision, no)
            })
        })
    }

    fn middle(&self, first: usize, end: usize) -> usize {
        let half = self.before[first].midpoint(self.before[end]);
        let inner = &self.before[first + 1..end];
        let above = inner
            .partition_point(|&weight| weight < half)
            .min(inner.len() - 1);
        let closer = above > 0 && half - inner[above - 1] < inner[above].abs_diff(half);
        first + 1 + above - usize::from(closer)
    }

    fn test(&mut self, comparison: Comparison, value: u32, yes: NodeId, no: NodeId) -> NodeId {
        self.graph.test(Test {
            offset: OFFSET_NUMBER,
            mask: u32::MAX,
            comparison,
            value,
            yes,
            no,
        })
    }
}

/// What the accumulator holds where a node is entered.
#[derive(Clone, Copy, Default)]
struct Entered {
    /// The word that the node compares.
    loaded: bool,
    /// Anything else.
    unloaded: bool,
}

/// Where a node stands in the program.
#[derive(Clone, Copy)]
struct Place {
    /// Before the load.
    full: Label,
    /// After the load: for who has loaded the same word.
    bare: Label,
}

/// Emits the graph below `root`.
pub(crate) fn place(graph: &Graph, root: NodeId) -> Result<Vec<Instruction>, SeccompError> {
    if graph.len() > 2 * MAX_INSTRUCTIONS {
        return Err(SeccompError::TooLong {
            instructions: graph.len(),
        });
    }
    let mut placer = Placer {
        graph,
        entered: entries(graph, root),
        places: vec![None; graph.len()],
        assembler: Assembler::default(),
    };
    placer.place(root);
    let program = placer.assembler.finish();
    if program.len() > MAX_INSTRUCTIONS {
        return Err(SeccompError::TooLong {
            instructions: program.len(),
        });
    }
    Ok(program)
}

/// How each node that `root` reaches is entered. Parents are younger than their children, so one pass from the
/// youngest node down sees every edge.
fn entries(graph: &Graph, root: NodeId) -> Vec<Entered> {
    let mut entered = vec![Entered::default(); graph.len()];
    entered[root.0 as usize].unloaded = true;
    for id in (0..=root.0).rev() {
        let Node::Test(test) = graph.get(NodeId(id)) else {
            continue;
        };
        let Entered { loaded, unloaded } = entered[id as usize];
        if !loaded && !unloaded {
            continue;
        }
        for child in [test.yes, test.no] {
            if keeps_word(&test, graph.get(child)) {
                entered[child.0 as usize].loaded = true;
            } else {
                entered[child.0 as usize].unloaded = true;
            }
        }
    }
    entered
}

/// After `test` the accumulator holds the word that `child` wants.
fn keeps_word(test: &Test, child: Node) -> bool {
    matches!(child, Node::Test(child) if test.mask == u32::MAX && child.offset == test.offset)
}

struct Placer<'a> {
    graph: &'a Graph,
    entered: Vec<Entered>,
    places: Vec<Option<Place>>,
    assembler: Assembler,
}

impl Placer<'_> {
    fn place(&mut self, id: NodeId) -> Place {
        let test = match self.graph.get(id) {
            Node::Return(value) => {
                let label = self.assembler.ret(value);
                return Place {
                    full: label,
                    bare: label,
                };
            }
            Node::Test(test) => test,
        };
        if let Some(place) = self.places[id.0 as usize] {
            return place;
        }
        let yes_end = matches!(self.graph.get(test.yes), Node::Return(_));
        // The code of `no` comes right behind the test. Ends are placed last, close to it.
        if !yes_end {
            self.place(test.yes);
        }
        self.place(test.no);
        let no = self.label(&test, test.no);
        let yes = self.label(&test, test.yes);
        let mut bare = self
            .assembler
            .branch(test.comparison.code(), test.value, yes, no);
        if test.mask != u32::MAX {
            bare = self.assembler.and(test.mask);
        }
        let full = if self.entered[id.0 as usize].unloaded {
            self.assembler.load(test.offset)
        } else {
            bare
        };
        let place = Place { full, bare };
        self.places[id.0 as usize] = Some(place);
        place
    }

    fn label(&mut self, test: &Test, child: NodeId) -> Label {
        let place = self.place(child);
        if keeps_word(test, self.graph.get(child)) {
            place.bare
        } else {
            place.full
        }
    }
}
