//! `plan`: what create and start would do, without root and without doing it.
use super::{Context, create};
use crate::args::Matches;
use crate::error::Failure;
use tare_runtime::Console;

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    let bundle = create::bundle(matches);
    let name = std::path::absolute(&bundle)
        .ok()
        .and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let id = matches
        .operands
        .first()
        .cloned()
        .or_else(|| name.filter(|name| tare_runtime::check_id(name).is_ok()));
    let mut options = create::options(matches)?;
    if options.console == Console::None {
        options.console = Console::Keep;
    }
    let plan = context
        .runtime
        .plan(id.as_deref().unwrap_or("plan"), &bundle, &options)?;
    crate::print(&format!("{plan}\n"))
}
