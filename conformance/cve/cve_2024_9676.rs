//! CVE-2024-9676 (containers/storage): the image's /etc/passwd is a link to a file of the host's, or to one without end.
//!
//! The runtime reads it for HOME alone. The same line in a plain file shows that what is read would be seen.

use super::watch::{Outside, start};
use crate::case::harm;
use crate::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

super::attacks!(["CVE-2024-9676"];
    passwd_of_the_host without "",
    passwd_without_end without "",
);

const LINE: &str = "root:x:0:0:root:/from-this-file:/bin/sh\n";

fn passwd(s: &Sandbox) -> PathBuf {
    let place = s.rootfs.join("etc/passwd");
    let _ = fs::remove_file(&place);
    place
}

/// HOME as the program sees it; a start that does not end is ended by the call's limit and fails the attack.
fn home(s: &mut Sandbox) -> Option<String> {
    let report = start(s, &[])?;
    report.env("HOME").map(str::to_owned)
}

fn passwd_of_the_host(s: &mut Sandbox) {
    let mut outside = Outside::new(s);
    let host = format!("{}/passwd", outside.path);
    fs::write(&host, LINE).unwrap();
    outside.accept();
    fs::write(passwd(s), LINE).unwrap();
    assert_eq!(home(s).as_deref(), Some("/from-this-file"));
    for target in [host.clone(), format!("../../../../../../../../..{host}"), format!("/proc/1/root{host}")] {
        symlink(&target, passwd(s)).unwrap();
        if home(s).as_deref() == Some("/from-this-file") {
            harm(format!("through a link to {target} the host's file was read"));
        }
    }
    outside.untouched();
}

fn passwd_without_end(s: &mut Sandbox) {
    for target in ["/dev/zero", "/dev/tty", "/proc/self/mem", "/proc/kmsg", "passwd", "/etc/fifo", "/bin"] {
        symlink(target, passwd(s)).unwrap();
        if target == "/etc/fifo" {
            let fifo = std::process::Command::new("mkfifo").arg(s.rootfs.join("etc/fifo")).status();
            assert!(fifo.is_ok_and(|status| status.success()));
        }
        assert_eq!(home(s).as_deref(), Some("/"), "passwd leads to {target}");
    }
    let endless = "x".repeat(8 << 20);
    fs::write(passwd(s), endless + "\n" + LINE).unwrap();
    assert_eq!(home(s).as_deref(), Some("/"), "a line of 8 MiB");
}
