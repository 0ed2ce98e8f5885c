//! Every system call of the runtime's own process fails, or is its last: by strace, so without any hook in the runtime.

use super::ground::Ground;
use super::left::{Before, children};
use crate::process;
use crate::runtime::{Call, Output};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

/// A command and what has to be there before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Create,
    Start,
    Run,
    /// `run` that waits for the program's end and deletes the container.
    Foreground,
    Exec,
    Kill,
    Pause,
    Resume,
    Update,
    Events,
    Delete,
    DeleteByForce,
}

pub const VERBS: [(&str, Verb); 12] = [
    ("create", Verb::Create),
    ("start", Verb::Start),
    ("run", Verb::Run),
    ("foreground-run", Verb::Foreground),
    ("exec", Verb::Exec),
    ("kill", Verb::Kill),
    ("pause", Verb::Pause),
    ("resume", Verb::Resume),
    ("update", Verb::Update),
    ("events", Verb::Events),
    ("delete", Verb::Delete),
    ("delete-force", Verb::DeleteByForce),
];

/// What calls can give (their man pages); the first is the gate's.
const ERRORS: [(&str, &[&str]); 45] = [
    ("openat", &["EMFILE", "EACCES", "ENOMEM"]),
    ("open", &["EMFILE", "EACCES"]),
    ("openat2", &["EMFILE", "EAGAIN"]),
    ("mkdirat", &["ENOSPC", "EDQUOT", "EROFS"]),
    ("mkdir", &["ENOSPC", "EDQUOT"]),
    ("write", &["ENOSPC", "EIO", "EDQUOT"]),
    ("read", &["EIO", "EINTR"]),
    ("renameat", &["ENOSPC", "EDQUOT", "EIO"]),
    ("rename", &["ENOSPC", "EDQUOT"]),
    ("unlinkat", &["EIO", "EBUSY", "EROFS"]),
    ("unlink", &["EIO", "EROFS"]),
    ("rmdir", &["EBUSY", "EIO"]),
    ("mknodat", &["ENOSPC", "EDQUOT", "EROFS"]),
    ("symlinkat", &["ENOSPC", "EDQUOT", "EROFS"]),
    ("memfd_create", &["EMFILE", "ENOMEM"]),
    ("ftruncate", &["ENOMEM", "EINTR"]),
    ("socket", &["EMFILE", "ENOBUFS"]),
    ("socketpair", &["EMFILE", "ENFILE"]),
    ("setsockopt", &["ENOMEM"]),
    ("connect", &["ECONNREFUSED", "EAGAIN"]),
    ("sendmsg", &["ENOBUFS", "ENOMEM"]),
    ("sendto", &["ENOBUFS"]),
    ("recvmsg", &["ENOMEM", "EINTR"]),
    ("recvfrom", &["ENOMEM", "EINTR"]),
    ("clone3", &["EAGAIN", "ENOMEM", "ENOSPC", "EPERM"]),
    ("flock", &["ENOLCK", "EINTR"]),
    ("signalfd4", &["EMFILE", "ENOMEM"]),
    ("fchmod", &["EROFS", "EIO"]),
    ("fchown", &["EROFS", "EIO"]),
    ("waitid", &["EINTR"]),
    ("wait4", &["EINTR"]),
    ("poll", &["EINTR", "ENOMEM"]),
    ("ppoll", &["EINTR", "ENOMEM"]),
    ("pidfd_open", &["EMFILE", "ENOMEM"]),
    ("pidfd_send_signal", &["EPERM"]),
    ("pidfd_getfd", &["EMFILE", "EPERM"]),
    ("kill", &["EPERM"]),
    ("getdents64", &["EIO"]),
    ("newfstatat", &["EACCES", "ENOMEM"]),
    ("fstat", &["EIO"]),
    ("statx", &["EACCES"]),
    ("statfs", &["EIO"]),
    ("fstatfs", &["EIO"]),
    ("readlinkat", &["EIO", "EACCES"]),
    ("readlink", &["EIO", "EACCES"]),
];

/// Calls that cannot fail, whose failure nobody may act on (close), or that the language's start-up makes.
const PASSED_OVER: [&str; 43] = [
    "access",
    "arch_prctl",
    "brk",
    "capget",
    "chdir",
    "clock_gettime",
    "clock_nanosleep",
    "close",
    "close_range",
    "dup",
    "execve",
    "exit_group",
    "fcntl",
    "futex",
    "getcwd",
    "getegid",
    "geteuid",
    "getgid",
    "getpid",
    "getrandom",
    "gettid",
    "getuid",
    "ioctl",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "prctl",
    "prlimit64",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "sysinfo",
    "umask",
    "uname",
];

/// What `update` sets.
const LIMIT: &str = "77";

pub struct Calls<'a> {
    pub ground: &'a Ground,
    pub verb: Verb,
    pub full: bool,
    pub tell: &'a mut dyn FnMut(&str, Result<(), String>),
    /// Our children once all is there that the verb needs.
    pub own: RefCell<BTreeSet<i32>>,
}

impl Calls<'_> {
    pub fn run(&mut self) {
        let counts = self.count();
        for (name, count) in &counts {
            let errors = match ERRORS.iter().find(|(known, _)| known == name) {
                Some((_, errors)) if self.full => *errors,
                Some((_, errors)) => &errors[..1],
                None => &[],
            };
            for number in 1..=*count {
                if !self.full && self.is_sampled() && number % 4 != 1 {
                    continue;
                }
                for error in errors {
                    let fault = format!("{name}:error={error}:when={number}");
                    self.one(&fault, |calls| calls.fails(&fault, name, error));
                }
                // What has no effect outside is not worth a death of its own in the gate.
                if self.full || !errors.is_empty() {
                    let fault = format!("{name}:signal=KILL:when={number}");
                    self.one(&fault, |calls| calls.dies(&fault, name));
                }
            }
        }
    }

    /// Of which the gate takes each fourth call: what they share with the others is struck there.
    fn is_sampled(&self) -> bool {
        matches!(
            self.verb,
            Verb::Foreground | Verb::Pause | Verb::Resume | Verb::Update | Verb::Events
        )
    }

    fn log(&self) -> PathBuf {
        self.ground.sandbox.environment.directory.join("strace.out")
    }

    /// How often the undisturbed verb makes each call.
    fn count(&self) -> BTreeMap<String, usize> {
        self.ground.forget();
        self.prepare();
        self.traced("trace=all", None).run().ok();
        let text = fs::read_to_string(self.log()).expect("strace wrote its log");
        self.clear();
        let mut counts = BTreeMap::new();
        for line in text.lines() {
            let Some((name, _)) = line.split_once('(') else {
                continue;
            };
            let known = ERRORS.iter().any(|(known, _)| *known == name);
            assert!(
                known || PASSED_OVER.contains(&name),
                "the system call {name} is in neither list of syscalls.rs"
            );
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
        counts.remove("execve");
        counts.remove("exit_group");
        counts
    }

    fn one(&mut self, fault: &str, check: impl FnOnce(&Self)) {
        let ground = self.ground;
        ground.forget();
        let before = Before::now(ground);
        let result = catch_unwind(AssertUnwindSafe(|| {
            self.prepare();
            check(self);
            let _ = fs::remove_file(self.log());
            let left = before.left(ground);
            assert!(left.is_empty(), "left: {}", left.join("; "));
        }))
        .map_err(|_| crate::case::last_message());
        if result.is_err() {
            let _ = ground.delete_by_force();
            before.restore(ground);
        }
        (self.tell)(fault, result);
    }

    /// What the verb needs.
    fn prepare(&self) {
        let ground = self.ground;
        match self.verb {
            Verb::Create | Verb::Run | Verb::Foreground => {}
            Verb::Start => {
                ground.make().run().ok();
            }
            Verb::Exec
            | Verb::Kill
            | Verb::Pause
            | Verb::Update
            | Verb::Events
            | Verb::DeleteByForce => ground.make_target(),
            Verb::Resume => {
                ground.make_target();
                ground.call(&["pause", &ground.sandbox.id]).run().ok();
            }
            Verb::Delete => {
                ground.make().run().ok();
                let pid = fs::read_to_string(ground.pid_file()).expect("create wrote it");
                let pid = pid.parse().expect("a number");
                process::kill(pid, rustix::process::Signal::KILL);
                process::reap(pid, Duration::from_secs(5));
                let _ = fs::remove_file(ground.pid_file());
            }
        }
        self.own.replace(children());
    }

    fn call(&self) -> Call {
        let ground = self.ground;
        let id = ground.sandbox.id.as_str();
        let bundle = ground.sandbox.bundle_text();
        let pid_file = ground.pid_file().to_string_lossy().into_owned();
        match self.verb {
            Verb::Create => ground.make(),
            Verb::Start => ground.start(),
            Verb::Run => ground.call(&[
                "run",
                "--detach",
                "--bundle",
                &bundle,
                "--pid-file",
                &pid_file,
                id,
            ]),
            Verb::Foreground => {
                ground.call(&["run", "--bundle", &bundle, "--pid-file", &pid_file, id])
            }
            Verb::Pause => ground.call(&["pause", id]),
            Verb::Resume => ground.call(&["resume", id]),
            Verb::Update => ground.call(&["update", "--pids-limit", LIMIT, id]),
            Verb::Events => ground.call(&["events", "--stats", id]),
            Verb::Exec => {
                ground.call(&["exec", "--detach", "--pid-file", &pid_file, id, "/bin/true"])
            }
            Verb::Kill => ground.call(&["kill", id, "KILL"]),
            Verb::Delete => ground.call(&["delete", id]),
            Verb::DeleteByForce => ground.call(&["delete", "--force", id]),
        }
    }

    /// The verb below strace, which does not follow the children.
    fn traced(&self, trace: &str, inject: Option<&str>) -> Call {
        let mut call = self.call();
        let runtime = std::mem::replace(&mut call.program, "/usr/bin/strace".into());
        let mut words: Vec<std::ffi::OsString> = vec!["-o".into(), self.log().into()];
        words.extend(["-e".into(), trace.into()]);
        if let Some(inject) = inject {
            words.extend(["-e".into(), format!("inject={inject}").into()]);
        }
        words.extend(["--".into(), runtime.into()]);
        words.append(&mut call.globals);
        call.globals = words;
        call
    }

    fn struck(&self) -> bool {
        fs::read_to_string(self.log()).is_ok_and(|text| text.contains("(INJECTED)"))
    }

    fn fails(&self, fault: &str, name: &str, error: &str) {
        let output = self.traced(&format!("trace={name}"), Some(fault)).run();
        let text = output.stderr.as_str();
        let struck = self.struck();
        if output.code == 0 {
            self.done();
            return;
        }
        assert!(struck, "it failed without the fault: {text}");
        let failed = if self.verb == Verb::Exec { 255 } else { 1 };
        assert!(
            output.code == failed && !text.trim().is_empty(),
            "`{}` exited {}: {text}",
            output.line,
            output.code
        );
        assert!(text.contains(error), "the message lacks {error}: {text}");
        self.undone(&output);
    }

    fn dies(&self, fault: &str, name: &str) {
        let output = self.traced(&format!("trace={name}"), Some(fault)).run();
        // A last call that was not made this time.
        if output.code == 0 {
            self.done();
            return;
        }
        assert_eq!(output.code, 137, "{}", output.stderr);
        let ground = self.ground;
        if self.verb == Verb::Exec {
            // Nobody lets the new process go on: only the container stays.
            let base = ground.known.replace(self.own.borrow().clone());
            ground.attend_end();
            ground.known.replace(base);
            ground
                .call(&["exec", &ground.sandbox.id, "/bin/true"])
                .run()
                .ok();
        }
        let status = ground.status();
        let right = match self.verb {
            Verb::Create => !ground.has_run(),
            Verb::Run => !ground.has_run() || status == "running",
            // Its program ends by itself, and the end of it all is the deletion.
            Verb::Foreground => {
                !ground.has_run()
                    || matches!(status.as_str(), "running" | "stopped")
                    || status.starts_with("container does not exist")
            }
            Verb::Pause | Verb::Resume => matches!(status.as_str(), "running" | "paused"),
            Verb::Update | Verb::Events => status == "running",
            _ => true,
        };
        let ran = ground.has_run();
        assert!(right, "the state is {status:?}, the program ran: {ran}");
        self.again();
        self.clear();
    }

    /// It went well all the same: the container is as the verb leaves it.
    fn done(&self) {
        let ground = self.ground;
        let expected = match self.verb {
            Verb::Create => "created",
            Verb::Start | Verb::Run | Verb::Exec | Verb::Resume => "running",
            Verb::Update | Verb::Events => "running",
            Verb::Pause => "paused",
            Verb::Kill => "stopped",
            Verb::Foreground | Verb::Delete | Verb::DeleteByForce => "container does not exist",
        };
        let right = process::eventually(Duration::from_secs(5), || {
            ground.status().starts_with(expected)
        });
        assert!(right, "it succeeded, and the state is {}", ground.status());
        self.clear();
    }

    /// It failed: what was there before is still there, or can be removed.
    fn undone(&self, output: &Output) {
        let ground = self.ground;
        let status = ground.status();
        let nothing = status.starts_with("container does not exist");
        match self.verb {
            Verb::Create | Verb::Run => {
                assert!(
                    nothing,
                    "it failed ({}), and is {status}",
                    output.stderr.trim()
                );
                return;
            }
            Verb::Foreground => {
                // What fails after the program's end is the deletion.
                assert!(nothing || status == "stopped", "it is {status}");
            }
            Verb::Pause | Verb::Resume => {
                let known = matches!(status.as_str(), "running" | "paused");
                assert!(known, "it is {status}");
                self.again();
            }
            Verb::Update | Verb::Events => {
                assert_eq!(status, "running");
                self.again();
            }
            Verb::Exec | Verb::Kill => assert!(
                matches!(status.as_str(), "running" | "stopped"),
                "it is {status}"
            ),
            Verb::Start => assert!(
                matches!(status.as_str(), "created" | "running" | "stopped"),
                "it is {status}"
            ),
            Verb::Delete | Verb::DeleteByForce => {
                let again = ground
                    .call(&["delete", "--force", &ground.sandbox.id])
                    .run();
                assert_eq!(again.code, 0, "the second try: {}", again.stderr);
            }
        }
        self.clear();
    }

    /// The same verb without a fault, where it is one that changes a container and leaves it: as if nothing had been.
    fn again(&self) {
        let ground = self.ground;
        let (words, is): (&[&str], _) = match self.verb {
            // Half of it may have been done.
            Verb::Pause if ground.status() == "paused" => (&["resume"], "running"),
            Verb::Resume if ground.status() == "running" => (&["pause"], "paused"),
            Verb::Pause => (&["pause"], "paused"),
            Verb::Resume => (&["resume"], "running"),
            Verb::Update => (&["update", "--pids-limit", LIMIT], "running"),
            Verb::Events => (&["events", "--stats"], "running"),
            _ => return,
        };
        let id = ground.sandbox.id.as_str();
        ground.call(&[words, &[id]].concat()).run().ok();
        assert_eq!(ground.status(), is, "after {words:?} without a fault");
    }

    /// `delete --force`, and all that is ours to collect.
    fn clear(&self) {
        let ground = self.ground;
        let output = ground.delete_by_force();
        assert_eq!(output.code, 0, "delete --force: {}", output.stderr);
        let _ = fs::remove_file(ground.pid_file());
        for name in fs::read_dir(&ground.sandbox.environment.directory)
            .into_iter()
            .flatten()
            .flatten()
        {
            // The pid file's temporary name, when the runtime was killed before the rename.
            if name.file_name().to_string_lossy().starts_with(".tf-") {
                let _ = fs::remove_file(name.path());
            }
        }
        ground.attend_end();
    }
}
