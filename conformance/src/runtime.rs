//! One invocation of the runtime: arguments, environment, stdio as files, a time limit.

use crate::process;
use rustix::process::Signal;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(20);

/// An invocation being prepared. Its stdout and stderr are files, because containers inherit them.
pub struct Call {
    pub program: PathBuf,
    pub globals: Vec<OsString>,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(OsString, OsString)>,
    pub directory: PathBuf,
    pub user: Option<(u32, u32)>,
    pub limit: Duration,
    pub stdin: Stdio,
    /// Redirections in shell syntax, such as `3</dev/null`, made just before the runtime starts.
    pub redirections: String,
    /// Shell commands that run before the runtime takes the shell's place, with its pid.
    pub prelude: String,
    /// A terminal to be stdin, stdout and stderr instead of the files.
    pub terminal: Option<OwnedFd>,
    pub stdout: PathBuf,
    pub stderr: PathBuf,
}

impl Call {
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Replaces the global arguments (`--root R`).
    pub fn globals<S: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.globals = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Adds global arguments, before the verb.
    pub fn global<S: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.globals.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub fn stdin(mut self, text: &str) -> Self {
        let path = self.stdout.with_extension("in");
        fs::write(&path, text).expect("own directory is writable");
        self.stdin = File::open(path).expect("just written").into();
        self
    }

    pub fn user(mut self, id: u32) -> Self {
        self.user = Some((id, id));
        self
    }

    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = directory.into();
        self
    }

    pub fn redirect(mut self, redirections: &str) -> Self {
        redirections.clone_into(&mut self.redirections);
        self
    }

    pub fn prelude(mut self, commands: &str) -> Self {
        commands.clone_into(&mut self.prelude);
        self
    }

    pub fn terminal(mut self, slave: OwnedFd) -> Self {
        self.terminal = Some(slave);
        self
    }

    /// Runs to the end and gives what it said. A hang is a failure of the case.
    pub fn run(self) -> Output {
        let limit = self.limit;
        self.spawn().finish(limit)
    }

    pub fn spawn(self) -> Running {
        let words: Vec<OsString> = self
            .globals
            .iter()
            .chain(&self.arguments)
            .cloned()
            .collect();
        let line = words
            .iter()
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ");
        let mut command = if self.redirections.is_empty() && self.prelude.is_empty() {
            Command::new(&self.program)
        } else {
            let mut shell = Command::new("/bin/sh");
            shell
                .arg("-c")
                .arg(format!(
                    "{}\nexec \"$0\" \"$@\" {}",
                    self.prelude, self.redirections
                ))
                .arg(&self.program);
            shell
        };
        let create = |path: &PathBuf| File::create(path).expect("own directory is writable");
        match self.terminal {
            None => command
                .stdin(self.stdin)
                .stdout(create(&self.stdout))
                .stderr(create(&self.stderr)),
            Some(slave) => {
                create(&self.stdout);
                command
                    .stdin(slave.try_clone().expect("a descriptor is free"))
                    .stdout(slave)
                    .stderr(create(&self.stderr))
            }
        };
        command
            .args(&words)
            .env_clear()
            .envs(self.environment)
            .current_dir(&self.directory);
        if let Some((user, group)) = self.user {
            command.gid(group).uid(user);
        }
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        Running {
            child,
            line,
            stdout: self.stdout,
            stderr: self.stderr,
            started: Instant::now(),
            ended: false,
        }
    }
}

/// An invocation that runs; killed when dropped.
pub struct Running {
    child: Child,
    pub line: String,
    pub stdout: PathBuf,
    pub stderr: PathBuf,
    started: Instant,
    ended: bool,
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn finish(mut self, limit: Duration) -> Output {
        let status = process::wait_child(&mut self.child, limit);
        self.ended = status.is_some();
        let Some(status) = status else {
            panic!(
                "`{}` did not end within {limit:?}; stderr: {}",
                self.line,
                read(&self.stderr)
            );
        };
        self.output(status)
    }

    /// SIGKILL to the runtime process alone, then what is known of it.
    pub fn kill(mut self) -> Output {
        process::kill(self.pid(), Signal::KILL);
        let status = self.child.wait().expect("own child");
        self.ended = true;
        self.output(status)
    }

    fn output(&self, status: ExitStatus) -> Output {
        Output {
            line: self.line.clone(),
            code: status
                .code()
                .or_else(|| status.signal().map(|signal| 128 + signal))
                .unwrap_or(-1),
            stdout: read(&self.stdout),
            // Without --log, runc wraps its message as msg="..." with escaped quotes.
            stderr: read(&self.stderr).replace("\\\"", "\""),
            stdout_file: self.stdout.clone(),
            took: self.started.elapsed(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            process::kill(self.pid(), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

fn read(path: &PathBuf) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// How an invocation ended.
#[derive(Debug)]
pub struct Output {
    pub line: String,
    /// Exit status, or 128 + N when a signal killed the runtime.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// Where a container that outlives the runtime still writes.
    pub stdout_file: PathBuf,
    pub took: Duration,
}

impl Output {
    /// Asserts success.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert!(
            self.code == code,
            "`{}` exited {} instead of {code}; stderr: {} stdout: {}",
            self.line,
            self.code,
            self.stderr.trim(),
            self.stdout.chars().take(300).collect::<String>().trim()
        );
        self
    }

    /// Asserts that a failing command exits with `code` and that its stderr contains `words`.
    #[track_caller]
    pub fn fails(self, code: i32, words: &str) -> Self {
        let output = self.exits(code);
        assert!(
            output.stderr.contains(words),
            "`{}`: stderr lacks {words:?}: {}",
            output.line,
            output.stderr.trim()
        );
        output
    }

    /// Asserts failure with any non-zero status and some explanation.
    #[track_caller]
    pub fn fails_somehow(self) -> Self {
        assert!(self.code != 0, "`{}` succeeded", self.line);
        assert!(
            !self.stderr.trim().is_empty(),
            "`{}` failed ({}) without a word",
            self.line,
            self.code
        );
        assert!(
            self.code < 128 || self.code == 255,
            "`{}` died ({}): {}",
            self.line,
            self.code,
            self.stderr.chars().take(500).collect::<String>()
        );
        self
    }

    pub fn trimmed(&self) -> &str {
        self.stdout.trim()
    }
}

pub const fn default_limit() -> Duration {
    LIMIT
}
