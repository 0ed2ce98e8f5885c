//! Command lines that callers really build, and those that people mistype.
use super::*;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Parses and renders: `global flags | command | flags | operands`.
fn check(line: &str, expect: &str) {
    let (_, result) = parse(&words(line));
    let show = |matches: &Matches| {
        let flags: Vec<_> = matches
            .flags
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        flags.join(" ")
    };
    let got = match result {
        Ok(Invocation::Run {
            global,
            command,
            matches,
        }) => {
            format!(
                "{} | {} | {} | {}",
                show(&global),
                command.name,
                show(&matches),
                matches.operands.join(" ")
            )
        }
        Ok(Invocation::Help(command)) => {
            format!("help {}", command.map_or("", |command| command.name))
        }
        Ok(Invocation::Version) => "version".to_owned(),
        Err(error) => format!("error {}: {}", error.status, error.message),
    };
    assert_eq!(got, expect, "{line}");
}

#[test]
fn containerd() {
    check(
        "--root /run/containerd/runc/k8s.io --log /b/log.json --log-format json --systemd-cgroup create --bundle /b --pid-file /b/init.pid c1",
        "root=/run/containerd/runc/k8s.io log=/b/log.json log-format=json systemd-cgroup=true | create | bundle=/b pid-file=/b/init.pid | c1",
    );
    check(
        "--root R --log L --log-format json --rootless=false create --bundle B --pid-file P --console-socket S --no-pivot --no-new-keyring --preserve-fds 2 c1",
        "root=R log=L log-format=json rootless=false | create | bundle=B pid-file=P console-socket=S no-pivot=true no-new-keyring=true preserve-fds=2 | c1",
    );
    check(
        "--root R --log L --log-format json exec --process /tmp/p --console-socket S --detach --pid-file B/e.pid c1",
        "root=R log=L log-format=json | exec | process=/tmp/p console-socket=S detach=true pid-file=B/e.pid | c1",
    );
    check(
        "--root R kill --all c1 9",
        "root=R | kill | all=true | c1 9",
    );
    check(
        "--root R delete --force c1",
        "root=R | delete | force=true | c1",
    );
    check("ps --format json c1", " | ps | format=json | c1");
    check(
        "ps --format table c1 -o pid,cmd",
        " | ps | format=table | c1 -o pid,cmd",
    );
    check("update --resources=- c1", " | update | resources=- | c1");
    check("events --stats c1", " | events | stats=true | c1");
    check("events --interval=5s c1", " | events | interval=5s | c1");
    check("list --format=json", " | list | format=json | ");
    check("--version", "version");
    check("features", " | features |  | ");
}

#[test]
fn conmon_podman_crio_and_buildkit() {
    check(
        "--systemd-cgroup --log-format=json --log L create --bundle B --pid-file P --no-pivot --preserve-fds 1 c1",
        "systemd-cgroup=true log-format=json log=L | create | bundle=B pid-file=P no-pivot=true preserve-fds=1 | c1",
    );
    check(
        "exec --pid-file P --process F --detach --preserve-fds 1 --console-socket S c1",
        " | exec | pid-file=P process=F detach=true preserve-fds=1 console-socket=S | c1",
    );
    check(
        "--cgroup-manager disabled create c1",
        "cgroup-manager=disabled | create |  | c1",
    );
    check("kill c1 SIGRTMIN+3", " | kill |  | c1 SIGRTMIN+3");
    check("update --resources - c1", " | update | resources=- | c1");
    check(
        "run --bundle B --keep --no-pivot c1",
        " | run | bundle=B keep=true no-pivot=true | c1",
    );
}

#[test]
fn one_dash_before_a_long_name() {
    check(
        "run -no-subreaper -bundle=B c1",
        " | run | no-subreaper=true bundle=B | c1",
    );
    check(
        "-log-format=json -log L state c1",
        "log-format=json log=L | state |  | c1",
    );
    check(
        "--debug=false list -q=true",
        "debug=false | list | quiet=true | ",
    );
    check("-v", "version");
}

#[test]
fn letters_joined_and_flags_after_operands() {
    check(
        "exec -dt -u1000:1000 -e A=b -eC=d c1 sh -c true",
        " | exec | detach=true tty=true user=1000:1000 env=A=b env=C=d | c1 sh -c true",
    );
    check("delete c1 -f", " | delete | force=true | c1");
    check("kill c1 KILL --all", " | kill | all=true | c1 KILL");
    check("run -d -b /b -- c1", " | run | detach=true bundle=/b | c1");
    check("exec c1 -- ls -l --help", " | exec |  | c1 -- ls -l --help");
    check("exec c1 ps -h", " | exec |  | c1 ps -h");
}

#[test]
fn help_wherever_it_stands() {
    check("", "help ");
    check("--help", "help ");
    check("-h", "help ");
    check("help", "help ");
    check("help exec", "help exec");
    check("exec --help", "help exec");
    check("create -h c1", "help create");
}

#[test]
fn mistakes() {
    check(
        "frobnicate",
        "error 3: No help topic for 'frobnicate': there is no such command",
    );
    check(
        "checkpoint --help",
        "error 3: No help topic for 'checkpoint': there is no such command",
    );
    check(
        "--frob list",
        "error 1: flag provided but not defined: -frob",
    );
    check(
        "state --frob c1",
        "error 1: flag provided but not defined: -frob",
    );
    check("state -x c1", "error 1: flag provided but not defined: -x");
    check("state", "error 1: \"state\" requires exactly 1 argument(s)");
    check(
        "state a b",
        "error 1: \"state\" requires exactly 1 argument(s)",
    );
    check(
        "kill",
        "error 1: \"kill\" requires a minimum of 1 argument(s)",
    );
    check(
        "kill a b c",
        "error 1: \"kill\" requires a maximum of 2 argument(s)",
    );
    check(
        "create --bundle",
        "error 1: flag needs an argument: -bundle",
    );
    check(
        "list -q=perhaps",
        "error 1: invalid boolean value \"perhaps\" for -q",
    );
    check(
        "exec",
        "error 1: \"exec\" requires a minimum of 1 argument(s)",
    );
}

#[test]
fn global_flags_survive_a_mistake_so_that_the_log_is_written() {
    let (global, result) = parse(&words("--log L --log-format json frobnicate"));
    assert!(result.is_err());
    assert_eq!(
        (global.value("log"), global.value("log-format")),
        (Some("L"), Some("json"))
    );
}
