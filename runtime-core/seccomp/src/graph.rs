//! The filter as a decision graph without cycles: equal parts exist once.
use crate::program::code;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Index of a node; children are always older than their parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(pub(crate) u32);

/// A decision or an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Return(u32),
    Test(Test),
}

/// `if (word & mask) op value goto yes else goto no`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Test {
    /// Of the word in `struct seccomp_data`.
    pub(crate) offset: u32,
    /// All ones: the word is compared as it is.
    pub(crate) mask: u32,
    pub(crate) comparison: Comparison,
    pub(crate) value: u32,
    pub(crate) yes: NodeId,
    pub(crate) no: NodeId,
}

/// The comparisons of classic BPF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    AnyBit,
}

impl Comparison {
    pub(crate) fn code(self) -> u16 {
        match self {
            Self::Equal => code::JEQ,
            Self::Greater => code::JGT,
            Self::GreaterOrEqual => code::JGE,
            Self::AnyBit => code::JSET,
        }
    }
}

/// All nodes, children first.
pub(crate) struct Graph {
    nodes: Vec<Node>,
    known: HashMap<Node, NodeId, BuildHasherDefault<WordHasher>>,
}

impl Graph {
    pub(crate) fn new() -> Self {
        // Room for a profile like docker's on three architectures.
        let nodes = Vec::with_capacity(512);
        let known = HashMap::with_capacity_and_hasher(512, BuildHasherDefault::default());
        Self { nodes, known }
    }

    pub(crate) fn ret(&mut self, value: u32) -> NodeId {
        self.shared(Node::Return(value))
    }

    /// A test; if both ways lead to one place, that place.
    pub(crate) fn test(&mut self, test: Test) -> NodeId {
        if test.yes == test.no {
            test.yes
        } else {
            self.shared(Node::Test(test))
        }
    }

    pub(crate) fn get(&self, id: NodeId) -> Node {
        self.nodes[id.0 as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn shared(&mut self, node: Node) -> NodeId {
        let next = NodeId(self.nodes.len() as u32);
        let id = *self.known.entry(node).or_insert(next);
        if id == next {
            self.nodes.push(node);
        }
        id
    }
}

/// Multiplicative hashing of words: the keys are small integers and no one can profit from collisions beyond the
/// few thousand nodes a filter may have.
#[derive(Default)]
pub(crate) struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517C_C1B7_2722_0A95);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
