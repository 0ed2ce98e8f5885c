//! Programs that take a process's output: when they are ready, and when they never are.

use crate::case::cases;
use crate::client::Status;
use crate::container::Container;
use crate::lab::Lab;
use crate::process;
use crate::task::Task;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

cases!("stdio":
    a_logger,
    a_logger_that_is_not_there,
    a_logger_that_ends_early,
    a_logger_that_says_it_is_ready,
    a_logger_that_ends_without_a_word,
    a_logger_that_closes_without_a_word,
    a_logger_that_says_nothing,
    a_logger_of_an_exec_without_a_word,
);

/// A logger, by its contract: 3 and 4 are the streams, closing 5 says that it is ready; SIGTERM asks it to end, in twelve seconds.
fn logger(lab: &Lab, text: &str) -> PathBuf {
    let path = lab.directory().join("logger");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("own directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("own file");
    path
}

fn logged(container: &mut Container, program: &Path, query: &str) {
    container.stdio.stdout = format!("binary://{}{query}", program.display());
    container.stdio.stderr = container.stdio.stdout.clone();
}

/// By the scheme of containerd 2.2, whose loggers have to write a byte to 5.
fn logged_v2(container: &mut Container, program: &Path) {
    container.stdio.stdout = format!("binary-v2://{}", program.display());
    container.stdio.stderr = container.stdio.stdout.clone();
}

fn a_logger(lab: &mut Lab) {
    let directory = lab.directory().join("logged");
    fs::create_dir(&directory).expect("own directory");
    let text = "trap '' TERM\ncd \"$2\" || exit 1\nenv >env\necho \"$1\" >word\ncat <&3 >out 5>&- &\ncat <&4 >err 5>&- &\nexec 5>&- 3<&- 4<&-\nwait\necho end >end";
    let program = logger(lab, text);
    let mut container = lab.container("", &["sh", "-c", "echo out; echo err >&2"]);
    logged(
        &mut container,
        &program,
        &format!("?into={}", directory.display()),
    );
    let task = lab.started(&container);
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    let ended = || directory.join("end").exists();
    assert!(
        process::eventually(Duration::from_secs(5), ended),
        "the logger's streams are still open"
    );
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    assert_eq!(
        (read("out").as_str(), read("err").as_str()),
        ("out\n", "err\n")
    );
    assert_eq!(read("word"), "into\n");
    let environment = read("env");
    for (key, value) in [
        ("CONTAINER_ID", &container.id),
        ("CONTAINER_NAMESPACE", &lab.namespace),
    ] {
        let line = format!("{key}={value}");
        assert!(
            environment.lines().any(|one| one == line),
            "{line} is not in {environment}"
        );
    }
}

fn a_logger_that_is_not_there(lab: &mut Lab) {
    let mut container = lab.container("", &["true"]);
    logged(&mut container, Path::new("/no/such/logger"), "");
    container.write();
    let task = lab.start(&container);
    let Container {
        id, bundle, stdio, ..
    } = &container;
    let status = task
        .create(id, bundle, &[], stdio, lab.runc_options())
        .expect_err("there is no logger");
    assert!(status.code < 100, "{status}");
    task.state(id, "").expect_err("nothing was made");
}

/// Its streams are a container's problem then, not the shim's.
fn a_logger_that_ends_early(lab: &mut Lab) {
    let program = logger(lab, "exec 5>&-");
    let mut container = lab.container(
        "",
        &["sh", "-c", "sleep 0.3; echo lost 2>/dev/null; exit 0"],
    );
    logged(&mut container, &program, "");
    let task = lab.started(&container);
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
}

/// binary-v2: the byte may come late, and the container waits for it.
fn a_logger_that_says_it_is_ready(lab: &mut Lab) {
    let directory = lab.directory().join("logged");
    fs::create_dir(&directory).expect("own directory");
    let text = format!(
        "cd {}\nsleep 0.3\ndate >ready\nprintf x >&5\nexec 5>&-\ncat <&3 >out\ndate >end",
        directory.display()
    );
    let program = logger(lab, &text);
    let mut container = lab.container("", &["echo", "hello"]);
    logged_v2(&mut container, &program);
    let task = lab.created(&container);
    assert!(directory.join("ready").exists(), "it was not waited for");
    task.start(&container.id, "").expect("Start");
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    let ended = || directory.join("end").exists();
    assert!(process::eventually(Duration::from_secs(5), ended));
    let out = fs::read_to_string(directory.join("out"));
    assert_eq!(out.expect("the log"), "hello\n");
}

/// Create fails by these words and leaves nothing, so that the same id can be made with a logger that is one.
#[track_caller]
fn never_ready(lab: &Lab, text: &str, words: &str) {
    let program = logger(lab, text);
    let mut container = lab.container("", &["sleep", "1000"]);
    logged_v2(&mut container, &program);
    container.write();
    let task = lab.start(&container);
    let shim = task.connect(&container.id).expect("Connect").0;
    let before = descriptors(shim);
    let status = create(lab, &task, &container).expect_err("the logger isn't ready");
    let name = program.display().to_string();
    assert!(
        status.message.contains(&name) && status.message.contains(words),
        "{status}"
    );
    task.state(&container.id, "").expect_err("nothing was made");
    let ended = || process::descendants(shim).is_empty();
    assert!(
        process::eventually(Duration::from_secs(2), ended),
        "the logger runs on"
    );
    assert_eq!(descriptors(shim), before);
    container.stdio = crate::task::Stdio::default();
    create(lab, &task, &container).expect("nothing is in its way");
}

fn create(lab: &Lab, task: &Task, container: &Container) -> Result<i32, Status> {
    let Container {
        id, bundle, stdio, ..
    } = container;
    let begun = task.begin_create(id, bundle, &[], stdio, lab.runc_options());
    // Longer than a shim waits for a logger.
    let answer = begun.within(Duration::from_secs(14))?;
    Ok(answer.number(1) as i32)
}

fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

fn a_logger_that_ends_without_a_word(lab: &mut Lab) {
    never_ready(lab, "exit 0", "without the byte");
}

/// That is enough by the older scheme.
fn a_logger_that_closes_without_a_word(lab: &mut Lab) {
    never_ready(lab, "exec 5>&-\nexec sleep 1000", "without the byte");
}

fn a_logger_that_says_nothing(lab: &mut Lab) {
    let begun = Instant::now();
    never_ready(lab, "exec sleep 1000", "said nothing within");
    let waited = begun.elapsed();
    assert!(
        waited > Duration::from_secs(5),
        "one that is slow was given {waited:?}"
    );
}

/// The container goes on.
fn a_logger_of_an_exec_without_a_word(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    let task = lab.started(&container);
    let program = logger(lab, "exit 0");
    let mut streams = lab.container("streams", &["true"]);
    logged_v2(&mut streams, &program);
    let process = container.process(&["true"]);
    task.exec(&container.id, "e", &process, &streams.stdio)
        .expect("Exec");
    let status = task.start(&container.id, "e").expect_err("no logger");
    assert!(status.message.contains("without the byte"), "{status}");
    let state = task.state(&container.id, "").expect("State");
    assert_eq!(state.status, crate::task::RUNNING);
    let process = container.process(&["sh", "-c", "exit 4"]);
    let none = crate::task::Stdio::default();
    task.exec(&container.id, "f", &process, &none)
        .expect("Exec");
    task.start(&container.id, "f").expect("Start");
    assert_eq!(task.wait(&container.id, "f").expect("Wait"), 4);
}
