//! The verbs. In each round every runtime does each once, in an order drawn anew, so that drift and noise of the machine fall
//! on all alike, and so does what the one before leaves the kernel to do.

use crate::arguments::{Options, Runtime};
use crate::bench::{Bench, read_pid, text, wait_until_dead};
use crate::budget::Budget;
use crate::measure::Cost;
use crate::report::{self, Goal, Limit, Part, estimate};
use crate::samples::{Key, Sample, memory, of, processor, rounds, subjects, walls};
use crate::statistics::{Random, median, paired_ratio, quantile};
use crate::strips;
use std::fmt::Write as _;
use std::path::Path;

/// The verbs in the order of the tables.
const VERBS: [&str; 7] = ["run", "create", "start", "exec", "kill", "delete", "state"];
/// The name of this section.
const NAME: &str = "lifecycle";
/// The process that does what `state` and `kill` cannot do without.
const BARE: &str = "barestate";

#[derive(Clone, Copy)]
enum Subject<'a> {
    Runtime(&'a Runtime),
    /// barerun.c against `run`.
    BareRun,
    /// barestate.c against `state` and `kill`, on a container of the first runtime.
    BareState,
    /// The timer's own share: the vfork, the exec and the end of a process.
    True,
}

/// Runs all rounds.
pub fn measure(bench: &Bench, budget: &Budget) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    let mut random = Random::new();
    let mut order: Vec<Subject> = bench
        .options
        .runtimes
        .iter()
        .map(Subject::Runtime)
        .collect();
    order.extend([Subject::BareRun, Subject::BareState, Subject::True]);
    for round in 0..=bench.options.rounds {
        if budget.is_over(round) {
            break;
        }
        let mut run = Round {
            bench,
            round,
            samples: Vec::new(),
        };
        random.shuffle(&mut order);
        for subject in &order {
            run.one(*subject)?;
        }
        if round > 0 {
            samples.append(&mut run.samples);
        }
    }
    Ok(samples)
}

struct Round<'a> {
    bench: &'a Bench,
    round: usize,
    samples: Vec<Sample>,
}

impl Round<'_> {
    fn one(&mut self, subject: Subject) -> Result<(), String> {
        let bench = self.bench;
        let name = self.round.to_string();
        match subject {
            Subject::Runtime(runtime) => self.life(runtime),
            Subject::BareState => self.bare_state(bench.options.ours()),
            Subject::BareRun => {
                let cost = bench.barerun(&bench.id("barerun", &name))?;
                self.keep("barerun", "run", cost);
                Ok(())
            }
            Subject::True => {
                bench.settle();
                let cost = bench.command(Path::new("/bin/true"), &[])?;
                self.keep("true", "run", cost);
                Ok(())
            }
        }
    }

    /// `run` of a program that ends at once; then a sleeping container from `create` to `delete`.
    fn life(&mut self, runtime: &Runtime) -> Result<(), String> {
        let (bench, name) = (self.bench, runtime.name.as_str());
        let id = bench.id(name, &self.round.to_string());
        let short = bench.bundles.true_of(&bench.options.bundle);
        let cost = bench.run(runtime, &short, &format!("{id}-run"))?;
        self.keep(name, "run", cost);

        bench.settle();
        let (long, pid_file) = sleeper(bench);
        let create = ["create", "--bundle", &long, "--pid-file", &pid_file, &id];
        self.keep(name, "create", bench.verb(runtime, &create)?);
        self.keep(name, "start", bench.verb(runtime, &["start", &id])?);
        self.keep(name, "state", bench.verb(runtime, &["state", &id])?);
        self.keep(
            name,
            "exec",
            bench.verb(runtime, &["exec", &id, "/bin/true"])?,
        );
        self.keep(name, "kill", bench.verb(runtime, &["kill", &id, "KILL"])?);
        wait_until_dead(read_pid(Path::new(&pid_file))?)?;
        self.keep(name, "delete", bench.verb(runtime, &["delete", &id])?);
        Ok(())
    }

    /// A container of the runtime's, whose files the bare process opens, and which it kills.
    fn bare_state(&mut self, runtime: &Runtime) -> Result<(), String> {
        let bench = self.bench;
        let id = bench.id(BARE, &self.round.to_string());
        bench.settle();
        let (long, pid_file) = sleeper(bench);
        bench.need(
            runtime,
            &["create", "--bundle", &long, "--pid-file", &pid_file, &id],
        )?;
        bench.need(runtime, &["start", &id])?;
        let pid = read_pid(Path::new(&pid_file))?;
        let files = [
            text(&bench.state_of(runtime).join(&id).join("state.json")),
            format!("/proc/{pid}/stat"),
            format!("/sys/fs/cgroup/freezer/{id}/freezer.state"),
            format!("/sys/fs/cgroup/freezer/{id}/freezer.self_freezing"),
            format!("/sys/fs/cgroup/{id}/cgroup.freeze"),
        ];
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let program = bench.options.tools.join(BARE);
        self.keep(BARE, "state", bench.command(&program, &files)?);
        let pid_word = pid.to_string();
        let kill: Vec<&str> = ["-k", &pid_word].into_iter().chain(files).collect();
        self.keep(BARE, "kill", bench.command(&program, &kill)?);
        wait_until_dead(pid)?;
        bench.need(runtime, &["delete", &id])?;
        Ok(())
    }

    fn keep(&mut self, subject: &str, what: &str, cost: Cost) {
        self.samples.push(Sample {
            section: NAME,
            round: self.round,
            subject: subject.to_owned(),
            what: what.to_owned(),
            count: 0,
            cost,
        });
    }
}

/// The bundle that sleeps, and where its pid goes.
fn sleeper(bench: &Bench) -> (String, String) {
    (
        text(&bench.bundles.sleep_of(&bench.options.bundle)),
        text(&bench.options.work.join("pid")),
    )
}

/// Two tables: each verb and subject with its figures, and the first runtime as a share of each other subject.
pub fn report(options: &Options, samples: &[Sample]) -> Part {
    let ours = options.ours().name.as_str();
    let names: Vec<&str> = options
        .runtimes
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let subjects = subjects(samples, NAME, &names);
    let mut text = format!(
        "Bundle `{}`, {} rounds. Memory is the largest peak of the runtime's own processes.\n\n\
         | verb | subject | min ms | median | p90 | CPU ms | RSS MB | x {ours} [95 %] | failed |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        options.bundle,
        rounds(samples, NAME)
    );
    for verb in VERBS {
        for subject in &subjects {
            row(&mut text, samples, verb, subject, ours);
        }
    }
    let others: Vec<&str> = subjects
        .iter()
        .copied()
        .filter(|name| *name != ours)
        .collect();
    let _ = write!(
        text,
        "\n{ours} as a share of the others, medians of the rounds' ratios [95 %]:\n\n| verb | {} |\n|---|{}\n",
        others.join(" | "),
        "---|".repeat(others.len())
    );
    for verb in VERBS {
        let cells: Vec<String> = others
            .iter()
            .map(|other| {
                estimate(paired_ratio(
                    &of_verb(samples, ours, verb),
                    &of_verb(samples, other, verb),
                ))
            })
            .collect();
        let _ = writeln!(text, "| {verb} | {} |", cells.join(" | "));
    }
    let panels = VERBS.iter().map(|verb| strips::Panel {
        title: (*verb).to_owned(),
        rows: subjects
            .iter()
            .map(|name| ((*name).to_owned(), of_verb(samples, name, verb)))
            .filter(|(_, values)| !values.is_empty())
            .collect(),
    });
    Part {
        title: "Lifecycle",
        text,
        goals: goals(options, samples),
        plots: vec![(
            "lifecycle.svg".to_owned(),
            strips::draw(
                &format!(
                    "Each verb, bundle {}: every round a dot, the median a bar",
                    options.bundle
                ),
                "wall time, ms",
                &panels.collect::<Vec<_>>(),
            ),
        )],
    }
}

fn key<'a>(subject: &'a str, what: &'a str) -> Key<'a> {
    Key {
        section: NAME,
        subject,
        what,
        count: 0,
    }
}

fn of_verb(samples: &[Sample], subject: &str, verb: &str) -> Vec<f64> {
    walls(samples, key(subject, verb))
}

fn row(out: &mut String, samples: &[Sample], verb: &str, subject: &str, ours: &str) {
    let key = key(subject, verb);
    let wall = walls(samples, key);
    if wall.is_empty() {
        return;
    }
    let failed = of(samples, key).filter(|one| one.cost.status != 0).count();
    let _ = writeln!(
        out,
        "| {verb} | {subject} | {:.2} | {:.2} | {:.2} | {:.2} | {:.1} | {} | {} |",
        quantile(&wall, 0.0),
        median(&wall),
        quantile(&wall, 0.9),
        median(&processor(samples, key)),
        quantile(&memory(samples, key), 1.0) / 1024.0,
        estimate(paired_ratio(&wall, &of_verb(samples, ours, verb))),
        report::unless_zero(failed),
    );
}

fn goals(options: &Options, samples: &[Sample]) -> Vec<Goal> {
    let ours = options.ours().name.as_str();
    let mut goals = Vec::new();
    let mut share = |verb: &str, other: &str, most: f64| {
        let ratio = paired_ratio(
            &of_verb(samples, ours, verb),
            &of_verb(samples, other, verb),
        );
        goals.push(Goal::new(
            format!("`{verb}` against {other}"),
            Limit::AtMost(most),
            "x",
            ratio,
        ));
    };
    share("run", "barerun", 1.3);
    if let Some(crun) = options.rival("crun") {
        share("run", &crun.name, 0.5);
    }
    if let Some(runc) = options.rival("runc") {
        share("run", &runc.name, 0.12);
    }
    for verb in &VERBS[1..] {
        if let Some(crun) = options.rival("crun") {
            share(verb, &crun.name, 0.5);
        }
    }
    share("state", BARE, 1.5);
    share("kill", BARE, 1.5);

    let peak = |name: &str| {
        let all = VERBS.map(|verb| quantile(&memory(samples, key(name, verb)), 1.0));
        quantile(&all, 1.0) / 1024.0
    };
    let exact = |figure: String, most: f64, unit, value: f64| {
        Goal::new(figure, Limit::AtMost(most), unit, report::exact(value))
    };
    goals.push(exact(
        "peak RSS of any verb".to_owned(),
        1.5,
        "MB",
        peak(ours),
    ));
    if let Some(crun) = options.rival("crun") {
        let share = peak(ours) / peak(&crun.name);
        goals.push(exact(
            format!("the same against {}", crun.name),
            1.0,
            "x",
            share,
        ));
        let (left, right) = (key(ours, "run"), key(&crun.name, "run"));
        goals.push(Goal::new(
            format!("CPU time of `run` against {}", crun.name),
            Limit::AtMost(0.5),
            "x",
            paired_ratio(&processor(samples, left), &processor(samples, right)),
        ));
    }
    goals
}
