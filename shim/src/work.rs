//! What blocks: the runtime's verbs, each on a thread of its own, with all that they need and nothing shared.
use crate::failure::{Code, Failure};
use crate::furniture::Place;
use crate::life::Which;
use crate::options::Options;
use crate::record::{self, Record};
use crate::stats::{self, Device};
use crate::stdio::{self, Made, Streams};
use crate::usage::Usage;
use crate::{furniture, rootfs};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use tare_runtime::{
    CgroupManager, Console, Container, CreateOptions, ErrorKind, ExecOptions, ForeignCgroup,
    OomWatch, RdtUpdate, Runtime, Signal, Stats, Status, Stdio,
};
use tare_shim_wire::messages::google::Any;
use tare_shim_wire::messages::task::Mount;

/// Where containers' state is, unless the options say otherwise: a directory for each namespace of containerd.
const ROOT: &str = "/run/containerd/tare";

/// A container to be made.
#[derive(Debug, Clone)]
pub struct Creation {
    /// Its id.
    pub id: String,
    /// containerd's namespace.
    pub namespace: String,
    /// Where its server listens.
    pub socket: PathBuf,
    /// Its bundle.
    pub bundle: PathBuf,
    /// Its root's mounts.
    pub mounts: Vec<Mount>,
    /// Its streams.
    pub streams: Streams,
    /// What containerd is configured to.
    pub options: Options,
    /// The pods that it may belong to.
    pub pods: Vec<Place>,
}

/// A process that runs, or waits to be started.
#[derive(Debug)]
pub struct Begun {
    /// On the host.
    pub pid: u32,
    /// Readable when it has ended.
    pub pidfd: OwnedFd,
    /// The terminal's other side.
    pub console: Option<OwnedFd>,
    /// Its streams' other ends.
    pub made: Made,
    /// Of init: readable when memory ran out.
    pub oom: Option<OomWatch>,
    /// Of init: it has no pid namespace of its own, so its end ends nobody else.
    pub shares_pids: bool,
}

/// The runtime of these options.
pub fn runtime(options: &Options, namespace: &str) -> Runtime {
    let root = if options.runc.root.is_empty() {
        Path::new(ROOT)
    } else {
        Path::new(&options.runc.root)
    };
    let runtime = Runtime::new(root.join(namespace));
    if options.runc.systemd_cgroup {
        runtime.with_cgroup_manager(CgroupManager::Systemd {
            user: false,
            address: String::new(),
        })
    } else {
        runtime
    }
}

/// Makes a container.
///
/// # Errors
/// Nothing is left behind then.
pub fn create(creation: &Creation) -> Result<Begun, Failure> {
    let root = creation.bundle.join("rootfs");
    rootfs::make(&creation.mounts, &root)?;
    create_within(creation).inspect_err(|_| {
        if !creation.mounts.is_empty() {
            rootfs::unmake(&root);
        }
    })
}

fn create_within(creation: &Creation) -> Result<Begun, Failure> {
    let Creation {
        id,
        namespace,
        bundle,
        streams,
        options,
        pods,
        ..
    } = creation;
    for key in &options.ignored {
        eprintln!("{id}: the option {key} means nothing here");
    }
    let record = Record {
        id: id.clone(),
        socket: creation.socket.clone(),
        streams: streams.clone(),
        options: options.clone(),
    };
    record::keep(bundle, &record)?;
    let ids = (options.runc.io_uid, options.runc.io_gid);
    let mut made = stdio::make(streams, ids, id, namespace)?;
    let given = CreateOptions {
        config: furniture::config(bundle, pods)?,
        stdio: std::mem::take(&mut made.stdio),
        console: console(streams),
        pid_file: Some(bundle.join("init.pid")),
        no_pivot: options.runc.no_pivot_root,
        no_new_keyring: options.runc.no_new_keyring,
        ..CreateOptions::default()
    };
    let created = runtime(options, namespace).create(id, bundle, given);
    let mut container = created.map_err(|error| {
        end_logger(&mut made);
        Failure::of(&error)
    })?;
    let pidfd = container.pidfd().map_err(|error| Failure::of(&error))?;
    Ok(Begun {
        pid: pid_of(&container),
        pidfd,
        console: nonblocking(container.console())?,
        made,
        // Without a memory cgroup there is nothing to tell.
        oom: container.events().ok(),
        shares_pids: container.record().tare.shares_pid_namespace,
    })
}

/// Puts a process into a container.
///
/// # Errors
/// It has not begun then.
pub fn exec(
    runtime: &Runtime,
    id: &str,
    namespace: &str,
    process: tare_oci::Process,
    streams: &Streams,
    ids: (u32, u32),
) -> Result<Begun, Failure> {
    let mut made = stdio::make(streams, ids, id, namespace)?;
    let given = ExecOptions {
        process: tare_oci::Process {
            terminal: streams.terminal,
            ..process
        },
        stdio: std::mem::take(&mut made.stdio),
        console: console(streams),
        ..ExecOptions::default()
    };
    let begun = runtime.load(id).and_then(|container| container.exec(given));
    let mut process = begun.map_err(|error| {
        end_logger(&mut made);
        Failure::of(&error)
    })?;
    Ok(Begun {
        pid: process.pid().as_raw_pid().unsigned_abs(),
        pidfd: process.pidfd().map_err(|error| Failure::of(&error))?,
        console: nonblocking(process.console())?,
        made,
        oom: None,
        shares_pids: false,
    })
}

/// Lets a container's program begin.
///
/// # Errors
/// The program's own too: not found, not executable.
pub fn start(runtime: &Runtime, id: &str) -> Result<(), Failure> {
    let started = runtime.load(id).and_then(|mut container| container.start());
    started.map_err(|error| Failure::of(&error))
}

/// Removes a container, and what is mounted as its root.
///
/// # Errors
/// While it runs, unless `force`.
pub fn delete(runtime: &Runtime, id: &str, bundle: &Path, force: bool) -> Result<(), Failure> {
    match runtime.delete(id, force) {
        Ok(warnings) => {
            for warning in warnings {
                eprintln!("delete {id}: {}", warning.report());
            }
        }
        Err(tare_runtime::Error::NotFound { .. }) => {}
        Err(error) => return Err(Failure::of(&error)),
    }
    rootfs::unmake(&bundle.join("rootfs"));
    Ok(())
}

/// Sends a signal to init, or to all.
///
/// # Errors
/// NOT_FOUND when it has ended.
pub fn kill(runtime: &Runtime, id: &str, signal: u32, all: bool) -> Result<(), Failure> {
    let signal = signal_of(signal)?;
    let killed = runtime
        .load(id)
        .and_then(|container| container.kill(signal, all));
    killed.map_err(|error| Failure::of(&error))
}

/// A signal by its number.
///
/// # Errors
/// INVALID_ARGUMENT.
pub fn signal_of(number: u32) -> Result<Signal, Failure> {
    i32::try_from(number)
        .ok()
        .and_then(Signal::from_number)
        .ok_or_else(|| Failure::new(Code::InvalidArgument, format!("no signal {number}")))
}

/// Stops all processes of a container, or lets them go on.
///
/// # Errors
/// FAILED_PRECONDITION in the wrong state.
pub fn freeze(runtime: &Runtime, id: &str, frozen: bool) -> Result<(), Failure> {
    let done = runtime.load(id).and_then(|container| {
        if frozen {
            container.pause()
        } else {
            container.resume()
        }
    });
    done.map_err(|error| Failure::of(&error))
}

/// Changes a container's limits.
///
/// # Errors
/// INVALID_ARGUMENT for what isn't the resources' JSON.
pub fn update(runtime: &Runtime, id: &str, resources: &Any) -> Result<(), Failure> {
    let resources: tare_oci::Resources = serde_json::from_slice(&resources.value)
        .map_err(|error| Failure::new(Code::InvalidArgument, format!("resources: {error}")))?;
    let done = runtime
        .load(id)
        .and_then(|mut container| container.update(&resources, &RdtUpdate::default()));
    match done {
        Ok(warnings) => {
            for warning in warnings {
                eprintln!("update {id}: {warning}");
            }
            Ok(())
        }
        Err(error) => Err(Failure::of(&error)),
    }
}

/// What a container uses, in the form of its cgroup's version.
///
/// # Errors
/// NOT_FOUND.
pub fn stats(runtime: &Runtime, id: &str) -> Result<Any, Failure> {
    let container = runtime.load(id).map_err(|error| Failure::of(&error))?;
    let found = container.stats().map_err(|error| Failure::of(&error))?;
    let used = usage(
        found,
        container.oom_kills().unwrap_or(0),
        &container.record().cgroup_paths,
    );
    let devices = container.pid().map(|pid| devices(pid.as_raw_pid()));
    Ok(used.pack(&devices.unwrap_or_default()))
}

/// What a pod uses: in its cgroup where it has one, else in all of its containers, each by its runtime, id and bundle. `holder` is
/// in its network namespace, if that is its own.
///
/// # Errors
/// When a cgroup can't be read.
pub fn pod_stats(
    (id, cgroup): (&str, &str),
    tasks: Vec<(Runtime, String, PathBuf)>,
    holder: Option<i32>,
) -> Result<Any, Failure> {
    let found = pod_usage(id, cgroup, tasks).map_err(|error| match error.kind() {
        ErrorKind::InvalidConfig => {
            let why = format!("the pod's cgroup_parent {cgroup:?}: {}", error.report());
            Failure::new(Code::InvalidArgument, why)
        }
        _ => Failure::of(&error),
    })?;
    Ok(found.pack(&holder.map(devices).unwrap_or_default()))
}

fn pod_usage(
    id: &str,
    cgroup: &str,
    tasks: Vec<(Runtime, String, PathBuf)>,
) -> Result<Usage, tare_runtime::Error> {
    // The root tells nothing of a pod but in which version to answer.
    let named = if cgroup.is_empty() { "/" } else { cgroup };
    let own = ForeignCgroup::find(named)?;
    if !cgroup.is_empty() && own.exists() {
        let kills = own.oom_kills().unwrap_or(0);
        return Ok(usage(own.stats()?, kills, own.paths()));
    }
    let mut sum: Option<Usage> = None;
    for (runtime, task, bundle) in tasks {
        if !furniture::is_of(&bundle, id) {
            continue;
        }
        // It may be deleted meanwhile.
        let Ok(container) = runtime.load(&task) else {
            continue;
        };
        let kills = container.oom_kills().unwrap_or(0);
        let paths = &container.record().cgroup_paths;
        let used = usage(container.stats()?, kills, paths);
        match &mut sum {
            Some(sum) => sum.add(&used),
            None => sum = Some(used),
        }
    }
    Ok(sum.unwrap_or_else(|| usage(Stats::default(), 0, own.paths())))
}

/// Of a cgroup, by v1 controller or the empty name of v2.
fn usage(stats: Stats, oom_kills: u64, paths: &BTreeMap<String, String>) -> Usage {
    let text = |path| std::fs::read_to_string(format!("{path}/memory.events"));
    let events = paths.get("").and_then(|path| text(path).ok());
    let v1 = paths.contains_key("memory") || paths.contains_key("cpu");
    Usage::new(stats, oom_kills, &events.unwrap_or_default(), v1)
}

/// The network devices that a process or thread sees.
fn devices(id: i32) -> Vec<Device> {
    let text = std::fs::read_to_string(format!("/proc/{id}/net/dev"));
    text.map(|text| stats::network(&text)).unwrap_or_default()
}

/// The pids of a container.
///
/// # Errors
/// NOT_FOUND.
pub fn pids(runtime: &Runtime, id: &str) -> Result<Vec<i32>, Failure> {
    let found = runtime.load(id).and_then(|container| container.processes());
    found.map_err(|error| Failure::of(&error))
}

/// The process of an exec request.
///
/// # Errors
/// INVALID_ARGUMENT.
pub fn process(spec: Option<&Any>) -> Result<tare_oci::Process, Failure> {
    let invalid = |why: String| Failure::new(Code::InvalidArgument, why);
    let spec = spec.ok_or_else(|| invalid("exec without a process".to_owned()))?;
    serde_json::from_slice(&spec.value).map_err(|error| invalid(format!("process: {error}")))
}

/// A container that is there, and its init as long as that lives.
///
/// # Errors
/// NOT_FOUND.
pub fn find(runtime: &Runtime, id: &str) -> Result<(Status, Option<Begun>), Failure> {
    let container = runtime.load(id).map_err(|error| Failure::of(&error))?;
    let status = container.status().map_err(|error| Failure::of(&error))?;
    // It may end meanwhile.
    let Ok(pidfd) = container.pidfd() else {
        return Ok((Status::Stopped, None));
    };
    let begun = Begun {
        pid: pid_of(&container),
        pidfd,
        console: None,
        made: Made::default(),
        oom: container.events().ok(),
        shares_pids: container.record().tare.shares_pid_namespace,
    };
    Ok((status, Some(begun)))
}

fn pid_of(container: &Container) -> u32 {
    let pid = container.pid();
    pid.map_or(0, |pid| pid.as_raw_pid().unsigned_abs())
}

/// What to call a process in messages.
pub fn name(id: &str, which: &Which) -> String {
    match which {
        Which::Init => id.to_owned(),
        Which::Exec(exec) => format!("{id}/{exec}"),
    }
}

fn console(streams: &Streams) -> Console {
    if streams.terminal {
        Console::Keep
    } else {
        Console::None
    }
}

/// Of a relay.
fn nonblocking(console: Option<OwnedFd>) -> Result<Option<OwnedFd>, Failure> {
    if let Some(console) = &console {
        rustix::io::ioctl_fionbio(console, true)
            .map_err(|errno| Failure::io("set up the terminal", &errno.into()))?;
    }
    Ok(console)
}

/// A logger of a process that isn't there any more sees its pipes' ends by itself; its end is waited for elsewhere.
fn end_logger(made: &mut Made) {
    made.stdio = Stdio::default();
    made.logger = None;
}
