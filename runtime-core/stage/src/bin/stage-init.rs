//! `stage-init`: the static program that a container's first process is until it becomes the container's program.
//!
//! argv[1] is the number of the shared area's fd; the control socket and the slots follow it.
#![no_std]
#![no_main]

use core::ffi::CStr;
use tare_stage::{Program, run};
use tare_sys::mem::Area;
use tare_sys::{Fd, process};

/// Called by `_start`. Started by hand it says nothing and exits with 125.
#[unsafe(no_mangle)]
fn stage_main(argument: Option<&'static CStr>) -> ! {
    let Some(number) = argument.and_then(number) else {
        process::exit(125)
    };
    let Ok(area) = Area::map(Fd::new(number), false) else {
        process::exit(124)
    };
    let area = area.leak();
    tare_sys::fd::close(Fd::new(number));
    let (progress, program) = area.split();
    match Program::decode(program) {
        Some(program) => run(program, progress),
        None => process::exit(123),
    }
}

fn number(text: &CStr) -> Option<i32> {
    let mut value = 0i32;
    for byte in text.to_bytes() {
        let digit = byte.checked_sub(b'0').filter(|d| *d < 10)?;
        value = value.checked_mul(10)?.checked_add(i32::from(digit))?;
    }
    Some(value)
}
