//! The command line that containerd gives: Go's flag dialect, `-flag value`, `-flag=value`, one or two dashes. Pure.
use std::path::PathBuf;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Bind the socket, leave a server behind, print where it listens.
    Start,
    /// Clean up after a server that is gone.
    Delete,
    /// Tell what this runtime is.
    Info,
    /// Print the version.
    Version,
    /// Serve the socket that is standard input: what `start` leaves behind.
    Serve,
    /// Become the logger of `binary://`, with the fds that it expects.
    Logger,
    /// Mount from the working directory.
    Mount,
    /// Hold a pod's namespaces.
    Pod,
    /// Be the first process of a pod's pid namespace.
    PodInit,
    /// Print how it is used.
    Help,
}

/// The flags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// containerd's namespace.
    pub namespace: String,
    /// The container, or whatever the server is first started for.
    pub id: String,
    /// containerd's own socket.
    pub address: String,
    /// The bundle (`delete`); one that a server which is gone has left (`serve`).
    pub bundle: PathBuf,
    /// A program to publish events by: containerd before ttrpc events. Taken and not used.
    pub publish_binary: String,
    /// The server's socket (`serve`).
    pub socket: PathBuf,
    /// Log what is done.
    pub debug: bool,
    /// What follows the action.
    pub rest: Vec<String>,
}

/// Reads the command line without the program's name.
///
/// # Errors
/// A sentence, for a flag that isn't known, lacks its value, or is missing.
pub fn parse(words: &[String]) -> Result<(Action, Arguments), String> {
    let mut arguments = Arguments::default();
    let (mut version, mut info, mut help) = (false, false, false);
    let mut words = words.iter();
    let mut action = None;
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix('-').filter(|_| action.is_none()) else {
            match action {
                None => action = Some(word.as_str()),
                Some(_) => arguments.rest.push(word.clone()),
            }
            continue;
        };
        let flag = flag.strip_prefix('-').unwrap_or(flag);
        let (name, given) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let switch = match name {
            "debug" => Some(&mut arguments.debug),
            "v" | "version" => Some(&mut version),
            "info" => Some(&mut info),
            "h" | "help" => Some(&mut help),
            _ => None,
        };
        if let Some(switch) = switch {
            *switch = match given {
                None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => true,
                Some("false" | "0" | "f" | "F" | "FALSE" | "False") => false,
                Some(other) => return Err(format!("-{name} is true or false, not {other:?}")),
            };
            continue;
        }
        let mut value = || {
            given
                .map(str::to_owned)
                .or_else(|| words.next().cloned())
                .ok_or_else(|| format!("-{name} needs a value"))
        };
        match name {
            "namespace" => arguments.namespace = value()?,
            "id" => arguments.id = value()?,
            "address" => arguments.address = value()?,
            "bundle" => arguments.bundle = value()?.into(),
            "publish-binary" => arguments.publish_binary = value()?,
            // `-socket` is the server's own, and containerd's before 1.4.
            "socket" => arguments.socket = value()?.into(),
            _ => return Err(format!("unknown flag -{name}")),
        }
    }
    let action = match action {
        _ if help => Action::Help,
        _ if version => Action::Version,
        _ if info => Action::Info,
        Some("start") => Action::Start,
        Some("delete") => Action::Delete,
        Some("serve") => Action::Serve,
        Some("logger") => Action::Logger,
        Some("mount") => Action::Mount,
        Some("pod") => Action::Pod,
        Some("pod-init") => Action::PodInit,
        Some(other) => return Err(format!("unknown action {other:?}")),
        None => return Err("no action: it is containerd that starts this program".to_owned()),
    };
    if matches!(action, Action::Start | Action::Delete) {
        // Both are parts of paths: without one, those of others would be meant.
        for (name, value) in [("namespace", &arguments.namespace), ("id", &arguments.id)] {
            if value.is_empty() {
                return Err(format!("-{name} is missing"));
            }
        }
    }
    Ok((action, arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Action, Arguments), String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn as_containerd_calls_it() {
        let (action, arguments) = parsed(
            "-namespace k8s.io -address /run/containerd/containerd.sock -publish-binary /usr/bin/containerd -id c1 -debug start",
        )
        .unwrap();
        assert_eq!(action, Action::Start);
        let expected = Arguments {
            namespace: "k8s.io".to_owned(),
            id: "c1".to_owned(),
            address: "/run/containerd/containerd.sock".to_owned(),
            publish_binary: "/usr/bin/containerd".to_owned(),
            debug: true,
            ..Arguments::default()
        };
        assert_eq!(arguments, expected);
        let (action, arguments) =
            parsed("--namespace=default -id=c1 -bundle /b -debug=false delete").unwrap();
        assert_eq!(
            (action, arguments.bundle.to_str().unwrap()),
            (Action::Delete, "/b")
        );
        assert_eq!(parsed("-v").unwrap().0, Action::Version);
        assert_eq!(parsed("-info -id x").unwrap().0, Action::Info);
    }

    #[test]
    fn an_empty_value_is_a_value() {
        let words = [
            "-publish-binary",
            "",
            "-namespace",
            "n",
            "-id",
            "c",
            "start",
        ]
        .map(str::to_owned);
        let (_, arguments) = parse(&words).unwrap();
        assert_eq!(
            (arguments.publish_binary.as_str(), arguments.id.as_str()),
            ("", "c")
        );
    }

    #[test]
    fn what_follows_the_action_is_left_alone() {
        let (_, arguments) = parsed("logger /bin/log -v x").unwrap();
        assert_eq!(arguments.rest, ["/bin/log", "-v", "x"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, word) in [
            ("-id", "-id needs a value"),
            ("-colour red start", "unknown flag -colour"),
            ("stop", "unknown action"),
            ("", "no action"),
            ("-debug=maybe start", "true or false"),
            ("-id c start", "-namespace is missing"),
            ("-namespace n -id= delete", "-id is missing"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(word), "{line}: {error}");
        }
    }
}
