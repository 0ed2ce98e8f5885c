//! Mkdir, Mknod, Symlink, and writes to a procfs that is proved to be one.
use super::support::{Lane, NULL, PROC, ROOT, Scratch, bind, tmpfs};
use crate::plan::ir::{ChildOp, Kind, MountAttr, Source};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use tare_sys::Errno;

fn mkdir(dest: &str, mode: u32) -> ChildOp {
    ChildOp::Mkdir {
        root: ROOT,
        dest: dest.to_owned(),
        mode,
    }
}

fn symlink(dest: &str, target: &str, replace: bool) -> ChildOp {
    ChildOp::Symlink {
        root: ROOT,
        dest: dest.to_owned(),
        target: target.to_owned(),
        replace,
    }
}

fn mknod(dest: &str, mode: u32, minor: u32) -> ChildOp {
    ChildOp::Mknod {
        root: ROOT,
        dest: dest.to_owned(),
        mode,
        major: u32::from(minor != 0),
        minor,
        uid: 0,
        gid: 0,
    }
}

fn write(path: &str, text: &str) -> ChildOp {
    ChildOp::WriteProc {
        proc: PROC,
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

/// Runs these ops in the scratch root.
fn run(scratch: &Scratch, ops: &[ChildOp]) -> super::support::Ended {
    let mut lane = Lane::rooted(scratch);
    for op in ops {
        lane.op(op.clone());
    }
    lane.run()
}

#[test]
fn mkdir_makes_all_missing_parts_with_the_mode() {
    let scratch = Scratch::new();
    scratch.file("file", "", 0o644);
    run(&scratch, &[mkdir("/a//b/./c/", 0o2771), mkdir("/a", 0o700)]).said();
    for name in ["a", "a/b", "a/b/c"] {
        let mode = std::fs::metadata(scratch.at(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o771, "{name}");
    }
    run(&scratch, &[ChildOp::Nothing, mkdir("/file/x", 0o755)]).fails(Errno::ENOTDIR);
    run(&scratch, &[mkdir("/file", 0o755)]).fails(Errno::ENOTDIR);
    run(&scratch, &[mkdir(&"x".repeat(256), 0o755)]).fails(Errno::ENAMETOOLONG);
    run(&scratch, &[mkdir(&"x/".repeat(2100), 0o755)]).fails(Errno::ENAMETOOLONG);
}

#[test]
fn links_are_followed_inside_and_loops_end() {
    let scratch = Scratch::new();
    let name = format!("made-{}", std::process::id());
    scratch.link("up", "../../../..");
    scratch.link("one", "two");
    scratch.link("two", "/three/four");
    scratch.link("left", "right");
    scratch.link("right", "left");
    run(
        &scratch,
        &[
            mkdir(&format!("/up/{name}"), 0o755),
            mkdir("/one/five", 0o755),
        ],
    )
    .said();
    assert!(scratch.at(&name).is_dir() && !std::path::Path::new("/").join(&name).exists());
    assert!(scratch.at("three/four/five").is_dir());
    run(&scratch, &[mkdir("/left/x", 0o755)]).fails(Errno::ELOOP);
}

#[test]
fn a_symlink_is_left_or_replaced() {
    let scratch = Scratch::new();
    scratch.link("kept", "old");
    scratch.link("changed", "old");
    scratch.file("was-file", "", 0o644);
    scratch.directory("dir", 0o755);
    let ops = [
        symlink("/kept", "new", false),
        symlink("/changed", "new", true),
        symlink("/was-file", "new", true),
        symlink("/made/dirs/link", "/etc/target", false),
    ];
    run(&scratch, &ops).said();
    for (name, target) in [
        ("kept", "old"),
        ("changed", "new"),
        ("was-file", "new"),
        ("made/dirs/link", "/etc/target"),
    ] {
        assert_eq!(
            std::fs::read_link(scratch.at(name)).unwrap().to_str(),
            Some(target)
        );
    }
    run(&scratch, &[symlink("/dir", "new", true)]).fails(Errno::EISDIR);
    run(&scratch, &[symlink("/dir/..", "new", true)]).fails(Errno::EINVAL);
}

#[test]
fn nodes_are_made_kept_and_replaced() {
    let scratch = Scratch::new();
    scratch.file("wrong", "text", 0o644);
    let fifo = 0o010_000;
    let ops = [
        mknod("/dev/fifo", fifo | 0o640, 0),
        mknod("/dev/fifo", fifo | 0o600, 0),
        mknod("/wrong", fifo | 0o600, 0),
    ];
    run(&scratch, &ops).said();
    let made = std::fs::metadata(scratch.at("dev/fifo")).unwrap();
    assert!(made.file_type().is_fifo());
    assert_eq!(
        made.permissions().mode() & 0o777,
        0o640,
        "the first one is left"
    );
    assert!(
        std::fs::metadata(scratch.at("wrong"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    // No device is made by a user namespace; the plan's alternative is a bind of the host's.
    run(&scratch, &[mknod("/null", 0o020_666, 3)]).fails(Errno::EPERM);
    let mut lane = Lane::rooted(&scratch);
    lane.op_or(
        mknod("/null", 0o020_666, 3),
        &[Errno::EACCES, Errno::EPERM],
        bind("/dev/null", "/null", Kind::File),
    );
    let ended = lane.shell(&format!(
        "cd {}; stat -c '%F %t:%T' null; echo x > null",
        scratch.text()
    ));
    assert_eq!(ended.said(), "character special file 1:3");
}

#[test]
fn an_alternative_is_for_its_errors_only() {
    let scratch = Scratch::new();
    let absent = || bind("/no/such", "/d", Kind::Directory);
    let mut lane = Lane::rooted(&scratch);
    lane.op_or(absent(), &[Errno::EPERM, Errno::EACCES], ChildOp::Nothing)
        .op(ChildOp::Nothing);
    lane.run().fails_before(1, Errno::ENOENT);
    // The alternative's own failure is the step's, and what succeeds leaves it out.
    let mut lane = Lane::rooted(&scratch);
    lane.op_or(absent(), &[Errno::ENOENT], mkdir("/d/../..", 0o755))
        .op_or(mkdir("/one", 0o755), &[Errno::EPERM], mkdir("/two", 0o755))
        .op_or(
            absent(),
            &[Errno::EIO, Errno::EPERM, Errno::EBUSY, Errno::ENOENT],
            symlink("/x/..", "", true),
        )
        .op(ChildOp::Nothing);
    lane.run().fails_before(1, Errno::EINVAL);
    assert!(scratch.at("one").is_dir() && !scratch.at("two").exists());
}

#[test]
fn the_own_oom_score_is_written() {
    let mut lane = Lane::new();
    lane.op(ChildOp::OpenProc(PROC))
        .op(write("self/oom_score_adj", "777"));
    assert_eq!(lane.shell("cat /proc/self/oom_score_adj").said(), "777");
    let fails = |path: &str, text: &str, errno| {
        let mut lane = Lane::new();
        lane.op(ChildOp::OpenProc(PROC))
            .op(write(path, text))
            .op(ChildOp::Nothing);
        lane.run().fails_before(1, errno);
    };
    fails("self/oom_score_adj", "2000", Errno::EINVAL);
    fails("self/no_such_file", "1", Errno::ENOENT);
    fails("self/cwd/etc/passwd", "1", Errno::ELOOP);
    fails("mounts", "1", Errno::ELOOP);
    fails("../etc/passwd", "1", Errno::EXDEV);
    let mut lane = Lane::new();
    lane.op(write("self/oom_score_adj", "1"));
    lane.run().fails(Errno::EBADF);
}

/// A copy of the host's whole tree as the new root, with something on it, before `/proc` or `/dev/null` are opened.
fn covered(cover: ChildOp) -> Lane {
    let mut lane = Lane::new();
    lane.op(ChildOp::BindRoot {
        root: ROOT,
        path: "/".to_owned(),
        tree: None,
    });
    lane.op(cover).op(ChildOp::Chroot(ROOT));
    lane
}

#[test]
fn what_stands_in_for_procfs_or_null_is_refused() {
    covered(tmpfs("/proc", 0, &[]))
        .op(ChildOp::OpenProc(PROC))
        .run()
        .fails(Errno::EXDEV);
    let beneath = ChildOp::Bind {
        root: ROOT,
        source: Source::Path("/proc/self".to_owned()),
        dest: "/proc".to_owned(),
        kind: Kind::Directory,
        recursive: false,
        attr: MountAttr::default(),
        idmap: None,
    };
    covered(beneath)
        .op(ChildOp::OpenProc(PROC))
        .run()
        .fails(Errno::EXDEV);
    covered(bind("/dev/zero", "/dev/null", Kind::File))
        .op(ChildOp::OpenNull(NULL))
        .run()
        .fails(Errno::ENODEV);
    covered(bind("/etc/hostname", "/proc/uptime", Kind::File))
        .op(ChildOp::OpenProc(PROC))
        .op(write("uptime", "1"))
        .run()
        .fails(Errno::EXDEV);
}
