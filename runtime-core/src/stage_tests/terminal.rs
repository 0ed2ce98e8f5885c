//! The container's pty, its console, its way to the host.
use super::support::{Ended, Lane, MASTER, ROOT, SLAVE, Scratch, bind, tmpfs};
use crate::plan::ir::{Barrier, ChildOp, Kind};
use std::fs::File;
use std::io::Read;
use tare_stage::report::Frame;
use tare_sys::Errno;

fn open(rows: u16, columns: u16, uid: u32) -> ChildOp {
    ChildOp::OpenPty {
        root: ROOT,
        master: MASTER,
        slave: SLAVE,
        rows,
        columns,
        uid,
    }
}

/// A root with a devpts of its own at /dev/pts and /dev/ptmx.
fn with_devpts(scratch: &Scratch) -> Lane {
    let mut devpts = tmpfs(
        "/dev/pts",
        0,
        &["newinstance", "ptmxmode=0666", "mode=0620"],
    );
    if let ChildOp::Mount { fstype, .. } = &mut devpts {
        *fstype = "devpts".to_owned();
    }
    let mut lane = Lane::with_busybox(scratch);
    lane.op(devpts).op(ChildOp::Symlink {
        root: ROOT,
        dest: "/dev/ptmx".to_owned(),
        target: "pts/ptmx".to_owned(),
        replace: true,
    });
    lane
}

/// What came out of the master that the child sent.
fn screen(ended: &mut Ended) -> String {
    assert_eq!(
        ended.frames,
        [Frame::Barrier {
            id: Barrier::Console.number()
        }]
    );
    let mut text = Vec::new();
    // EIO once no slave is open any more.
    let _ = File::from(ended.fds.remove(0)).read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_terminal_is_the_programs() {
    let scratch = Scratch::new();
    let mut lane = with_devpts(&scratch);
    lane.op(open(24, 81, 0))
        .op(ChildOp::BindConsole {
            root: ROOT,
            slave: SLAVE,
        })
        .op(ChildOp::SendFd {
            slot: MASTER,
            barrier: Barrier::Console,
        })
        .op(ChildOp::PivotRoot(ROOT))
        .op(ChildOp::Setsid)
        .op(ChildOp::UseTty(SLAVE));
    let mut ended = lane.shell_at(
        "/busybox",
        "b=/busybox; $b stty size; $b tty; echo controlling > /dev/console; $b stat -c '%F %a' /dev/console",
    );
    assert_eq!(ended.said(), "");
    let screen = screen(&mut ended);
    let expect = "24 81\r\n/dev/pts/0\r\ncontrolling\r\ncharacter special file 620\r\n";
    assert_eq!(screen, expect);
}

#[test]
fn the_slave_belongs_to_the_user() {
    assert!(super::support::is_root(), "needs root: maps of 65,536 ids");
    let scratch = Scratch::new();
    let mut lane = with_devpts(&scratch);
    // Without a holder of the master the slave would be gone by the exec.
    lane.op(open(0, 0, 44))
        .op(ChildOp::SendFd {
            slot: MASTER,
            barrier: Barrier::Console,
        })
        .op(ChildOp::PivotRoot(ROOT));
    let ended = lane.shell_at("/busybox", "/busybox stat -c %u /dev/pts/0");
    assert_eq!(ended.said(), "44");
}

#[test]
fn what_is_no_pty_of_the_containers_is_refused() {
    let scratch = Scratch::new();
    Lane::rooted(&scratch)
        .op(open(1, 1, 0))
        .run()
        .fails(Errno::ENOENT);
    let mut lane = Lane::rooted(&scratch);
    lane.op(bind("/dev/null", "/dev/ptmx", Kind::File))
        .op(open(1, 1, 0))
        .op(ChildOp::Nothing);
    lane.run().fails_before(1, Errno::ENOTTY);
    let other = Scratch::new();
    other.directory("dev", 0o755);
    other.file("dev/ptmx", "", 0o666);
    Lane::rooted(&other)
        .op(open(1, 1, 0))
        .run()
        .fails(Errno::ENOTTY);
}

#[test]
fn only_a_session_leader_gets_a_terminal() {
    let scratch = Scratch::new();
    let mut lane = with_devpts(&scratch);
    lane.op(open(0, 0, 0))
        .op(ChildOp::UseTty(SLAVE))
        .run()
        .fails(Errno::EPERM);
    let mut lane = Lane::bare();
    lane.op(ChildOp::Setsid)
        .op(ChildOp::UseTty(SLAVE))
        .run()
        .fails(Errno::EBADF);
    Lane::bare()
        .op(ChildOp::SendFd {
            slot: MASTER,
            barrier: Barrier::Console,
        })
        .run()
        .fails(Errno::EBADF);
}

#[test]
fn stdio_becomes_the_users_where_it_can() {
    // stdin is /dev/null and stays; the memfd is the host's, which a user namespace can't give away: that is no error.
    let ended = Lane::bare()
        .op(ChildOp::OwnStdio { uid: 0 })
        .shell("stat -L -c '%F %t:%T' /proc/self/fd/0");
    assert_eq!(ended.said(), "character special file 1:3");
}
