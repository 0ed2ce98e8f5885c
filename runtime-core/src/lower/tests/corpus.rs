//! The plans of the golden corpus, lowered and read back.
use super::round_trip;
use crate::plan::ir::Namespaces;
use crate::plan::{ExecTarget, plan, plan_exec};
use std::collections::BTreeMap;
use std::path::Path;

#[path = "../../../tests/support/mod.rs"]
mod support;

/// Lowers the plan of a golden's input; false for one that is refused.
fn lowers(input: &str, host: &str) -> bool {
    let facts = support::host(host).unwrap();
    let keys: BTreeMap<&str, &str> = input
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .collect();
    let key = |name: &str| keys.get(name).copied();
    let options = support::options(key("options").unwrap_or_default()).unwrap();
    let mut spec = support::base(key("base").unwrap_or("minimal")).unwrap();
    if let Some(patch) = key("patch") {
        support::merge(&mut spec, &serde_json::from_str(patch).unwrap());
    }
    let Ok(spec) = crate::config::load(spec.to_string().as_bytes()) else {
        return false;
    };
    let planned = match key("process") {
        None => plan(&spec, &facts, &options),
        Some(process) => {
            let process = crate::config::load_process(process.as_bytes()).unwrap();
            let namespaces = key("into")
                .unwrap_or("pid,mount")
                .split(',')
                .filter_map(Namespaces::by_name)
                .fold(Namespaces::default(), Namespaces::with);
            let linux = spec.linux.unwrap_or_default();
            let target = ExecTarget {
                pid: 4711,
                namespaces,
                linux: &linux,
                cgroups: &[String::new()],
                into_cgroup: true,
            };
            plan_exec(&process, &target, &facts, &options)
        }
    };
    planned.is_ok_and(|planned| {
        round_trip(&planned);
        true
    })
}

#[test]
fn every_golden_plan_is_decoded_as_it_was_meant() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens");
    let (mut cases, mut plans) = (0, 0);
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(host) = name
            .strip_suffix(".txt")
            .and_then(|name| name.split('.').nth(1))
        else {
            continue;
        };
        let text = std::fs::read_to_string(&path).unwrap();
        let (input, answer) = text.split_once("---\n").unwrap();
        cases += 1;
        let lowered = lowers(input, host);
        assert_eq!(lowered, !answer.starts_with("refused"), "{name}");
        plans += u32::from(lowered);
    }
    assert!(cases > 100 && plans > 80, "{cases} goldens, {plans} plans");
}
