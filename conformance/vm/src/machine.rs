//! One boot: qemu with two disks and two serial lines, watched until it ends or its time is over.

use crate::args::Options;
use crate::cpio;
use crate::kernel::Kernel;
use crate::report::{self, Counts};
use crate::scenario::{Scenario, command_line};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Lines of the console that are shown when a guest did not come to its end.
const SHOWN: usize = 40;

pub fn run(
    scenario: &Scenario,
    kernel: &Kernel,
    userland: &Path,
    payload: &Path,
    options: &Options,
) -> Result<Counts, String> {
    let file = |end: &str| options.logs.join(format!("{}.{end}", scenario.name));
    let (initramfs, console, results) = (file("initramfs"), file("console"), file("results"));
    make_initramfs(kernel, options, &initramfs)?;
    for path in [&console, &results] {
        fs::write(path, "").map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let suites = scenario.chosen_suites(options.gate, &options.suites);
    let mut child = Command::new("qemu-system-x86_64")
        .args(arguments(&[&console, &results], userland, payload))
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&initramfs)
        .arg("-append")
        .arg(command_line(
            scenario,
            &suites,
            &options.cases,
            options.gate,
        ))
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("qemu-system-x86_64 did not start: {error}"))?;
    let ended = watch(&mut child, &results, Duration::from_secs(scenario.limit));
    let _ = fs::remove_file(&initramfs);
    let text = read(&results);
    let (counts, mut wrong) = report::judge(&text, &suites, !options.cases.is_empty());
    if let Err(reason) = ended {
        wrong.push(reason);
    }
    for reason in &wrong {
        println!("vm {}: {reason}", scenario.name);
    }
    if !text.lines().any(|line| line == report::END) {
        println!("vm {}: the console's last lines:", scenario.name);
        let text = read(&console);
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(SHOWN)..] {
            println!("  {line}");
        }
    }
    Ok(counts)
}

/// The initramfs: a shell, the modules, and the script that mounts the disks.
fn make_initramfs(kernel: &Kernel, options: &Options, target: &Path) -> Result<(), String> {
    let read = |path: &Path| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
    let mut archive = cpio::Writer::default();
    for directory in ["bin", "dev", "proc", "sys", "root"] {
        archive.directory(directory);
    }
    archive.file("bin/busybox", &read(Path::new("/bin/busybox"))?, 0o755);
    archive.file("init", &read(&options.guest.join("initramfs.sh"))?, 0o755);
    let mut bytes = archive.finish();
    bytes.extend(read(&kernel.modules)?);
    fs::write(target, bytes).map_err(|error| format!("{}: {error}", target.display()))
}

/// Disks are written to a temporary file that vanishes with qemu.
fn arguments(serial: &[&PathBuf], userland: &Path, payload: &Path) -> Vec<String> {
    let mut words: Vec<String> = [
        "-machine",
        "q35",
        // One thread: with one for each CPU, a kernel that patches its own code may run half of a patch and stop.
        "-accel",
        "tcg,thread=single",
        "-cpu",
        "max",
        "-smp",
        "2",
        "-m",
        "2048",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ]
    .map(String::from)
    .to_vec();
    for path in serial {
        words.extend(["-serial".into(), format!("file:{}", path.display())]);
    }
    for disk in [userland, payload] {
        words.extend([
            "-drive".into(),
            format!(
                "file={},format=raw,if=virtio,snapshot=on,cache=unsafe",
                disk.display()
            ),
        ]);
    }
    words
}

/// Copies the results to stdout as they come.
fn watch(child: &mut Child, results: &Path, limit: Duration) -> Result<(), String> {
    let begin = Instant::now();
    let mut from = fs::File::open(results).map_err(|error| error.to_string())?;
    let mut copy = || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        bytes.retain(|byte| *byte != b'\r');
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(&bytes).and_then(|()| stdout.flush());
    };
    loop {
        let ended = child.try_wait().map_err(|error| error.to_string())?;
        copy();
        if let Some(status) = ended {
            return match status.success() {
                true => Ok(()),
                false => Err(format!("qemu: {status}")),
            };
        }
        if begin.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("no end within {limit:?}"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\r', "")
}
