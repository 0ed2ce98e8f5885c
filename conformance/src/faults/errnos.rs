//! Which errors each kind of step can really give, by the man pages of the calls that it makes; the first ones are the gate's.

/// An error number by its name.
pub struct Errno {
    pub name: &'static str,
    pub number: i32,
}

const NUMBERS: [(&str, i32); 29] = [
    ("EPERM", 1),
    ("ENOENT", 2),
    ("EIO", 5),
    ("ENOEXEC", 8),
    ("EAGAIN", 11),
    ("ENOMEM", 12),
    ("EACCES", 13),
    ("EBUSY", 16),
    ("ENODEV", 19),
    ("ENOTDIR", 20),
    ("EINVAL", 22),
    ("ENFILE", 23),
    ("EMFILE", 24),
    ("ENOTTY", 25),
    ("ENOSPC", 28),
    ("EROFS", 30),
    ("EPIPE", 32),
    ("ERANGE", 34),
    ("ENOSYS", 38),
    ("ELOOP", 40),
    ("EPROTO", 71),
    ("EUSERS", 87),
    ("EOPNOTSUPP", 95),
    ("ENOBUFS", 105),
    ("ECONNRESET", 104),
    ("ETIMEDOUT", 110),
    ("ECONNREFUSED", 111),
    ("EDQUOT", 122),
    ("EKEYREJECTED", 129),
];

/// By the beginning of a child step's text. Steps that cannot fail have no error: they can only die.
const CHILD: [(&str, &[&str]); 47] = [
    ("go on", &[]),
    ("non-dumpable", &["EINVAL"]),
    ("join keyring", &["EDQUOT", "ENOMEM", "EACCES"]),
    ("join ", &["EPERM", "EINVAL", "ENOMEM"]),
    ("unshare ", &["ENOSPC", "EPERM", "ENOMEM", "EUSERS"]),
    ("become root", &["EPERM", "EINVAL", "EAGAIN"]),
    ("fork", &["EAGAIN", "ENOMEM"]),
    ("enter time namespace", &["EACCES", "ERANGE", "EPERM"]),
    ("barrier ", &["ENOMEM", "EPIPE", "EPROTO"]),
    ("new session", &["EPERM"]),
    ("loopback up", &["EPERM", "EMFILE", "ENODEV"]),
    ("hostname ", &["EPERM", "EINVAL"]),
    ("domainname ", &["EPERM", "EINVAL"]),
    ("open pty", &["ENOSPC", "EIO", "ENOENT"]),
    ("open /proc", &["EMFILE", "ENOENT", "ENFILE"]),
    ("open /dev/null", &["ENOENT", "EMFILE", "EACCES"]),
    ("write ", &["EACCES", "EINVAL", "EROFS", "ENOENT"]),
    ("make the tree", &["EINVAL", "EPERM"]),
    ("bind root", &["ENOENT", "EACCES", "ENOMEM", "ENOTDIR"]),
    (
        "mount ",
        &["EPERM", "EINVAL", "ENODEV", "ENOMEM", "ENOSPC", "EBUSY"],
    ),
    ("remount ", &["EPERM", "EINVAL", "EBUSY"]),
    ("bind ", &["ENOENT", "EPERM", "EACCES", "ENOTDIR", "ENOSPC"]),
    ("rbind ", &["ENOENT", "EPERM", "ENOSPC"]),
    ("mkdir ", &["ENOSPC", "EROFS", "EDQUOT"]),
    ("mknod ", &["ENOSPC", "EPERM", "EROFS", "EDQUOT"]),
    ("symlink ", &["EROFS", "ENOSPC", "EACCES"]),
    ("send ", &["EPIPE", "ENOBUFS"]),
    ("use ", &["EPERM", "ENOTTY"]),
    ("own stdio", &["EROFS", "EPERM", "EIO"]),
    ("run createContainer hook", &["EAGAIN", "ENOMEM"]),
    ("run startContainer hook", &["EAGAIN", "ENOMEM"]),
    ("run on cpus", &["EINVAL", "EPERM"]),
    ("pivot root", &["EINVAL", "EBUSY", "EPERM"]),
    ("chroot ", &["EPERM", "EACCES"]),
    ("mask ", &["ENOMEM", "EPERM", "ENOSPC"]),
    ("make ", &["EPERM", "ENOMEM", "EINVAL"]),
    ("set RLIMIT", &["EPERM", "EINVAL"]),
    ("umask ", &[]),
    ("bounding set", &["EPERM", "EINVAL"]),
    ("groups ", &["EPERM", "ENOMEM"]),
    ("ids ", &["EAGAIN", "EPERM", "EINVAL"]),
    ("chdir ", &["EACCES", "ENOENT", "ENOTDIR", "ELOOP"]),
    ("find home", &["EIO", "ENFILE"]),
    ("find executable", &["EACCES", "ENOENT", "ENOTDIR", "EIO"]),
    ("close on exec", &["ENOMEM", "EINVAL"]),
    ("await start", &["EIO"]),
    ("exec ", &["ENOENT", "ENOEXEC", "EACCES", "ENOMEM"]),
];

/// The rest of the child's, kept apart only for the length of the list above.
const CHILD_RIGHTS: [(&str, &[&str]); 8] = [
    ("capabilities ", &["EPERM"]),
    ("ambient set", &["EPERM"]),
    ("no new privileges", &["EINVAL"]),
    ("seccomp ", &["EINVAL", "ENOMEM", "EACCES"]),
    ("scheduler ", &["EPERM", "EINVAL", "EBUSY"]),
    ("io priority", &["EPERM", "EINVAL"]),
    ("memory policy", &["EINVAL", "ENOMEM"]),
    ("personality ", &["EINVAL"]),
];

const HOST: [(&str, &[&str]); 27] = [
    ("cgroup make", &["ENOSPC", "EROFS", "ENOMEM", "EACCES"]),
    ("cgroup write", &["EINVAL", "EBUSY", "EACCES"]),
    ("cgroup devices", &["EPERM", "EINVAL"]),
    ("cgroup own", &["EPERM", "EROFS"]),
    ("cgroup join", &["EAGAIN", "EMFILE", "EACCES", "EBUSY"]),
    ("systemd ", &["ETIMEDOUT", "ECONNREFUSED", "EPIPE"]),
    ("open ", &["ENOENT", "EMFILE", "EACCES", "ENFILE"]),
    ("map ids", &["EINVAL", "EPERM"]),
    ("make id map", &["EAGAIN", "ENOSPC", "EPERM"]),
    ("make state file", &["EMFILE", "ENOMEM"]),
    ("make fifos", &["ENOSPC", "EDQUOT", "EROFS"]),
    ("make notify socket", &["ENOSPC", "EDQUOT"]),
    ("spawn", &["EAGAIN", "ENOMEM", "EMFILE", "EPERM"]),
    ("write state files", &["ENOSPC", "ENOMEM"]),
    ("write maps", &["EPERM", "EINVAL"]),
    ("draft state", &["ENOSPC", "EDQUOT", "EIO"]),
    ("write state", &["ENOSPC", "EDQUOT", "EIO"]),
    ("write pid file", &["ENOSPC", "EROFS", "EDQUOT"]),
    ("set oom score", &["EACCES", "EINVAL"]),
    ("set RLIMIT", &["EPERM", "EINVAL"]),
    ("move interface", &["EBUSY", "ENODEV", "EPERM"]),
    ("join resctrl", &["ENOSPC", "EINVAL"]),
    ("barrier ", &["ECONNRESET", "ENOMEM", "EPROTO"]),
    ("pass console", &["ECONNREFUSED", "EPIPE"]),
    ("pass pidfd", &["ECONNREFUSED", "EPIPE"]),
    ("pass listener", &["ECONNREFUSED", "EMFILE"]),
    ("run ", &["EAGAIN", "ENOMEM"]),
];

/// What a step of this text can give.
///
/// # Panics
/// For a step that the tables lack: no step may be left out because nobody thought of it.
pub fn of(child: bool, text: &str) -> Vec<Errno> {
    let rows: Vec<_> = if child {
        CHILD.iter().chain(&CHILD_RIGHTS).collect()
    } else {
        HOST.iter().collect()
    };
    let Some((_, names)) = rows.into_iter().find(|(begin, _)| text.starts_with(begin)) else {
        panic!("no errors are known for the step {text:?}: add it to the table of errnos.rs");
    };
    names.iter().map(|name| by_name(name)).collect()
}

/// The number of an error's name.
pub fn by_name(name: &str) -> Errno {
    let (name, number) = NUMBERS
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("no number of {name}"));
    Errno {
        name,
        number: *number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_number() {
        for (_, names) in CHILD.iter().chain(&CHILD_RIGHTS).chain(&HOST) {
            for name in *names {
                let number = by_name(name).number;
                let own = rustix::io::Errno::from_raw_os_error(number);
                assert_eq!(format!("{own:?}").is_empty(), number == 0, "{name}");
            }
        }
    }

    #[test]
    fn a_step_is_found_by_its_whole_beginning() {
        assert_eq!(of(true, "join keyring _ses.x")[0].name, "EDQUOT");
        assert_eq!(of(true, "join pid $ns-pid")[0].name, "EPERM");
        assert_eq!(of(false, "write state files")[0].name, "ENOSPC");
        assert!(of(true, "umask 0022").is_empty());
    }

    #[test]
    #[should_panic(expected = "no errors are known")]
    fn an_unknown_step_is_not_passed_over() {
        of(true, "sing a song");
    }
}
