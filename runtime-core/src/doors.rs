//! Private parsers and proofs made callable for the fuzz crate; a build without the feature `doors` has none of it.
use crate::plan::ir::Plan;
use crate::{Errno, Record, Status};

/// Lowers a plan, decodes the program and compares each operation; panics where they differ. Gives the program's length.
pub fn round_trip(plan: &Plan) -> usize {
    crate::lower::read_back::round_trip(plan)
}

/// The program of a plan; `None` for a plan that no checked one is.
pub fn program(plan: &Plan) -> Option<Vec<u8>> {
    Some(crate::lower::lower(plan, 7, true).ok()?.bytes)
}

/// What is said of a child that failed like this, whatever its frame claims.
pub fn failure(plan: &Plan, step: usize, errno: i32, detail: u32) -> String {
    let failed = crate::failure::in_child_step(plan, step, Errno::new(errno), detail);
    let died = crate::failure::child_died(plan, step, None);
    format!(
        "{}\n{:?}\n{}",
        failed.report(),
        failed.hint(),
        died.report()
    )
}

/// The text of `state.json` as the record of the container `id`.
///
/// # Errors
/// Why it is none.
pub fn record(bytes: &[u8], id: &str) -> Result<Record, String> {
    crate::store::parse(bytes, id)
}

/// All that is said of a container by its record: the document of `state`, and how `start` words a failure.
pub fn told(record: &Record, op: u32, errno: i32, detail: u32) -> String {
    use Status::{Created, Creating, Paused, Running, Stopped};
    let states = [Creating, Created, Running, Paused, Stopped]
        .map(|status| record.container_state(status, op));
    let failed = crate::failure::in_tail(record, op, Errno::new(errno), detail);
    format!("{states:?}\n{}\n{:?}", failed.report(), failed.hint())
}

/// State and start time in the text of `/proc/PID/stat`.
pub fn process_stat(bytes: &[u8]) -> Option<(u8, u64)> {
    crate::procfs::parse(bytes).map(|stat| (stat.state, stat.start))
}

/// Where mountinfo says that resctrl is.
pub fn resctrl(mountinfo: &str) -> Option<String> {
    crate::probe::resctrl(mountinfo)
}

/// What a resctrl group has otherwise than asked.
pub fn schemata(asked: &[String], found: &str, step: u64) -> Option<String> {
    crate::intel_rdt::schemata::difference(asked, found, |_| Some(step))
}

/// What an answer of rtnetlink says, message by message.
pub fn netlink(answer: &[u8]) -> Option<Vec<String>> {
    crate::net_device::link::words(answer)
}
