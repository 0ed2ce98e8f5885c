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
                row if Self(row).bytes() == name.as_bytes() => return Some(Self(row)),
                _ => place = (place + 1) % PLACES,
            }
        }
    }

    pub(crate) fn name(self) -> &'static str {
        // The bytes are those of whole names.
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    pub(crate) fn row(self) -> &'static [u16; COLUMNS] {
        &NUMBERS[usize::from(self.0)]
    }

    /// 101.. behind `socketcall`, 201.. behind `ipc`, 0 for all others.
    pub(crate) fn multiplexed(self) -> u16 {
        self.row()[COLUMNS - 1]
    }

    fn bytes(self) -> &'static [u8] {
        let row = usize::from(self.0);
        &TEXT[usize::from(STARTS[row])..usize::from(STARTS[row + 1])]
    }
}

/// The name of a number, for listings (linear).
pub(crate) fn name_of(arch: Arch, number: u32) -> Option<&'static str> {
    let traits = arch.traits();
    let slot = traits.slot_of_number(number)?;
    let row = NUMBERS
        .iter()
        .position(|row| traits.slot(row) == Some(slot))?;
    Some(Syscall(row as u16).name())
}

// The table as it lies in the binary: without pointers, so that nothing is relocated when it is loaded.
static NUMBERS: [[u16; COLUMNS]; COUNT] = numbers();
static TEXT: [u8; length()] = text();
static STARTS: [u16; COUNT + 1] = starts();

const fn numbers() -> [[u16; COLUMNS]; COUNT] {
    let mut numbers = [[0; COLUMNS]; COUNT];
    let mut row = 0;
    while row < COUNT {
        numbers[row] = ROWS[row].1;
        row += 1;
    }
    numbers
}

const fn length() -> usize {
    starts()[COUNT] as usize
}

const fn starts() -> [u16; COUNT + 1] {
    let mut starts = [0; COUNT + 1];
    let mut row = 0;
    while row < COUNT {
        starts[row + 1] = starts[row] + ROWS[row].0.len() as u16;
        row += 1;
    }
    starts
}

const fn text() -> [u8; length()] {
    let mut text = [0; length()];
    let (mut row, mut end) = (0, 0);
    while row < COUNT {
        let name = ROWS[row].0.as_bytes();
        let mut at = 0;
        while at < name.len() {
            text[end] = name[at];
            (at, end) = (at + 1, end + 1);
        }
        row += 1;
    }
    text
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_row() {
        assert!(ROWS.is_sorted_by_key(|(name, _)| *name));
        for (name, numbers) in &ROWS {
            let call = Syscall::from_name(name).expect(name);
            assert_eq!((call.name(), call.row()), (*name, numbers));
        }
        for absent in ["", "rea", "reads", "READ", "\u{0}"] {
            assert_eq!(Syscall::from_name(absent), None);
        }
    }
}
