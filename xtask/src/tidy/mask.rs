//! Blanks comments, strings and character literals out of Rust text, so that a search for a word finds code only.

/// The same text, byte for byte as long and with the same line breaks, with every comment and literal replaced by spaces.
pub fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = skipped(bytes, at);
        if end > at {
            out.extend(
                bytes[at..end]
                    .iter()
                    .map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }),
            );
            at = end;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none begins there.
fn skipped(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        return at
            + rest
                .iter()
                .position(|&byte| byte == b'\n')
                .unwrap_or(rest.len());
    }
    if rest.starts_with(b"/*") {
        return block_comment(bytes, at);
    }
    let inside_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if !inside_word && let Some(end) = raw_string(bytes, at) {
        return end;
    }
    match rest[0] {
        b'"' => quoted(bytes, at, b'"'),
        b'\'' if is_character(rest) => quoted(bytes, at, b'\''),
        _ => at,
    }
}

fn block_comment(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0;
    let mut here = at;
    while here < bytes.len() {
        if bytes[here..].starts_with(b"/*") {
            depth += 1;
            here += 2;
        } else if bytes[here..].starts_with(b"*/") {
            depth -= 1;
            here += 2;
            if depth == 0 {
                return here;
            }
        } else {
            here += 1;
        }
    }
    bytes.len()
}

/// `r"..."`, `br#"..."#`, `cr"..."`: the end, if a raw string begins at `at`.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut here = at;
    if matches!(bytes[here], b'b' | b'c') {
        here += 1;
    }
    if bytes.get(here) != Some(&b'r') {
        return None;
    }
    here += 1;
    let hashes = bytes[here..]
        .iter()
        .take_while(|&&byte| byte == b'#')
        .count();
    here += hashes;
    if bytes.get(here) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.resize(hashes + 1, b'#');
    let body = &bytes[here + 1..];
    let length = body
        .windows(close.len())
        .position(|window| window == close)
        .unwrap_or(body.len());
    Some((here + 1 + length + close.len()).min(bytes.len()))
}

fn quoted(bytes: &[u8], at: usize, quote: u8) -> usize {
    let mut here = at + 1;
    while here < bytes.len() && bytes[here] != quote {
        here += if bytes[here] == b'\\' { 2 } else { 1 };
    }
    (here + 1).min(bytes.len())
}

/// Tells `'a'` from the lifetime `'a`.
fn is_character(rest: &[u8]) -> bool {
    if rest.get(1) == Some(&b'\\') {
        return true;
    }
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(8)]).into_owned();
    text.chars().nth(1) == Some('\'')
}

#[cfg(test)]
mod tests {
    use super::code_only;

    fn check(input: &str, expect: &str) {
        let masked = code_only(input);
        assert_eq!(
            masked.split_whitespace().collect::<Vec<_>>().join(" "),
            expect,
            "of {input}"
        );
        assert_eq!(
            masked.lines().count(),
            input.lines().count(),
            "lines of {input}"
        );
    }

    #[test]
    fn comments_and_literals_go_and_code_stays() {
        check("a // unsafe\nb", "a b");
        check("a /* x /* unsafe */ y */ b", "a b");
        check(
            r#"call("unsafe \" still", 'u', '\'', b'x') end"#,
            "call( , , , b ) end",
        );
        check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
        check("r#\"unsafe \" inside\"# after", "after");
        check("for r in x {}", "for r in x {}");
        check("let s = \"two\nlines\"; t", "let s = ; t");
    }
}
