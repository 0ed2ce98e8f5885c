//! Options as containerd's versions write them, and as users misspell them.
use super::*;
use crate::Message;
use crate::messages::google::Timestamp;
use proptest::prelude::*;

fn value<M: Message>(message: &M) -> Any {
    Any::pack(message)
}

fn body(text: &str) -> Any {
    value(&GenericOptions {
        config_body: text.into(),
        ..GenericOptions::default()
    })
}

fn found(value: &Any) -> Options {
    match Options::find(Some(value)) {
        Ok(Found::Options(options)) => *options,
        other => panic!("{other:?}"),
    }
}

fn everything() -> RuncOptions {
    RuncOptions {
        no_pivot_root: true,
        no_new_keyring: true,
        shim_cgroup: "/shims".into(),
        io_uid: 1000,
        io_gid: 0x3e9,
        binary_name: "/usr/bin/crun".into(),
        root: "/run/x".into(),
        systemd_cgroup: true,
        criu_image_path: "/i".into(),
        criu_work_path: "/w".into(),
        ..RuncOptions::default()
    }
}

#[test]
fn nothing_and_a_value_without_content_are_no_options() {
    let nothing = Ok(Found::Options(Box::default()));
    assert_eq!(Options::find(None), nothing);
    assert_eq!(
        Options::find(Some(&Any::json("x.Unheard", Vec::new()))),
        nothing
    );
    assert_eq!(found(&body("")), Options::default());
}

#[test]
fn the_message_of_runc() {
    let mut value = value(&everything());
    assert_eq!(found(&value).runc, everything());
    value.type_url = "types.containerd.io/containerd.runc.v1.Options".into();
    assert_eq!(found(&value).runc, everything());
    // `criu_path`, which containerd 1.x has and 2.0 has no more.
    value.value.extend_from_slice(b"\x42\x09/bin/criu");
    assert_eq!(found(&value).runc, everything());
}

#[test]
fn the_toml_of_cri() {
    // As go-toml writes a map: sorted, single quotes, tables last.
    let text = "BinaryName = '/usr/bin/crun'\nCriuImagePath = \"/i\"\nCriuWorkPath = '''/w'''\nIoGid = 0x3e9\nIoUid = 1_000\n\
        NoNewKeyring = true\nNoPivotRoot = true # why\nRoot = '/run/x'\nShimCgroup = '/shims'\nSystemdCgroup = true\n";
    let options = found(&body(text));
    assert_eq!((options.runc, options.ignored.len()), (everything(), 0));
    assert_eq!(found(&body(&text.to_lowercase())).runc, everything());
    assert_eq!(found(&body(&text.replace('\n', "\r\n"))).runc, everything());
    assert_eq!(options.sharing, Sharing::Pod);
    assert_eq!(
        found(&body("ShimSharing = \"node\"")).sharing,
        Sharing::Node
    );
    assert_eq!(found(&body("ShimSharing = 'pod'")).sharing, Sharing::Pod);
}

#[test]
fn a_file_is_the_callers_to_read() {
    let value = value(&GenericOptions {
        config_path: "/etc/tare.toml".into(),
        config_body: b"not read".to_vec(),
        ..GenericOptions::default()
    });
    assert_eq!(
        Options::find(Some(&value)),
        Ok(Found::File("/etc/tare.toml".into()))
    );
}

#[test]
fn what_is_unknown_is_passed_over_and_told() {
    let text = "TypeUrl = 'x'\nsystemd_cgroup = true\nRuntime.Root = '/x'\nRuntime.SystemdCgroup = true\nlist = [1, {Root = 2}]\n\
        inline = {SystemdCgroup = true, a.b = [[]]}\n[plugin]\nSystemdCgroup = true\nRoot = 5\n[plugin.more]\n[[many]]\nIoUid = -1\n[[many]]\n";
    let options = found(&body(text));
    assert_eq!(options.runc, RuncOptions::default());
    assert_eq!(
        options.ignored,
        [
            "systemd_cgroup",
            "Runtime",
            "list",
            "inline",
            "plugin",
            "many"
        ]
    );
}

fn refused(text: &str, expect: &str) {
    let seen = Options::of_toml(text.as_bytes()).map_err(|error| error.to_string());
    assert_eq!(
        seen,
        Err(format!("runtime options, line {expect}")),
        "{text}"
    );
}

#[test]
fn what_is_wrong_is_refused_with_its_line() {
    refused(
        "\n\nSystemdCgroup = 'true'",
        "3 of the TOML: SystemdCgroup: a text, expected true or false",
    );
    refused(
        "Root = 5",
        "1 of the TOML: Root: an integer, expected a text",
    );
    for value in [
        "-1",
        "4294967296",
        "99999999999999999999",
        "1.0",
        "'5'",
        "2020-01-01",
    ] {
        let text = format!("\nIoUid = {value}");
        let seen = Options::of_toml(text.as_bytes())
            .expect_err(value)
            .to_string();
        assert!(
            seen.starts_with("runtime options, line 2 of the TOML: IoUid: a")
                && seen.ends_with(", expected an integer from 0 to 4294967295"),
            "{seen}"
        );
    }
    refused(
        "ShimSharing = 'all'",
        "1 of the TOML: ShimSharing: a text, expected \"pod\" or \"node\"",
    );
    refused(
        "Root.x = 'y'",
        "1 of the TOML: Root: a table, expected a text",
    );
    refused("[Root]", "1 of the TOML: Root: a table, expected a text");
    refused(
        "Root = ['a']",
        "1 of the TOML: Root: an array, expected a text",
    );
    refused("Root = {}", "1 of the TOML: Root: a table, expected a text");
    for text in [
        "a = 1\na = 2",
        "a = 1\na.b = 2",
        "a = 1\n[a]",
        "a = 1\n[[a.b]]",
    ] {
        refused(text, "2 of the TOML: a: a second value, expected one");
    }
    for text in [
        "Root",
        "Root =",
        "Root = x",
        "= 1",
        "a = 1 b = 2",
        "[a",
        "a = \"\n\"",
        "a = 'x",
        "[a]\nb = 01",
        "a = [1",
        "\u{0}",
    ] {
        let seen = Options::of_toml(text.as_bytes());
        assert!(matches!(seen, Err(Error::Toml { .. })), "{text}: {seen:?}");
    }
}

#[test]
fn what_is_no_toml_at_all_is_refused() {
    assert_eq!(Options::of_toml(&[0xff]), Err(Error::Text));
    let long = vec![b'\n'; MOST_TOML + 1];
    assert_eq!(Options::of_toml(&long), Err(Error::Long(MOST_TOML + 1)));
    assert_eq!(Options::of_toml(&long[1..]), Ok(Options::default()));
    let deep = format!("a = {}", "[".repeat(60_000));
    assert!(matches!(
        Options::of_toml(deep.as_bytes()),
        Err(Error::Toml { .. })
    ));
    let other = value(&Timestamp {
        seconds: 1,
        nanos: 0,
    });
    assert_eq!(
        Options::find(Some(&other)),
        Err(Error::Type("google.protobuf.Timestamp".into()))
    );
    let mut broken = value(&everything());
    broken.value.pop();
    assert!(matches!(
        Options::find(Some(&broken)),
        Err(Error::Message(_))
    ));
}

proptest! {
    #[test]
    fn what_is_written_is_read(systemd: bool, root in "[^\\x00-\\x1f\\x7f\\\\\"]*", uid: u32) {
        let text = format!("SystemdCgroup = {systemd}\nRoot = \"{root}\"\nIoUid = {uid}");
        let runc = found(&body(&text)).runc;
        prop_assert_eq!((runc.systemd_cgroup, runc.root, runc.io_uid), (systemd, root, uid));
    }

    #[test]
    fn hostile_text_is_refused_or_read(text in "([a-zA-Z]{0,3}|[\\[\\]{}=.,'\"#\\n 0-9_+-]|Root|IoUid|\\PC){0,40}") {
        let _ = Options::of_toml(text.as_bytes());
    }
}
