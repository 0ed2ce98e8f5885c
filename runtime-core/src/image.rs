//! The program `stage-init` in a sealed memfd, made once a process: what a container's first process is executed from.
use crate::error::Error;
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;

static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/stage-init"));
static IMAGE: OnceLock<OwnedFd> = OnceLock::new();

/// The memfd. No container can write to it (sealed), so none can change what the next one begins with (CVE-2019-5736).
pub(crate) fn stage_init() -> Result<BorrowedFd<'static>, Error> {
    if let Some(image) = IMAGE.get() {
        return Ok(image.as_fd());
    }
    let made = make()?;
    Ok(IMAGE.get_or_init(|| made).as_fd())
}

fn make() -> Result<OwnedFd, Error> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    const EXEC: MemfdFlags = MemfdFlags::from_bits_retain(0x10);
    let made = match rustix::fs::memfd_create("tare-init", flags | EXEC) {
        // MFD_EXEC is Linux 6.3.
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create("tare-init", flags),
        other => other,
    };
    let fd = made.map_err(|errno| Error::system("make the memfd of the first process", errno))?;
    let mut file = File::from(fd);
    file.write_all(BYTES)
        .map_err(|error| Error::system("fill the memfd of the first process", &error))?;
    #[cfg(feature = "proof")]
    if crate::weaken::lacks("seals") {
        return Ok(file.into());
    }
    // F_SEAL_WRITE waits until each processor has let go of the pages just written. F_SEAL_FUTURE_WRITE forbids the same but what
    // is mapped for writing already, and nothing is: nobody else has had this fd.
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW;
    let sealed = match rustix::fs::fcntl_add_seals(&file, seals | SealFlags::FUTURE_WRITE) {
        // Before Linux 5.1.
        Err(rustix::io::Errno::INVAL) => {
            rustix::fs::fcntl_add_seals(&file, seals | SealFlags::WRITE)
        }
        other => other,
    };
    sealed.map_err(|errno| Error::system("seal the memfd of the first process", errno))?;
    Ok(file.into())
}
