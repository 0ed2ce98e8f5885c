//! The system-call instruction of each architecture.
//!
//! # Safety
//! A system call can do anything that the kernel lets the process do; each caller in this crate passes only numbers, and pointers
//! made from live references whose length the call is told.

/// One system call with up to six arguments.
///
/// # Safety
/// The arguments must be what the call's manual page asks for; memory that it writes must be writable and not otherwise borrowed.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub unsafe fn syscall(number: u32, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the x86-64 ABI: rax is number and result, rcx and r11 are overwritten; the caller vouches for the arguments.
    unsafe {
        core::arch::asm!("syscall", inlateout("rax") number as isize => result, in("rdi") args[0], in("rsi") args[1],
            in("rdx") args[2], in("r10") args[3], in("r8") args[4], in("r9") args[5], lateout("rcx") _, lateout("r11") _,
            options(nostack));
    }
    result
}

/// One system call with up to six arguments.
///
/// # Safety
/// The arguments must be what the call's manual page asks for; memory that it writes must be writable and not otherwise borrowed.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
pub unsafe fn syscall(number: u32, args: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the AArch64 ABI: x8 is the number, x0 the result; the caller vouches for the arguments.
    unsafe {
        core::arch::asm!("svc 0", in("x8") number as usize, inlateout("x0") args[0] as isize => result, in("x1") args[1],
            in("x2") args[2], in("x3") args[3], in("x4") args[4], in("x5") args[5], options(nostack));
    }
    result
}

/// Calls by name with any argument that fits a register, and reads the result.
macro_rules! call {
    ($number:ident $(, $arg:expr)* $(,)?) => {{
        let args = $crate::arch::pad([$( ($arg) as usize ),*]);
        // SAFETY: each use in this crate passes numbers or pointers to live memory of the length it names.
        $crate::Errno::check(unsafe { $crate::arch::syscall(linux_raw_sys::general::$number, args) })
    }};
}
pub(crate) use call;

/// Unused argument registers are zero.
pub(crate) const fn pad<const N: usize>(given: [usize; N]) -> [usize; 6] {
    let mut args = [0; 6];
    let mut index = 0;
    while index < N && index < 6 {
        args[index] = given[index];
        index += 1;
    }
    args
}
