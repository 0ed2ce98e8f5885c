//! CVE-2019-16884 (runc, crun): a volume over /proc held a plain file self/attr/exec, and the label was written there.
//!
//! Where AppArmor is not in force, a label cannot be asked for; the write of oom_score_adj goes the same way.

use super::watch::start;
use crate::case::harm;
use crate::sandbox::Sandbox;
use std::fs;
use std::path::Path;

super::attacks!(["CVE-2019-16884"];
    bind_over_proc without "proc-mounts,proc" held without ["proc-mounts"],
    tmpfs_over_proc without "proc-mounts,proc" held without ["proc-mounts"],
    mount_inside_proc without "proc-mounts,proc" held without ["proc-mounts"],
    label_without_a_module without "",
);

/// A directory that looks like a procfs as far as the runtime writes to it.
fn fake(s: &Sandbox) -> String {
    let fake = s.path("fake");
    for process in ["self", "1"] {
        fs::create_dir_all(format!("{fake}/{process}/attr/apparmor")).unwrap();
        for name in ["oom_score_adj", "attr/exec", "attr/apparmor/exec"] {
            fs::write(format!("{fake}/{process}/{name}"), "decoy").unwrap();
        }
    }
    fake
}

fn kept(fake: &str) {
    for process in ["self", "1"] {
        for name in ["oom_score_adj", "attr/exec", "attr/apparmor/exec"] {
            let text = fs::read_to_string(format!("{fake}/{process}/{name}")).unwrap();
            if text != "decoy" {
                harm(format!("{process}/{name} of the fake holds {text:?}"));
            }
        }
    }
}

/// As for an engine's default: a label if there is a module for it, and a score.
fn confined(s: &mut Sandbox) {
    s.spec.set("process.oomScoreAdj", 123).args(&["/bin/true"]);
    let profiles = fs::read_to_string("/sys/kernel/security/apparmor/profiles");
    if let Some(profile) = profiles.ok().and_then(|text| Some(text.split(' ').next()?.to_owned()))
        && !profile.is_empty()
    {
        s.spec.set("process.apparmorProfile", profile);
    }
}

fn bind_over_proc(s: &mut Sandbox) {
    let fake = fake(s);
    confined(s);
    s.spec.unmount("/proc").bind(&fake, "/proc", &[]);
    let output = s.run();
    kept(&fake);
    if s.environment.weaken.is_empty() {
        output.fails(1, "/proc");
    }
}

fn tmpfs_over_proc(s: &mut Sandbox) {
    s.spec.unmount("/proc").mount("/proc", "tmpfs", "tmpfs", &[]);
    if start(s, &[]).is_some() {
        harm("a tmpfs was accepted as /proc");
    }
}

fn mount_inside_proc(s: &mut Sandbox) {
    let fake = fake(s);
    confined(s);
    s.spec.bind(format!("{fake}/1"), "/proc/1", &[]);
    let output = s.run();
    kept(&fake);
    if s.environment.weaken.is_empty() {
        output.fails(1, "/proc");
    }
}

fn label_without_a_module(s: &mut Sandbox) {
    // No label is lost in silence. That it would be seen: without one the same start succeeds.
    s.run().ok();
    if !Path::new("/sys/kernel/security/apparmor/profiles").exists() {
        s.spec.set("process.apparmorProfile", "no-such-profile");
        s.run().fails(1, "no-such-profile");
        s.spec.remove("process.apparmorProfile");
    }
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        s.spec.set("process.selinuxLabel", "system_u:system_r:none_t:s0");
        s.run().fails(1, "selinux");
    }
}
