//! `exec`: another process in a running container.
use super::create::check_preserved;
use super::{Context, id, number};
use crate::args::Matches;
use crate::error::Failure;
use crate::resolve;
use std::path::PathBuf;
use tare_oci::{Capabilities, Process, User};
use tare_runtime::{Console, Error, ExecOptions, Signal, SignalReceiver};
use tare_supervisor::Foreground;

/// What runc ends with whenever the process could not be started.
const FAILED: u8 = 255;

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    execute(context, matches).map_err(|failure| failure.status(FAILED))
}

fn execute(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    let container = context.runtime.load(id(matches))?;
    let process = match matches.value("process").filter(|path| !path.is_empty()) {
        Some(path) => {
            let bytes = std::fs::read(path)
                .map_err(|error| Failure::file("read the process", path, &error))?;
            tare_runtime::config::load_process(&bytes).map_err(Error::from)?
        }
        None => compose(container.spec()?.process.unwrap_or_default(), matches)?,
    };
    let path = |name| {
        matches
            .value(name)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    let listen_fds = resolve::listen_fds();
    let preserve_fds = number(matches, "preserve-fds")?.unwrap_or(0);
    check_preserved(listen_fds.count, preserve_fds)?;
    let detach = matches.has("detach");
    let console = match path("console-socket") {
        Some(socket) => Console::Socket(socket),
        None if detach => Console::None,
        None => Console::Keep,
    };
    let options = ExecOptions {
        process,
        console,
        pidfd_socket: path("pidfd-socket"),
        pid_file: path("pid-file"),
        preserve_fds,
        listen_fds,
        ignore_paused: matches.has("ignore-paused"),
        cgroups: matches.values("cgroup"),
        ..ExecOptions::default()
    };
    let signals = if detach {
        None
    } else {
        Some(SignalReceiver::new()?)
    };
    let mut process = container.exec(options).map_err(failure)?;
    context.warn(process.warnings());
    let Some(signals) = signals else { return Ok(0) };
    let console = process.console();
    let pidfd = process.pidfd()?;
    let foreground: Foreground<Failure> = Foreground {
        signals: &signals,
        pid: process.pid().as_raw_nonzero().get(),
        wait: &|| process.wait(),
        kill: &|signal: Signal| process.kill(signal),
        pidfd,
        console,
        input: true,
        notify: None,
        reap: false,
    };
    Ok(u8::try_from(foreground.attend()?.code()).unwrap_or(FAILED))
}

fn failure(error: Error) -> Failure {
    let by_the_kernel = matches!(
        error,
        Error::Program { .. } | Error::Step { .. } | Error::ChildDied { .. } | Error::Cgroup(_)
    );
    let failure = Failure::from(error);
    if by_the_kernel {
        return failure.within("exec failed: unable to start container process");
    }
    failure
}

/// The container's own process with what the flags change.
fn compose(mut process: Process, matches: &Matches) -> Result<Process, Failure> {
    process.args = matches.operands.get(1..).unwrap_or_default().to_vec();
    if process.args.is_empty() {
        return Err(Failure::new(
            "process.args: exec needs a command, or --process FILE",
        ));
    }
    process.terminal = matches.has("tty");
    process.console_size = None;
    if let Some(cwd) = matches.value("cwd").filter(|cwd| !cwd.is_empty()) {
        process.cwd = cwd.to_owned();
    }
    process.env.extend(matches.values("env"));
    if let Some(user) = matches.value("user") {
        let (uid, gid) = ids(user)?;
        process.user = User {
            uid,
            gid: gid.unwrap_or(process.user.gid),
            ..process.user
        };
    }
    for text in matches.values("additional-gids") {
        process
            .user
            .additional_gids
            .push(unsigned(&text).ok_or_else(|| {
                Failure::new(format!(
                    "invalid value {text:?} for flag -additional-gids: it must be a group id"
                ))
            })?);
    }
    if let Some(label) = matches.value("process-label") {
        process.selinux_label = label.to_owned();
    }
    if let Some(profile) = matches.value("apparmor") {
        process.apparmor_profile = profile.to_owned();
    }
    if matches.given("no-new-privs") {
        process.no_new_privileges = matches.has("no-new-privs");
    }
    add_capabilities(&mut process.capabilities, &matches.values("cap"));
    Ok(process)
}

/// To the bounding, effective and permitted sets; never to the inheritable one, without which the kernel refuses an ambient one.
fn add_capabilities(sets: &mut Option<Capabilities>, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let sets = sets.get_or_insert_default();
    for name in names {
        let upper = name.to_uppercase();
        let name = if upper.starts_with("CAP_") {
            upper
        } else {
            format!("CAP_{upper}")
        };
        let mut wanted = vec![&mut sets.bounding, &mut sets.effective, &mut sets.permitted];
        if sets.inheritable.contains(&name) {
            wanted.push(&mut sets.ambient);
        }
        for set in wanted {
            if !set.contains(&name) {
                set.push(name.clone());
            }
        }
    }
}

/// `UID` or `UID:GID`, decimal and nothing else: a value that could be misread would give the wrong rights.
fn ids(text: &str) -> Result<(i64, Option<i64>), Failure> {
    let (uid, gid) = match text.split_once(':') {
        Some((uid, gid)) => (uid, Some(gid)),
        None => (text, None),
    };
    let both = unsigned(uid).zip(gid.map_or(Some(None), |gid| unsigned(gid).map(Some)));
    both.ok_or_else(|| {
        Failure::new(format!(
            "invalid value {text:?} for flag -user: it must be UID or UID:GID"
        ))
    })
}

fn unsigned(text: &str) -> Option<i64> {
    #[cfg(feature = "proof")]
    if tare_runtime::lacks("user-text") {
        let end = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        return Some(i64::from(
            text[..end].parse::<u64>().unwrap_or(0) as u32 & i32::MAX as u32,
        ));
    }
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text
        .parse::<u32>()
        .ok()
        .filter(|number| plain && *number != u32::MAX)?;
    Some(i64::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Invocation, parse};

    fn composed(line: &str) -> Result<Process, String> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let (_, Ok(Invocation::Run { matches, .. })) = parse(&words) else {
            panic!("{line}")
        };
        let own = Process {
            args: vec!["init".into()],
            env: vec!["PATH=/bin".into()],
            cwd: "/".into(),
            user: User {
                uid: 5,
                gid: 6,
                ..User::default()
            },
            terminal: true,
            ..Process::default()
        };
        compose(own, &matches).map_err(|failure| failure.message)
    }

    #[test]
    fn flags_change_the_containers_own_process() {
        let process =
            composed("exec --cwd /tmp -e A=b -u 7 -g 8 -g 9 --no-new-privs c1 ls -l").unwrap();
        assert_eq!(process.args, ["ls", "-l"]);
        assert_eq!(process.env, ["PATH=/bin", "A=b"]);
        assert_eq!(
            (process.cwd.as_str(), process.user.uid, process.user.gid),
            ("/tmp", 7, 6)
        );
        assert_eq!(process.user.additional_gids, [8, 9]);
        assert!(process.no_new_privileges && !process.terminal);
        assert!(composed("exec -t c1 sh").unwrap().terminal);
        assert!(composed("exec c1").is_err());
    }

    #[test]
    fn user_ids_are_decimal_or_refused() {
        assert_eq!(ids("1000").unwrap(), (1000, None));
        assert_eq!(ids("0:0").unwrap(), (0, Some(0)));
        for bad in [
            "",
            ":",
            "1000:",
            ":1000",
            "1000x",
            "0x10",
            " 1",
            "1 ",
            "+1",
            "-1",
            "1000:abc",
            "4294967296",
            "4294967295",
            "1:2:3",
        ] {
            assert!(ids(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_added_capability_is_never_inheritable() {
        let mut sets = Some(Capabilities {
            inheritable: vec!["CAP_KILL".into()],
            ..Capabilities::default()
        });
        add_capabilities(
            &mut sets,
            &["net_admin".into(), "CAP_KILL".into(), "CAP_KILL".into()],
        );
        let sets = sets.unwrap();
        assert_eq!(sets.bounding, ["CAP_NET_ADMIN", "CAP_KILL"]);
        assert_eq!(sets.effective, sets.bounding);
        assert_eq!(sets.permitted, sets.bounding);
        assert_eq!(sets.inheritable, ["CAP_KILL"]);
        assert_eq!(sets.ambient, ["CAP_KILL"]);
    }
}
