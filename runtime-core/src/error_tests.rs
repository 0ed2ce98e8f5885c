//! The words that callers match, and those that an error must not contain.
use super::*;

/// Every phrase that a caller matches, and those that an error must not contain by accident.
#[test]
fn words_that_callers_match() {
    let id = || "c1".to_owned();
    for (error, words) in [
        (Error::NotFound { id: id() }, "container does not exist"),
        (
            Error::Exists { id: id() },
            "container with given ID already exists",
        ),
        (
            Error::NotRunning {
                status: Status::Stopped,
            },
            "container not running",
        ),
        (
            Error::NotRunning {
                status: Status::Paused,
            },
            "container not running",
        ),
        (
            Error::NotPaused {
                status: Status::Running,
            },
            "container not paused",
        ),
        (
            Error::DeleteLive {
                id: "c5".into(),
                status: Status::Running,
            },
            "cannot delete container c5 that is not stopped: running",
        ),
        (
            Error::CannotStart {
                status: Status::Running,
            },
            "cannot start an already running container",
        ),
        (
            Error::CannotExec {
                status: Status::Stopped,
            },
            "cannot exec in a stopped container",
        ),
        (
            Error::CannotExec {
                status: Status::Paused,
            },
            "cannot exec in a paused container (use --ignore-paused to override)",
        ),
        (Error::UnknownSignal("X".into()), "unknown signal \"X\""),
        (
            Error::InvalidId {
                id: "a/b".into(),
                why: "has a '/'",
            },
            "invalid container ID format",
        ),
        (
            Error::Program {
                program: "nosuch".into(),
                why: ProgramError::NotInPath,
            },
            "exec: \"nosuch\": executable file not found in $PATH",
        ),
        (
            Error::Program {
                program: "/nosuch".into(),
                why: ProgramError::Absent("/nosuch".into()),
            },
            "exec: \"/nosuch\": stat /nosuch: no such file or directory",
        ),
        (
            Error::Program {
                program: "/etc/noexec".into(),
                why: ProgramError::NotExecutable,
            },
            "exec: \"/etc/noexec\": permission denied",
        ),
        (
            Error::Program {
                program: "/etc".into(),
                why: ProgramError::Directory,
            },
            "exec: \"/etc\": is a directory",
        ),
    ] {
        let report = error.report();
        assert!(
            report.starts_with(words),
            "{report:?} does not start with {words:?}"
        );
    }
}

#[test]
fn a_failing_system_call_never_reads_like_a_missing_program() {
    for errno in 1..134 {
        for error in [
            Error::path(
                "open",
                Path::new("/sys/fs/cgroup/io.max"),
                Errno::new(errno),
            ),
            Error::system("clone3", Errno::new(errno)),
            Error::Step {
                step: 1,
                of: 2,
                what: "x".into(),
                errno: Errno::new(errno),
                hint: None,
            },
        ] {
            let report = error.report().to_lowercase();
            for phrase in [
                "no such file",
                "permission denied",
                "not permitted",
                "not found",
                "does not exist",
            ] {
                assert!(!report.contains(phrase), "{report}");
            }
        }
    }
}

#[test]
fn a_report_names_step_and_errno_once() {
    let error = Error::Step {
        step: 17,
        of: 43,
        what: "mount proc on /proc".into(),
        errno: Errno::EPERM,
        hint: None,
    };
    assert_eq!(error.report(), "step 17/43: mount proc on /proc: EPERM");
    assert_eq!(
        Error::path("read", Path::new("/run/x"), Errno::ENOENT).report(),
        "read: missing: /run/x"
    );
}
