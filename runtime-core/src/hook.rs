//! One hook of the host's side: a program that gets the container's state on stdin.
//!
//! The hooks inside the container are steps of the plan, run by the child; these here run in the runtime's namespaces.
use crate::error::Error;
use crate::wait::{ExitStatus, wait_end};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How much of a failing hook's output the error shows, in bytes.
const OUTPUT_SHOWN: u64 = 1024;

/// Runs a hook to its end.
///
/// `args[0]` is the hook's argv\[0\]; its environment is exactly `env`; what it prints goes to a memory file of which the
/// end is part of the error.
///
/// # Errors
/// [`Error::Hook`]: it can't be run, ends with a status other than 0, or takes longer than its timeout and is killed.
pub(crate) fn run(
    kind: &'static str,
    index: usize,
    hook: &tare_oci::Hook,
    state: &tare_oci::State,
) -> Result<(), Error> {
    let fail = |why: String| Error::Hook {
        kind,
        index,
        path: hook.path.clone().into(),
        why,
    };
    if !Path::new(&hook.path).is_absolute() {
        return Err(fail("path must be absolute".to_owned()));
    }
    let timeout = match hook.timeout {
        None => None,
        Some(seconds) => match u64::try_from(seconds) {
            Ok(0) | Err(_) => return Err(fail(format!("timeout must be above 0, not {seconds}"))),
            Ok(seconds) => Some(Duration::from_secs(seconds)),
        },
    };
    let document = serde_json::to_vec(state).map_err(|error| fail(error.to_string()))?;
    let stdin = memory_file(&document).map_err(|error| fail(format!("stdin: {error}")))?;
    let mut output = memory_file(&[]).map_err(|error| fail(format!("output: {error}")))?;
    let mut command = Command::new(&hook.path);
    if let Some((first, rest)) = hook.args.split_first() {
        command.arg0(first).args(rest);
    }
    command.env_clear().stdin(Stdio::from(stdin));
    for pair in &hook.env {
        if let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) {
            command.env(name, value);
        }
    }
    let shared = |file: &File| file.try_clone().map(Stdio::from);
    let spawned = shared(&output).and_then(|out| {
        command.stdout(out).stderr(shared(&output)?);
        command.spawn()
    });
    // std keeps the reason in its own words; the errno's name is clearer and matches no caller's pattern.
    let child = spawned.map_err(|error| {
        let errno = error.raw_os_error().map(tare_sys::Errno::new);
        fail(match errno {
            Some(tare_sys::Errno::ENOENT) => {
                format!("missing: {}, or the interpreter it names", hook.path)
            }
            Some(errno) => format!("can't be executed: {errno}"),
            None => format!("can't be executed: {error}"),
        })
    })?;
    match finish(child, timeout) {
        Ok(ExitStatus::Exited(0)) => Ok(()),
        Ok(ExitStatus::Exited(status)) => {
            Err(fail(format!("exit status {status}{}", tail(&mut output))))
        }
        Ok(ExitStatus::Signaled(signal)) => Err(fail(format!(
            "killed by signal {signal}{}",
            tail(&mut output)
        ))),
        Err(why) => Err(fail(format!("{why}{}", tail(&mut output)))),
    }
}

fn finish(mut child: Child, timeout: Option<Duration>) -> Result<ExitStatus, String> {
    if let (Some(limit), Some(pid)) = (timeout, Pid::from_raw(child.id().cast_signed())) {
        // The child isn't reaped yet, so the pid is still its own.
        let ended = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|errno| crate::Errno::new(errno.raw_os_error()).to_string())
            .and_then(|pidfd| {
                let ended = wait_end(pidfd.as_fd(), limit).map_err(|error| error.report())?;
                if !ended {
                    // It may have ended this moment: no error then.
                    let _ = pidfd_send_signal(&pidfd, Signal::KILL);
                }
                Ok(ended)
            });
        if !ended? {
            let _ = child.wait();
            return Err(format!(
                "took longer than its timeout of {} s and was killed",
                limit.as_secs()
            ));
        }
    }
    let status = child
        .wait()
        .map_err(|error| format!("can't be waited for: {error}"))?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Exited(code),
        (None, signal) => ExitStatus::Signaled(signal.unwrap_or_default()),
    })
}

/// A file without a name: no pipe that fills up, no thread that must empty it.
fn memory_file(content: &[u8]) -> std::io::Result<File> {
    let fd = rustix::fs::memfd_create("hook", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(fd);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

fn tail(output: &mut File) -> String {
    let mut bytes = Vec::new();
    let length = output.seek(SeekFrom::End(0)).unwrap_or(0);
    let read = output
        .seek(SeekFrom::Start(length.saturating_sub(OUTPUT_SHOWN)))
        .and_then(|_| output.read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    match (read, text.trim()) {
        (Err(_), _) | (_, "") => String::new(),
        (Ok(_), text) => format!(", output: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(script: &str, timeout: Option<i64>) -> tare_oci::Hook {
        tare_oci::Hook {
            path: "/bin/sh".into(),
            args: vec!["hook-name".into(), "-c".into(), script.into()],
            env: vec!["ONLY=this".into()],
            timeout,
        }
    }

    fn check(hook: &tare_oci::Hook) -> Result<(), String> {
        let state = tare_oci::State {
            id: "c1".into(),
            status: "creating".into(),
            pid: 42,
            ..Default::default()
        };
        run("createRuntime", 3, hook, &state).map_err(|error| error.report())
    }

    #[test]
    fn a_hook_gets_state_arguments_and_environment() {
        let script = r#"read -r line; case $line in *'"pid":42'*) ;; *) exit 1;; esac; [ "$0" = x ] || [ "$ONLY" = this ]"#;
        check(&hook(script, None)).unwrap();
        check(&hook(
            r#"test "$(env | grep -cv '^\(PWD\|SHLVL\|_\|ONLY\)=')" = 0"#,
            Some(20),
        ))
        .unwrap();
    }

    #[test]
    fn a_failing_hook_is_named_with_its_output() {
        assert_eq!(
            check(&hook("echo broken >&2; exit 7", None)).unwrap_err(),
            "hooks.createRuntime[3]: /bin/sh: exit status 7, output: broken"
        );
        assert_eq!(
            check(&hook("kill -9 $$", None)).unwrap_err(),
            "hooks.createRuntime[3]: /bin/sh: killed by signal 9"
        );
    }

    #[test]
    fn a_slow_hook_is_killed() {
        let begin = std::time::Instant::now();
        let error = check(&hook("exec sleep 60", Some(1))).unwrap_err();
        assert_eq!(
            error,
            "hooks.createRuntime[3]: /bin/sh: took longer than its timeout of 1 s and was killed"
        );
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_hook_that_prints_a_lot_does_not_hang() {
        check(&hook("head -c 1000000 /dev/zero", Some(20))).unwrap();
    }

    #[test]
    fn what_cannot_be_run_is_never_worded_like_a_missing_program() {
        let absent = tare_oci::Hook {
            path: "/nonexistent/hook".into(),
            ..Default::default()
        };
        let error = check(&absent).unwrap_err();
        assert!(
            error.contains("missing: /nonexistent/hook") && !error.contains("No such"),
            "{error}"
        );
        let relative = tare_oci::Hook {
            path: "hook".into(),
            ..Default::default()
        };
        assert!(check(&relative).unwrap_err().contains("absolute"));
        assert!(
            check(&hook("true", Some(0)))
                .unwrap_err()
                .contains("timeout")
        );
    }
}
