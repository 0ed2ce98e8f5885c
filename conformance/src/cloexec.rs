//! Whether every descriptor that a strace shows being made is close-on-exec from its birth. Pure: text in, problems out.
//!
//! The child between clone and execveat is left out: it makes copies that stage-init is to inherit, which the latter marks
//! before it does anything else.

use crate::trace::{Call, parse_calls};

/// Calls that make descriptors, and the word for close-on-exec in their flags.
const MAKERS: [(&str, &str); 22] = [
    ("open", "O_CLOEXEC"),
    ("openat", "O_CLOEXEC"),
    ("openat2", "O_CLOEXEC"),
    ("creat", "never"),
    ("socket", "SOCK_CLOEXEC"),
    ("socketpair", "SOCK_CLOEXEC"),
    ("accept", "never"),
    ("accept4", "SOCK_CLOEXEC"),
    ("memfd_create", "MFD_CLOEXEC"),
    ("pipe", "never"),
    ("pipe2", "O_CLOEXEC"),
    ("dup", "never"),
    ("epoll_create1", "EPOLL_CLOEXEC"),
    ("eventfd2", "EFD_CLOEXEC"),
    ("signalfd4", "SFD_CLOEXEC"),
    ("timerfd_create", "TFD_CLOEXEC"),
    ("inotify_init1", "IN_CLOEXEC"),
    ("fsopen", "FSOPEN_CLOEXEC"),
    ("fsmount", "FSMOUNT_CLOEXEC"),
    ("open_tree", "OPEN_TREE_CLOEXEC"),
    ("dup3", "O_CLOEXEC"),
    ("dup2", "never"),
];

/// What was made without it, and the number of calls looked at.
pub fn check(strace: &str) -> (Vec<String>, usize) {
    let calls = parse_calls(strace);
    let mut looked = 0;
    let mut problems = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        if call.result().is_none_or(|result| result < 0)
            || in_launch(&calls, index)
            || foreign(&calls, index)
        {
            continue;
        }
        if let Some(marked) = is_marked(call) {
            looked += 1;
            if !marked {
                problems.push(call.text.clone());
            }
        }
    }
    (problems, looked)
}

/// None for a call that makes no descriptor.
fn is_marked(call: &Call) -> Option<bool> {
    if call.is("fcntl") && call.text.contains("F_DUPFD") {
        return Some(call.text.contains("F_DUPFD_CLOEXEC"));
    }
    // A message may bring descriptors.
    if call.is("recvmsg") && call.text.contains("SCM_RIGHTS") {
        return Some(call.text.contains("MSG_CMSG_CLOEXEC"));
    }
    // Standard input, output and error are for the program; the terminal is put there.
    if call.is("dup3") && ["0", "1", "2"].contains(&target(call)) {
        return None;
    }
    let (_, word) = MAKERS.iter().find(|(name, _)| call.is(name))?;
    Some(call.text.contains(word))
}

/// The second argument.
fn target(call: &Call) -> &str {
    call.text.split(", ").nth(1).unwrap_or_default()
}

/// Between the process's first call and its execveat.
fn in_launch(calls: &[Call], index: usize) -> bool {
    let pid = calls[index].pid;
    let launched = |call: &Call| call.is("clone3") && call.result() == Some(pid);
    calls.iter().any(launched)
        && !calls[..index]
            .iter()
            .any(|call| call.pid == pid && call.is("execveat"))
}

/// In a program that is not ours: after an execve in the process, but for the very first call of the trace.
fn foreign(calls: &[Call], index: usize) -> bool {
    let pid = calls[index].pid;
    calls[..index].iter().enumerate().any(|(at, call)| {
        at > 0 && call.pid == pid && call.is("execve") && call.result() == Some(0)
    })
}

#[cfg(test)]
mod tests {
    use super::check;

    fn problems(lines: &str) -> Vec<String> {
        check(&format!("1 execve(\"trun\", [], []) = 0\n{lines}")).0
    }

    #[test]
    fn each_way_to_make_a_descriptor_is_looked_at() {
        for (good, bad) in [
            (
                "openat(AT_FDCWD, \"/x\", O_RDONLY|O_CLOEXEC) = 3",
                "openat(AT_FDCWD, \"/x\", O_RDONLY) = 3",
            ),
            (
                "openat2(3, \"x\", {flags=O_PATH|O_CLOEXEC}, 24) = 4",
                "openat2(3, \"x\", {flags=O_PATH}, 24) = 4",
            ),
            (
                "memfd_create(\"x\", MFD_CLOEXEC) = 3",
                "memfd_create(\"x\", 0) = 3",
            ),
            (
                "fcntl(3, F_DUPFD_CLOEXEC, 5) = 5",
                "fcntl(3, F_DUPFD, 5) = 5",
            ),
            ("dup3(3, 1, 0) = 1", "dup3(3, 9, 0) = 9"),
            (
                "open_tree(3, \"\", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC) = 3",
                "open_tree(3, \"\", OPEN_TREE_CLONE) = 3",
            ),
            (
                "recvmsg(3, {SCM_RIGHTS, [4]}, MSG_CMSG_CLOEXEC) = 4",
                "recvmsg(3, {SCM_RIGHTS, [4]}, 0) = 4",
            ),
            ("pipe2([3, 4], O_CLOEXEC) = 0", "pipe([3, 4]) = 0"),
        ] {
            assert_eq!(problems(&format!("1 {good}")), [""; 0], "{good}");
            assert_eq!(problems(&format!("1 {bad}")), [bad]);
        }
        assert_eq!(
            problems("1 openat(AT_FDCWD, \"/x\", O_RDONLY) = -1 ENOENT"),
            [""; 0]
        );
    }

    #[test]
    fn the_launch_and_the_containers_program_are_left_out() {
        let launch = "1 clone3({flags=CLONE_VM|CLONE_VFORK}, 88) = 2\n2 dup3(3, 5, 0) = 5\n2 execveat(4, \"\", [], []) = 0";
        assert_eq!(problems(launch), [""; 0]);
        let late = format!("{launch}\n2 open(\"/x\", O_RDONLY) = 3");
        assert_eq!(problems(&late).len(), 1);
        let program =
            format!("{launch}\n2 execve(\"/bin/sh\", [], []) = 0\n2 open(\"/x\", O_RDONLY) = 3");
        assert_eq!(problems(&program), [""; 0]);
    }
}
