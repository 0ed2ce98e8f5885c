//! Reads a strace of a start and finds every call that resolves a path into the container's root the unsafe way.
//!
//! Pure: text in, problems out. Safe are: openat2 that stays beneath a descriptor; a single name beside a descriptor; a descriptor
//! alone. Until the root is `/` any other path into it could lead out by a link that is put there meanwhile.

/// Problems in `strace` (of `strace -f`), for a container whose root is the host directory `rootfs`.
pub fn into_root(strace: &str, rootfs: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut inside: Vec<&str> = Vec::new();
    for line in strace.lines() {
        let Some((pid, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        let Some((name, arguments)) = call.split_once('(') else {
            continue;
        };
        // What a process does after its root is the container's, or as the container's program, is resolved there.
        if matches!(name, "pivot_root" | "chroot") {
            inside.push(pid);
        }
        if inside.contains(&pid) {
            continue;
        }
        if let Some(why) = wrong(name, arguments, rootfs) {
            problems.push(format!("{why}: {call}"));
        }
    }
    problems
}

/// Calls that open, make, remove, move or mount by a path, and how many paths each has.
const PATHS: [&str; 26] = [
    "open",
    "openat",
    "openat2",
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "symlink",
    "symlinkat",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "rename",
    "renameat",
    "renameat2",
    "mount",
    "umount2",
    "chdir",
    "chown",
    "fchownat",
    "chmod",
    "open_tree",
    "move_mount",
];

fn wrong(name: &str, arguments: &str, rootfs: &str) -> Option<&'static str> {
    if !PATHS.contains(&name) {
        return None;
    }
    let words = split(arguments);
    if name == "openat2" {
        let stays = arguments.contains("RESOLVE_IN_ROOT") || arguments.contains("RESOLVE_BENEATH");
        return (!stays).then_some("openat2 that may leave its directory");
    }
    for (index, word) in words.iter().enumerate() {
        let Some(path) = word
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        else {
            continue;
        };
        // A link's own text is resolved by whoever follows it.
        if matches!(name, "symlink" | "symlinkat") && index == 0 {
            continue;
        }
        let descriptor = index > 0
            && words[index - 1].parse::<i32>().is_ok()
            && (name.ends_with("at") || matches!(name, "renameat2" | "open_tree" | "move_mount"));
        if descriptor {
            // A file system of control groups holds no links: the names of a slice lead nowhere else.
            if path.contains('/') && !path.ends_with(".scope") {
                return Some("a path of several names beside a descriptor");
            }
            continue;
        }
        if let Some(below) = path.strip_prefix(rootfs) {
            let itself = below.trim_matches('/').is_empty();
            let opened = matches!(name, "openat" | "open_tree") && !arguments.contains("O_CREAT");
            if (itself && !opened) || below.starts_with('/') && !itself {
                return Some("a path into the root");
            }
        }
        if through_descriptor(path) {
            return Some("a path through a descriptor's link");
        }
        if name == "mount" && index == 1 && !matches!(path, "/" | ".") && !is_descriptor(path) {
            return Some("a mount at a path");
        }
    }
    None
}

/// `/proc/self/fd/5/etc`: the kernel walks from there, and out by any link.
fn through_descriptor(path: &str) -> bool {
    path.strip_prefix("/proc/self/fd/")
        .is_some_and(|rest| rest.contains('/'))
}

/// `/proc/self/fd/5`: the descriptor itself.
fn is_descriptor(path: &str) -> bool {
    path.strip_prefix("/proc/self/fd/")
        .is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// Arguments at their commas, but not those within quotes, braces or brackets.
fn split(arguments: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut escaped, mut start) = (0_i32, false, false, 0);
    let mut words = Vec::new();
    for (at, byte) in arguments.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' => depth -= 1,
            b')' if depth == 0 => {
                words.push(arguments[start..at].trim());
                return words;
            }
            b')' => depth -= 1,
            b',' if depth == 0 => {
                words.push(arguments[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(arguments[start..].trim());
    words
}

#[cfg(test)]
mod tests {
    use super::into_root;

    fn problems(call: &str) -> usize {
        into_root(&format!("7  {call}\n"), "/b/rootfs").len()
    }

    #[test]
    fn paths_into_the_root_are_found() {
        for call in [
            r#"open("/b/rootfs/dev/null", O_RDONLY) = 3"#,
            r#"openat(AT_FDCWD, "/b/rootfs/dev", O_PATH) = 3"#,
            r#"mkdirat(AT_FDCWD, "/b/rootfs/x", 0755) = 0"#,
            r#"mkdirat(5, "a/b", 0755) = 0"#,
            r#"mount("tmpfs", "/b/rootfs/tmp", "tmpfs", 0, "size=1") = 0"#,
            r#"mount("tmpfs", "/tmp", "tmpfs", 0, NULL) = 0"#,
            r#"mount("/b/rootfs", "/b/rootfs", NULL, MS_BIND, NULL) = 0"#,
            r#"symlinkat("x", AT_FDCWD, "/b/rootfs/x") = 0"#,
            r#"unlink("/b/rootfs/x") = 0"#,
            r#"openat(AT_FDCWD, "/proc/self/fd/5/dev", O_PATH) = 6"#,
            r#"openat2(5, "dev", {flags=O_PATH, resolve=0}, 24) = 6"#,
            r#"move_mount(5, "", 6, "dev/x", MOVE_MOUNT_F_EMPTY_PATH) = 0"#,
        ] {
            assert_eq!(problems(call), 1, "{call}");
        }
    }

    #[test]
    fn what_cannot_lead_out_passes() {
        for call in [
            r#"openat(AT_FDCWD, "/b/rootfs", O_RDONLY|O_PATH|O_DIRECTORY) = 3"#,
            r#"openat2(5, "dev/a, b", {flags=O_PATH, resolve=RESOLVE_NO_MAGICLINKS|RESOLVE_IN_ROOT}, 24) = 6"#,
            r#"mkdirat(5, "a", 0755) = 0"#,
            r#"symlinkat("/proc/self/fd", 7, "fd") = 0"#,
            r#"move_mount(5, "", 6, "", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH) = 0"#,
            r#"mount(NULL, "/", NULL, MS_REC|MS_SLAVE, NULL) = 0"#,
            r#"mount(NULL, "/proc/self/fd/5", NULL, MS_REMOUNT|MS_BIND, NULL) = 0"#,
            r#"open("/b/rootfs-2/x", O_RDONLY) = 3"#,
            r#"fstatat64(5, "a/b") = 0"#,
        ] {
            assert_eq!(problems(call), 0, "{call}");
        }
        let after = "7 pivot_root(\".\", \".\") = 0\n7 openat(AT_FDCWD, \"/etc/x\", O_PATH) = 3\n";
        assert!(into_root(after, "/").is_empty());
    }
}
