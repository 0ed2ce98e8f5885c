//! What the lane makes and hands out besides the child: fifos, state documents, terminal, listener, hooks, pid file.
use super::Lane;
use crate::control::{Received, receive};
use crate::error::Error;
use crate::plan::ir::Slot;
use crate::spawn::number;
use crate::{Console, hook, pass};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use tare_stage::report::Frame;

impl Lane<'_> {
    pub(super) fn open_tree(
        &mut self,
        slot: Slot,
        source: &str,
        recursive: bool,
    ) -> Result<(), Error> {
        let path = std::ffi::CString::new(source)
            .map_err(|_| Error::system("open the tree", tare_sys::Errno::EINVAL))?;
        let fd = tare_sys::mount::clone_tree(tare_sys::Fd::CWD, &path, recursive)
            .map_err(|errno| Error::path("open the mount source", Path::new(source), errno))?;
        let fd = crate::spawn::adopt(fd);
        self.fill(slot, fd)
    }

    pub(super) fn map_tree(&self, tree: Slot, userns: Slot, recursive: bool) -> Result<(), Error> {
        let held = |slot: Slot| self.slots.get(usize::from(slot.0)).and_then(Option::as_ref);
        let (Some(tree), Some(userns)) = (held(tree), held(userns)) else {
            return Err(Error::system(
                "map a tree that was not opened",
                tare_sys::Errno::EBADF,
            ));
        };
        let change = tare_sys::mount::Change {
            userns: Some(number(userns.as_fd())),
            ..Default::default()
        };
        tare_sys::mount::set_attributes(number(tree.as_fd()), change, recursive).map_err(|errno| {
            Error::system(
                "map the ids of the mount source (does its filesystem support idmapped mounts?)",
                errno,
            )
        })
    }

    /// A fifo of the state directory, open both ways so that neither side ever waits in open(2).
    pub(super) fn fifo(&self, name: &str) -> Result<OwnedFd, Error> {
        let directory = self.directory()?;
        let path = directory.path().join(name);
        rustix::fs::mknodat(
            directory.fd(),
            name,
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .map_err(|errno| Error::path("make", &path, errno))?;
        rustix::fs::openat(
            directory.fd(),
            name,
            OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::empty(),
        )
        .map_err(|errno| Error::path("open", &path, errno))
    }

    pub(super) fn notify_directory(&self) -> Result<(), Error> {
        let directory = self.directory()?;
        let path = directory.path().join("notify");
        rustix::fs::mkdirat(directory.fd(), "notify", Mode::from_raw_mode(0o755))
            .map_err(|errno| Error::path("make", &path, errno))?;
        // Whatever the umask: any user inside may reach the socket.
        let mode = Mode::from_raw_mode(0o755);
        rustix::fs::chmodat(directory.fd(), "notify", mode, AtFlags::empty())
            .map_err(|errno| Error::path("set the mode of", &path, errno))
    }

    pub(super) fn directory(&self) -> Result<&crate::store::StateDir, Error> {
        self.around.directory.ok_or_else(|| Error::Unsupported {
            what: "use the state directory".to_owned(),
            why: "this plan has none".to_owned(),
        })
    }

    pub(super) fn write_state_files(&mut self, pid: i32) -> Result<(), Error> {
        for (slot, status) in &self.state_files {
            let state = tare_oci::State {
                status: status.clone(),
                pid,
                ..self.around.state.clone()
            };
            let text = serde_json::to_vec(&state).map_err(|error| Error::Unsupported {
                what: "write the hooks' state".to_owned(),
                why: error.to_string(),
            })?;
            if let Some(Some(fd)) = self.slots.get(usize::from(slot.0)) {
                let mut done = 0;
                while let Some(rest) = text.get(done..).filter(|rest| !rest.is_empty()) {
                    done += rustix::io::write(fd, rest)
                        .map_err(|errno| Error::system("write the hooks' state", errno))?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn pass_console(&mut self) -> Result<(), Error> {
        let Some(master) = self.received.take() else {
            return Err(Error::system(
                "receive the terminal",
                tare_sys::Errno::EPROTO,
            ));
        };
        match self.around.console {
            Console::Socket(path) => {
                let name = tare_sys::tty::number(number(master.as_fd()))
                    .map_or_else(|_| "/dev/ptmx".to_owned(), |n| format!("/dev/pts/{n}"));
                pass::send_fd(
                    "send the terminal to",
                    path,
                    name.as_bytes(),
                    master.as_fd(),
                )
            }
            Console::Keep => {
                self.console = Some(master);
                Ok(())
            }
            Console::None => Ok(()),
        }
    }

    /// Takes the listener by its number in the child, which spins without a system call until then, and passes it to the agent.
    pub(super) fn pass_listener(&mut self, path: &str, metadata: &str) -> Result<(), Error> {
        let Some(child) = &self.child else {
            return Err(Error::system("take the listener", tare_sys::Errno::ECHILD));
        };
        let progress = child.area.progress();
        let listener = loop {
            match progress.listener.load(Ordering::Acquire) {
                0 => {}
                number => break number - 1,
            }
            if progress.errno.load(Ordering::Acquire) != 0
                || crate::wait::wait_end(child.pidfd.as_fd(), std::time::Duration::ZERO)?
            {
                return match receive(child.control.as_fd())? {
                    Received::Frame(
                        Frame::Failure {
                            step,
                            errno,
                            detail,
                        },
                        ..,
                    ) => Err(self.told(step, errno, detail)),
                    _ => Err(self.died()),
                };
            }
            std::thread::yield_now();
        };
        let fd = tare_sys::process::take_fd(number(child.pidfd.as_fd()), listener)
            .map_err(|errno| Error::system("take the seccomp listener (pidfd_getfd)", errno))?;
        let fd = crate::spawn::adopt(fd);
        let state = tare_oci::ContainerProcessState {
            oci_version: self.around.state.oci_version.clone(),
            fds: vec!["seccompFd".to_owned()],
            pid: child.pid,
            metadata: metadata.to_owned(),
            state: tare_oci::State {
                status: "creating".to_owned(),
                pid: child.pid,
                ..self.around.state.clone()
            },
        };
        let text = serde_json::to_vec(&state).map_err(|error| Error::Unsupported {
            what: "write the listener's state".to_owned(),
            why: error.to_string(),
        })?;
        pass::send_fd(
            "send the seccomp listener to",
            Path::new(path),
            &text,
            fd.as_fd(),
        )?;
        progress.listener_taken.store(1, Ordering::Release);
        Ok(())
    }

    pub(super) fn run_hooks(&self, kind: &str, hooks: &[tare_oci::Hook]) -> Result<(), Error> {
        let kind = if kind == "prestart" {
            "prestart"
        } else {
            "createRuntime"
        };
        let state = tare_oci::State {
            status: "creating".to_owned(),
            pid: self.pid(),
            ..self.around.state.clone()
        };
        for (index, hook) in hooks.iter().enumerate() {
            hook::run(kind, index, hook, &state)?;
        }
        Ok(())
    }

    pub(super) fn write_pid_file(&mut self, pid: i32) -> Result<(), Error> {
        let Some(path) = self.around.pid_file else {
            return Ok(());
        };
        let fail = |error: &std::io::Error| Error::path("write the pid file", path, error);
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{pid}"));
        let temporary = path.with_file_name(name);
        // Left by a call that was killed; never a link to follow.
        let _ = std::fs::remove_file(&temporary);
        // For others to read, whatever the umask: a caller kills whom it names.
        let written = std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&temporary)
            .and_then(|mut file| file.write_all(pid.to_string().as_bytes()))
            .and_then(|()| std::fs::rename(&temporary, path));
        if let Err(error) = written {
            let _ = std::fs::remove_file(&temporary);
            return Err(fail(&error));
        }
        self.pid_file = Some(path.to_owned());
        Ok(())
    }
}
