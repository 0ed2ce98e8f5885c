//! The inspector's answer, read: what the container saw of itself, and one entry for each probe.

use serde_json::Value;

pub const EPERM: i64 = 1;
pub const ENOENT: i64 = 2;
pub const EAGAIN: i64 = 11;
pub const EACCES: i64 = 13;
pub const EROFS: i64 = 30;
pub const ENOSYS: i64 = 38;

#[derive(Debug)]
pub struct Report(pub Value);

/// One line of /proc/self/mountinfo.
#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    pub point: String,
    pub options: Vec<String>,
    /// `shared:1`, `master:2`, `unbindable`...
    pub propagation: Vec<String>,
    pub kind: String,
    pub source: String,
    pub super_options: Vec<String>,
}

impl Mount {
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }

    pub fn super_has(&self, option: &str) -> bool {
        self.super_options.iter().any(|o| o == option)
    }

    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let list = |text: &str| text.split(',').map(str::to_owned).collect();
        Some(Self {
            point: (*left.get(4)?).to_owned(),
            options: list(left.get(5)?),
            propagation: left.get(6..)?.iter().map(|&word| word.to_owned()).collect(),
            kind: (*right.first()?).to_owned(),
            source: (*right.get(1)?).to_owned(),
            super_options: list(right.get(2)?),
        })
    }
}

impl Report {
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let line = text
            .lines()
            .find(|line| line.starts_with('{'))
            .unwrap_or_default();
        Self(
            serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("the inspector said {text:?}: {error}")),
        )
    }

    pub fn number(&self, key: &str) -> i64 {
        self.0[key]
            .as_i64()
            .unwrap_or_else(|| panic!("the report has no number {key}"))
    }

    pub fn text(&self, key: &str) -> &str {
        self.0[key]
            .as_str()
            .unwrap_or_else(|| panic!("the report has no text {key}"))
    }

    /// An array of texts.
    pub fn texts(&self, key: &str) -> Vec<&str> {
        self.0[key]
            .as_array()
            .map(|list| list.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default()
    }

    pub fn numbers(&self, key: &str) -> Vec<i64> {
        self.0[key]
            .as_array()
            .map(|list| list.iter().filter_map(Value::as_i64).collect())
            .unwrap_or_default()
    }

    /// A field of /proc/self/status.
    pub fn status(&self, key: &str) -> &str {
        self.0["status"][key].as_str().unwrap_or_default()
    }

    /// One of the five capability sets as a mask: `CapEff`.
    pub fn capability_mask(&self, key: &str) -> u64 {
        u64::from_str_radix(self.status(key), 16).unwrap_or_else(|_| panic!("no {key}"))
    }

    /// Soft and hard value, `RLIM_INFINITY` as -1.
    pub fn limit(&self, name: &str) -> (i64, i64) {
        let pair = &self.0["rlimits"][name];
        (
            pair[0].as_i64().unwrap_or(-2),
            pair[1].as_i64().unwrap_or(-2),
        )
    }

    /// The value of an environment variable; the last one when it is given twice.
    pub fn env(&self, name: &str) -> Option<&str> {
        let assignments = self.texts("env");
        assignments
            .into_iter()
            .rev()
            .find_map(|text| text.strip_prefix(name)?.strip_prefix('='))
    }

    pub fn namespace(&self, kind: &str) -> &str {
        self.0["namespaces"][kind]
            .as_str()
            .unwrap_or_else(|| panic!("no namespace {kind} seen"))
    }

    pub fn mounts(&self) -> Vec<Mount> {
        self.texts("mountinfo")
            .into_iter()
            .filter_map(Mount::parse)
            .collect()
    }

    /// The uppermost mount at `point`.
    #[track_caller]
    pub fn mount(&self, point: &str) -> Mount {
        let found = self
            .mounts()
            .into_iter()
            .rev()
            .find(|mount| mount.point == point);
        found.unwrap_or_else(|| {
            panic!(
                "nothing is mounted at {point}: {:#?}",
                self.texts("mountinfo")
            )
        })
    }

    pub fn is_mounted(&self, point: &str) -> bool {
        self.mounts().iter().any(|mount| mount.point == point)
    }

    /// The answer to the probe that was asked with exactly this text.
    #[track_caller]
    pub fn probe(&self, asked: &str) -> &Value {
        let answers = self.0["probes"].as_array().expect("a report has probes");
        answers
            .iter()
            .find(|answer| answer["probe"] == asked)
            .unwrap_or_else(|| panic!("{asked} was not asked"))
    }

    #[track_caller]
    pub fn errno(&self, asked: &str) -> i64 {
        self.probe(asked)["errno"]
            .as_i64()
            .expect("each answer has an errno")
    }

    /// What `read:PATH` read, without the last newline.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        let answer = self.probe(&format!("read:{path}"));
        assert!(
            answer["errno"] == 0,
            "{path}: cannot be read in the container: errno {}",
            answer["errno"]
        );
        answer["text"]
            .as_str()
            .unwrap_or_default()
            .trim_end()
            .to_owned()
    }
}
