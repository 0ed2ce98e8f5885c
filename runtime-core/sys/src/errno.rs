//! The kernel's error numbers as a newtype over all values.
use core::fmt;

/// An errno value, 1 to 4095.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(u16);

/// What a system call gives.
pub type Result<T> = core::result::Result<T, Errno>;

macro_rules! names {
    ($($name:ident = $text:literal),* $(,)?) => {
        #[allow(missing_docs)] // the names are errno(3)'s
        impl Errno {
            $(pub const $name: Errno = Errno(linux_raw_sys::errno::$name as u16);)*
            /// The symbolic name, for the values that this crate names.
            pub const fn name(self) -> Option<&'static str> {
                match self { $(Errno::$name => Some(stringify!($name)),)* _ => None }
            }
            /// strerror(3)'s words, lower case, as Go prints them.
            pub const fn words(self) -> Option<&'static str> {
                match self { $(Errno::$name => Some($text),)* _ => None }
            }
        }
    };
}

names! {
    EPERM = "operation not permitted", ENOENT = "no such file or directory", ESRCH = "no such process", EINTR = "interrupted system call",
    EIO = "input/output error", ENXIO = "no such device or address", E2BIG = "argument list too long", ENOEXEC = "exec format error",
    EBADF = "bad file descriptor", ECHILD = "no child processes", EAGAIN = "resource temporarily unavailable",
    ENOMEM = "cannot allocate memory", EACCES = "permission denied", EFAULT = "bad address", ENOTBLK = "block device required",
    EBUSY = "device or resource busy", EEXIST = "file exists", EXDEV = "invalid cross-device link", ENODEV = "no such device",
    ENOTDIR = "not a directory", EISDIR = "is a directory", EINVAL = "invalid argument", ENFILE = "too many open files in system",
    EMFILE = "too many open files", ENOTTY = "inappropriate ioctl for device", ETXTBSY = "text file busy", EFBIG = "file too large",
    ENOSPC = "no space left on device", ESPIPE = "illegal seek", EROFS = "read-only file system", EMLINK = "too many links",
    EPIPE = "broken pipe", ERANGE = "numerical result out of range", EDEADLK = "resource deadlock avoided",
    ENAMETOOLONG = "file name too long", ENOSYS = "function not implemented", ENOTEMPTY = "directory not empty",
    ELOOP = "too many levels of symbolic links", ENODATA = "no data available", EPROTO = "protocol error",
    EOVERFLOW = "value too large for defined data type", ELIBBAD = "accessing a corrupted shared library",
    EUSERS = "too many users", EOPNOTSUPP = "operation not supported", EADDRINUSE = "address already in use",
    ENETDOWN = "network is down", ECONNRESET = "connection reset by peer", ETIMEDOUT = "connection timed out",
    ECONNREFUSED = "connection refused", EALREADY = "operation already in progress", ESTALE = "stale file handle",
    EDQUOT = "disk quota exceeded", ECANCELED = "operation canceled", EKEYREJECTED = "key was rejected by service",
    ENOLCK = "no locks available", ENOBUFS = "no buffer space available", ENOTCONN = "transport endpoint is not connected",
    EISCONN = "transport endpoint is already connected", EADDRNOTAVAIL = "cannot assign requested address",
    ENETUNREACH = "network is unreachable", EBADMSG = "bad message", ENOTSOCK = "socket operation on non-socket",
    ENOPROTOOPT = "protocol not available", ENOKEY = "required key not available", EKEYREVOKED = "key has been revoked",
    EAFNOSUPPORT = "address family not supported by protocol", EMSGSIZE = "message too long",
}

impl Errno {
    /// From a positive number; out of range becomes EINVAL.
    pub const fn new(value: i32) -> Errno {
        if value > 0 && value < 4096 {
            Errno(value as u16)
        } else {
            Errno::EINVAL
        }
    }
    /// The number.
    pub const fn get(self) -> i32 {
        self.0 as i32
    }
    /// Reads a raw return value: -4095..-1 is an error.
    pub(crate) const fn check(value: isize) -> Result<usize> {
        if value < 0 && value > -4096 {
            Err(Errno(-value as u16))
        } else {
            Ok(value as usize)
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl core::error::Error for Errno {}
