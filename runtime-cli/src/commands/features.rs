//! `features`: what this runtime can do, as JSON.
use crate::error::Failure;

pub fn run() -> Result<u8, Failure> {
    let text = serde_json::to_string_pretty(&tare_runtime::features());
    crate::print(&format!(
        "{}\n",
        text.map_err(|error| Failure::new(error.to_string()))?
    ))
}
