//! A command line: words, divided by zero bytes, as trun parses and resolves them.
use crate::args::{Invocation, parse};
use crate::commands::resources;
use crate::resolve::{Surroundings, resolve};
use crate::{help, table};
use tare_runtime::config;

/// Runs one line.
pub fn run(bytes: &[u8]) {
    let words: Vec<String> = bytes
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let (global, parsed) = parse(&words);
    match parsed {
        Ok(Invocation::Help(None)) => assert!(help::whole("trun").contains("Commands:")),
        Ok(Invocation::Help(Some(command))) => {
            let text = help::command("trun", command);
            assert!(text.contains(&help::usage("trun", command)));
            assert!(
                command
                    .flags
                    .iter()
                    .all(|flag| text.contains(&help::spelling(flag)))
            );
        }
        Ok(Invocation::Version) => assert!(global.has("version")),
        Ok(Invocation::Run {
            global: again,
            command,
            matches,
        }) => {
            assert_eq!(again.value("root"), global.value("root"));
            assert!((command.least..=command.most).contains(&matches.operands.len()));
            // Only what was typed can come out.
            for operand in &matches.operands {
                assert!(words.contains(operand), "{operand:?}");
            }
            assert!(matches.operands.len() < words.len());
            for flag in command.flags {
                for value in matches.values(flag.long) {
                    assert!(
                        flag.value.is_some() || value == "true" || value == "false",
                        "{value:?}"
                    );
                    assert!(
                        flag.value.is_none() || words.iter().any(|word| word.ends_with(&value)),
                        "{value:?}"
                    );
                }
            }
            if command.name == "update" {
                update(&matches);
            }
        }
        Err(wrong) => {
            assert!(!wrong.message.is_empty() && wrong.status != 0);
            assert!(
                wrong
                    .command
                    .is_none_or(|name| table::command(name).is_some())
            );
        }
    }
    for uid in [0, 1000] {
        let around = Surroundings {
            uid,
            initial_userns: true,
            runtime_dir: Some("/run/user/1000".to_owned()),
            ..Surroundings::default()
        };
        match resolve(&global, &around) {
            Ok(resolved) => assert!(!resolved.root.as_os_str().is_empty()),
            Err(failure) => assert!(!failure.message.is_empty()),
        }
    }
}

/// What the flags say can be written as the document, and read from it.
fn update(matches: &crate::args::Matches) {
    match resources::from_flags(matches) {
        Ok(resources) => {
            let written = serde_json::to_vec(&resources).expect("resources can be written");
            assert_eq!(config::load_resources(&written).as_ref(), Ok(&resources));
        }
        Err(failure) => assert!(!failure.message.is_empty()),
    }
}
