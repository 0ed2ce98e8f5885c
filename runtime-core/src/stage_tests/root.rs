//! The way into the root, and what is hidden or made read-only there.
use super::support::{
    BUSYBOX, Lane, NULL, ROOT, Scratch, before_mount_setattr, bind, path_fd, tmpfs,
};
use crate::plan::ir::{ChildOp, Kind, Namespaces, Slot};
use rustix::mount::{MountPropagationFlags, OpenTreeFlags};
use tare_sys::Errno;

const SHELL: &str = "/busybox";

fn mask(path: &str) -> ChildOp {
    ChildOp::Mask {
        path: path.to_owned(),
        null: NULL,
    }
}

/// The host's procfs inside, for a look at mountinfo.
fn with_proc(lane: &mut Lane) {
    let mut proc = bind("/proc", "/proc", Kind::Directory);
    if let ChildOp::Bind { recursive, .. } = &mut proc {
        *recursive = true;
    }
    lane.op(proc);
}

#[test]
fn every_way_in_ends_at_the_root() {
    for enter in [
        ChildOp::PivotRoot(ROOT),
        ChildOp::MoveRoot(ROOT),
        ChildOp::Chroot(ROOT),
    ] {
        let scratch = Scratch::new();
        scratch.file("witness", "inside", 0o644);
        let ended = Lane::with_busybox(&scratch).op(enter.clone()).shell_at(
            SHELL,
            "/busybox pwd; cd ..; /busybox ls; /busybox cat /../../witness",
        );
        assert_eq!(ended.said(), "/\nbusybox\nwitness\ninside", "{enter:?}");
    }
}

#[test]
fn a_copy_of_the_root_has_its_mounts_and_is_in_no_table() {
    let scratch = Scratch::new();
    let tree = Slot(9);
    let mut lane = Lane::with_busybox(&scratch);
    with_proc(&mut lane);
    let ended = lane
        .op(tmpfs("/t", 0, &[]))
        .op(ChildOp::CloneRoot { root: ROOT, tree })
        .op(ChildOp::Chroot(tree))
        .shell_at(
            SHELL,
            "/busybox touch /t/x && /busybox ls /; /busybox wc -l </proc/self/mountinfo",
        );
    assert_eq!(ended.said(), "busybox\nproc\nt\n0");
    assert!(!scratch.at("t/x").exists());
}

/// The caller's mounts are shared, and the child's come from them: in a thread with a mount namespace of its own.
#[test]
fn a_tree_of_the_hosts_becomes_the_root_and_sends_nothing_back() {
    for lane in [Lane::privileged, Lane::new] {
        let scratch = Scratch::new();
        scratch.file("witness", "inside", 0o644);
        scratch.directory("below", 0o755);
        std::thread::scope(|scope| {
            let test = scope.spawn(|| bind_a_shared_tree(lane(), &scratch));
            test.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    }
}

fn bind_a_shared_tree(mut lane: Lane, scratch: &Scratch) {
    tare_sys::ns::unshare(Namespaces::MOUNT.0).unwrap();
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::SHARED | MountPropagationFlags::REC,
    )
    .unwrap();
    let none = rustix::mount::MountFlags::empty();
    rustix::mount::mount(
        "below",
        scratch.at("below"),
        "tmpfs",
        none,
        Some(c"mode=777"),
    )
    .unwrap();
    // The root must be a mount: of its own, so that it is a peer of one here.
    rustix::mount::mount_bind_recursive(scratch.text(), scratch.text()).unwrap();
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    lane.handed
        .push(rustix::mount::open_tree(rustix::fs::CWD, scratch.text(), flags).unwrap());
    lane.op(ChildOp::BindRoot {
        root: ROOT,
        path: "/out/of/reach".to_owned(),
        tree: Some(Slot(0)),
    })
    .op(bind(BUSYBOX, "/busybox", Kind::File));
    with_proc(&mut lane);
    let ended = lane
        .op(tmpfs("/beside", 0, &[]))
        .op(tmpfs("/below/inner", 0, &[]))
        .op(ChildOp::PivotRoot(ROOT))
        .shell_at(
            SHELL,
            "/busybox cat /witness; echo; /busybox grep -E '^([^ ]+ ){4}(/|/below) ' /proc/self/mountinfo",
        );
    let lines: Vec<_> = ended.said().lines().collect();
    assert_eq!((lines[0], lines.len()), ("inside", 3), "{lines:?}");
    let (root, below) = (lines[1], lines[2]);
    assert!(
        !root.contains("shared:") && !root.contains("master:"),
        "{root}"
    );
    assert!(
        !below.contains("shared:") && below.contains("master:"),
        "{below}"
    );
    let here = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    assert!(here.contains("/below "), "the look is at the wrong table");
    for name in ["/beside ", "/inner ", "/busybox "] {
        assert!(!here.contains(name), "{name} came back: {here}");
    }
}

#[test]
fn after_a_pivot_the_old_root_is_gone() {
    let scratch = Scratch::new();
    let mut lane = Lane::with_busybox(&scratch);
    with_proc(&mut lane);
    let ended = lane.op(ChildOp::PivotRoot(ROOT)).shell_at(
        SHELL,
        "/busybox cut -d' ' -f5 /proc/self/mountinfo | /busybox grep -v ^/proc",
    );
    assert_eq!(ended.said(), "/\n/busybox");
}

#[test]
fn what_is_no_mount_is_no_root() {
    let scratch = Scratch::new();
    scratch.directory("plain", 0o755);
    for enter in [ChildOp::PivotRoot(Slot(0)), ChildOp::MoveRoot(Slot(0))] {
        let mut lane = Lane::new();
        lane.handed.push(path_fd(&scratch.at("plain")));
        lane.op(enter).run().fails(Errno::EINVAL);
    }
    scratch.file("file", "", 0o644);
    let mut lane = Lane::new();
    lane.handed.push(path_fd(&scratch.at("file")));
    lane.op(ChildOp::Chroot(Slot(0)))
        .run()
        .fails(Errno::ENOTDIR);
    Lane::new()
        .op(ChildOp::PivotRoot(ROOT))
        .run()
        .fails(Errno::EBADF);
}

#[test]
fn the_roots_propagation_is_set() {
    for (flags, word) in [
        (1 << 20, "shared:"),
        (1 << 18, "/ rw,"),
        (1 << 17, "unbindable"),
    ] {
        let scratch = Scratch::new();
        let mut lane = Lane::with_busybox(&scratch);
        with_proc(&mut lane);
        let ended = lane
            .op(ChildOp::PivotRoot(ROOT))
            .op(ChildOp::RootPropagation(flags))
            .shell_at(
                SHELL,
                "/busybox grep ' / / \\|[^ ]* / rw' /proc/self/mountinfo",
            );
        let said = ended.said();
        let line = said
            .lines()
            .find(|line| line.split(' ').nth(4) == Some("/"));
        let line = line.unwrap_or_else(|| panic!("no root in {said}"));
        assert!(line.contains(word), "{flags:#x}: {line}");
        assert_eq!(line.contains("shared:"), word == "shared:", "{line}");
    }
    let scratch = Scratch::new();
    Lane::rooted(&scratch)
        .op(ChildOp::PivotRoot(ROOT))
        .op(ChildOp::RootPropagation(1 << 20 | 1 << 18))
        .run()
        .fails(Errno::EINVAL);
}

#[test]
fn a_readonly_root_is_this_mount_only() {
    let scratch = Scratch::new();
    let ended = Lane::with_busybox(&scratch)
        .op(tmpfs("/t", 0, &[]))
        .op(ChildOp::PivotRoot(ROOT))
        .op(ChildOp::RootReadonly)
        .shell_at(
            SHELL,
            "/busybox touch /t/x && echo t; /busybox touch /x 2>&1; /busybox true",
        );
    assert_eq!(ended.said(), "t\ntouch: /x: Read-only file system");
    assert!(!scratch.at("x").exists());
}

#[test]
fn masks_hide_files_and_directories() {
    let scratch = Scratch::new();
    for name in ["one", "two"] {
        scratch.file(name, "secret", 0o644);
        scratch.directory(&format!("dir-{name}"), 0o755);
        scratch.file(&format!("dir-{name}/inside"), "secret", 0o644);
    }
    scratch.link("link", "/dir-one");
    let mut lane = Lane::with_busybox(&scratch);
    lane.op(ChildOp::OpenNull(NULL))
        .op(ChildOp::PivotRoot(ROOT));
    for path in [
        "/one",
        "/two",
        "/dir-one",
        "/link",
        "/dir-two",
        "/absent",
        "/one/below",
    ] {
        lane.op(mask(path));
    }
    let ended = lane.shell_at(
        SHELL,
        "PATH=; b=/busybox; $b stat -c '%F %t:%T' /one /two; $b ls -a /dir-one /dir-two; $b touch /dir-two/x 2>&1; $b true",
    );
    assert_eq!(
        ended.said(),
        "character special file 1:3\ncharacter special file 1:3\n\
         /dir-one:\n.\n..\n\n/dir-two:\n.\n..\n\
         touch: /dir-two/x: Read-only file system"
    );
    Lane::rooted(&scratch)
        .op(ChildOp::PivotRoot(ROOT))
        .op(mask("/absent"))
        .op(mask("/dir-one"))
        .op(mask("/one"))
        .run()
        .fails(Errno::EBADF);
}

#[test]
fn readonly_paths_are_so_with_all_beneath() {
    if before_mount_setattr() {
        return;
    }
    let scratch = Scratch::new();
    scratch.directory("ro", 0o755);
    scratch.file("ro/file", "text", 0o644);
    scratch.link("loop", "loop");
    let mut lane = Lane::with_busybox(&scratch);
    lane.op(tmpfs("/ro/below", 0, &[]))
        .op(ChildOp::PivotRoot(ROOT));
    for path in ["/ro", "/absent", "/ro/file/below"] {
        lane.op(ChildOp::ReadonlyPath(path.to_owned()));
    }
    let ended = lane.shell_at(
        SHELL,
        "b=/busybox; for f in /ro/x /ro/below/x /beside; do $b touch $f 2>&1 && echo $f; done; $b cat /ro/file",
    );
    assert_eq!(
        ended.said(),
        "touch: /ro/x: Read-only file system\ntouch: /ro/below/x: Read-only file system\n/beside\ntext"
    );
    Lane::rooted(&scratch)
        .op(ChildOp::PivotRoot(ROOT))
        .op(ChildOp::ReadonlyPath("/loop".to_owned()))
        .run()
        .fails(Errno::ELOOP);
}

#[test]
fn the_root_must_be_there() {
    let scratch = Scratch::new();
    scratch.file("file", "", 0o644);
    for (name, errno) in [("absent", Errno::ENOENT), ("file", Errno::ENOTDIR)] {
        let root = ChildOp::BindRoot {
            root: ROOT,
            path: scratch.at(name).to_str().unwrap().to_owned(),
            tree: None,
        };
        Lane::new()
            .op(root)
            .op(ChildOp::Nothing)
            .run()
            .fails_before(1, errno);
    }
    // Without a mount namespace of its own nothing is changed for the host: it has no right to.
    let root = ChildOp::BindRoot {
        root: ROOT,
        path: scratch.text(),
        tree: None,
    };
    Lane::bare().op(root).run().fails(Errno::EPERM);
}
