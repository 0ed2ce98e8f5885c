//! Other texts and bytes of the host: /proc/PID/stat, answers of rtnetlink, schemata of resctrl, datagrams of a notify socket, passwd.
use crate::{notify, owner};
use tare_runtime::doors;

/// Runs one input: the first byte says what the rest is.
pub fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    match kind {
        b's' => {
            if let Some((state, start)) = doors::process_stat(rest) {
                assert!(!state.is_ascii_whitespace());
                let again = format!("1 (x) {} {}{start}", char::from(state), "0 ".repeat(18));
                if state.is_ascii() {
                    assert_eq!(doors::process_stat(again.as_bytes()), Some((state, start)));
                }
            }
        }
        b'n' => {
            if let Some(messages) = doors::netlink(rest) {
                assert!(messages.len() <= rest.len() / 16);
                let words: usize = messages.iter().map(String::len).sum();
                assert!(words <= 1024 * (1 + messages.len()) + 32 * rest.len());
            }
        }
        b'r' => {
            let text = String::from_utf8_lossy(rest);
            if let Some(place) = doors::resctrl(&text) {
                assert!(text.contains(&place));
            }
        }
        b'd' => {
            // A line of its own, and nothing else, is readiness.
            let framed = [b"\n", rest, b"\n"].concat();
            let expect = framed.windows(9).any(|part| part == b"\nREADY=1\n");
            assert_eq!(notify::is_ready(rest), expect);
        }
        b'o' => {
            let text = String::from_utf8_lossy(rest);
            if let Some(name) = owner::find(&text, 0) {
                assert!(!name.contains([':', '\n']));
                let mut lines = text.lines();
                assert!(lines.any(|line| line.starts_with(&format!("{name}:"))));
            }
        }
        b'q' => schemata(&String::from_utf8_lossy(rest)),
        _ => {}
    }
}

/// What is asked, an empty line, what was found.
fn schemata(text: &str) {
    let (asked, found) = text.split_once("\n\n").unwrap_or((text, text));
    let asked: Vec<String> = asked.lines().map(str::to_owned).collect();
    if let Some(why) = doors::schemata(&asked, found, text.len() as u64) {
        assert!(!why.is_empty());
    }
    // Whatever is asked is what it asks: but of a domain that comes twice the first counts in a file, the last in a request.
    let mut places: Vec<(&str, &str)> = Vec::new();
    for line in &asked {
        let (resource, list) = line.split_once(':').unwrap_or((line, ""));
        places.extend(list.split(';').map(|share| {
            let domain = share.split_once('=').map_or(share, |(domain, _)| domain);
            (
                resource.trim(),
                domain.trim().trim_start_matches(['0', '+']),
            )
        }));
    }
    let count = places.len();
    places.sort_unstable();
    places.dedup();
    if places.len() == count {
        let same = asked.join("\n");
        assert_eq!(doors::schemata(&asked, &same, 1), None);
    }
}
