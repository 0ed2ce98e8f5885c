//! Runs the chosen cases, several at once, each in its own process and directory, and sums up.

use crate::args::Options;
use crate::case::{Case, Verdict, decode};
use crate::report::{Kind, Line, judge, totals, write_junit};
use crate::{expected, leaks, process, rootfs, suites};
use rustix::process::{Signal, getpid, set_child_subreaper};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A case that takes longer is killed and fails.
const CASE_LIMIT: Duration = Duration::from_secs(60);

/// A case to be run, and by which runtime.
pub struct Job<'a> {
    pub name: &'a str,
    pub runtime: &'a Path,
    pub runtime_name: &'a str,
    pub starts: usize,
    pub weaken: &'a str,
    /// Whether systemd makes the groups.
    pub systemd: bool,
    /// How many times longer than usual it may take.
    pub patience: u32,
    pub limit: Duration,
    pub keep: bool,
}

pub fn run(options: &Options) -> ExitCode {
    let chosen: Vec<Case> = suites::all()
        .into_iter()
        .filter(|case| {
            options
                .filter
                .split(',')
                .any(|part| case.name.contains(part))
        })
        .collect();
    if options.list {
        chosen.iter().for_each(|case| println!("{}", case.name));
        return ExitCode::SUCCESS;
    }
    match run_all(options, &chosen) {
        Ok(lines) => finish(options, &lines),
        Err(message) => {
            eprintln!("conformance: {message}");
            ExitCode::from(2)
        }
    }
}

pub fn finish(options: &Options, lines: &[Line]) -> ExitCode {
    if let Some(path) = &options.junit
        && let Err(error) = write_junit(path, &options.runtime_name, lines)
    {
        eprintln!("conformance: {}: {error}", path.display());
        return ExitCode::from(2);
    }
    println!("{}", totals(lines));
    let failed = lines.is_empty() || lines.iter().any(|line| line.kind == Kind::Failed);
    if lines.is_empty() {
        eprintln!("conformance: no case contains {:?}", options.filter);
    }
    ExitCode::from(u8::from(failed))
}

fn run_all(options: &Options, chosen: &[Case]) -> Result<Vec<Line>, String> {
    let differences = expected::load(options.expected.as_deref())?;
    set_child_subreaper(Some(getpid()))
        .map_err(|error| format!("cannot become a subreaper: {error}"))?;
    let work = Work::new()?;
    let next = AtomicUsize::new(0);
    let lines = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = chosen.get(index) else { break };
                    let started = Instant::now();
                    let job = Job {
                        name: &case.name,
                        runtime: &options.runtime,
                        runtime_name: &options.runtime_name,
                        starts: 1,
                        weaken: "",
                        systemd: options.systemd,
                        patience: options.patience,
                        limit: CASE_LIMIT,
                        keep: options.keep,
                    };
                    let verdict = work.run_case(&job, index);
                    let listed = differences
                        .iter()
                        .find(|entry| entry.holds_for(&case.name, &options.runtime_name));
                    let line = judge(&case.name, verdict, listed, started.elapsed());
                    let mut lines = lines
                        .lock()
                        .expect("no thread panics while it holds the lock");
                    println!("{}", line.text());
                    lines.push(line);
                }
            });
        }
    });
    let mut lines = lines.into_inner().expect("all threads have ended");
    lines.extend(work.left());
    Ok(lines)
}

/// The run's directory, removed at the end.
pub struct Work {
    base: PathBuf,
    template: PathBuf,
    tag: String,
}

impl Work {
    pub fn new() -> Result<Self, String> {
        let base = std::env::temp_dir().join(format!("tare-conformance-{}", std::process::id()));
        let template = base.join("template");
        fs::create_dir_all(&template)
            .map_err(|error| format!("{}: {error}", template.display()))?;
        let work = Self {
            base,
            template,
            tag: format!("tc-{}-", std::process::id()),
        };
        // Test users of rootless cases must pass through.
        fs::set_permissions(&work.base, fs::Permissions::from_mode(0o711))
            .map_err(|error| error.to_string())?;
        rootfs::make_template(&work.template)?;
        Ok(work)
    }

    fn watch<'a>(&self, tag: &'a str, directory: &'a Path) -> leaks::Watch<'a> {
        leaks::Watch {
            tag,
            directory,
            roots: &[],
            temporary: None,
            descriptors: None,
        }
    }

    /// What the whole run has left, as a failed line; it is cleared.
    pub fn left(&self) -> Option<Line> {
        let watch = self.watch(&self.tag, &self.base);
        let left = leaks::find(&watch);
        if left.is_empty() {
            return None;
        }
        let line = judge(
            "whole-run/leaks",
            Verdict::Failed(left.join("\n")),
            None,
            Duration::ZERO,
        );
        println!("{}", line.text());
        leaks::clear(&watch);
        Some(line)
    }

    /// Runs one case; `index` is its own in this run.
    pub fn run_case(&self, job: &Job, index: usize) -> Verdict {
        let tag = format!("{}{index}", self.tag);
        let directory = self.base.join(index.to_string());
        let outcome = self.base.join(format!("{index}.json"));
        let verdict = match fs::create_dir(&directory) {
            Ok(()) => self.spawn(job, &tag, &directory, &outcome),
            Err(error) => Verdict::Failed(format!("{}: {error}", directory.display())),
        };
        if job.keep && matches!(verdict, Verdict::Failed(_)) {
            println!("kept: {}", directory.display());
        } else {
            let _ = fs::remove_dir_all(&directory);
        }
        verdict
    }

    fn spawn(&self, job: &Job, tag: &str, directory: &Path, outcome: &Path) -> Verdict {
        let program = std::env::current_exe().expect("own path is known");
        let mut child = match Command::new(program)
            .arg("one-case")
            .args([
                "--name",
                job.name,
                "--runtime-name",
                job.runtime_name,
                "--tag",
                tag,
                "--starts",
                &job.starts.to_string(),
                "--weaken",
                job.weaken,
                "--patience",
                &job.patience.to_string(),
            ])
            .arg("--runtime")
            .arg(job.runtime)
            .arg("--directory")
            .arg(directory)
            .arg("--template")
            .arg(&self.template)
            .arg("--outcome")
            .arg(outcome)
            .args(job.systemd.then_some("--systemd-cgroup"))
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .stdin(Stdio::null())
            .spawn()
        {
            Ok(child) => child,
            Err(error) => return Verdict::Failed(format!("cannot start the case: {error}")),
        };
        let ended = process::wait_child(&mut child, job.limit * job.patience);
        if ended.is_none() {
            let tree = process::descendants(child.id() as i32);
            let shown: Vec<String> = tree.iter().map(|pid| process::describe(*pid)).collect();
            process::kill(child.id() as i32, Signal::KILL);
            let _ = child.wait();
            tree.into_iter()
                .for_each(|pid| process::kill(pid, Signal::KILL));
            clear_after_kill(tag, directory);
            return Verdict::Failed(format!(
                "no end within {:?}; running: {}",
                job.limit,
                shown.join("; ")
            ));
        }
        let text = fs::read_to_string(outcome).unwrap_or_default();
        decode(&text).unwrap_or_else(|| {
            clear_after_kill(tag, directory);
            Verdict::Failed(format!("the case's process ended early: {ended:?}"))
        })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let kept = fs::read_dir(&self.base)
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| {
                entry
                    .file_name()
                    .to_str()
                    .is_some_and(|name| name.parse::<usize>().is_ok())
            });
        let _ = if kept {
            fs::remove_dir_all(&self.template)
        } else {
            fs::remove_dir_all(&self.base)
        };
    }
}

/// The case could not clean up itself: its groups, mounts and processes go by force, other cases' stay.
fn clear_after_kill(tag: &str, directory: &Path) {
    for group in leaks::cgroups(tag) {
        let _ = fs::write(group.join("freezer.state"), "THAWED");
        for pid in fs::read_to_string(group.join("cgroup.procs"))
            .unwrap_or_default()
            .lines()
        {
            process::kill(pid.parse().unwrap_or(0), Signal::KILL);
        }
    }
    // What was killed lets go of its mounts when it has ended; a mount or group that is held longer is told as left.
    std::thread::sleep(Duration::from_millis(200));
    for mount in leaks::mounts(directory).into_iter().rev() {
        let _ = rustix::mount::unmount(mount.as_path(), rustix::mount::UnmountFlags::DETACH);
    }
    for group in leaks::cgroups(tag).into_iter().rev() {
        let _ = fs::remove_dir(group);
    }
}
