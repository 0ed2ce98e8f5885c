//! `process`: everything between a mounted root and the program, for `create` and for `exec`.
use super::builder::Builder;
use super::facts::HostFacts;
use super::ids::{self, Ids};
use super::ir::{ChildOp, HostOp, Rlimit, Slot};
use super::security::{self, Security};
use super::text::{absolute, environment, no_nul, no_nuls, variable};
use super::{rlimits, scheduling};
use crate::config::{At, ConfigError, invalid};
use tare_oci::{Linux, Process};

const EPERM: i32 = 1;
const EACCES: i32 = 13;
const EROFS: i32 = 30;
const ENOSYS: i32 = 38;

/// Annotation (crun's) by which podman asks for the caller's supplementary groups.
const KEEP_GROUPS: &str = "run.oci.keep_original_groups";

/// The program and its surroundings, decided.
pub(crate) struct Decided {
    pub(crate) ids: Ids,
    pub(crate) cwd: String,
    args: Vec<String>,
    env: Vec<String>,
    candidates: Vec<String>,
    rlimits: Vec<Rlimit>,
    oom_score: Option<i32>,
    /// Scheduler, io priority, memory policy, personality, with their JSON paths.
    attributes: Vec<(ChildOp, &'static str)>,
    umask: u32,
    keep_groups: bool,
    terminal: Option<Terminal>,
}

/// Size of the terminal; 0 leaves it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
}

/// What reaches the program from outside the config.
pub(crate) struct Inherited {
    /// `LISTEN_FDS`.
    pub(crate) listen_fds: u32,
    /// `NOTIFY_SOCKET` inside.
    pub(crate) notify_socket: bool,
    /// There is somewhere to send a terminal's master.
    pub(crate) console: bool,
}

/// Where the notify socket's directory is bound.
pub(crate) const NOTIFY_DIRECTORY: &str = "/run/notify";

/// Reads `process` and what of `linux` belongs to it.
pub(crate) fn decide(
    process: &Process,
    linux: &Linux,
    keep_groups: Option<&str>,
    inherited: &Inherited,
    builder: &mut Builder,
) -> Result<Decided, ConfigError> {
    let decided = decide_process(process, keep_groups, inherited, builder).field("process")?;
    decide_linux(linux, decided, builder)
}

/// Errors that leave the caller's session keyring in place. Kernels without keyrings exist. A filter that was set outside and
/// refuses keyctl(2), as docker's does, refuses it to the container too: nothing is shared that anybody could use.
pub(crate) fn no_keyring(facts: &HostFacts) -> &'static [i32] {
    if facts.filtered {
        &[ENOSYS, EPERM]
    } else {
        &[ENOSYS]
    }
}

/// The annotation's value, if it is there.
pub(crate) fn keep_groups(
    annotations: &std::collections::BTreeMap<String, String>,
) -> Option<&str> {
    annotations.get(KEEP_GROUPS).map(String::as_str)
}

fn decide_process(
    process: &Process,
    keep_groups: Option<&str>,
    inherited: &Inherited,
    builder: &mut Builder,
) -> Result<Decided, ConfigError> {
    if process.args.is_empty() {
        return invalid("args must not be empty").field("args");
    }
    no_nuls(&process.args).field("args")?;
    if process.cwd.is_empty() {
        return invalid("Cwd property must not be empty").field("cwd");
    }
    let cwd = absolute(&process.cwd).field("cwd")?.to_owned();
    let env = program_environment(&process.env, inherited).field("env")?;
    let mut attributes = Vec::new();
    if let Some(wire) = &process.scheduler {
        attributes.push((
            scheduling::scheduler(wire).field("scheduler")?,
            "process.scheduler",
        ));
    }
    if let Some(wire) = &process.io_priority {
        attributes.push((
            scheduling::io_priority(wire).field("ioPriority")?,
            "process.ioPriority",
        ));
    }
    let umask = process.user.umask.unwrap_or(0o022);
    if umask > 0o7777 {
        return invalid(format!("{umask:o} (octal) has bits beyond the permissions"))
            .field("umask")
            .field("user");
    }
    Ok(Decided {
        ids: ids::user(&process.user).field("user")?,
        cwd,
        candidates: candidates(&process.args[0], variable(&env, "PATH")),
        args: process.args.clone(),
        env,
        rlimits: rlimits::rlimits(&process.rlimits).field("rlimits")?,
        oom_score: oom_score(process.oom_score_adj).field("oomScoreAdj")?,
        attributes,
        umask,
        keep_groups: keep_groups.is_some_and(|value| value == "1" || value == "true"),
        terminal: terminal(process, inherited.console, builder)?,
    })
}

fn decide_linux(
    linux: &Linux,
    mut decided: Decided,
    builder: &mut Builder,
) -> Result<Decided, ConfigError> {
    if let Some(wire) = &linux.memory_policy {
        let op = scheduling::memory_policy(wire).field("linux.memoryPolicy")?;
        decided.attributes.push((op, "linux.memoryPolicy"));
    }
    if let Some(wire) = &linux.personality {
        let domain = match wire.domain.as_str() {
            "LINUX" => 0,
            "LINUX32" => 8,
            domain => {
                return invalid(format!("{domain:?} is neither LINUX nor LINUX32"))
                    .field("linux.personality.domain");
            }
        };
        if !wire.flags.is_empty() {
            builder.skip("linux.personality.flags", "the runtime-spec defines none");
        }
        decided
            .attributes
            .push((ChildOp::Personality(domain), "linux.personality"));
    }
    Ok(decided)
}

fn oom_score(score: Option<i32>) -> Result<Option<i32>, ConfigError> {
    match score {
        Some(score) if !(-1000..=1000).contains(&score) => {
            invalid(format!("{score} is outside -1000 to 1000"))
        }
        score => Ok(score),
    }
}

fn terminal(
    process: &Process,
    console: bool,
    builder: &mut Builder,
) -> Result<Option<Terminal>, ConfigError> {
    if !process.terminal {
        if process.console_size.is_some() {
            builder.skip("process.consoleSize", "process.terminal is not set");
        }
        return Ok(None);
    }
    if !console {
        return invalid(
            "cannot allocate tty without a console socket: there is nowhere to send the terminal",
        )
        .field("terminal");
    }
    let size = process.console_size.unwrap_or_default();
    let side = |value: u32, name: &str| match u16::try_from(value) {
        Ok(value) => Ok(value),
        Err(_) => invalid(format!("{value} is above 65535"))
            .field(name)
            .field("consoleSize"),
    };
    Ok(Some(Terminal {
        rows: side(size.height, "height")?,
        columns: side(size.width, "width")?,
    }))
}

/// The config's variables, those of the service manager, and HOME: empty here where the config gives none, which the child fills
/// from the container's own passwd file (`/` if that says nothing).
fn program_environment(
    entries: &[String],
    inherited: &Inherited,
) -> Result<Vec<String>, ConfigError> {
    let mut env = environment(entries)?;
    let mut set = |name: &str, value: &str| {
        env.retain(|entry| entry.split_once('=').is_none_or(|(known, _)| known != name));
        env.push(format!("{name}={value}"));
    };
    if inherited.notify_socket {
        set("NOTIFY_SOCKET", &format!("{NOTIFY_DIRECTORY}/notify.sock"));
    }
    if inherited.listen_fds > 0 {
        set("LISTEN_FDS", &inherited.listen_fds.to_string());
        set("LISTEN_PID", "1");
    }
    if variable(&env, "HOME").is_none_or(str::is_empty) {
        env.retain(|entry| entry != "HOME=");
        env.push("HOME=".to_owned());
    }
    Ok(env)
}

/// Paths to try for a program's name. A relative directory in PATH is left out: what it means depends on the working directory,
/// and a program found that way is more often an attack than a wish.
pub(crate) fn candidates(program: &str, path: Option<&str>) -> Vec<String> {
    if program.is_empty() {
        return Vec::new();
    }
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    let directories = path
        .unwrap_or_default()
        .split(':')
        .filter(|directory| directory.starts_with('/'));
    directories
        .map(|directory| format!("{}/{program}", directory.trim_end_matches('/')))
        .collect()
}

/// How the child and the program stand to the host's user namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// In a user namespace that isn't the caller's.
    pub(crate) user_namespace: bool,
    /// The caller has the host's rights over what the child may not change itself.
    pub(crate) privileged: bool,
    /// The caller may set any limit of any process (CAP_SYS_RESOURCE).
    pub(crate) raises_limits: bool,
    /// Whether setgroups(2) may be called.
    pub(crate) groups: Groups,
}

/// Whether setgroups(2) may be called: not where an unprivileged user mapped its own group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Groups {
    Allowed,
    Denied,
    /// In a user namespace that somebody else made.
    Unknown,
}

/// The host's part, while the child waits in its namespaces: only the outside may lower the score of a process in a user namespace.
pub(crate) fn host(process: &Decided, place: Place, builder: &mut Builder) {
    if let (Some(score), true) = (process.oom_score, place.user_namespace && place.privileged) {
        builder.host(HostOp::OomScoreAdj(score), "process.oomScoreAdj");
    }
}

/// The host's part when the child has opened its last file: a small limit must not stop what comes before the program.
pub(crate) fn host_limits(process: &Decided, place: Place, builder: &mut Builder) {
    if place.raises_limits {
        for (index, limit) in process.rlimits.iter().enumerate() {
            builder.host(HostOp::Rlimit(*limit), format!("process.rlimits[{index}]"));
        }
    }
}

/// The child's limits and priorities, while it still has its rights.
pub(crate) fn limits(process: &Decided, place: Place, proc: Slot, builder: &mut Builder) {
    if let (Some(score), false) = (process.oom_score, place.user_namespace && place.privileged) {
        let op = ChildOp::WriteProc {
            proc,
            path: "self/oom_score_adj".to_owned(),
            text: score.to_string(),
        };
        if place.privileged {
            builder.child(op, "process.oomScoreAdj");
        } else {
            // A user may raise its score and not lower it; an engine's default must not stop a rootless container.
            builder.child_or(
                op,
                &[EPERM, EACCES, EROFS],
                ChildOp::Nothing,
                "process.oomScoreAdj",
            );
        }
    }
    for (op, from) in &process.attributes {
        builder.child(op.clone(), *from);
    }
}

/// The working directory, the ids and the program's file: from here on with the program's own rights.
pub(crate) fn identity(
    process: &Decided,
    security: &Security,
    place: Place,
    builder: &mut Builder,
) {
    security::bounding(security, builder);
    // Before the ids change: an engine may set a directory of root's for another user, as runc allows.
    builder.child(
        ChildOp::Chdir {
            path: process.cwd.clone(),
            create: false,
        },
        "process.cwd",
    );
    if process.env.iter().any(|entry| entry == "HOME=") {
        builder.child(ChildOp::FindHome(process.ids.uid), "process.env");
    }
    if process.keep_groups {
        if !process.ids.groups.is_empty() {
            builder.skip(
                "process.user.additionalGids",
                format!("annotation {KEEP_GROUPS} keeps the caller's groups"),
            );
        }
    } else if place.groups == Groups::Denied {
        if !process.ids.groups.is_empty() {
            builder.skip(
                "process.user.additionalGids",
                "an unprivileged user's own id map denies setgroups(2)",
            );
        }
    } else {
        let (op, from) = (
            ChildOp::Groups(process.ids.groups.clone()),
            "process.user.additionalGids",
        );
        if place.groups == Groups::Unknown && !place.privileged {
            builder.child_or(op, &[EPERM], ChildOp::Nothing, from);
        } else {
            builder.child(op, from);
        }
    }
    builder.child(
        ChildOp::Ids {
            uid: process.ids.uid,
            gid: process.ids.gid,
        },
        "process.user",
    );
    builder.child(
        ChildOp::FindExecutable {
            candidates: process.candidates.clone(),
        },
        "process.args[0]",
    );
    builder.child(ChildOp::Umask(process.umask), "process.user.umask");
    if !place.raises_limits {
        // Nobody here may raise a hard limit; last, so that a small one stops nothing before the program.
        for (index, limit) in process.rlimits.iter().enumerate() {
            builder.child(ChildOp::Rlimit(*limit), format!("process.rlimits[{index}]"));
        }
    }
}

impl Decided {
    /// The terminal, if one is asked for.
    pub(crate) const fn terminal(&self) -> Option<Terminal> {
        self.terminal
    }

    /// The program's environment.
    pub(crate) fn env(&self) -> &[String] {
        &self.env
    }

    /// Whether the caller's groups stay.
    pub(crate) const fn keeps_groups(&self) -> bool {
        self.keep_groups
    }

    /// The last step.
    pub(crate) fn exec(&self) -> ChildOp {
        ChildOp::Exec {
            args: self.args.clone(),
            env: self.env.clone(),
        }
    }
}

/// Checks a path that `Mkdir` will make; nothing to do for the root itself.
pub(crate) fn directory_to_make(cwd: &str) -> Result<Option<String>, ConfigError> {
    let clean = super::text::clean(no_nul(cwd)?);
    Ok((clean != "/").then_some(clean))
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
