//! What the writer writes the reader reads, whatever the pieces; odd and hostile archives get their error.

use proptest::prelude::*;
use tare_tar::{BLOCK, Entry, Kind, Limits, Reader, Sink, TarError, Time, Writer};

/// Keeps everything.
#[derive(Default, Debug, PartialEq)]
struct Kept {
    members: Vec<(Entry, Vec<u8>)>,
    open: bool,
    /// The archive, put together again from what was told.
    archive: Vec<u8>,
}

impl Sink for Kept {
    type Error = TarError;

    fn entry(&mut self, entry: Entry) -> Result<(), TarError> {
        assert!(!self.open, "the member before was not ended");
        self.open = true;
        self.members.push((entry, Vec::new()));
        Ok(())
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<(), TarError> {
        assert!(self.open && !bytes.is_empty());
        self.archive.extend_from_slice(bytes);
        let content = &mut self.members.last_mut().unwrap().1;
        let offset = usize::try_from(offset).unwrap();
        assert!(content.len() <= offset, "pieces ascend");
        content.resize(offset, 0);
        content.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), TarError> {
        assert!(self.open);
        self.open = false;
        let (entry, content) = self.members.last_mut().unwrap();
        content.resize(usize::try_from(entry.size).unwrap(), 0);
        Ok(())
    }

    fn framing(&mut self, bytes: &[u8]) -> Result<(), TarError> {
        self.archive.extend_from_slice(bytes);
        Ok(())
    }
}

fn read(archive: &[u8], piece: usize) -> Result<Kept, TarError> {
    let mut reader = Reader::new(Limits::default());
    let mut kept = Kept::default();
    for piece in archive.chunks(piece) {
        reader.push(piece, &mut kept)?;
    }
    reader.finish()?;
    assert!(kept.archive == archive, "every byte is told once");
    Ok(kept)
}

fn write(members: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new();
    for (entry, content) in members {
        writer.entry(entry);
        if !content.is_empty() {
            writer.data(content);
        }
    }
    writer.finish();
    std::mem::take(writer.output())
}

fn file(path: &str, content: &[u8]) -> (Entry, Vec<u8>) {
    let mut entry = Entry::new(Kind::File, path.as_bytes(), 0o644);
    entry.size = content.len() as u64;
    (entry, content.to_vec())
}

/// A header of ours with some bytes changed and the checksum made right.
fn changed(path: &str, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut archive = write(&[file(path, b"")]);
    change(&mut archive[..BLOCK]);
    seal(&mut archive[..BLOCK]);
    archive
}

fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An extension of a flag with content.
fn extension(flag: u8, content: &[u8]) -> Vec<u8> {
    let mut archive = write(&[file("x", content)]);
    archive[156] = flag;
    seal(&mut archive[..BLOCK]);
    archive.truncate(archive.len() - 2 * BLOCK);
    archive
}

#[track_caller]
fn refused(archive: &[u8], expect: &str) {
    for piece in [1, 511, 4096] {
        let error = read(archive, piece)
            .expect_err("must be refused")
            .to_string();
        assert!(error.contains(expect), "{error}");
    }
}

fn member() -> impl Strategy<Value = (Entry, Vec<u8>)> {
    let name = prop_oneof![
        "[a-z/]{1,40}",
        "[a-z]{90,130}",
        "[a-z/]{140,300}",
        "[ä-ü]{1,60}",
    ];
    let xattrs = prop::collection::vec(
        (
            "user\\.[a-z]{1,9}",
            prop::collection::vec(any::<u8>(), 0..40),
        ),
        0..3,
    );
    (
        (name.clone(), name, 0..7u8, 0..=0o7777u32),
        (
            any::<u32>(),
            0..u64::from(u32::MAX) * 2,
            any::<i32>(),
            0..1_000_000_000u32,
        ),
        (
            xattrs,
            prop::collection::vec(any::<u8>(), 0..1200),
            any::<(u16, u16)>(),
        ),
    )
        .prop_map(
            |(
                (path, link, kind, mode),
                (uid, gid, seconds, nanoseconds),
                (xattrs, content, device),
            )| {
                let kind = [
                    Kind::File,
                    Kind::Hardlink,
                    Kind::Symlink,
                    Kind::CharDevice,
                    Kind::BlockDevice,
                    Kind::Directory,
                    Kind::Fifo,
                ][usize::from(kind)]
                .clone();
                let mut entry = Entry::new(kind, path.as_bytes(), mode);
                entry.uid = u64::from(uid);
                entry.gid = gid;
                entry.mtime = Time {
                    seconds: i64::from(seconds),
                    nanoseconds,
                };
                let mut content = content;
                match entry.kind {
                    Kind::File => entry.size = content.len() as u64,
                    _ => content.clear(),
                }
                if matches!(entry.kind, Kind::Hardlink | Kind::Symlink) {
                    entry.link = link.into_bytes();
                }
                if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
                    entry.device = (u32::from(device.0), u32::from(device.1));
                }
                let mut xattrs: Vec<_> = xattrs
                    .into_iter()
                    .map(|(name, value)| (name.into_bytes(), value))
                    .collect();
                xattrs.sort();
                xattrs.dedup_by(|a, b| a.0 == b.0);
                entry.xattrs = xattrs;
                (entry, content)
            },
        )
}

proptest! {
    #[test]
    fn what_is_written_is_read(members in prop::collection::vec(member(), 0..5), piece in 1..2000usize) {
        let archive = write(&members);
        prop_assert_eq!(archive.len() % BLOCK, 0);
        prop_assert_eq!(read(&archive, piece).unwrap().members, members);
    }

    #[test]
    fn damage_is_no_crash(members in prop::collection::vec(member(), 1..3), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut archive = write(&members);
        let at = at.index(archive.len());
        archive[at] = with;
        let whole = read(&archive, 100_000);
        prop_assert_eq!(read(&archive, 7), whole);
    }
}

#[test]
fn an_end_is_not_needed_but_no_member_is_cut() {
    let whole = write(&[file("a", b"content")]);
    assert_eq!(read(&whole[..2 * BLOCK], 100).unwrap().members.len(), 1);
    assert_eq!(read(&whole[..3 * BLOCK], 100).unwrap().members.len(), 1);
    assert_eq!(read(&[], 1).unwrap().members.len(), 0);
    refused(&whole[..BLOCK - 1], "in the middle of a header");
    refused(&whole[..BLOCK + 3], "in the middle of a file's content");
    // As umoci writes them.
    assert_eq!(read(&whole[..BLOCK + 9], 100).unwrap().members.len(), 1);
    let extended = extension(b'x', b"12 path=abc\n");
    refused(&extended, "without the entry");
    // Whatever follows the end is not looked at.
    let trailing = [&whole[..], b"rubbish"].concat();
    assert_eq!(read(&trailing, 100).unwrap().members.len(), 1);
}

#[test]
fn headers_that_make_no_sense() {
    let mut wrong = write(&[file("a", b"")]);
    wrong[0] = b'b';
    refused(&wrong, "byte 0 has a wrong checksum");
    refused(b"\x7fELF".repeat(200).as_slice(), "checksum");
    refused(
        &changed("a", |header| {
            header[124..136].copy_from_slice(b"-1         \0")
        }),
        "no valid size",
    );
    refused(
        &changed("a", |header| header[124..128].fill(0xff)),
        "no valid size",
    );
    refused(
        &changed("a", |header| header[156] = b'V'),
        "has the type 'V'",
    );
    refused(&changed("a", |header| header[0] = 0), "has no name");
    let mut lone = write(&[file("a", b"")]);
    lone.extend_from_within(..BLOCK);
    lone.drain(BLOCK..2 * BLOCK);
    refused(&lone, "one block of zeros at byte 512");
}

#[test]
fn sizes_beyond_reason() {
    let huge = changed("a", |header| {
        header[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff")
    });
    refused(&huge, "too large");
    let mut bomb = extension(b'x', b"");
    bomb[124..136].copy_from_slice(b"77777777777\0");
    seal(&mut bomb[..BLOCK]);
    refused(
        &bomb,
        "an extended header of 8589934591, the limit is 1048576",
    );
}

/// The size in a pax header belongs to the file, whatever stands between: GNU's long name has its own.
#[test]
fn a_size_is_not_taken_by_another_extension() {
    let archive = [
        extension(b'x', b"11 size=10\n"),
        extension(b'L', b"the-long-name\0"),
        changed("short", |header| header[124..136].fill(0))[..BLOCK].to_vec(),
        b"0123456789".to_vec(),
        vec![0; BLOCK - 10 + 2 * BLOCK],
    ]
    .concat();
    let kept = read(&archive, 512).unwrap();
    assert_eq!(kept.members[0].0.path, b"the-long-name");
    assert_eq!(kept.members[0].1, b"0123456789");
}

#[test]
fn a_link_has_no_content_whatever_its_size() {
    let mut archive = changed("link", |header| {
        header[156] = b'1';
        header[157] = b'a';
        header[124..136].copy_from_slice(b"00000002000\0");
    });
    archive.splice(BLOCK..BLOCK, write(&[file("next", b"")])[..BLOCK].to_vec());
    let kept = read(&archive, 700).unwrap();
    assert_eq!(kept.members.len(), 2);
    assert_eq!(kept.members[1].0.path, b"next");
}

#[test]
fn global_headers_are_skipped() {
    let archive = [
        extension(b'g', b"12 path=abc\n"),
        write(&[file("own", b"")]),
    ]
    .concat();
    assert_eq!(read(&archive, 512).unwrap().members[0].0.path, b"own");
}

#[test]
fn old_archives_mark_directories_by_a_slash() {
    let archive = changed("dir/", |header| {
        header[156] = 0;
        header[257..265].fill(0);
    });
    assert_eq!(
        read(&archive, 512).unwrap().members[0].0.kind,
        Kind::Directory
    );
}

#[test]
fn sparse_maps() {
    let records = |map: &str| {
        let text = format!("GNU.sparse.map={map}\n");
        format!("23 GNU.sparse.size=100\n{} {text}", text.len() + 3)
    };
    let archive = |map: &str, content: &[u8]| {
        let record = records(map);
        [
            extension(b'x', record.as_bytes()),
            write(&[file("s", content)]),
        ]
        .concat()
    };
    let kept = read(&archive("10,2,50,1", b"abc"), 100).unwrap();
    let (entry, content) = &kept.members[0];
    assert_eq!((entry.size, entry.stored()), (100, 3));
    assert_eq!(content.len(), 100);
    assert_eq!(
        (content[10], content[11], content[50], content[51]),
        (b'a', b'b', b'c', 0)
    );
    refused(&archive("10,2,11,1", b"abc"), "overlap");
    refused(&archive("99,3", b"abc"), "beyond the end");
    refused(&archive("10,2", b"abc"), "more or less content");
    refused(&archive("18446744073709551615,3", b"abc"), "beyond");
}
