//! What init does on a host: collects children that were left to this process. A container's init can't end before the others
//! of its pid namespace are collected, and after a shim's death that falls to us.

use crate::process;
use rustix::process::{Pid, WaitOptions, waitpid};
use std::collections::HashSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// Children that were started here, and are waited for by whoever started them.
static OWN: Mutex<Option<HashSet<i32>>> = Mutex::new(None);

pub fn begin() {
    std::thread::spawn(|| {
        loop {
            collect();
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

/// Starts a child that the reaper leaves alone.
#[track_caller]
pub fn spawn(command: &mut Command) -> Child {
    let mut own = OWN.lock().expect("no thread panics with it");
    let child = command.spawn();
    let child =
        child.unwrap_or_else(|error| panic!("cannot start {:?}: {error}", command.get_program()));
    own.get_or_insert_default().insert(child.id() as i32);
    child
}

/// What a program of the host prints.
#[track_caller]
pub fn output(words: &[&str]) -> String {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).stdout(Stdio::piped());
    let output = spawn(&mut command).wait_with_output();
    let output = output.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn collect() {
    let own = OWN.lock().expect("no thread panics with it");
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten();
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let pids = children.split_ascii_whitespace();
        for pid in pids.filter_map(|pid| pid.parse::<i32>().ok()) {
            let ours = own.as_ref().is_some_and(|own| own.contains(&pid));
            if !ours && process::state(pid) == Some('Z') {
                let _ = Pid::from_raw(pid).map(|pid| waitpid(Some(pid), WaitOptions::NOHANG));
            }
        }
    }
}
