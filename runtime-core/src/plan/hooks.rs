//! `hooks`: what is refused before anything runs, and the steps of the two kinds that run inside.
use super::ir::{ChildOp, ChildStep, Slot};
use super::text::{absolute, no_nul, no_nuls};
use crate::config::{At, ConfigError, invalid};
use tare_oci::{Hook, Hooks};

/// Longest timeout taken, in seconds: the kernel's millisecond counters hold no more.
const MAX_TIMEOUT: i64 = i32::MAX as i64 / 1000;

/// Refuses hooks that could not be run, of all six kinds.
///
/// # Errors
/// A path that isn't absolute, a timeout that isn't positive, an environment entry without `=`, a NUL byte.
pub fn check(hooks: &Hooks) -> Result<(), ConfigError> {
    let kinds: [(&str, &[Hook]); 6] = [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("startContainer", &hooks.start_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ];
    for (kind, list) in kinds {
        list.iter()
            .enumerate()
            .try_for_each(|(index, hook)| check_one(hook).index(index))
            .field(kind)
            .field("hooks")?;
    }
    Ok(())
}

fn check_one(hook: &Hook) -> Result<(), ConfigError> {
    absolute(&hook.path).field("path")?;
    no_nuls(&hook.args).field("args")?;
    for (index, entry) in hook.env.iter().enumerate() {
        no_nul(entry).index(index).field("env")?;
        if !entry.contains('=') {
            return invalid(format!("{entry:?} is not of the form NAME=VALUE"))
                .index(index)
                .field("env");
        }
    }
    match hook.timeout {
        Some(timeout @ ..=0) => {
            invalid(format!("{timeout} is not more than 0 seconds")).field("timeout")
        }
        _ => Ok(()),
    }
}

/// The steps of hooks that run in the container's namespaces; `environment` is for those that have none of their own.
#[must_use]
pub fn inside(kind: &str, hooks: &[Hook], state: Slot, environment: &[String]) -> Vec<ChildStep> {
    let steps = hooks.iter().enumerate().map(|(index, hook)| ChildStep {
        op: ChildOp::RunHook {
            path: hook.path.clone(),
            // execve with an empty argv is refused since Linux 5.18; the path is what a shell would put there.
            args: if hook.args.is_empty() {
                vec![hook.path.clone()]
            } else {
                hook.args.clone()
            },
            env: if hook.env.is_empty() {
                environment.to_vec()
            } else {
                hook.env.clone()
            },
            timeout: hook
                .timeout
                .map_or(0, |seconds| seconds.clamp(0, MAX_TIMEOUT) as u32),
            state,
            kind: kind.to_owned(),
        },
        alternative: None,
        from: format!("hooks.{kind}[{index}]"),
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str, expect: &str) {
        let hooks: Hooks = serde_json::from_str(json).unwrap();
        assert_eq!(check(&hooks).unwrap_err().to_string(), expect, "{json}");
    }

    #[test]
    fn refusals_of_every_kind() {
        for kind in [
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ] {
            refused(
                &format!(r#"{{"{kind}":[{{"path":"/x"}},{{"path":"x"}}]}}"#),
                &format!("hooks.{kind}[1].path: \"x\" is not an absolute path"),
            );
        }
        refused(
            r#"{"poststop":[{"path":""}]}"#,
            "hooks.poststop[0].path: is empty and must be an absolute path",
        );
        refused(
            r#"{"prestart":[{"path":"/x","timeout":0}]}"#,
            "hooks.prestart[0].timeout: 0 is not more than 0 seconds",
        );
        refused(
            r#"{"prestart":[{"path":"/x","timeout":-3}]}"#,
            "hooks.prestart[0].timeout: -3 is not more than 0 seconds",
        );
        refused(
            r#"{"prestart":[{"path":"/x","env":["A=1","B"]}]}"#,
            "hooks.prestart[0].env[1]: \"B\" is not of the form NAME=VALUE",
        );
        refused(
            r#"{"prestart":[{"path":"/x","args":["a\u0000"]}]}"#,
            "hooks.prestart[0].args[0]: has a NUL byte at position 1",
        );
    }

    #[test]
    fn steps_inside() {
        let hooks: Vec<Hook> = serde_json::from_str(
            r#"[{"path":"/a"},{"path":"/b","args":["b","1"],"env":["X=1"],"timeout":9000000000}]"#,
        )
        .unwrap();
        let steps = inside("startContainer", &hooks, Slot(4), &["P=1".to_owned()]);
        let ChildOp::RunHook {
            args, env, timeout, ..
        } = &steps[0].op
        else {
            panic!("not a hook")
        };
        assert_eq!(
            (args.as_slice(), env.as_slice(), *timeout),
            (&["/a".to_owned()][..], &["P=1".to_owned()][..], 0)
        );
        let ChildOp::RunHook {
            args, env, timeout, ..
        } = &steps[1].op
        else {
            panic!("not a hook")
        };
        assert_eq!(
            (args.len(), env.as_slice(), *timeout),
            (2, &["X=1".to_owned()][..], 2_147_483)
        );
        assert_eq!(steps[1].from, "hooks.startContainer[1]");
    }
}
