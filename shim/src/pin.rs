//! Namespaces that outlive a pod's containers, held by whatever is least: a thread of the server that sleeps, and a process only
//! where the kernel wants one. `/proc/PID/ns/*` of its id is where containerd lets containers join.
use crate::failure::{Code, Failure};
use crate::pod::{Pids, Pod};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, pidfd_open, set_dumpable_behavior};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use tare_sys::{Errno, Fd, ns};

/// What holds a pod's namespaces until it is dropped.
#[derive(Debug)]
pub struct Pin {
    /// Of the thread or process.
    pub pid: u32,
    /// Readable when the process has ended by itself; a thread doesn't.
    pub pidfd: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    /// Its other end tells the holder that it is no longer needed, however this process ends.
    stop: Option<OwnedFd>,
}

const CLONE_NEWUTS: u32 = 0x0400_0000;
const CLONE_NEWIPC: u32 = 0x0800_0000;
const CLONE_NEWPID: u32 = 0x2000_0000;
const CLONE_NEWNET: u32 = 0x4000_0000;

/// A holder calls few functions.
const STACK: usize = 64 << 10;

/// Makes a pod's namespaces and whoever holds them.
///
/// # Errors
/// Nothing is left of them then.
pub fn pin(pod: &Pod) -> Result<Pin, Failure> {
    let fail = |error: &std::io::Error| Failure::io("make a pod's namespaces", error);
    let (sleeps, stop) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| fail(&errno.into()))?;
    if pod.needs_process() {
        process(pod, sleeps, stop).map_err(|error| fail(&error))?
    } else {
        thread(pod.clone(), sleeps, stop).map_err(|error| fail(&error))?
    }
    .map_err(|why| Failure::new(Code::Unknown, format!("make a pod's namespaces: {why}")))
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It only returns.
            let _ = thread.join();
        }
        if let Some(pidfd) = self.pidfd.take() {
            let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
            while let Err(rustix::io::Errno::INTR) = poll(&mut ended, None) {}
        }
    }
}

type Made = std::io::Result<Result<Pin, String>>;

fn thread(pod: Pod, sleeps: OwnedFd, stop: OwnedFd) -> Made {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("pod".to_owned())
        .stack_size(STACK)
        .spawn(move || {
            let entered = enter(&pod);
            let go_on = entered.is_ok();
            let id = rustix::thread::gettid().as_raw_pid().unsigned_abs();
            // Whoever waits for it is there until it has heard.
            let _ = tell.send(entered.map(|()| id));
            if go_on {
                wait_for_end(&sleeps);
            }
        })?;
    let entered = told
        .recv()
        .unwrap_or_else(|_| Err("the thread ended".to_owned()));
    Ok(entered.map(|pid| Pin {
        pid,
        pidfd: None,
        thread: Some(thread),
        stop: Some(stop),
    }))
}

fn process(pod: &Pod, sleeps: OwnedFd, stop: OwnedFd) -> Made {
    let words = serde_json::to_string(pod)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["pod", &words])
        .stdin(sleeps)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()?;
    let mut said = String::new();
    let heard = match child.stdout.take() {
        Some(mut output) => output.read_to_string(&mut said).map(drop),
        None => Ok(()),
    };
    let pid = said.trim().parse().ok().and_then(Pid::from_raw);
    let pidfd = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    // What is held by its child has ended; else it sleeps.
    let held_by_child = pid.is_some_and(|pid| pid.as_raw_nonzero().get() as u32 != child.id());
    if heard.is_err() || !matches!(pidfd, Some(Ok(_))) || held_by_child {
        drop(if held_by_child {
            None
        } else {
            Some(child.kill())
        });
        child.wait()?;
    }
    heard?;
    Ok(match (pid, pidfd) {
        (Some(pid), Some(pidfd)) => Ok(Pin {
            pid: pid.as_raw_pid().unsigned_abs(),
            pidfd: Some(pidfd?),
            thread: None,
            stop: Some(stop),
        }),
        _ if said.is_empty() => Err("its process ended".to_owned()),
        _ => Err(said.trim().to_owned()),
    })
}

/// The hidden action `pod`: its word is a [`Pod`] as JSON. Prints the id of what holds the namespaces until standard input ends, or
/// what is wrong.
///
/// # Errors
/// For nobody: it is printed.
pub fn hold(words: &[String]) -> Result<(), Failure> {
    closed();
    let held = words
        .first()
        .ok_or_else(|| "no pod".to_owned())
        .and_then(|word| serde_json::from_str(word).map_err(|error| error.to_string()))
        .and_then(|pod: Pod| begin(&pod));
    let mut out = std::io::stdout();
    let (text, sleeps) = match held {
        Ok((pid, sleeps)) => (pid.to_string(), sleeps),
        Err(why) => (why, false),
    };
    let told = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    // The end of standard output is the end of what is told.
    let null = File::options().write(true).open("/dev/null");
    let ended = null.and_then(|null| Ok(rustix::stdio::dup2_stdout(null)?));
    if sleeps && told.and(ended).is_ok() {
        wait_for_end(rustix::stdio::stdin());
    }
    Ok(())
}

/// The pid, and whether it is this process.
fn begin(pod: &Pod) -> Result<(u32, bool), String> {
    if pod.user {
        let network = open(&pod.network)?;
        let number = Fd::new(network.as_raw_fd());
        step("join the pod's user namespace", ns::join_owner(number))?;
        match tare_sys::cred::set_groups(&[]) {
            // It was made so that nobody in it may drop groups.
            Err(Errno::EPERM) => {}
            dropped => step("become its root", dropped)?,
        }
        step("become its root", tare_sys::cred::set_gid(0))?;
        step("become its root", tare_sys::cred::set_uid(0))?;
        closed();
    }
    enter(pod)?;
    if pod.pids != Pids::Pod {
        return Ok((std::process::id(), true));
    }
    step("make a pid namespace", ns::unshare(CLONE_NEWPID))?;
    let first = Command::new("/proc/self/exe")
        // Containers see it.
        .arg0("tare")
        .arg("pod-init")
        .stdin(Stdio::inherit())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("start the pid namespace's first process: {error}"))?;
    Ok((first.id(), false))
}

/// The hidden action `pod-init`: the first process of a pod's pid namespace, until standard input ends.
///
/// # Errors
/// When signals can't be taken.
pub fn reap() -> Result<(), Failure> {
    closed();
    let signals = tare_runtime::SignalReceiver::new().map_err(|error| Failure::of(&error))?;
    loop {
        let stdin = rustix::stdio::stdin();
        let mut fds = [
            PollFd::new(&stdin, PollFlags::IN),
            PollFd::new(&signals, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) if !fds[0].revents().is_empty() => return Ok(()),
            Ok(_) => {
                while let Ok(Some(_)) = signals.next() {}
                tare_supervisor::reap_orphans();
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Failure::io("wait", &errno.into())),
        }
    }
}

/// No container that shares its namespaces may look into it, and with that at the host's program.
fn closed() {
    // An error would mean that the kernel doesn't know the value.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Puts the calling thread into the pod's namespaces.
fn enter(pod: &Pod) -> Result<(), String> {
    let mut kinds = 0;
    if !pod.network.is_empty() {
        let network = open(&pod.network)?;
        let number = Fd::new(network.as_raw_fd());
        step(
            &format!("join the network namespace {}", pod.network),
            ns::join(number, CLONE_NEWNET),
        )?;
        kinds |= CLONE_NEWUTS;
    }
    if pod.ipc {
        kinds |= CLONE_NEWIPC;
    }
    step("make IPC and UTS namespaces", ns::unshare(kinds))?;
    if kinds & CLONE_NEWUTS != 0 && !pod.hostname.is_empty() {
        let name = CString::new(pod.hostname.as_str()).unwrap_or_default();
        step("set the hostname", ns::set_hostname(&name))?;
    }
    for (file, value) in &pod.sysctls {
        let path = format!("/proc/{file}");
        std::fs::write(&path, value)
            .map_err(|error| format!("write {value:?} to {path}: {error}"))?;
    }
    Ok(())
}

fn open(path: &str) -> Result<File, String> {
    File::open(path).map_err(|error| format!("open the network namespace {path}: {error}"))
}

fn step(what: &str, result: Result<(), Errno>) -> Result<(), String> {
    result.map_err(|errno| format!("{what}: {errno}"))
}

fn wait_for_end(fd: impl std::os::fd::AsFd) {
    while let Err(rustix::io::Errno::INTR) = rustix::io::read(&fd, &mut [0; 1]) {}
}
