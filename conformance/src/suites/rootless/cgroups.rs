//! Control groups of a user: none at all, or a subtree that root has handed over.

use super::{USER, as_user, by_shell, prepare, run_as_user, then_as_user};
use crate::case::{cases, skip};
use crate::limits::is_v2;
use crate::runtime::Call;
use crate::sandbox::Sandbox;
use crate::{leaks, process};
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

cases!("rootless":
    no_delegation_no_cgroup, no_delegation_limit_refused, no_delegation_path_refused, no_delegation_verbs, delegated_limits, delegated_life,
    delegated_update, delegated_events, delegated_exec_joins, delegated_devices_are_left_out,
);

const CONTROLLERS: [&str; 4] = ["memory", "pids", "cpu", "freezer"];

/// A group for the user, in some v1 hierarchies or in the one of v2; removed when dropped.
struct Delegated {
    /// What is handed over.
    groups: Vec<PathBuf>,
    /// Where the runtime is called; on v2 below that, since a group with processes enables no controllers.
    callers: Vec<PathBuf>,
}

impl Delegated {
    fn new(s: &Sandbox) -> Self {
        let mut made = Self {
            groups: Vec::new(),
            callers: Vec::new(),
        };
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("{}-user", s.environment.tag);
        if is_v2() {
            fs::write(root.join("cgroup.subtree_control"), "+memory +pids +cpu").unwrap();
            made.hand_over(root.join(&name));
            made.callers.push(made.groups[0].join("caller"));
            made.hand_over(root.join(&name).join("caller"));
            return made;
        }
        for controller in CONTROLLERS {
            let hierarchy = root.join(controller);
            if !hierarchy.join("tasks").exists() {
                skip(format!("{} is not a v1 hierarchy", hierarchy.display()));
            }
            made.hand_over(hierarchy.join(&name));
        }
        made.callers.clone_from(&made.groups);
        made
    }

    fn hand_over(&mut self, group: PathBuf) {
        fs::create_dir(&group).unwrap();
        self.groups.push(group.clone());
        for file in [
            "",
            "tasks",
            "cgroup.procs",
            "cgroup.threads",
            "cgroup.subtree_control",
        ] {
            let path = group.join(file);
            if path.exists() {
                chown(path, Some(USER), Some(USER)).unwrap();
            }
        }
    }

    /// The call made by the user from within that group.
    fn call(&self, s: &Sandbox, call: Call) -> Call {
        let enter: String = self
            .callers
            .iter()
            .map(|group| format!("echo $$ > {}/cgroup.procs; ", group.display()))
            .collect();
        by_shell(
            as_user(s, call),
            &format!("set -e; {enter}{}", then_as_user()),
        )
    }

    fn group(&self, controller: &str, s: &Sandbox) -> PathBuf {
        let of = format!("/sys/fs/cgroup/{controller}");
        let own = self
            .groups
            .iter()
            .find(|group| is_v2() || group.starts_with(&of));
        own.unwrap().join(&s.id)
    }

    /// A file of v1's controller, or of the group on v2.
    fn read(&self, controller: &str, s: &Sandbox, on_v1: &str, on_v2: &str) -> String {
        let path = self
            .group(controller, s)
            .join(if is_v2() { on_v2 } else { on_v1 });
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim().to_owned()
    }

    /// A container that waits, made from within the group.
    fn start(&self, s: &mut Sandbox) {
        s.spec.args(&["/inspect", "wait"]);
        let call = s.create_call(&[]);
        s.output = self.call(s, call).run().ok().stdout_file;
        as_user(s, s.call(&["start", &s.id])).run().ok();
        s.wait_output("ready");
    }

    fn stop(&self, s: &Sandbox) {
        as_user(s, s.call(&["kill", &s.id, "KILL"])).run().ok();
        self.stop_killed(s);
    }

    fn stop_killed(&self, s: &Sandbox) {
        s.reap();
        as_user(s, s.call(&["delete", &s.id])).run().ok();
        assert!(!self.group("memory", s).exists(), "delete leaves no group");
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for group in self.groups.iter().rev() {
            let _ = fs::remove_dir(group);
        }
    }
}

fn no_delegation_no_cgroup(s: &mut Sandbox) {
    prepare(s);
    s.spec.args(&["/inspect", "wait"]);
    let call = s.create_call(&[]);
    as_user(s, call).run().ok();
    assert_eq!(leaks::cgroups(&s.environment.tag), Vec::<PathBuf>::new());
    as_user(s, s.call(&["delete", "--force", &s.id])).run().ok();
    s.reap();
}

fn no_delegation_limit_refused(s: &mut Sandbox) {
    prepare(s);
    s.spec.set("linux.resources.pids.limit", 10);
    let output = run_as_user(s, &["/bin/true"]).fails_somehow();
    assert!(output.stderr.contains("pids"), "{}", output.stderr);
    if s.environment.runtime_name == "trun" {
        assert!(
            output.stderr.contains("linux.resources.pids.limit") && output.stderr.contains("deleg"),
            "{}",
            output.stderr
        );
    }
}

fn no_delegation_path_refused(s: &mut Sandbox) {
    // Whoever names a group means it.
    prepare(s);
    let path = format!("/{}", s.id);
    s.spec.set("linux.cgroupsPath", path);
    let output = run_as_user(s, &["/bin/true"]).fails_somehow();
    assert!(
        output.stderr.to_lowercase().contains("cgroup"),
        "{}",
        output.stderr
    );
}

fn no_delegation_verbs(s: &mut Sandbox) {
    prepare(s);
    s.spec.args(&["/inspect", "wait"]);
    let call = s.create_call(&[]);
    s.output = as_user(s, call).run().ok().stdout_file;
    as_user(s, s.call(&["start", &s.id])).run().ok();
    s.wait_output("ready");
    for verb in [
        &["pause"][..],
        &["update", "--pids-limit", "7"],
        &["events", "--stats"],
    ] {
        let words = [verb, &[s.id.as_str()]].concat();
        let output = as_user(s, s.call(&words)).run();
        // Nothing to count is an answer, too; a limit that is not there must never be confirmed.
        if output.code != 0 || verb[0] != "events" {
            let output = output.fails_somehow();
            assert!(
                output.stderr.to_lowercase().contains("cgroup") || output.stderr.contains("freez"),
                "{}",
                output.stderr
            );
        }
    }
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(
            &as_user(s, s.call(&["state", &s.id])).run().ok().stdout
        )
        .unwrap()["status"],
        "running"
    );
    as_user(s, s.call(&["kill", &s.id, "KILL"])).run().ok();
    s.reap();
    as_user(s, s.call(&["delete", &s.id])).run().ok();
}

fn delegated_limits(s: &mut Sandbox) {
    prepare(s);
    let delegated = Delegated::new(s);
    s.spec
        .set("linux.resources.memory.limit", 64 << 20)
        .set("linux.resources.pids.limit", 9);
    delegated.start(s);
    assert_eq!(
        delegated.read("memory", s, "memory.limit_in_bytes", "memory.max"),
        (64 << 20).to_string()
    );
    assert_eq!(delegated.read("pids", s, "pids.max", "pids.max"), "9");
    assert_eq!(
        delegated.read("memory", s, "cgroup.procs", "cgroup.procs"),
        s.pid().to_string()
    );
    delegated.stop(s);
}

fn delegated_life(s: &mut Sandbox) {
    prepare(s);
    let delegated = Delegated::new(s);
    delegated.start(s);
    let verb = |words: &[&str]| {
        as_user(s, s.call(&[words, &[s.id.as_str()]].concat()))
            .run()
            .ok()
            .stdout
    };
    assert!(verb(&["ps"]).contains("/inspect wait"));
    verb(&["pause"]);
    assert!(verb(&["state"]).contains("\"paused\""));
    let frozen = delegated.read("freezer", s, "freezer.state", "cgroup.freeze");
    assert_eq!(frozen, if is_v2() { "1" } else { "FROZEN" });
    verb(&["resume"]);
    assert!(verb(&["state"]).contains("\"running\""));
    delegated.stop(s);
}

fn delegated_update(s: &mut Sandbox) {
    prepare(s);
    let delegated = Delegated::new(s);
    delegated.start(s);
    as_user(
        s,
        s.call(&[
            "update",
            "--pids-limit",
            "17",
            "--memory",
            "33554432",
            &s.id,
        ]),
    )
    .run()
    .ok();
    assert_eq!(delegated.read("pids", s, "pids.max", "pids.max"), "17");
    assert_eq!(
        delegated.read("memory", s, "memory.limit_in_bytes", "memory.max"),
        "33554432"
    );
    delegated.stop(s);
}

fn delegated_events(s: &mut Sandbox) {
    prepare(s);
    let delegated = Delegated::new(s);
    s.spec.set("linux.resources.pids.limit", 9);
    delegated.start(s);
    let text = as_user(s, s.call(&["events", "--stats", &s.id]))
        .run()
        .ok()
        .stdout;
    let stats: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(stats["data"]["pids"]["limit"], 9, "{text}");
    assert!(
        stats["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0,
        "{text}"
    );
    delegated.stop(s);
}

fn delegated_exec_joins(s: &mut Sandbox) {
    prepare(s);
    let delegated = Delegated::new(s);
    delegated.start(s);
    let pid_file = s.path("exec.pid");
    // From the group's own parent: between cousins a user may move a process only where it owns their common ancestor.
    let call = s.exec_call(
        &["--detach", "--pid-file", &pid_file],
        &["/bin/sleep", "30"],
    );
    delegated.call(s, call).run().ok();
    let pid = fs::read_to_string(&pid_file).unwrap();
    let members = delegated.read("pids", s, "cgroup.procs", "cgroup.procs");
    assert!(
        members.lines().any(|member| member == pid),
        "{members} lacks {pid}"
    );
    as_user(s, s.call(&["kill", &s.id, "KILL"])).run().ok();
    // Its init ends only when the other one, our child as well, is reaped.
    process::reap(pid.parse().unwrap(), Duration::from_secs(5)).unwrap();
    delegated.stop_killed(s);
}

fn delegated_devices_are_left_out(s: &mut Sandbox) {
    // As runc: a user can't write device rules, and can't use new nodes either.
    prepare(s);
    let delegated = Delegated::new(s);
    s.spec.push(
        "linux.resources.devices",
        serde_json::json!({"allow": false, "access": "rwm"}),
    );
    delegated.start(s);
    delegated.stop(s);
}
