//! The bytes that `stage-init` decodes, and the frames and passwd files that are read around it.
use rustix::fd::AsRawFd;
use rustix::fs::{MemfdFlags, memfd_create};
use std::io::{Seek, Write};
use tare_stage::report::{FRAME, Frame};
use tare_stage::{Op, Program};

/// Runs one input: the first byte says what the rest is.
pub fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    match kind {
        b'f' => frame(rest),
        b'h' => home(rest),
        b's' => {
            let (parent, last) = tare_stage::doors::parent(rest);
            assert!(parent.len() + last.len() <= rest.len());
            assert!(!last.contains(&b'/'));
        }
        _ => program(rest),
    }
}

fn frame(bytes: &[u8]) {
    match Frame::from_bytes(bytes) {
        Some(frame) => {
            assert_eq!(bytes.len(), FRAME);
            assert_eq!(Frame::from_bytes(&frame.to_bytes()), Some(frame));
        }
        None => assert!(bytes.len() != FRAME || !matches!(bytes[..4], [1..=3, 0, 0, 0])),
    }
}

/// Whatever comes out of a program lies inside it, and asking twice gives the same.
fn program(bytes: &[u8]) {
    // Of its own size, so that a read past the end is one past the allocation; the allocator aligns it as tables need it.
    let mut own: Box<[u8]> = bytes.into();
    let range = own.as_ptr_range();
    let inside = |part: &[u8]| {
        let part = part.as_ptr_range();
        part.start >= range.start && part.end <= range.end
    };
    let Some(program) = Program::decode(&mut own) else {
        return;
    };
    for index in 0..program.count {
        let op = program.op(index);
        assert_eq!(op, program.op(index));
        match op {
            Some(Op::Exec { args, env } | Op::RunHook { args, env, .. }) => {
                let _ = (program.table(args).is_some(), program.table(env).is_some());
            }
            Some(Op::FindExecutable { candidates }) => {
                assert_eq!(candidates.iter().count(), candidates.count() as usize);
                assert!(
                    candidates
                        .iter()
                        .all(|text| inside(text.to_bytes_with_nul()))
                );
            }
            Some(Op::Hostname { name }) => assert!(inside(name.to_bytes_with_nul())),
            Some(Op::Seccomp { program, .. }) => assert!(inside(program)),
            _ => {}
        }
        let _ = format!("{op:?}");
    }
    assert_eq!(program.op(u32::MAX), None);
}

/// A passwd file that never ends well must not hold or break the start.
fn home(bytes: &[u8]) {
    let Ok(fd) = memfd_create("passwd", MemfdFlags::CLOEXEC) else {
        return;
    };
    let mut file = std::fs::File::from(fd);
    file.write_all(bytes).expect("memory takes it");
    file.rewind().expect("memory has a begin");
    let mut seen = None;
    let found = tare_stage::doors::home(tare_sys::Fd::new(file.as_raw_fd()), 0, |text| {
        seen = Some(text.to_vec());
    });
    assert_eq!(found, seen.is_some());
    if let Some(home) = seen {
        assert!(!home.is_empty() && !home.contains(&0) && !home.contains(&b'\n'));
        assert!(bytes.windows(home.len()).any(|part| part == home));
    }
}
