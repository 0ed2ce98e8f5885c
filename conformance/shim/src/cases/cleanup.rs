//! `delete`: what is left after a shim that is gone, from what is on disk alone.

use super::kill_shim;
use crate::case::cases;
use crate::container::Container;
use crate::lab::Lab;
use crate::task::{End, Mount};
use crate::{leaks, process};
use std::fs;
use std::time::{Duration, Instant, SystemTime};

cases!("cleanup":
    of_a_running_container,
    of_a_created_one,
    of_one_that_has_ended,
    of_a_paused_one,
    of_one_with_execs,
    of_mounts,
    twice,
    of_what_never_was,
    without_a_bundle,
    in_a_pod_spares_the_others,
);

/// `delete` says 137 and takes less than containerd's five seconds; nothing is left of the container.
#[track_caller]
fn is_cleaned_up(lab: &Lab, container: &Container) -> End {
    let begin = Instant::now();
    let end = lab.delete(container);
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(end.status, 137);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("the clock is set").as_secs();
    assert!(now.abs_diff(end.at) < 60, "exited_at {}", end.at);
    nothing_left(lab, container);
    end
}

#[track_caller]
fn nothing_left(lab: &Lab, container: &Container) {
    let me = std::process::id() as i32;
    process::eventually(Duration::from_secs(2), || {
        process::reap_all();
        leaks::cgroups(&container.id).is_empty() && process::descendants(me).is_empty()
    });
    assert_eq!(
        leaks::cgroups(&container.id),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(
        leaks::mounts(&container.bundle),
        Vec::<std::path::PathBuf>::new()
    );
    for root in ["/run/containerd/runc", "/run/containerd/tare"] {
        let state = std::path::Path::new(root)
            .join(&lab.namespace)
            .join(&container.id);
        assert!(!state.exists(), "{} is left", state.display());
    }
}

fn of_a_running_container(lab: &mut Lab) {
    let container = lab.container("", &["sh", "-c", "sleep 100 & sleep 100"]);
    let task = lab.started(&container);
    let pid = task.state(&container.id, "").expect("State").pid;
    kill_shim(&task);
    assert!(process::is_alive(pid), "the container ended with its shim");
    let end = is_cleaned_up(lab, &container);
    assert_eq!(end.pid, pid);
    assert!(!process::is_alive(pid));
    assert!(process::descendants(std::process::id() as i32).is_empty());
}

fn of_a_created_one(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.created(&container);
    kill_shim(&task);
    is_cleaned_up(lab, &container);
}

fn of_one_that_has_ended(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    let task = lab.started(&container);
    task.wait(&container.id, "").expect("Wait");
    kill_shim(&task);
    is_cleaned_up(lab, &container);
}

fn of_a_paused_one(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    task.pause(&container.id).expect("Pause");
    kill_shim(&task);
    is_cleaned_up(lab, &container);
}

fn of_one_with_execs(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let process = container.process(&["sleep", "100"]);
    for exec in ["one", "two"] {
        task.exec(
            &container.id,
            exec,
            &process,
            &crate::task::Stdio::default(),
        )
        .expect("Exec");
        task.start(&container.id, exec).expect("Start");
    }
    kill_shim(&task);
    is_cleaned_up(lab, &container);
    assert!(process::descendants(std::process::id() as i32).is_empty());
}

/// The shim mounted the root; the binary unmounts it.
fn of_mounts(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let files = lab.directory().join("files");
    fs::rename(container.bundle.join("rootfs"), &files).expect("own directory");
    fs::create_dir(container.bundle.join("rootfs")).expect("own directory");
    container.write();
    let task = lab.start(&container);
    let mount = Mount {
        kind: "bind".to_owned(),
        source: files.to_string_lossy().into_owned(),
        options: ["rbind", "rw"].map(str::to_owned).into(),
    };
    task.create(
        &container.id,
        &container.bundle,
        &[mount],
        &container.stdio,
        lab.runc_options(),
    )
    .expect("Create");
    task.start(&container.id, "").expect("Start");
    assert_eq!(leaks::mounts(&container.bundle).len(), 1);
    kill_shim(&task);
    is_cleaned_up(lab, &container);
    assert!(
        files.join("bin/busybox").exists(),
        "what was mounted is gone"
    );
}

fn twice(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    kill_shim(&task);
    is_cleaned_up(lab, &container);
    assert_eq!(lab.delete(&container).status, 137);
}

/// containerd calls it too when Create has failed, or never came.
fn of_what_never_was(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    is_cleaned_up(lab, &container);
}

/// An error or not, but an end; and no server.
fn without_a_bundle(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    let mut gone = Container::at(&container.id, &container.bundle.join("none"));
    gone.bundle = container.bundle.clone();
    fs::remove_dir_all(&container.bundle).expect("own directory");
    fs::create_dir(&container.bundle).expect("own directory");
    let output = lab.delete_output(&gone);
    assert!(output.code.is_some(), "{output:?}");
    assert!(
        output.code == Some(0) || !output.stderr.is_empty(),
        "{output:?}"
    );
    nothing_left(lab, &gone);
}

fn in_a_pod_spares_the_others(lab: &mut Lab) {
    let [first, second] = ["a", "b"].map(|name| {
        let container = lab.container(name, &["sleep", "100"]);
        container.in_group(&lab.namespace)
    });
    first.write();
    second.write();
    let task = lab.start(&first);
    let _ = lab.start_socket(&second);
    let pids = [&first, &second].map(|one| {
        lab.create(&task, one);
        task.start(&one.id, "").expect("Start")
    });
    kill_shim(&task);
    assert_eq!(lab.delete(&first).status, 137);
    assert!(!process::is_alive(pids[0]));
    assert!(
        process::is_alive(pids[1]),
        "the other container of the pod was ended too"
    );
    is_cleaned_up(lab, &second);
}
