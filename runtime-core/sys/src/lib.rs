//! Linux system calls, typed: the only crate of Tare with unsafe code.
//!
//! No std, no alloc, no libc: all of it runs in `stage-init`, between clone and execve, where nothing else exists.
//!
//! # Unsafe policy
//! - Each wrapper is safe to call with any argument: a wrong one gives an [`Errno`], never undefined behaviour.
//!   Pointers are made from references in the same expression that passes them to the kernel.
//! - The one `unsafe fn` is the launch ([`clone::launch`]), in which a child borrows the caller's memory; its docs say what the
//!   caller owes.
//! - [`Fd`] is a plain number without ownership, for the child, whose fds all end with execve. Host code owns its fds by
//!   `std::os::fd::OwnedFd` and lends the number for one call.
//!
//! # What this crate refuses to wrap
//! Paths that are not `&CStr`; anything that needs an allocation; fork without exec for programs with threads;
//! signal handlers; `setuid`-style calls with libc's thread-wide emulation; path-based mount(2) where an fd call exists.
#![no_std]
#![deny(missing_docs)]

#[cfg(test)]
extern crate std;

pub mod arch;
pub mod bpf;
#[cfg(any(feature = "entry", feature = "copy", test))]
#[cfg_attr(
    not(feature = "entry"),
    allow(dead_code, reason = "musl has the others")
)]
mod bytes;
pub mod clone;
#[cfg(any(feature = "entry", feature = "copy"))]
pub mod copy;
pub mod cred;
#[cfg(feature = "entry")]
pub mod entry;
mod errno;
pub mod fd;
#[cfg(any(feature = "heap", test))]
pub mod heap;
pub mod mem;
pub mod mount;
pub mod ns;
pub mod path;
pub mod process;
pub mod sched;
pub mod secure;
pub mod signal;
pub mod socket;
pub mod tty;

pub use errno::{Errno, Result};
pub use fd::Fd;
