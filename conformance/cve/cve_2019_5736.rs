//! CVE-2019-5736 (runc, LXC, crun): the host's program was overwritten through /proc/PID/exe.
//!
//! The container's first process is no file of the host's but a sealed memfd, and cannot be looked at before it becomes the
//! container's program. Each defence holds alone.

use super::cve_2016_9962::inner_pid;
use crate::case::harm;
use crate::sandbox::Sandbox;
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

super::attacks!(["CVE-2019-5736"];
    program_of_a_waiting_neighbour without "dumpable,seals" held without ["dumpable", "seals"],
    exec_of_proc_self_exe without "seals",
    entrypoint_is_proc_self_exe without "",
    small_limit_and_read_only_storage without "",
);

/// Ends the attack as successful if the runtime's file has another content.
fn unchanged(s: &Sandbox, before: &[u8]) {
    let now = fs::read(&s.environment.runtime).expect("the runtime is there");
    if now != before {
        harm("the runtime's binary was overwritten");
    }
}

fn program_of_a_waiting_neighbour(s: &mut Sandbox) {
    let before = fs::read(&s.environment.runtime).unwrap();
    s.start_waiting();
    let mut victim = s.sibling("victim");
    victim
        .spec
        .namespace("pid", Some(&format!("/proc/{}/ns/pid", s.pid())))
        .args(&["/inspect", "wait"]);
    victim.create();
    let pid = inner_pid(victim.pid());
    let keeper = s.exec_call(&[], &["/inspect", "keep", &pid]).spawn();
    let told = keeper.stdout.clone();
    let text = || fs::read_to_string(&told).unwrap_or_default();
    assert!(crate::process::eventually(Duration::from_secs(10), || text().contains("held")));
    victim.start().ok();
    keeper.finish(Duration::from_secs(15)).ok();
    if text().lines().any(|line| line == "overwritten") {
        harm(format!("a program that begins containers was written to: {}", text().trim()));
    }
    victim.stop();
    s.stop();
    unchanged(s, &before);
}

fn exec_of_proc_self_exe(s: &mut Sandbox) {
    let before = fs::read(&s.environment.runtime).unwrap();
    s.start_program(&["/inspect", "hunt"]);
    let script = s.rootfs.join("bin/self-script");
    fs::write(&script, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    for number in 0..(s.environment.starts * 4).min(200) {
        let program = if number % 2 == 0 { "/proc/self/exe" } else { "/bin/self-script" };
        let running = s.exec_call(&[], &[program]).spawn();
        let pid = running.pid();
        crate::process::eventually(Duration::from_secs(5), || !crate::process::is_alive(pid));
        drop(running);
        overwritten(s);
    }
    crate::process::kill(s.pid(), Signal::TERM);
    s.reap();
    overwritten(s);
    s.delete().ok();
    unchanged(s, &before);
}

fn overwritten(s: &Sandbox) {
    let text = s.output_text();
    if let Some(line) = text.lines().find(|line| line.starts_with("overwritten")) {
        harm(line.to_owned());
    }
}

fn entrypoint_is_proc_self_exe(s: &mut Sandbox) {
    // What runs then is the runtime's first program once more, which does nothing. That a change would be seen: a copy is changed.
    let before = fs::read(&s.environment.runtime).unwrap();
    let mut copy = before.clone();
    copy[0] ^= 1;
    assert_ne!(copy, before);
    let script = s.rootfs.join("bin/self-script");
    fs::write(&script, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/proc/self/exe", s.rootfs.join("bin/self-link")).unwrap();
    for program in ["/proc/self/exe", "/bin/self-script", "/bin/self-link"] {
        s.spec.args(&[program]);
        assert_ne!(s.run().code, 0, "{program}");
        unchanged(s, &before);
    }
}

fn small_limit_and_read_only_storage(s: &mut Sandbox) {
    // The defence must not cost the container: neither its memory nor a writable place for the runtime.
    use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};
    s.spec.set("linux.resources.memory.limit", 10 << 20);
    s.run().ok();
    let place = s.path("storage");
    fs::create_dir(&place).unwrap();
    fs::copy(&s.environment.runtime, format!("{place}/trun")).unwrap();
    mount_bind(&place, &place).unwrap();
    mount_remount(&place, MountFlags::BIND | MountFlags::RDONLY, "").unwrap();
    let mut call = s.run_call(&[]);
    call.program = format!("{place}/trun").into();
    let output = call.run();
    unmount(&place, UnmountFlags::DETACH).unwrap();
    output.ok();
}
