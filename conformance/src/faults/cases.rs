//! Faults that come from outside: a child that stands still, memory, disk, quota, processes and descriptors that run out.

use super::ground::Ground;
use super::left::Before;
use super::parked;
use super::steps::Steps;
use crate::process;
use crate::runtime::Output;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::json;
use std::ffi::CString;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

pub struct Cases<'a> {
    pub ground: &'a mut Ground,
    pub full: bool,
    pub tell: &'a mut dyn FnMut(&str, Result<(), String>),
}

/// Name of the part, and what it does.
pub type Case = (&'static str, fn(&mut Cases<'_>));

pub const ALL: [Case; 6] = [
    ("stopped", |cases| cases.stopped()),
    ("memory", |cases| cases.memory()),
    ("full-disk", |cases| cases.full_disk()),
    ("quota", |cases| cases.quota()),
    ("processes", |cases| cases.processes()),
    ("descriptors", |cases| cases.descriptors()),
];

impl Cases<'_> {
    /// Runs a check between two looks at what is there.
    fn checked(&mut self, name: &str, check: impl FnOnce(&Ground)) {
        let ground: &Ground = self.ground;
        ground.forget();
        let before = Before::now(ground);
        let result = catch_unwind(AssertUnwindSafe(|| {
            check(ground);
            let left = before.left(ground);
            assert!(left.is_empty(), "left: {}", left.join("; "));
        }))
        .map_err(|_| crate::case::last_message());
        if result.is_err() {
            let _ = ground.delete_by_force();
            before.restore(ground);
        }
        (self.tell)(name, result);
    }

    /// The child stands still at each step of its set-up, by SIGSTOP: `create` waits for it as other runtimes do, `state` says
    /// so, and `delete --force` ends both.
    fn stopped(&mut self) {
        let steps = Steps::ask(self.ground);
        let waits = steps
            .child
            .iter()
            .position(|text| text.starts_with("await start"));
        let last = waits.expect("create waits for start");
        for step in 1..=last {
            // In the gate every fourth.
            if !self.full && step % 4 != 1 {
                continue;
            }
            let name = format!("at {step} ({})", steps.child[step - 1]);
            self.checked(&name, |ground| {
                let create = ground
                    .make()
                    .env("TARE_FAULT", format!("child:{step}:die"))
                    .spawn();
                parked::stop(&create, &ground.known.borrow());
                assert!(process::is_alive(create.pid()), "create did not wait");
                assert_eq!(ground.status(), "creating");
                ground.known.borrow_mut().insert(create.pid());
                let deleted = ground.delete_by_force();
                assert_eq!(deleted.code, 0, "delete --force: {}", deleted.stderr);
                ground.known.borrow_mut().remove(&create.pid());
                let output = create.finish(Duration::from_secs(10));
                assert!(
                    output.code == 1 && output.stderr.contains("was killed by signal 9"),
                    "create exited {}: {}",
                    output.code,
                    output.stderr
                );
                ground.attend_end();
            });
        }
        // Past this barrier the host has noted the child, which may run ahead of it before.
        let placed = steps
            .child
            .iter()
            .position(|text| text.starts_with("barrier placed"));
        let after = placed.expect("create places its child") + 2;
        self.checked("the runtime killed before it", |ground| {
            let create = ground
                .make()
                .env("TARE_FAULT", format!("child:{after}:die"))
                .spawn();
            let pid = parked::stop(&create, &ground.known.borrow());
            create.kill();
            assert!(
                process::is_alive(pid),
                "a stopped process does not end by itself"
            );
            let deleted = ground.delete_by_force();
            assert_eq!(deleted.code, 0, "delete --force: {}", deleted.stderr);
            ground.attend_end();
        });
        self.checked("at the execution, which `start` waits for", |ground| {
            let step = last + 2;
            ground
                .make()
                .env("TARE_FAULT", format!("child:{step}:die"))
                .run()
                .ok();
            let start = ground.start().spawn();
            parked::stop(&start, &ground.known.borrow());
            ground.known.borrow_mut().insert(start.pid());
            let deleted = ground.delete_by_force();
            assert_eq!(deleted.code, 0, "delete --force: {}", deleted.stderr);
            ground.known.borrow_mut().remove(&start.pid());
            start.finish(Duration::from_secs(10));
            let _ = fs::remove_file(ground.pid_file());
            ground.attend_end();
        });
    }

    /// What is copied into a tmpfs counts against a limit of 4 MiB: the kernel kills the child at that step.
    fn memory(&mut self) {
        let rootfs = self.ground.sandbox.rootfs.clone();
        let file = rootfs.join("var/data/large");
        fs::write(&file, vec![1; 16 << 20]).expect("own directory");
        self.ground
            .sandbox
            .spec
            .set("linux.resources.memory.limit", 4 << 20)
            .mount("/var/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
        self.ground.sandbox.write_spec();
        for round in 0..if self.full { 5 } else { 2 } {
            self.checked(&format!("4 MiB while mounting, {round}"), |ground| {
                let output = ground.make().run();
                let words = "mount tmpfs on /var/data with a copy of what is there: the container's first process was killed by signal 9";
                refused(&output, &["step ", words, "out-of-memory"]);
            });
        }
        let _ = fs::remove_file(file);
        // Without the large file it fits.
        self.checked("4 MiB is enough for the set-up itself", goes);
    }

    /// A state root with room for a few inodes, or a few pages.
    fn full_disk(&mut self) {
        let root = self.ground.sandbox.environment.root.clone();
        let (mut refusals, mut successes) = (0, 0);
        let inodes = (2..=14).map(|count| format!("size=1m,nr_inodes={count}"));
        let pages = (1..=8).map(|count| format!("size={}k,nr_inodes=100", count * 4));
        for options in inodes.chain(pages) {
            let (mut refused_here, mut went_here) = (0, 0);
            on_tmpfs(&root, &options);
            self.checked(&options, |ground| {
                let output = ground.make().run();
                if output.code == 0 {
                    went_here = 1;
                    // A full disk must not keep it from being started and deleted.
                    ground.attend(ground.start()).ok();
                    delete(ground);
                } else {
                    refused_here = 1;
                    refused(&output, &["ENOSPC"]);
                }
            });
            let _ = unmount(&root, UnmountFlags::DETACH);
            refusals += refused_here;
            successes += went_here;
        }
        let both = refusals > 2 && successes > 2;
        (self.tell)(
            "some fitted and some did not",
            if both {
                Ok(())
            } else {
                Err(format!("{refusals} refused, {successes} done"))
            },
        );
    }

    /// A subvolume of btrfs with little left of its quota: the kernels of clouds have no quota for tmpfs or ext4.
    fn quota(&mut self) {
        let directory = self.ground.sandbox.environment.directory.clone();
        let (image, volume) = (directory.join("btrfs.img"), directory.join("btrfs"));
        let root = self.ground.sandbox.environment.root.clone();
        let made = fs::File::create(&image).and_then(|file| file.set_len(120 << 20));
        made.expect("own directory");
        fs::create_dir(&volume).expect("own directory");
        let script = format!(
            "set -e; mkfs.btrfs -q {image}; mount -o loop {image} {volume}; btrfs quota enable {volume}; \
             btrfs subvolume create {volume}/s; btrfs qgroup limit 1M {volume}/s; mount --bind {volume}/s {root}",
            image = image.display(),
            volume = volume.display(),
            root = root.display()
        );
        let output = Command::new("sh")
            .args(["-c", &script])
            .output()
            .expect("sh runs");
        if !output.status.success() {
            // A container as host may have neither.
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let reason =
                format!("skip: no btrfs on a loop device here (package btrfs-progs): {said}");
            (self.tell)("beyond the quota", Err(reason));
            let _ = unmount(&volume, UnmountFlags::DETACH);
            return;
        }
        self.checked("within the quota", goes);
        // Filled up to the last block: an open file is kept out of the directory's listing by its removal.
        let fill = fs::File::create(root.join("fill")).expect("there is room");
        let _ = fs::remove_file(root.join("fill"));
        let block = vec![7_u8; 16 << 10];
        while std::io::Write::write_all(&mut &fill, &block).is_ok() && fill.sync_all().is_ok() {}
        for round in 0..3 {
            self.checked(&format!("beyond the quota, {round}"), |ground| {
                refused(&ground.make().run(), &["EDQUOT", "quota"]);
            });
        }
        drop(fill);
        let _ = unmount(&root, UnmountFlags::DETACH);
        let _ = unmount(&volume, UnmountFlags::DETACH);
        let _ = fs::remove_file(image);
        let _ = fs::remove_dir(volume);
    }

    /// A limit of one process: the container has its one, and whatever needs a second is told.
    fn processes(&mut self) {
        self.ground
            .sandbox
            .spec
            .set("linux.resources.pids.limit", 1);
        // The shell makes no process of its own for this program.
        self.ground.sandbox.write_spec();
        self.checked("one process is enough", goes);
        self.checked("exec joins beside the limit or is refused", |ground| {
            ground.make_target();
            let output = ground
                .call(&["exec", &ground.sandbox.id, "/bin/true"])
                .run();
            assert!(
                output.code == 0 || output.stderr.contains("EAGAIN"),
                "exec exited {}: {}",
                output.code,
                output.stderr
            );
            delete(ground);
        });
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "exit 0"]});
        self.ground.sandbox.spec.push("hooks.createContainer", hook);
        self.ground.sandbox.write_spec();
        self.checked("a hook in the container is a second process", |ground| {
            refused(
                &ground.make().run(),
                &["hooks.createContainer[0]", "/bin/sh", "EAGAIN"],
            );
        });
    }

    /// So few descriptors for the runtime that it can't do it, up to enough.
    fn descriptors(&mut self) {
        let most = 48;
        let (mut refusals, mut successes) = (0, 0);
        for limit in (4..=most)
            .step_by(if self.full { 1 } else { 2 })
            .chain([16])
        {
            let (mut refused_here, mut went_here) = (0, 0);
            self.checked(&format!("limit {limit}"), |ground| {
                let output = ground.make().prelude(&format!("ulimit -n {limit}")).run();
                if output.code == 0 {
                    went_here = 1;
                    let start = ground.start().prelude(&format!("ulimit -n {limit}")).run();
                    assert!(
                        start.code == 0 || start.stderr.contains("EMFILE"),
                        "start exited {}: {}",
                        start.code,
                        start.stderr
                    );
                    delete(ground);
                } else {
                    refused_here = 1;
                    refused(&output, &["EMFILE", "ulimit -n"]);
                }
            });
            refusals += refused_here;
            successes += went_here;
        }
        let both = refusals > 1 && successes > 1;
        (self.tell)(
            "some sufficed and some did not",
            if both {
                Ok(())
            } else {
                Err(format!("{refusals} refused, {successes} done"))
            },
        );
    }
}

fn refused(output: &Output, words: &[&str]) {
    assert!(
        output.code == 1 && words.iter().all(|word| output.stderr.contains(word)),
        "`{}` exited {}, or lacks one of {words:?}: {}",
        output.line,
        output.code,
        output.stderr.trim()
    );
}

/// Create, start, delete: all is well.
fn goes(ground: &Ground) {
    ground.make().run().ok();
    ground.attend(ground.start()).ok();
    delete(ground);
}

fn delete(ground: &Ground) {
    let output = ground.delete_by_force();
    assert_eq!(output.code, 0, "delete --force: {}", output.stderr);
    let _ = fs::remove_file(ground.pid_file());
    ground.attend_end();
}

fn on_tmpfs(root: &Path, options: &str) {
    let data = CString::new(options).expect("no NUL");
    mount("tmpfs", root, "tmpfs", MountFlags::empty(), data.as_c_str())
        .unwrap_or_else(|error| panic!("mount tmpfs with {options}: {error}"));
}
