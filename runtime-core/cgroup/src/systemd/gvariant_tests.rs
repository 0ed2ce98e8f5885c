//! Tables for GVariant text.
use super::*;

fn check(text: &str, expect: &str) {
    let got = match parse(text) {
        Ok(value) => format!("{} {}", value.signature(), Text(&value)),
        Err(why) => format!("error: {why}"),
    };
    assert!(
        got == expect || (expect.starts_with("error") && got.starts_with(expect)),
        "{text}: {got}"
    );
}

#[test]
fn values() {
    check("true", "b true");
    check("5", "i 5");
    check("-5", "i -5");
    check("0x1f", "i 31");
    check("017", "i 15");
    check("uint64 5", "t 5");
    check("uint32 4294967295", "u 4294967295");
    check("byte 0xff", "y 0xff");
    check("1.5", "d 1.5");
    check("double 2", "d 2");
    check("1e3", "d 1000");
    check("'a b'", "s \"a b\"");
    check("\"a\\n\\u00e9\"", "s \"a\\né\"");
    check("objectpath '/a/b'", "o \"/a/b\"");
    check("['a', \"b\"]", "as [\"a\", \"b\"]");
    check("[uint64 1, 2]", "at [1, 2]");
    check("[1, uint64 2]", "at [1, 2]");
    check("@as []", "as []");
    check("@at [1, 2]", "at [1, 2]");
    check("[('io', uint64 5)]", "a(st) [(\"io\", 5)]");
    check(
        "@a(ss) [('/dev/null', 'rw')]",
        "a(ss) [(\"/dev/null\", \"rw\")]",
    );
    check("{'a': <1>}", "a{sv} [\"a\": <1>]");
    check("@a{su} {'a': 1}", "a{su} [\"a\": 1]");
    check("<uint16 3>", "v <3>");
    check("b'ab'", "ay [0x61, 0x62, 0x00]");
    check("  [ 1 , 2 ]  ", "ai [1, 2]");
}

#[test]
fn refused() {
    for text in [
        "",
        "[]",
        "{}",
        "()",
        "tru",
        "uint64 -1",
        "byte 256",
        "'a",
        "[1, 'a']",
        "1 2",
        "@zz 1",
        "@a 1",
        "just 1",
        "nothing",
        "(1",
        "--1",
        "@(ss) ('a')",
        "objectpath 'a'",
        "0x",
        "é",
        "@a{vs} 1",
        "\"\\u00",
        "'\\u0000'",
    ] {
        check(text, "error");
    }
    check(&"[".repeat(10_000), "error");
    check(&format!("@{}s []", "a".repeat(10_000)), "error");
}
