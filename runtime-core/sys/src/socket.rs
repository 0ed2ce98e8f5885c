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
