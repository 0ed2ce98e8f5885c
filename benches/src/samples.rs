//! What was measured, in one shape for all sections, so that raw data is one table and reports are made of nothing else.

use crate::measure::Cost;
use std::fmt::Write as _;

/// One measured command, or block of commands.
#[derive(Clone, Debug)]
pub struct Sample {
    /// One of [`crate::arguments::SECTIONS`].
    pub section: &'static str,
    /// Counts from 1; rounds that warm up are not kept.
    pub round: usize,
    /// The runtime or other program.
    pub subject: String,
    /// What it did: a verb, an item, ...
    pub what: String,
    /// How many: callers, idle containers, items; 0 where there is nothing to count.
    pub count: usize,
    /// What it took.
    pub cost: Cost,
}

/// Which samples.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// As in [`Sample`].
    pub section: &'static str,
    /// As in [`Sample`].
    pub subject: &'a str,
    /// As in [`Sample`].
    pub what: &'a str,
    /// As in [`Sample`].
    pub count: usize,
}

/// The samples of a key in the order of rounds.
pub fn of<'a>(samples: &'a [Sample], key: Key<'a>) -> impl Iterator<Item = &'a Sample> {
    samples.iter().filter(move |sample| {
        sample.section == key.section
            && sample.subject == key.subject
            && sample.what == key.what
            && sample.count == key.count
    })
}

/// Wall times in milliseconds.
pub fn walls(samples: &[Sample], key: Key) -> Vec<f64> {
    of(samples, key)
        .map(|sample| sample.cost.wall as f64 / 1e6)
        .collect()
}

/// User and system time together, in milliseconds.
pub fn processor(samples: &[Sample], key: Key) -> Vec<f64> {
    of(samples, key)
        .map(|sample| (sample.cost.user + sample.cost.system) as f64 / 1e3)
        .collect()
}

/// Memory in KiB.
pub fn memory(samples: &[Sample], key: Key) -> Vec<f64> {
    of(samples, key)
        .map(|sample| sample.cost.memory as f64)
        .collect()
}

/// How many rounds a section had.
pub fn rounds(samples: &[Sample], section: &str) -> usize {
    let of_section = samples.iter().filter(|sample| sample.section == section);
    of_section.map(|sample| sample.round).max().unwrap_or(0)
}

/// The raw data.
pub fn csv(samples: &[Sample]) -> String {
    let mut csv = String::from(
        "section,round,subject,what,count,status,wall_ns,user_us,system_us,memory_kib\n",
    );
    for sample in samples {
        let cost = sample.cost;
        let _ = writeln!(
            csv,
            "{},{},{},{},{},{},{},{},{},{}",
            sample.section,
            sample.round,
            sample.subject,
            sample.what,
            sample.count,
            cost.status,
            cost.wall,
            cost.user,
            cost.system,
            cost.memory
        );
    }
    csv
}

/// The subjects of a section in the order in which `names` has them; others follow.
pub fn subjects<'a>(samples: &'a [Sample], section: &str, names: &[&'a str]) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    for sample in samples.iter().filter(|sample| sample.section == section) {
        if !found.contains(&sample.subject.as_str()) {
            found.push(&sample.subject);
        }
    }
    found.sort_by_key(|name| {
        let place = names.iter().position(|other| other == name);
        (place.unwrap_or(names.len()), *name)
    });
    found
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A sample that took so many microseconds.
    pub fn sample(
        section: &'static str,
        round: usize,
        (subject, what, count): (&str, &str, usize),
        wall_us: u64,
    ) -> Sample {
        Sample {
            section,
            round,
            subject: subject.to_owned(),
            what: what.to_owned(),
            count,
            cost: Cost {
                wall: wall_us * 1000,
                user: wall_us / 2,
                system: wall_us / 4,
                memory: 1000 + wall_us,
                status: 0,
            },
        }
    }

    #[test]
    fn a_key_picks_its_samples_only() {
        let samples = [
            sample("idle", 1, ("trun", "run", 10), 3000),
            sample("idle", 1, ("trun", "run", 100), 5000),
            sample("idle", 2, ("trun", "run", 10), 4000),
            sample("idle", 1, ("crun", "run", 10), 9000),
        ];
        let key = Key {
            section: "idle",
            subject: "trun",
            what: "run",
            count: 10,
        };
        assert_eq!(walls(&samples, key), [3.0, 4.0]);
        assert_eq!(processor(&samples, key), [2.25, 3.0]);
        assert_eq!(memory(&samples, key), [4000.0, 5000.0]);
        assert_eq!(subjects(&samples, "idle", &["crun"]), ["crun", "trun"]);
        assert_eq!(
            (rounds(&samples, "idle"), rounds(&samples, "embed")),
            (2, 0)
        );
        assert_eq!(csv(&samples).lines().count(), 5);
        assert!(csv(&samples).contains("\nidle,1,crun,run,10,0,9000000,4500,2250,10000\n"));
    }
}
