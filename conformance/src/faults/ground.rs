//! What the faults of one plan are tried on: a container's bundle, how its verbs are called, and what helps beside it.

use super::left::children;
use super::plans::{Plan, Verb};
use crate::process;
use crate::runtime::{Call, Output};
use crate::sandbox::Sandbox;
use rustix::fd::OwnedFd;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};
use rustix::process::Signal;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

/// A container's program: says that it ran, and waits.
pub const PROGRAM: &str = "echo > /ran; exec /inspect wait";

pub struct Ground {
    pub sandbox: Sandbox,
    pub verb: Verb,
    /// Who calls the runtime.
    pub user: Option<u32>,
    pub environment: Vec<(String, String)>,
    pub globals: Vec<String>,
    /// Flags of `create` and `run`.
    pub flags: Vec<String>,
    /// Flags of `exec`.
    pub exec_flags: Vec<String>,
    /// Sockets that descriptors are sent to.
    pub listeners: Vec<UnixListener>,
    pub notify: Option<UnixDatagram>,
    /// Processes that the plan needs beside it.
    pub helpers: Vec<Child>,
    /// A veth pair, of which the first end is moved into the container.
    pub interface: Option<(String, String)>,
    /// Where cgroups may be left.
    pub groups: Vec<PathBuf>,
    /// cgroups of the helpers.
    pub own_groups: Vec<PathBuf>,
    /// The init of an exec's container.
    pub init: Cell<i32>,
    /// Our children that are meant to be there.
    pub known: RefCell<BTreeSet<i32>>,
}

impl Ground {
    pub fn new(sandbox: Sandbox, plan: &Plan) -> Self {
        let mut ground = Self {
            sandbox,
            verb: plan.verb,
            user: None,
            environment: Vec::new(),
            globals: Vec::new(),
            flags: Vec::new(),
            exec_flags: Vec::new(),
            listeners: Vec::new(),
            notify: None,
            helpers: Vec::new(),
            interface: None,
            groups: Vec::new(),
            own_groups: Vec::new(),
            init: Cell::new(0),
            known: RefCell::default(),
        };
        ground.sandbox.spec.args(&["/bin/sh", "-c", PROGRAM]);
        fs::create_dir_all(&ground.sandbox.environment.root).expect("own directory");
        (plan.prepare)(&mut ground);
        ground.sandbox.write_spec();
        ground
    }

    pub fn call(&self, arguments: &[&str]) -> Call {
        let mut call = self.sandbox.call(arguments).global(self.globals.clone());
        for (name, value) in &self.environment {
            call = call.env(name, value.clone());
        }
        match self.user {
            Some(user) => call.user(user),
            None => call,
        }
    }

    /// The verb that makes the plan's process.
    pub fn make(&self) -> Call {
        let pid_file = self.pid_file().to_string_lossy().into_owned();
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let id = self.sandbox.id.as_str();
        let bundle = self.sandbox.bundle_text();
        let create = ["--bundle", &bundle, "--pid-file", &pid_file];
        match self.verb {
            Verb::Create => self.call(&[&["create"], &flags[..], &create, &[id]].concat()),
            Verb::Run => self.call(&[&["run", "--detach"], &flags[..], &create, &[id]].concat()),
            Verb::Exec => {
                let flags: Vec<&str> = self.exec_flags.iter().map(String::as_str).collect();
                let exec = ["exec", "--detach", "--pid-file", &pid_file];
                self.call(&[&exec, &flags[..], &[id, "/bin/true"]].concat())
            }
        }
    }

    /// For exec: the container that it goes into, running.
    pub fn make_target(&self) {
        let bundle = self.sandbox.bundle_text();
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        let id = self.sandbox.id.as_str();
        let words = [&["run", "--detach"], &flags[..], &["--bundle", &bundle, id]].concat();
        self.call(&words).run().ok();
        assert!(
            process::eventually(Duration::from_secs(5), || self.has_run()),
            "the container does not run"
        );
        let init = self.state().and_then(|state| state["pid"].as_i64());
        self.init.set(init.unwrap_or(0) as i32);
    }

    pub fn pid_file(&self) -> PathBuf {
        self.sandbox.pid_file()
    }

    pub fn start(&self) -> Call {
        self.call(&["start", &self.sandbox.id])
    }

    pub fn delete_by_force(&self) -> Output {
        let running = self.call(&["delete", "--force", &self.sandbox.id]).spawn();
        let own = running.pid();
        // Init ends when all others of its pid namespace have been collected, and some of them are our children.
        process::eventually(Duration::from_secs(20), || {
            for pid in children().difference(&self.known.borrow()) {
                if *pid != own {
                    process::reap(*pid, Duration::ZERO);
                }
            }
            process::state(own).is_none_or(|state| state == 'Z')
        });
        running.finish(Duration::from_secs(1))
    }

    /// What `state` says, or what it complains of.
    pub fn status(&self) -> String {
        let output = self.call(&["state", &self.sandbox.id]).run();
        let parsed: Option<Value> = serde_json::from_str(&output.stdout).ok();
        match parsed.as_ref().and_then(|state| state["status"].as_str()) {
            Some(status) => status.to_owned(),
            None => output.stderr.trim().to_owned(),
        }
    }

    fn state(&self) -> Option<Value> {
        let output = self.call(&["state", &self.sandbox.id]).run();
        serde_json::from_str(&output.stdout).ok()
    }

    /// Whether the container's own program has run since the last `forget`.
    pub fn has_run(&self) -> bool {
        self.sandbox.rootfs.join("ran").exists()
    }

    /// Before each fault: no trace of the program, no descriptor on the way to us.
    pub fn forget(&self) {
        let _ = fs::remove_file(self.sandbox.rootfs.join("ran"));
        self.take_all();
        self.make_interface();
        *self.known.borrow_mut() = children();
    }

    /// Takes and closes the descriptors that were sent: a terminal lives as long as somebody holds it.
    pub fn take_all(&self) {
        for listener in &self.listeners {
            listener.set_nonblocking(true).expect("own socket");
            while let Ok((connection, _)) = listener.accept() {
                let _ = connection.set_nonblocking(true);
                receive(connection.into());
            }
        }
        if let Some(socket) = &self.notify {
            socket.set_nonblocking(true).expect("own socket");
            while socket.recv(&mut [0; 64]).is_ok() {}
        }
    }

    pub fn cgroups(&self) -> Vec<PathBuf> {
        let there = self.groups.iter().filter(|path| path.exists());
        there.cloned().collect()
    }

    /// Collects our new children; those that do not end are told.
    pub fn attend_end(&self) {
        let known = self.known.borrow();
        let ended = process::eventually(Duration::from_secs(5), || {
            super::left::reap_new(&known);
            children().is_subset(&known)
        });
        let stay: Vec<String> = children()
            .difference(&known)
            .map(|pid| process::describe(*pid))
            .collect();
        assert!(ended, "processes stay: {}", stay.join("; "));
    }

    pub fn remove_cgroups(&self) {
        process::eventually(Duration::from_secs(3), || {
            self.groups.iter().all(|group| remove(group))
        });
    }

    /// Waits for a call that may need us to read what it sends.
    pub fn attend(&self, call: Call) -> Output {
        let running = call.spawn();
        process::eventually(Duration::from_secs(20), || {
            if self.notify.is_some() {
                self.take_all();
            }
            process::state(running.pid()).is_none_or(|state| state == 'Z')
        });
        running.finish(Duration::from_secs(1))
    }

    /// Whether the interface that was moved is still in some network namespace: its other end vanishes with it.
    pub fn interface_is_kept(&self) -> bool {
        let Some((moved, other)) = &self.interface else {
            return false;
        };
        let here = |name: &str| Path::new("/sys/class/net").join(name).exists();
        // The kernel ends a network namespace in its own time.
        !process::eventually(Duration::from_secs(5), || here(moved) || !here(other))
    }

    fn make_interface(&self) {
        let Some((moved, other)) = &self.interface else {
            return;
        };
        let here = |name: &str| Path::new("/sys/class/net").join(name).exists();
        if !here(moved) {
            process::eventually(Duration::from_secs(5), || !here(other));
            let words = ["link", "add", moved, "type", "veth", "peer", "name", other];
            assert!(ip(&words), "ip {} does not work here", words.join(" "));
        }
    }
}

pub fn ip(words: &[&str]) -> bool {
    let status = std::process::Command::new("ip").args(words).status();
    status.is_ok_and(|status| status.success())
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some((moved, other)) = &self.interface {
            for name in [moved, other] {
                if Path::new("/sys/class/net").join(name).exists() {
                    ip(&["link", "del", name]);
                }
            }
        }
        for child in &mut self.helpers {
            process::kill(child.id() as i32, Signal::KILL);
            let _ = child.wait();
        }
        process::eventually(Duration::from_secs(3), || {
            self.own_groups.iter().all(|group| remove(group))
        });
        process::reap_all();
    }
}

/// Ends what is in a tree of cgroups and removes it; false while that is not done.
fn remove(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let pids = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in pids.lines().filter_map(|line| line.parse().ok()) {
        process::kill(pid, Signal::KILL);
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}

fn receive(connection: OwnedFd) {
    let mut bytes = [0_u8; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    // What was sent is closed when the buffer is dropped.
    let _ = recvmsg(
        &connection,
        &mut parts,
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    );
}
