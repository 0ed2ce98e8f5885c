//! Barriers, joins, the hop, time offsets, the wait for `start`.
use super::support::{BUSYBOX, Lane, Scratch, await_barrier, path_fd};
use crate::control::release;
use crate::plan::ir::{Barrier, ChildOp, Namespaces, Slot};
use crate::wait::ExitStatus;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tare_stage::report::Frame;
use tare_sys::Errno;

#[test]
fn barriers_are_met_in_their_order() {
    let mut lane = Lane::bare();
    lane.answers
        .extend([Barrier::Hooks.number(), Barrier::Go.number()]);
    lane.op(ChildOp::Barrier(Barrier::Namespaces))
        .op(ChildOp::Barrier(Barrier::Hooks))
        .op(ChildOp::Barrier(Barrier::Created))
        .op(ChildOp::Barrier(Barrier::Go));
    let ended = lane.shell("echo went");
    assert_eq!(ended.said(), "went");
    let frames = [Barrier::Namespaces, Barrier::Hooks, Barrier::Created];
    assert_eq!(
        ended.frames,
        frames.map(|barrier| Frame::Barrier {
            id: barrier.number()
        })
    );
}

#[test]
fn another_barriers_number_is_refused() {
    let mut lane = Lane::bare();
    lane.answers.push(Barrier::Go.number());
    lane.op(ChildOp::Barrier(Barrier::Placed))
        .op(ChildOp::Nothing);
    lane.run().fails_before(1, Errno::EPROTO);
}

#[test]
fn a_host_that_is_gone_ends_the_child() {
    let scratch = Scratch::new();
    let mut lane = Lane::rooted(&scratch);
    lane.hang_up = true;
    lane.op(ChildOp::Barrier(Barrier::Placed))
        .op(ChildOp::Mkdir {
            root: super::support::ROOT,
            dest: "/reached".to_owned(),
            mode: 0o755,
        });
    assert_eq!(lane.run().status, ExitStatus::Exited(1));
    assert!(!scratch.at("reached").exists());
}

/// A cgroup of its own in one hierarchy, and the file there by which a process joins it.
struct Group {
    directory: PathBuf,
    file: &'static str,
}

impl Group {
    /// In the first v1 hierarchy and in v2, whichever are mounted.
    fn all() -> Vec<Group> {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let of = |kind: &str| {
            let end = format!(" - {kind} ");
            // A fresh v1 cpuset takes no process.
            let line = table
                .lines()
                .find(|line| line.contains(&end) && !line.contains("cpuset"))?;
            line.split(' ').nth(4).map(PathBuf::from)
        };
        let name = format!("tare-stage-{}", std::process::id());
        [("cgroup", "tasks"), ("cgroup2", "cgroup.procs")]
            .into_iter()
            .filter_map(|(kind, file)| Some((of(kind)?.join(&name), file)))
            .map(|(directory, file)| {
                std::fs::create_dir(&directory).unwrap();
                Group { directory, file }
            })
            .collect()
    }
    fn open(&self, write: bool) -> OwnedFd {
        let mut options = File::options();
        options.read(!write).write(write);
        options.open(self.directory.join(self.file)).unwrap().into()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let removed = std::fs::remove_dir(&self.directory);
        assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
    }
}

#[test]
fn cgroups_are_joined_by_the_files_that_come_with_placed() {
    assert!(super::support::is_root(), "needs root");
    let groups = Group::all();
    assert!(!groups.is_empty(), "no cgroups are mounted");
    let placed = |files: Vec<OwnedFd>| {
        // The child has no right of its own to these groups: the files were opened by the host.
        let mut lane = Lane::bare();
        lane.op(ChildOp::Barrier(Barrier::Placed));
        lane.attend = Box::new(move |child| {
            release(child.control.as_fd(), Barrier::Placed.number(), &files).unwrap();
        });
        lane
    };
    let name = format!("/tare-stage-{}", std::process::id());
    let files: Vec<_> = groups.iter().map(|group| group.open(true)).collect();
    let mut lane = placed(Vec::new());
    lane.op(ChildOp::Barrier(Barrier::Hooks));
    lane.attend = Box::new(move |child| {
        release(child.control.as_fd(), Barrier::Placed.number(), &files).unwrap();
        await_barrier(child, Barrier::Hooks);
        let open = std::fs::read_dir(format!("/proc/{}/fd", child.pid)).unwrap();
        let open = open.map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap());
        let kept = open.filter(|path| path.to_string_lossy().contains("/tare-stage-"));
        assert_eq!(kept.count(), 0, "a file that it has written stays open");
        release(child.control.as_fd(), Barrier::Hooks.number(), &[]).unwrap();
    });
    let ended = lane.shell("cut -d: -f3 /proc/self/cgroup");
    let joined = ended.said().lines().filter(|line| **line == *name).count();
    assert_eq!(joined, groups.len(), "{}", ended.output);
    // Without files it stays where it is.
    let ended = placed(Vec::new()).shell("cat /proc/self/cgroup");
    assert!(!ended.said().contains(&name), "{}", ended.output);
    // A file that can't be written is told at the barrier.
    let mut lane = placed(vec![groups[0].open(false)]);
    lane.op(ChildOp::Nothing)
        .run()
        .fails_before(1, Errno::EBADF);
}

/// Fifos as `create` has them: opened for both directions, so that nobody blocks on the open.
fn fifo(scratch: &Scratch, name: &str) -> File {
    let path = scratch.at(name);
    let made = Command::new(BUSYBOX)
        .args(["mkfifo", path.to_str().unwrap()])
        .status()
        .unwrap();
    assert!(made.success());
    File::options()
        .read(true)
        .write(true)
        .custom_flags(0o4000)
        .open(path)
        .unwrap()
}

/// As the child inherits it: a reader that waits.
fn waiting(file: &File, path: &Path) -> OwnedFd {
    let _ = file;
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap()
        .into()
}

fn await_start() -> ChildOp {
    ChildOp::AwaitStart {
        exec: Slot(0),
        result: Slot(1),
    }
}

#[test]
fn start_is_awaited_and_failures_go_to_the_result_fifo() {
    let scratch = Scratch::new();
    let (mut exec, mut result) = (fifo(&scratch, "exec"), fifo(&scratch, "result"));
    for fails in [false, true] {
        let mut lane = Lane::bare();
        lane.handed = vec![
            waiting(&exec, &scratch.at("exec")),
            waiting(&result, &scratch.at("result")),
        ];
        exec.write_all(b"0").unwrap();
        lane.op(await_start());
        let ended = if fails {
            lane.op(ChildOp::Ids {
                uid: 99_999,
                gid: 0,
            })
            .run()
        } else {
            lane.shell("echo started")
        };
        let mut frame = [0u8; 64];
        let told = result.read(&mut frame);
        if fails {
            assert_eq!((ended.failure, ended.status), (None, ExitStatus::Exited(1)));
            let frame = Frame::from_bytes(&frame[..told.unwrap()]);
            let expect = Frame::Failure {
                step: 3,
                errno: Errno::EINVAL.get() as u32,
                detail: 0,
            };
            assert_eq!(frame, Some(expect));
        } else {
            assert_eq!(ended.said(), "started");
            assert_eq!(told.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        }
    }
    // An empty slot is told on the control socket: the result fifo is not known yet.
    Lane::bare().op(await_start()).run().fails(Errno::EBADF);
}

#[test]
fn time_offsets_are_the_programs() {
    let lane = |text: &str| {
        let mut lane = Lane::bare();
        lane.op(ChildOp::Unshare(Namespaces::TIME))
            .op(ChildOp::TimeOffsets(text.to_owned()));
        lane
    };
    let uptime: f64 = {
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        text.split(' ').next().unwrap().parse().unwrap()
    };
    let ended = lane("monotonic 5000 0\nboottime 1000000 7\n")
        .shell("cat /proc/self/timens_offsets; cat /proc/uptime");
    let lines: Vec<Vec<&str>> = ended
        .said()
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["monotonic", "5000", "0"]);
    assert_eq!(lines[1], ["boottime", "1000000", "7"]);
    assert!(lines[2][0].parse::<f64>().unwrap() >= uptime + 1_000_000.0);
    lane("nonsense 1 1\n").run().fails(Errno::EINVAL);
    lane("boottime -99999999999 0\n")
        .op(ChildOp::Nothing)
        .run()
        .fails_before(1, Errno::ERANGE);
}

/// A process in namespaces of its own that waits; ended by its pid.
struct Holder(Child);

impl Holder {
    /// By `unshare` of busybox or util-linux: new namespaces with these options.
    fn new(options: &[&str]) -> Holder {
        assert!(super::support::is_root(), "needs root");
        let mut command = Command::new("/usr/bin/unshare");
        command
            .args(options)
            .args([BUSYBOX, "sh", "-c", "echo in; exec sleep 60"])
            .stdout(Stdio::piped());
        let mut holder = Holder(command.spawn().unwrap());
        // What it runs is in its namespaces.
        let mut said = [0; 3];
        let output = holder.0.stdout.take().unwrap();
        { output }.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"in\n");
        holder
    }
    fn namespace(&self, name: &str) -> OwnedFd {
        File::open(format!("/proc/{}/ns/{name}", self.0.id()))
            .unwrap()
            .into()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program's memfd is as old as this process's first container; its number must not be one that the child's slots get.
#[test]
fn more_slots_than_fds_of_the_caller() {
    let mut lane = Lane::bare();
    let image = crate::image::stage_init().unwrap().as_raw_fd();
    let slots = usize::try_from(image).unwrap() + 10;
    lane.handed = (0..slots).map(|_| path_fd("/".as_ref())).collect();
    assert_eq!(lane.shell("echo ran").said(), "ran");
}

#[test]
fn a_namespace_is_joined_by_its_file() {
    let holder = Holder::new(&["--uts"]);
    let join = |kind| ChildOp::Join {
        slot: Slot(0),
        kind,
    };
    let mut lane = Lane::privileged();
    lane.handed.push(holder.namespace("uts"));
    let ended = lane
        .op(join(Namespaces::UTS))
        .shell("readlink /proc/self/ns/uts");
    let expect = std::fs::read_link(format!("/proc/{}/ns/uts", holder.0.id())).unwrap();
    assert_eq!(Some(ended.said()), expect.to_str());
    let mut lane = Lane::privileged();
    lane.handed.push(holder.namespace("uts"));
    lane.op(join(Namespaces::NETWORK))
        .run()
        .fails(Errno::EINVAL);
    let mut lane = Lane::privileged();
    lane.handed.push(path_fd("/".as_ref()));
    lane.op(join(Namespaces::UTS)).run().fails(Errno::EBADF);
    // Of another user namespace: no right to.
    let mut lane = Lane::bare();
    lane.handed.push(holder.namespace("uts"));
    lane.op(join(Namespaces::UTS)).run().fails(Errno::EPERM);
}

#[test]
fn several_namespaces_are_joined_by_one_pidfd() {
    let holder = Holder::new(&["--uts", "--ipc", "--net", "--mount"]);
    let pidfd = || {
        let pid = rustix::process::Pid::from_child(&holder.0);
        rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap()
    };
    let names = ["uts", "ipc", "net", "mnt"];
    let kind = Namespaces::UTS
        .with(Namespaces::IPC)
        .with(Namespaces::NETWORK);
    let join = |kind| ChildOp::Join {
        slot: Slot(0),
        kind,
    };
    let show = "for n in uts ipc net mnt; do readlink /proc/self/ns/$n; done";
    let mut lane = Lane::privileged();
    lane.handed.push(pidfd());
    let ended = lane.op(join(kind)).shell(show);
    for (name, line) in names.iter().zip(ended.said().lines()) {
        let theirs = std::fs::read_link(format!("/proc/{}/ns/{name}", holder.0.id())).unwrap();
        // What was not asked for is not joined.
        assert_eq!(Some(line) == theirs.to_str(), *name != "mnt", "{line}");
    }
    // All or none: the kernel has no such kind, or the caller no right to one of them.
    let mut lane = Lane::privileged();
    lane.handed.push(pidfd());
    lane.op(join(kind.with(Namespaces(1))))
        .run()
        .fails(Errno::EINVAL);
    let mut lane = Lane::bare();
    lane.handed.push(pidfd());
    lane.op(join(kind)).run().fails(Errno::EPERM);
    // A process that is gone has none.
    let gone = pidfd();
    drop(holder);
    let mut lane = Lane::privileged();
    lane.handed.push(gone);
    lane.op(join(kind)).run().fails(Errno::ESRCH);
}

#[test]
fn the_hop_goes_on_in_a_joined_pid_namespace() {
    let holder = Holder::new(&["--pid", "--fork", "--kill-child"]);
    let link = format!("/proc/{}/ns/pid_for_children", holder.0.id());
    let namespace = File::open(&link).unwrap();
    let mut lane = Lane::privileged();
    lane.namespaces = Namespaces::default();
    lane.handed.push(namespace.into());
    lane.op(ChildOp::Join {
        slot: Slot(0),
        kind: Namespaces::PID,
    })
    .op(ChildOp::Fork)
    .op(ChildOp::Barrier(Barrier::Namespaces));
    let ended = lane.shell("echo $$; readlink /proc/self/ns/pid");
    let said: Vec<_> = ended.said().lines().collect();
    assert_eq!(said[0], "2", "the holder's child is the first");
    assert_eq!(said[1], std::fs::read_link(link).unwrap().to_str().unwrap());
    let forked = ended
        .frames
        .iter()
        .filter(|frame| matches!(frame, Frame::Forked { .. }));
    assert_eq!((forked.count(), ended.frames.len()), (1, 2));
}
