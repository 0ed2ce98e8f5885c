//! The bundles that are run: docker's own default config.json and smaller ones cut from it, on a root of static busybox.

use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const APPLETS: [&str; 9] = [
    "sh", "true", "sleep", "echo", "cat", "ls", "mount", "id", "ps",
];

/// Where the bundles are.
pub struct Bundles {
    folder: PathBuf,
    docker: Value,
}

impl Bundles {
    /// The bundle NAME whose program is `/bin/true`.
    pub fn true_of(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The bundle NAME whose program sleeps until it is killed.
    pub fn sleep_of(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}-sleep"))
    }

    /// Docker's default spec.
    pub fn docker(&self) -> &Value {
        &self.docker
    }

    /// One more bundle, whose program is `/bin/true`.
    pub fn add(&self, name: &str, spec: Value) -> Result<(), String> {
        let folder = self.folder.join(name);
        write(
            &folder,
            spec,
            json!(["/bin/true"]),
            &self.folder.join("rootfs"),
        )
        .map_err(|error| format!("{}: {error}", folder.display()))
    }
}

/// Makes `docker` (namespaces, seccomp, masked paths, limits), `docker-nonet` (the host's network), `seccomp` and `plain`
/// (what a runtime's `spec` command writes, with and without the profile), each also as `NAME-sleep`.
pub fn make(work: &Path, docker_spec: &Path, busybox: &Path) -> Result<Bundles, String> {
    let docker = read(docker_spec)?;
    let root = make_root(work, busybox).map_err(|error| format!("{}: {error}", work.display()))?;
    let specs = [
        ("docker", docker.clone()),
        ("docker-nonet", without_network(&docker)),
        (
            "seccomp",
            plain(&docker, docker["linux"]["seccomp"].clone()),
        ),
        ("plain", plain(&docker, Value::Null)),
    ];
    for (name, spec) in specs {
        for (suffix, arguments) in [
            ("", json!(["/bin/true"])),
            ("-sleep", json!(["/bin/sleep", "100000"])),
        ] {
            let folder = work.join(format!("{name}{suffix}"));
            write(&folder, spec.clone(), arguments, &root)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
        }
    }
    Ok(Bundles {
        folder: work.to_owned(),
        docker,
    })
}

/// Compiles docker's seccomp profile to `docker.bpf` and `docker-tree.bpf`, for barerun.
pub fn write_filter(work: &Path, docker_spec: &Path, compiler: &Path) -> Result<(), String> {
    let rules = filter_rules(&read(docker_spec)?["linux"]["seccomp"]);
    for (shape, name) in [("linear", "docker.bpf"), ("tree", "docker-tree.bpf")] {
        let failed = |error: std::io::Error| format!("{}: {error}", compiler.display());
        let file = fs::File::create(work.join(name)).map_err(failed)?;
        let mut child = Command::new(compiler)
            .arg(shape)
            .stdin(Stdio::piped())
            .stdout(file)
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(rules.as_bytes()).map_err(failed)?;
        }
        let status = child.wait().map_err(failed)?;
        if !status.success() {
            return Err(format!("{} {shape}: {status}", compiler.display()));
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn make_root(work: &Path, busybox: &Path) -> std::io::Result<PathBuf> {
    let root = work.join("rootfs");
    for folder in ["bin", "dev", "proc", "sys", "tmp", "etc", "root"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::copy(busybox, root.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    for file in ["resolv.conf", "hostname", "hosts"] {
        fs::write(root.join("etc").join(file), "")?;
    }
    Ok(root)
}

fn write(folder: &Path, mut spec: Value, arguments: Value, root: &Path) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("etc"))?;
    spec["process"]["args"] = arguments;
    spec["root"]["path"] = json!(root);
    for mount in spec["mounts"].as_array_mut().into_iter().flatten() {
        if mount["type"] == "bind" {
            let file = mount["source"].as_str().unwrap_or_default().to_owned();
            if !file.starts_with('/') {
                fs::write(folder.join(&file), "")?;
                mount["source"] = json!(folder.join(&file));
            }
        }
    }
    fs::write(folder.join("config.json"), format!("{spec:#}"))
}

/// The same in the host's network namespace.
pub fn without_network(docker: &Value) -> Value {
    let mut spec = docker.clone();
    if let Some(linux) = spec["linux"].as_object_mut() {
        linux.remove("sysctl");
    }
    if let Some(namespaces) = spec["linux"]["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
    }
    spec
}

fn plain(docker: &Value, seccomp: Value) -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    let mut mounts = docker["mounts"].clone();
    if let Some(mounts) = mounts.as_array_mut() {
        mounts.retain(|mount| mount["type"] != "bind");
    }
    let namespaces: Vec<Value> = ["pid", "network", "ipc", "uts", "mount", "cgroup"]
        .map(|kind| json!({ "type": kind }))
        .into();
    let mut linux = json!({
        "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
        "namespaces": namespaces,
        "maskedPaths": docker["linux"]["maskedPaths"],
        "readonlyPaths": docker["linux"]["readonlyPaths"],
    });
    if !seccomp.is_null() {
        linux["seccomp"] = seccomp;
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "bench",
        "mounts": mounts,
        "linux": linux,
    })
}

/// The lines that filter.c reads.
fn filter_rules(seccomp: &Value) -> String {
    let mut lines = String::from("default 1\n");
    for rule in seccomp["syscalls"].as_array().into_iter().flatten() {
        let action = match rule["action"].as_str() {
            Some("SCMP_ACT_ALLOW") => "allow".to_owned(),
            _ => rule["errnoRet"].as_u64().unwrap_or(1).to_string(),
        };
        let mut conditions = String::new();
        for argument in rule["args"].as_array().into_iter().flatten() {
            let operator = match argument["op"].as_str() {
                Some("SCMP_CMP_EQ") => "eq",
                Some("SCMP_CMP_NE") => "ne",
                _ => "masked",
            };
            let number = |key: &str| argument[key].as_u64().unwrap_or(0);
            let (index, value, second) = (number("index"), number("value"), number("valueTwo"));
            conditions.push_str(&format!(" {index} {operator} {value} {second}"));
        }
        for name in rule["names"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            lines.push_str(&format!("{action} {name}{conditions}\n"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_becomes_rules() {
        let profile = json!({ "syscalls": [
            { "names": ["read", "write"], "action": "SCMP_ACT_ALLOW" },
            { "names": ["clone"], "action": "SCMP_ACT_ALLOW",
              "args": [{ "index": 0, "value": 64, "op": "SCMP_CMP_MASKED_EQ" }] },
            { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 },
        ]});
        assert_eq!(
            filter_rules(&profile),
            "default 1\nallow read\nallow write\nallow clone 0 masked 64 0\n38 clone3\n"
        );
    }

    #[test]
    fn the_smaller_specs_are_cut_from_dockers() {
        let docker: Value = serde_json::from_str(include_str!("../docker-spec.json")).unwrap();
        let kinds = |spec: &Value| spec["linux"]["namespaces"].as_array().unwrap().len();
        assert_eq!(kinds(&docker) - 1, kinds(&without_network(&docker)));
        assert!(plain(&docker, Value::Null)["linux"]["seccomp"].is_null());
        assert!(plain(&docker, docker["linux"]["seccomp"].clone())["linux"]["seccomp"].is_object());
    }
}
