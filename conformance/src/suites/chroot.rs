//! A caller in a chroot, whose root is not that of its mount namespace: the container must not be left within the host's tree.

use super::rootless::{by_shell, need};
use crate::case::cases;
use crate::sandbox::Sandbox;
use std::fs;

cases!("chroot": nothing_of_the_host_is_around, of_no_mount, with_a_shared_host);

/// All of the host at another place, and the runtime there.
const CHROOT: &str = r#"exec unshare --mount --propagation private /bin/sh -c '
set -e
host=$1; shift
mkdir -p $host
mount --rbind / $host
exec chroot $host "$@"' sh "#;

/// The same, but the place is a directory of a mount.
const NO_MOUNT: &str = r#"exec unshare --mount --propagation private /bin/sh -c '
set -e
host=$1; shift
mkdir -p $host
mount -t tmpfs base $host
mkdir $host/in
for entry in $(ls /); do
  [ -d /$entry ] || continue
  mkdir -p $host/in/$entry
  mount --rbind /$entry $host/in/$entry
done
exec chroot $host/in "$@"' sh "#;

const SHARED: &str = r#"exec unshare --mount --propagation private /bin/sh -c '
set -e
host=$1; shift
mkdir -p $host
mount --rbind / $host
mount --make-rshared /
exec chroot $host "$@"' sh "#;

fn check(s: &mut Sandbox, script: &str) {
    need(&["/usr/bin/unshare", "/usr/sbin/chroot"]);
    s.spec.args(&["/bin/sleep", "1000"]);
    let place = s.path("host");
    by_shell(s.create_call(&[]), &format!("{script}{place} \"$@\""))
        .run()
        .ok();
    s.start().ok();
    // An exec begins at the root of the mount namespace.
    s.exec(&["/inspect", "exit", "7"]).exits(7);
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", s.pid())).unwrap();
    let seen = s.exec(&["/bin/cat", "/proc/self/mountinfo"]).ok().stdout;
    assert_eq!(seen.lines().count(), table.lines().count(), "{seen}");
    assert!(!seen.contains("/host"), "{seen}");
    s.stop();
}

fn nothing_of_the_host_is_around(s: &mut Sandbox) {
    check(s, CHROOT);
}

fn of_no_mount(s: &mut Sandbox) {
    check(s, NO_MOUNT);
}

fn with_a_shared_host(s: &mut Sandbox) {
    check(s, SHARED);
}
