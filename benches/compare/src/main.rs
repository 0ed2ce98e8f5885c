//! The section `embed` with youki's libcontainer; `compare clean ROOT` removes what a run that was cut short left there.
#![forbid(unsafe_code)]

#[path = "../../src/embedded.rs"]
mod embedded;

use libcontainer::container::Container;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use rustix::process::{Pid, WaitOptions, waitpid};
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, root] = words.as_slice()
        && word == "clean"
    {
        return match clean(Path::new(root)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{root}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    embedded::serve(|place, id, done| make(place, id, done).map_err(|error| format!("{error:?}")))
}

fn make(place: &embedded::Place, id: &str, done: &mut dyn FnMut()) -> Result<(), Box<dyn Error>> {
    let mut container = ContainerBuilder::new(id.to_owned(), SyscallType::default())
        .with_root_path(&place.root)?
        .as_init(&place.bundle)
        .with_systemd(false)
        .with_detach(true)
        .build()?;
    done();
    container.start()?;
    done();
    let pid = container.pid().ok_or("the container has no process")?;
    waitpid(Pid::from_raw(pid.as_raw()), WaitOptions::empty())?;
    done();
    container.delete(false)?;
    done();
    Ok(())
}

fn clean(root: &Path) -> Result<(), Box<dyn Error>> {
    for entry in std::fs::read_dir(root)? {
        Container::load(entry?.path())?.delete(true)?;
    }
    Ok(())
}
