//! The flat form of a child lane: a header, records of words, and a blob of strings; validated on decode.
//!
//! ```text
//! word 0  magic "TAR1"      word 4  control fd's number (the first of the fds handed over)
//! word 1  number of ops     word 5  number of fds handed over; slot i is fd control + 1 + i
//! word 2  flags             word 6  offset of the records     word 7  offset of the blob's end (length of the program)
//! then at word 6: one u32 offset for each op (into the program), then the ops' words, then the blob
//! ```
//! Words are native-endian: writer and reader are the same machine. A string is the offset of its NUL-terminated bytes; a byte
//! array offset and length; a list offset and count of consecutive strings; a table offset and count of u64 string offsets
//! ended by 0, which [`Program::decode`] turns into pointers for execve(2).
use crate::op::Op;
use core::ffi::CStr;
use tare_sys::mem::PointerTable;

/// First word.
pub const MAGIC: u32 = u32::from_ne_bytes(*b"TAR1");
/// Words of the header.
pub const HEADER: usize = 8; // read by `lower`
/// Highest number of slots.
pub const SLOTS: usize = 1024;

/// Header flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u32);

impl Flags {
    /// Note the time after each step in the progress page.
    pub const TIMED: u32 = 1;
}

/// A decoded program.
#[derive(Clone, Copy)]
pub struct Program<'p> {
    bytes: &'p [u8],
    /// Number of ops.
    pub count: u32,
    /// Number of the control socket's fd.
    pub control: i32,
    /// Number of slots that are handed over.
    pub handed: u32,
    /// What a test wants to go wrong.
    #[cfg(feature = "proof")]
    pub fault: crate::fault::Fault,
}

impl<'p> Program<'p> {
    /// Validates everything: offsets, strings, slots, codes. Pointer tables are filled in.
    pub fn decode(bytes: &'p mut [u8]) -> Option<Program<'p>> {
        let header = |index: usize| word_at(bytes, index * 4);
        let (magic, count, control, handed) = (header(0)?, header(1)?, header(4)?, header(5)?);
        if magic != MAGIC || count > 4096 || handed as usize > SLOTS || control > 1 << 20 {
            return None;
        }
        for index in 0..count {
            let tables = match Program::at(bytes, index)? {
                Op::Exec { args, env } | Op::RunHook { args, env, .. } => [args, env],
                _ => continue,
            };
            for table in tables {
                PointerTable::relocate(bytes, table.at as usize, table.count as usize).ok()?;
            }
        }
        #[cfg(feature = "proof")]
        let fault = crate::fault::Fault(word_at(bytes, 12)?);
        Some(Program {
            bytes,
            count,
            control: i32::try_from(control).ok()?,
            handed,
            #[cfg(feature = "proof")]
            fault,
        })
    }

    /// Op number `index`, from 0.
    pub fn op(&self, index: u32) -> Option<Op<'p>> {
        Program::at(self.bytes, index)
    }

    //// Its first word only, for who looks for a few kinds among all.
    pub(crate) fn code(&self, index: u32) -> Option<u32> {
        Program::record(self.bytes, index)?.word()
    }

    /// A table of this program, filled in by [`Program::decode`].
    pub fn table(&self, table: Table) -> Option<PointerTable<'p>> {
        PointerTable::filled(self.bytes, table.at as usize, table.count as usize).ok()
    }

    /// The environment of the last op, the execve, and the index of the entry that is exactly this text.
    pub(crate) fn find_variable(&self, entry: &CStr) -> Option<(PointerTable<'p>, usize)> {
        let Op::Exec { env, .. } = self.op(self.count.checked_sub(1)?)? else {
            return None;
        };
        let table = self.table(env)?;
        Some((table, table.position(self.bytes, entry)?))
    }

    fn at(bytes: &[u8], index: u32) -> Option<Op<'_>> {
        Op::decode(&mut Program::record(bytes, index)?)
    }

    fn record(bytes: &[u8], index: u32) -> Option<Reader<'_>> {
        let records = word_at(bytes, 24)? as usize;
        let at = word_at(bytes, records.checked_add(index as usize * 4)?)? as usize;
        Some(Reader { bytes, at })
    }
}

/// Where an encoder puts words and blobs.
pub trait Sink {
    /// Appends a word to the current record.
    fn word(&mut self, word: u32);
    /// Stores bytes in the blob; their offset in the program.
    fn blob(&mut self, bytes: &[u8]) -> u32;
    /// Appends a word that is an offset in the blob, as [`Sink::blob`] gives it: of a table that was stored before.
    fn offset(&mut self, at: u32);
}

/// Sequential reader of one record.
pub struct Reader<'p> {
    bytes: &'p [u8],
    at: usize,
}

impl<'p> Reader<'p> {
    pub(crate) fn word(&mut self) -> Option<u32> {
        let word = word_at(self.bytes, self.at)?;
        self.at += 4;
        Some(word)
    }
}

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

/// A field's form in words.
pub(crate) trait Field<'p>: Sized {
    fn put(&self, sink: &mut impl Sink);
    fn get(reader: &mut Reader<'p>) -> Option<Self>;
}

impl<'p> Field<'p> for u32 {
    fn put(&self, sink: &mut impl Sink) {
        sink.word(*self);
    }
    fn get(reader: &mut Reader<'p>) -> Option<u32> {
        reader.word()
    }
}

impl<'p> Field<'p> for u64 {
    fn put(&self, sink: &mut impl Sink) {
        sink.word(*self as u32);
        sink.word((*self >> 32) as u32);
    }
    fn get(reader: &mut Reader<'p>) -> Option<u64> {
        Some(u64::from(reader.word()?) | u64::from(reader.word()?) << 32)
    }
}

impl<'p> Field<'p> for bool {
    fn put(&self, sink: &mut impl Sink) {
        sink.word(u32::from(*self));
    }
    fn get(reader: &mut Reader<'p>) -> Option<bool> {
        match reader.word()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// A slot.
impl<'p> Field<'p> for u16 {
    fn put(&self, sink: &mut impl Sink) {
        sink.word(u32::from(*self));
    }
    fn get(reader: &mut Reader<'p>) -> Option<u16> {
        reader
            .word()
            .filter(|slot| (*slot as usize) < SLOTS)
            .and_then(|slot| u16::try_from(slot).ok())
    }
}

impl<'p> Field<'p> for Option<u16> {
    fn put(&self, sink: &mut impl Sink) {
        sink.word(self.map_or(0, |slot| u32::from(slot) + 1));
    }
    fn get(reader: &mut Reader<'p>) -> Option<Option<u16>> {
        match reader.word()? {
            0 => Some(None),
            n if (n as usize) <= SLOTS => Some(u16::try_from(n - 1).ok()),
            _ => None,
        }
    }
}

impl<'p> Field<'p> for &'p CStr {
    fn put(&self, sink: &mut impl Sink) {
        let at = sink.blob(self.to_bytes_with_nul());
        sink.word(at);
    }
    fn get(reader: &mut Reader<'p>) -> Option<&'p CStr> {
        let at = reader.word()? as usize;
        CStr::from_bytes_until_nul(reader.bytes.get(at..)?).ok()
    }
}

impl<'p> Field<'p> for &'p [u8] {
    fn put(&self, sink: &mut impl Sink) {
        let at = sink.blob(self);
        sink.word(at);
        sink.word(self.len() as u32);
    }
    fn get(reader: &mut Reader<'p>) -> Option<&'p [u8]> {
        let (at, length) = (reader.word()? as usize, reader.word()? as usize);
        reader.bytes.get(at..at.checked_add(length)?)
    }
}

/// Consecutive NUL-terminated strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List<'p> {
    bytes: &'p [u8],
    count: u32,
}

impl<'p> List<'p> {
    /// From `count` strings with their NULs, one after the other.
    pub fn new(bytes: &'p [u8], count: u32) -> List<'p> {
        List { bytes, count }
    }
    /// The strings.
    pub fn iter(self) -> impl Iterator<Item = &'p CStr> {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| {
            let text = CStr::from_bytes_until_nul(rest).ok()?;
            rest = rest.get(text.count_bytes() + 1..)?;
            Some(text)
        })
    }
    /// How many.
    pub fn count(self) -> u32 {
        self.count
    }
}

impl<'p> Field<'p> for List<'p> {
    fn put(&self, sink: &mut impl Sink) {
        Field::put(&self.bytes, sink);
        sink.word(self.count);
    }
    fn get(reader: &mut Reader<'p>) -> Option<List<'p>> {
        let list = List {
            bytes: Field::get(reader)?,
            count: reader.word()?,
        };
        (list.iter().count() == list.count as usize).then_some(list)
    }
}

/// An array for execve(2): offset of `count` u64 string offsets and a 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Offset in the program, a multiple of 8.
    pub at: u32,
    /// Strings.
    pub count: u32,
}

impl<'p> Field<'p> for Table {
    fn put(&self, sink: &mut impl Sink) {
        sink.offset(self.at);
        sink.word(self.count);
    }
    fn get(reader: &mut Reader<'p>) -> Option<Table> {
        Some(Table {
            at: reader.word()?,
            count: reader.word()?,
        })
    }
}
