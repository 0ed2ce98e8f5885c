//! What `update`'s flags need of the command's own helpers.
use crate::args::Matches;
use crate::error::Failure;

#[path = "../../runtime-cli/src/commands/resources.rs"]
pub mod resources;

/// A number given for a flag.
fn number<T: std::str::FromStr>(matches: &Matches, flag: &str) -> Result<Option<T>, Failure> {
    let parsed = matches.value(flag).map(|text| text.trim().parse());
    parsed
        .transpose()
        .map_err(|_| Failure::new(format!("invalid value for flag -{flag}")))
}
