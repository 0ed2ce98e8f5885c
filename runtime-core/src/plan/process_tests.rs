//! Tests of what is decided about the program.
use super::*;

const QUIET: Inherited = Inherited {
    listen_fds: 0,
    notify_socket: false,
    console: false,
};

fn decided(json: &str, inherited: &Inherited) -> Result<(Decided, Vec<String>), ConfigError> {
    let process: Process = serde_json::from_str(json).unwrap();
    let mut builder = Builder::new(String::new());
    let decided = decide(&process, &Linux::default(), None, inherited, &mut builder)?;
    let skips = builder
        .finish()?
        .skips
        .into_iter()
        .map(|skip| format!("{}: {}", skip.what, skip.reason))
        .collect();
    Ok((decided, skips))
}

fn refused(json: &str, expect: &str) {
    let error = decided(json, &QUIET).map(|_| ()).unwrap_err().to_string();
    assert!(error.starts_with(expect), "{json}: {error}");
}

#[test]
fn required_members() {
    refused(r#"{"cwd":"/"}"#, "process.args: args must not be empty");
    refused(
        r#"{"args":["a"]}"#,
        "process.cwd: Cwd property must not be empty",
    );
    refused(
        r#"{"args":["a"],"cwd":"x"}"#,
        "process.cwd: \"x\" is not an absolute path",
    );
    refused(
        r#"{"args":["a","b\u0000"],"cwd":"/"}"#,
        "process.args[1]: has a NUL byte",
    );
    refused(
        r#"{"args":["a"],"cwd":"/\u0000"}"#,
        "process.cwd: has a NUL byte",
    );
    refused(
        r#"{"args":["a"],"cwd":"/","env":["X"]}"#,
        "process.env[0]: \"X\" is not of the form NAME=VALUE",
    );
}

#[test]
fn ranges() {
    refused(
        r#"{"args":["a"],"cwd":"/","user":{"uid":-1}}"#,
        "process.user.uid: -1 is not an id",
    );
    refused(
        r#"{"args":["a"],"cwd":"/","user":{"umask":4096}}"#,
        "process.user.umask: 10000 (octal)",
    );
    refused(
        r#"{"args":["a"],"cwd":"/","oomScoreAdj":1001}"#,
        "process.oomScoreAdj: 1001 is outside -1000 to 1000",
    );
    refused(
        r#"{"args":["a"],"cwd":"/","oomScoreAdj":-1001}"#,
        "process.oomScoreAdj: -1001 is outside",
    );
    refused(
        r#"{"args":["a"],"cwd":"/","rlimits":[{"type":"X"}]}"#,
        "process.rlimits[0].type: \"X\" is not a limit",
    );
    refused(
        r#"{"args":["a"],"cwd":"/","scheduler":{"policy":"X"}}"#,
        "process.scheduler.policy: \"X\" is not one of",
    );
    refused(
        r#"{"args":["a"],"cwd":"/","ioPriority":{"class":"X"}}"#,
        "process.ioPriority.class: \"X\" is not one of",
    );
}

#[test]
fn terminals() {
    refused(
        r#"{"args":["a"],"cwd":"/","terminal":true}"#,
        "process.terminal: cannot allocate tty without a console socket",
    );
    let console = Inherited {
        console: true,
        ..QUIET
    };
    let (process, _) = decided(
        r#"{"args":["a"],"cwd":"/","terminal":true,"consoleSize":{"height":24,"width":80}}"#,
        &console,
    )
    .unwrap();
    assert!(matches!(
        process.terminal(),
        Some(Terminal {
            rows: 24,
            columns: 80
        })
    ));
    let error = decided(
        r#"{"args":["a"],"cwd":"/","terminal":true,"consoleSize":{"height":65536}}"#,
        &console,
    );
    assert_eq!(
        error.map(|_| ()).unwrap_err().path,
        "process.consoleSize.height"
    );
    let (_, skips) = decided(
        r#"{"args":["a"],"cwd":"/","consoleSize":{"height":1,"width":1}}"#,
        &QUIET,
    )
    .unwrap();
    assert_eq!(skips, ["process.consoleSize: process.terminal is not set"]);
}

#[test]
fn environments() {
    let check = |env: &str, inherited: &Inherited, expect: &[&str]| {
        let (process, _) = decided(
            &format!(r#"{{"args":["a"],"cwd":"/","env":[{env}]}}"#),
            inherited,
        )
        .unwrap();
        assert_eq!(process.env(), expect, "{env}");
    };
    check(r#""HOME=/x","A=1""#, &QUIET, &["HOME=/x", "A=1"]);
    check(r#""A=1""#, &QUIET, &["A=1", "HOME="]);
    check(r#""HOME=","A=1""#, &QUIET, &["A=1", "HOME="]);
    check(r#""HOME=/x","HOME=/y""#, &QUIET, &["HOME=/y"]);
    let all = Inherited {
        listen_fds: 2,
        notify_socket: true,
        console: false,
    };
    check(
        r#""HOME=/x","LISTEN_PID=7","NOTIFY_SOCKET=/host""#,
        &all,
        &[
            "HOME=/x",
            "NOTIFY_SOCKET=/run/notify/notify.sock",
            "LISTEN_FDS=2",
            "LISTEN_PID=1",
        ],
    );
}

#[test]
fn programs() {
    let check = |program: &str, path: Option<&str>, expect: &[&str]| {
        assert_eq!(candidates(program, path), expect, "{program}")
    };
    check("sh", Some("/usr/bin:/bin/"), &["/usr/bin/sh", "/bin/sh"]);
    check("/bin/sh", Some("/usr/bin"), &["/bin/sh"]);
    check("./sh", Some("/usr/bin"), &["./sh"]);
    check("a/sh", None, &["a/sh"]);
    check("sh", None, &[]);
    check("sh", Some(""), &[]);
    check("", Some("/bin"), &[]);
    check("sh", Some(".:bin::/bin:/"), &["/bin/sh", "/sh"]);
}

#[test]
fn personality() {
    let of = |json: &str| {
        let linux: Linux = serde_json::from_str(json).unwrap();
        let process = Process {
            args: vec!["a".to_owned()],
            cwd: "/".to_owned(),
            ..Process::default()
        };
        let mut builder = Builder::new(String::new());
        let decided = decide(&process, &linux, None, &QUIET, &mut builder)?;
        Ok::<_, ConfigError>((decided.attributes, builder.finish()?.skips.len()))
    };
    assert_eq!(
        of(r#"{"personality":{"domain":"LINUX32","flags":["X"]}}"#).unwrap(),
        (vec![(ChildOp::Personality(8), "linux.personality")], 1)
    );
    assert_eq!(
        of(r#"{"personality":{"domain":"LINUX"}}"#).unwrap().0,
        [(ChildOp::Personality(0), "linux.personality")]
    );
    assert_eq!(
        of(r#"{"personality":{"domain":"BSD"}}"#).unwrap_err().path,
        "linux.personality.domain"
    );
    assert_eq!(
        of(r#"{"memoryPolicy":{"mode":"X"}}"#).unwrap_err().path,
        "linux.memoryPolicy.mode"
    );
}
