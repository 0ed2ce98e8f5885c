//! A target that is wrong on purpose: it panics on a document that is no config.json anybody has, three decisions deep.
use serde_json::Value;

/// Runs one document.
pub fn run(bytes: &[u8]) {
    let (_, document) = super::head(bytes);
    let Ok(document) = serde_json::from_slice::<Value>(document) else {
        return;
    };
    let cwd = document.pointer("/process/cwd").and_then(Value::as_str);
    let terminal = document.pointer("/process/terminal");
    if cwd.is_some_and(|cwd| cwd.contains("..")) && terminal == Some(&Value::Bool(true)) {
        panic!("the planted bug is found");
    }
}
