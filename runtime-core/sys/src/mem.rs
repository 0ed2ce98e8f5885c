//! The area shared by host and child: one memfd, its first page progress words, the rest the program.
use crate::arch::call;
use crate::{Errno, Fd, Result};
use core::ffi::CStr;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use linux_raw_sys::general as raw;

/// Bytes of the first page.
pub const PAGE: usize = 4096;
/// Steps whose time the page can keep.
pub const TIMED_STEPS: usize = 480;

/// The first page of the area: written by the child, read by the host (and the one word the other way).
#[repr(C)]
pub struct Progress {
    /// 1 + number of the step being run; 0 before the first.
    pub step: AtomicU32,
    /// 1 when the child is to note the time of each step.
    pub timed: AtomicU32,
    /// 1 + number of the listener's fd in the child; 0 before.
    pub listener: AtomicI32,
    /// 1 when the host has taken the listener.
    pub listener_taken: AtomicU32,
    /// 1 + index of the executable found among the candidates.
    pub executable: AtomicU32,
    /// 1 + the errno that made the child give up, for readers that come after the socket is gone.
    pub errno: AtomicU32,
    /// CLOCK_MONOTONIC ns at the end of each step.
    pub times: [AtomicU64; TIMED_STEPS],
}

const _: () = assert!(size_of::<Progress>() <= PAGE);

/// The whole area, mapped: progress page shared, program private (so that pointer tables can be filled in).
pub struct Area {
    base: *mut u8,
    length: usize,
}

impl Area {
    /// Maps a memfd of at least a page. `shared` keeps all of it shared (host); else the program part is a private copy (child).
    pub fn map(fd: Fd, shared: bool) -> Result<Area> {
        let length = usize::try_from(crate::fd::stat(fd)?.size).map_err(|_| Errno::EFBIG)?;
        if length < PAGE {
            return Err(Errno::EINVAL);
        }
        const READ_WRITE: u32 = raw::PROT_READ | raw::PROT_WRITE;
        let base = call!(
            __NR_mmap,
            0,
            length,
            READ_WRITE,
            raw::MAP_SHARED,
            fd.reg(),
            0
        )?;
        if !shared && length > PAGE {
            call!(
                __NR_mmap,
                base + PAGE,
                length - PAGE,
                READ_WRITE,
                raw::MAP_PRIVATE | raw::MAP_FIXED,
                fd.reg(),
                PAGE
            )?;
        }
        Ok(Area {
            base: base as *mut u8,
            length,
        })
    }

    /// The progress page.
    pub fn progress(&self) -> &Progress {
        // SAFETY: the mapping is at least a page, page-aligned, lives as long as self, and Progress is atomics only.
        unsafe { &*self.base.cast::<Progress>() }
    }

    /// The program's bytes. In the host: before the child runs.
    pub fn program(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is `length` bytes, lives as long as self; the other process never writes beyond the first page.
        unsafe { core::slice::from_raw_parts_mut(self.base.add(PAGE), self.length - PAGE) }
    }

    /// Both parts at once.
    pub fn split(&mut self) -> (&Progress, &mut [u8]) {
        // SAFETY: as in `progress` and `program`; the two ranges don't overlap.
        unsafe {
            let program = core::slice::from_raw_parts_mut(self.base.add(PAGE), self.length - PAGE);
            (&*self.base.cast::<Progress>(), program)
        }
    }

    /// Never unmapped: the slices handed out live for the program's life (`stage-init` ends with execve).
    pub fn leak(self) -> &'static mut Area {
        static mut LEAKED: core::mem::MaybeUninit<Area> = core::mem::MaybeUninit::uninit();
        static ONCE: AtomicU32 = AtomicU32::new(0);
        if ONCE.swap(1, Ordering::AcqRel) != 0 {
            // A second area in one process would alias the first: only stage-init calls this, once.
            crate::process::exit(125);
        }
        let place = &raw mut LEAKED;
        // SAFETY: the swap above lets exactly one caller here; nothing else names LEAKED.
        unsafe { (*place).write(self) }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        let _ = call!(__NR_munmap, self.base, self.length);
    }
}

// SAFETY: the progress page is atomics, and the program part is reached through &mut self only.
unsafe impl Send for Area {}

/// Has the kernel forget which pages of this program's text and constants are mapped: what is used again is mapped again, from the
/// page cache. For a long-lived process that has done something large and goes to sleep.
///
/// Errors: those of madvise(2); nothing is forgotten then.
#[cfg(feature = "heap")]
pub fn forget_text() -> Result<()> {
    unsafe extern "C" {
        /// The linker's names for the program's begin and the end of its text, between which nothing is ever written: what is
        /// relocated comes after them.
        static __executable_start: u8;
        static etext: u8;
    }
    let start = (&raw const __executable_start) as usize;
    let end = (&raw const etext) as usize & !(PAGE - 1);
    let length = end.checked_sub(start).ok_or(Errno::EINVAL)?;
    call!(__NR_madvise, start, length, raw::MADV_DONTNEED)?;
    Ok(())
}

/// A null-terminated array of C strings in the program's own memory, as execve(2) takes.
#[derive(Clone, Copy)]
pub struct PointerTable<'a> {
    words: &'a [u64],
}

impl<'a> PointerTable<'a> {
    /// Turns `count` offsets (each a u64, from the program's start, of a NUL-terminated string) and a final 0, which stand at
    /// `table`, into pointers. Fails on anything out of bounds, unaligned or unterminated.
    pub fn relocate(program: &mut [u8], table: usize, count: usize) -> Result<()> {
        let base = program.as_ptr() as u64;
        PointerTable::filled(program, table, count)?;
        for index in 0..count {
            let at = table + index * 8;
            let offset = word(program, at).ok_or(Errno::EINVAL)?;
            let text = usize::try_from(offset)
                .ok()
                .and_then(|o| program.get(o..))
                .ok_or(Errno::EINVAL)?;
            if CStr::from_bytes_until_nul(text).is_err() {
                return Err(Errno::EINVAL);
            }
            let pointer = base.wrapping_add(offset).to_ne_bytes();
            program
                .get_mut(at..at + 8)
                .ok_or(Errno::EINVAL)?
                .copy_from_slice(&pointer);
        }
        Ok(())
    }

    /// The table at an offset after [`PointerTable::relocate`]. A wrong pointer in it makes execve(2) fail with EFAULT.
    pub fn filled(program: &'a [u8], table: usize, count: usize) -> Result<PointerTable<'a>> {
        let words = count.checked_add(1).ok_or(Errno::EINVAL)?;
        let end = words
            .checked_mul(8)
            .and_then(|n| n.checked_add(table))
            .ok_or(Errno::EINVAL)?;
        let bytes = program.get(table..end).ok_or(Errno::EINVAL)?;
        let aligned = (bytes.as_ptr() as usize).is_multiple_of(8);
        if !aligned || word(program, table + count * 8) != Some(0) {
            return Err(Errno::EINVAL);
        }
        // SAFETY: `bytes` is in bounds, 8-aligned and `words` * 8 long; u64 has no invalid value.
        let words = unsafe { core::slice::from_raw_parts(bytes.as_ptr().cast::<u64>(), words) };
        Ok(PointerTable { words })
    }

    /// A copy in memory of its own with one entry replaced; both live until execve.
    pub fn with(self, index: usize, text: &CStr) -> Result<PointerTable<'static>> {
        let table = self.words.len() * 8;
        let bytes = text.to_bytes_with_nul();
        const PRIVATE: u32 = raw::MAP_PRIVATE | raw::MAP_ANONYMOUS;
        let base = call!(
            __NR_mmap,
            0,
            table + bytes.len(),
            raw::PROT_READ | raw::PROT_WRITE,
            PRIVATE,
            usize::MAX,
            0
        )?;
        // SAFETY: the kernel has just given this memory, page-aligned and of this size, to nobody else; it is never unmapped.
        let (words, place) = unsafe {
            let words = core::slice::from_raw_parts_mut(base as *mut u64, self.words.len());
            (
                words,
                core::slice::from_raw_parts_mut((base + table) as *mut u8, bytes.len()),
            )
        };
        for (to, from) in words.iter_mut().zip(self.words) {
            *to = *from;
        }
        for (to, from) in place.iter_mut().zip(bytes) {
            *to = *from;
        }
        *words
            .get_mut(index)
            .filter(|word| **word != 0)
            .ok_or(Errno::EINVAL)? = place.as_ptr() as u64;
        Ok(PointerTable { words })
    }

    /// Index of the entry that is exactly this text. Only for a table filled in by [`PointerTable::relocate`] over `program`.
    pub fn position(self, program: &[u8], text: &CStr) -> Option<usize> {
        let base = program.as_ptr() as u64;
        self.words.iter().position(|word| {
            let bytes = usize::try_from(word.wrapping_sub(base))
                .ok()
                .and_then(|at| program.get(at..));
            bytes.is_some_and(|bytes| bytes.starts_with(text.to_bytes_with_nul()))
        })
    }

    pub(crate) fn as_ptr(self) -> *const u64 {
        self.words.as_ptr()
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(
        bytes.get(at..at.checked_add(8)?)?.try_into().ok()?,
    ))
}

#[cfg(test)]
#[path = "mem_tests.rs"]
mod tests;
