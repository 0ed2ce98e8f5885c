//! linux.seccomp: actions, argument operators, flags, architectures, and the notification listener.

use crate::case::cases;
use crate::inspect::{ENOSYS, EPERM};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};

cases!("seccomp":
    errno, errno_default_is_eperm, errno_value, default_errno, allow_list, kill_thread, kill_process, trap, log, trace_is_enosys, every_operator, masked_equal, several_arguments, two_values_of_one_argument, later_rule_of_another_value, unknown_name_is_ignored, unknown_action, unknown_operator, unknown_architecture, unknown_flag, all_architectures, flags_accepted, above_the_newest_is_enosys, without_no_new_privs, with_no_new_privs_as_user, many_rules, mode_is_two, docker_like, absent, empty_profile, allow_all, argument_index_out_of_range, default_action_kill_still_starts,
);

fn profile(s: &mut Sandbox, default: &str, rules: Value) {
    s.spec.set(
        "linux.seccomp",
        json!({"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules}),
    );
}

/// Denies one call with what `rule` adds and gives the errno seen inside.
fn denied(s: &mut Sandbox, rule: Value) -> i64 {
    profile(s, "SCMP_ACT_ALLOW", json!([rule]));
    s.inspect(&["syscall:110"]).errno("syscall:110")
}

fn errno(s: &mut Sandbox) {
    assert_eq!(
        denied(
            s,
            json!({"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 77})
        ),
        77
    );
}

fn errno_default_is_eperm(s: &mut Sandbox) {
    assert_eq!(
        denied(s, json!({"names": ["getppid"], "action": "SCMP_ACT_ERRNO"})),
        EPERM
    );
}

fn errno_value(s: &mut Sandbox) {
    for value in [1_i64, 13, 4094] {
        let rule = json!([{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": value}]);
        profile(s, "SCMP_ACT_ALLOW", rule);
        let report = s.inspect(&["syscall:110"]);
        assert_eq!(report.errno("syscall:110"), value);
    }
}

fn default_errno(s: &mut Sandbox) {
    allow_everything_but(s, &["getppid"]);
    s.spec.set("linux.seccomp.defaultErrnoRet", 55);
    assert_eq!(s.inspect(&["syscall:110"]).errno("syscall:110"), 55);
}

/// An allow list of what the inspector and the runtimes need, without `names`.
fn allow_everything_but(s: &mut Sandbox, names: &[&str]) {
    const NEEDED: &str = "access arch_prctl brk capget capset chdir clock_gettime clone clone3 close close_range connect dup dup2 \
        dup3 epoll_create1 epoll_ctl epoll_pwait eventfd2 execve execveat exit exit_group faccessat faccessat2 fchdir fchown \
        fcntl fstat fstatfs futex get_mempolicy getcwd getdents64 getegid geteuid getgid getgroups getpgid getpid getppid \
        getrandom getresgid getresuid getrlimit getsid gettid getuid ioctl ioprio_get keyctl lseek lstat madvise mmap mprotect \
        munmap nanosleep newfstatat open openat openat2 personality pipe2 poll prctl pread64 prlimit64 read readlink readlinkat \
        recvmsg restart_syscall rseq rt_sigaction rt_sigprocmask rt_sigreturn rt_sigsuspend sched_getaffinity sched_getattr \
        sched_yield sendmsg sendto set_robust_list set_tid_address setgid setgroups setresgid setresuid setuid sigaltstack \
        socket stat statfs statx tgkill umask uname unlinkat wait4 waitid write writev";
    let list: Vec<&str> = NEEDED
        .split_whitespace()
        .filter(|name| !names.contains(name))
        .collect();
    profile(
        s,
        "SCMP_ACT_ERRNO",
        json!([{"names": list, "action": "SCMP_ACT_ALLOW"}]),
    );
}

fn allow_list(s: &mut Sandbox) {
    allow_everything_but(s, &["getppid"]);
    assert_eq!(s.inspect(&["syscall:110"]).errno("syscall:110"), EPERM);
}

fn signal_of(s: &mut Sandbox, action: &str) -> i64 {
    profile(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["getpgid"], "action": action}]),
    );
    // The report itself asks getpgid, so only the probes run.
    s.spec.args(&["/inspect", "probe", "child:syscall:121"]);
    let report = crate::inspect::Report::parse(&s.run().ok().stdout);
    report.probe("child:syscall:121")["signal"]
        .as_i64()
        .unwrap()
}

fn kill_thread(s: &mut Sandbox) {
    assert_eq!(signal_of(s, "SCMP_ACT_KILL"), 31);
    assert_eq!(signal_of(s, "SCMP_ACT_KILL_THREAD"), 31);
}

fn kill_process(s: &mut Sandbox) {
    assert_eq!(signal_of(s, "SCMP_ACT_KILL_PROCESS"), 31);
}

fn trap(s: &mut Sandbox) {
    assert_eq!(signal_of(s, "SCMP_ACT_TRAP"), 31);
}

fn log(s: &mut Sandbox) {
    assert_eq!(
        denied(s, json!({"names": ["getppid"], "action": "SCMP_ACT_LOG"})),
        0
    );
}

fn trace_is_enosys(s: &mut Sandbox) {
    assert_eq!(
        denied(s, json!({"names": ["getppid"], "action": "SCMP_ACT_TRACE"})),
        ENOSYS,
        "no tracer is there"
    );
}

fn every_operator(s: &mut Sandbox) {
    // getpgid(argument) on values around 5: which of 4, 5, 6 are denied.
    for (operator, matching) in [
        ("SCMP_CMP_EQ", [false, true, false]),
        ("SCMP_CMP_NE", [true, false, true]),
        ("SCMP_CMP_LT", [true, false, false]),
        ("SCMP_CMP_LE", [true, true, false]),
        ("SCMP_CMP_GT", [false, false, true]),
        ("SCMP_CMP_GE", [false, true, true]),
    ] {
        profile(
            s,
            "SCMP_ACT_ALLOW",
            json!([{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99, "args": [{"index": 0, "value": 5, "op": operator}]}]),
        );
        s.spec.args(&[
            "/inspect",
            "probe",
            "syscall:121,4",
            "syscall:121,5",
            "syscall:121,6",
        ]);
        let report = crate::inspect::Report::parse(&s.run().ok().stdout);
        let seen = ["syscall:121,4", "syscall:121,5", "syscall:121,6"]
            .map(|probe| report.errno(probe) == 99);
        assert_eq!(seen, matching, "{operator}");
    }
}

fn masked_equal(s: &mut Sandbox) {
    profile(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99,
                "args": [{"index": 0, "value": 0xf0, "valueTwo": 0x50, "op": "SCMP_CMP_MASKED_EQ"}]}]),
    );
    s.spec
        .args(&["/inspect", "probe", "syscall:121,0x57", "syscall:121,0x67"]);
    let report = crate::inspect::Report::parse(&s.run().ok().stdout);
    assert_eq!(
        (
            report.errno("syscall:121,0x57"),
            report.errno("syscall:121,0x67") == 99
        ),
        (99, false)
    );
}

fn several_arguments(s: &mut Sandbox) {
    // All conditions on different arguments must hold.
    profile(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99,
                "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"}]}]),
    );
    let report = s.inspect(&["socket:2,1,0", "socket:2,2,0", "socket:1,2,0"]);
    assert_eq!(
        ["socket:2,1,0", "socket:2,2,0", "socket:1,2,0"].map(|probe| report.errno(probe)),
        [0, 99, 0]
    );
}

fn two_values_of_one_argument(s: &mut Sandbox) {
    // Two conditions on one argument: runc makes them alternatives.
    profile(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99,
                "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]),
    );
    let report = s.inspect(&["socket:2,1,0", "socket:1,1,0", "socket:16,3,0"]);
    assert_eq!(
        ["socket:2,1,0", "socket:1,1,0", "socket:16,3,0"].map(|probe| report.errno(probe)),
        [99, 99, 0]
    );
}

fn later_rule_of_another_value(s: &mut Sandbox) {
    profile(
        s,
        "SCMP_ACT_ALLOW",
        json!([
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 98, "args": [{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99, "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}
        ]),
    );
    let report = s.inspect(&["socket:2,1,0", "socket:1,1,0"]);
    assert_eq!(
        (report.errno("socket:2,1,0"), report.errno("socket:1,1,0")),
        (98, 99)
    );
}

fn unknown_name_is_ignored(s: &mut Sandbox) {
    let rule =
        json!({"names": ["frobnicate", "getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99});
    assert_eq!(denied(s, rule), 99);
}

fn unknown_action(s: &mut Sandbox) {
    profile(s, "SCMP_ACT_FROB", json!([]));
    s.run().fails_somehow().exits(1);
    profile(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["getppid"], "action": "SCMP_ACT_FROB"}]),
    );
    s.run().fails_somehow().exits(1);
}

fn unknown_operator(s: &mut Sandbox) {
    let rule = json!({"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_FROB"}]});
    profile(s, "SCMP_ACT_ALLOW", json!([rule]));
    s.run().fails_somehow().exits(1);
}

fn unknown_architecture(s: &mut Sandbox) {
    s.spec.set("linux.seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_FROB"], "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_ERRNO"}]}));
    s.run().fails_somehow().exits(1);
}

fn unknown_flag(s: &mut Sandbox) {
    s.spec.set(
        "linux.seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_FROB"], "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_ERRNO"}]}),
    );
    s.run().fails_somehow().exits(1);
}

fn all_architectures(s: &mut Sandbox) {
    s.spec.set(
        "linux.seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
               "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]}),
    );
    let report = s.inspect(&["syscall:110", "syscall:0x4000006e"]);
    assert_eq!(report.errno("syscall:110"), 99);
    assert_ne!(
        report.errno("syscall:0x4000006e"),
        0,
        "the x32 twin is denied or absent"
    );
}

fn flags_accepted(s: &mut Sandbox) {
    for flags in [
        json!(["SECCOMP_FILTER_FLAG_LOG"]),
        json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]),
        json!([]),
    ] {
        profile(
            s,
            "SCMP_ACT_ALLOW",
            json!([{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]),
        );
        s.spec.set("linux.seccomp.flags", flags.clone());
        assert_eq!(
            s.inspect(&["syscall:110"]).errno("syscall:110"),
            99,
            "{flags}"
        );
    }
}

fn above_the_newest_is_enosys(s: &mut Sandbox) {
    // glibc falls back on ENOSYS, not on EPERM.
    allow_everything_but(s, &[]);
    assert_eq!(s.inspect(&["syscall:1000"]).errno("syscall:1000"), ENOSYS);
}

fn without_no_new_privs(s: &mut Sandbox) {
    s.spec
        .set("process.noNewPrivileges", false)
        .set("process.user", json!({"uid": 1000, "gid": 1000}));
    let rule = json!({"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99});
    profile(s, "SCMP_ACT_ALLOW", json!([rule]));
    let report = s.inspect(&["syscall:121,0"]);
    assert_eq!(report.errno("syscall:121,0"), 99);
    assert_eq!(report.status("NoNewPrivs"), "0");
}

fn with_no_new_privs_as_user(s: &mut Sandbox) {
    s.spec
        .set("process.user", json!({"uid": 1000, "gid": 1000}))
        .capabilities(&[]);
    assert_eq!(
        denied(
            s,
            json!({"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99})
        ),
        99
    );
}

fn many_rules(s: &mut Sandbox) {
    let rules: Vec<Value> = (0..600)
        .map(|value| {
            json!({"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99,
                   "args": [{"index": 0, "value": 100_000 + value, "op": "SCMP_CMP_EQ"}]})
        })
        .collect();
    profile(s, "SCMP_ACT_ALLOW", json!(rules));
    s.spec
        .args(&["/inspect", "probe", "syscall:121,100599", "syscall:121,0"]);
    let report = crate::inspect::Report::parse(&s.run().ok().stdout);
    assert_eq!(
        (
            report.errno("syscall:121,100599"),
            report.errno("syscall:121,0")
        ),
        (99, 0)
    );
}

fn mode_is_two(s: &mut Sandbox) {
    profile(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["getppid"], "action": "SCMP_ACT_ERRNO"}]),
    );
    let report = s.inspect(&[]);
    assert_eq!(
        (report.status("Seccomp"), report.status("Seccomp_filters")),
        ("2", "1")
    );
}

fn docker_like(s: &mut Sandbox) {
    allow_everything_but(s, &[]);
    s.spec
        .push("linux.seccomp.syscalls", json!({"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}))
        .push("linux.seccomp.syscalls", json!({"names": ["ptrace", "mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}));
    let report = s.inspect(&["mount:none,/mnt,tmpfs", "syscall:101,0,0,0,0"]);
    assert_eq!(
        (
            report.errno("mount:none,/mnt,tmpfs"),
            report.errno("syscall:101,0,0,0,0")
        ),
        (EPERM, EPERM)
    );
}

fn absent(s: &mut Sandbox) {
    assert_eq!(s.inspect(&[]).status("Seccomp"), "0");
}

fn empty_profile(s: &mut Sandbox) {
    s.spec
        .set("linux.seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}));
    s.run().ok();
}

fn allow_all(s: &mut Sandbox) {
    profile(s, "SCMP_ACT_ALLOW", json!([]));
    assert_eq!(s.inspect(&["syscall:110"]).errno("syscall:110"), 0);
}

fn argument_index_out_of_range(s: &mut Sandbox) {
    let rule = json!({"names": ["getpgid"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]});
    profile(s, "SCMP_ACT_ALLOW", json!([rule]));
    s.run().fails_somehow().exits(1);
}

fn default_action_kill_still_starts(s: &mut Sandbox) {
    allow_everything_but(s, &["getpgid"]);
    s.spec
        .set("linux.seccomp.defaultAction", "SCMP_ACT_KILL_PROCESS")
        .args(&["/inspect", "probe", "child:syscall:121"]);
    let report = crate::inspect::Report::parse(&s.run().ok().stdout);
    assert_eq!(report.probe("child:syscall:121")["signal"], 31);
}
