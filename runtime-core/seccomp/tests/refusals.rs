//! What is refused or skipped, by JSON path, and which flags a profile ends up with.
use tare_oci::Seccomp;
use tare_seccomp::{Actions, Arch, Filter, SeccompError, Target, compile, flag};

fn compiled(profile: &str, target: &Target) -> Result<Filter, SeccompError> {
    let profile: Seccomp = serde_json::from_str(profile).expect(profile);
    compile(&profile, target)
}

/// The error's text on the newest kernel.
#[track_caller]
fn check(profile: &str, expect: &str) {
    check_on(&Target::latest(Arch::X86_64), profile, expect);
}

#[track_caller]
fn check_on(target: &Target, profile: &str, expect: &str) {
    let error = compiled(profile, target).expect_err("refused");
    assert_eq!(error.to_string(), expect);
}

#[test]
fn words_that_do_not_exist() {
    check(
        r#"{"defaultAction":"SCMP_ACT_DENY"}"#,
        "linux.seccomp.defaultAction: string SCMP_ACT_DENY is not a valid action for seccomp",
    );
    check(
        r#"{"defaultAction":"","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}"#,
        "linux.seccomp.defaultAction: string  is not a valid action for seccomp",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["read"],"action":"allow"}]}"#,
        "linux.seccomp.syscalls[0].action: string allow is not a valid action for seccomp",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_KILL","architectures":["SCMP_ARCH_X86","SCMP_ARCH_VAX"]}"#,
        "linux.seccomp.architectures[1]: string SCMP_ARCH_VAX is not a valid arch for seccomp",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_KILL","flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_NEW_LISTENER"]}"#,
        "linux.seccomp.flags[1]: seccomp flag SECCOMP_FILTER_FLAG_NEW_LISTENER is not known",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_KILL","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW",
        "args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":1,"value":1,"op":"=="}]}]}"#,
        "linux.seccomp.syscalls[0].args[1].op: string == is not a valid operator for seccomp",
    );
}

#[test]
fn values_out_of_place() {
    check(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}"#,
        "linux.seccomp.defaultErrnoRet: 4096 is out of range: SCMP_ACT_ERRNO takes 0 to 4095",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_TRACE","errnoRet":65536}]}"#,
        "linux.seccomp.syscalls[0].errnoRet: 65536 is out of range: SCMP_ACT_TRACE takes 0 to 65535",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","errnoRet":1}]}"#,
        "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_ALLOW takes no errno",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW",
        "args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]}]}"#,
        "linux.seccomp.syscalls[0].args[0].index: 6: a system call has arguments 0 to 5",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read",""],"action":"SCMP_ACT_ALLOW"}]}"#,
        "linux.seccomp.syscalls[0].names[1]: empty string is not a valid syscall",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_S390X"]}"#,
        "linux.seccomp.architectures[0]: SCMP_ARCH_S390X has not the byte order of SCMP_ARCH_X86_64, so one filter cannot serve both",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["read"],"action":"SCMP_ACT_TRAP","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
        {"names":["write","read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]}"#,
        "linux.seccomp.syscalls[1]: system call read: the rule contradicts an earlier one: same conditions, another action",
    );
}

#[test]
fn notify_has_its_limits() {
    check(
        r#"{"defaultAction":"SCMP_ACT_NOTIFY","listenerPath":"/agent"}"#,
        "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/agent","syscalls":[{"names":["mount","write"],"action":"SCMP_ACT_NOTIFY"}]}"#,
        "linux.seccomp.syscalls[0].names[1]: SCMP_ACT_NOTIFY cannot be used for the write syscall",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mount"],"action":"SCMP_ACT_NOTIFY"}]}"#,
        "linux.seccomp.listenerPath: seccomp listenerPath is not set",
    );
    check(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#,
        "linux.seccomp.flags[0]: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY",
    );
}

#[test]
fn what_an_old_kernel_lacks() {
    let latest = Target::latest(Arch::X86_64);
    let old = Target {
        actions: Actions::ALL
            .without(Actions::KILL_PROCESS)
            .without(Actions::NOTIFY),
        flags: flag::TSYNC | flag::LOG,
        ..latest
    };
    check_on(
        &old,
        r#"{"defaultAction":"SCMP_ACT_KILL_PROCESS"}"#,
        "linux.seccomp.defaultAction: SCMP_ACT_KILL_PROCESS is not supported by this kernel",
    );
    check_on(
        &old,
        r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/agent","syscalls":[{"names":["mount"],"action":"SCMP_ACT_NOTIFY"}]}"#,
        "linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY is not supported by this kernel",
    );
    check_on(
        &old,
        r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW"]}"#,
        "linux.seccomp.flags[1]: SECCOMP_FILTER_FLAG_SPEC_ALLOW is not supported by this kernel",
    );
}

#[test]
fn unknown_names_are_recorded_or_refused() {
    let profile = r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read","frobnicate"],"action":"SCMP_ACT_ALLOW"}]}"#;
    let target = Target::latest(Arch::X86_64);
    let filter = compiled(profile, &target).expect("compiles");
    assert_eq!(filter.skipped.len(), 1);
    assert_eq!(
        filter.skipped[0].json_path,
        "linux.seccomp.syscalls[0].names[1]"
    );
    assert!(
        filter.skipped[0]
            .reason
            .starts_with("unknown system call frobnicate"),
        "{:?}",
        filter.skipped
    );
    let error = compiled(
        profile,
        &Target {
            refuse_unknown_syscalls: true,
            ..target
        },
    )
    .expect_err("refused");
    let expect = "linux.seccomp.syscalls[0].names[1]: unknown system call frobnicate";
    assert!(error.to_string().starts_with(expect), "{error}");
}

#[test]
fn too_many_rules() {
    let args: Vec<_> = (0..5000)
        .map(|value| format!(r#"{{"index":0,"op":"SCMP_CMP_EQ","value":{}}}"#, value * 3))
        .collect();
    let profile = format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{}]}}]}}"#,
        args.join(",")
    );
    let error = compiled(&profile, &Target::latest(Arch::X86_64)).expect_err("refused");
    assert!(matches!(error, SeccompError::TooLong { .. }), "{error}");
    assert!(error.to_string().contains("at most 4096"), "{error}");
}

/// The longest chain the kernel takes fits the stack of a small thread.
#[test]
fn almost_too_many_rules() {
    let args: Vec<_> = (0..3800)
        .map(|value| format!(r#"{{"index":0,"op":"SCMP_CMP_EQ","value":{}}}"#, value * 3))
        .collect();
    let profile = format!(
        r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{}]}}]}}"#,
        args.join(",")
    );
    let compile = move || {
        compiled(&profile, &Target::latest(Arch::X86_64))
            .expect("compiles")
            .program
            .len()
    };
    let thread = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(compile)
        .expect("a thread");
    assert!(thread.join().expect("no overflow") > 3800);
}

/// The flags for seccomp(2), and what was skipped.
#[track_caller]
fn check_flags(profile: &str, flags: u32, kernel: u32, skipped: &[&str]) {
    let target = Target {
        flags: kernel,
        ..Target::latest(Arch::X86_64)
    };
    let filter = compiled(profile, &target).expect("compiles");
    assert_eq!(filter.flags, flags, "{profile}");
    assert_eq!(filter.uses_notify, flags & flag::NEW_LISTENER != 0);
    assert_eq!(
        filter
            .skipped
            .iter()
            .map(|skip| &*skip.json_path)
            .collect::<Vec<_>>(),
        skipped
    );
}

#[test]
fn flags_reach_the_kernel() {
    use flag::*;
    let none = r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#;
    check_flags(none, SPEC_ALLOW, ALL, &[]);
    check_flags(none, 0, TSYNC | LOG, &[]);
    let both = r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_LOG"]}"#;
    check_flags(both, TSYNC | LOG, ALL, &[]);
    let notify = r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":"/agent",
        "flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV","SECCOMP_FILTER_FLAG_TSYNC"],
        "syscalls":[{"names":["mount"],"action":"SCMP_ACT_NOTIFY"}]}"#;
    check_flags(
        notify,
        NEW_LISTENER | WAIT_KILLABLE_RECV | TSYNC | TSYNC_ESRCH,
        ALL,
        &[],
    );
    let without = NEW_LISTENER | WAIT_KILLABLE_RECV;
    check_flags(
        notify,
        without,
        ALL & !TSYNC_ESRCH,
        &["linux.seccomp.flags[1]"],
    );
}
