//! Writes first inputs made of the golden plans, and of samples of a shim's messages: `seeds FOLDER` fills FOLDER/TARGET/.
#![forbid(unsafe_code)]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

#[path = "../../../runtime-core/tests/support/mod.rs"]
mod support;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).expect("seeds FOLDER");
    let put = |target: &str, name: &str, line: &str, document: &Value| {
        let folder = Path::new(&folder).join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), format!("{line}\n{document}"))
    };
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime-core/tests/goldens");
    for entry in std::fs::read_dir(goldens)? {
        let path = entry?.path();
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&path)?;
        let (Some(host), Some((input, _))) = (file.split('.').nth(1), text.split_once("---\n"))
        else {
            continue;
        };
        let keys: BTreeMap<&str, &str> = input
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(": "))
            .collect();
        let key = |name: &str| keys.get(name).copied();
        let mut spec = support::base(key("base").unwrap_or("minimal")).unwrap_or_default();
        if let Some(patch) = key("patch") {
            support::merge(&mut spec, &serde_json::from_str(patch)?);
        }
        let line = format!("{host} {}", key("options").unwrap_or_default());
        if let Some(process) = key("process") {
            let line = format!(
                "{line} {}",
                key("into").unwrap_or("pid,mount").replace(',', " ")
            );
            put("exec", &file, &line, &serde_json::from_str(process)?)?;
            continue;
        }
        put("spec", &file, &line, &spec)?;
        let options = support::options(key("options").unwrap_or_default())
            .unwrap_or_else(|error| panic!("{file}: {error}"));
        let plan = tare_runtime::config::load(spec.to_string().as_bytes()).and_then(|spec| {
            tare_runtime::plan::plan(&spec, &support::host(host).expect(&file), &options)
        });
        if let Some(program) = plan
            .ok()
            .and_then(|plan| tare_runtime::doors::program(&plan))
        {
            let folder = Path::new(&folder).join("program");
            std::fs::create_dir_all(&folder)?;
            std::fs::write(folder.join(&file), [&b"p"[..], &program].concat())?;
        }
        for (target, place) in [
            ("resources", "/linux/resources"),
            ("seccomp", "/linux/seccomp"),
            ("exec", "/process"),
        ] {
            if let Some(part) = spec.pointer(place) {
                put(target, &file, &line, part)?;
            }
        }
        let resources = spec
            .pointer("/linux/resources")
            .cloned()
            .unwrap_or_default();
        let record = json!({"id": "c1", "init_process_pid": 42, "init_process_start": 7, "created": "2026-01-01T00:00:00.0Z",
            "config": {"rootfs": "/r", "version": "1.2.0", "labels": ["bundle=/b"], "resources": resources},
            "cgroup_paths": {"memory": "/sys/fs/cgroup/memory/c1"}, "namespace_paths": {"NEWPID": "/proc/42/ns/pid"},
            "tare": {"bundle": "/b", "annotations": spec["annotations"].as_object().cloned().unwrap_or_default(), "cgroup_manager": "systemd",
                "systemd_scope": "c1.scope", "poststop": spec["hooks"]["poststop"].as_array().cloned().unwrap_or_default(),
                "program": "sh", "steps": 9, "tail": [{"step": 8, "op": 5, "text": "hook /h"}, {"step": 9, "op": 6, "text": "execve"}]}});
        put("record", &file, "5 13 0", &record)?;
    }
    shim(Path::new(&folder))
}

/// Frames, messages and options of a shim.
fn shim(folder: &Path) -> std::io::Result<()> {
    use tare_shim_wire::doors::{every, numbers};
    use tare_shim_wire::frame::{self, Kind};
    use tare_shim_wire::messages::task::{Call, SERVICES};
    use tare_shim_wire::rpc::Client;

    let put = |target: &str, name: &str, bytes: &[u8]| {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(name), bytes)
    };
    for message in every() {
        // The first of few that is short.
        let sample = (0..50)
            .map(|seed| (message.sample)(&mut numbers(seed)))
            .min_by_key(Vec::len)
            .unwrap_or_default();
        let line = format!("{}\n", message.name);
        put(
            "shim_messages",
            message.name,
            &[line.as_bytes(), &sample].concat(),
        )?;
        if message.name.ends_with(".Options") {
            let mut value = vec![10, message.name.len() as u8];
            value.extend_from_slice(message.name.as_bytes());
            value.extend_from_slice(&[0x12, sample.len() as u8 & 0x7f]);
            value.extend_from_slice(&sample[..sample.len() & 0x7f]);
            put("shim_options", message.name, &[b"a", &value[..]].concat())?;
        }
    }
    let texts = [
        "SystemdCgroup = true\nRoot = '/run/x'\nIoUid = 1_000\nShimSharing = \"node\"\n",
        "BinaryName = \"\\u0041\"\nIoGid = 0x3e9\nNoPivotRoot = false # why\n[plugin]\nlist = [1, {a.b = 2.5}]\n[[many]]\n",
        "ShimCgroup = '''\n/shims'''\nTypeUrl = \"\"\"x\"\"\"\nwhen = 2020-01-01T00:00:00Z\na.b = inf\n",
    ];
    for (number, text) in texts.iter().enumerate() {
        put(
            "shim_options",
            &format!("toml-{number}"),
            &[b"t", text.as_bytes()].concat(),
        )?;
        let value = tare_shim_wire::messages::runtime::GenericOptions {
            config_body: text.as_bytes().to_vec(),
            ..Default::default()
        };
        let value =
            tare_shim_wire::Message::encode(&tare_shim_wire::messages::google::Any::pack(&value));
        put(
            "shim_options",
            &format!("value-{number}"),
            &[b"a", &value[..]].concat(),
        )?;
    }
    let empty = tare_shim_wire::messages::google::Empty {};
    for (number, method) in Call::METHODS.iter().enumerate() {
        let (mut client, mut bytes) = (Client::default(), vec![number as u8]);
        for service in SERVICES {
            client
                .put_request(&mut bytes, service, method, &empty, 0)
                .expect("a short request");
        }
        for (stream, kind) in [(1, Kind::Response), (2, Kind::Data), (9, Kind::Other(4))] {
            frame::put(&mut bytes, stream, kind, number as u8 & 7, |out| {
                out.push(8)
            })
            .expect("a short frame");
        }
        put("ttrpc_frames", method, &bytes)?;
    }
    Ok(())
}
