//! One hook of the host's side: a program that gets the container's state on stdin.
//!
//! The hooks inside the container are steps of the plan, run by the child; these here run in the runtime's namespaces.
use crate::error::Error;
use crate::helper::{self, Ended, Helper};
use crate::wait::ExitStatus;
use std::path::Path;

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
        None => 0,
        Some(seconds) if seconds <= 0 => {
            return Err(fail(format!("timeout must be above 0, not {seconds}")));
        }
        Some(seconds) => u32::try_from(seconds).unwrap_or(u32::MAX),
    };
    let document = serde_json::to_vec(state).map_err(|error| fail(error.to_string()))?;
    let helper = Helper {
        path: &hook.path,
        args: &hook.args,
        env: &hook.env,
        input: &document,
        timeout,
    };
    // The errno's name matches no caller's pattern; a missing hook must not be taken for a missing program.
    let (ended, output) = helper::run(&helper).map_err(|error| {
        fail(match error {
            Error::Missing { path, .. } => format!("missing: {}", path.display()),
            Error::System { errno, .. } => format!("can't be executed: {errno}"),
            other => other.report(),
        })
    })?;
    let output = if output.is_empty() {
        output
    } else {
        format!(", output: {output}")
    };
    match ended {
        Ended::As(ExitStatus::Exited(0)) => Ok(()),
        Ended::As(ExitStatus::Exited(127)) if output.is_empty() => Err(fail(
            "exit status 127: missing, or its interpreter is".to_owned(),
        )),
        Ended::As(ExitStatus::Exited(status)) => Err(fail(format!("exit status {status}{output}"))),
        Ended::As(ExitStatus::Signaled(signal)) => {
            Err(fail(format!("killed by signal {signal}{output}")))
        }
        Ended::Late => Err(fail(format!(
            "took longer than its timeout of {timeout} s and was killed{output}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
