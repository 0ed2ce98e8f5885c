//! What libc would bring to `stage-init`: `_start`, the memory functions that the compiler calls, the panic handler.
//!
//! The panic handler refers to a symbol that does not exist: if any panic path survives optimisation the link fails. So the
//! absence of panics is shown by every build, not only by a scan.
use crate::bytes;
use core::ffi::CStr;

unsafe extern "Rust" {
    /// The program's main, defined by the binary with `#[unsafe(no_mangle)]`; `None` when it was started by hand.
    safe fn stage_main(first_argument: Option<&'static CStr>) -> !;
    safe fn a_panic_path_is_left_in_stage_init() -> !;
}

#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(".global _start", "_start:", "xor %ebp, %ebp", "mov %rsp, %rdi", "and $-16, %rsp", "call {main}", "ud2", main = sym start, options(att_syntax));
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(".global _start", "_start:", "mov x29, #0", "mov x30, #0", "mov x0, sp", "b {main}", main = sym start);

extern "C" fn start(stack: *const usize) -> ! {
    // SAFETY: the kernel's process entry ABI: argc, then argc pointers to NUL-terminated strings that live for ever.
    let first = unsafe {
        let argc = *stack;
        if argc < 2 {
            None
        } else {
            Some(CStr::from_ptr(*stack.add(2) as *const core::ffi::c_char))
        }
    };
    stage_main(first)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    a_panic_path_is_left_in_stage_init()
}

/// memset(3).
///
/// # Safety
/// As memset(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, value: i32, n: usize) -> *mut u8 {
    // SAFETY: the same contract.
    unsafe { bytes::fill(to, value as u8, n) };
    to
}

/// memcmp(3).
///
/// # Safety
/// As memcmp(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { bytes::compare(a, b, n) }
}

/// bcmp(3).
///
/// # Safety
/// As bcmp(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the same contract.
    unsafe { bytes::compare(a, b, n) }
}

/// strlen(3), which `CStr::from_ptr` calls.
///
/// # Safety
/// As strlen(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strlen(text: *const core::ffi::c_char) -> usize {
    // SAFETY: the same contract.
    unsafe { bytes::length(text.cast()) }
}
