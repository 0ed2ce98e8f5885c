//! `conformance runtime-tools`: runs the validation suite of OCI runtime-tools, program by program, and sums up.
//!
//! Each program gets its own state root, its own temporary directory and its own copy of the mount table, and what it
//! leaves is removed. The programs know the runtime as one path, so that is a script that adds `--root`.

mod expected;
mod host;
mod judge;
mod tap;

use crate::args::RuntimeToolsOptions;
use crate::{leaks, process};
use judge::{Counts, Ended, judge};
use rustix::process::{Signal, getpid, set_child_subreaper};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A program that takes longer is killed and fails.
const LIMIT: Duration = Duration::from_secs(90);
/// One call of the runtime that cleans up.
const CLEANING_LIMIT: Duration = Duration::from_secs(10);
/// The control groups that the suite names, below each hierarchy's root.
const GROUPS: [&str; 4] = [
    "cgrouptest",
    "testdir/cgrouptest/container",
    "testdir/cgrouptest",
    "testdir",
];

pub fn run(options: &RuntimeToolsOptions) -> ExitCode {
    match try_run(options) {
        Ok(counts) => {
            println!(
                "{} results the suite itself left out (SKIP, TODO)",
                counts.left_out
            );
            println!(
                "{} passed, {} failed, {} skipped",
                counts.passed, counts.failed, counts.expected
            );
            ExitCode::from(u8::from(counts.failed > 0 || counts.passed == 0))
        }
        Err(message) => {
            eprintln!("conformance: {message}");
            ExitCode::from(2)
        }
    }
}

fn try_run(options: &RuntimeToolsOptions) -> Result<Counts, String> {
    let text = fs::read_to_string(&options.expected)
        .map_err(|error| format!("{}: {error}", options.expected.display()))?;
    let host = host::Host::probe();
    let list = expected::load(&text, &options.runtime_name, &host)
        .map_err(|error| format!("{}: {error}", options.expected.display()))?;
    let mut names = programs(&options.suite)?;
    for entry in &list {
        if !names.contains(&entry.test) {
            return Err(format!("{}: the suite has no such program", entry.test));
        }
    }
    names.retain(|name| name != LEAVINGS && name.contains(&options.filter));
    set_child_subreaper(Some(getpid()))
        .map_err(|error| format!("cannot become a subreaper: {error}"))?;
    let work = Work::new(options)?;
    let mut total = Counts::default();
    // These share two control groups: one after the other. All others mind nobody.
    let (mut sharing, free): (Vec<String>, Vec<String>) = names
        .into_iter()
        .partition(|name| name.starts_with("linux_cgroups") || name.starts_with("delete_"));
    if !host.has_v1() {
        for name in sharing.drain(..) {
            println!("skipped {name}: the suite reads the files of cgroup v1 only");
            total.expected += 1;
        }
    }
    let total = Mutex::new(total);
    let sharing = Mutex::new(sharing.into_iter());
    let free = Mutex::new(free.into_iter());
    std::thread::scope(|scope| {
        for job in 0..options.jobs.max(2) {
            let queue = if job == 0 { &sharing } else { &free };
            let (work, list, total) = (&work, &list, &total);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().expect("no thread panics here").next();
                    let Some(name) = next else { break };
                    let started = Instant::now();
                    let (lines, counts) = judge(&work.run_program(&name), list);
                    let mut total = total.lock().expect("no thread panics here");
                    lines.iter().for_each(|line| println!("{line}"));
                    let word = if counts.failed == 0 { "ok" } else { "FAIL" };
                    println!(
                        "{word} {name} ({} passed, {} ms)",
                        counts.passed,
                        started.elapsed().as_millis()
                    );
                    total.add(&counts);
                }
            });
        }
    });
    let mut total = total.into_inner().expect("all threads have ended");
    let leavings = work.leavings();
    if options.filter.is_empty() {
        let (lines, counts) = judge(&leavings, &list);
        lines.iter().for_each(|line| println!("{line}"));
        total.add(&counts);
    }
    Ok(total)
}

/// The suite's programs, those that take long first.
fn programs(suite: &Path) -> Result<Vec<String>, String> {
    let directory = suite.join("bin");
    let entries =
        fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let patient = |name: &String| !["delete", "kill", "pidfile"].contains(&name.as_str());
    names.sort_by_key(|name| (patient(name), name.clone()));
    names.push(LEAVINGS.to_owned());
    Ok(names)
}

/// The name under which leaks of the whole run are judged.
const LEAVINGS: &str = "leavings";

/// The run's directory, removed at the end.
struct Work<'a> {
    options: &'a RuntimeToolsOptions,
    base: PathBuf,
}

impl<'a> Work<'a> {
    fn new(options: &'a RuntimeToolsOptions) -> Result<Self, String> {
        let base = std::env::temp_dir().join(format!("tare-runtime-tools-{}", std::process::id()));
        fs::create_dir(&base).map_err(|error| format!("{}: {error}", base.display()))?;
        // What a run that was cut off left behind; a group in use is not empty.
        for group in groups().into_iter().rev() {
            let _ = fs::remove_dir(group);
        }
        Ok(Self { options, base })
    }

    fn run_program(&self, name: &str) -> Ended {
        let directory = self.base.join(name);
        let ended = self.spawn(name, &directory).unwrap_or_else(|error| Ended {
            name: name.to_owned(),
            status: Some(126),
            stdout: String::new(),
            stderr: format!("cannot start it: {error}"),
        });
        self.delete_containers(&directory.join("root"));
        if !self.options.keep {
            let _ = fs::remove_dir_all(&directory);
        }
        ended
    }

    fn spawn(&self, name: &str, directory: &Path) -> std::io::Result<Ended> {
        let (root, temporary) = (directory.join("root"), directory.join("tmp"));
        fs::create_dir_all(&root)?;
        fs::create_dir_all(&temporary)?;
        let runtime = directory.join("runtime");
        fs::write(
            &runtime,
            format!(
                "#!/bin/sh\nexec '{}' --root '{}' \"$@\"\n",
                self.options.runtime.display(),
                root.display()
            ),
        )?;
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o755))?;
        let (stdout, stderr) = (directory.join("stdout"), directory.join("stderr"));
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "slave"])
            .arg(self.options.suite.join("bin").join(name))
            .current_dir(&self.options.suite)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("RUNTIME", &runtime)
            .env("TMPDIR", &temporary)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()?;
        let status = process::wait_child(&mut child, LIMIT);
        if status.is_none() {
            let tree = process::descendants(child.id() as i32);
            process::kill(child.id() as i32, Signal::KILL);
            let _ = child.wait();
            tree.into_iter()
                .for_each(|pid| process::kill(pid, Signal::KILL));
        }
        let text =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        Ok(Ended {
            name: name.to_owned(),
            status: status.map(|status| {
                status
                    .code()
                    .or(status.signal().map(|n| 128 + n))
                    .unwrap_or(-1)
            }),
            stdout: text(&stdout),
            stderr: text(&stderr),
        })
    }

    /// Several programs of the suite leave a container behind.
    fn delete_containers(&self, root: &Path) {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            let child = Command::new(&self.options.runtime)
                .arg("--root")
                .arg(root)
                .args(["delete", "--force"])
                .arg(entry.file_name())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            if let Ok(mut child) = child
                && process::wait_child(&mut child, CLEANING_LIMIT).is_none()
            {
                process::kill(child.id() as i32, Signal::KILL);
                let _ = child.wait();
            }
        }
    }

    /// What is left when each container was deleted, as results; then it is removed.
    fn leavings(&self) -> Ended {
        let me = std::process::id() as i32;
        process::eventually(Duration::from_secs(3), || {
            process::reap_all();
            process::descendants(me).is_empty()
        });
        let processes: Vec<String> = process::descendants(me)
            .into_iter()
            .map(process::describe)
            .collect();
        let left = groups();
        let groups: Vec<String> = left
            .iter()
            .map(|group| group.display().to_string())
            .collect();
        let mounts: Vec<String> = leaks::mounts(&self.base)
            .iter()
            .map(|mount| mount.display().to_string())
            .collect();
        let mut stdout = String::from("TAP version 13\n");
        for (what, found) in [
            ("process", processes),
            ("control group", groups),
            ("mount", mounts),
        ] {
            let word = if found.is_empty() { "ok" } else { "not ok" };
            stdout.push_str(&format!(
                "{word} - no {what} is left\n# {}\n",
                found.join(" ")
            ));
        }
        stdout.push_str("1..3\n");
        leaks::clear(&leaks::Watch {
            tag: "tare-runtime-tools-none-",
            directory: &self.base,
            roots: &[],
            temporary: None,
            descriptors: None,
        });
        for group in left.iter().rev() {
            let _ = fs::remove_dir(group);
        }
        Ended {
            name: LEAVINGS.to_owned(),
            status: Some(0),
            stdout,
            stderr: String::new(),
        }
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        if self.options.keep {
            println!("kept: {}", self.base.display());
        } else {
            let _ = fs::remove_dir_all(&self.base);
        }
    }
}

/// Directories of the suite's control groups in every hierarchy, parents first.
fn groups() -> Vec<PathBuf> {
    let top = PathBuf::from("/sys/fs/cgroup");
    let mut roots: Vec<PathBuf> = fs::read_dir(&top)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    roots.push(top);
    let mut found: Vec<PathBuf> = roots
        .iter()
        .flat_map(|root| GROUPS.iter().map(move |group| root.join(group)))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found
}
