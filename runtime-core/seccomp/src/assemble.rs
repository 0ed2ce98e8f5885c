//! Assembly from the end backwards: every jump goes to code that is already placed.
use crate::graph::WordHasher;
use crate::program::{Instruction, code};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// The program under construction, last instruction first.
#[derive(Default)]
pub(crate) struct Assembler {
    reversed: Vec<Instruction>,
    /// The nearest `return` of each value.
    returns: HashMap<u32, Label, BuildHasherDefault<WordHasher>>,
}

/// A place in the program, counted from its end: the instruction at `reversed[label - 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Label(u32);

/// Longest distance of a conditional jump.
const REACH: u32 = u8::MAX as u32;

impl Assembler {
    pub(crate) fn load(&mut self, offset: u32) -> Label {
        self.push(code::LOAD, 0, 0, offset)
    }

    pub(crate) fn and(&mut self, mask: u32) -> Label {
        self.push(code::AND, 0, 0, mask)
    }

    /// A `return`, shared with an earlier one that a conditional jump can still reach.
    pub(crate) fn ret(&mut self, value: u32) -> Label {
        match self.returns.get(&value) {
            // One instruction of room: the jump's other side may need a relay.
            Some(&label) if self.distance(label) < REACH => label,
            _ => {
                let label = self.push(code::RETURN, 0, 0, value);
                self.returns.insert(value, label);
                label
            }
        }
    }

    /// `if A op k goto yes else goto no`.
    pub(crate) fn branch(&mut self, operation: u16, k: u32, yes: Label, no: Label) -> Label {
        let yes = self.near(yes, REACH - 1);
        let no = self.near(no, REACH);
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.push(operation, jt, jf, k)
    }

    pub(crate) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    /// A label for the same code that a conditional jump can reach.
    fn near(&mut self, label: Label, reach: u32) -> Label {
        match self.distance(label) {
            distance if distance <= reach => label,
            distance => self.relay(label, distance),
        }
    }

    fn relay(&mut self, label: Label, distance: u32) -> Label {
        let target = self.reversed[label.0 as usize - 1];
        if target.code == code::RETURN {
            let label = self.push(code::RETURN, 0, 0, target.k);
            self.returns.insert(target.k, label);
            return label;
        }
        self.push(code::JUMP, 0, 0, distance)
    }

    fn distance(&self, label: Label) -> u32 {
        self.reversed.len() as u32 - label.0
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt, jf, k });
        Label(self.reversed.len() as u32)
    }
}
