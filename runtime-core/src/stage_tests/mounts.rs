//! Mount, Bind, Remount: attributes, options, copies, destinations that have to be made.
use super::support::{BUSYBOX, Lane, ROOT, Scratch, before_mount_setattr, bind, tmpfs};
use crate::plan::ir::{ChildOp, Kind, MountAttr};
use tare_sys::Errno;

const RDONLY: u64 = 1;
const NOATIME: u64 = 0x10;

fn line_of(scratch: &Scratch, place: &str) -> String {
    format!(
        "grep ' {}{place} ' /proc/self/mountinfo | tail -n 1",
        scratch.text()
    )
}

#[test]
fn a_tmpfs_has_its_options_and_flags() {
    let scratch = Scratch::new();
    let mut lane = Lane::rooted(&scratch);
    lane.op(tmpfs(
        "/a/t",
        2 | 4 | 8 | NOATIME,
        &["size=64k", "mode=711", "nr_inodes=50"],
    ));
    let said = lane.shell(&format!(
        "{}; stat -c %a {1}/a/t {1}/a",
        line_of(&scratch, "/a/t"),
        scratch.text()
    ));
    let said = said.said();
    for part in [
        " rw,nosuid,nodev,noexec,noatime - tmpfs source rw,",
        "size=64k",
        "nr_inodes=50",
        "mode=711",
        "\n711\n755",
    ] {
        assert!(said.contains(part), "no {part} in {said}");
    }
}

#[test]
fn atime_flags_are_the_kernels() {
    for (set, word) in [
        (0, " rw,relatime - "),
        (NOATIME, " rw,noatime - "),
        (0x20, " rw - "),
        (0x80, " rw,nodiratime,relatime - "),
        (RDONLY | 0x20, " ro - "),
    ] {
        let scratch = Scratch::new();
        let mut lane = Lane::rooted(&scratch);
        lane.op(tmpfs("/t", set, &[]));
        let ended = lane.shell(&line_of(&scratch, "/t"));
        assert!(ended.said().contains(word), "{set:#x}: {}", ended.output);
    }
}

#[test]
fn superblock_flags_and_what_the_kernel_refuses() {
    let scratch = Scratch::new();
    let mut lane = Lane::rooted(&scratch);
    lane.op(tmpfs("/t", 0, &["ro"]));
    let ended = lane.shell(&line_of(&scratch, "/t"));
    assert!(ended.said().contains("tmpfs source ro"), "{}", ended.output);

    let refused = |options: &[&str], errno| {
        let mut lane = Lane::rooted(&scratch);
        lane.op(tmpfs("/t", 0, options));
        lane.op(ChildOp::Nothing);
        lane.run().fails_before(1, errno);
    };
    refused(&["nonsense=1"], Errno::EINVAL);
    refused(&["size=x"], Errno::EINVAL);
    let mut unknown = tmpfs("/t", 0, &[]);
    if let ChildOp::Mount { fstype, .. } = &mut unknown {
        *fstype = "nosuchfs".to_owned();
    }
    let mut lane = Lane::rooted(&scratch);
    lane.op(unknown);
    lane.run().fails(Errno::ENODEV);
    let mut lane = Lane::new();
    lane.op(tmpfs("/t", 0, &[]));
    lane.run().fails(Errno::EBADF);
}

#[test]
fn copy_up_keeps_files_directories_links_and_modes() {
    let scratch = Scratch::new();
    scratch.directory("data", 0o1751);
    scratch.directory("data/sub", 0o700);
    scratch.file("data/sub/deep", "deep", 0o4751);
    scratch.file("data/plain", &"x".repeat(20_000), 0o640);
    scratch.link("data/link", "sub/deep");
    scratch.link("data/dangling", "/nowhere");
    for number in 0..200 {
        // More than one buffer of directory entries.
        scratch.file(&format!("data/many-{number}"), "", 0o600);
    }
    let mut copied = tmpfs("/data", RDONLY, &[]);
    if let ChildOp::Mount { copy_up, .. } = &mut copied {
        *copy_up = true;
    }
    let mut lane = Lane::rooted(&scratch);
    lane.op(copied);
    let ended = lane.shell(&format!(
        "cd {}/data; stat -c '%a %F %s' . sub sub/deep plain; readlink link; readlink dangling; cat link; echo
         ls | grep -c many; stat -f -c %T .; touch x 2>&1 | grep -o Read-only",
        scratch.text()
    ));
    let said = ended.said().lines().collect::<Vec<_>>();
    assert!(said[0].starts_with("1751 directory"), "{said:?}");
    assert!(said[1].starts_with("700 directory"), "{said:?}");
    assert_eq!(
        said[2..],
        [
            "4751 regular file 4",
            "640 regular file 20000",
            "sub/deep",
            "/nowhere",
            "deep",
            "200",
            "tmpfs",
            "Read-only"
        ]
    );
}

#[test]
fn binds_make_their_destinations() {
    let scratch = Scratch::new();
    scratch.directory("source", 0o755);
    scratch.file("source/file", "text", 0o644);
    let source = scratch.at("source");
    let file = scratch.at("source/file");
    let mut lane = Lane::rooted(&scratch);
    lane.op(bind(source.to_str().unwrap(), "/made/dir", Kind::Directory))
        .op(bind(file.to_str().unwrap(), "/made/file", Kind::File))
        .op(bind(
            source.to_str().unwrap(),
            "/like/dir",
            Kind::LikeSource,
        ))
        .op(bind(file.to_str().unwrap(), "/like/file", Kind::LikeSource));
    let ended = lane.shell(&format!(
        "cd {}; cat made/dir/file made/file like/dir/file like/file",
        scratch.text()
    ));
    assert_eq!(ended.said(), "texttexttexttext");
    assert!(scratch.at("made/file").is_file() && scratch.at("like/dir").is_dir());
}

#[test]
fn a_bind_has_its_own_attributes_and_propagation() {
    let scratch = Scratch::new();
    scratch.directory("source", 0o755);
    let mut shared = bind(
        scratch.at("source").to_str().unwrap(),
        "/dest",
        Kind::Directory,
    );
    if let ChildOp::Bind { attr, .. } = &mut shared {
        *attr = MountAttr {
            set: RDONLY | 8,
            propagation: 1 << 20,
            ..MountAttr::default()
        };
    }
    let mut lane = Lane::rooted(&scratch);
    lane.op(shared);
    let ended = lane.shell(&format!(
        "{}; touch {}/source/x && echo writable",
        line_of(&scratch, "/dest"),
        scratch.text()
    ));
    let said = ended.said();
    assert!(
        said.contains(" ro,noexec,") || said.contains(" ro,nosuid"),
        "{said}"
    );
    assert!(
        said.contains("noexec") && said.contains(" shared:"),
        "{said}"
    );
    assert!(said.ends_with("writable"), "{said}");
}

#[test]
fn a_recursive_bind_takes_what_is_beneath() {
    if before_mount_setattr() {
        return;
    }
    let scratch = Scratch::new();
    let source = scratch.at("source");
    // The copy that leaves the mount out shows the directory it covered, in a mount that is not read-only.
    for (all, expect) in [(true, &["1"][..]), (false, &["0", "w"])] {
        let mut copy = bind(source.to_str().unwrap(), "/copy", Kind::Directory);
        if let ChildOp::Bind {
            recursive, attr, ..
        } = &mut copy
        {
            *recursive = all;
            attr.set_recursive = if all { RDONLY } else { 0 };
        }
        let mut lane = Lane::rooted(&scratch);
        lane.op(tmpfs("/source", 0, &[]))
            .op(tmpfs("/source/below", 0, &[]))
            .op(copy);
        let ended = lane.shell(&format!(
            "grep -c ' {0}/copy/below ' /proc/self/mountinfo; touch {0}/copy/below/x 2>/dev/null && echo w; true",
            scratch.text()
        ));
        let said: Vec<_> = ended.said().lines().collect();
        assert_eq!(said, expect);
    }
}

#[test]
fn binds_that_cannot_be() {
    let scratch = Scratch::new();
    scratch.directory("dir", 0o755);
    scratch.file("file", "", 0o644);
    let fails = |op, errno| {
        let mut lane = Lane::rooted(&scratch);
        lane.op(op).op(ChildOp::Nothing);
        lane.run().fails_before(1, errno);
    };
    fails(
        bind("/no/such/source", "/d", Kind::LikeSource),
        Errno::ENOENT,
    );
    fails(bind(BUSYBOX, "/dir", Kind::File), Errno::EINVAL);
    fails(bind("/usr", "/file", Kind::Directory), Errno::ENOTDIR);
    fails(bind("/usr", "/file/below", Kind::Directory), Errno::ENOTDIR);
}

#[test]
fn remount_changes_one_mount_and_its_superblock() {
    let scratch = Scratch::new();
    let remount = |dest: &str, set, clear, options: &[(&str, &str)]| ChildOp::Remount {
        root: ROOT,
        dest: dest.to_owned(),
        attr: MountAttr {
            set,
            clear,
            ..MountAttr::default()
        },
        options: options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())))
            .collect(),
    };
    let mut lane = Lane::rooted(&scratch);
    lane.op(tmpfs("/t", 2 | RDONLY, &["size=64k"])).op(remount(
        "/t",
        8,
        RDONLY,
        &[("size", "128k")],
    ));
    let ended = lane.shell(&line_of(&scratch, "/t"));
    let said = ended.said();
    assert!(said.contains(" rw,nosuid,noexec,relatime - "), "{said}");
    assert!(said.contains("size=128k"), "{said}");

    let mut lane = Lane::rooted(&scratch);
    lane.op(remount("/absent", RDONLY, 0, &[]));
    lane.run().fails(Errno::ENOENT);
    scratch.directory("plain", 0o755);
    let mut lane = Lane::rooted(&scratch);
    lane.op(remount("/plain", RDONLY, 0, &[]));
    lane.run().fails(Errno::EINVAL);
}

#[test]
fn destinations_stay_inside_the_root() {
    let scratch = Scratch::new();
    let name = format!("escaped-{}", std::process::id());
    scratch.link("up", "../../../../../..");
    scratch.link("absolute", "/");
    scratch.directory("elsewhere", 0o755);
    scratch.link("inside", "/elsewhere");
    let mut lane = Lane::rooted(&scratch);
    lane.op(tmpfs(&format!("/up/{name}-1"), 0, &[]))
        .op(bind(
            "/usr",
            &format!("/absolute/{name}-2"),
            Kind::Directory,
        ))
        .op(bind(BUSYBOX, &format!("/../../{name}-3"), Kind::File))
        .op(tmpfs("/inside/t", 0, &[]));
    let ended = lane.shell(&format!(
        "grep -c ' {}/' /proc/self/mountinfo",
        scratch.text()
    ));
    assert_eq!(ended.said(), "4");
    for number in 1..4 {
        let name = format!("{name}-{number}");
        assert!(scratch.at(&name).exists());
        assert!(!std::path::Path::new("/").join(&name).exists());
    }
    assert!(scratch.at("elsewhere/t").is_dir());
}

#[test]
fn dangling_links_are_made_inside() {
    let scratch = Scratch::new();
    scratch.link("directory", "/made/deep");
    scratch.link("file", "made-file");
    scratch.directory("sub", 0o755);
    scratch.link("sub/relative", "../new/../new/parents/file");
    scratch.link("sub/outside", "/../../../new-file");
    let mut lane = Lane::rooted(&scratch);
    lane.op(tmpfs("/directory/t", 0, &[]))
        .op(bind(BUSYBOX, "/file", Kind::File))
        .op(bind(BUSYBOX, "/sub/relative", Kind::File))
        .op(bind(BUSYBOX, "/sub/outside", Kind::File));
    let ended = lane.shell(&format!("stat -c %s {}/made-file", scratch.text()));
    assert_ne!(ended.said(), "0");
    assert!(scratch.at("made/deep/t").is_dir() && scratch.at("made-file").is_file());
    assert!(scratch.at("file").is_symlink());
    assert!(scratch.at("new/parents/file").is_file() && scratch.at("new-file").is_file());
    scratch.link("left", "right");
    scratch.link("right", "left");
    Lane::rooted(&scratch)
        .op(bind(BUSYBOX, "/left", Kind::File))
        .run()
        .fails(Errno::ELOOP);
}

#[test]
fn no_symlink_refuses_one_anywhere_in_the_destination() {
    let scratch = Scratch::new();
    scratch.directory("other", 0o755);
    scratch.directory("other/below", 0o755);
    scratch.link("last", "other");
    let strict = |dest: &str| {
        let mut op = tmpfs(dest, 0, &[]);
        if let ChildOp::Mount { no_symlink, .. } = &mut op {
            *no_symlink = true;
        }
        let mut lane = Lane::rooted(&scratch);
        lane.op(op);
        lane
    };
    strict("/last").run().fails(Errno::ELOOP);
    strict("/last/below").run().fails(Errno::ELOOP);
    let ended = strict("/other/below").shell(&line_of(&scratch, "/other/below"));
    assert!(ended.said().contains("tmpfs"));
    strict("/new/place").shell("true").said();
}

#[test]
fn an_idmapped_bind_shows_other_owners() {
    use crate::plan::ir::{Extent, Slot};
    if before_mount_setattr() {
        return;
    }
    let scratch = Scratch::new();
    let shift = [Extent {
        inside: 0,
        outside: 7,
        size: 100,
    }];
    let bound = |mut lane: Lane| {
        let mut mapped = bind(scratch.at("t").to_str().unwrap(), "/shown", Kind::Directory);
        if let ChildOp::Bind { idmap, .. } = &mut mapped {
            *idmap = Some((Slot(0), false));
        }
        lane.handed
            .push(crate::idmap::of_root(&shift, &shift).unwrap());
        lane.root(&scratch)
            .op(tmpfs("/t", 0, &["mode=777"]))
            .op(mapped);
        lane
    };
    let script = format!(
        "cd {}; touch t/f; stat -c %u:%g t/f shown/f",
        scratch.text()
    );
    assert_eq!(bound(Lane::privileged()).shell(&script).said(), "0:0\n7:7");
    // The kernel asks for rights over the namespace of the maps, which a sibling lacks.
    bound(Lane::new()).run().fails(Errno::EPERM);
}
