//! The control socket between host and child, and the loopback interface.
use crate::arch::call;
use crate::{Errno, Fd, Result};
use linux_raw_sys::net;

#[repr(C)]
struct Rights {
    header: net::cmsghdr,
    fd: i32,
    pad: i32,
}

/// sendmsg(2) of one message, with an fd if given.
pub fn send(socket: Fd, bytes: &[u8], fd: Option<Fd>) -> Result<()> {
    let mut part = linux_raw_sys::general::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len() as _,
    };
    let mut rights = Rights {
        header: net::cmsghdr {
            cmsg_len: (size_of::<net::cmsghdr>() + size_of::<i32>()) as _,
            cmsg_level: net::SOL_SOCKET as i32,
            cmsg_type: 1, // SCM_RIGHTS
        },
        fd: fd.map_or(-1, Fd::number),
        pad: 0,
    };
    // SAFETY: struct msghdr is pointers and numbers, for which all zeroes is a value.
    let mut message: net::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = (&mut part as *mut linux_raw_sys::general::iovec).cast();
    message.msg_iovlen = 1;
    if fd.is_some() {
        message.msg_control = (&mut rights as *mut Rights).cast();
        message.msg_controllen = size_of::<Rights>() as _;
    }
    let n = call!(
        __NR_sendmsg,
        socket.reg(),
        &message as *const net::msghdr,
        net::MSG_NOSIGNAL
    )?;
    if n == bytes.len() {
        Ok(())
    } else {
        Err(Errno::EIO)
    }
}

/// Most fds that [`receive`] takes.
pub const FDS: usize = 24;

/// recvmsg(2) of one message: bytes read, and the fds that came with it (close-on-exec) in `fds`, whose number is returned too.
pub fn receive(socket: Fd, bytes: &mut [u8], fds: &mut [Fd; FDS]) -> Result<(usize, usize)> {
    #[repr(C)]
    struct Space {
        header: net::cmsghdr,
        fds: [i32; FDS],
    }
    let mut part = linux_raw_sys::general::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len() as _,
    };
    let mut space = Space {
        header: net::cmsghdr {
            cmsg_len: 0,
            cmsg_level: 0,
            cmsg_type: 0,
        },
        fds: [-1; FDS],
    };
    // SAFETY: struct msghdr is pointers and numbers, for which all zeroes is a value.
    let mut message: net::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = (&mut part as *mut linux_raw_sys::general::iovec).cast();
    message.msg_iovlen = 1;
    message.msg_control = (&mut space as *mut Space).cast();
    message.msg_controllen = size_of::<Space>() as _;
    let read = loop {
        match call!(
            __NR_recvmsg,
            socket.reg(),
            &mut message as *mut net::msghdr,
            net::MSG_CMSG_CLOEXEC
        ) {
            Err(Errno::EINTR) => continue,
            other => break other?,
        }
    };
    let header = size_of::<net::cmsghdr>();
    #[allow(clippy::unnecessary_cast)] // the width differs by C library ABI
    let length = space.header.cmsg_len as usize;
    const SCM_RIGHTS: i32 = 1;
    if (message.msg_controllen as usize) < header
        || space.header.cmsg_type != SCM_RIGHTS
        || length < header
    {
        return Ok((read, 0));
    }
    let count = (length - header) / size_of::<i32>();
    for (place, fd) in fds.iter_mut().zip(space.fds).take(count) {
        *place = Fd::new(fd);
    }
    Ok((read, count.min(FDS)))
}

/// Brings `lo` up in the current network namespace (SIOCSIFFLAGS).
pub fn loopback_up() -> Result<()> {
    // struct ifreq: 16 bytes of name, then a union of 24 bytes that begins with the flags.
    #[repr(C, align(8))]
    struct Request {
        name: [u8; 16],
        flags: i16,
        rest: [u8; 22],
    }
    const SIOCGIFFLAGS: u32 = 0x8913;
    const SIOCSIFFLAGS: u32 = 0x8914;
    const IFF_UP: i16 = 1;
    let socket = call!(
        __NR_socket,
        net::AF_INET,
        net::SOCK_DGRAM | linux_raw_sys::general::O_CLOEXEC,
        0
    )
    .map(Fd::of)?;
    let mut request = Request {
        name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        flags: 0,
        rest: [0; 22],
    };
    let result = call!(
        __NR_ioctl,
        socket.reg(),
        SIOCGIFFLAGS,
        &mut request as *mut Request
    )
    .and_then(|_| {
        request.flags |= IFF_UP;
        call!(
            __NR_ioctl,
            socket.reg(),
            SIOCSIFFLAGS,
            &mut request as *mut Request
        )
    });
    let _ = request.rest;
    crate::fd::close(socket);
    result.map(drop)
}
