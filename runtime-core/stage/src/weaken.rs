//! Defences that a test takes away, to show that its attack would succeed without them. Only with the feature `proof`.
use crate::text::PathBuffer;
use core::ffi::CStr;
use core::sync::atomic::{AtomicU32, Ordering};
use tare_sys::path::{self, Resolve, flags};
use tare_sys::{Fd, Result, fd};

macro_rules! defences {
    ($( $(#[doc = $doc:literal])* $name:ident = $bit:literal $word:literal )*) => {
        $( $(#[doc = $doc])* pub const $name: u32 = 1 << $bit; )*
        /// Every defence by the name under which it is asked for.
        pub const NAMES: &[(&str, u32)] = &[ $( ($word, $name) ),* ];
    };
}

defences! {
    /// Paths beneath the root follow links to wherever they lead.
    IN_ROOT = 0 "in-root"
    /// procfs and sysfs may be mounted through a link.
    NO_SYMLINK = 1 "no-symlink"
    /// Writes to procfs go to whatever is on /proc, unverified.
    PROC = 2 "proc"
    /// Any mount may lie on or in /proc.
    PROC_MOUNTS = 3 "proc-mounts"
    /// The working directory may be outside the root.
    CWD = 4 "cwd"
    /// Masks are made of whatever is /dev/null in the container.
    NULL = 5 "null"
    /// The terminal is taken from its path in the container.
    CONSOLE = 6 "console"
    /// The child can be traced.
    DUMPABLE = 7 "dumpable"
    /// Inherited descriptors stay open.
    CLOSE_FDS = 8 "close-fds"
    /// Permitted capabilities are inheritable, too.
    INHERITABLE = 9 "inheritable"
    /// Lists are as long as the low 16 bits of their size say.
    LENGTHS = 10 "lengths"
    /// Ids lose their highest bit.
    IDS = 11 "ids"
    /// What is mounted beneath a read-only /sys of the host's stays writable.
    SYS_READONLY = 12 "sys-readonly"
    /// The memfd of stage-init has no seals.
    SEALS = 13 "seals"
    /// `--user` means the number that its text begins with.
    USER_TEXT = 14 "user-text"
    /// Files are opened to be made, whatever lies there by now: links are followed, fifos waited for.
    EXCLUSIVE = 15 "exclusive"
    /// A mount that is changed later is looked for at its destination.
    HELD_MOUNTS = 16 "held-mounts"
}

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Sets which defences are gone in this process.
pub fn take_away(mask: u32) {
    TAKEN.store(mask, Ordering::Relaxed);
}

/// All that are gone.
pub fn taken() -> u32 {
    TAKEN.load(Ordering::Relaxed)
}

/// Whether this one is gone.
pub fn lacks(defence: u32) -> bool {
    taken() & defence != 0
}

/// As [`path::open_beneath`], or by a plain path where that defence is gone.
pub(crate) fn open_beneath(root: Fd, at: &CStr, flags: u32, mode: u32, how: Resolve) -> Result<Fd> {
    match how {
        Resolve::InRoot if lacks(IN_ROOT) => {
            let mut full = PathBuffer::new();
            full.push(b"/proc/self/fd/")?;
            full.push_number(root.number().unsigned_abs().into())?;
            full.push(b"/")?;
            full.push(at.to_bytes())?;
            path::open(Fd::CWD, full.as_c()?, flags, mode)
        }
        Resolve::NoSymlinks if lacks(NO_SYMLINK) => {
            open_beneath(root, at, flags, mode, Resolve::InRoot)
        }
        how => path::open_beneath(root, at, flags, mode, how),
    }
}

/// All from the control socket on, or only what the host meant to hand over.
pub(crate) fn close_on_exec(program: &crate::Program<'_>) {
    if !lacks(CLOSE_FDS) {
        let _ = fd::cloexec_from(program.control.unsigned_abs());
        return;
    }
    let end = program.control.saturating_add(program.handed as i32);
    for number in program.control..=end {
        let _ = fd::set_cloexec(Fd::new(number));
    }
}

/// A write to what is /proc now.
pub(crate) fn write_proc(at: &CStr, text: &CStr) -> Result<()> {
    let mut full = PathBuffer::new();
    full.push(b"/proc/")?;
    full.push(at.to_bytes())?;
    let file = path::open(Fd::CWD, full.as_c()?, flags::WRITE, 0)?;
    let result = fd::write_whole(file, text.to_bytes());
    fd::close(file);
    result
}

/// The terminal by its name in the container: the first of a new devpts.
pub(crate) fn terminal_by_path(root: Fd) -> Result<Fd> {
    let slave = open_beneath(root, c"dev/pts/0", flags::PATH, 0, Resolve::InRoot)?;
    let tree = tare_sys::mount::clone_tree(slave, c"", false);
    fd::close(slave);
    tree
}
