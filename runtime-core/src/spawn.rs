//! The launch of a lowered child lane: the shared area, the control socket, clone3 and execveat.
//!
//! Unsafe here is one call, [`tare_sys::clone::launch`], whose contract the few lines around it keep.
use crate::error::Error;
use crate::image;
use crate::lower::Lowered;
use crate::plan::ir::Namespaces;
use rustix::fs::MemfdFlags;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use tare_sys::clone::{Launch, MAX_FDS, STACK, launch};
use tare_sys::mem::{Area, PAGE};
use tare_sys::{Errno, Fd, process};

/// A child that runs `stage-init`.
pub(crate) struct Spawned {
    /// As the caller's pid namespace has it.
    pub(crate) pid: i32,
    /// A handle that no other process can get.
    pub(crate) pidfd: OwnedFd,
    /// The host's end of the control socket.
    pub(crate) control: OwnedFd,
    /// The shared area: progress in its first page.
    pub(crate) area: Area,
}

/// How to launch.
pub(crate) struct How<'a> {
    /// Namespaces made by the clone.
    pub(crate) namespaces: Namespaces,
    /// The v2 cgroup to start in.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// fds 0 to 2, `None` inherits.
    pub(crate) stdio: [Option<BorrowedFd<'a>>; 3],
    /// First fd number that is ours: 3 and the preserved ones.
    pub(crate) first_fd: u32,
    /// The slots handed over, in order.
    pub(crate) handed: Vec<BorrowedFd<'a>>,
    /// Note the time of each step.
    pub(crate) timed: bool,
}

/// Starts the child; it is in its first step when this returns.
pub(crate) fn spawn(lowered: &Lowered, how: &How<'_>) -> Result<Spawned, Error> {
    let fail = |what: &str| {
        let what = what.to_owned();
        move |errno: rustix::io::Errno| Error::system(what, errno)
    };
    let memfd = rustix::fs::memfd_create("tare-plan", MemfdFlags::CLOEXEC)
        .map_err(fail("make the plan's memfd"))?;
    rustix::fs::ftruncate(&memfd, (PAGE + lowered.bytes.len()) as u64)
        .map_err(fail("size the plan's memfd"))?;
    let mut area = Area::map(number(memfd.as_fd()), true)
        .map_err(|errno| Error::system("map the plan's memfd", errno))?;
    if let Some(place) = area.program().get_mut(..lowered.bytes.len()) {
        place.copy_from_slice(&lowered.bytes);
    }
    area.progress()
        .timed
        .store(u32::from(how.timed), std::sync::atomic::Ordering::Relaxed);
    #[cfg(feature = "proof")]
    area.progress().timed.fetch_or(
        tare_stage::weaken::taken() << 8,
        std::sync::atomic::Ordering::Relaxed,
    );
    let (ours, theirs) = rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::SEQPACKET,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .map_err(fail("make the control socket"))?;
    // Who sent a frame is told by the kernel: after a hop it is another process, and the hop may have died before it told.
    rustix::net::sockopt::set_socket_passcred(&ours, true)
        .map_err(fail("set up the control socket"))?;
    let image = image::stage_init()?;
    let mut fds = vec![number(memfd.as_fd()), number(theirs.as_fd())];
    fds.extend(how.handed.iter().map(|fd| number(*fd)));
    if fds.len() > MAX_FDS {
        return Err(Error::Unsupported {
            what: "hand over the plan's fds".to_owned(),
            why: format!("{} are too many", fds.len()),
        });
    }
    let first = i32::try_from(how.first_fd).unwrap_or(i32::MAX / 2);
    let argument = CString::new(first.to_string()).unwrap_or_default();
    let request = Launch {
        image: number(image),
        argument: &argument,
        namespaces: how.namespaces.0,
        cgroup: how.cgroup.map(number),
        stdio: how.stdio.map(|fd| fd.map(number)),
        fds: &fds,
        first_fd: first,
        keep_capabilities: how.namespaces.has(Namespaces::USER),
    };
    // Not zeroed: the child uses a page or two, and each page that is written here is memory of the caller's.
    let mut stack = Box::<[u8]>::new_uninit_slice(STACK);
    let mask = process::block_signals();
    // SAFETY: the stack is STACK bytes that nobody else has, and all signals are blocked until the parent runs again.
    let child = unsafe { launch(&request, &mut stack) };
    process::restore_signals(mask);
    let child = child.map_err(launch_error)?;
    // SAFETY: the kernel has just made this fd for us, and `launch` gives it away.
    let pidfd = unsafe { OwnedFd::from_raw_fd(child.pidfd.number()) };
    Ok(Spawned {
        pid: child.pid,
        pidfd,
        control: ours,
        area,
    })
}

fn launch_error(errno: Errno) -> Error {
    Error::system(
        "start the container's first process (clone3, execveat)",
        errno,
    )
}

/// Lends a number for a system call.
pub(crate) fn number(fd: BorrowedFd<'_>) -> Fd {
    Fd::new(fd.as_raw_fd())
}

/// Takes ownership of an fd that a wrapper of `tare-sys` has just made for this caller.
pub(crate) fn adopt(fd: Fd) -> OwnedFd {
    // SAFETY: every caller passes the result of a call that opened a new fd, which nothing else owns.
    unsafe { OwnedFd::from_raw_fd(fd.number()) }
}
