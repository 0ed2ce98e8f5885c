//! Streams: where output goes, how input ends, terminals, loggers, readers that are slow or come back.
use super::{Case, all, ours};
use crate::proto::Message;
use crate::ttrpc::Client;
use crate::world::{World, eventually, exec, which};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    vec![
        all("stdio/none", none),
        all("stdio/fifos", fifos),
        all("stdio/input-and-its-end", input),
        ours(
            "stdio/input-ends-with-its-writer",
            "its copy of the fifo needs CloseIO",
            input_ends,
        ),
        all("stdio/file", file),
        all("stdio/binary-logger", binary),
        all("stdio/terminal", terminal),
        all("stdio/terminal-of-an-exec", terminal_exec),
        all("stdio/reader-comes-back", reader_returns),
        ours(
            "stdio/slow-reader-takes-no-memory",
            "its heap grows by some MB",
            slow,
        ),
        all("stdio/nothing-is-lost-at-the-end", all_read),
        ours(
            "stdio/no-such-scheme",
            "it makes a fifo's path of it",
            scheme,
        ),
    ]
}

/// Creates and starts with these streams.
fn run(w: &World, args: &[&str], streams: &[(u32, &str)]) -> Client {
    let bundle = w.bundle("c", args);
    let mut client = w.connect(&w.start(&bundle, "c"), "c");
    let mut request = w.create("c");
    for (field, name) in streams {
        request = request.text(*field, name);
    }
    // The Go shim opens both or none.
    if let [.., (6, out)] = streams {
        request = request.text(7, out);
    }
    client.call("Create", &request).unwrap();
    client.call("Start", &which("c", "")).unwrap();
    client
}

/// Opens a fifo as containerd does: for reading, without waiting.
fn reader(path: &str) -> File {
    const O_NONBLOCK: i32 = 0o4000;
    File::options()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path)
        .unwrap()
}

/// All that comes until the end, or for some seconds.
fn read_all(file: &mut File) -> Vec<u8> {
    let mut all = Vec::new();
    let mut bytes = [0; 65536];
    let end = std::time::Instant::now() + Duration::from_secs(15);
    while std::time::Instant::now() < end {
        match file.read(&mut bytes) {
            Ok(0) => {
                if !all.is_empty() {
                    return all;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(count) => all.extend_from_slice(&bytes[..count]),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    all
}

fn none(w: &World) {
    let mut c = run(w, &["sh", "-c", "echo out; echo err >&2; cat; exit 5"], &[]);
    assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 5);
}

fn fifos(w: &World) {
    let (out, err) = (w.fifo("out"), w.fifo("err"));
    let (mut o, mut e) = (reader(&out), reader(&err));
    let mut c = run(
        w,
        &["sh", "-c", "echo out; echo err >&2"],
        &[(6, &out), (7, &err)],
    );
    c.call("Wait", &which("c", "")).unwrap();
    c.call("Delete", &which("c", "")).unwrap();
    assert_eq!(
        (read_all(&mut o), read_all(&mut e)),
        (b"out\n".to_vec(), b"err\n".to_vec())
    );
}

fn input(w: &World) {
    let (input, out) = (w.fifo("in"), w.fifo("out"));
    let mut o = reader(&out);
    let mut hold = File::options().read(true).write(true).open(&input).unwrap();
    let mut c = run(w, &["cat"], &[(5, &input), (6, &out)]);
    hold.write_all(b"hello\n").unwrap();
    eventually("input does not arrive", || {
        let mut bytes = [0; 16];
        matches!((&o).read(&mut bytes), Ok(6))
    });
    hold.write_all(b"more\n").unwrap();
    drop(hold);
    c.call("CloseIO", &which("c", "").number(3, 1)).unwrap();
    assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 0);
    c.call("Delete", &which("c", "")).unwrap();
    assert_eq!(read_all(&mut o), b"more\n");
}

fn input_ends(w: &World) {
    let input = w.fifo("in");
    let hold = File::options().read(true).write(true).open(&input).unwrap();
    let mut c = run(w, &["cat"], &[(5, &input)]);
    let mut writer = File::options().write(true).open(&input).unwrap();
    writer.write_all(b"x").unwrap();
    drop((hold, writer));
    assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 0);
}

fn file(w: &World) {
    let log = w.dir.join("logs/of/it.log");
    let name = format!("file://{}", log.display());
    let mut c = run(
        w,
        &["sh", "-c", "echo one; echo two >&2"],
        &[(6, &name), (7, &name)],
    );
    c.call("Wait", &which("c", "")).unwrap();
    c.call("Delete", &which("c", "")).unwrap();
    eventually("the log lacks a line", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("one") && text.contains("two"))
    });
}

fn binary(w: &World) {
    let logger = w.dir.join("logger");
    let out = w.dir.join("logged");
    let script = format!(
        "#!/bin/sh\necho \"$CONTAINER_ID $CONTAINER_NAMESPACE $*\" >{0}.env\nexec 5>&-\ncat <&3 >{0}.out &\ncat <&4 >{0}.err\nwait\n",
        out.display()
    );
    std::fs::write(&logger, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&logger, mode).unwrap();
    let name = format!("binary://{}?level=high", logger.display());
    let mut c = run(
        w,
        &["sh", "-c", "echo out; echo err >&2"],
        &[(6, &name), (7, &name)],
    );
    c.call("Wait", &which("c", "")).unwrap();
    c.call("Delete", &which("c", "")).unwrap();
    let has = |name: &str, words: &str| {
        let path = format!("{}.{name}", out.display());
        std::fs::read_to_string(path).is_ok_and(|text| text == words)
    };
    eventually("the logger lacks what was said", || {
        has("out", "out\n") && has("err", "err\n")
    });
    assert!(has("env", &format!("c {} level high\n", w.namespace)));
}

fn terminal(w: &World) {
    let (input, out) = (w.fifo("in"), w.fifo("out"));
    let mut o = reader(&out);
    let mut hold = File::options().read(true).write(true).open(&input).unwrap();
    let bundle = w.bundle_with(
        "c",
        &["sh", "-c", "tty; read x; stty size; echo got $x"],
        &|config| {
            config["process"]["terminal"] = serde_json::json!(true);
        },
    );
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    let request = w.create("c").number(4, 1).text(5, &input).text(6, &out);
    c.call("Create", &request).unwrap();
    c.call("Start", &which("c", "")).unwrap();
    c.call("ResizePty", &which("c", "").number(3, 132).number(4, 43))
        .unwrap();
    hold.write_all(b"word\n").unwrap();
    assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 0);
    c.call("Delete", &which("c", "")).unwrap();
    let text = String::from_utf8_lossy(&read_all(&mut o)).into_owned();
    for words in ["/dev/", "43 132", "got word"] {
        assert!(text.contains(words), "{text:?}");
    }
}

fn terminal_exec(w: &World) {
    let out = w.fifo("out");
    let mut o = reader(&out);
    let mut c = run(w, &["sleep", "1000"], &[]);
    let request = exec("c", "e", &["sh", "-c", "tty && echo yes"])
        .number(3, 1)
        .text(5, &out);
    c.call("Exec", &request).unwrap();
    c.call("Start", &which("c", "e")).unwrap();
    assert_eq!(c.call("Wait", &which("c", "e")).unwrap().get(1), 0);
    c.call("Delete", &which("c", "e")).unwrap();
    let text = String::from_utf8_lossy(&read_all(&mut o)).into_owned();
    assert!(text.contains("yes"), "{text:?}");
}

fn reader_returns(w: &World) {
    let out = w.fifo("out");
    let first = reader(&out);
    let script = "trap 'exit 9' PIPE; for i in 1 2 3 4 5 6; do echo $i || exit 8; sleep 0.1; done";
    let mut c = run(w, &["sh", "-c", script], &[(6, &out)]);
    drop(first);
    std::thread::sleep(Duration::from_millis(300));
    let mut again = reader(&out);
    assert_eq!(
        c.call("Wait", &which("c", "")).unwrap().get(1),
        0,
        "it lost its reader"
    );
    c.call("Delete", &which("c", "")).unwrap();
    assert!(read_all(&mut again).ends_with(b"6\n"));
}

fn slow(w: &World) {
    let out = w.fifo("out");
    let mut o = reader(&out);
    let mut c = run(w, &["head", "-c", "67108864", "/dev/zero"], &[(6, &out)]);
    let _ = &mut c;
    let before = w.resident();
    let mut bytes = vec![0; 1 << 20];
    let (mut got, mut most) = (0, before);
    let end = std::time::Instant::now() + Duration::from_secs(15);
    while got < 64 << 20 && std::time::Instant::now() < end {
        match o.read(&mut bytes) {
            Ok(count) => got += count,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
        if got % (8 << 20) < 1 << 16 {
            most = most.max(w.resident());
        }
    }
    assert_eq!(got, 64 << 20);
    assert!(most < before + 2048, "{before} kB, then {most} kB");
}

fn all_read(w: &World) {
    let out = w.fifo("out");
    let mut o = reader(&out);
    let mut c = run(w, &["head", "-c", "60000", "/dev/zero"], &[(6, &out)]);
    c.call("Wait", &which("c", "")).unwrap();
    c.call("Delete", &which("c", "")).unwrap();
    assert_eq!(read_all(&mut o).len(), 60000);
}

fn scheme(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    let request: Message = w.create("c").text(6, "gopher:///x");
    crate::world::refused(
        c.call("Create", &request),
        crate::ttrpc::code::INVALID_ARGUMENT,
    );
    assert!(!Path::new("gopher:").exists());
}
