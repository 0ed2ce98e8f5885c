//! Terminals: of init and of execs, their sizes, input and end.

use crate::case::cases;
use crate::client::code;
use crate::fifo;
use crate::lab::Lab;
use crate::process;
use serde_json::json;
use std::io::Write;
use std::time::Duration;

cases!("terminal":
    is_one,
    resize,
    resize_of_an_exec,
    resize_without_a_terminal,
    input_and_its_echo,
    hang_up,
    much_output,
    nobody_reads,
);

fn is_one(lab: &mut Lab) {
    let mut container = lab.container(
        "",
        &[
            "sh",
            "-c",
            "tty; test -t 0 && test -t 1 && test -t 2 && echo all",
        ],
    );
    let output = container.terminal();
    let task = lab.started(&container);
    assert!(
        task.state(&container.id, "")
            .is_ok_and(|state| state.terminal)
    );
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 0);
    task.delete(&container.id, "").expect("Delete");
    let text = output.text();
    assert!(
        text.contains("/dev/") && text.ends_with("all\r\n"),
        "{text:?}"
    );
}

const SHOW_SIZE: &str = "while :; do stty size; usleep 50000; done";

fn resize(lab: &mut Lab) {
    let mut container = lab.container("", &["sh", "-c", SHOW_SIZE]);
    let output = container.terminal();
    let task = lab.created(&container);
    task.resize(&container.id, "", 100, 30)
        .expect("before Start");
    task.start(&container.id, "").expect("Start");
    output.await_word("30 100\r\n");
    task.resize(&container.id, "", 132, 43).expect("ResizePty");
    output.await_word("43 132\r\n");
    task.kill(&container.id, "", 9).expect("Kill");
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    output.text();
}

fn resize_of_an_exec(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let mut streams = lab.container("streams", &["true"]);
    let output = streams.terminal();
    let mut process = container.process(&["sh", "-c", SHOW_SIZE]);
    process["terminal"] = json!(true);
    task.exec(&container.id, "e", &process, &streams.stdio)
        .expect("Exec");
    task.start(&container.id, "e").expect("Start");
    task.resize(&container.id, "e", 132, 43).expect("ResizePty");
    output.await_word("43 132\r\n");
    task.kill(&container.id, "e", 9).expect("Kill");
    assert_eq!(task.wait(&container.id, "e").expect("Wait"), 137);
    task.delete(&container.id, "e").expect("Delete");
    output.text();
}

/// An error or not: but an answer, and a shim that lives.
fn resize_without_a_terminal(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    if let Err(status) = task.resize(&container.id, "", 80, 25) {
        assert!(status.code < code::CLOSED, "{status}");
    }
    task.state(&container.id, "").expect("State");
}

fn input_and_its_echo(lab: &mut Lab) {
    let mut container = lab.container("", &["sh", "-c", "read line; echo got $line"]);
    let path = container.give_stdin();
    let output = container.terminal();
    let task = lab.started(&container);
    let mut input = fifo::writer(&path);
    input.write_all(b"hello\n").expect("the shim reads");
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 0);
    task.delete(&container.id, "").expect("Delete");
    assert_eq!(output.text(), "hello\r\ngot hello\r\n");
}

/// An end of file is a character here.
fn hang_up(lab: &mut Lab) {
    let mut container = lab.container("", &["cat"]);
    let path = container.give_stdin();
    let output = container.terminal();
    let task = lab.started(&container);
    let mut input = fifo::writer(&path);
    input.write_all(b"hello\n\x04").expect("the shim reads");
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 0);
    task.delete(&container.id, "").expect("Delete");
    assert_eq!(output.text(), "hello\r\nhello\r\n");
}

fn much_output(lab: &mut Lab) {
    let line = "stty -onlcr; head -c 4000000 /dev/zero | tr '\\0' x";
    let mut container = lab.container("", &["sh", "-c", line]);
    let output = container.terminal();
    let task = lab.started(&container);
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 0);
    task.delete(&container.id, "").expect("Delete");
    assert_eq!(output.whole(Duration::from_secs(5)).len(), 4_000_000);
}

/// The program stands still, the shim does not, and both can be ended.
fn nobody_reads(lab: &mut Lab) {
    let mut container = lab.container("", &["yes"]);
    let path = container.fifo("stdout");
    container.spec.set("process.terminal", true);
    container.stdio.terminal = true;
    container.stdio.stdout = path.to_string_lossy().into_owned();
    // Open, but not read from.
    let reader = std::thread::spawn(move || std::fs::File::open(path));
    let task = lab.started(&container);
    let reader = reader.join().expect("no panic").expect("a fifo");
    std::thread::sleep(Duration::from_millis(300));
    let shim = task.connect(&container.id).expect("Connect").0;
    assert!(process::is_alive(shim));
    task.state(&container.id, "").expect("State is answered");
    task.kill(&container.id, "", 9).expect("Kill");
    let wait = task.begin_wait(&container.id, "");
    wait.within(Duration::from_secs(5)).expect("Wait");
    drop(reader);
}
