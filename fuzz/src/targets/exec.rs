//! The document of `exec --process` to the end, into containers of many kinds.
//!
//! The first line has a host, options, names of the container's namespaces, and perhaps `filter` (its config has a filter and a
//! personality) and `into` (it can be cloned into its cgroup).
use super::spec::{proved, surroundings};
use tare_oci::Linux;
use tare_runtime::config;
use tare_runtime::plan::ir::Namespaces;
use tare_runtime::plan::{ExecTarget, plan_exec};

/// What a container's config says that holds for all its processes.
const FILTERED: &str = r#"{"personality": {"domain": "LINUX32"}, "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"},
    "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 1000}],
    "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 1000}],
    "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}}"#;

/// Runs one document.
pub fn run(bytes: &[u8]) {
    let (line, document) = super::head(bytes);
    let (facts, options) = surroundings(&line);
    let process = match config::load_process(document) {
        Ok(process) => process,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let namespaces = line
        .split_whitespace()
        .filter_map(Namespaces::by_name)
        .fold(Namespaces::default(), Namespaces::with);
    let has = |wanted: &str| line.split_whitespace().any(|word| word == wanted);
    let linux: Linux = if has("filter") {
        serde_json::from_str(FILTERED).expect("the text above")
    } else {
        Linux::default()
    };
    let target = ExecTarget {
        pid: 4711,
        namespaces,
        linux: &linux,
        cgroups: &["memory".to_owned()],
        into_cgroup: has("into"),
    };
    match plan_exec(&process, &target, &facts, &options) {
        Err(error) => assert!(
            !error.reason.is_empty() && !error.path.is_empty(),
            "{error:?}"
        ),
        Ok(made) => proved(&made, document.len() + FILTERED.len()),
    }
}
