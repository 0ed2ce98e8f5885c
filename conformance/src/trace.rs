//! Compares a plan's text with a strace of the run: every step leaves its mark, in order, and nothing else happens.
//!
//! Pure: text in, problems out. A step that this file does not know is a problem too, so that it cannot rot.

/// Differences between what `trun plan` says and what strace saw; empty when they agree.
pub fn compare(plan: &str, strace: &str) -> Vec<String> {
    let calls = parse_calls(strace);
    let Some(host) = calls.first().map(|call| call.pid) else {
        return vec!["strace saw nothing".to_owned()];
    };
    let Some(child) = calls
        .iter()
        .find(|call| call.pid == host && call.is("clone3") && call.text.contains("CLONE_VFORK"))
    else {
        return vec!["the host made no process by clone3 with CLONE_VFORK".to_owned()];
    };
    let child = child.result();
    let mut problems = Vec::new();
    let host_calls: Vec<&Call> = calls.iter().filter(|call| call.pid == host).collect();
    align("host", &lane(plan, "host"), &host_calls, &[], &mut problems);
    let child_calls: Vec<&Call> = calls
        .iter()
        .filter(|call| Some(call.pid) == child)
        .skip_while(|call| !call.is("execveat"))
        .skip(1)
        .collect();
    // The stage program's own start: a clean umask and its name.
    let start = child_calls
        .iter()
        .position(|call| !call.is("umask") && is_significant(call))
        .unwrap_or(0);
    align(
        "child",
        &lane(plan, "child"),
        &child_calls[start..],
        SIGNIFICANT,
        &mut problems,
    );
    problems
}

/// System calls that change what the container is: each must belong to a step.
const SIGNIFICANT: &[&str] = &[
    "unshare",
    "setns",
    "setsid",
    "sethostname",
    "setdomainname",
    "fsopen",
    "fsmount",
    "move_mount",
    "open_tree",
    "mount_setattr",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "mknodat",
    "symlinkat",
    "unlinkat",
    "mkdirat",
    "setresuid",
    "setresgid",
    "setgroups",
    "capset",
    "seccomp",
    "chdir",
    "fchdir",
    "umask",
    "personality",
    "ioprio_set",
    "sched_setattr",
    "sched_setaffinity",
    "set_mempolicy",
    "execve",
    "execveat",
    "clone3",
    "clone",
];

fn is_significant(call: &Call) -> bool {
    SIGNIFICANT.iter().any(|name| call.is(name))
}

/// One system call, its two halves joined if another process ran in between.
#[derive(Debug)]
pub struct Call {
    pub pid: i32,
    pub text: String,
}

impl Call {
    pub fn is(&self, name: &str) -> bool {
        self.text
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('('))
    }

    pub fn result(&self) -> Option<i32> {
        self.text
            .rsplit_once("= ")?
            .1
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    }
}

pub fn parse_calls(strace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for line in strace.lines() {
        let Some((pid, text)) = line.split_once(' ') else {
            continue;
        };
        let (Ok(pid), text) = (pid.parse::<i32>(), text.trim_start()) else {
            continue;
        };
        if let Some(rest) = text.strip_prefix("<... ") {
            let rest = rest.split_once("resumed>").map_or("", |(_, rest)| rest);
            if let Some(open) = calls.iter_mut().rev().find(|call| call.pid == pid) {
                open.text.push_str(rest);
            }
        } else {
            let text = text.split(" <unfinished ...>").next().unwrap_or(text);
            calls.push(Call {
                pid,
                text: text.to_owned(),
            });
        }
    }
    calls
}

/// The steps of one lane, without their numbers and the remark of where they come from.
fn lane(plan: &str, name: &str) -> Vec<String> {
    plan.lines()
        .skip_while(|line| *line != name)
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .map(|line| line.split("  # ").next().unwrap_or(line).trim())
        .map(|line| line.split_once(' ').map_or("", |(_, step)| step).to_owned())
        .collect()
}

/// What a step looks like in a strace.
#[derive(Debug, Default)]
struct Mark {
    /// Calls that must come, in this order: a name and words that its arguments hold.
    needs: Vec<(&'static str, Vec<String>)>,
    /// Calls that may come beside them.
    allows: Vec<&'static str>,
}

impl Mark {
    fn need(mut self, call: &'static str, words: &[&str]) -> Self {
        self.needs
            .push((call, words.iter().map(|&word| word.to_owned()).collect()));
        self
    }

    fn allow(mut self, calls: &[&'static str]) -> Self {
        self.allows.extend(calls);
        self
    }
}

fn align(
    lane: &str,
    steps: &[String],
    calls: &[&Call],
    significant: &[&str],
    problems: &mut Vec<String>,
) {
    let mut marks = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        match mark(lane, step) {
            Some(mark) => marks.push((index + 1, step, mark)),
            None => problems.push(format!(
                "{lane} {:02} {step}: the trace test does not know this step",
                index + 1
            )),
        }
    }
    // `at` is the step under way and `done` how many of its needs were seen.
    let (mut at, mut done) = (0, 0);
    for call in calls {
        let fits = |(name, words): &(&str, Vec<String>)| {
            name.split('|').any(|name| call.is(name))
                && words.iter().all(|word| call.text.contains(word.as_str()))
        };
        let Some((_, _, current)) = marks.get(at) else {
            break;
        };
        if current.needs.get(done).is_some_and(&fits) {
            done += 1;
            continue;
        }
        // A later step begins when this one, and those between that need nothing, are complete.
        if done >= current.needs.len() {
            let next = (at + 1..marks.len()).find(|index| !marks[*index].2.needs.is_empty());
            if let Some(next) = next.filter(|next| fits(&marks[*next].2.needs[0])) {
                (at, done) = (next, 1);
                continue;
            }
        }
        // What a step allows may also come just before its first mark.
        let until = (at + 1..marks.len())
            .find(|index| !marks[*index].2.needs.is_empty())
            .map_or(marks.len(), |next| next + 1);
        let allowed = marks[at..until]
            .iter()
            .any(|(_, _, mark)| mark.allows.iter().any(|name| call.is(name)));
        if !allowed && significant.iter().any(|name| call.is(name)) {
            let (number, step, _) = &marks[at];
            problems.push(format!(
                "{lane}: not in the plan, during or after {number:02} {step}: {}",
                call.text
            ));
        }
    }
    for (number, step, mark) in marks.iter().skip(at) {
        let seen = if *number == marks[at].0 { done } else { 0 };
        if let Some((call, words)) = mark.needs.get(seen) {
            problems.push(format!(
                "{lane} {number:02} {step}: planned, but no {call} with {words:?} was seen"
            ));
            break;
        }
    }
}

/// What to look for; None for a step of an unknown kind.
fn mark(lane: &str, step: &str) -> Option<Mark> {
    let words: Vec<&str> = step.split_whitespace().collect();
    if lane == "host" {
        host_mark(&words)
    } else {
        child_mark(step, &words)
    }
}

fn host_mark(words: &[&str]) -> Option<Mark> {
    let none = Mark::default();
    let last = |path: &str| format!("{}\"", path.rsplit('/').next().unwrap_or(path));
    Some(match words {
        ["barrier" | "pass" | "open" | "run" | "move", ..] => none,
        ["make", "fifos", ..] => none.need("mknodat|mknod", &["exec.fifo"]),
        ["make", ..] => none,
        ["spawn", ..] => none.need("clone3", &["CLONE_VFORK"]),
        ["cgroup", "make", path, ..] => none.need("mkdirat|mkdir", &[&last(path)]),
        ["cgroup", "devices", .., "eBPF"] => none
            .need("bpf", &["BPF_PROG_LOAD"])
            .need("bpf", &["BPF_PROG_ATTACH"]),
        ["cgroup", "devices", ..] => none.need("openat|open|openat2", &["devices."]),
        ["cgroup", "write", file, ..] => none.need("openat|open|openat2", &[file]),
        ["map", "ids", ..] => none.need("mount_setattr", &["MOUNT_ATTR_IDMAP"]),
        ["cgroup", "join", .., "(tasks)"] => none.need("openat|open|openat2", &["tasks"]),
        ["cgroup", "join", ..] => none.need("openat|open|openat2", &["cgroup.procs"]),
        ["cgroup", ..] => none,
        ["systemd", "scope", unit, ..] => {
            none.need("sendto|sendmsg|write", &["StartTransientUnit", unit])
        }
        ["write", "maps", ..] => none.need("openat|open|openat2", &["uid_map"]),
        ["set", "oom", ..] => none.need("openat|open|openat2", &["oom_score_adj"]),
        ["set", limit, ..] if limit.starts_with("RLIMIT_") => {
            none.need("prlimit64", &[limit, "{rlim_cur="])
        }
        ["draft", "state"] => none.need("openat|open|openat2", &[".state.json"]),
        ["write", "state"] => none.need("renameat|renameat2|rename", &["state.json"]),
        ["write", "pid", "file"] => none.need("rename|renameat|renameat2", &[]),
        ["write", ..] => none,
        _ => return None,
    })
}

const MOUNT_CALLS: &[&str] = &[
    "fsconfig",
    "fsmount",
    "mount_setattr",
    "mount",
    "mkdirat",
    "open_tree",
    "mknodat",
];

fn child_mark(step: &str, words: &[&str]) -> Option<Mark> {
    let none = Mark::default();
    let quoted = |text: &str| format!("\"{}\"", text.trim_matches('"'));
    let last = |path: &str| format!("\"{}\"", path.rsplit('/').next().unwrap_or(path));
    Some(match words {
        [
            "barrier" | "await" | "find" | "non-dumpable" | "close" | "ambient" | "run",
            ..,
        ] => none,
        ["become", "root", ..] => {
            none.allow(&["setresuid", "setresgid", "setgroups", "prctl", "capset"])
        }
        ["go", "on"] => none,
        ["join", "keyring", name, ..] => {
            none.need("keyctl", &["KEYCTL_JOIN_SESSION_KEYRING", &quoted(name)])
        }
        ["join", ..] => none.need("setns", &[]),
        ["unshare", kinds, ..] => {
            let flags: Vec<&str> = kinds.split(',').map(flag_of).collect();
            none.need("unshare", &flags)
        }
        ["new", "session"] => none.need("setsid", &[]),
        ["loopback", "up"] => none.need("ioctl", &["SIOCSIFFLAGS", "\"lo\""]),
        ["hostname", name] => none.need("sethostname", &[&quoted(name)]),
        ["domainname", name] => none.need("setdomainname", &[&quoted(name)]),
        ["open", path @ ("/proc" | "/dev/null"), ..] => {
            none.need("openat", &[&quoted(path)]).allow(&["open_tree"])
        }
        ["write", _, "to", path] => none.need("openat2|openat", &[&last(path)[1..]]),
        ["write", ..] => none,
        // Its own mount namespace, whose root it goes to first.
        ["make", "the", "tree", ..] => none.need("mount", &["MS_REC"]).allow(&["setns"]),
        ["bind", "root", ..] => none
            .need("move_mount", &[])
            .allow(&["mount_setattr", "open_tree"]),
        ["mount", kind, ..] => none
            .need("fsopen", &[&quoted(kind)])
            .need("move_mount", &[])
            .allow(MOUNT_CALLS),
        ["bind" | "rbind", source, ..] => {
            let mark = if source.starts_with('/') {
                none.need("open_tree", &[&quoted(source)])
            } else {
                none
            };
            mark.need("move_mount", &[]).allow(MOUNT_CALLS)
        }
        ["remount", ..] => none
            .need("mount_setattr|mount|fspick", &[])
            .allow(MOUNT_CALLS),
        ["mkdir", path, ..] => none
            .need(
                "openat2|mkdirat",
                &[path.rsplit('/').next().unwrap_or(path)],
            )
            .allow(&["mkdirat"]),
        ["mknod", path, ..] => none
            .need("mknodat", &[&last(path)])
            .allow(&["mkdirat", "unlinkat"]),
        ["symlink", path, "to", target, ..] => {
            let target = quoted(target.trim_end_matches(','));
            none.need("symlinkat", &[&target, &last(path)])
                .allow(&["unlinkat", "mkdirat"])
        }
        ["pivot", "root", ..] => none
            .need("pivot_root", &[])
            .allow(&["fchdir", "chdir", "mount", "umount2"]),
        ["clone", ..] => none.need("open_tree", &["OPEN_TREE_CLONE"]),
        ["move" | "chroot", ..] => none
            .need("chroot", &[])
            .allow(&["fchdir", "chdir", "mount", "umount2"]),
        ["mask", path, ..] => none.need("openat|openat2", &[&last(path)[1..]]).allow(&[
            "fsopen",
            "fsconfig",
            "fsmount",
            "move_mount",
            "open_tree",
            "mount_setattr",
            "mount",
        ]),
        ["make", "/", "read-only"] => none.need("mount_setattr|mount", &[]).allow(&[
            "mount_setattr",
            "mount",
            "move_mount",
            "open_tree",
        ]),
        ["make", path, "read-only"] => none
            .need("openat|openat2|open_tree", &[&last(path)[1..]])
            .allow(&["move_mount", "open_tree", "mount_setattr", "mount"]),
        ["make", "/", ..] => none.need("mount_setattr|mount", &[]),
        ["own", "stdio", ..] => none.allow(&["fchown"]),
        ["bounding", "set", ..] => none.need("prctl", &["PR_CAPBSET_"]),
        ["chdir", path, ..] => none.need("chdir", &[&quoted(path)]).allow(&["mkdirat"]),
        ["groups", ..] => none.need("setgroups", &[]),
        ["ids", pair] => {
            let (user, group) = pair.split_once(':')?;
            none.need("setresgid", &[group])
                .need("setresuid", &[user])
                .allow(&["prctl"])
        }
        ["umask", mask] => none.need("umask", &[mask.trim_start_matches("00")]),
        ["capabilities", ..] => none.need("capset", &[]),
        ["no", "new", "privileges"] => none.need("prctl", &["PR_SET_NO_NEW_PRIVS"]),
        ["seccomp", ..] => none.need("seccomp", &["SECCOMP_SET_MODE_FILTER"]),
        ["personality", ..] => none.need("personality", &[]),
        ["set", limit, ..] if limit.starts_with("RLIMIT_") => {
            none.need("prlimit64", &[&format!("(0, {limit}, {{rlim_cur=")])
        }
        ["io", "priority", ..] => none.need("ioprio_set", &[]),
        ["scheduler", ..] => none.need("sched_setattr", &[]),
        ["memory", "policy", ..] => none.need("set_mempolicy", &[]),
        ["exec", ..] => {
            let program = step.strip_prefix("exec [")?.split([' ', ']']).next()?;
            none.need("execve|execveat", &[program])
        }
        _ => return None,
    })
}

fn flag_of(kind: &str) -> &'static str {
    match kind {
        "mount" => "CLONE_NEWNS",
        "network" => "CLONE_NEWNET",
        "ipc" => "CLONE_NEWIPC",
        "uts" => "CLONE_NEWUTS",
        "pid" => "CLONE_NEWPID",
        "user" => "CLONE_NEWUSER",
        "cgroup" => "CLONE_NEWCGROUP",
        "time" => "CLONE_NEWTIME",
        _ => "a namespace of no known kind",
    }
}

#[cfg(test)]
mod tests {
    use super::compare;

    const PLAN: &str = "create c\nhost\n  01 spawn in new pid\nchild\n  01 unshare mount  # x\n  02 hostname box\n  03 exec [/bin/true] env []\n";
    const RUN: &str = "1 clone3({flags=CLONE_VFORK} <unfinished ...>\n2 execveat(3, \"\") = 0\n1 <... clone3 resumed>) = 2\n\
        2 umask(000) = 022\n2 unshare(CLONE_NEWNS) = 0\n2 sethostname(\"box\", 3) = 0\n2 execve(\"/bin/true\") = 0\n";

    #[test]
    fn a_run_that_follows_its_plan_agrees() {
        assert_eq!(compare(PLAN, RUN), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_planned_is_found() {
        let run = RUN.replace("2 sethostname", "2 mount(NULL, \"/\") = 0\n2 sethostname");
        assert!(compare(PLAN, &run)[0].contains("not in the plan"));
    }

    #[test]
    fn what_is_planned_and_missing_is_found() {
        let run = RUN.replace("2 sethostname(\"box\", 3) = 0\n", "");
        assert!(
            compare(PLAN, &run)
                .iter()
                .any(|problem| problem.contains("planned, but"))
        );
    }

    #[test]
    fn the_child_sets_its_own_limits() {
        let plan = PLAN.replace("hostname box", "set RLIMIT_CORE 0:0");
        let run = |call: &str| RUN.replace("sethostname(\"box\", 3)", call);
        let limited = run("prlimit64(0, RLIMIT_CORE, {rlim_cur=0, rlim_max=0}, NULL)");
        assert_eq!(compare(&plan, &limited), Vec::<String>::new());
        for other in [
            "prlimit64(0, RLIMIT_NOFILE, {rlim_cur=0, rlim_max=0}, NULL)",
            "prlimit64(0, RLIMIT_CORE, NULL, {rlim_cur=0, rlim_max=0})",
        ] {
            let problems = compare(&plan, &run(other));
            assert!(
                problems
                    .iter()
                    .any(|problem| problem.contains("planned, but no prlimit64")),
                "{problems:?}"
            );
        }
    }

    #[test]
    fn an_unknown_step_is_found() {
        let plan = PLAN.replace("hostname box", "frobnicate");
        assert!(compare(&plan, RUN)[0].contains("does not know"));
    }
}
