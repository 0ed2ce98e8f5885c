//! The runtime killed at points of its work: `delete --force` leaves nothing.

use crate::case::cases;
use crate::leaks;
use crate::process;
use crate::sandbox::Sandbox;
use std::time::Duration;

cases!("killed":
    killed_during_create, killed_during_run, killed_during_exec, killed_during_delete,
);

/// Kills the runtime after `delay` and clears with `delete --force`; everything must be gone.
fn kill_and_clear(s: &Sandbox, call: crate::runtime::Call, delay: Duration) {
    let running = call.spawn();
    std::thread::sleep(delay);
    running.kill();
    let output = s.call(&["delete", "--force", &s.id]).run();
    assert!(
        output.code == 0,
        "delete --force after {delay:?}: {}",
        output.stderr
    );
    let watch = leaks::Watch {
        tag: &s.environment.tag,
        directory: &s.environment.directory,
        roots: std::slice::from_ref(&s.environment.root),
        temporary: None,
        descriptors: None,
    };
    let left = leaks::find(&watch);
    leaks::clear(&watch);
    assert!(
        left.is_empty(),
        "killed after {delay:?}, then delete --force: {}",
        left.join("; ")
    );
}

/// Thirty delays over somewhat more than the time that one undisturbed invocation took.
fn delays(took: Duration) -> impl Iterator<Item = Duration> {
    (0..30).map(move |step| took * step * 11 / 10 / 30)
}

fn killed_during_create(s: &mut Sandbox) {
    let took = s.create().took;
    s.call(&["delete", "--force", &s.id]).run().ok();
    s.reap();
    for delay in delays(took) {
        kill_and_clear(s, s.create_call(&[]), delay);
    }
}

fn killed_during_run(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "exit", "0"]);
    let took = s.run().ok().took;
    s.spec.args(&["/inspect", "stubborn"]);
    for delay in delays(took) {
        kill_and_clear(s, s.run_call(&[]), delay);
    }
}

fn killed_during_exec(s: &mut Sandbox) {
    s.start_waiting();
    let took = s.exec(&["/bin/true"]).ok().took;
    for delay in delays(took) {
        let running = s.exec_call(&[], &["/bin/true"]).spawn();
        std::thread::sleep(delay);
        running.kill();
    }
    assert_eq!(s.status(), "running");
    assert!(
        process::eventually(Duration::from_secs(3), || {
            process::reap_all();
            process::descendants(std::process::id() as i32) == [s.pid()]
        }),
        "processes of killed execs stay: {:?}",
        process::descendants(std::process::id() as i32)
            .into_iter()
            .map(process::describe)
            .collect::<Vec<_>>()
    );
    s.exec(&["/bin/true"]).ok();
    s.stop();
}

fn killed_during_delete(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "wait"]);
    s.create();
    let took = s.call(&["delete", "--force", &s.id]).run().ok().took;
    for delay in delays(took).step_by(3) {
        s.create();
        kill_and_clear(s, s.call(&["delete", "--force", &s.id]), delay);
    }
}
