//! `pause` and `resume`.
use super::Context;
use crate::args::Matches;
use crate::error::Failure;

pub fn pause(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    context.container(matches)?.pause()?;
    Ok(0)
}

pub fn resume(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    context.container(matches)?.resume()?;
    Ok(0)
}
