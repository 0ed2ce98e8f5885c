//! docker's default cgroups cost at most 1.3 times what the kernel takes for the same system calls with no library around them.
//!
//! Interleaved rounds, lower quartiles: what counts is the work, not what else the machine does.
//! With debug assertions the compiler's own checks are measured too, so the bound is looser.
use rustix::fs::{Mode, OFlags};
use std::time::{Duration, Instant};
use tare_cgroup::{DeviceRules, Executor, Layout, Manager, Request, Step, decide};

const DOCKER: &str = r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":5,"minor":1,"access":"rwm"}],
    "memory":{"limit":268435456},"cpu":{"quota":100000,"period":100000},"pids":{"limit":100}}"#;
const ROUNDS: usize = 200;
const MOST: f64 = if cfg!(debug_assertions) { 2.0 } else { 1.3 };

#[test]
fn the_steps_cost_little_more_than_their_system_calls() {
    let resources = serde_json::from_str(DOCKER).unwrap();
    let mut times = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        let path = format!("/tare-test-{}-cost-{round}", std::process::id());
        let start = Instant::now();
        let layout = Layout::detect().unwrap();
        times[0].push(start.elapsed());
        let start = Instant::now();
        let request = Request {
            path: &path,
            id: "x",
            resources: Some(&resources),
            ..Request::default()
        };
        let decision = decide(&layout, &request).unwrap();
        times[1].push(start.elapsed());
        let start = Instant::now();
        let mut executor = Executor::new();
        for step in &decision.prepare {
            executor.run(step, None).unwrap();
        }
        times[2].push(start.elapsed());
        executor
            .commit(&decision, Manager::Cgroupfs)
            .destroy()
            .unwrap();
        let start = Instant::now();
        bare(&decision.prepare).unwrap();
        times[3].push(start.elapsed());
        for path in decision.paths.values() {
            rustix::fs::rmdir(path).unwrap();
        }
    }
    let [detect, decide, steps, bare] = times.map(|mut times| {
        times.sort_unstable();
        times[ROUNDS / 4]
    });
    println!(
        "detect {detect:?}, decide {decide:?}, steps {steps:?}, the same system calls bare {bare:?}"
    );
    assert!(detect < Duration::from_millis(1), "detect {detect:?}");
    let ratio = steps.as_secs_f64() / bare.as_secs_f64();
    assert!(ratio < MOST, "{ratio:.2} times the bare cost");
}

/// mkdir and open of each cgroup, open, write and close of each file, by absolute path as a C program would.
fn bare(steps: &[Step]) -> Result<(), rustix::io::Errno> {
    let put = |directory: &str, file: &str, value: &str| {
        let fd = rustix::fs::open(
            format!("{directory}/{file}"),
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        rustix::io::write(fd, value.as_bytes()).map(drop)
    };
    let mut directories = Vec::new();
    for step in steps {
        let of = |label: &str| {
            directories
                .iter()
                .find(|(known, _, _)| known == label)
                .map_or("", |(_, path, _): &(String, String, _)| path.as_str())
        };
        match step {
            Step::Make(make) => {
                let path = make.directory();
                rustix::fs::mkdir(&path, Mode::from_raw_mode(0o755))?;
                if make.inherit_cpuset {
                    for file in ["cpuset.cpus", "cpuset.mems"] {
                        let mut value = [0; 256];
                        let fd = rustix::fs::open(
                            format!("{}/{file}", make.mount),
                            OFlags::RDONLY | OFlags::CLOEXEC,
                            Mode::empty(),
                        )?;
                        let count = rustix::io::read(fd, &mut value)?;
                        put(
                            &path,
                            file,
                            std::str::from_utf8(&value[..count]).unwrap_or("0"),
                        )?;
                    }
                }
                let fd = rustix::fs::open(
                    &path,
                    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
                    Mode::empty(),
                )?;
                directories.push((make.label.clone(), path, fd));
            }
            Step::Write { label, settings } => settings
                .iter()
                .try_for_each(|setting| put(of(label), &setting.file, &setting.value))?,
            Step::Devices {
                label,
                rules: DeviceRules::V1(lines),
            } => {
                for line in lines {
                    put(
                        of(label),
                        if line.allow {
                            "devices.allow"
                        } else {
                            "devices.deny"
                        },
                        &line.text,
                    )?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}
