//! Completion scripts from the table, pure.
use crate::table::{COMMANDS, Command, Flag, GLOBAL, HELP};
use std::fmt::Write;

/// The script for a shell, or `None` for one we don't know.
pub fn script(shell: &str) -> Option<String> {
    Some(match shell {
        "bash" => bash(),
        "zsh" => zsh(),
        "fish" => fish(),
        _ => return None,
    })
}

fn visible() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().filter(|command| !command.hidden)
}

fn with_help(flags: &'static [Flag]) -> impl Iterator<Item = &'static Flag> {
    flags
        .iter()
        .chain((!flags.contains(&HELP)).then_some(&HELP))
}

fn takes_id(command: &Command) -> bool {
    command.operands.starts_with("ID") && !matches!(command.name, "create" | "run")
}

fn longs(flags: &'static [Flag]) -> String {
    let words: Vec<_> = with_help(flags)
        .map(|flag| format!("--{}", flag.long))
        .collect();
    words.join(" ")
}

fn valued(flags: &'static [Flag]) -> String {
    let words: Vec<_> = flags
        .iter()
        .filter(|flag| flag.value.is_some())
        .map(|flag| format!("--{}", flag.long))
        .collect();
    words.join("|")
}

fn bash() -> String {
    let names: Vec<_> = visible().map(|command| command.name).collect();
    let mut text = format!(
        "# bash completion for trun\n_trun() {{\n  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command= root= i\n  for ((i = 1; i < COMP_CWORD; i++)); do\n    case ${{COMP_WORDS[i]}} in\n    --root) root=${{COMP_WORDS[i+1]}}; ((i++)) ;;\n    {}) ((i++)) ;;\n    -*) ;;\n    *) command=${{COMP_WORDS[i]}}; break ;;\n    esac\n  done\n  case $command in\n  '') COMPREPLY=($(compgen -W '{} {}' -- \"$cur\")) ;;\n",
        valued(&GLOBAL[1..]),
        names.join(" "),
        longs(GLOBAL)
    );
    for command in visible() {
        let ids = if takes_id(command) {
            " $(trun ${root:+--root \"$root\"} list -q 2>/dev/null)"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "  {}) if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W '{}' -- \"$cur\")); else COMPREPLY=($(compgen -f -W \"{}\" -- \"$cur\")); fi ;;",
            command.name,
            longs(command.flags),
            ids.trim()
        );
    }
    text.push_str("  esac\n}\ncomplete -o filenames -F _trun trun\n");
    text
}

fn zsh_flag(flag: &Flag) -> String {
    let help = flag
        .help
        .replace('\'', "'\\''")
        .replace('[', "\\[")
        .replace(']', "\\]")
        .replace(':', "\\:");
    let value = flag.value.map_or_else(String::new, |value| {
        format!(":{}:_files", value.replace(':', "\\:"))
    });
    format!("'--{}[{help}]{value}'", flag.long)
}

fn zsh() -> String {
    let mut text = "#compdef trun\n_trun() {\n  local -a commands=(\n".to_owned();
    for command in visible() {
        let _ = writeln!(
            text,
            "    '{}:{}'",
            command.name,
            command.about.replace('\'', "'\\''")
        );
    }
    text.push_str("  )\n  local context state line\n  _arguments -C \\\n");
    for flag in GLOBAL {
        let _ = writeln!(text, "    {} \\", zsh_flag(flag));
    }
    text.push_str("    '1:command:->command' '*::argument:->argument'\n  case $state in\n  command) _describe command commands ;;\n  argument)\n    case $line[1] in\n");
    for command in visible() {
        let flags: Vec<_> = with_help(command.flags).map(zsh_flag).collect();
        let operands = if takes_id(command) {
            "'*:container:($(trun list -q 2>/dev/null))'"
        } else {
            "'*:file:_files'"
        };
        let _ = writeln!(
            text,
            "    {}) _arguments {} {operands} ;;",
            command.name,
            flags.join(" ")
        );
    }
    text.push_str("    esac ;;\n  esac\n}\n_trun \"$@\"\n");
    text
}

fn fish_flag(condition: &str, flag: &Flag) -> String {
    let short = flag
        .short
        .map_or_else(String::new, |short| format!(" -s {short}"));
    let value = if flag.value.is_some() { " -r" } else { "" };
    let help = flag.help.replace('\'', "\\'");
    format!(
        "complete -c trun -n '{condition}' -l {}{short}{value} -d '{help}'\n",
        flag.long
    )
}

fn fish() -> String {
    let mut text = "# fish completion for trun\n".to_owned();
    for flag in GLOBAL {
        text.push_str(&fish_flag("__fish_use_subcommand", flag));
    }
    for command in visible() {
        let _ = writeln!(
            text,
            "complete -c trun -f -n __fish_use_subcommand -a {} -d '{}'",
            command.name,
            command.about.replace('\'', "\\'")
        );
        let condition = format!("__fish_seen_subcommand_from {}", command.name);
        for flag in with_help(command.flags) {
            text.push_str(&fish_flag(&condition, flag));
        }
        if takes_id(command) {
            let _ = writeln!(
                text,
                "complete -c trun -f -n '{condition}' -a '(trun list -q 2>/dev/null)'"
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_flag_is_in_every_script() {
        for shell in ["bash", "zsh", "fish"] {
            let script = script(shell).unwrap();
            for command in visible() {
                assert!(script.contains(command.name), "{shell}: {}", command.name);
                for flag in command.flags {
                    assert!(
                        script.contains(flag.long),
                        "{shell}: {} --{}",
                        command.name,
                        flag.long
                    );
                }
            }
        }
        assert!(script("csh").is_none());
    }

    #[test]
    fn the_bash_script_is_bash() {
        let mut child = std::process::Command::new("bash")
            .arg("-n")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("bash is installed");
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), bash().as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
}
