//! One fault at every step of both lanes of one plan, and what must be true after each.

use super::errnos::{self, Errno};
use super::ground::Ground;
use super::left::Before;
use super::parked;
use super::plans::Verb;
use super::steps::Steps;
use crate::process;
use crate::runtime::Output;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Which lane's faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Child,
    Host,
}

/// What a fault does to its step.
enum What {
    Fails(Errno),
    FailsLate(Errno),
    Dies,
    DiesLate,
    /// The hop alone, when it has made the final process.
    HopDies,
}

pub struct Sweep<'a> {
    pub ground: &'a Ground,
    pub lane: Lane,
    pub full: bool,
    pub steps: Steps,
    /// Told each result: the fault's name, and what is wrong.
    pub tell: &'a mut dyn FnMut(&str, Result<(), String>),
}

impl Sweep<'_> {
    pub fn run(&mut self) {
        let steps = self.texts().to_vec();
        for (index, text) in steps.iter().enumerate() {
            for what in self.faults(index, text) {
                self.one(index + 1, text, &what);
            }
        }
        if self.lane == Lane::Child {
            for (index, text) in steps.iter().enumerate() {
                self.alternatives(index + 1, text);
            }
        }
        // The end of the plan is the end of the faults: one more is none.
        let beyond = format!("{}:{}:5", self.word(), steps.len() + 1);
        self.checked(&beyond, |sweep| sweep.beyond(&beyond));
    }

    /// A step that has another form for some errors: with each of them the container is made all the same.
    fn alternatives(&mut self, step: usize, text: &str) {
        let Some((_, after)) = text.split_once(" | or on ") else {
            return;
        };
        let names = after.split(':').next().unwrap_or_default();
        for name in names.split(',') {
            let fault = format!("child:{step}:{}~", errnos::by_name(name).number);
            let told = format!("{fault} ({text})");
            self.checked(&told, |sweep| sweep.beyond(&fault));
        }
    }

    fn texts(&self) -> &[String] {
        match self.lane {
            Lane::Child => &self.steps.child,
            Lane::Host => &self.steps.host,
        }
    }

    fn word(&self) -> &'static str {
        match self.lane {
            Lane::Child => "child",
            Lane::Host => "host",
        }
    }

    fn faults(&self, index: usize, text: &str) -> Vec<What> {
        let last = index + 1 == self.texts().len();
        let child = self.lane == Lane::Child;
        // After the execve there is nobody to be faulty.
        let has_end = !(child && last);
        let known = errnos::of(child, text);
        let count = if self.full { known.len() } else { 1 };
        let late = known.last().map(|errno| Errno { ..*errno });
        let mut faults: Vec<What> = known.into_iter().take(count).map(What::Fails).collect();
        faults.push(What::Dies);
        if child && text == "fork" {
            faults.push(What::HopDies);
        }
        if has_end && (self.full || !child || text.starts_with("barrier")) {
            faults.extend(late.map(What::FailsLate));
            faults.push(What::DiesLate);
        }
        faults
    }

    /// Shows that the looks see: a runtime that leaves one thing on purpose is told of, by that thing's name.
    pub fn prove(&mut self) {
        let last = self.steps.host.len();
        for (kept, word) in [
            ("child", "process "),
            ("cgroup", "cgroup /"),
            ("state", "file "),
            ("pidfile", "file "),
            ("descriptor", "descriptors left open"),
            ("mount", "mount "),
        ] {
            let fault = format!("host:{last}:28+!{kept}");
            let mut said = Ok(());
            let mut tell = |_: &str, result: Result<(), String>| said = result;
            let mut inner = Sweep {
                ground: self.ground,
                lane: Lane::Host,
                full: false,
                steps: self.steps.clone(),
                tell: &mut tell,
            };
            inner.checked(&fault, |sweep| {
                let output = sweep.ground.make().env("TARE_FAULT", &fault).run();
                let text = sweep.steps.host[last - 1].clone();
                let words = format!("step {last}/{last}: host: {text}: a test's fault: ENOSPC");
                sweep.refused(&output, &words);
            });
            let verdict = match said {
                Err(message) if message.contains(word) => Ok(()),
                other => Err(format!(
                    "kept {kept} on purpose, and the suite says {other:?}"
                )),
            };
            (self.tell)(&format!("sees what is kept: {kept}"), verdict);
        }
    }

    fn one(&mut self, step: usize, text: &str, what: &What) {
        let form = match what {
            What::Fails(errno) => errno.number.to_string(),
            What::FailsLate(errno) => format!("{}+", errno.number),
            What::Dies => "die".to_owned(),
            What::DiesLate => "die+".to_owned(),
            What::HopDies => "hop".to_owned(),
        };
        let fault = format!("{}:{step}:{form}", self.word());
        let name = format!("{fault} ({text})");
        self.checked(&name, |sweep| match (sweep.lane, what) {
            (Lane::Child, What::Fails(errno) | What::FailsLate(errno)) => {
                sweep.child_fails(step, text, errno, &fault);
            }
            (Lane::Child, _) => sweep.child_dies(step, text, &fault),
            (Lane::Host, What::Fails(errno) | What::FailsLate(errno)) => {
                sweep.host_fails(step, text, errno, &fault);
            }
            (Lane::Host, _) => sweep.host_dies(&fault),
        });
    }

    /// Runs a check between two looks at what is there, and restores that if it failed.
    fn checked(&mut self, name: &str, check: impl FnOnce(&Self)) {
        let ground = self.ground;
        if ground.verb == Verb::Exec && ground.status() != "running" {
            let _ = ground.delete_by_force();
            process::reap_all();
            ground.make_target();
        }
        ground.forget();
        let before = Before::now(ground);
        let result = catch_unwind(AssertUnwindSafe(|| {
            check(self);
            ground.take_all();
            let left = before.left(ground);
            assert!(left.is_empty(), "left: {}", left.join("; "));
        }))
        .map_err(|_| crate::case::last_message());
        if result.is_err() {
            if ground.verb != Verb::Exec {
                let _ = ground.delete_by_force();
            }
            before.restore(ground);
        }
        (self.tell)(name, result);
    }

    /// The step after which the child waits for `start`, from 1; beyond the end where it does not.
    fn wait(&self) -> usize {
        let wait = |text: &String| text.starts_with("await start");
        self.steps
            .child
            .iter()
            .position(wait)
            .map_or(usize::MAX, |index| index + 1)
    }

    fn child_fails(&self, step: usize, text: &str, errno: &Errno, fault: &str) {
        let ground = self.ground;
        let late = fault.ends_with('+');
        let words = self.child_words(step, text, errno);
        let output = ground.make().env("TARE_FAULT", fault).run();
        let unheard = if late { step + 1 } else { step } == self.wait();
        if step < self.wait() && !unheard {
            self.refused(&output, &words);
            return;
        }
        if output.code != 0 && unheard {
            // It came before the host was done.
            return;
        }
        output.ok();
        if unheard {
            // The child has told that it is ready and not yet begun to listen: that it has ended is all that is known.
            self.ends();
            let start = ground.start().run();
            start.fails(1, "cannot start a container that has stopped");
        } else {
            self.waits();
            let start = ground.attend(ground.start());
            self.refused(&start, &words);
        }
        self.deletes();
    }

    fn child_dies(&self, step: usize, text: &str, fault: &str) {
        let ground = self.ground;
        let running = ground.make().env("TARE_FAULT", fault).spawn();
        let unheard = if fault.ends_with('+') { step + 1 } else { step } == self.wait();
        if step < self.wait() && !unheard {
            parked::kill(&running, &ground.known.borrow());
            let output = running.finish(Duration::from_secs(20));
            let steps = self.steps.child.len();
            let words = format!(
                "step {step}/{steps}: {text}: the container's first process was killed by signal 9"
            );
            if fault.ends_with("hop") {
                // The hop had done its work: nobody misses it.
                output.ok();
                self.goes();
            } else if ground.verb == Verb::Exec && step == steps {
                output.ok();
                self.goes();
            } else if ground.verb == Verb::Run && step == steps {
                // Killed in its last step it is like a program that was killed at once.
                output.ok();
                self.deletes();
            } else {
                self.refused(&output, &words);
            }
            return;
        }
        if unheard {
            parked::kill(&running, &ground.known.borrow());
            if running.finish(Duration::from_secs(20)).code != 0 {
                return;
            }
            self.ends();
            ground
                .start()
                .run()
                .fails(1, "cannot start a container that has stopped");
        } else {
            running.finish(Duration::from_secs(20)).ok();
            self.waits();
            let start = ground.start().spawn();
            parked::kill(&start, &ground.known.borrow());
            // The end of the fifo is all that `start` sees: the same as a program that was killed at once.
            start.finish(Duration::from_secs(20));
            self.ends();
        }
        self.deletes();
    }

    fn host_fails(&self, step: usize, text: &str, errno: &Errno, fault: &str) {
        let output = self.ground.make().env("TARE_FAULT", fault).run();
        let words = format!(
            "step {step}/{}: host: {text}: a test's fault: {}",
            self.steps.host.len(),
            errno.name
        );
        self.refused(&output, &words);
    }

    fn host_dies(&self, fault: &str) {
        let ground = self.ground;
        let output = ground.make().env("TARE_FAULT", fault).run();
        assert_eq!(
            output.code, 137,
            "the fault did not strike: {}",
            output.stderr
        );
        if ground.verb == Verb::Exec {
            // Nobody lets it go on: it ends by itself.
            self.settled();
            ground
                .call(&["exec", &ground.sandbox.id, "/bin/true"])
                .run()
                .ok();
            let _ = fs::remove_file(ground.pid_file());
            return;
        }
        // Some at once, some when the child has seen that nobody is there.
        if fault.len().is_multiple_of(2) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let ran = ground.has_run();
        if ran {
            let status = ground.status();
            assert!(
                ground.verb == Verb::Run && status == "running",
                "the program runs, and the state is {status:?}"
            );
        }
        let deleted = ground.delete_by_force();
        assert_eq!(deleted.code, 0, "delete --force: {}", deleted.stderr);
        // `run` may have let it go, to run between the look and the deletion.
        assert!(
            ran || ground.verb == Verb::Run || !ground.has_run(),
            "the program ran, and nobody had started it"
        );
        let _ = fs::remove_file(ground.sandbox.rootfs.join("ran"));
        let _ = fs::remove_file(ground.pid_file());
        self.settled();
        assert!(!ground.has_run(), "the program ran after the deletion");
    }

    fn beyond(&self, fault: &str) {
        let ground = self.ground;
        let output = ground.make().env("TARE_FAULT", fault).run().ok();
        assert!(
            !output.stderr.contains("a test's fault"),
            "{}",
            output.stderr
        );
        match ground.verb {
            Verb::Exec => {
                self.goes();
                return;
            }
            Verb::Create => {
                self.waits();
                ground.attend(ground.start()).ok();
            }
            Verb::Run => {}
        }
        let ran = process::eventually(Duration::from_secs(5), || ground.has_run());
        assert!(ran, "the program did not run");
        self.deletes();
    }

    /// The verb failed with these words, and nothing is left of it.
    fn refused(&self, output: &Output, words: &str) {
        let code = if self.ground.verb == Verb::Exec {
            255
        } else {
            1
        };
        assert!(
            output.code == code && output.stderr.contains(words),
            "`{}` exited {} instead of {code}, or lacks {words:?}: {}",
            output.line,
            output.code,
            output.stderr.trim()
        );
        if self.ground.verb == Verb::Exec {
            assert_eq!(self.ground.status(), "running");
        }
    }

    fn waits(&self) {
        assert_eq!(self.ground.status(), "created");
        assert!(!self.ground.has_run(), "the program ran before `start`");
    }

    fn ends(&self) {
        let ground = self.ground;
        let stopped = process::eventually(Duration::from_secs(5), || ground.status() == "stopped");
        assert!(stopped, "it is {}", ground.status());
        assert!(!ground.has_run(), "the program ran");
    }

    /// What was made is removed.
    fn goes(&self) {
        match self.ground.verb {
            Verb::Exec => {
                self.settled();
                fs::remove_file(self.ground.pid_file()).expect("the pid file is there");
            }
            _ => self.deletes(),
        }
    }

    /// `delete` removes it, and nothing but init's end is left for us, who are its parent now.
    fn deletes(&self) {
        let ground = self.ground;
        let output = ground.delete_by_force();
        assert_eq!(output.code, 0, "delete --force: {}", output.stderr);
        let _ = fs::remove_file(ground.pid_file());
        self.settled();
    }

    /// Nothing but what was there before, once the orphans have been collected.
    fn settled(&self) {
        self.ground.attend_end();
    }

    fn child_words(&self, step: usize, text: &str, errno: &Errno) -> String {
        let name = errno.name;
        if let Some(rest) = text.strip_prefix("run ")
            && let Some((kind, _)) = rest.split_once(" hook ")
        {
            let earlier = self.steps.child[..step - 1].iter();
            let same = format!("run {kind} hook ");
            let index = earlier.filter(|text| text.starts_with(&same)).count();
            return format!("hooks.{kind}[{index}]: ");
        }
        match (text.split(' ').next(), name) {
            (Some("exec"), "ENOENT") => "interpreter".to_owned(),
            (Some("exec"), "ENOEXEC") => "exec format error".to_owned(),
            (Some("exec"), "EACCES") => "permission denied".to_owned(),
            (Some("exec"), _) => format!("exec: \"{}\": {name}", self.program()),
            _ if text.starts_with("find executable") => match name {
                "ENOENT" => format!("exec: \"{}\": stat ", self.program()),
                "EACCES" => format!("exec: \"{}\": permission denied", self.program()),
                "ENOTDIR" => "not a directory".to_owned(),
                _ => format!("exec: \"{}\": {name}", self.program()),
            },
            _ => format!("step {step}/{}: {text}: {name}", self.steps.child.len()),
        }
    }

    fn program(&self) -> &str {
        match self.ground.verb {
            Verb::Exec => "/bin/true",
            _ => self.ground.sandbox.spec["process"]["args"][0]
                .as_str()
                .unwrap_or_default(),
        }
    }
}
