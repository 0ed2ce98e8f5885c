//! memcpy(3) and memmove(3) as the compiler calls them, for `stage-init`, which has no libc, and for programs on musl, whose own
//! take 20 to 30 ns even for one byte.
use crate::bytes;

/// memcpy(3).
///
/// # Safety
/// As memcpy(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller's ranges are valid and apart.
    unsafe { bytes::copy(to, from, n) };
    to
}

/// memmove(3).
///
/// # Safety
/// As memmove(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the same contract.
    unsafe { bytes::copy(to, from, n) };
    to
}
