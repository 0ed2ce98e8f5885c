//! Every command and flag, once: the parser, help, completions and man pages are all made from this table.
//!
//! The names and short forms are runc's (and crun's where runc has none); callers build command lines from them.

/// A flag.
#[derive(Debug, PartialEq, Eq)]
pub struct Flag {
    /// Name without dashes.
    pub long: &'static str,
    /// One-letter form.
    pub short: Option<char>,
    /// What the value is called in help; `None` for a switch.
    pub value: Option<&'static str>,
    /// One line of help.
    pub help: &'static str,
}

/// A command.
#[derive(Debug)]
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// What follows the flags, for the usage line.
    pub operands: &'static str,
    /// Least number of operands.
    pub least: usize,
    /// Most of them.
    pub most: usize,
    /// Everything after the first operand is taken as it is, dashes or not.
    pub verbatim: bool,
    /// One line of help.
    pub about: &'static str,
    /// Its flags.
    pub flags: &'static [Flag],
    /// Not shown in help.
    pub hidden: bool,
}

const fn switch(long: &'static str, help: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        value: None,
        help,
    }
}

const fn short_switch(long: &'static str, short: char, help: &'static str) -> Flag {
    Flag {
        long,
        short: Some(short),
        value: None,
        help,
    }
}

const fn value(long: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        value: Some(value),
        help,
    }
}

const fn short_value(
    long: &'static str,
    short: char,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        long,
        short: Some(short),
        value: Some(value),
        help,
    }
}

/// Flags before the command.
pub const GLOBAL: &[Flag] = &[
    value(
        "root",
        "DIR",
        "directory of the containers' state (default: /run/trun, or $XDG_RUNTIME_DIR/trun without root)",
    ),
    value("log", "FILE", "write the log to FILE instead of stderr"),
    value("log-format", "FORMAT", "text or json (default: text)"),
    value(
        "log-level",
        "LEVEL",
        "error, warning or debug (default: error)",
    ),
    switch("debug", "the same as --log-level debug"),
    switch(
        "systemd-cgroup",
        "let systemd make the cgroups; the same as --cgroup-manager systemd",
    ),
    value(
        "cgroup-manager",
        "MANAGER",
        "cgroupfs, systemd or disabled (default: cgroupfs)",
    ),
    value("rootless", "CHOICE", "true, false or auto (default: auto)"),
    value("criu", "PATH", "ignored: there is no checkpoint yet"),
    HELP,
    short_switch("version", 'v', "print the version"),
];

/// The flag that every command has.
pub const HELP: Flag = short_switch("help", 'h', "print help");

const BUNDLE: Flag = short_value(
    "bundle",
    'b',
    "DIR",
    "the bundle (default: the current directory)",
);
const CONFIG: Flag = short_value(
    "config",
    'f',
    "FILE",
    "configuration instead of the bundle's config.json",
);
const CONSOLE_SOCKET: Flag = value(
    "console-socket",
    "SOCKET",
    "Unix socket that gets the terminal's master",
);
const PIDFD_SOCKET: Flag = value(
    "pidfd-socket",
    "SOCKET",
    "Unix socket that gets a pidfd of the process",
);
const PID_FILE: Flag = value("pid-file", "FILE", "file that gets the process's pid");
const NO_PIVOT: Flag = switch(
    "no-pivot",
    "switch the root without pivot_root (weaker; for a rootfs on initramfs)",
);
const NO_NEW_KEYRING: Flag = switch("no-new-keyring", "stay in the caller's session keyring");
const PRESERVE_FDS: Flag = value(
    "preserve-fds",
    "N",
    "pass N more file descriptors, from 3 + $LISTEN_FDS on",
);
const DETACH: Flag = short_switch("detach", 'd', "do not wait for the process");

const CREATE: &[Flag] = &[
    BUNDLE,
    CONFIG,
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    PID_FILE,
    NO_PIVOT,
    NO_NEW_KEYRING,
    PRESERVE_FDS,
];

const RUN: &[Flag] = &[
    BUNDLE,
    CONFIG,
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    PID_FILE,
    NO_PIVOT,
    NO_NEW_KEYRING,
    PRESERVE_FDS,
    DETACH,
    switch("keep", "do not delete the container when it ends"),
    switch("no-subreaper", "do not reap the container's orphans"),
];

const EXEC: &[Flag] = &[
    short_value(
        "process",
        'p',
        "FILE",
        "the process as JSON; other flags that describe it and ARGS are not used then",
    ),
    value("cwd", "DIR", "working directory inside"),
    short_value(
        "env",
        'e',
        "NAME=VALUE",
        "environment variable (repeatable)",
    ),
    short_switch("tty", 't', "give the process a terminal"),
    short_value("user", 'u', "UID[:GID]", "ids of the process"),
    short_value(
        "additional-gids",
        'g',
        "GID",
        "supplementary group (repeatable)",
    ),
    DETACH,
    PID_FILE,
    CONSOLE_SOCKET,
    PIDFD_SOCKET,
    value("process-label", "LABEL", "SELinux label of the process"),
    value("apparmor", "PROFILE", "AppArmor profile of the process"),
    switch("no-new-privs", "set no_new_privs"),
    short_value("cap", 'c', "CAP", "additional capability (repeatable)"),
    PRESERVE_FDS,
    value(
        "cgroup",
        "PATH",
        "sub-cgroup of the container's, or CONTROLLER[,...]:PATH on v1 (repeatable)",
    ),
    switch("ignore-paused", "go into a paused container all the same"),
    switch("no-subreaper", "ignored"),
];

const UPDATE: &[Flag] = &[
    short_value(
        "resources",
        'r',
        "FILE",
        "read linux.resources as JSON from FILE, - is stdin; other flags are not used then",
    ),
    value("blkio-weight", "N", "relative block IO weight, 10 to 1000"),
    value("cpu-period", "MICROSECONDS", "CPU period"),
    value(
        "cpu-quota",
        "MICROSECONDS",
        "CPU time in a period, -1 for no limit",
    ),
    value(
        "cpu-burst",
        "MICROSECONDS",
        "CPU time that unused quota may add",
    ),
    value("cpu-share", "N", "relative CPU share"),
    value("cpu-rt-period", "MICROSECONDS", "realtime period"),
    value(
        "cpu-rt-runtime",
        "MICROSECONDS",
        "realtime time in a period",
    ),
    value("cpu-idle", "0|1", "SCHED_IDLE for the whole container"),
    value("cpuset-cpus", "LIST", "CPUs, such as 0-3,7"),
    value("cpuset-mems", "LIST", "memory nodes"),
    value(
        "memory",
        "BYTES",
        "memory limit; k, m, g are understood, -1 for none",
    ),
    value("memory-reservation", "BYTES", "soft memory limit"),
    value("memory-swap", "BYTES", "memory plus swap, -1 for no limit"),
    value("kernel-memory", "BYTES", "ignored: gone from the kernel"),
    value(
        "kernel-memory-tcp",
        "BYTES",
        "ignored: gone from the kernel",
    ),
    value("pids-limit", "N", "number of processes, -1 for no limit"),
    value("l3-cache-schema", "SCHEMA", "resctrl L3 line"),
    value("mem-bw-schema", "SCHEMA", "resctrl MB line"),
];

/// A command with an id and nothing else.
const fn of_id(name: &'static str, about: &'static str) -> Command {
    Command {
        name,
        operands: "ID",
        least: 1,
        most: 1,
        verbatim: false,
        about,
        flags: &[],
        hidden: false,
    }
}

/// All commands, in the order that help shows.
pub const COMMANDS: &[Command] = &[
    Command {
        flags: CREATE,
        ..of_id("create", "make a container that waits for start")
    },
    of_id("start", "start a created container's program"),
    Command {
        flags: RUN,
        ..of_id(
            "run",
            "create and start a container, wait for it, delete it",
        )
    },
    Command {
        operands: "ID COMMAND [ARGS...]",
        most: usize::MAX,
        verbatim: true,
        flags: EXEC,
        ..of_id("exec", "start another process in a running container")
    },
    Command {
        operands: "ID [SIGNAL]",
        most: 2,
        flags: &[short_switch(
            "all",
            'a',
            "signal every process, not just init",
        )],
        ..of_id("kill", "send a signal to init, TERM unless given")
    },
    Command {
        flags: &[short_switch(
            "force",
            'f',
            "kill it if it lives, be silent if it is not there",
        )],
        ..of_id("delete", "delete a stopped container")
    },
    of_id("state", "print a container's state as JSON"),
    Command {
        operands: "",
        least: 0,
        most: 0,
        flags: &[
            short_value("format", 'f', "FORMAT", "table or json (default: table)"),
            short_switch("quiet", 'q', "print ids only"),
        ],
        ..of_id("list", "list the containers under --root")
    },
    Command {
        operands: "ID [PS OPTIONS]",
        most: usize::MAX,
        verbatim: true,
        flags: &[short_value(
            "format",
            'f',
            "FORMAT",
            "table or json (default: table)",
        )],
        ..of_id("ps", "list a container's processes")
    },
    of_id("pause", "freeze all processes of a container"),
    of_id("resume", "let a paused container go on"),
    Command {
        flags: UPDATE,
        ..of_id("update", "change a container's limits")
    },
    Command {
        flags: &[
            value(
                "interval",
                "DURATION",
                "time between statistics, such as 5s or 500ms (default: 5s)",
            ),
            switch("stats", "print statistics once and end"),
        ],
        ..of_id(
            "events",
            "print statistics and out-of-memory events as JSON",
        )
    },
    Command {
        operands: "",
        least: 0,
        most: 0,
        flags: &[
            short_value(
                "bundle",
                'b',
                "DIR",
                "where to write it (default: the current directory)",
            ),
            short_value(
                "file",
                'f',
                "FILE",
                "name of the file, - for stdout (default: config.json)",
            ),
            switch("rootless", "for a user without root"),
        ],
        ..of_id("spec", "write a config.json to start from")
    },
    Command {
        operands: "",
        least: 0,
        most: 0,
        ..of_id("features", "print what this runtime can do as JSON")
    },
    Command {
        operands: "[ID]",
        least: 0,
        flags: CREATE,
        ..of_id(
            "plan",
            "show what create and start would do, step by step, without doing it",
        )
    },
    Command {
        operands: "SHELL",
        hidden: true,
        ..of_id(
            "completion",
            "print the completion script for bash, zsh or fish",
        )
    },
    Command {
        operands: "DIR",
        hidden: true,
        ..of_id("man", "write the man pages to a directory")
    },
];

/// The command of this name.
pub fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_help_is_one_line() {
        let names: BTreeSet<_> = COMMANDS.iter().map(|command| command.name).collect();
        assert_eq!(names.len(), COMMANDS.len());
        for (name, flags) in COMMANDS
            .iter()
            .map(|command| (command.name, command.flags))
            .chain([("", GLOBAL)])
        {
            let longs: BTreeSet<_> = flags.iter().map(|flag| flag.long).collect();
            assert_eq!(longs.len(), flags.len(), "{name}: a long name twice");
            let shorts: Vec<_> = flags.iter().filter_map(|flag| flag.short).collect();
            assert_eq!(
                shorts.iter().collect::<BTreeSet<_>>().len(),
                shorts.len(),
                "{name}: a short name twice"
            );
            for flag in flags {
                assert!(
                    !flag.help.is_empty() && !flag.help.contains('\n'),
                    "{name} --{}",
                    flag.long
                );
            }
        }
    }

    #[test]
    fn checkpoint_is_absent_until_it_works() {
        // Callers ask `checkpoint --help` whether it is there.
        assert!(command("checkpoint").is_none() && command("restore").is_none());
    }
}
