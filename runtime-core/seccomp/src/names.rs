//! System call names: from a name to its row in O(1), and back from a number.
use crate::arch::Arch;
use crate::syscalls::{COLUMNS, COUNT, ROWS};

/// A call known to at least one architecture: its index in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syscall(u16);

impl Syscall {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let mut place = hash(name.as_bytes());
        loop {
            match INDEX[place] {
                EMPTY => return None,
                row if ROWS[usize::from(row)].0 == name => return Some(Self(row)),
                _ => place = (place + 1) % PLACES,
            }
        }
    }

    pub(crate) fn name(self) -> &'static str {
        ROWS[usize::from(self.0)].0
    }

    pub(crate) fn row(self) -> &'static [u16; COLUMNS] {
        &ROWS[usize::from(self.0)].1
    }

    /// 101.. behind `socketcall`, 201.. behind `ipc`, 0 for all others.
    pub(crate) fn multiplexed(self) -> u16 {
        self.row()[COLUMNS - 1]
    }
}

/// The name of a number, for listings (linear).
pub(crate) fn name_of(arch: Arch, number: u32) -> Option<&'static str> {
    let traits = arch.traits();
    let slot = traits.slot_of_number(number)?;
    let row = ROWS
        .iter()
        .find(|(_, row)| traits.slot(row) == Some(slot))?;
    Some(row.0)
}

/// Four places a name, so that a probe rarely meets a neighbour.
const PLACES: usize = 2048;
const EMPTY: u16 = u16::MAX;

static INDEX: [u16; PLACES] = index();

const fn index() -> [u16; PLACES] {
    let mut places = [EMPTY; PLACES];
    let mut row = 0;
    while row < COUNT {
        let mut place = hash(ROWS[row].0.as_bytes());
        while places[place] != EMPTY {
            place = (place + 1) % PLACES;
        }
        places[place] = row as u16;
        row += 1;
    }
    places
}

const fn hash(name: &[u8]) -> usize {
    let mut state: u32 = name.len() as u32;
    let mut at = 0;
    while at < name.len() {
        state = (state ^ name[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    ((state ^ (state >> 15)) as usize) % PLACES
}
