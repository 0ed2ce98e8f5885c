//! Containers made by a library within a program that has memory and threads of its own: tare-runtime, and youki's
//! libcontainer where it could be built. The programs live all along; in each round each makes one container.

use crate::arguments::Options;
use crate::bench::Bench;
use crate::budget::Budget;
use crate::measure::Cost;
use crate::report::{Goal, Limit, Part, estimate};
use crate::samples::{Key, Sample, rounds, walls};
use crate::statistics::{Random, median, paired_ratio, quantile};
use crate::strips;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const NAME: &str = "embed";
/// What the library is called, and the program that has it in it.
const LIBRARIES: [(&str, &str); 2] = [("tare-runtime", "embed"), ("libcontainer", "compare")];
/// Resident memory of the programs, MiB.
const RESIDENT: [usize; 3] = [0, 64, 512];
/// Threads of each.
const THREADS: usize = 32;
const STEPS: [&str; 4] = ["create", "start", "wait", "delete"];
/// The goals' figure: the first three steps.
const WHOLE: &str = "create+start+wait";

/// A program that waits for the word to make a container.
struct Program {
    library: &'static str,
    resident: usize,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Runs all rounds.
pub fn measure(bench: &Bench, budget: &Budget) -> Result<Vec<Sample>, String> {
    let mut programs = Vec::new();
    for (library, program) in LIBRARIES {
        if !bench.options.tools.join(program).exists() {
            eprintln!("{NAME}: {library} is missing: {program} could not be built");
            continue;
        }
        for resident in RESIDENT {
            programs.push(Program::start(bench, (library, program), resident)?);
        }
    }
    let mut random = Random::new();
    let mut samples = Vec::new();
    let mut order: Vec<Option<usize>> = (0..programs.len()).map(Some).chain([None]).collect();
    for round in 0..=bench.options.rounds {
        if budget.is_over(round) {
            break;
        }
        random.shuffle(&mut order);
        for place in &order {
            let id = bench.id(
                "embed",
                &format!("{round}-{}", place.unwrap_or(programs.len())),
            );
            let kept = match place {
                Some(place) => programs[*place].make(bench, round, &id)?,
                None => vec![sample(round, ("barerun", "run", 0), bench.barerun(&id)?)],
            };
            if round > 0 {
                samples.extend(kept);
            }
        }
    }
    programs.into_iter().try_for_each(Program::end)?;
    Ok(samples)
}

impl Program {
    fn start(
        bench: &Bench,
        (library, program): (&'static str, &str),
        resident: usize,
    ) -> Result<Program, String> {
        let failed = |error: std::io::Error| format!("{program}: {error}");
        let mut child = Command::new(bench.options.tools.join(program))
            .arg(bench.options.work.join("state").join(library))
            .arg(bench.bundles.true_of(&bench.options.bundle))
            .args([resident.to_string(), THREADS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{program}: no pipes"));
        };
        let mut program = Program {
            library,
            resident,
            child,
            input,
            output: BufReader::new(output),
        };
        program.answer()?;
        program.is_as_wanted()?;
        Ok(program)
    }

    /// The premise of the figures.
    fn is_as_wanted(&self) -> Result<(), String> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let word = line.and_then(|rest| rest.split_whitespace().next());
            word.and_then(|word| word.parse::<usize>().ok())
                .unwrap_or(0)
        };
        let (memory, threads) = (number("VmRSS:") / 1024, number("Threads:"));
        if memory < self.resident || threads != THREADS {
            return Err(format!(
                "{}: {memory} MiB resident and {threads} threads instead of {} and {THREADS}",
                self.library, self.resident
            ));
        }
        Ok(())
    }

    fn answer(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .ok()
            .filter(|length| *length > 0)
            .ok_or_else(|| {
                format!(
                    "{} with {} MiB ended: what it said is above",
                    self.library, self.resident
                )
            })?;
        Ok(line)
    }

    fn make(&mut self, bench: &Bench, round: usize, id: &str) -> Result<Vec<Sample>, String> {
        bench.settle();
        writeln!(self.input, "{id}").map_err(|error| format!("{}: {error}", self.library))?;
        let answer = self.answer()?;
        let took = parse(&answer).ok_or_else(|| format!("{} said {answer:?}", self.library))?;
        let cost = |wall| Cost {
            wall,
            ..Cost::default()
        };
        let steps = STEPS.iter().copied().zip(took);
        let whole = took[..3].iter().sum();
        let all = steps.chain([(WHOLE, whole)]);
        Ok(all
            .map(|(what, wall)| sample(round, (self.library, what, self.resident), cost(wall)))
            .collect())
    }

    /// The end of its input ends it.
    fn end(mut self) -> Result<(), String> {
        drop(self.input);
        let status = self
            .child
            .wait()
            .map_err(|error| format!("{}: {error}", self.library))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{}: {status}", self.library))
        }
    }
}

fn parse(answer: &str) -> Option<[u64; STEPS.len()]> {
    let numbers: Option<Vec<u64>> = answer
        .split_whitespace()
        .map(|word| word.parse().ok())
        .collect();
    numbers?.try_into().ok()
}

fn sample(round: usize, (subject, what, count): (&str, &str, usize), cost: Cost) -> Sample {
    Sample {
        section: NAME,
        round,
        subject: subject.to_owned(),
        what: what.to_owned(),
        count,
        cost,
    }
}

/// Each step, and the three against barerun, against the smallest program and against the other library.
pub fn report(options: &Options, samples: &[Sample]) -> Part {
    let of = |subject: &str, what: &str, resident: usize| {
        let key = Key {
            section: NAME,
            subject,
            what,
            count: resident,
        };
        walls(samples, key)
    };
    let (ours, most) = (LIBRARIES[0].0, RESIDENT[2]);
    let bare = of("barerun", "run", 0);
    let mut text = format!(
        "A Rust program with so much memory resident and {THREADS} threads makes a container of bundle `{}`, {} rounds. \
         barerun: {} ms.\n\n\
         | library | MiB | create, median ms | start | wait | delete | {WHOLE} | p90 | x barerun [95 %] | x the one with 0 MiB [95 %] |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
        options.bundle,
        rounds(samples, NAME),
        format_args!("{:.2}", median(&bare)),
    );
    let mut rows = vec![("barerun".to_owned(), bare.clone())];
    for (library, _) in LIBRARIES {
        for resident in RESIDENT {
            let whole = of(library, WHOLE, resident);
            if whole.is_empty() {
                continue;
            }
            let steps: Vec<String> = STEPS
                .iter()
                .map(|step| format!("{:.2}", median(&of(library, step, resident))))
                .collect();
            let _ = writeln!(
                text,
                "| {library} | {resident} | {} | {:.2} | {:.2} | {} | {} |",
                steps.join(" | "),
                median(&whole),
                quantile(&whole, 0.9),
                estimate(paired_ratio(&whole, &bare)),
                estimate(paired_ratio(&whole, &of(library, WHOLE, 0))),
            );
            rows.push((format!("{library}, {resident} MiB"), whole));
        }
    }
    let mine = of(ours, WHOLE, most);
    let goal = |figure: &str, most, other: &[f64]| {
        Goal::new(
            format!("in-process {WHOLE} {figure}"),
            Limit::AtMost(most),
            "x",
            paired_ratio(&mine, other),
        )
    };
    let panel = strips::Panel {
        title: WHOLE.to_owned(),
        rows,
    };
    Part {
        title: "In-process",
        text,
        goals: vec![
            goal("against barerun", 1.15, &bare),
            goal("with 512 MiB resident against 0", 1.1, &of(ours, WHOLE, 0)),
            goal(
                "against libcontainer",
                0.3,
                &of(LIBRARIES[1].0, WHOLE, most),
            ),
        ],
        plots: vec![(
            "embed.svg".to_owned(),
            strips::draw(
                "A container made by a library: every round a dot, the median a bar",
                "wall time, ms",
                &[panel],
            ),
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_four_numbers() {
        assert_eq!(parse("1 2 3 4\n"), Some([1, 2, 3, 4]));
        assert_eq!(parse("1 2 3\n"), None);
        assert_eq!(parse("1 2 3 x\n"), None);
    }
}
