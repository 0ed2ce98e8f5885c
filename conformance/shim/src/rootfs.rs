//! The root file system of the containers: Debian's static busybox and a few directories.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Where a static busybox may be.
const BUSYBOX: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];

const APPLETS: [&str; 26] = [
    "cat", "dd", "echo", "env", "false", "head", "id", "kill", "ls", "mkdir", "mount", "printf",
    "rm", "sh", "sleep", "stat", "stty", "tail", "tr", "test", "touch", "true", "tty", "usleep",
    "wc", "yes",
];

const DIRECTORIES: [&str; 8] = ["bin", "dev", "etc", "mnt", "proc", "root", "sys", "tmp"];

/// Copies busybox once a run, to be linked from.
pub fn make_template(directory: &Path) -> Result<(), String> {
    let busybox = BUSYBOX.into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.ok_or("no busybox found: apt-get install busybox-static")?;
    fs::copy(busybox, directory.join("busybox"))
        .map(drop)
        .map_err(|error| format!("{}: {error}", directory.display()))
}

pub fn make(template: &Path, directory: &Path) -> io::Result<()> {
    for name in DIRECTORIES {
        fs::create_dir_all(directory.join(name))?;
    }
    fs::hard_link(template.join("busybox"), directory.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", directory.join("bin").join(applet))?;
    }
    fs::write(
        directory.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\n",
    )
}
