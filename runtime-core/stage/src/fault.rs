//! Faults that a test asks for: one step fails, before or after its work, or stands still to be killed. Only with `proof`.
use crate::run::Machine;
use tare_sys::{Errno, Result};

/// A fault as the program's fourth word carries it: 0 for none.
///
/// Bits 0 to 11 are an errno or one of the constants, bit 12 is [`LATE`], bits 13 to 15 count the step's ops (with an alternative
/// there are three), bits 16 on are 1 + the index of its first op.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fault(pub u32);

/// Instead of an errno: stand still under the name `tare-parked`, so that a test can kill or stop the process.
pub const PARK: u32 = 4095;
/// The same in the hop, when it has made the final process and not told of it.
pub const PARK_HOP: u32 = 4094;
const LATE: u32 = 1 << 12;

impl Fault {
    /// At the ops `first` to `first + ops - 1`.
    pub fn new(first: u32, ops: u32, what: u32, late: bool) -> Fault {
        let late = if late { LATE } else { 0 };
        Fault((first + 1) << 16 | (ops & 7) << 13 | late | what & 0xfff)
    }

    fn is_at(self, index: u32) -> bool {
        let first = self.0 >> 16;
        let end = first.saturating_add(self.0 >> 13 & 7);
        first != 0 && (first..end).contains(&index.saturating_add(1))
    }

    /// Called before (`late` false) and after the work of the op at `index`.
    pub(crate) fn strike(self, m: &Machine<'_>, index: u32, late: bool) -> Result<()> {
        if !self.is_at(index) || late != (self.0 & LATE != 0) {
            return Ok(());
        }
        match self.0 & 0xfff {
            PARK_HOP => Ok(()),
            PARK => park(m),
            errno => Err(Errno::new(errno as i32)),
        }
    }
}

/// Called in the hop, between the two. Its child needs the control socket.
pub(crate) fn in_hop(m: &Machine<'_>) {
    if m.program.fault.0 & 0xfff == PARK_HOP {
        tare_sys::process::set_name(NAME);
        spin();
    }
}

const NAME: &core::ffi::CStr = c"tare-parked";

/// Asleep in read(2), the one call that every filter allows before `start`; nothing that comes is for this process any more.
fn park(m: &Machine<'_>) -> ! {
    tare_sys::process::set_name(NAME);
    while tare_sys::fd::read(m.control, &mut [0; 16]).is_ok_and(|length| length > 0) {}
    spin()
}

/// Where nothing is left to read. Not for ever, should nobody come to kill it.
fn spin() -> ! {
    for _ in 0_u64..1 << 31 {
        core::hint::spin_loop();
    }
    tare_sys::process::exit(1)
}
