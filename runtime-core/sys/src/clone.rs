//! The launch of `stage-init`: clone3(CLONE_VM | CLONE_VFORK) on a separate stack, then execveat of a memfd.
//!
//! The caller's memory is shared for some microseconds and never copied, so the cost does not depend on its size, and nothing of
//! it (threads, locks, allocator, secrets) is ever in the container's process.
use crate::arch::call;
use crate::{Errno, Fd, Result, cred, fd, process};
use core::ffi::CStr;
use core::mem::MaybeUninit;
use linux_raw_sys::general as raw;

/// What the new process begins with.
pub struct Launch<'a> {
    /// The executable.
    pub image: Fd,
    /// Its `argv[1]`.
    pub argument: &'a CStr,
    /// CLONE_NEW* bits made by the clone itself.
    pub namespaces: u32,
    /// Start in this cgroup (CLONE_INTO_CGROUP).
    pub cgroup: Option<Fd>,
    /// fds 0 to 2; `None` inherits.
    pub stdio: [Option<Fd>; 3],
    /// Given to the child as numbers `first_fd`, `first_fd` + 1, ...
    pub fds: &'a [Fd],
    /// First number of `fds`; fds 3 to here are left as they are.
    pub first_fd: i32,
    /// Raise all permitted capabilities as ambient before the exec, which else would lose them in a user namespace without maps.
    pub keep_capabilities: bool,
}

/// A started child.
pub struct Child {
    /// Pid in the caller's pid namespace.
    pub pid: i32,
    /// Its pidfd, close-on-exec; owned by the caller.
    pub pidfd: Fd,
}

/// Bytes of the child's stack between clone and exec.
pub const STACK: usize = 64 * 1024;

#[repr(C)]
struct Shared<'a> {
    launch: &'a Launch<'a>,
    errno: u32,
}

/// Starts the child; returns after its exec, or with the error that kept it from it (the child is then reaped).
///
/// # Safety
/// `stack` must be [`STACK`] bytes or more that nobody else uses; all signals must be blocked in the calling thread.
pub unsafe fn launch(launch: &Launch<'_>, stack: &mut [MaybeUninit<u8>]) -> Result<Child> {
    let mut shared = Shared { launch, errno: 0 };
    let mut pidfd: i32 = -1;
    // SAFETY: struct clone_args is numbers, for which all zeroes is a value.
    let mut args: raw::clone_args = unsafe { core::mem::zeroed() };
    args.flags = u64::from(raw::CLONE_VM | raw::CLONE_VFORK | raw::CLONE_PIDFD | launch.namespaces)
        | raw::CLONE_CLEAR_SIGHAND;
    args.pidfd = &mut pidfd as *mut i32 as u64;
    args.exit_signal = u64::from(raw::SIGCHLD);
    args.stack = stack.as_mut_ptr() as u64;
    args.stack_size = stack.len() as u64 & !15;
    if let Some(cgroup) = launch.cgroup {
        const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.number() as u64;
    }
    // SAFETY: the child runs `child_main` on its own stack and never returns; the parent is suspended until exec or exit
    // (CLONE_VFORK), so `shared`, `launch` and the stack outlive every use by the child.
    let result = Errno::check(unsafe { clone3(&args, &mut shared) });
    let pid = result? as i32;
    // SAFETY: the child has written the word, if at all, before the clone returned here.
    let errno = unsafe { (&raw const shared.errno).read_volatile() };
    if errno != 0 {
        let _ = process::wait(pid);
        fd::close(Fd::new(pidfd));
        return Err(Errno::new(errno as i32));
    }
    Ok(Child {
        pid,
        pidfd: Fd::new(pidfd),
    })
}

#[cfg(target_arch = "x86_64")]
unsafe fn clone3(args: &raw::clone_args, shared: &mut Shared<'_>) -> isize {
    let result: isize;
    // SAFETY: in the child rax is 0 and rsp the top of the new stack; it calls child_main, which never returns.
    unsafe {
        core::arch::asm!(
            "syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "mov rdi, r12", "call {main}", "ud2", "2:",
            main = sym child_main,
            inlateout("rax") raw::__NR_clone3 as isize => result,
            in("rdi") args as *const raw::clone_args, in("rsi") size_of::<raw::clone_args>(), in("r12") shared as *mut Shared<'_>,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
unsafe fn clone3(args: &raw::clone_args, shared: &mut Shared<'_>) -> isize {
    let result: isize;
    // SAFETY: in the child x0 is 0 and sp the top of the new stack; it calls child_main, which never returns.
    unsafe {
        core::arch::asm!(
            "svc 0", "cbnz x0, 2f", "mov x29, #0", "mov x0, x20", "bl {main}", "brk #1", "2:",
            main = sym child_main,
            in("x8") raw::__NR_clone3 as usize, inlateout("x0") args as *const raw::clone_args as isize => result,
            in("x1") size_of::<raw::clone_args>(), in("x20") shared as *mut Shared<'_>, out("x30") _,
        );
    }
    result
}

extern "C" fn child_main(shared: *mut Shared<'_>) -> ! {
    // SAFETY: the parent keeps it alive and does not touch it while it is suspended.
    let shared = unsafe { &mut *shared };
    let errno = prepare_and_execute(shared.launch);
    // SAFETY: a plain store; volatile because the reader is another process with the same memory.
    unsafe { (&raw mut shared.errno).write_volatile(errno.get() as u32) };
    process::exit(127)
}

fn prepare_and_execute(launch: &Launch<'_>) -> Errno {
    let image = match prepare(launch) {
        Ok(image) => image.number(),
        Err(errno) => return errno,
    };
    let argv = [
        c"tare-init".as_ptr(),
        launch.argument.as_ptr(),
        core::ptr::null(),
    ];
    let envp = [core::ptr::null::<u8>()];
    match call!(
        __NR_execveat,
        image,
        c"".as_ptr(),
        argv.as_ptr(),
        envp.as_ptr(),
        raw::AT_EMPTY_PATH
    ) {
        Ok(_) => Errno::EIO,
        Err(errno) => errno,
    }
}

/// Runs in the child: fds to their numbers (through high numbers first, since sources and targets may overlap). The image's then.
fn prepare(launch: &Launch<'_>) -> Result<Fd> {
    let above = launch.first_fd + launch.fds.len() as i32;
    // It is as old as the caller's first container, and its number may be as low.
    let image = if launch.image.number() < above {
        fd::dup_from(launch.image, above)?
    } else {
        launch.image
    };
    let mut held = [Fd::new(-1); MAX_FDS];
    for (place, source) in held.iter_mut().zip(launch.fds.iter()) {
        *place = fd::dup_from(*source, above)?;
    }
    let mut stdio = [None; 3];
    for (place, source) in stdio.iter_mut().zip(launch.stdio.iter()) {
        if let Some(source) = source {
            *place = Some(fd::dup_from(*source, above)?);
        }
    }
    for (number, source) in stdio.iter().enumerate() {
        if let Some(source) = source {
            fd::dup_to(*source, number as i32)?;
        }
    }
    for (index, source) in held.iter().take(launch.fds.len()).enumerate() {
        fd::dup_to(*source, launch.first_fd + index as i32)?;
    }
    if launch.keep_capabilities {
        let mut sets = cred::capabilities()?;
        sets.inheritable = sets.permitted;
        cred::set_capabilities(sets)?;
        for capability in 0..64 {
            if sets.permitted >> capability & 1 == 1 {
                cred::raise_ambient(capability)?;
            }
        }
    }
    Ok(image)
}

/// Most fds that a launch can hand over.
pub const MAX_FDS: usize = 1026;
