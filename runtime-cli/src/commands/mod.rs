//! The commands, one a file: each takes what was typed and gives an exit status.
use crate::args::Matches;
use crate::error::Failure;
use crate::log::Log;
use crate::resolve::{self, Resolved, Surroundings};
use tare_runtime::{Container, Runtime};

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod kill;
mod list;
mod pause;
mod plan;
mod ps;
mod resources;
mod run;
mod shell;
mod spec;
mod start;
mod state;
mod update;
pub mod version;

/// What every command has at hand.
pub struct Context<'a> {
    /// The name we were called by.
    pub program: &'a str,
    /// The log.
    pub log: &'a Log,
    /// What the global flags came to.
    pub resolved: Resolved,
    /// The library.
    pub runtime: Runtime,
}

impl<'a> Context<'a> {
    /// Resolves the global flags.
    pub fn new(program: &'a str, log: &'a Log, global: &Matches) -> Result<Context<'a>, Failure> {
        if global.given("criu") {
            log.warning("--criu is ignored: there is no checkpoint yet");
        }
        let resolved = resolve::resolve(global, &Surroundings::read())?;
        let runtime = resolved.runtime();
        Ok(Context {
            program,
            log,
            resolved,
            runtime,
        })
    }

    /// The container that the first operand names.
    pub fn container(&self, matches: &Matches) -> Result<Container, Failure> {
        Ok(self.runtime.load(id(matches))?)
    }

    /// What the library left out.
    pub fn warn(&self, warnings: &[String]) {
        warnings
            .iter()
            .for_each(|warning| self.log.warning(warning));
    }
}

/// The first operand.
pub fn id(matches: &Matches) -> &str {
    matches.operands.first().map_or("", String::as_str)
}

/// A number given for a flag.
pub fn number<T: std::str::FromStr>(matches: &Matches, flag: &str) -> Result<Option<T>, Failure> {
    let Some(text) = matches.value(flag) else {
        return Ok(None);
    };
    match text.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(Failure::new(format!(
            "invalid value {text:?} for flag -{flag}: it must be a number that fits"
        ))),
    }
}

/// Runs a command of the table.
pub fn run(name: &str, context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    // First chosen, then called: calls in the arms would be inlined, and each command would carry the code and the stack of all.
    let command: fn(&Context<'_>, &Matches) -> Result<u8, Failure> = match name {
        "create" => create::run,
        "start" => start::run,
        "run" => run::run,
        "exec" => exec::run,
        "kill" => kill::run,
        "delete" => delete::run,
        "state" => state::run,
        "list" => list::run,
        "ps" => ps::run,
        "pause" => pause::pause,
        "resume" => pause::resume,
        "update" => update::run,
        "events" => events::run,
        "spec" => |_, matches| spec::run(matches),
        "features" => |_, _| features::run(),
        "plan" => plan::run,
        "completion" => |_, matches| shell::completion(matches),
        "man" => |_, matches| shell::man(matches),
        other => return Err(Failure::new(format!("no command {other}"))),
    };
    command(context, matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_the_table_is_dispatched() {
        let log = Log::to_stderr(crate::log::Format::Text, crate::log::Level::Error);
        let root = std::env::temp_dir().join(format!("trun-dispatch-test-{}", std::process::id()));
        let words = ["--root", root.to_str().unwrap(), "list"].map(str::to_owned);
        let (global, _) = crate::args::parse(&words);
        let context = Context::new("trun", &log, &global).unwrap();
        // With no operand none of these can do anything but fail or print; `spec` would write a file.
        for command in crate::table::COMMANDS
            .iter()
            .filter(|command| command.least > 0)
        {
            if let Err(failure) = run(command.name, &context, &Matches::default()) {
                assert!(
                    !failure.message.starts_with("no command"),
                    "{}",
                    command.name
                );
            }
        }
    }
}
