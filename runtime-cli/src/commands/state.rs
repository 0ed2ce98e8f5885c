//! `state`: the state document as JSON.
use super::Context;
use crate::args::Matches;
use crate::error::Failure;
use crate::owner;
use tare_runtime::{Container, ContainerState};

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    let state = of(&context.container(matches)?)?;
    let text =
        serde_json::to_string_pretty(&state).map_err(|error| Failure::new(error.to_string()))?;
    crate::print(&format!("{text}\n"))
}

/// The state with its owner's name.
pub fn of(container: &Container) -> Result<ContainerState, Failure> {
    let mut state = container.state()?;
    state.owner = owner::name(state.owner_uid);
    Ok(state)
}
