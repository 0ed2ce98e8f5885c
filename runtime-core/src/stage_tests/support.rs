//! A child lane in throwaway namespaces: ops in, what they told and printed out. Nothing of it outlives the call.
use crate::control::{Received, is_ready, receive, release};
use crate::lower::{Lowered, lower};
use crate::plan::ir::{
    Alternative, Barrier, ChildOp, ChildStep, Extent, MapWriter, MountAttr, Namespaces, Plan, Slot,
    SlotInfo,
};
use crate::spawn::{How, Spawned, spawn};
use crate::wait::{ExitStatus, wait_child, wait_end};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tare_stage::report::Frame;
use tare_sys::Errno;

/// The scratch root, once `Lane::rooted` has bound it.
pub(super) const ROOT: Slot = Slot(20);
pub(super) const PROC: Slot = Slot(21);
pub(super) const NULL: Slot = Slot(22);
pub(super) const MASTER: Slot = Slot(23);
pub(super) const SLAVE: Slot = Slot(24);
pub(super) const BUSYBOX: &str = "/bin/busybox";
const MS_REC_PRIVATE: u32 = 16384 | 1 << 18;
const LIMIT: Duration = Duration::from_secs(20);

/// First id outside of the maps, and how many: all that a root may give away, or the caller's own id.
fn extent(own: u32) -> Extent {
    if is_root() {
        return Extent {
            inside: 0,
            outside: 100_000,
            size: 65_536,
        };
    }
    Extent {
        inside: 0,
        outside: own,
        size: 1,
    }
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A directory of its own, owned by the ids that are 0:0 in the lane; removed at the end.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "tare-stage-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let scratch = Scratch(std::env::temp_dir().join(name));
        std::fs::create_dir(&scratch.0).unwrap();
        scratch.own("");
        scratch
    }
    pub(super) fn text(&self) -> String {
        self.0.to_str().unwrap().to_owned()
    }
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
    /// Gives an entry to the lane's 0:0.
    fn own(&self, name: &str) {
        let (uid, gid) = (
            extent(rustix::process::geteuid().as_raw()).outside,
            extent(rustix::process::getegid().as_raw()).outside,
        );
        std::os::unix::fs::lchown(self.at(name), Some(uid), Some(gid)).unwrap();
    }
    pub(super) fn directory(&self, name: &str, mode: u32) {
        std::fs::create_dir(self.at(name)).unwrap();
        self.own(name);
        self.mode(name, mode);
    }
    pub(super) fn file(&self, name: &str, text: &str, mode: u32) {
        std::fs::write(self.at(name), text).unwrap();
        self.own(name);
        self.mode(name, mode);
    }
    pub(super) fn link(&self, name: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.at(name)).unwrap();
        self.own(name);
    }
    fn mode(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(self.at(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir_all(&self.0);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

/// The ops of one child.
pub(super) struct Lane {
    steps: Vec<ChildStep>,
    /// Given to the child as slots 0, 1, ...
    pub(super) handed: Vec<OwnedFd>,
    /// Barrier numbers that are sent at once, in order; the child reads each when it gets there.
    pub(super) answers: Vec<u32>,
    /// Whether the host closes its end once it has sent the answers.
    pub(super) hang_up: bool,
    /// Made by the clone.
    pub(super) namespaces: Namespaces,
    /// What the host does beside it, after the answers: it may read frames, send more, or look at the child.
    pub(super) attend: Attend,
}

pub(super) type Attend = Box<dyn FnOnce(&Spawned)>;

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// All frames but failures.
    pub(super) frames: Vec<Frame>,
    /// fds that came with frames.
    pub(super) fds: Vec<OwnedFd>,
    /// Number of the failed step from 1, its errno, its detail.
    pub(super) failure: Option<(usize, Errno, u32)>,
    pub(super) status: ExitStatus,
    /// stdout and stderr.
    pub(super) output: String,
    steps: usize,
}

impl Lane {
    /// In new user and pid namespaces, with maps, as 0:0; nothing else yet.
    pub(super) fn bare() -> Lane {
        let mut lane = Lane {
            steps: Vec::new(),
            handed: Vec::new(),
            answers: vec![Barrier::Mapped.number()],
            hang_up: false,
            namespaces: Namespaces::USER.with(Namespaces::PID),
            attend: Box::new(|_| {}),
        };
        lane.op(ChildOp::Barrier(Barrier::Mapped));
        lane.op(ChildOp::BecomeRoot {
            clear_groups: is_root(),
        });
        lane
    }
    /// With the host's own root, for what no user namespace may do; in new pid and mount namespaces.
    pub(super) fn privileged() -> Lane {
        assert!(is_root(), "needs root");
        let mut lane = Lane::bare();
        lane.steps.clear();
        lane.answers.clear();
        lane.namespaces = Namespaces::PID;
        lane.op(ChildOp::Unshare(Namespaces::MOUNT));
        lane.op(ChildOp::Propagation(MS_REC_PRIVATE));
        lane
    }
    /// With a mount namespace of its own.
    pub(super) fn new() -> Lane {
        let mut lane = Lane::bare();
        lane.op(ChildOp::Unshare(Namespaces::MOUNT));
        lane.op(ChildOp::Propagation(MS_REC_PRIVATE));
        lane
    }
    /// With the scratch directory in `ROOT`.
    pub(super) fn rooted(scratch: &Scratch) -> Lane {
        let mut lane = Lane::new();
        lane.root(scratch);
        lane
    }
    pub(super) fn root(&mut self, scratch: &Scratch) -> &mut Lane {
        self.op(ChildOp::BindRoot {
            root: ROOT,
            path: scratch.text(),
            tree: None,
        })
    }
    /// As `rooted`, with the static busybox at `/busybox` of the root.
    pub(super) fn with_busybox(scratch: &Scratch) -> Lane {
        let mut lane = Lane::rooted(scratch);
        lane.op(bind(BUSYBOX, "/busybox", crate::plan::ir::Kind::File));
        lane
    }
    pub(super) fn op(&mut self, op: ChildOp) -> &mut Lane {
        self.steps.push(ChildStep {
            op,
            alternative: None,
            from: String::new(),
        });
        self
    }
    pub(super) fn op_or(&mut self, op: ChildOp, on: &[Errno], other: ChildOp) -> &mut Lane {
        self.steps.push(ChildStep {
            op,
            alternative: Some(Alternative {
                on: on.iter().map(|errno| errno.get()).collect(),
                op: other,
            }),
            from: String::new(),
        });
        self
    }
    /// Ends in an applet of the host's busybox, with no shell before it.
    pub(super) fn busybox(&mut self, args: &[&str]) -> Ended {
        self.op(ChildOp::FindExecutable {
            candidates: vec![BUSYBOX.to_owned()],
        });
        self.op(ChildOp::Exec {
            args: args.iter().map(|text| (*text).to_owned()).collect(),
            env: Vec::new(),
        });
        self.run()
    }
    /// Ends in a shell script of busybox at this path.
    pub(super) fn shell_at(&mut self, busybox: &str, script: &str) -> Ended {
        self.op(ChildOp::FindExecutable {
            candidates: vec![busybox.to_owned()],
        });
        self.op(ChildOp::Exec {
            args: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec!["PATH=/bin:/usr/bin:/sbin".to_owned()],
        });
        self.run()
    }
    /// Ends in a shell script on the host's root.
    pub(super) fn shell(&mut self, script: &str) -> Ended {
        assert!(Path::new(BUSYBOX).exists(), "needs busybox-static");
        self.shell_at(BUSYBOX, script)
    }
    pub(super) fn run(&mut self) -> Ended {
        let plan = Plan {
            title: "test".to_owned(),
            host: Vec::new(),
            child: std::mem::take(&mut self.steps),
            slots: (0..self.handed.len().max(32))
                .map(|n| SlotInfo {
                    name: format!("s{n}"),
                })
                .collect(),
            handed: (0..self.handed.len() as u16).map(Slot).collect(),
            cgroup_paths: Default::default(),
            skips: Vec::new(),
        };
        let lowered = lower(&plan, 3, false).unwrap();
        let mut ended = run_bytes(
            &lowered,
            self.namespaces,
            &self.handed,
            &self.answers,
            self.hang_up,
            std::mem::replace(&mut self.attend, Box::new(|_| {})),
        );
        ended.steps = plan.child.len();
        ended
    }
}

/// Spawns `stage-init` over these bytes in new namespaces, writes the maps of a new user namespace, sends the answers, waits for its end.
pub(super) fn run_bytes(
    lowered: &Lowered,
    namespaces: Namespaces,
    handed: &[OwnedFd],
    answers: &[u32],
    hang_up: bool,
    attend: Attend,
) -> Ended {
    let memfd = |name| rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let output = memfd("output");
    let null = File::open("/dev/null").unwrap();
    let how = How {
        namespaces,
        cgroup: None,
        stdio: [
            Some(null.as_fd()),
            Some(output.as_fd()),
            Some(output.as_fd()),
        ],
        first_fd: 3,
        handed: handed.iter().map(AsFd::as_fd).collect(),
        timed: false,
    };
    let child = spawn(lowered, &how).unwrap();
    let guard = Guard(child.pidfd.try_clone().unwrap());
    let maps = (
        extent(rustix::process::geteuid().as_raw()),
        extent(rustix::process::getegid().as_raw()),
    );
    let mapped = if namespaces.has(Namespaces::USER) {
        let direct = MapWriter::Direct;
        crate::id_maps::write(child.pid, &[maps.0], &[maps.1], !is_root(), &direct)
    } else {
        Ok(())
    };
    for answer in answers {
        release(child.control.as_fd(), *answer, &[]).unwrap();
    }
    attend(&child);
    let mut ended = Ended {
        frames: Vec::new(),
        fds: Vec::new(),
        failure: None,
        status: ExitStatus::Exited(-1),
        output: String::new(),
        steps: 0,
    };
    let Spawned { pidfd, control, .. } = child;
    let mut last = pidfd;
    if hang_up {
        // What it says meanwhile is read by nobody.
        drop(control);
    } else {
        listen(&control, lowered, &mut ended, &mut last);
    }
    assert!(
        wait_end(last.as_fd(), LIMIT).unwrap(),
        "it hangs: {ended:?}"
    );
    ended.status = wait_child(last.as_fd()).unwrap();
    drop(guard);
    let mut output = File::from(output);
    output.rewind().unwrap();
    output.read_to_string(&mut ended.output).unwrap();
    // A child that refuses its bytes may be gone before it has maps.
    assert!(
        mapped.is_ok() || ended.status == ExitStatus::Exited(123),
        "{mapped:?}"
    );
    ended
}

/// Waits until the child is at a barrier of which it tells.
pub(super) fn await_barrier(child: &Spawned, barrier: Barrier) {
    assert!(is_ready(child.control.as_fd(), LIMIT).unwrap());
    let received = receive(child.control.as_fd()).unwrap();
    let id = barrier.number();
    assert!(
        matches!(received, Received::Frame(Frame::Barrier { id: found }, ..) if found == id),
        "{received:?}"
    );
}

fn listen(control: &OwnedFd, lowered: &Lowered, ended: &mut Ended, last: &mut OwnedFd) {
    loop {
        let limit = Timespec {
            tv_sec: LIMIT.as_secs() as i64,
            tv_nsec: 0,
        };
        let ready = poll(&mut [PollFd::new(control, PollFlags::IN)], Some(&limit)).unwrap();
        assert!(ready > 0, "no word from it: {ended:?}");
        match receive(control.as_fd()).unwrap() {
            Received::End => return,
            Received::Frame(
                Frame::Failure {
                    step,
                    errno,
                    detail,
                },
                ..,
            ) => {
                let step = lowered.steps[step as usize] + 1;
                ended.failure = Some((step, Errno::new(errno as i32), detail));
            }
            Received::Frame(frame, fd, _) => {
                if let Frame::Forked { pid } = frame {
                    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
                    let next =
                        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
                            .unwrap();
                    let hop = std::mem::replace(last, next);
                    assert!(wait_end(hop.as_fd(), LIMIT).unwrap(), "the hop hangs");
                    assert_eq!(wait_child(hop.as_fd()).unwrap(), ExitStatus::Exited(0));
                }
                ended.frames.push(frame);
                ended.fds.extend(fd);
            }
        }
    }
}

/// Ends the child when a test gives up on it.
struct Guard(OwnedFd);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = rustix::process::pidfd_send_signal(&self.0, rustix::process::Signal::KILL);
        }
    }
}

impl Ended {
    /// Asserts that all ops and the program went well; the program's output without the last newline.
    #[track_caller]
    pub(super) fn said(&self) -> &str {
        assert_eq!(self.failure, None, "{}", self.output);
        assert_eq!(self.status, ExitStatus::Exited(0), "{}", self.output);
        self.output.trim_end()
    }
    /// Asserts that the last op failed so.
    #[track_caller]
    pub(super) fn fails(&self, errno: Errno) -> u32 {
        self.fails_before(0, errno)
    }
    /// Asserts that the op failed after which `after` more were to come.
    #[track_caller]
    pub(super) fn fails_before(&self, after: usize, errno: Errno) -> u32 {
        let Some((step, found, detail)) = self.failure else {
            panic!("it did not fail: {self:?}")
        };
        assert_eq!((step, found), (self.steps - after, errno), "{self:?}");
        assert_eq!(self.status, ExitStatus::Exited(1));
        detail
    }
}

/// A plain bind.
pub(super) fn bind(source: &str, dest: &str, kind: crate::plan::ir::Kind) -> ChildOp {
    ChildOp::Bind {
        root: ROOT,
        source: crate::plan::ir::Source::Path(source.to_owned()),
        dest: dest.to_owned(),
        kind,
        recursive: false,
        attr: MountAttr::default(),
        idmap: None,
    }
}

/// A tmpfs with these options, `key=value` or `key`.
pub(super) fn tmpfs(dest: &str, set: u64, options: &[&str]) -> ChildOp {
    let options = options.iter().map(|word| match word.split_once('=') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => ((*word).to_owned(), None),
    });
    ChildOp::Mount {
        root: ROOT,
        fstype: "tmpfs".to_owned(),
        source: "source".to_owned(),
        dest: dest.to_owned(),
        attr: MountAttr {
            set,
            ..MountAttr::default()
        },
        options: options.collect(),
        copy_up: false,
        no_symlink: false,
    }
}

/// An O_PATH fd of a host path, to hand over.
pub(super) fn path_fd(path: &Path) -> OwnedFd {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::openat(rustix::fs::CWD, path, flags, rustix::fs::Mode::empty()).unwrap()
}

/// Whole trees and maps of ids take mount_setattr(2), which came with Linux 5.12; the planner refuses them before, and a read-only
/// path leaves what is mounted beneath it as it is, as with other runtimes.
pub(super) fn before_mount_setattr() -> bool {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = text.split(['.', '-']).map(|part| part.parse().unwrap());
    let old = (numbers.next().unwrap(), numbers.next().unwrap()) < (5, 12);
    if old {
        println!("skipped: Linux {text} has no mount_setattr");
    }
    old
}
