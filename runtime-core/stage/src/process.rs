//! Barriers, the hop, time offsets, the wait for `start`.
use crate::report::Frame;
use crate::run::Machine;
use core::ffi::CStr;
use tare_sys::path::{flags, open};
use tare_sys::process::Side;
use tare_sys::socket::{FDS, receive};
use tare_sys::{Errno, Fd, Result};

/// A known beginning: no signal blocked or ignored, umask 0 (modes are planned), a name that `ps` shows.
pub(crate) fn reset() {
    tare_sys::process::reset_signals();
    tare_sys::process::unblock_signals();
    tare_sys::cred::set_umask(0);
    tare_sys::process::set_name(c"tare-init");
}

/// Tells the host, waits for it, or both. A host that is gone ends the child: nobody would clean up after it.
pub(crate) fn barrier(m: &Machine<'_>, id: u32, signals: bool, waits: bool) -> Result<()> {
    if signals {
        // write(2): `created` comes after the container's filter.
        tare_sys::fd::write_whole(m.control, &Frame::Barrier { id }.to_bytes())?;
    }
    if waits {
        let mut word = [0u8; 4];
        let mut tasks = [Fd::new(-1); FDS];
        let (length, count) = receive(m.control, &mut word, &mut tasks)?;
        match length {
            0 => tare_sys::process::exit(1),
            4 if u32::from_ne_bytes(word) == id => {}
            _ => return Err(Errno::EPROTO),
        }
        // With `placed` come the `tasks` files of the cgroups to join.
        for file in tasks.iter().take(count) {
            tare_sys::fd::write_whole(*file, b"0")?;
            tare_sys::fd::close(*file);
        }
    }
    Ok(())
}

/// Goes on in a child of the host that is in the joined pid namespace.
pub(crate) fn fork(m: &Machine<'_>) -> Result<()> {
    match tare_sys::process::hop()? {
        Side::Child => Ok(()),
        Side::Parent(pid) => {
            #[cfg(feature = "proof")]
            crate::fault::in_hop(m);
            let told =
                tare_sys::fd::write_whole(m.control, &Frame::Forked { pid: pid as u32 }.to_bytes());
            if told.is_err() {
                let _ = tare_sys::process::kill(pid, 9);
            }
            tare_sys::process::exit(0)
        }
    }
}

/// Offsets may be written until the first process is in the namespace; the writer then enters by setns, without a fork.
pub(crate) fn time_offsets(text: &CStr) -> Result<()> {
    const CLONE_NEWTIME: u32 = 0x80;
    let file = open(Fd::CWD, c"/proc/self/timens_offsets", flags::WRITE, 0)?;
    tare_sys::fd::write_whole(file, text.to_bytes())?;
    tare_sys::fd::close(file);
    let namespace = open(Fd::CWD, c"/proc/self/ns/time_for_children", flags::READ, 0)?;
    tare_sys::ns::join(namespace, CLONE_NEWTIME)?;
    tare_sys::fd::close(namespace);
    Ok(())
}

/// Blocks until `start` writes its byte. From here on failures go to the result fifo, which the exec closes.
pub(crate) fn await_start(m: &mut Machine<'_>, exec: u16, result: u16) -> Result<()> {
    let (exec, result) = (m.slot(exec)?, m.slot(result)?);
    m.report = result;
    let mut byte = [0u8; 1];
    match tare_sys::fd::read(exec, &mut byte)? {
        1 => Ok(()),
        _ => Err(Errno::EPROTO),
    }
}
