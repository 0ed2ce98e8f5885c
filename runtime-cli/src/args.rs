//! The command line as typed: words to flags and operands. No system call, no environment.
//!
//! Go's habits are kept because callers rely on them: one dash or two before a long name, `--flag value` and `--flag=value`,
//! `--switch=false`. Shell users get theirs too: joined one-letter switches and flags after the operands.
use crate::table::{self, Command, Flag};

/// Flags and operands of one level.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Matches {
    flags: Vec<(&'static str, String)>,
    /// What isn't a flag.
    pub operands: Vec<String>,
}

impl Matches {
    /// The last value given for a flag.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.flags
            .iter()
            .rev()
            .find(|(long, _)| *long == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values given for a repeatable flag.
    pub fn values(&self, name: &str) -> Vec<String> {
        self.flags
            .iter()
            .filter(|(long, _)| *long == name)
            .map(|(_, value)| value.clone())
            .collect()
    }

    /// Whether a switch is on.
    pub fn has(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }

    /// Whether a flag was given at all.
    pub fn given(&self, name: &str) -> bool {
        self.value(name).is_some()
    }
}

/// What was asked.
#[derive(Debug)]
pub enum Invocation {
    /// A command.
    Run {
        /// Flags before it.
        global: Matches,
        /// Which.
        command: &'static Command,
        /// Its own flags and operands.
        matches: Matches,
    },
    /// Help of the whole, or of a command.
    Help(Option<&'static Command>),
    /// The version.
    Version,
}

/// A command line that can't be understood.
#[derive(Debug, PartialEq, Eq)]
pub struct UsageError {
    /// What is wrong.
    pub message: String,
    /// The command whose usage helps, if it got that far.
    pub command: Option<&'static str>,
    /// Exit status.
    pub status: u8,
}

/// Parses the words after the program's name. Flags of the global level are returned even when the rest is wrong, so that the
/// error reaches the log file.
pub fn parse(words: &[String]) -> (Matches, Result<Invocation, UsageError>) {
    let mut global = Matches::default();
    let rest = match read(words, table::GLOBAL, Stop::First, &mut global) {
        Ok(rest) => rest,
        Err(message) => {
            return (
                global,
                Err(UsageError {
                    message,
                    command: None,
                    status: 1,
                }),
            );
        }
    };
    if global.has("help") {
        return (global, Ok(Invocation::Help(None)));
    }
    if global.has("version") {
        return (global, Ok(Invocation::Version));
    }
    let Some((name, words)) = rest.split_first() else {
        return (global, Ok(Invocation::Help(None)));
    };
    if name == "help" {
        let command = words.first().and_then(|name| table::command(name));
        return (global, Ok(Invocation::Help(command)));
    }
    let Some(command) = table::command(name) else {
        let message = format!("No help topic for '{name}': there is no such command");
        return (
            global,
            Err(UsageError {
                message,
                command: None,
                status: 3,
            }),
        );
    };
    let wrong = |message| UsageError {
        message,
        command: Some(command.name),
        status: 1,
    };
    let mut matches = Matches::default();
    let stop = if command.verbatim {
        Stop::First
    } else {
        Stop::Never
    };
    let result = match read(words, command.flags, stop, &mut matches) {
        Err(message) => Err(wrong(message)),
        Ok(_) if matches.has("help") => Ok(Invocation::Help(Some(command))),
        Ok(rest) => {
            matches.operands.extend_from_slice(rest);
            match count(command, matches.operands.len()) {
                Some(message) => Err(wrong(message)),
                None => {
                    let global = Matches {
                        flags: global.flags.clone(),
                        operands: Vec::new(),
                    };
                    Ok(Invocation::Run {
                        global,
                        command,
                        matches,
                    })
                }
            }
        }
    };
    (global, result)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The first operand and all after it are left alone.
    First,
    /// Flags may stand between operands.
    Never,
}

/// Reads flags into `matches`; gives the words after them.
fn read<'w>(
    words: &'w [String],
    flags: &'static [Flag],
    stop: Stop,
    matches: &mut Matches,
) -> Result<&'w [String], String> {
    let mut index = 0;
    while let Some(word) = words.get(index) {
        index += 1;
        if word == "--" {
            return Ok(&words[index..]);
        }
        if word == "-" || !word.starts_with('-') {
            if stop == Stop::First {
                return Ok(&words[index - 1..]);
            }
            matches.operands.push(word.clone());
            continue;
        }
        let text = word.strip_prefix("--").unwrap_or(&word[1..]);
        let (name, joined) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if let Some(flag) = find(flags, name) {
            let value = match (flag.value, joined) {
                (Some(_), Some(value)) => value,
                (Some(_), None) => {
                    index += 1;
                    words
                        .get(index - 1)
                        .cloned()
                        .ok_or_else(|| format!("flag needs an argument: -{name}"))?
                }
                (None, joined) => switch_value(name, joined)?,
            };
            matches.flags.push((flag.long, value));
        } else if !word.starts_with("--") {
            index += letters(text, words.get(index), flags, matches)?;
        } else {
            return Err(format!("flag provided but not defined: -{name}"));
        }
    }
    Ok(&[])
}

fn find(flags: &'static [Flag], name: &str) -> Option<&'static Flag> {
    let matching = |flag: &&Flag| {
        flag.long == name
            || flag
                .short
                .is_some_and(|short| name.strip_prefix(short) == Some(""))
    };
    flags.iter().chain([&table::HELP]).find(matching)
}

fn switch_value(name: &str, joined: Option<String>) -> Result<String, String> {
    match joined.as_deref() {
        None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok("true".to_owned()),
        Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok("false".to_owned()),
        Some(other) => Err(format!("invalid boolean value {other:?} for -{name}")),
    }
}

/// `-dt`, `-u1000`, `-eA=b`: letters of switches, the last may take a value. Gives how many further words it took.
fn letters(
    text: &str,
    next: Option<&String>,
    flags: &'static [Flag],
    matches: &mut Matches,
) -> Result<usize, String> {
    let unknown = || {
        format!(
            "flag provided but not defined: -{}",
            text.split('=').next().unwrap_or(text)
        )
    };
    let mut found = Vec::new();
    let mut taken = 0;
    for (at, letter) in text.char_indices() {
        let flag = flags
            .iter()
            .find(|flag| flag.short == Some(letter))
            .ok_or_else(unknown)?;
        if flag.value.is_none() {
            found.push((flag.long, "true".to_owned()));
            continue;
        }
        let value = match &text[at + letter.len_utf8()..] {
            "" => {
                taken = 1;
                next.cloned()
                    .ok_or_else(|| format!("flag needs an argument: -{letter}"))?
            }
            rest => rest.to_owned(),
        };
        found.push((flag.long, value));
        break;
    }
    matches.flags.extend(found);
    Ok(taken)
}

fn count(command: &Command, given: usize) -> Option<String> {
    let Command {
        name, least, most, ..
    } = command;
    if (*least..=*most).contains(&given) {
        None
    } else if least == most {
        Some(format!("{name:?} requires exactly {least} argument(s)"))
    } else if given < *least {
        Some(format!(
            "{name:?} requires a minimum of {least} argument(s)"
        ))
    } else {
        Some(format!("{name:?} requires a maximum of {most} argument(s)"))
    }
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
