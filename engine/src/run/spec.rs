//! What an image and the command line want, and the OCI configuration that says it: docker's defaults.

use super::ids;
use super::place::Ground;
use super::user::User;
use crate::cli::Run;
use crate::containers::Maps;
use crate::failure::Failure;
use serde_json::{Value, json};
use std::path::Path;
use tare_image::manifest::RunConfig;
use tare_image::unpack::Privileges;

/// What is to be run, decided before anything is made.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    pub arguments: Vec<String>,
    /// `NAME=value`, each name once.
    pub environment: Vec<String>,
    pub user: String,
    /// Absolute.
    pub directory: String,
    pub binds: Vec<Bind>,
    pub host_network: bool,
    /// By the host's root.
    pub as_root: bool,
}

/// A directory or file of the host.
#[derive(Debug, PartialEq, Eq)]
pub struct Bind {
    pub source: String,
    pub destination: String,
    pub options: Vec<String>,
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Docker's defaults for what nobody says otherwise, with its seccomp profile.
const BASE: &str = include_str!("base.json");

/// Decides what is run.
pub fn wanted(image: &RunConfig, words: &Run) -> Result<Wanted, Failure> {
    let mut arguments = match &words.entrypoint {
        Some(entrypoint) if entrypoint.is_empty() => Vec::new(),
        Some(entrypoint) => vec![entrypoint.clone()],
        None => image.entrypoint.clone(),
    };
    match words.command.is_empty() {
        false => arguments.extend(words.command.iter().cloned()),
        // Another entry point has nothing to do with the image's words.
        true if words.entrypoint.is_some() => {}
        true => arguments.extend(image.cmd.iter().cloned()),
    }
    if arguments.is_empty() {
        return Err(Failure::new(
            "no command specified, neither here nor in the image",
        ));
    }
    let mut environment = vec![PATH.to_owned()];
    if words.tty {
        environment.push("TERM=xterm".to_owned());
    }
    set(&mut environment, &image.env);
    set(&mut environment, &typed(words)?);
    let directory = words.workdir.as_ref().unwrap_or(&image.working_dir);
    let directory = match directory.as_str() {
        "" => "/".to_owned(),
        path if path.starts_with('/') => path.to_owned(),
        path => {
            return Err(Failure::new(format!(
                "the working directory {path:?} is invalid, it needs to be an absolute path"
            )));
        }
    };
    let binds: Result<Vec<Bind>, Failure> = words.volume.iter().map(|text| bind(text)).collect();
    let host_network = match words.network.as_str() {
        "none" => false,
        "host" => true,
        other => {
            return Err(Failure::new(format!(
                "--network {other}: none and host are known so far"
            )));
        }
    };
    Ok(Wanted {
        arguments,
        environment,
        user: words.user.clone().unwrap_or_else(|| image.user.clone()),
        directory,
        binds: binds?,
        host_network,
        as_root: Privileges::own() == Privileges::Root,
    })
}

/// What an image of the container would run: the image's own, with what is typed.
pub fn config(image: &RunConfig, words: &Run) -> Result<RunConfig, Failure> {
    let mut config = image.clone();
    if let Some(entrypoint) = &words.entrypoint {
        config.entrypoint = Some(entrypoint.clone())
            .filter(|text| !text.is_empty())
            .into_iter()
            .collect();
        config.cmd.clear();
    }
    if !words.command.is_empty() {
        config.cmd.clone_from(&words.command);
    }
    set(&mut config.env, &typed(words)?);
    if let Some(user) = &words.user {
        config.user.clone_from(user);
    }
    if let Some(directory) = &words.workdir {
        config.working_dir.clone_from(directory);
    }
    Ok(config)
}

fn typed(words: &Run) -> Result<Vec<String>, Failure> {
    let typed: Result<Vec<Option<String>>, Failure> =
        words.env.iter().map(|text| variable(text)).collect();
    Ok(typed?.into_iter().flatten().collect())
}

/// Adds settings; each replaces an earlier one of its name.
fn set(environment: &mut Vec<String>, settings: &[String]) {
    for setting in settings {
        let name = setting.split('=').next().unwrap_or("");
        environment.retain(|other| other.split('=').next() != Some(name));
        environment.push(setting.clone());
    }
}

/// `NAME=value`; `NAME` alone takes ours, and is left out where we have none.
fn variable(text: &str) -> Result<Option<String>, Failure> {
    if text.starts_with('=') || text.is_empty() || text.contains('\0') {
        return Err(Failure::new(format!(
            "invalid environment variable: {text:?}"
        )));
    }
    if text.contains('=') {
        return Ok(Some(text.to_owned()));
    }
    Ok(std::env::var(text)
        .ok()
        .map(|value| format!("{text}={value}")))
}

/// `HOST:CONTAINER[:OPTIONS]`.
fn bind(text: &str) -> Result<Bind, Failure> {
    let wrong = |why: &str| Failure::new(format!("invalid volume specification: {text:?}: {why}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, options) = match parts.as_slice() {
        [source, destination] => (*source, *destination, ""),
        [source, destination, options] => (*source, *destination, *options),
        _ => return Err(wrong("it must be HOST:CONTAINER or HOST:CONTAINER:OPTIONS")),
    };
    let source = match source {
        path if path.starts_with('/') => path.to_owned(),
        path if path == "."
            || path == ".."
            || path.starts_with("./")
            || path.starts_with("../") =>
        {
            let absolute = std::path::absolute(path).map_err(|error| wrong(&error.to_string()))?;
            absolute.display().to_string()
        }
        _ => {
            return Err(wrong(
                "volumes with a name are not there yet, give the path of a directory",
            ));
        }
    };
    if !destination.starts_with('/') || destination.trim_end_matches('/').is_empty() {
        return Err(wrong(
            "the place in the container must be an absolute path, and not its root",
        ));
    }
    let mut found = vec!["rbind".to_owned()];
    let mut propagation = "rprivate";
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => found.push("ro".to_owned()),
            "rw" | "z" | "Z" | "nocopy" | "cached" | "delegated" | "consistent" => {}
            "shared" | "rshared" | "slave" | "rslave" | "private" | "rprivate" => {
                propagation = option
            }
            other => return Err(wrong(&format!("the option {other} is not known"))),
        }
    }
    found.push(propagation.to_owned());
    Ok(Bind {
        source,
        destination: destination.to_owned(),
        options: found,
    })
}

/// The configuration, with the files that it binds written.
pub fn write(
    wanted: &Wanted,
    user: &User,
    ground: &Ground,
    words: &Run,
    maps: Option<&Maps>,
) -> Result<String, Failure> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let hostname = match (&words.hostname, wanted.host_network) {
        (Some(name), _) => name.clone(),
        (None, true) => host.trim().to_owned(),
        (None, false) => ground.id()[..12].to_owned(),
    };
    let hosts = match (wanted.host_network, std::fs::read_to_string("/etc/hosts")) {
        (true, Ok(hosts)) => hosts,
        _ => {
            format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n")
        }
    };
    let resolver = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let files = [
        (
            "/etc/hostname",
            ground.put("hostname", &format!("{hostname}\n"))?,
        ),
        ("/etc/hosts", ground.put("hosts", &hosts)?),
        (
            "/etc/resolv.conf",
            ground.put(
                "resolv.conf",
                if wanted.host_network { &resolver } else { "" },
            )?,
        ),
    ];
    for bind in &wanted.binds {
        // As docker does with what is not there.
        if !Path::new(&bind.source).exists() {
            std::fs::create_dir_all(&bind.source)
                .map_err(|error| Failure::new(format!("make {}: {error}", bind.source)))?;
        }
    }
    let own = files.iter().filter(|(destination, _)| {
        !wanted
            .binds
            .iter()
            .any(|bind| bind.destination == *destination)
    });
    let own = own.map(|(destination, source)| {
        mount(
            destination,
            &source.display().to_string(),
            &["rbind", "rprivate"].map(str::to_owned),
        )
    });
    let typed = wanted
        .binds
        .iter()
        .map(|bind| mount(&bind.destination, &bind.source, &bind.options));
    let mounts = own.chain(typed).collect();
    let mut spec = compose(wanted, user, words, ground.id(), &hostname, mounts);
    if let Some(maps) = maps {
        ids::map(&mut spec, maps);
    }
    Ok(spec.to_string())
}

fn mount(destination: &str, source: &str, options: &[String]) -> Value {
    json!({ "destination": destination, "type": "bind", "source": source, "options": options })
}

fn compose(
    wanted: &Wanted,
    user: &User,
    words: &Run,
    id: &str,
    hostname: &str,
    binds: Vec<Value>,
) -> Value {
    let mut spec: Value = serde_json::from_str(BASE).expect("a configuration of ours");
    let mut environment = wanted.environment.clone();
    if !environment
        .iter()
        .any(|setting| setting.starts_with("HOSTNAME="))
    {
        environment.push(format!("HOSTNAME={hostname}"));
    }
    let process = &mut spec["process"];
    process["terminal"] = words.tty.into();
    process["args"] = json!(wanted.arguments);
    process["env"] = json!(environment);
    process["cwd"] = json!(wanted.directory);
    // Its own group is among them, or a file's rule against that group could be dodged (CVE-2022-36109).
    let mut groups = user.groups.clone();
    groups.insert(0, user.gid);
    process["user"] = json!({ "uid": user.uid, "gid": user.gid, "additionalGids": groups });
    if user.uid != 0 {
        // What is bounded may be gained; nobody but root has it from the beginning.
        for set in ["effective", "permitted", "inheritable", "ambient"] {
            process["capabilities"][set] = json!([]);
        }
    }
    spec["root"]["readonly"] = words.read_only.into();
    spec["hostname"] = json!(hostname);
    // Deeper ones later: a bind above would hide them.
    let mut binds = binds;
    binds.sort_by_key(|bind| {
        bind["destination"]
            .as_str()
            .map_or(0, |path| path.matches('/').count())
    });
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.retain(|mount| {
            !binds
                .iter()
                .any(|bind| bind["destination"] == mount["destination"])
        });
        mounts.extend(binds);
    }
    if !wanted.as_root
        && let Some(mounts) = spec["mounts"].as_array_mut()
    {
        ids::adapt(mounts);
    }
    let linux = &mut spec["linux"];
    if wanted.as_root {
        linux["cgroupsPath"] = json!(format!("/tare-{id}"));
    } else {
        // Device rules and a cgroup of a name take root; nodes are bound from outside then, and so is what they allow.
        linux["resources"] = json!({});
    }
    if wanted.host_network
        && let Some(namespaces) = linux["namespaces"].as_array_mut()
    {
        namespaces.retain(|namespace| namespace["type"] != "network");
    }
    if cfg!(target_arch = "aarch64") {
        linux["seccomp"]["architectures"] = json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]);
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn words(text: &[&str]) -> Run {
        let all = ["tare", "run"].iter().chain(text);
        match crate::cli::Cli::try_parse_from(all).unwrap().command {
            crate::cli::Command::Run(run) => *run,
            other => panic!("{other:?}"),
        }
    }

    fn image() -> RunConfig {
        serde_json::from_str(
            r#"{"Entrypoint":["/entry"],"Cmd":["a","b"],"Env":["PATH=/bin","X=1"],"WorkingDir":"/work","User":"me"}"#,
        )
        .unwrap()
    }

    #[test]
    fn what_the_image_says_and_what_is_typed() {
        let run = |text: &[&str]| wanted(&image(), &words(text));
        let plain = run(&["i"]).unwrap();
        assert_eq!(plain.arguments, ["/entry", "a", "b"]);
        assert_eq!(plain.environment, ["PATH=/bin", "X=1"]);
        assert_eq!(
            (plain.user.as_str(), plain.directory.as_str()),
            ("me", "/work")
        );
        assert_eq!(
            run(&["i", "c", "--flag"]).unwrap().arguments,
            ["/entry", "c", "--flag"]
        );
        assert_eq!(run(&["--entrypoint", "sh", "i"]).unwrap().arguments, ["sh"]);
        assert_eq!(
            run(&["--entrypoint", "", "i", "x"]).unwrap().arguments,
            ["x"]
        );
        let typed = run(&[
            "-it",
            "-e",
            "X=2",
            "-e",
            "NO_SUCH_VARIABLE_OF_OURS",
            "-u",
            "7:8",
            "-w",
            "/",
            "i",
        ])
        .unwrap();
        assert_eq!(typed.environment, ["TERM=xterm", "PATH=/bin", "X=2"]);
        assert_eq!(
            (typed.user.as_str(), typed.directory.as_str()),
            ("7:8", "/")
        );
        for wrong in [
            &["-w", "here", "i"][..],
            &["-e", "=x", "i"],
            &["-v", "/a", "i"],
            &["-v", "name:/a", "i"],
            &["-v", "/a:b", "i"],
            &["-v", "/a:/", "i"],
            &["-v", "/a:/b:odd", "i"],
            &["--network", "bridge", "i"],
            &["--entrypoint", "", "i"],
        ] {
            assert!(run(wrong).is_err(), "{wrong:?}");
        }
        assert!(wanted(&RunConfig::default(), &words(&["i"])).is_err());
    }

    #[test]
    fn the_configuration() {
        let typed = words(&[
            "--read-only",
            "--network",
            "host",
            "-v",
            "/h/a:/a/b/c:ro",
            "-v",
            "/h/b:/a",
            "i",
        ]);
        let wanted = wanted(&image(), &typed).unwrap();
        let user = User {
            uid: 5,
            gid: 6,
            groups: vec![7],
        };
        let binds = wanted
            .binds
            .iter()
            .map(|bind| mount(&bind.destination, &bind.source, &bind.options))
            .collect();
        let spec = compose(&wanted, &user, &typed, "0123", "host", binds);
        assert_eq!(
            spec["process"]["user"],
            json!({"uid": 5, "gid": 6, "additionalGids": [6, 7]})
        );
        assert_eq!(spec["process"]["capabilities"]["effective"], json!([]));
        assert_eq!(
            spec["process"]["capabilities"]["bounding"]
                .as_array()
                .unwrap()
                .len(),
            14
        );
        assert_eq!(spec["root"]["readonly"], json!(true));
        let namespaces = spec["linux"]["namespaces"].to_string();
        assert!(
            !namespaces.contains("network") && namespaces.contains("pid"),
            "{namespaces}"
        );
        let places: Vec<_> = spec["mounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| mount["destination"].as_str().unwrap())
            .collect();
        assert_eq!(places[places.len() - 2..], ["/a", "/a/b/c"]);
        assert!(
            spec["linux"]["seccomp"]["syscalls"]
                .as_array()
                .unwrap()
                .len()
                > 5
        );
        tare_runtime::config::load(spec.to_string().as_bytes()).expect("the runtime takes it");
    }
}
