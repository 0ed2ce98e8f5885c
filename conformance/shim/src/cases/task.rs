//! The calls of the task service: what they answer, and with which code they fail.
use super::{Case, all, ours};
use crate::proto::{Message, any};
use crate::ttrpc::{V2, V3, code};
use crate::world::{World, eventually, exec, kill, refused, which};

const CREATED: u64 = 1;
const RUNNING: u64 = 2;
const STOPPED: u64 = 3;
const PAUSED: u64 = 4;

pub fn cases() -> Vec<Case> {
    vec![
        all("task/life", life),
        ours(
            "task/version-3-too",
            "task v3 came with containerd 2.0",
            version_3,
        ),
        all("task/unknown-and-double", unknown_and_double),
        all("task/start-twice", start_twice),
        all("task/kill-of-an-ended-one", kill_ended),
        all("task/kill-all", kill_all),
        all("task/delete-of-a-running-one", delete_running),
        all("task/delete-of-a-created-one", delete_created),
        all("task/program-not-found", not_found),
        all("task/exec", exec_runs),
        all("task/exec-kill", exec_kill),
        all("task/exec-twice", exec_twice),
        all("task/exec-not-found", exec_not_found),
        all("task/exec-after-the-end", exec_after),
        all("task/pids", pids),
        all("task/pause-and-resume", pause),
        all("task/update", update),
        all("task/stats", stats),
        all("task/300-waits-beside-state", waits),
        all("task/root-of-a-bind-mount", root_bind),
        all("task/root-of-an-overlay", root_overlay),
        all("task/root-of-60-long-layers", root_layers),
        all("task/shutdown-with-a-task", shutdown_with_task),
        ours("task/checkpoint", "it runs criu", checkpoint),
        ours("task/options-as-toml", "CRI sends it its own options", toml),
        all("task/options-root", options_root),
        all("task/options-garbage", options_garbage),
    ]
}

fn life(w: &World) {
    let mut c = w.created("c", &["sh", "-c", "exit 7"]);
    let state = c.call("State", &which("c", "")).unwrap();
    assert_eq!((state.get_text(1).as_str(), state.get(4)), ("c", CREATED));
    assert!(state.get_text(2).ends_with("/c") && state.get(3) > 0);
    assert_eq!(
        std::fs::read_to_string(w.dir.join("c/init.pid")).unwrap(),
        state.get(3).to_string()
    );
    let pid = c.call("Start", &which("c", "")).unwrap().get(1);
    assert_eq!(pid, state.get(3));
    let end = c.call("Wait", &which("c", "")).unwrap();
    assert!(end.get(1) == 7 && end.get_message(2).get(1) > 1_600_000_000);
    let state = c.call("State", &which("c", "")).unwrap();
    assert_eq!((state.get(4), state.get(9)), (STOPPED, 7));
    let gone = c.call("Delete", &which("c", "")).unwrap();
    assert_eq!((gone.get(1), gone.get(2)), (pid, 7));
    refused(c.call("State", &which("c", "")), code::NOT_FOUND);
}

fn version_3(w: &World) {
    let mut c = w.created("c", &["true"]);
    c.call_of(V3, "Start", &which("c", "")).unwrap();
    assert_eq!(c.call_of(V3, "Wait", &which("c", "")).unwrap().get(1), 0);
    c.call_of(V2, "Delete", &which("c", "")).unwrap();
}

fn unknown_and_double(w: &World) {
    let mut c = w.created("c", &["true"]);
    refused(c.call("Create", &w.create("c")), code::ALREADY_EXISTS);
    for method in [
        "State", "Start", "Delete", "Pids", "Pause", "Resume", "Wait", "Stats",
    ] {
        refused(c.call(method, &which("x", "")), code::NOT_FOUND);
    }
    refused(c.call("Kill", &kill("x", "", 9)), code::NOT_FOUND);
    refused(c.call("State", &which("c", "x")), code::NOT_FOUND);
}

fn start_twice(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    assert!(c.call("Start", &which("c", "")).is_err());
    let state = c.call("State", &which("c", "")).unwrap();
    assert_eq!(state.get(4), RUNNING);
}

fn kill_ended(w: &World) {
    let mut c = w.started("c", &["true"]);
    c.call("Wait", &which("c", "")).unwrap();
    let words = refused(c.call("Kill", &kill("c", "", 9)), code::NOT_FOUND);
    assert!(words.contains("process already finished"), "{words}");
}

fn kill_all(w: &World) {
    let mut c = w.started("c", &["sh", "-c", "sleep 1000 & sleep 1000 & wait"]);
    eventually("its children are not there", || {
        let mut c = w.connect(&address(w), "c");
        c.call("Pids", &which("c", "")).unwrap().all(1).len() == 3
    });
    c.call("Kill", &kill("c", "", 9).number(4, 1)).unwrap();
    assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 137);
}

/// Of the newest server.
fn address(w: &World) -> String {
    let text = std::fs::read_to_string(w.dir.join("c/address")).expect("the bundle's address");
    text.trim().trim_start_matches("unix://").to_owned()
}

fn delete_running(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    assert!(c.call("Delete", &which("c", "")).is_err());
    assert_eq!(c.call("State", &which("c", "")).unwrap().get(4), RUNNING);
}

fn delete_created(w: &World) {
    let mut c = w.created("c", &["true"]);
    let pid = c.call("State", &which("c", "")).unwrap().get(3);
    c.call("Delete", &which("c", "")).unwrap();
    eventually("its process is there still", || {
        !std::path::Path::new(&format!("/proc/{pid}")).exists()
    });
}

fn not_found(w: &World) {
    let bundle = w.bundle("c", &["no-such-program"]);
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    // runc looks for the program in create, others in start.
    let failure = match c.call("Create", &w.create("c")) {
        Err(failure) => failure,
        Ok(_) => c.call("Start", &which("c", "")).unwrap_err(),
    };
    assert!(
        failure.message.contains("executable file not found"),
        "{}",
        failure.message
    );
}

fn exec_runs(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    c.call("Exec", &exec("c", "e", &["sh", "-c", "exit 9"]))
        .unwrap();
    let state = c.call("State", &which("c", "e")).unwrap();
    assert_eq!((state.get(4), state.get_text(11).as_str()), (CREATED, "e"));
    let pid = c.call("Start", &which("c", "e")).unwrap().get(1);
    assert!(pid > 0);
    assert_eq!(c.call("Wait", &which("c", "e")).unwrap().get(1), 9);
    assert_eq!(c.call("State", &which("c", "e")).unwrap().get(4), STOPPED);
    let gone = c.call("Delete", &which("c", "e")).unwrap();
    assert_eq!((gone.get(1), gone.get(2)), (pid, 9));
    refused(c.call("State", &which("c", "e")), code::NOT_FOUND);
    assert_eq!(c.call("State", &which("c", "")).unwrap().get(4), RUNNING);
}

fn exec_kill(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    c.call("Exec", &exec("c", "e", &["sleep", "1000"])).unwrap();
    c.call("Start", &which("c", "e")).unwrap();
    c.call("Kill", &kill("c", "e", 9)).unwrap();
    assert_eq!(c.call("Wait", &which("c", "e")).unwrap().get(1), 137);
    refused(c.call("Kill", &kill("c", "e", 9)), code::NOT_FOUND);
}

fn exec_twice(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    c.call("Exec", &exec("c", "e", &["true"])).unwrap();
    refused(
        c.call("Exec", &exec("c", "e", &["true"])),
        code::ALREADY_EXISTS,
    );
}

fn exec_not_found(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    c.call("Exec", &exec("c", "e", &["no-such-program"]))
        .unwrap();
    let failure = c.call("Start", &which("c", "e")).unwrap_err();
    assert!(
        failure.message.contains("executable file not found"),
        "{}",
        failure.message
    );
    c.call("Delete", &which("c", "e")).unwrap();
}

fn exec_after(w: &World) {
    let mut c = w.started("c", &["true"]);
    c.call("Wait", &which("c", "")).unwrap();
    let refusal = c
        .call("Exec", &exec("c", "e", &["true"]))
        .and_then(|_| c.call("Start", &which("c", "e")));
    assert!(refusal.is_err());
}

fn pids(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    c.call("Exec", &exec("c", "e", &["sleep", "1000"])).unwrap();
    let pid = c.call("Start", &which("c", "e")).unwrap().get(1);
    let processes = c.call("Pids", &which("c", "")).unwrap().all(1);
    assert_eq!(processes.len(), 2);
    let info = processes
        .iter()
        .find(|process| process.get(1) == pid)
        .unwrap()
        .get_message(2);
    assert_eq!(info.get_text(1), "containerd.runc.v1.ProcessDetails");
    assert_eq!(info.get_message(2).get_text(1), "e");
}

fn pause(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    c.call("Pause", &which("c", "")).unwrap();
    assert_eq!(c.call("State", &which("c", "")).unwrap().get(4), PAUSED);
    c.call("Resume", &which("c", "")).unwrap();
    assert_eq!(c.call("State", &which("c", "")).unwrap().get(4), RUNNING);
    assert_eq!(w.events.borrow().wait(4)[2..], ["paused", "resumed"]);
}

fn update(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    let kind = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";
    let resources = |text: &str| {
        Message::new()
            .text(1, "c")
            .message(2, &any(kind, text.as_bytes()))
    };
    c.call("Update", &resources(r#"{"pids":{"limit":77}}"#))
        .unwrap();
    let places = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"];
    let limit = places.iter().find_map(|place| {
        std::fs::read_to_string(format!("{place}/{}/c/pids.max", w.namespace)).ok()
    });
    assert_eq!(limit.expect("pids.max").trim(), "77");
    assert!(c.call("Update", &resources("{nonsense")).is_err());
}

fn stats(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    let stats = c.call("Stats", &which("c", "")).unwrap().get_message(1);
    let metrics = stats.get_message(2);
    let (pids, memory) = match stats.get_text(1).as_str() {
        "io.containerd.cgroups.v1.Metrics" => (
            metrics.get_message(2).get(1),
            metrics.get_message(4).get_message(33).get(2),
        ),
        "io.containerd.cgroups.v2.Metrics" => (
            metrics.get_message(1).get(1),
            metrics.get_message(4).get(32),
        ),
        other => panic!("{other}"),
    };
    assert!(pids == 1 && memory > 0, "{pids} {memory}");
}

fn waits(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    let request = which("c", "").encode();
    let waits: Vec<u32> = (0..300).map(|_| c.send(V2, "Wait", &request)).collect();
    assert_eq!(c.call("State", &which("c", "")).unwrap().get(4), RUNNING);
    c.call("Kill", &kill("c", "", 9)).unwrap();
    for wait in waits {
        assert_eq!(c.receive(wait).unwrap().get(1), 137);
    }
}

fn root_bind(w: &World) {
    let bundle = w.bundle("c", &["sh", "-c", "test -e /marker"]);
    let lower = w.dir.join("lower");
    std::fs::rename(bundle.join("rootfs"), &lower).unwrap();
    std::fs::write(lower.join("marker"), "").unwrap();
    let mount = Message::new()
        .text(1, "bind")
        .text(2, &lower.to_string_lossy())
        .text(4, "rbind")
        .text(4, "ro");
    rooted(w, &mount);
}

/// Runs it on this root, and sees the root mounted until it is deleted.
fn rooted(w: &World, mount: &Message) {
    let bundle = w.dir.join("c");
    let mounted = || {
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        text.contains(&*bundle.join("rootfs").to_string_lossy())
    };
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    c.call("Create", &w.create("c").message(3, mount)).unwrap();
    assert!(mounted());
    c.call("Start", &which("c", "")).unwrap();
    assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 0);
    c.call("Delete", &which("c", "")).unwrap();
    assert!(!mounted(), "the root is mounted after Delete");
}

fn base(w: &World) -> std::path::PathBuf {
    w.dir.join("long-name-of-a-snapshotter-".repeat(4))
}

/// Directories below a tmpfs of their own: the machine's root may be an overlay, which can't be a layer of another.
fn layers(w: &World, count: usize, name: &str) -> Vec<String> {
    let base = base(w);
    std::fs::create_dir_all(&base).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("layers", &base, "tmpfs", flags, None).unwrap();
    (0..count)
        .map(|number| {
            let layer = base.join(format!("{name}{number}/fs"));
            std::fs::create_dir_all(&layer).unwrap();
            std::fs::write(layer.join(format!("marker{number}")), "").unwrap();
            layer.to_string_lossy().into_owned()
        })
        .collect()
}

fn overlay(w: &World, layers: &[String]) {
    let bundle = w.dir.join("c");
    let base = base(w);
    std::fs::rename(bundle.join("rootfs"), w.dir.join("rootfs-unused")).unwrap();
    let bottom = base.join("bottom");
    copy(&w.dir.join("rootfs-unused"), &bottom);
    for directory in ["upper", "work"] {
        std::fs::create_dir_all(base.join(directory)).unwrap();
    }
    let lower = format!("lowerdir={}:{}", layers.join(":"), bottom.display());
    let mount = Message::new()
        .text(1, "overlay")
        .text(2, "overlay")
        .text(4, &format!("workdir={}", base.join("work").display()))
        .text(4, &format!("upperdir={}", base.join("upper").display()))
        .text(4, &lower);
    rooted(w, &mount);
    rustix::mount::unmount(&base, rustix::mount::UnmountFlags::DETACH).unwrap();
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(from)
        .arg(to)
        .status()
        .unwrap();
    assert!(status.success());
}

fn root_overlay(w: &World) {
    w.bundle(
        "c",
        &[
            "sh",
            "-c",
            "test -e /marker0 && test -e /marker1 && echo x >/new",
        ],
    );
    let layers = layers(w, 2, "layer");
    overlay(w, &layers);
}

fn root_layers(w: &World) {
    w.bundle("c", &["sh", "-c", "test -e /marker0 && test -e /marker59"]);
    let layers = layers(w, 60, "layer");
    assert!(layers.join(":").len() > 4096);
    overlay(w, &layers);
}

fn shutdown_with_task(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    c.call("Shutdown", &which("c", "")).unwrap();
    assert_eq!(c.call("State", &which("c", "")).unwrap().get(4), RUNNING);
}

fn checkpoint(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    refused(c.call("Checkpoint", &which("c", "")), code::UNIMPLEMENTED);
}

fn runc_options(root: &std::path::Path) -> Message {
    let options = Message::new().text(7, &root.to_string_lossy());
    any("containerd.runc.v1.Options", &options.encode())
}

fn options_root(w: &World) {
    let bundle = w.bundle("c", &["sleep", "1000"]);
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    let root = w.dir.join("state");
    c.call("Create", &w.create("c").message(10, &runc_options(&root)))
        .unwrap();
    assert!(
        root.join(&w.namespace).join("c").is_dir(),
        "the state is elsewhere"
    );
}

fn toml(w: &World) {
    let bundle = w.bundle("c", &["sleep", "1000"]);
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    let root = w.dir.join("state");
    let body = format!(
        "Root = {:?}\nSystemdCgroup = false\n",
        root.to_string_lossy()
    );
    let generic = Message::new()
        .text(1, "containerd.runc.v1.Options")
        .bytes(3, body.as_bytes());
    let options = any("runtimeoptions.v1.Options", &generic.encode());
    c.call("Create", &w.create("c").message(10, &options))
        .unwrap();
    assert!(
        root.join(&w.namespace).join("c").is_dir(),
        "the state is elsewhere"
    );
    let wrong = Message::new().bytes(3, b"Root = [");
    let options = any("runtimeoptions.v1.Options", &wrong.encode());
    w.bundle("d", &["true"]);
    refused(
        c.call("Create", &w.create("d").message(10, &options)),
        code::INVALID_ARGUMENT,
    );
}

fn options_garbage(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    let options = any("containerd.runc.v1.Options", b"\xff\xff\xff\xff");
    assert!(
        c.call("Create", &w.create("c").message(10, &options))
            .is_err()
    );
    c.call("Create", &w.create("c")).unwrap();
}
