//! Names, limits, directories, the choice of the program, HOME, hooks, descriptors.
use super::support::{BUSYBOX, Lane, ROOT, Scratch, bind};
use crate::plan::ir::{ChildOp, Kind, Namespaces, Rlimit, Slot};
use std::io::Write;
use std::os::fd::OwnedFd;
use tare_sys::Errno;

fn exec(args: &[&str], env: &[&str]) -> ChildOp {
    ChildOp::Exec {
        args: args.iter().map(|text| (*text).to_owned()).collect(),
        env: env.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn find(candidates: &[&str]) -> ChildOp {
    ChildOp::FindExecutable {
        candidates: candidates.iter().map(|text| (*text).to_owned()).collect(),
    }
}

#[test]
fn host_and_domain_names() {
    let ended = Lane::bare()
        .op(ChildOp::Unshare(Namespaces::UTS))
        .op(ChildOp::Hostname("some-host".to_owned()))
        .op(ChildOp::Domainname("some.domain".to_owned()))
        .shell("uname -n; cat /proc/sys/kernel/domainname");
    assert_eq!(ended.said(), "some-host\nsome.domain");
    for name in [ChildOp::Hostname, ChildOp::Domainname] {
        Lane::bare()
            .op(ChildOp::Unshare(Namespaces::UTS))
            .op(name("x".repeat(65)))
            .run()
            .fails(Errno::EINVAL);
        // The host's own names are out of reach.
        Lane::bare()
            .op(name("x".to_owned()))
            .run()
            .fails(Errno::EPERM);
    }
}

#[test]
fn the_loopback_interface_is_up() {
    let ended = Lane::bare()
        .op(ChildOp::Unshare(Namespaces::NETWORK))
        .op(ChildOp::LoopbackUp)
        .shell("busybox ip link show lo | grep -o 'LOOPBACK,UP'");
    assert_eq!(ended.said(), "LOOPBACK,UP");
    Lane::bare()
        .op(ChildOp::LoopbackUp)
        .run()
        .fails(Errno::EPERM);
}

#[test]
fn limits_are_the_programs() {
    let limit = |resource, soft, hard| {
        ChildOp::Rlimit(Rlimit {
            resource,
            name: "RLIMIT_TEST",
            soft,
            hard,
        })
    };
    let ended = Lane::bare()
        .op(limit(7, 100, 200))
        .op(limit(4, 0, u64::MAX >> 1))
        .shell("grep 'open files\\|core' /proc/self/limits | tr -s ' '");
    let said = ended.said();
    assert!(said.contains("Max open files 100 200 "), "{said}");
    assert!(
        said.contains(&format!("core file size 0 {}", u64::MAX >> 1)),
        "{said}"
    );
    Lane::bare()
        .op(limit(7, 2, 1))
        .op(ChildOp::Nothing)
        .run()
        .fails_before(1, Errno::EINVAL);
    Lane::bare().op(limit(99, 1, 1)).run().fails(Errno::EINVAL);
}

#[test]
fn umask_and_personality() {
    let ended = Lane::bare()
        .op(ChildOp::Umask(0o027))
        .op(ChildOp::Personality(8))
        .shell("umask; cat /proc/self/personality; uname -m");
    let said: Vec<_> = ended.said().lines().collect();
    assert_eq!(said[..2], ["0027", "00000008"]);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(said[2], "i686");
    }
    // Without the op the mask is none, whatever the caller's is: modes are planned.
    assert_eq!(Lane::bare().shell("umask").said(), "0000");
}

#[test]
fn the_working_directory_is_entered_or_made() {
    let scratch = Scratch::new();
    scratch.directory("there", 0o755);
    scratch.file("file", "", 0o644);
    let chdir = |path: &str, create| ChildOp::Chdir {
        path: path.to_owned(),
        create,
    };
    let inside = || {
        let mut lane = Lane::with_busybox(&scratch);
        lane.op(ChildOp::PivotRoot(ROOT));
        lane
    };
    let pwd = "/busybox pwd";
    assert_eq!(
        inside()
            .op(chdir("/there", false))
            .shell_at("/busybox", pwd)
            .said(),
        "/there"
    );
    assert_eq!(
        inside()
            .op(chdir("/new/deep", true))
            .shell_at("/busybox", pwd)
            .said(),
        "/new/deep"
    );
    inside()
        .op(chdir("/absent", false))
        .op(ChildOp::Nothing)
        .run()
        .fails_before(1, Errno::ENOENT);
    inside()
        .op(chdir("/file", true))
        .run()
        .fails(Errno::ENOTDIR);
    // A directory of the host by a leaked descriptor (CVE-2024-21626): getcwd(2) can't reach it.
    let mut lane = Lane::with_busybox(&scratch);
    let mut proc = bind("/proc", "/proc", Kind::Directory);
    if let ChildOp::Bind { recursive, .. } = &mut proc {
        *recursive = true;
    }
    lane.op(proc).op(ChildOp::PivotRoot(ROOT));
    lane.handed.push(super::support::path_fd("/usr".as_ref()));
    // Descriptor 3 was the shared area's, 4 is the control socket's, 5 the first slot's.
    lane.op(chdir("/proc/self/fd/5", false))
        .run()
        .fails(Errno::EXDEV);
}

#[test]
fn the_first_executable_candidate_is_run() {
    let scratch = Scratch::new();
    scratch.directory("dir", 0o755);
    scratch.directory("dir/prog", 0o755);
    scratch.file("plain", "", 0o644);
    for (name, word) in [("first", "one"), ("second", "two")] {
        scratch.file(name, &format!("#!/bin/sh\necho {word} $0 $1\n"), 0o755);
    }
    let at = |name: &str| scratch.at(name).to_str().unwrap().to_owned();
    let (absent, plain, dir, first, second) = (
        at("absent"),
        at("plain"),
        at("dir/prog"),
        at("first"),
        at("second"),
    );
    let ended = Lane::bare()
        .op(find(&[&absent, &dir, &plain, &first, &second]))
        .op(exec(&["name", "argument"], &[]))
        .run();
    assert_eq!(ended.said(), format!("one {first} argument"));
    let below = format!("{plain}/x");
    for (candidates, errno, detail) in [
        (vec![&absent, &dir, &plain, &absent], Errno::EACCES, 3),
        (vec![&absent, &dir], Errno::EISDIR, 2),
        (vec![&absent, &below], Errno::ENOTDIR, 2),
        (vec![&absent], Errno::ENOENT, 0),
        (vec![], Errno::ENOENT, 0),
    ] {
        let candidates: Vec<&str> = candidates.into_iter().map(String::as_str).collect();
        let ended = Lane::bare()
            .op(find(&candidates))
            .op(ChildOp::Nothing)
            .run();
        assert_eq!(ended.fails_before(1, errno), detail, "{candidates:?}");
    }
}

#[test]
fn what_the_kernel_will_not_execute() {
    let scratch = Scratch::new();
    scratch.file("empty", "", 0o755);
    scratch.file("interpreter", "#!/no/such/interpreter\n", 0o755);
    for (name, errno) in [("empty", Errno::ENOEXEC), ("interpreter", Errno::ENOENT)] {
        let path = scratch.at(name);
        Lane::bare()
            .op(find(&[path.to_str().unwrap()]))
            .op(exec(&["x"], &[]))
            .run()
            .fails(errno);
    }
    Lane::bare()
        .op(exec(&["x"], &[]))
        .run()
        .fails(Errno::ENOENT);
}

#[test]
fn arguments_and_environment_arrive_whole() {
    let long = "é".repeat(3000);
    let ended = Lane::bare()
        .op(find(&[BUSYBOX]))
        .op(exec(
            &[
                "sh",
                "-c",
                "for a; do echo \"[$a]\"; done; busybox env",
                "sh",
                "",
                "two words",
                &long,
            ],
            &["PATH=/bin", "EMPTY=", "A=1=2", "LINES=a\nb"],
        ))
        .run();
    let said = ended.said();
    assert!(
        said.starts_with(&format!("[]\n[two words]\n[{long}]\n")),
        "{said}"
    );
    for line in ["EMPTY=\n", "A=1=2\n", "LINES=a\nb"] {
        assert!(said.contains(line), "no {line} in {said}");
    }
}

#[test]
fn home_is_the_one_of_the_containers_passwd() {
    let lines = "root:x:0:0:root:/root-home:/bin/sh\nbroken\nnobody:x:7:7::/seven:\n";
    let long = format!("{}\nuser:x:8:8::/eight:/bin/sh", "x".repeat(9000));
    for (uid, env, expect) in [
        (0, "HOME=", "/root-home"),
        (7, "HOME=", "/seven"),
        (8, "HOME=", "/eight"),
        (9, "HOME=", "/"),
        (7, "HOME=/given", "/given"),
        (7, "OTHER=", ""),
    ] {
        let scratch = Scratch::new();
        scratch.directory("etc", 0o755);
        scratch.file("etc/passwd", &format!("{lines}{long}"), 0o644);
        let ended = Lane::with_busybox(&scratch)
            .op(ChildOp::PivotRoot(ROOT))
            .op(ChildOp::FindHome(uid))
            .op(find(&["/busybox"]))
            .op(exec(
                &["sh", "-c", "echo \"${HOME-}\"", "x"],
                &["FIRST=1", env, "LAST=1"],
            ))
            .run();
        assert_eq!(ended.said(), expect, "{uid} {env}");
    }
}

#[test]
fn a_passwd_that_is_no_file_gives_the_root() {
    let scratch = Scratch::new();
    scratch.directory("etc", 0o755);
    let fifo = ChildOp::Mknod {
        root: ROOT,
        dest: "/etc/passwd".to_owned(),
        mode: 0o010_644,
        major: 0,
        minor: 0,
        uid: 0,
        gid: 0,
    };
    let ended = Lane::with_busybox(&scratch)
        .op(fifo)
        .op(ChildOp::PivotRoot(ROOT))
        .op(ChildOp::FindHome(0))
        .op(find(&["/busybox"]))
        .op(exec(&["sh", "-c", "echo $HOME"], &["HOME="]))
        .run();
    assert_eq!(ended.said(), "/");
}

fn hook(path: &str, args: &[&str], env: &[&str], timeout: u32) -> ChildOp {
    ChildOp::RunHook {
        path: path.to_owned(),
        args: args.iter().map(|text| (*text).to_owned()).collect(),
        env: env.iter().map(|text| (*text).to_owned()).collect(),
        timeout,
        state: Slot(0),
        kind: "createContainer".to_owned(),
    }
}

fn with_state(text: &str) -> Lane {
    let state = rustix::fs::memfd_create("state", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let mut file = std::fs::File::from(state);
    file.write_all(text.as_bytes()).unwrap();
    let mut lane = Lane::bare();
    lane.handed.push(OwnedFd::from(file));
    lane
}

#[test]
fn hooks_get_the_state_and_their_own_arguments() {
    let script = "cat; echo; echo $X $0; ls /proc/self/fd | wc -l";
    let run = hook(
        BUSYBOX,
        &["sh", "-c", script, "name"],
        &["X=1", "PATH=/bin:/usr/bin"],
        10,
    );
    // Twice: the state is read from its start each time. 0 to 2 and ls's own descriptor are all it has.
    let ended = with_state("{state}")
        .op(run.clone())
        .op(run)
        .shell("echo program");
    let once = "{state}\n1 name\n4\n";
    assert_eq!(ended.said(), format!("{once}{once}program"));
}

#[test]
fn hooks_that_fail_or_take_too_long() {
    let shell = |script: &str, timeout| {
        hook(
            BUSYBOX,
            &["sh", "-c", script],
            &["PATH=/bin:/usr/bin"],
            timeout,
        )
    };
    let status = |op: ChildOp| {
        with_state("")
            .op(op)
            .op(ChildOp::Nothing)
            .run()
            .fails_before(1, Errno::ECANCELED)
    };
    assert_eq!(status(shell("exit 3", 0)), (3 << 8) + 1);
    assert_eq!(status(shell("kill -9 $$", 5)), 9 + 1);
    assert_eq!(
        status(hook("/no/such/hook", &["x"], &[], 0)),
        (127 << 8) + 1
    );
    assert_eq!(status(hook("/etc", &["x"], &[], 0)), (126 << 8) + 1);
    let begin = std::time::Instant::now();
    with_state("")
        .op(shell("exec sleep 100", 1))
        .run()
        .fails(Errno::ETIMEDOUT);
    assert!(begin.elapsed().as_secs() < 15);
}

#[test]
fn no_descriptor_of_ours_reaches_the_program() {
    let mut lane = with_state("secret");
    let ended = lane.shell("ls /proc/self/fd | wc -l");
    assert_eq!(ended.said(), "4");
    // And what a program may keep is cut from the number on.
    let ended = Lane::bare()
        .op(ChildOp::CloseOnExecFrom(1))
        .shell("true 2>/dev/null; exit 0");
    ended.said();
    let ended = Lane::bare()
        .op(ChildOp::CloseOnExecFrom(1))
        .shell("echo lost");
    assert_eq!(ended.output, "");
}

#[test]
fn a_session_and_a_keyring_of_its_own() {
    let ended = Lane::bare()
        .op(ChildOp::Setsid)
        .op(ChildOp::JoinKeyring("_ses.test".to_owned()))
        .shell("echo $$; cut -d' ' -f6 /proc/self/stat; grep -c _ses.test /proc/keys");
    let said: Vec<_> = ended.said().lines().collect();
    assert_eq!(said[0], "1");
    assert_ne!(said[1], "0");
    assert_eq!(said[2], "1");
}
