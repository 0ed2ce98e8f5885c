//! Containers through their lives, where the order of things or an interruption matters. Needs root and a static busybox.
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A bundle and a state root of its own; what is left in them is deleted at the end.
struct Bundle {
    dir: PathBuf,
    id: String,
}

impl Bundle {
    fn new() -> Bundle {
        let euid = std::fs::read_to_string("/proc/self/status").unwrap();
        let root = euid
            .lines()
            .any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"));
        assert!(
            root,
            "this test makes containers with cgroups: run it as root"
        );
        assert!(
            Path::new("/bin/busybox").exists(),
            "this test needs busybox-static"
        );
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let id = format!("trun-life-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(&id);
        for part in ["rootfs/bin", "rootfs/proc", "rootfs/dev", "rootfs/sys"] {
            std::fs::create_dir_all(dir.join(part)).unwrap();
        }
        std::fs::copy("/bin/busybox", dir.join("rootfs/bin/busybox")).unwrap();
        for name in ["sh", "sleep", "true"] {
            symlink("busybox", dir.join("rootfs/bin").join(name)).unwrap();
        }
        let bundle = Bundle { dir, id };
        bundle.call(&["spec"]).success();
        bundle.change(|spec| {
            spec["process"]["terminal"] = json!(false);
            spec["process"]["args"] = json!(["sleep", "600"]);
        });
        bundle
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let path = self.dir.join("config.json");
        let mut spec = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut spec);
        std::fs::write(path, spec.to_string()).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trun"));
        command
            .arg("--root")
            .arg(self.dir.join("state"))
            .args(words)
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        command
    }

    fn call(&self, words: &[&str]) -> Outcome {
        // The container keeps what it inherits open: files, not pipes.
        let open = |name: &str| std::fs::File::create(self.dir.join(name)).unwrap();
        let status = self
            .command(words)
            .stdout(open("out"))
            .stderr(open("err"))
            .status()
            .unwrap();
        let read = |name: &str| std::fs::read(self.dir.join(name)).unwrap();
        Outcome {
            line: words.join(" "),
            output: Output {
                status,
                stdout: read("out"),
                stderr: read("err"),
            },
        }
    }

    fn start(&self) {
        self.call(&["run", "--detach", &self.id]).success();
    }

    fn status(&self) -> String {
        let state: Value =
            serde_json::from_str(&self.call(&["state", &self.id]).success()).unwrap();
        state["status"].as_str().unwrap().to_owned()
    }

    fn cgroups(&self) -> Vec<PathBuf> {
        let record =
            std::fs::read(self.dir.join("state").join(&self.id).join("state.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        record["cgroup_paths"]
            .as_object()
            .unwrap()
            .values()
            .map(|path| path.as_str().unwrap().into())
            .collect()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        self.call(&["delete", "--force", &self.id]);
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

struct Outcome {
    line: String,
    output: Output,
}

impl Outcome {
    #[track_caller]
    fn success(&self) -> String {
        assert!(
            self.output.status.success(),
            "{}: {:?}",
            self.line,
            self.output
        );
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    #[track_caller]
    fn fails(&self, words: &str) {
        let text = String::from_utf8_lossy(&self.output.stderr);
        assert!(
            !self.output.status.success() && text.starts_with(words),
            "{}: {text:?}",
            self.line
        );
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "{what} did not come"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill_9(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_interrupted_delete_is_finished_by_the_next() {
    let bundle = Bundle::new();
    let mark = bundle.dir.join("mark");
    let script = format!(
        "[ -e {0} ] && exit 0; touch {0}; exec sleep 600",
        mark.display()
    );
    bundle.change(|spec| {
        spec["hooks"] = json!({"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]})
    });
    bundle.start();
    let cgroups = bundle.cgroups();
    assert!(cgroups.iter().all(|path| path.exists()) && !cgroups.is_empty());
    let mut first = bundle
        .command(&["delete", "--force", &bundle.id])
        .spawn()
        .unwrap();
    wait_until("the hook", || mark.exists());
    let hook = children(first.id());
    kill_9(&mut first);
    for pid in hook {
        Command::new("kill").args(["-9", &pid]).status().unwrap();
    }
    assert_eq!(bundle.status(), "stopped");
    bundle.call(&["delete", &bundle.id]).success();
    bundle
        .call(&["state", &bundle.id])
        .fails("container does not exist");
    assert!(cgroups.iter().all(|path| !path.exists()));
}

fn children(pid: u32) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_failing_poststop_hook_is_a_warning() {
    let bundle = Bundle::new();
    bundle.change(|spec| {
        spec["hooks"] = json!({"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", "echo broken; exit 3"]}]});
    });
    bundle.start();
    let outcome = bundle.call(&["delete", "--force", &bundle.id]);
    outcome.success();
    let text = String::from_utf8_lossy(&outcome.output.stderr).into_owned();
    assert!(
        text.contains("hooks.poststop[0]: /bin/sh: exit status 3, output: broken"),
        "{text}"
    );
    bundle
        .call(&["state", &bundle.id])
        .fails("container does not exist");
}

#[test]
fn the_status_follows_the_kernel() {
    let bundle = Bundle::new();
    bundle.call(&["create", &bundle.id]).success();
    assert_eq!(bundle.status(), "created");
    bundle
        .call(&["create", &bundle.id])
        .fails("container with given ID already exists");
    bundle
        .call(&["resume", &bundle.id])
        .fails("container not paused");
    bundle.call(&["start", &bundle.id]).success();
    assert_eq!(bundle.status(), "running");
    bundle.call(&["pause", &bundle.id]).success();
    assert_eq!(bundle.status(), "paused");
    bundle
        .call(&["exec", &bundle.id, "true"])
        .fails("cannot exec in a paused container");
    bundle
        .call(&["delete", &bundle.id])
        .fails("cannot delete container");
    // v1 delivers SIGKILL to thawed processes only: kill thaws.
    bundle.call(&["kill", &bundle.id, "KILL"]).success();
    wait_until("the end", || bundle.status() == "stopped");
    bundle
        .call(&["kill", &bundle.id])
        .fails("container not running");
    bundle.call(&["kill", "--all", &bundle.id]).success();
    bundle
        .call(&["exec", &bundle.id, "true"])
        .fails("cannot exec in a stopped container");
    bundle.call(&["delete", &bundle.id]).success();
}

#[test]
fn run_hands_signals_on_and_passes_the_status() {
    let bundle = Bundle::new();
    let script = "trap 'exit 7' TERM; while :; do sleep 0.01; done";
    bundle.change(|spec| spec["process"]["args"] = json!(["sh", "-c", script]));
    let mut run = bundle.command(&["run", &bundle.id]).spawn().unwrap();
    let state = bundle.dir.join("state").join(&bundle.id);
    wait_until("the container", || {
        state.join("state.json").exists() && bundle.status() == "running"
    });
    // The shell needs a moment to set its trap; until then TERM does nothing to pid 1.
    let begin = Instant::now();
    let status = loop {
        Command::new("kill")
            .args(["-TERM", &run.id().to_string()])
            .status()
            .unwrap();
        if let Some(status) = run.try_wait().unwrap() {
            break status;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "TERM was not handed on"
        );
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(7));
    assert!(!state.exists(), "run deletes what it ran");
}

#[test]
fn run_killed_outright_leaves_what_delete_force_removes() {
    let bundle = Bundle::new();
    let mut run = bundle.command(&["run", &bundle.id]).spawn().unwrap();
    let state = bundle.dir.join("state").join(&bundle.id);
    wait_until("the container", || {
        state.join("state.json").exists() && bundle.status() == "running"
    });
    let cgroups = bundle.cgroups();
    kill_9(&mut run);
    assert_eq!(bundle.status(), "running");
    bundle.call(&["delete", "--force", &bundle.id]).success();
    assert!(!state.exists() && cgroups.iter().all(|path| !path.exists()));
}

#[test]
fn a_damaged_state_kills_its_own_container_and_no_other() {
    let bundle = Bundle::new();
    bundle.start();
    let cgroups = bundle.cgroups();
    // Another root with a directory of the same id: its configuration leads to the same cgroup, but is younger than what is there.
    std::thread::sleep(Duration::from_millis(200));
    let other = bundle.dir.join("other");
    let state = other.join(&bundle.id);
    std::fs::create_dir_all(&state).unwrap();
    let config = std::fs::read(bundle.dir.join("config.json")).unwrap();
    std::fs::write(state.join("config.json"), config).unwrap();
    std::fs::write(state.join("state.json"), "damaged").unwrap();
    let delete = Command::new(env!("CARGO_BIN_EXE_trun"))
        .arg("--root")
        .arg(&other)
        .args(["delete", "--force", &bundle.id])
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&delete.stderr);
    assert!(
        !delete.status.success() && words.contains("may be another container's"),
        "{words}"
    );
    assert_eq!(bundle.status(), "running");
    let own = bundle.dir.join("state").join(&bundle.id);
    std::fs::write(own.join("state.json"), "damaged").unwrap();
    bundle.call(&["delete", "--force", &bundle.id]).success();
    assert!(!own.exists() && cgroups.iter().all(|path| !path.exists()));
}

#[test]
fn many_deletes_at_once_end_well() {
    let bundle = Bundle::new();
    bundle.start();
    let command = || {
        bundle
            .command(&["delete", "--force", &bundle.id])
            .spawn()
            .unwrap()
    };
    let mut running: Vec<_> = (0..6).map(|_| command()).collect();
    for child in &mut running {
        assert!(child.wait().unwrap().success());
    }
    bundle
        .call(&["state", &bundle.id])
        .fails("container does not exist");
}
