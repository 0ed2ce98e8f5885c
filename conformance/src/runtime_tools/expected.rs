//! `expected-failures.toml`: which results fail, with which runtimes, on which hosts, and why that is right.

use super::host::Host;

#[derive(Debug, Default, Clone, PartialEq)]
pub struct Failure {
    /// The program of the suite.
    pub test: String,
    /// The result's text, or its beginning and `*`.
    pub result: String,
    /// Which of several results of the same text; 0: each of them.
    pub nth: usize,
    /// Names of runtimes, or `any`.
    pub runtime: String,
    /// The host's lack that makes it fail; empty: everywhere.
    pub when: String,
    pub reason: String,
    /// A race: the result may also pass.
    pub sometimes: bool,
}

impl Failure {
    pub fn matches(&self, description: &str, nth: usize) -> bool {
        let text = match self.result.strip_suffix('*') {
            Some(beginning) => description.starts_with(beginning),
            None => self.result == description,
        };
        text && (self.nth == 0 || self.nth == nth)
    }
}

/// The entries that hold for this runtime on this host.
pub fn load(text: &str, runtime: &str, host: &Host) -> Result<Vec<Failure>, String> {
    let mut list = parse(text)?;
    for entry in &list {
        if host.holds(&entry.when).is_none() {
            return Err(format!(
                "{}: unknown condition {:?}",
                entry.test, entry.when
            ));
        }
    }
    list.retain(|entry| {
        entry
            .runtime
            .split(' ')
            .any(|name| name == "any" || name == runtime)
            && host.holds(&entry.when) == Some(true)
    });
    Ok(list)
}

/// Reads the small part of TOML that the list uses: `[[failure]]` tables of `key = "text"`.
fn parse(text: &str) -> Result<Vec<Failure>, String> {
    let mut list: Vec<Failure> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let wrong = |what: &str| format!("line {}: {what}", index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "[[failure]]" {
            list.push(Failure::default());
            continue;
        }
        let entry = list
            .last_mut()
            .ok_or_else(|| wrong("outside a [[failure]]"))?;
        let (key, value) = line
            .split_once(" = ")
            .ok_or_else(|| wrong("not key = \"text\""))?;
        let value = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .ok_or_else(|| wrong("the value is not in quotes"))?
            .replace("\\\"", "\"");
        match key {
            "test" => entry.test = value,
            "result" => entry.result = value,
            "runtime" => entry.runtime = value,
            "when" => entry.when = value,
            "reason" => entry.reason = value,
            "sometimes" => entry.sometimes = value == "yes",
            "nth" => entry.nth = value.parse().map_err(|_| wrong("nth is no number"))?,
            other => return Err(wrong(&format!("unknown key {other}"))),
        }
    }
    let lacking = |entry: &&Failure| {
        [&entry.test, &entry.result, &entry.runtime, &entry.reason]
            .iter()
            .any(|text| text.is_empty())
    };
    match list.iter().find(lacking) {
        Some(entry) => Err(format!("{entry:?} lacks test, result, runtime or reason")),
        None => Ok(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "[[failure]]\ntest = \"t\"\nresult = \"r*\"\nruntime = \"runc trun\"\nwhen = \"no apparmor\"\nreason = \"why\"\n";

    #[test]
    fn an_entry_holds_for_its_runtimes_and_hosts_only() {
        let bare = Host::default();
        let guarded = Host {
            apparmor: true,
            ..Host::default()
        };
        assert_eq!(load(ONE, "trun", &bare).unwrap().len(), 1);
        assert_eq!(load(ONE, "crun", &bare).unwrap().len(), 0);
        assert_eq!(load(ONE, "trun", &guarded).unwrap().len(), 0);
    }

    #[test]
    fn incomplete_or_misspelt_entries_are_refused() {
        let host = Host::default();
        assert!(load(&ONE.replace("reason = \"why\"\n", ""), "trun", &host).is_err());
        assert!(load(&ONE.replace("reason", "reasons"), "trun", &host).is_err());
        assert!(load(&ONE.replace("no apparmor", "rain"), "crun", &host).is_err());
        assert!(load("test = \"t\"", "trun", &host).is_err());
    }

    #[test]
    fn the_projects_own_list_is_whole() {
        let text = include_str!("../../runtime-tools/expected-failures.toml");
        assert!(!load(text, "trun", &Host::default()).unwrap().is_empty());
    }

    #[test]
    fn texts_match_whole_or_by_their_beginning() {
        let entry = |result: &str, nth| Failure {
            result: result.to_owned(),
            nth,
            ..Failure::default()
        };
        assert!(entry("a b", 0).matches("a b", 3));
        assert!(!entry("a b", 0).matches("a b c", 1));
        assert!(entry("a b*", 0).matches("a b c", 1));
        assert!(entry("a b", 2).matches("a b", 2) && !entry("a b", 2).matches("a b", 1));
    }
}
