//! The program's own contract: how it is started, what it prints, what it cleans up.
use super::{Case, all, ours};
use crate::proto::{Message, any};
use crate::ttrpc::Client;
use crate::world::{World, eventually, which};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub fn cases() -> Vec<Case> {
    vec![
        all("bootstrap/bare-address", bare_address),
        all("bootstrap/group-shares-a-server", group),
        all("bootstrap/dead-socket-is-replaced", dead_socket),
        all("bootstrap/bare-any-is-no-bootstrap", bare_any),
        ours(
            "bootstrap/params",
            "BootstrapParams came with containerd 2.3",
            params,
        ),
        ours(
            "bootstrap/socket-is-private",
            "its socket has the umask's mode",
            private,
        ),
        all("bootstrap/version", version),
        ours("bootstrap/info", "-info came with containerd 2.0", info),
        all("bootstrap/delete-after-kill-9", delete_after_kill),
        all("bootstrap/delete-without-a-container", delete_nothing),
        all("bootstrap/no-bundle", no_bundle),
        ours(
            "bootstrap/unknown-flag",
            "Go's flag package exits with 2",
            unknown_flag,
        ),
    ]
}

fn bare_address(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let said = w.run(&bundle, "c", &["start"], b"");
    assert!(said.ok, "{}", said.stderr);
    assert_eq!(
        said.stderr, "",
        "containerd takes standard error for a part of the address"
    );
    let address = String::from_utf8(said.stdout).unwrap();
    let path = address.trim().strip_prefix("unix://").expect("unix://");
    assert!(!path.starts_with('\0') && path.len() < 107, "{path}");
    let mut client = w.connect(path, "c");
    client.call("Shutdown", &which("c", "")).unwrap();
    let pid = w.pid();
    eventually("the server is still there after Shutdown", || {
        !Path::new(&format!("/proc/{pid}")).exists() || is_zombie(pid)
    });
    assert!(Client::connect(path).is_err(), "its socket is still there");
}

fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn group(w: &World) {
    let grouped = |config: &mut serde_json::Value| {
        config["annotations"] = serde_json::json!({ "io.kubernetes.cri.sandbox-id": "pod" });
    };
    let first = w.bundle_with("pod", &["sleep", "100"], &grouped);
    let second = w.bundle_with("c2", &["sleep", "100"], &grouped);
    let alone = w.bundle("c3", &["true"]);
    let address = w.start(&first, "pod");
    assert_eq!(w.start(&second, "c2"), address);
    assert_ne!(w.start(&alone, "c3"), address);
    let mut client = w.connect(&address, "pod");
    for id in ["pod", "c2"] {
        client.call("Create", &w.create(id)).unwrap();
        client.call("Start", &which(id, "")).unwrap();
    }
    let state = client.call("State", &which("c2", "")).unwrap();
    assert_eq!((state.get_text(1).as_str(), state.get(4)), ("c2", 2));
}

fn dead_socket(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let address = w.start(&bundle, "c");
    w.connect(&address, "c");
    let pid = rustix::process::Pid::from_raw(w.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually("the socket still answers", || {
        Client::connect(&address).is_err()
    });
    assert!(Path::new(&address).exists());
    assert_eq!(w.start(&bundle, "c"), address);
    w.connect(&address, "c");
}

fn bare_any(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let options = any(
        "containerd.runc.v1.Options",
        &Message::new().number(2, 1).encode(),
    );
    let said = w.run(&bundle, "c", &["start"], &options.encode());
    assert!(said.ok, "{}", said.stderr);
    let address = String::from_utf8(said.stdout).expect("the bare address");
    w.connect(address.trim().trim_start_matches("unix://"), "c");
}

fn params(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let sockets = w.dir.join("s");
    let params = Message::new()
        .text(1, "c")
        .text(2, &w.namespace)
        .text(5, &w.dir.join("events.sock").to_string_lossy())
        .text(9, &sockets.to_string_lossy());
    let said = w.run(&bundle, "c", &["start"], &params.encode());
    assert!(said.ok && said.stderr.is_empty(), "{}", said.stderr);
    let result = Message::decode(&said.stdout).expect("a BootstrapResult");
    assert_eq!((result.get(1), result.get_text(3).as_str()), (3, "ttrpc"));
    let address = result.get_text(2);
    let path = address.strip_prefix("unix://").unwrap();
    assert!(path.starts_with(&*sockets.to_string_lossy()), "{path}");
    w.connect(path, "c")
        .call_of(crate::ttrpc::V3, "Create", &w.create("c"))
        .unwrap();
}

fn private(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let params = Message::new()
        .text(1, "c")
        .text(2, &w.namespace)
        .text(9, &w.dir.join("s").to_string_lossy());
    let said = w.run(&bundle, "c", &["start"], &params.encode());
    let address = Message::decode(&said.stdout).unwrap().get_text(2);
    let path = Path::new(address.trim_start_matches("unix://"));
    w.connect(&path.to_string_lossy(), "c");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(path), mode(path.parent().unwrap())), (0o600, 0o700));
}

fn version(w: &World) {
    let said = w.run(&w.dir, "c", &["-v"], b"");
    assert!(said.ok && !said.stdout.is_empty());
}

fn info(w: &World) {
    let options = any("containerd.runc.v1.Options", b"");
    let said = w.run(&w.dir, "c", &["-info"], &options.encode());
    assert!(said.ok && said.stderr.is_empty(), "{}", said.stderr);
    let info = Message::decode(&said.stdout).expect("a RuntimeInfo, not wrapped in an Any");
    assert_eq!(info.get_text(1), "io.containerd.tare.v2");
    assert!(!info.get_message(2).get_text(1).is_empty());
    assert_eq!(
        info.get_message(3).get_text(1),
        "containerd.runc.v1.Options"
    );
    let features: serde_json::Value =
        serde_json::from_slice(info.get_message(4).get_bytes(2)).expect("JSON");
    assert!(features["ociVersionMin"].is_string() && features["linux"].is_object());
}

fn delete_after_kill(w: &World) {
    let bundle = w.bundle("c", &["sleep", "1000"]);
    let mut client = w.connect(&w.start(&bundle, "c"), "c");
    let source = w.dir.join("lower");
    std::fs::rename(bundle.join("rootfs"), &source).unwrap();
    let mount = Message::new()
        .text(1, "bind")
        .text(2, &source.to_string_lossy())
        .text(4, "rbind");
    client
        .call("Create", &w.create("c").message(3, &mount))
        .unwrap();
    let pid = client.call("Start", &which("c", "")).unwrap().get(1);
    let server = rustix::process::Pid::from_raw(w.pid().cast_signed()).unwrap();
    rustix::process::kill_process(server, rustix::process::Signal::KILL).unwrap();
    let path = bundle.to_string_lossy().into_owned();
    let said = w.run(&bundle, "c", &["-bundle", &path, "delete"], b"");
    assert!(said.ok, "{}", said.stderr);
    let answer = Message::decode(&said.stdout).expect("a DeleteResponse");
    assert_eq!((answer.get(1), answer.get(2)), (pid, 137));
    assert!(answer.has(3), "it has no time");
    eventually("its process runs on", || {
        !Path::new(&format!("/proc/{pid}")).exists()
    });
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&path), "its root is mounted still");
    let cgroups = std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
    for hierarchy in cgroups {
        let left = hierarchy.path().join(&w.namespace).join("c");
        assert!(!left.exists(), "{}", left.display());
    }
}

fn delete_nothing(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let path = bundle.to_string_lossy().into_owned();
    let said = w.run(&bundle, "c", &["-bundle", &path, "delete"], b"");
    assert!(said.ok, "{}", said.stderr);
    assert_eq!(
        Message::decode(&said.stdout)
            .expect("a DeleteResponse")
            .get(2),
        137
    );
}

fn no_bundle(w: &World) {
    let said = w.run(&w.dir, "c", &["start"], b"");
    assert!(
        !said.ok && !said.stderr.is_empty(),
        "started without a config.json"
    );
}

fn unknown_flag(w: &World) {
    let said = w.run(&w.dir, "c", &["-colour", "red", "start"], b"");
    assert!(
        !said.ok && said.stderr.contains("-colour"),
        "{}",
        said.stderr
    );
}
