//! Runs the chosen cases, each in its own process and directory, judges them by the list of differences, and sums up.

use crate::args::Options;
use crate::case::{Case, Verdict, decode};
use crate::expected::Difference;
use crate::{cases, expected, leaks, process, rootfs};
use rustix::process::{Signal, getpid, set_child_subreaper};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A case that takes longer is killed and fails; cleaning up may take as long again.
const CASE_LIMIT: Duration = Duration::from_secs(20);
const NIGHTLY_LIMIT: Duration = Duration::from_secs(600);
const CLEANING: Duration = Duration::from_secs(15);

/// Of each kind how many.
#[derive(Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

pub fn run(options: &Options) -> ExitCode {
    let mut chosen = cases::all();
    chosen.retain(|case| {
        let mut parts = options.filter.split(',');
        parts.any(|part| case.name.contains(part))
    });
    if chosen.is_empty() {
        eprintln!("shim-conformance: no case contains {:?}", options.filter);
        return ExitCode::from(2);
    }
    match run_all(options, &chosen) {
        Ok(counts) => {
            println!(
                "{} passed, {} failed, {} skipped",
                counts.passed, counts.failed, counts.skipped
            );
            ExitCode::from(u8::from(counts.failed > 0))
        }
        Err(message) => {
            eprintln!("shim-conformance: {message}");
            ExitCode::from(2)
        }
    }
}

fn run_all(options: &Options, chosen: &[Case]) -> Result<Counts, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("shims make containers with their own cgroups: run it as root".to_owned());
    }
    let differences = expected::load(options.expected.as_deref())?;
    set_child_subreaper(Some(getpid()))
        .map_err(|error| format!("cannot become a subreaper: {error}"))?;
    println!(
        "{} cases for {} ({})",
        chosen.len(),
        options.name,
        options.shim.display()
    );
    let base = std::env::temp_dir().join(format!("tare-shim-{}", std::process::id()));
    let work = Work { base };
    let template = work.base.join("template");
    fs::create_dir_all(&template).map_err(|error| format!("{}: {error}", template.display()))?;
    rootfs::make_template(&template)?;
    let next = AtomicUsize::new(0);
    let counts = Mutex::new(Counts::default());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = chosen.get(index) else { break };
                    let begin = Instant::now();
                    let verdict = work.run_case(options, case, index);
                    let listed = differences.iter().find(|entry| entry.case == case.name);
                    let mut counts = counts.lock().expect("no thread panics with it");
                    tell(&case.name, verdict, listed, begin.elapsed(), &mut counts);
                }
            });
        }
    });
    Ok(counts.into_inner().expect("all threads have ended"))
}

/// Prints a case's line. An expected difference is neither a failure nor a pass: it counts as skipped.
fn tell(
    name: &str,
    verdict: Verdict,
    listed: Option<&Difference>,
    took: Duration,
    counts: &mut Counts,
) {
    let took = took.as_millis();
    match (verdict, listed) {
        (Verdict::Passed, Some(entry)) if !entry.sometimes => {
            counts.failed += 1;
            println!(
                "FAIL {name}: passes, but is listed as an expected difference ({}): remove it from the list",
                entry.reason
            );
        }
        (Verdict::Passed, _) => {
            counts.passed += 1;
            println!("ok {name} ({took} ms)");
        }
        (Verdict::Failed(_), Some(entry)) => {
            counts.skipped += 1;
            println!("skipped {name}: expected difference: {}", entry.reason);
        }
        (Verdict::Failed(message), None) => {
            counts.failed += 1;
            println!(
                "FAIL {name} ({took} ms): {}",
                message.replace('\n', "\n     ")
            );
        }
        (Verdict::Skipped(reason), _) => {
            counts.skipped += 1;
            println!("skipped {name}: {reason}");
        }
    }
}

/// The run's directory, removed at the end unless cases were kept.
struct Work {
    base: PathBuf,
}

impl Work {
    fn run_case(&self, options: &Options, case: &Case, index: usize) -> Verdict {
        let tag = format!("ts-{}-{index}", std::process::id());
        let directory = self.base.join(index.to_string());
        let outcome = self.base.join(format!("{index}.json"));
        if let Err(error) = fs::create_dir(&directory) {
            return Verdict::Failed(format!("{}: {error}", directory.display()));
        }
        let verdict = self.spawn(options, case, (&tag, &directory, &outcome));
        if options.keep && matches!(verdict, Verdict::Failed(_)) {
            println!("kept: {}", directory.display());
        } else {
            let _ = fs::remove_dir_all(&directory);
        }
        verdict
    }

    fn spawn(
        &self,
        options: &Options,
        case: &Case,
        (tag, directory, outcome): (&str, &Path, &Path),
    ) -> Verdict {
        let program = std::env::current_exe().expect("own path is known");
        let mut command = Command::new(program);
        command
            .args(["one-case", "--name", &case.name, "--tag", tag, "--shim"])
            .arg(&options.shim)
            .arg("--directory")
            .arg(directory)
            .arg("--template")
            .arg(self.base.join("template"))
            .arg("--outcome")
            .arg(outcome)
            .args(options.nightly.then_some("--nightly"))
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .stdin(Stdio::null());
        if let Some(runc) = &options.runc {
            command.arg("--runc").arg(runc);
        }
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Verdict::Failed(format!("cannot start the case: {error}")),
        };
        let limit = if options.nightly {
            NIGHTLY_LIMIT
        } else {
            CASE_LIMIT
        };
        if process::wait_child(&mut child, limit + CLEANING).is_none() {
            let tree = process::descendants(child.id() as i32);
            let shown: Vec<String> = tree.iter().map(|pid| process::describe(*pid)).collect();
            process::kill(child.id() as i32, Signal::KILL);
            let _ = child.wait();
            for pid in tree {
                process::kill(pid, Signal::KILL);
            }
            clear(tag, directory);
            return Verdict::Failed(format!(
                "no end within {:?}; running: {}",
                limit + CLEANING,
                shown.join("; ")
            ));
        }
        let text = fs::read_to_string(outcome).unwrap_or_default();
        decode(&text).unwrap_or_else(|| {
            clear(tag, directory);
            Verdict::Failed("the case's process ended early".to_owned())
        })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.base.join("template"));
        let left = fs::read_dir(&self.base).into_iter().flatten().flatten();
        let kept = left.map(|entry| entry.path()).filter(|path| path.is_dir());
        if kept.count() == 0 {
            let _ = fs::remove_dir_all(&self.base);
        }
    }
}

/// The case could not clean up itself.
fn clear(tag: &str, directory: &Path) {
    for group in leaks::cgroups(tag) {
        let _ = fs::write(group.join("freezer.state"), "THAWED");
        let pids = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        for pid in pids.lines() {
            process::kill(pid.parse().unwrap_or(0), Signal::KILL);
        }
    }
    std::thread::sleep(Duration::from_millis(200));
    for mount in leaks::mounts(directory).into_iter().rev() {
        let _ = rustix::mount::unmount(mount.as_path(), rustix::mount::UnmountFlags::DETACH);
    }
    for group in leaks::cgroups(tag).into_iter().rev() {
        let _ = fs::remove_dir(group);
    }
    crate::lab::remove_state(tag);
}
