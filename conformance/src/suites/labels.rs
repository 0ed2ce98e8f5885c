//! AppArmor profiles and SELinux labels: the process's, an exec's, the mounts'.
//!
//! Where AppArmor is on, a profile `tare-test` has to be loaded that denies reading `/var/data/file`, and `tare-other` that does
//! not; conformance/vm/guest/apparmor.profile holds both.

use crate::case::{cases, skip};
use crate::inspect::{EACCES, Report};
use crate::sandbox::Sandbox;
use std::fs;
use std::path::Path;

cases!("labels":
    apparmor_profile, apparmor_exec_inherits, apparmor_exec_flag, apparmor_unknown_profile, apparmor_unconfined,
    apparmor_absent_is_said, selinux_process, selinux_exec_inherits, selinux_exec_flag, selinux_mount, selinux_bad_label,
    selinux_absent_is_said,
);

const DENIED: &str = "open:/var/data/file";
const CURRENT: &str = "/proc/self/attr/current";
const PROCESS: &str = "unconfined_u:unconfined_r:unconfined_t:s0:c1,c2";
const OTHER: &str = "unconfined_u:unconfined_r:unconfined_t:s0:c3";
const MOUNT: &str = "system_u:object_r:tmp_t:s0:c1,c2";

fn current(report: &Report) -> String {
    report
        .read(CURRENT)
        .trim_end_matches(['\0', '\n'])
        .to_owned()
}

fn apparmor_is_on() -> bool {
    fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with('Y'))
}

fn need_apparmor() {
    let loaded = fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap_or_default();
    if !apparmor_is_on() {
        skip("AppArmor is not in force here");
    }
    if !loaded.contains("tare-test (enforce)") {
        skip("the profile tare-test is not loaded");
    }
}

fn apparmor_profile(s: &mut Sandbox) {
    need_apparmor();
    let probes = ["read:/proc/self/attr/current", DENIED, "open:/etc/passwd"];
    // Without it the file can be read: the profile is what denies it.
    assert_eq!(s.inspect(&probes).errno(DENIED), 0);
    s.spec.set("process.apparmorProfile", "tare-test");
    let report = s.inspect(&probes);
    assert_eq!(current(&report), "tare-test (enforce)");
    assert_eq!(report.errno(DENIED), EACCES);
    assert_eq!(report.errno("open:/etc/passwd"), 0);
}

fn apparmor_exec_inherits(s: &mut Sandbox) {
    need_apparmor();
    s.spec.set("process.apparmorProfile", "tare-test");
    s.start_waiting();
    let report = s.exec_inspect(&[], &["read:/proc/self/attr/current", DENIED]);
    assert_eq!(current(&report), "tare-test (enforce)");
    assert_eq!(report.errno(DENIED), EACCES);
    s.stop();
}

fn apparmor_exec_flag(s: &mut Sandbox) {
    need_apparmor();
    s.spec.set("process.apparmorProfile", "tare-test");
    s.start_waiting();
    let flags = ["--apparmor", "tare-other"];
    let report = s.exec_inspect(&flags, &["read:/proc/self/attr/current", DENIED]);
    assert_eq!(current(&report), "tare-other (enforce)");
    assert_eq!(report.errno(DENIED), 0);
    let output = s.exec_with(&["--apparmor", "tare-no-such"], &["/bin/true"]);
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("tare-no-such"), "{}", output.stderr);
    s.stop();
}

fn apparmor_unknown_profile(s: &mut Sandbox) {
    need_apparmor();
    s.spec.set("process.apparmorProfile", "tare-no-such");
    let output = s.run().fails_somehow();
    assert!(
        output.stderr.contains("apparmor") && output.stderr.contains("tare-no-such"),
        "{}",
        output.stderr
    );
    assert!(
        !output.stderr.contains("o such file or directory"),
        "callers take that for an absent program: {}",
        output.stderr
    );
}

fn apparmor_unconfined(s: &mut Sandbox) {
    need_apparmor();
    s.spec.set("process.apparmorProfile", "unconfined");
    assert_eq!(
        current(&s.inspect(&["read:/proc/self/attr/current"])),
        "unconfined"
    );
}

fn apparmor_absent_is_said(s: &mut Sandbox) {
    if apparmor_is_on() {
        skip("AppArmor is in force here");
    }
    s.spec.set("process.apparmorProfile", "tare-test");
    let output = s.run();
    // runc refuses; a runtime that goes on has to say so. Never a silent container without its profile.
    assert!(
        output.stderr.to_lowercase().contains("apparmor"),
        "{}: {}",
        output.code,
        output.stderr
    );
}

fn selinux_is_on() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

fn need_selinux() {
    if !selinux_is_on() {
        skip("SELinux is not in force here");
    }
}

fn selinux_process(s: &mut Sandbox) {
    need_selinux();
    s.spec.set("process.selinuxLabel", PROCESS);
    assert_eq!(
        current(&s.inspect(&["read:/proc/self/attr/current"])),
        PROCESS
    );
}

fn selinux_exec_inherits(s: &mut Sandbox) {
    need_selinux();
    s.spec.set("process.selinuxLabel", PROCESS);
    s.start_waiting();
    let report = s.exec_inspect(&[], &["read:/proc/self/attr/current"]);
    assert_eq!(current(&report), PROCESS);
    s.stop();
}

fn selinux_exec_flag(s: &mut Sandbox) {
    need_selinux();
    s.spec.set("process.selinuxLabel", PROCESS);
    s.start_waiting();
    let flags = ["--process-label", OTHER];
    let report = s.exec_inspect(&flags, &["read:/proc/self/attr/current"]);
    assert_eq!(current(&report), OTHER);
    s.stop();
}

fn selinux_mount(s: &mut Sandbox) {
    need_selinux();
    s.spec.set("linux.mountLabel", MOUNT);
    let report = s.inspect(&[]);
    for point in ["/dev", "/dev/shm"] {
        let mount = report.mount(point);
        let text = mount.super_options.join(",");
        assert!(
            text.contains(&format!("context=\"{MOUNT}\"")),
            "{point}: {text}"
        );
    }
    assert!(
        !report
            .mount("/proc")
            .super_options
            .join(",")
            .contains("context"),
        "the kernel's own file systems have labels of their own"
    );
}

fn selinux_bad_label(s: &mut Sandbox) {
    need_selinux();
    s.spec.set("process.selinuxLabel", "no:such:label_t:s0");
    let output = s.run().fails_somehow();
    assert!(
        output.stderr.contains("no:such:label_t:s0"),
        "{}",
        output.stderr
    );
}

fn selinux_absent_is_said(s: &mut Sandbox) {
    if selinux_is_on() {
        skip("SELinux is in force here");
    }
    s.spec.set("process.selinuxLabel", PROCESS);
    let output = s.run().fails_somehow();
    assert!(output.stderr.contains("selinux"), "{}", output.stderr);
}
