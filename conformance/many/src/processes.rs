//! The same through trun, by sixteen processes that each drive their share of the containers.

use crate::args::Options;
use crate::bundle::{self, Kind};
use crate::console;
use crate::world::World;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::time::Instant;

const PHASES: [&str; 6] = ["create", "start", "exec", "state", "kill", "delete"];

/// Gives each phase to all workers and waits for all before the next.
pub fn run(world: &World) -> Result<(), String> {
    let count = world.options.count;
    for number in 0..count {
        bundle::write(world, number, &["sleep", "1000"]).map_err(|error| error.to_string())?;
    }
    let mut workers = Vec::new();
    for share in 0..world.options.workers {
        workers.push(Worker::start(share, &world.options)?);
    }
    let mut result = Ok(());
    for phase in PHASES {
        let begin = Instant::now();
        let mut errors = Vec::new();
        for worker in &mut workers {
            worker.tell(phase)?;
        }
        for worker in &mut workers {
            worker.answers(&mut errors)?;
        }
        let took = begin.elapsed().as_secs_f64();
        println!(
            "  {phase}: {count} in {took:.2} s, {:.2} ms each",
            took * 1000.0 / count as f64
        );
        if !errors.is_empty() {
            let shown: Vec<_> = errors.iter().take(5).map(String::as_str).collect();
            result = Err(format!(
                "{phase}: {} failed: {}",
                errors.len(),
                shown.join("; ")
            ));
            break;
        }
        let status = match phase {
            "create" => Some("created"),
            "kill" => Some("stopped"),
            "delete" => None,
            _ => Some("running"),
        };
        // The killed are this process's children, and Z counts as stopped: no need to reap first.
        result = listed(world, status);
        if result.is_err() {
            break;
        }
    }
    for mut worker in workers {
        drop(worker.input);
        let _ = worker.child.wait();
    }
    result
}

fn listed(world: &World, status: Option<&str>) -> Result<(), String> {
    let count = status.map_or(0, |_| world.options.count);
    let mut seen = 0;
    let mut last = String::new();
    // A signal that was sent needs a moment to arrive.
    for _ in 0..100 {
        let output = trun(&world.options, &["list", "--format", "json"])
            .output()
            .map_err(|error| error.to_string())?;
        let errors = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || !errors.is_empty() {
            return Err(format!("list: {}: {errors}", output.status));
        }
        let value: serde_json::Value =
            serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let all = value.as_array().cloned().unwrap_or_default();
        seen = all.len();
        let other = all
            .iter()
            .find(|one| Some(one["status"].as_str().unwrap_or_default()) != status);
        match other {
            None if seen == count => return Ok(()),
            None => last = format!("{seen} containers instead of {count}"),
            Some(one) => last = format!("{one} is not {status:?}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Err(format!("list: {last} ({seen} listed)"))
}

struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(share: usize, options: &Options) -> Result<Worker, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .args(options.words())
            .args(["--share", &share.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        Ok(Worker {
            child,
            input: input.ok_or("no stdin")?,
            output: BufReader::new(output.ok_or("no stdout")?),
        })
    }

    fn tell(&mut self, phase: &str) -> Result<(), String> {
        writeln!(self.input, "{phase}").map_err(|error| format!("a worker is gone: {error}"))
    }

    /// Lines up to `done` are errors.
    fn answers(&mut self, errors: &mut Vec<String>) -> Result<(), String> {
        loop {
            let mut line = String::new();
            match self.output.read_line(&mut line) {
                Ok(0) => return Err("a worker is gone".to_owned()),
                Ok(_) if line == "done\n" => return Ok(()),
                Ok(_) => errors.push(line.trim_end().to_owned()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

/// A worker: takes phases from stdin, does each for its share, answers with its errors and `done`.
pub fn work(share: usize, options: &Options) -> ExitCode {
    let world = World::joined(options);
    let mut consoles = BTreeMap::new();
    for phase in std::io::stdin().lines().map_while(Result::ok) {
        for number in (share..options.count).step_by(options.workers) {
            if let Err(error) = step(&world, &phase, number, &mut consoles) {
                println!("{}: {}", world.id(number), error.replace('\n', " "));
            }
        }
        println!("done");
    }
    ExitCode::SUCCESS
}

fn step(
    world: &World,
    phase: &str,
    number: usize,
    consoles: &mut BTreeMap<usize, OwnedFd>,
) -> Result<(), String> {
    let id = world.id(number);
    let options = &world.options;
    match phase {
        "create" => {
            let bundle = world.directory.join("bundles").join(number.to_string());
            let socket = bundle.join("console");
            let log = bundle.join("log");
            let mut command = trun(options, &["--log"]);
            command.arg(&log).args(["create", "--bundle"]).arg(&bundle);
            let listener = if bundle::kind(number) == Kind::Terminal {
                command.arg("--console-socket").arg(&socket);
                Some(UnixListener::bind(&socket).map_err(|error| error.to_string())?)
            } else {
                None
            };
            // What the container inherits must not keep a pipe open.
            command.arg(&id).stdout(Stdio::null()).stderr(Stdio::null());
            let status = command.status().map_err(|error| error.to_string())?;
            if !status.success() {
                return Err(std::fs::read_to_string(&log).unwrap_or_default());
            }
            if let Some(listener) = listener {
                consoles.insert(number, console::receive(&listener)?);
            }
            Ok(())
        }
        "exec" => {
            let output = trun(options, &["exec", &id, "sh", "-c", bundle::SCRIPT])
                .output()
                .map_err(|error| error.to_string())?;
            if output.status.code() != Some(bundle::STATUS) {
                let errors = String::from_utf8_lossy(&output.stderr).into_owned();
                return Err(format!("{}: {errors}", output.status));
            }
            bundle::check(world, number, &String::from_utf8_lossy(&output.stdout))
        }
        "kill" => succeeds(options, &["kill", &id, "KILL"]).map(drop),
        "state" => {
            let text = succeeds(options, &["state", &id])?;
            let state: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| error.to_string())?;
            if state["id"] == id.as_str() && state["status"] == "running" {
                Ok(())
            } else {
                Err(text)
            }
        }
        _ => {
            if phase == "delete" {
                consoles.remove(&number);
            }
            succeeds(options, &[phase, &id]).map(drop)
        }
    }
}

/// Its stdout, or what it said on stderr.
fn succeeds(options: &Options, words: &[&str]) -> Result<String, String> {
    let output = trun(options, words)
        .output()
        .map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() && errors.is_empty() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{}: {errors}", output.status))
    }
}

/// `trun --root R WORDS`, with stdin closed and nothing but PATH in its environment.
pub fn trun(options: &Options, words: &[&str]) -> Command {
    let mut command = Command::new(&options.trun);
    let root: PathBuf = options.directory.join("state");
    command
        .arg("--root")
        .arg(root)
        .args(words)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null());
    command
}
