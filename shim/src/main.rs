//! `containerd-shim-tare-v2`, the runtime `io.containerd.tare.v2`: containerd starts it, nobody else has to.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use tare_shim::arguments::{self, Action};
use tare_shim::{delete, info, pin, rootfs, server, start, stdio};

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tare_sys::heap::Heap = tare_sys::heap::Heap::new();

const USAGE: &str =
    "containerd-shim-tare-v2 is started by containerd, as the runtime io.containerd.tare.v2.

  -namespace NAME -id ID -address SOCKET start     leave a server behind and print where it listens
  -namespace NAME -id ID -bundle DIR delete        clean up after a server that is gone
  -info                                            print what this runtime is, as protobuf
  -v                                               print the version
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (action, arguments) = match arguments::parse(&words) {
        Ok(parsed) => parsed,
        Err(why) => {
            eprintln!("containerd-shim-tare-v2: {why}");
            return ExitCode::from(1);
        }
    };
    let result = match action {
        Action::Start => start::start(&arguments),
        Action::Delete => delete::delete(&arguments),
        Action::Serve => server::serve(&arguments),
        Action::Info => info::info(),
        Action::Logger => stdio::exec_logger(&arguments.rest),
        Action::Mount => rootfs::mount_here(&arguments.rest),
        Action::Pod => pin::hold(&arguments.rest),
        Action::PodInit => pin::reap(),
        Action::Version => {
            println!("containerd-shim-tare-v2 {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Action::Help => {
            print!("{USAGE}");
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("containerd-shim-tare-v2: {failure}");
            ExitCode::from(1)
        }
    }
}
