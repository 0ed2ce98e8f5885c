//! The document of `update --resources` to the steps of every cgroup driver.
use super::spec::surroundings;
use tare_cgroup::{Manager, Request, decide};
use tare_runtime::config;

/// Runs one document; the first line names a host, and perhaps `systemd`.
pub fn run(bytes: &[u8]) {
    let (line, document) = super::head(bytes);
    let (facts, options) = surroundings(&line);
    let resources = match config::load_resources(document) {
        Ok(resources) => resources,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let written = serde_json::to_vec(&resources).expect("resources can be written");
    assert_eq!(config::load_resources(&written).as_ref(), Ok(&resources));
    let path = match options.cgroup_manager {
        Manager::Systemd { .. } => "system.slice:tare:c1",
        _ => "/tare/c1",
    };
    let request = Request {
        manager: options.cgroup_manager,
        path,
        id: "c1",
        resources: Some(&resources),
        annotations: None,
        rootless: facts.uid != 0,
        uid: facts.uid,
        owner: None,
    };
    match decide(&facts.cgroup, &request) {
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
        Ok(decision) => {
            let steps = decision.prepare.len() + decision.place.len();
            assert!(steps <= 256 + document.len(), "{steps} steps");
            let text: String = decision
                .prepare
                .iter()
                .chain(&decision.place)
                .map(|step| format!("{step:?}"))
                .collect();
            assert!(text.len() <= (64 << 10) + 64 * document.len());
        }
    }
}
