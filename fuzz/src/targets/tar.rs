//! An archive: the first byte says in which pieces it comes.
use tare_tar::{Entry, Kind, Limits, Reader, Sink, TarError};

#[derive(Default, PartialEq)]
struct Told {
    members: Vec<Entry>,
    contents: Vec<u64>,
    archive: Vec<u8>,
    open: bool,
    at: u64,
}

impl Sink for Told {
    type Error = TarError;

    fn entry(&mut self, entry: Entry) -> Result<(), TarError> {
        assert!(!self.open && !entry.path.is_empty() && !entry.path.contains(&0));
        assert!(entry.mode <= 0o7777 && entry.mtime.nanoseconds < 1_000_000_000);
        assert!(entry.kind == Kind::File || entry.size == 0 && entry.sparse.is_none());
        let mut end = 0;
        for segment in entry.sparse.iter().flatten() {
            assert!(segment.offset >= end && segment.length > 0);
            end = segment.offset + segment.length;
        }
        assert!(end <= entry.size);
        (self.open, self.at) = (true, 0);
        self.members.push(entry);
        self.contents.push(0);
        Ok(())
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TarError> {
        assert!(self.open && !bytes.is_empty() && offset >= self.at);
        self.at = offset + bytes.len() as u64;
        *self.contents.last_mut().expect("an entry is open") += bytes.len() as u64;
        self.archive.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), TarError> {
        assert!(self.open);
        self.open = false;
        let entry = self.members.last().expect("an entry is open");
        assert_eq!(self.contents.last(), Some(&entry.stored()));
        Ok(())
    }

    fn framing(&mut self, bytes: &[u8]) -> Result<(), TarError> {
        self.archive.extend_from_slice(bytes);
        Ok(())
    }
}

/// Small, so that short inputs meet them.
const LIMITS: Limits = Limits {
    extension: 2048,
    segments: 12,
};

fn read(archive: &[u8], piece: usize) -> (Told, Result<(), TarError>) {
    let mut reader = Reader::new(LIMITS);
    let mut told = Told::default();
    let pushed = archive
        .chunks(piece)
        .try_for_each(|piece| reader.push(piece, &mut told));
    let outcome = pushed.and_then(|()| reader.finish());
    (told, outcome)
}

/// Runs one input.
pub fn run(bytes: &[u8]) {
    let Some((piece, archive)) = bytes.split_first() else {
        return;
    };
    let (whole, outcome) = read(archive, archive.len().max(1));
    let (pieces, same) = read(archive, usize::from(*piece) + 1);
    assert_eq!(outcome, same, "it depends on the pieces");
    assert!(whole.members == pieces.members, "it depends on the pieces");
    match outcome {
        Ok(()) => assert!(whole.archive == archive, "a byte was lost"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
