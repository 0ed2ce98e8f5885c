//! Pointer tables made from offsets, and the shared area, in memory of their own size.
use super::*;
use std::boxed::Box;
use std::ffi::CString;
use std::vec::Vec;

/// 24 bytes of table (two offsets and the end), then `ab`, `c`, as u64s so that it is aligned.
fn program(offsets: [u64; 3]) -> Box<[u64]> {
    let text = u64::from_ne_bytes(*b"ab\0c\0\0\0\0");
    offsets.into_iter().chain([text]).collect()
}

/// The same memory as bytes.
fn bytes(words: &mut [u64]) -> &mut [u8] {
    // SAFETY: u8 has no alignment and no invalid value, and the length is that of the words.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), words.len() * 8) }
}

#[test]
fn offsets_become_pointers() {
    let mut words = program([24, 27, 0]);
    let program = bytes(&mut words);
    PointerTable::relocate(program, 0, 2).unwrap();
    let table = PointerTable::filled(program, 0, 2).unwrap();
    assert_eq!(table.position(program, c"ab"), Some(0));
    assert_eq!(table.position(program, c"c"), Some(1));
    assert_eq!(table.position(program, c"a"), None);
    let base = program.as_ptr() as u64;
    assert_eq!(table.words, [base + 24, base + 27, 0]);
    // A second time they are no offsets any more.
    assert!(PointerTable::relocate(program, 0, 2).is_err());
}

#[test]
fn what_lies_outside_or_crooked_is_refused() {
    for (offsets, table, count) in [
        ([24, 27, 0], 0, 3),
        ([24, 27, 1], 0, 2),
        ([24, 32, 0], 0, 2),
        ([24, u64::MAX, 0], 0, 2),
        ([24, 27, 0], 1, 1),
        ([24, 27, 0], 8, usize::MAX),
        ([24, 27, 0], usize::MAX, 1),
        ([24, 27, 0], 32, 0),
    ] {
        let mut words = program(offsets);
        let found = PointerTable::relocate(bytes(&mut words), table, count);
        assert_eq!(found, Err(Errno::EINVAL), "{offsets:?} {table} {count}");
    }
    // A text without an end.
    let mut words = program([24, 27, 0]);
    words[3] = u64::from_ne_bytes(*b"abcdefgh");
    assert!(PointerTable::relocate(bytes(&mut words), 0, 2).is_err());
}

#[test]
#[cfg_attr(miri, ignore = "asks the kernel for memory, by assembler")]
fn a_copy_with_one_entry_changed() {
    let mut words = program([24, 27, 0]);
    let program = bytes(&mut words);
    PointerTable::relocate(program, 0, 2).unwrap();
    let table = PointerTable::filled(program, 0, 2).unwrap();
    let text = CString::new("x".repeat(5000)).unwrap();
    let copy = table.with(1, &text).unwrap();
    assert_eq!((copy.words[0], copy.words[2]), (table.words[0], 0));
    // SAFETY: `with` gives pointers to texts that are never unmapped.
    let seen = unsafe { CStr::from_ptr(copy.words[1] as *const core::ffi::c_char) };
    assert_eq!(seen, text.as_c_str());
    assert!(table.with(2, c"the end is no entry").is_err());
    assert!(table.with(9, c"").is_err());
}

#[test]
#[cfg_attr(miri, ignore = "maps a memfd, by assembler")]
fn the_area_of_a_file() {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    let path = std::env::temp_dir().join(std::format!("tare-area-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let fd = Fd::new(file.as_raw_fd());
    assert!(Area::map(fd, true).is_err(), "less than a page");
    let content: Vec<u8> = (0..PAGE + 100).map(|at| at as u8).collect();
    file.write_all(&content).unwrap();
    let mut shared = Area::map(fd, true).unwrap();
    let mut own = Area::map(fd, false).unwrap();
    assert_eq!(own.program(), &content[PAGE..]);
    // The page of words is one for both, the program is not.
    shared.progress().step.store(77, Ordering::Relaxed);
    let (progress, program) = own.split();
    assert_eq!(progress.step.load(Ordering::Relaxed), 77);
    program[0] = 200;
    assert_eq!(shared.program()[0], content[PAGE]);
    assert!(Area::map(Fd::new(-1), true).is_err());
}
