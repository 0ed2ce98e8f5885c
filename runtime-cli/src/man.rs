//! Man pages from the table, pure.
use crate::help;
use crate::table::{COMMANDS, Command, Flag, GLOBAL, HELP};
use std::fmt::Write;

/// File names and contents: `trun.1` and `trun-COMMAND.1`.
pub fn pages() -> Vec<(String, String)> {
    let commands = COMMANDS.iter().filter(|command| !command.hidden);
    let mut pages = vec![("trun.1".to_owned(), whole())];
    pages.extend(commands.map(|command| (format!("trun-{}.1", command.name), page(command))));
    pages
}

fn whole() -> String {
    let mut text = head("trun", "runs containers from OCI bundles");
    text.push_str(".SH SYNOPSIS\n.B trun\n[GLOBAL FLAGS] COMMAND [FLAGS] [ARGS...]\n");
    text.push_str(".SH DESCRIPTION\nAn OCI runtime that takes the place of runc or crun: the command line, log files, exit statuses and messages are theirs.\n");
    text.push_str(".SH COMMANDS\n");
    for command in COMMANDS.iter().filter(|command| !command.hidden) {
        let _ = writeln!(
            text,
            ".TP\n.BR trun-{} (1)\n{}",
            command.name,
            escape(command.about)
        );
    }
    text.push_str(".SH GLOBAL FLAGS\n");
    flags(&mut text, GLOBAL.iter());
    text.push_str(".SH EXIT STATUS\n.B run\nand\n.B exec\nwithout \\-\\-detach pass on the status of the program, or 128 plus the signal that ended it. Otherwise 0 is success, 1 failure, 255 a failed\n.BR exec ,\n3 an unknown command.\n");
    text
}

fn page(command: &Command) -> String {
    let name = format!("trun-{}", command.name);
    let mut text = head(&name, command.about);
    let usage = help::usage("trun", command);
    let _ = writeln!(
        text,
        ".SH SYNOPSIS\n{}",
        escape(usage.trim_start_matches("Usage: "))
    );
    text.push_str(".SH FLAGS\n");
    flags(&mut text, command.flags.iter().chain([&HELP]));
    text.push_str(".SH SEE ALSO\n.BR trun (1)\n");
    text
}

fn head(name: &str, about: &str) -> String {
    format!(
        ".TH {} 1 \"\" \"trun {}\"\n.SH NAME\n{} \\- {}\n",
        name.to_uppercase().replace('-', "\\-"),
        env!("CARGO_PKG_VERSION"),
        escape(name),
        escape(about)
    )
}

fn flags<'f>(text: &mut String, flags: impl Iterator<Item = &'f Flag>) {
    for flag in flags {
        let _ = writeln!(
            text,
            ".TP\n.B {}\n{}",
            escape(help::spelling(flag).trim()),
            escape(flag.help)
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_page_for_every_command_with_all_its_flags() {
        let pages = super::pages();
        assert_eq!(
            pages.len(),
            1 + super::COMMANDS
                .iter()
                .filter(|command| !command.hidden)
                .count()
        );
        let (_, exec) = pages
            .iter()
            .find(|(name, _)| name == "trun-exec.1")
            .unwrap();
        for flag in super::COMMANDS
            .iter()
            .find(|command| command.name == "exec")
            .unwrap()
            .flags
        {
            assert!(exec.contains(&super::escape(flag.long)), "{}", flag.long);
        }
    }
}
