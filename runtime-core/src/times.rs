//! What each step of a run took, for `benches/steps.sh`: the host's by its own clock, the child's by the progress page. Only with
//! the feature `proof`.
use crate::lane::Lane;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use tare_sys::process::now_ns;

static FILE: OnceLock<PathBuf> = OnceLock::new();

/// From now on each plan that has run adds its times to this file: a line a step, `VERB LANE NUMBER NANOSECONDS TEXT`, by tabs.
pub fn keep_times(file: PathBuf) {
    let _ = FILE.set(file);
}

/// Whether anybody wants to know.
pub(crate) fn wanted() -> bool {
    FILE.get().is_some()
}

/// When the steps of the host's lane ended.
pub(crate) struct Clock {
    begin: u64,
    ends: Vec<u64>,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock {
            begin: now_ns(),
            ends: Vec::new(),
        }
    }

    /// A step has ended.
    pub(crate) fn lap(&mut self) {
        if wanted() {
            self.ends.push(now_ns());
        }
    }

    /// The lane has.
    pub(crate) fn write(mut self, lane: &Lane<'_>) {
        let Some(file) = FILE.get() else { return };
        // Whatever is past the host's last step: the wait for the program.
        self.lap();
        let plan = lane.plan();
        let verb = plan.title.split(' ').next().unwrap_or_default();
        let mut text = String::new();
        let mut last = self.begin;
        let mut spawned = last;
        for (index, end) in self.ends.iter().enumerate() {
            let step = plan.host.get(index);
            let words = step.map_or("the program".to_owned(), |step| plan.host_text(&step.op));
            if words.starts_with("spawn") {
                spawned = last;
            }
            let _ = writeln!(text, "{verb}\thost\t{}\t{}\t{words}", index + 1, end - last);
            last = *end;
        }
        let mut last = spawned;
        if let Some(progress) = lane.progress() {
            for (op, step) in lane.ops().iter().enumerate() {
                let time = progress
                    .times
                    .get(op)
                    .map_or(0, |time| time.load(Ordering::Relaxed));
                let Some(took) = time.checked_sub(last).filter(|_| time > 0) else {
                    continue;
                };
                let words = plan.child.get(*step).map(|step| plan.child_text(step));
                let words = words.unwrap_or_default();
                let _ = writeln!(text, "{verb}\tchild\t{}\t{took}\t{words}", step + 1);
                last = time;
            }
        }
        let opened = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file);
        let _ = opened.and_then(|mut file| file.write_all(text.as_bytes()));
    }
}
