//! The root file system of the containers: Debian's static busybox, a few files and the inspector.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// The inspector, built by build.rs.
const INSPECTOR: &[u8] = include_bytes!(env!("INSPECTOR"));

/// Where a static busybox may be.
const BUSYBOX: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];

const APPLETS: [&str; 22] = [
    "cat", "chmod", "cp", "echo", "env", "false", "id", "kill", "ln", "ls", "mkdir", "mount", "ps",
    "rm", "sh", "sleep", "stty", "test", "touch", "true", "tty", "umount",
];

const DIRECTORIES: [&str; 12] = [
    "bin",
    "dev",
    "etc",
    "home/user",
    "mnt",
    "proc",
    "root",
    "run",
    "sys",
    "tmp",
    "usr/bin",
    "var/data",
];

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n";
const GROUP: &str = "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n";

/// Makes the template at `directory`; done once a run.
pub fn make_template(directory: &Path) -> Result<(), String> {
    let busybox = BUSYBOX
        .into_iter()
        .find(|path| is_static(path))
        .ok_or("no static busybox found: apt-get install busybox-static")?;
    let make = || -> io::Result<()> {
        for name in DIRECTORIES {
            fs::create_dir_all(directory.join(name))?;
        }
        fs::copy(busybox, directory.join("bin/busybox"))?;
        fs::write(directory.join("inspect"), INSPECTOR)?;
        fs::set_permissions(directory.join("inspect"), fs::Permissions::from_mode(0o755))?;
        fill(directory)
    };
    make().map_err(|error| {
        format!(
            "{}: cannot make the root file system: {error}",
            directory.display()
        )
    })
}

/// Makes a root file system from the template: directories and small files new, binaries as hard links.
pub fn make_from(template: &Path, directory: &Path) -> io::Result<()> {
    for name in DIRECTORIES {
        fs::create_dir_all(directory.join(name))?;
    }
    for name in ["bin/busybox", "inspect"] {
        fs::hard_link(template.join(name), directory.join(name))?;
    }
    fill(directory)
}

fn fill(directory: &Path) -> io::Result<()> {
    for applet in APPLETS {
        symlink("busybox", directory.join("bin").join(applet))?;
    }
    for (path, text, mode) in [
        ("etc/passwd", PASSWD, 0o644),
        ("etc/group", GROUP, 0o644),
        ("etc/noexec", "not a program\n", 0o644),
        ("etc/hosts", "127.0.0.1 localhost\n", 0o644),
        ("var/data/file", "lower\n", 0o640),
        ("bin/script", "#!/bin/sh\necho script \"$@\"\n", 0o755),
        ("bin/badinterp", "#!/no/such/interpreter\n", 0o755),
        ("bin/badformat", "\u{7f}ELF of no kind", 0o755),
    ] {
        fs::write(directory.join(path), text)?;
        fs::set_permissions(directory.join(path), fs::Permissions::from_mode(mode))?;
    }
    fs::set_permissions(directory.join("tmp"), fs::Permissions::from_mode(0o1777))?;
    std::os::unix::fs::chown(directory.join("home/user"), Some(1000), Some(1000))
}

/// A static program names no interpreter: no PT_INTERP segment in its ELF header table.
pub fn is_static(path: &str) -> bool {
    let Ok(bytes) = fs::read(path) else {
        return false;
    };
    let half = |at: usize| {
        bytes
            .get(at..at + 2)
            .map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])))
    };
    let (Some(table), Some(size), Some(count)) = (bytes.get(32..40), half(54), half(56)) else {
        return false;
    };
    let table = u64::from_le_bytes(table.try_into().expect("eight bytes")) as usize;
    bytes.starts_with(b"\x7fELF") && (0..count).all(|index| half(table + index * size) != Some(3))
}
