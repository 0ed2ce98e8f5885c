//! Help texts from the table, pure.
use crate::table::{COMMANDS, Command, Flag, GLOBAL, HELP};
use std::fmt::Write;

/// Help of the whole program.
pub fn whole(program: &str) -> String {
    let mut text = format!(
        "{program}: runs containers from OCI bundles\n\nUsage: {program} [GLOBAL FLAGS] COMMAND [FLAGS] [ARGS...]\n\nCommands:\n"
    );
    for command in COMMANDS.iter().filter(|command| !command.hidden) {
        let _ = writeln!(text, "  {:<10} {}", command.name, command.about);
    }
    text.push_str("\nGlobal flags:\n");
    flags(&mut text, GLOBAL.iter());
    let _ = writeln!(
        text,
        "\n`{program} COMMAND --help` tells more of a command."
    );
    text
}

/// Help of one command.
pub fn command(program: &str, command: &Command) -> String {
    let mut text = format!(
        "{}\n\n{}\n\nFlags:\n",
        sentence(command.about),
        usage(program, command)
    );
    flags(&mut text, command.flags.iter().chain([&HELP]));
    text
}

/// The usage line of one command.
pub fn usage(program: &str, command: &Command) -> String {
    let flags = if command.flags.is_empty() {
        ""
    } else {
        " [FLAGS]"
    };
    let operands = if command.operands.is_empty() {
        String::new()
    } else {
        format!(" {}", command.operands)
    };
    format!("Usage: {program} {}{flags}{operands}", command.name)
}

/// How a flag is written: `-b, --bundle DIR`.
pub fn spelling(flag: &Flag) -> String {
    let short = flag
        .short
        .map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
    let value = flag
        .value
        .map_or_else(String::new, |value| format!(" {value}"));
    format!("{short}--{}{value}", flag.long)
}

fn flags<'f>(text: &mut String, flags: impl Iterator<Item = &'f Flag>) {
    for flag in flags {
        let _ = writeln!(text, "  {:<33} {}", spelling(flag), flag.help);
    }
}

fn sentence(about: &str) -> String {
    let mut letters = about.chars();
    let first: String = letters
        .next()
        .map(|letter| letter.to_uppercase().collect())
        .unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
