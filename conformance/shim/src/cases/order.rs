//! The order of events, and ends that nobody misses.
use super::{Case, all, ours};
use crate::ttrpc::V2;
use crate::world::{World, exec, kill, which};
use std::time::Duration;

pub fn cases() -> Vec<Case> {
    vec![
        all("order/of-a-life", of_a_life),
        all("order/early-ends", early),
        all("order/of-an-exec", of_an_exec),
        all("order/init-ends-last", init_last),
        all("order/shared-pid-namespace", shared_pids),
        all("order/containerd-away", away),
        all("order/200-short-execs", many_execs),
        all("order/out-of-memory", out_of_memory),
        ours(
            "order/ends-are-told-once",
            "it tells of the exits of orphans too",
            once,
        ),
    ]
}

fn of_a_life(w: &World) {
    let mut c = w.started("c", &["sh", "-c", "exit 4"]);
    c.call("Wait", &which("c", "")).unwrap();
    c.call("Delete", &which("c", "")).unwrap();
    assert_eq!(
        w.events.borrow().wait(4),
        ["create", "start", "exit c", "delete"]
    );
    let seen = w.events.borrow().seen();
    assert!(seen.iter().all(|event| event.namespace == w.namespace));
    let (create, exit, delete) = (&seen[0].body, &seen[2].body, &seen[3].body);
    assert_eq!(create.get_text(1), "c");
    assert!(create.get_text(2).ends_with("/c") && create.get(6) > 0);
    assert_eq!((exit.get(3), exit.get(4)), (create.get(6), 4));
    assert_eq!((delete.get(2), delete.get(3)), (create.get(6), 4));
}

fn early(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    for round in 1..=20 {
        c.call("Create", &w.create("c")).unwrap();
        c.call("Start", &which("c", "")).unwrap();
        assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 0);
        c.call("Delete", &which("c", "")).unwrap();
        let told = w.events.borrow().wait(4 * round);
        assert_eq!(
            told[4 * (round - 1)..],
            ["create", "start", "exit c", "delete"]
        );
    }
}

fn of_an_exec(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    c.call("Exec", &exec("c", "e", &["true"])).unwrap();
    c.call("Start", &which("c", "e")).unwrap();
    c.call("Wait", &which("c", "e")).unwrap();
    assert_eq!(
        w.events.borrow().wait(5)[2..],
        ["exec-added e", "exec-started e", "exit e"]
    );
}

fn init_last(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    for id in ["e1", "e2", "e3"] {
        c.call("Exec", &exec("c", id, &["sleep", "1000"])).unwrap();
        c.call("Start", &which("c", id)).unwrap();
    }
    c.call("Kill", &kill("c", "", 9)).unwrap();
    assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 137);
    let told = w.events.borrow().wait(12);
    assert_eq!(told.len(), 12, "{told:?}");
    assert_eq!(told.last().unwrap(), "exit c", "{told:?}");
}

fn shared_pids(w: &World) {
    let bundle = w.bundle_with(
        "c",
        &["sh", "-c", "sleep 1000 & exec sleep 0.3"],
        &|config| {
            config.as_object_mut().unwrap().remove("hostname");
            config["linux"]["namespaces"] =
                serde_json::json!([{ "type": "mount" }, { "type": "ipc" }]);
        },
    );
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    c.call("Create", &w.create("c")).unwrap();
    c.call("Start", &which("c", "")).unwrap();
    c.call("Wait", &which("c", "")).unwrap();
    crate::world::eventually("what init left runs on", || {
        let mut c = w.connect(&address(w), "c");
        c.call("Pids", &which("c", ""))
            .map_or(true, |pids| pids.all(1).is_empty())
    });
    c.call("Delete", &which("c", "")).unwrap();
}

fn address(w: &World) -> String {
    let text = std::fs::read_to_string(w.dir.join("c/address")).expect("the bundle's address");
    text.trim().trim_start_matches("unix://").to_owned()
}

fn away(w: &World) {
    let mut c = w.created("c", &["sh", "-c", "exit 3"]);
    assert_eq!(w.events.borrow().wait(1), ["create"]);
    w.events.borrow_mut().go();
    c.call("Start", &which("c", "")).unwrap();
    assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 3);
    std::thread::sleep(Duration::from_millis(300));
    w.events.borrow_mut().come();
    let told = w.events.borrow().wait(3);
    assert_eq!(told, ["create", "start", "exit c"]);
}

fn many_execs(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    let ids: Vec<String> = (0..200).map(|number| format!("e{number}")).collect();
    for group in ids.chunks(20) {
        let mut waits = Vec::new();
        for id in group {
            let status = id.trim_start_matches('e').parse::<u64>().unwrap() % 100;
            let script = format!("exit {status}");
            c.call("Exec", &exec("c", id, &["sh", "-c", &script]))
                .unwrap();
            waits.push((status, c.send(V2, "Start", &which("c", id).encode())));
        }
        for (id, (status, start)) in group.iter().zip(waits) {
            c.receive(start).unwrap();
            assert_eq!(
                c.call("Wait", &which("c", id)).unwrap().get(1),
                status,
                "{id}"
            );
            c.call("Delete", &which("c", id)).unwrap();
        }
    }
}

fn out_of_memory(w: &World) {
    // tail keeps what it may have to print.
    let script = "yes | head -c 64000000 | tail -c 60000000 >/tmp/x";
    let bundle = w.bundle_with("c", &["sh", "-c", script], &|config| {
        let memory = serde_json::json!({ "limit": 16 << 20, "swap": 16 << 20 });
        config["linux"]["resources"] = serde_json::json!({ "memory": memory });
    });
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    c.call("Create", &w.create("c")).unwrap();
    c.call("Start", &which("c", "")).unwrap();
    assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 137);
    let told = w.events.borrow().wait(4);
    assert!(told.contains(&"oom".to_owned()), "{told:?}");
}

fn once(w: &World) {
    let mut c = w.started("c", &["sh", "-c", "sleep 0.1 & exit 0"]);
    c.call("Wait", &which("c", "")).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let told = w.events.borrow().told();
    assert_eq!(told, ["create", "start", "exit c"]);
}
