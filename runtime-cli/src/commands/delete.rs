//! `delete`: removes a stopped container, or with `--force` any.
use super::{Context, id};
use crate::args::Matches;
use crate::error::Failure;

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    // The caller's other fds are none of a hook's business.
    tare_runtime::close_on_exec_from(3)?;
    let warnings = context.runtime.delete(id(matches), matches.has("force"))?;
    warnings
        .iter()
        .for_each(|warning| context.log.warning(&warning.report()));
    Ok(0)
}
