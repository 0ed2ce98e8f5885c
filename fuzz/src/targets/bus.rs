//! A bus that answers whatever it likes, its messages, and the values of systemd's annotations.
use std::io::Write;
use std::os::unix::net::UnixStream;
use tare_cgroup::doors;

/// Runs one input: the first byte says what the rest is.
pub fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    match kind {
        b'm' => message(rest),
        b'v' => value(&String::from_utf8_lossy(rest)),
        b'c' => conversation(rest),
        _ => {}
    }
}

fn message(bytes: &[u8]) {
    let Ok((words, written)) = doors::message(bytes) else {
        return;
    };
    // What was understood can be said again, and means the same.
    let again = doors::message(&written);
    assert_eq!(again.as_ref().map(|(words, _)| words), Ok(&words));
}

fn value(text: &str) {
    if let Ok((signature, written)) = doors::value(text) {
        assert!(!signature.is_empty());
        assert!(written.len() <= 64 + 64 * text.len(), "{written}");
    }
}

/// Everything that the bus will ever say stands in the socket already; then it hangs up.
fn conversation(bytes: &[u8]) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    theirs.write_all(bytes).expect("a socket holds some KiB");
    theirs
        .shutdown(std::net::Shutdown::Write)
        .expect("it is connected");
    match doors::conversation(ours) {
        Ok(words) => assert!(!words.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
