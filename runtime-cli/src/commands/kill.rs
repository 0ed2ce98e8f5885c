//! `kill`: a signal to init, or to all.
use super::Context;
use crate::args::Matches;
use crate::error::Failure;
use tare_runtime::Signal;

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    let signal = match matches.operands.get(1).map(String::as_str) {
        None | Some("") => Signal::TERM,
        Some(text) => text.parse()?,
    };
    context
        .container(matches)?
        .kill(signal, matches.has("all"))?;
    Ok(0)
}
