//! Streams: nothing, fifos, files; to their ends, and to nobody.

use super::hostile::resident;
use super::refused;
use crate::case::cases;
use crate::client::code;
use crate::container::Container;
use crate::fifo::{self, Reader};
use crate::lab::Lab;
use crate::process;
use crate::task::Task;
use std::fs;
use std::io::Write;

use std::time::{Duration, Instant};

cases!("stdio":
    nothing,
    output_and_errors_apart,
    fifo_scheme,
    ends_before_delete,
    ends_before_delete_of_an_exec,
    what_waits_in_the_fifo,
    input_until_close_io,
    input_until_close_io_of_an_exec,
    input_whose_writer_goes,
    input_that_is_read_late,
    input_ends_with_its_writer,
    input_that_nobody_reads,
    a_child_keeps_the_output,
    no_such_scheme,
    a_file,
    a_file_in_a_new_directory,
    a_reader_that_comes_again,
    a_reader_that_comes_late,
    a_slow_reader,
    output_of_a_shim_that_is_killed,
);

#[track_caller]
fn waited(task: &Task, container: &Container) -> u64 {
    task.wait(&container.id, "").expect("Wait")
}

fn nothing(lab: &mut Lab) {
    let line = "readlink /proc/self/fd/0 2>/dev/null; cat; echo lost; echo lost >&2; exit 5";
    let container = lab.container("", &["sh", "-c", line]);
    let task = lab.started(&container);
    assert_eq!(waited(&task, &container), 5);
}

fn output_and_errors_apart(lab: &mut Lab) {
    let mut container = lab.container("", &["sh", "-c", "echo out; echo err >&2; echo out2"]);
    let (output, errors) = container.read_both();
    let task = lab.started(&container);
    waited(&task, &container);
    task.delete(&container.id, "").expect("Delete");
    assert_eq!(
        (output.text(), errors.text()),
        ("out\nout2\n".to_owned(), "err\n".to_owned())
    );
}

fn fifo_scheme(lab: &mut Lab) {
    let mut container = lab.container("", &["echo", "hello"]);
    let (output, _errors) = container.read_both();
    for path in [&mut container.stdio.stdout, &mut container.stdio.stderr] {
        *path = format!("fifo://{path}");
    }
    let task = lab.started(&container);
    waited(&task, &container);
    task.delete(&container.id, "").expect("Delete");
    assert_eq!(output.text(), "hello\n");
}

/// containerd's client reads to the end before it calls Delete.
fn ends_before_delete(lab: &mut Lab) {
    let mut container = lab.container("", &["echo", "hello"]);
    let (output, errors) = container.read_both();
    let task = lab.started(&container);
    waited(&task, &container);
    assert_eq!(
        (output.text().as_str(), errors.text().as_str()),
        ("hello\n", "")
    );
}

/// CRI's exec does so too.
fn ends_before_delete_of_an_exec(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let mut streams = lab.container("streams", &["true"]);
    let (output, errors) = streams.read_both();
    let process = container.process(&["echo", "hello"]);
    task.exec(&container.id, "e", &process, &streams.stdio)
        .expect("Exec");
    task.start(&container.id, "e").expect("Start");
    task.wait(&container.id, "e").expect("Wait");
    assert_eq!(
        (output.text().as_str(), errors.text().as_str()),
        ("hello\n", "")
    );
}

/// The reader is late: process and task are gone when it begins.
fn what_waits_in_the_fifo(lab: &mut Lab) {
    let line = "head -c 60000 /dev/zero | tr '\\0' x";
    let mut container = lab.container("", &["sh", "-c", line]);
    let go = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let held = std::sync::Arc::clone(&go);
    let [path, errors] = ["stdout", "stderr"].map(|name| container.fifo(name));
    let _errors = Reader::open(&errors);
    // Holds the fifo open, and reads nothing after the first byte for a while.
    let output = Reader::with(&path, move |_| {
        while !held.load(std::sync::atomic::Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    container.stdio.stdout = path.to_string_lossy().into_owned();
    container.stdio.stderr = errors.to_string_lossy().into_owned();
    let task = lab.started(&container);
    assert_eq!(waited(&task, &container), 0);
    std::thread::sleep(Duration::from_millis(200));
    go.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(output.whole(Duration::from_secs(5)).len(), 60_000);
}

fn input_until_close_io(lab: &mut Lab) {
    let mut container = lab.container("", &["sh", "-c", "cat; echo end"]);
    let path = container.give_stdin();
    let output = container.read_stdout();
    let task = lab.started(&container);
    let mut input = fifo::writer(&path);
    input.write_all(b"one\n").expect("the shim reads");
    output.await_word("one");
    input.write_all(b"two\n").expect("the shim reads");
    output.await_word("two");
    task.close_io(&container.id, "").expect("CloseIO");
    drop(input);
    assert_eq!(waited(&task, &container), 0);
    assert_eq!(output.text(), "one\ntwo\nend\n");
}

fn input_until_close_io_of_an_exec(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let mut streams = lab.container("streams", &["true"]);
    let path = streams.give_stdin();
    let output = streams.read_stdout();
    let process = container.process(&["sh", "-c", "cat; exit 6"]);
    task.exec(&container.id, "e", &process, &streams.stdio)
        .expect("Exec");
    task.start(&container.id, "e").expect("Start");
    let mut input = fifo::writer(&path);
    input.write_all(b"hello\n").expect("the shim reads");
    output.await_word("hello");
    task.close_io(&container.id, "e").expect("CloseIO");
    drop(input);
    assert_eq!(task.wait(&container.id, "e").expect("Wait"), 6);
}

/// `echo hello | ctr run`: the writer writes, closes, and says CloseIO.
fn input_whose_writer_goes(lab: &mut Lab) {
    let mut container = lab.container("", &["wc", "-c"]);
    let path = container.give_stdin();
    let output = container.read_stdout();
    let task = lab.created(&container);
    let mut input = fifo::writer(&path);
    let writer = std::thread::spawn(move || input.write_all(&vec![b'x'; 1 << 20]));
    task.start(&container.id, "").expect("Start");
    writer.join().expect("no panic").expect("all was read");
    task.close_io(&container.id, "").expect("CloseIO");
    assert_eq!(waited(&task, &container), 0);
    assert_eq!(output.text().trim(), (1 << 20).to_string());
}

/// More than the process's pipe holds, which is read after CloseIO.
fn input_that_is_read_late(lab: &mut Lab) {
    let mut container = lab.container("", &["sh", "-c", "sleep 0.3; wc -c"]);
    let path = container.give_stdin();
    let output = container.read_stdout();
    let task = lab.started(&container);
    let mut input = fifo::writer(&path);
    let bytes = vec![b'x'; 120 << 10];
    input
        .write_all(&bytes)
        .expect("the pipe and the fifo hold it");
    task.close_io(&container.id, "").expect("CloseIO");
    drop(input);
    assert_eq!(waited(&task, &container), 0);
    assert_eq!(output.text().trim(), bytes.len().to_string());
}

/// Without CloseIO.
fn input_ends_with_its_writer(lab: &mut Lab) {
    let mut container = lab.container("", &["cat"]);
    let path = container.give_stdin();
    let output = container.read_stdout();
    let task = lab.started(&container);
    let mut input = fifo::writer(&path);
    input.write_all(b"hello\n").expect("the shim reads");
    drop(input);
    let wait = task.begin_wait(&container.id, "");
    wait.within(Duration::from_secs(5)).expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    assert_eq!(output.text(), "hello\n");
}

/// containerd opens the fifos on threads of its own: one that comes after the process's end must see it.
fn a_reader_that_comes_late(lab: &mut Lab) {
    let mut container = lab.container("", &["echo", "word"]);
    let [output, errors] = ["stdout", "stderr"].map(|name| container.fifo(name));
    container.stdio.stdout = output.to_string_lossy().into_owned();
    container.stdio.stderr = errors.to_string_lossy().into_owned();
    let (sender, texts) = std::sync::mpsc::channel();
    for path in [output, errors] {
        let sender = sender.clone();
        std::thread::spawn(move || {
            // Twenty times what the container lives, a fifth of what the shim waits.
            std::thread::sleep(Duration::from_millis(400));
            // The case may have ended.
            let _ = sender.send(fs::read_to_string(path));
        });
    }
    let task = lab.started(&container);
    assert_eq!(waited(&task, &container), 0);
    let mut texts = [(); 2].map(|()| {
        let text = texts.recv_timeout(Duration::from_secs(5));
        text.expect("the end is seen").expect("it can be read")
    });
    texts.sort();
    assert_eq!(texts, ["", "word\n"]);
}

fn no_such_scheme(lab: &mut Lab) {
    let mut container = lab.container("", &["true"]);
    container.stdio.stdout = "gopher:///x".to_owned();
    container.stdio.stderr = "gopher:///x".to_owned();
    container.write();
    let task = lab.start(&container);
    let Container {
        id, bundle, stdio, ..
    } = &container;
    let created = task.create(id, bundle, &[], stdio, lab.runc_options());
    refused(created, code::INVALID_ARGUMENT);
    task.state(id, "").expect_err("nothing was made");
}

fn input_that_nobody_reads(lab: &mut Lab) {
    let mut container = lab.container("", &["true"]);
    let path = container.give_stdin();
    container.read_both();
    let task = lab.started(&container);
    let input = fifo::writer(&path);
    assert_eq!(waited(&task, &container), 0);
    task.delete(&container.id, "").expect("Delete");
    drop(input);
}

/// A process in the background holds the streams; containerd's Delete must not wait for it.
fn a_child_keeps_the_output(lab: &mut Lab) {
    let mut container = lab.container("", &["sh", "-c", "sleep 100 & echo ready"]);
    container.spec.without_namespace("pid");
    let output = container.read_stdout();
    let task = lab.started(&container);
    output.await_word("ready");
    assert_eq!(waited(&task, &container), 0);
    let begin = Instant::now();
    task.delete(&container.id, "").expect("Delete");
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(output.text(), "ready\n");
}

fn a_file(lab: &mut Lab) {
    let path = lab.directory().join("log.txt");
    fs::write(&path, "before\n").expect("own directory");
    let mut container = lab.container("", &["sh", "-c", "echo out; echo err >&2; echo out2"]);
    container.stdio.stdout = format!("file://{}", path.display());
    container.stdio.stderr = container.stdio.stdout.clone();
    let task = lab.started(&container);
    waited(&task, &container);
    task.delete(&container.id, "").expect("Delete");
    let text = fs::read_to_string(&path).expect("the log");
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "before");
    // A shim that copies may copy one stream before the other.
    lines.sort_unstable();
    assert_eq!(lines, ["before", "err", "out", "out2"]);
}

fn a_file_in_a_new_directory(lab: &mut Lab) {
    let path = lab.directory().join("logs/of/today/log.txt");
    let mut container = lab.container("", &["echo", "hello"]);
    container.stdio.stdout = format!("file://{}", path.display());
    container.stdio.stderr = container.stdio.stdout.clone();
    let task = lab.started(&container);
    waited(&task, &container);
    task.delete(&container.id, "").expect("Delete");
    assert_eq!(fs::read_to_string(&path).expect("the log"), "hello\n");
}

/// containerd was restarted: nobody read for a while.
fn a_reader_that_comes_again(lab: &mut Lab) {
    let line =
        "i=0; while [ $i -lt 50 ]; do echo line $i || exit 9; i=$((i+1)); usleep 20000; done";
    let mut container = lab.container("", &["sh", "-c", line]);
    let errors = container.fifo("stderr");
    let _errors = Reader::open(&errors);
    let path = container.fifo("stdout");
    container.stdio.stdout = path.to_string_lossy().into_owned();
    container.stdio.stderr = errors.to_string_lossy().into_owned();
    let first = {
        let path = path.clone();
        std::thread::spawn(move || {
            let mut piece = [0; 64];
            let mut file = fs::File::open(path)?;
            std::io::Read::read(&mut file, &mut piece).map(|count| piece[..count].to_vec())
        })
    };
    let task = lab.started(&container);
    let mut text = first.join().expect("no panic").expect("a fifo");
    // The only reader is gone; lines are written meanwhile.
    std::thread::sleep(Duration::from_millis(300));
    let second = Reader::open(&path);
    assert_eq!(
        waited(&task, &container),
        0,
        "a write failed without a reader"
    );
    task.delete(&container.id, "").expect("Delete");
    text.extend(second.whole(Duration::from_secs(5)));
    let text = String::from_utf8_lossy(&text).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let expected: Vec<String> = (0..50).map(|number| format!("line {number}")).collect();
    assert_eq!(lines, expected, "lines were lost");
}

/// What a reader does not take waits in the kernel's pipe, not in the shim.
fn a_slow_reader(lab: &mut Lab) {
    let megabytes: usize = if lab.options.nightly { 1024 } else { 64 };
    let line = format!("head -c {} /dev/zero", megabytes << 20);
    let mut container = lab.container("", &["sh", "-c", &line]);
    let [path, errors] = ["stdout", "stderr"].map(|name| container.fifo(name));
    let _errors = Reader::open(&errors);
    container.stdio.stdout = path.to_string_lossy().into_owned();
    container.stdio.stderr = errors.to_string_lossy().into_owned();
    let mut sum = 0;
    let output = Reader::with(&path, move |count| {
        sum += count;
        if sum > 8 << 20 {
            sum = 0;
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let task = lab.created(&container);
    let shim = task.connect(&container.id).expect("Connect").0;
    let before = resident(shim);
    task.start(&container.id, "").expect("Start");
    let wait = task.begin_wait(&container.id, "");
    let mut most = before;
    let begin = Instant::now();
    while wait.is_out() && begin.elapsed() < Duration::from_secs(400) {
        most = most.max(resident(shim));
    }
    assert_eq!(output.whole(Duration::from_secs(10)).len(), megabytes << 20);
    let grown = most.saturating_sub(before);
    assert!(grown < 2 << 20, "the shim grew by {} KiB", grown >> 10);
}

/// The program writes on as long as somebody reads.
fn output_of_a_shim_that_is_killed(lab: &mut Lab) {
    let line = "echo first; while :; do echo more; usleep 50000; done";
    let mut container = lab.container("", &["sh", "-c", line]);
    let output = container.read_stdout();
    let task = lab.started(&container);
    output.await_word("first");
    let shim = task.connect(&container.id).expect("Connect").0;
    process::kill(shim, rustix::process::Signal::KILL);
    assert!(process::eventually(Duration::from_secs(2), || {
        !process::is_alive(shim)
    }));
    let before = output.count();
    let more = process::eventually(Duration::from_secs(2), || output.count() > before + 20);
    lab.delete(&container);
    assert!(more, "output ends with the shim");
}
