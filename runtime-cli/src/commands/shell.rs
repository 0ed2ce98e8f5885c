//! `completion` and `man`: what an installation puts beside the binary.
use super::id;
use crate::args::Matches;
use crate::error::Failure;
use crate::{completion, man};
use std::path::Path;

pub fn completion(matches: &Matches) -> Result<u8, Failure> {
    let script = completion::script(id(matches)).ok_or_else(|| {
        Failure::new(format!(
            "no completion for {:?}: bash, zsh and fish are known",
            id(matches)
        ))
    })?;
    crate::print(&script)
}

pub fn man(matches: &Matches) -> Result<u8, Failure> {
    for (name, text) in man::pages() {
        let path = Path::new(id(matches)).join(name);
        std::fs::write(&path, text)
            .map_err(|error| Failure::file("write", &path.display().to_string(), &error))?;
    }
    Ok(0)
}
