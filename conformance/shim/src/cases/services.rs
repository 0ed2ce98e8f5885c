//! The task service's two names, and what else the socket and the program answer.

use super::refused;
use crate::case::cases;
use crate::client::Connection;
use crate::lab::Lab;
use crate::task::{self, RUNNING, STOPPED, Stdio, Task};

cases!("services":
    version_3_is_version_2,
    a_life_by_version_3,
    words_of_a_missing_program,
    words_of_a_missing_program_of_an_exec,
    unknown_flag,
    unknown_action,
    ids_in_states,
);

fn version_3_is_version_2(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    container.write();
    let socket = lab.start_socket(&container);
    let connection = Connection::open(&socket).expect("it listens");
    let [v2, v3] = [task::V2, task::V3].map(|service| Task::new(connection.clone(), service));
    lab.create(&v2, &container);
    v3.start(&container.id, "").expect("Start");
    assert_eq!(v2.state(&container.id, ""), v3.state(&container.id, ""));
    v2.kill(&container.id, "", 9).expect("Kill");
    assert_eq!(v3.wait(&container.id, "").expect("Wait"), 137);
    v3.delete(&container.id, "").expect("Delete");
    refused(v2.state(&container.id, ""), crate::client::code::NOT_FOUND);
}

fn a_life_by_version_3(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    container.write();
    let socket = lab.start_socket(&container);
    let connection = Connection::open(&socket).expect("it listens");
    let task = Task::new(connection, task::V3);
    let id = &*container.id;
    lab.create(&task, &container);
    task.start(id, "").expect("Start");
    task.exec(
        id,
        "e",
        &container.process(&["sh", "-c", "exit 3"]),
        &Stdio::default(),
    )
    .expect("Exec");
    task.start(id, "e").expect("Start");
    assert_eq!(task.wait(id, "e").expect("Wait"), 3);
    assert_eq!(task.state(id, "e").expect("State").status, STOPPED);
    assert_eq!(task.delete(id, "e").expect("Delete").status, 3);
    task.pause(id).expect("Pause");
    task.resume(id).expect("Resume");
    assert_eq!(task.pids(id).expect("Pids").len(), 1);
    assert_eq!(task.state(id, "").expect("State").status, RUNNING);
    task.stats(id).expect("Stats");
    task.update(id, &serde_json::json!({"pids": {"limit": 9}}))
        .expect("Update");
    task.connect(id).expect("Connect");
    task.kill_all(id, 9).expect("Kill");
    assert_eq!(task.wait(id, "").expect("Wait"), 137);
    task.delete(id, "").expect("Delete");
}

/// `docker run` gives status 127 for these words.
fn words_of_a_missing_program(lab: &mut Lab) {
    let container = lab.container("", &["no-such-program"]);
    container.write();
    let task = lab.start(&container);
    let created = task.create(
        &container.id,
        &container.bundle,
        &[],
        &Stdio::default(),
        lab.runc_options(),
    );
    let failed = created.and_then(|_| task.start(&container.id, ""));
    let status = failed.expect_err("it is on no PATH");
    assert!(
        status.message.contains("executable file not found"),
        "{status}"
    );
}

fn words_of_a_missing_program_of_an_exec(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    let task = lab.started(&container);
    let process = container.process(&["no-such-program"]);
    let added = task.exec(&container.id, "e", &process, &Stdio::default());
    let failed = added.and_then(|()| task.start(&container.id, "e"));
    let status = failed.expect_err("it is on no PATH");
    assert!(
        status.message.contains("executable file not found"),
        "{status}"
    );
    task.delete(&container.id, "e").expect("Delete");
}

fn unknown_flag(lab: &mut Lab) {
    let output = lab.plain(&["-colour", "red", "start"], b"");
    assert!(output.code.is_some_and(|code| code != 0), "{output:?}");
    assert!(output.stderr.contains("-colour"), "{output:?}");
}

fn unknown_action(lab: &mut Lab) {
    let output = lab.plain(&["-namespace", "n", "-id", "i", "dance"], b"");
    assert!(output.code.is_some_and(|code| code != 0), "{output:?}");
}

/// The exec's id is in one of two fields, by the version.
fn ids_in_states(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    let task = lab.started(&container);
    let id = &*container.id;
    task.exec(id, "e", &container.process(&["true"]), &Stdio::default())
        .expect("Exec");
    assert_eq!(task.state(id, "").expect("State").id, id);
    let state = task.state(id, "e").expect("State");
    assert!(
        state.id == "e" || (state.id == id && state.exec_id == "e"),
        "{state:?}"
    );
}
