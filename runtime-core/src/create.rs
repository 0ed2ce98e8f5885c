//! `create` and `run`: the bundle is read, the plan made and proved, the id claimed, the lanes run, the record written.
use crate::container::Container;
use crate::error::Error;
use crate::lane::{self, Keep, Lane, Surroundings};
use crate::plan::facts::{HostFacts, PlanOptions, Verb};
use crate::plan::ir::{ChildOp, Namespaces, Plan};
use crate::state::{Record, RecordConfig, RecordTare, TailStep};
use crate::store::StateRoot;
use crate::{CreateOptions, Runtime, config, probe};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tare_oci::Spec;

impl Runtime {
    /// What [`Runtime::create`] would do, without doing it and without rights.
    ///
    /// # Errors
    /// As `create`'s, but nothing is touched.
    pub fn plan(
        &self,
        id: &str,
        bundle: impl AsRef<Path>,
        options: &CreateOptions,
    ) -> Result<Plan, Error> {
        let bundle = Bundle::read(id, bundle.as_ref(), options)?;
        let mut facts = probe::facts(&bundle.spec)?;
        let for_root = facts.uid != 0 && !own_namespaces(&bundle.spec).has(Namespaces::USER);
        if for_root {
            // This caller could not create it at all; what root would do is the answer to the question.
            facts.uid = 0;
            facts.gid = 0;
            facts.capabilities = u64::MAX >> (63 - facts.last_capability.min(63));
        }
        let mut plan = self
            .decide(id, bundle, options, Verb::Create, &facts, for_root)?
            .plan;
        if for_root {
            plan.title.push_str(" (by root)");
        }
        Ok(plan)
    }

    /// Makes a container that waits for [`Container::start`]. Its init is a child of this process.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Bundle`], [`Error::Config`] with the JSON path, [`Error::Step`] with the step that the kernel
    /// refused, [`Error::Program`] when its program can't be executed. Nothing is left behind then.
    pub fn create(
        &self,
        id: &str,
        bundle: impl AsRef<Path>,
        options: CreateOptions,
    ) -> Result<Container, Error> {
        self.make(id, bundle.as_ref(), options, Verb::Create)
    }

    /// Makes a container and starts it, without a stop between.
    ///
    /// # Errors
    /// As [`Runtime::create`] and [`Container::start`].
    pub fn run(
        &self,
        id: &str,
        bundle: impl AsRef<Path>,
        options: CreateOptions,
    ) -> Result<Container, Error> {
        self.make(id, bundle.as_ref(), options, Verb::Run)
    }

    fn make(
        &self,
        id: &str,
        bundle: &Path,
        options: CreateOptions,
        verb: Verb,
    ) -> Result<Container, Error> {
        let prepared = self.prepare(id, bundle, &options, verb)?;
        let root = StateRoot::create(&self.root)?;
        // For the removal, which needs some when there are no more.
        let spare = root.reserve()?;
        let (dir, lock) = root.claim(id)?;
        // Kept before anything is made: with it `delete --force` finds what a killed `create` leaves.
        let result = dir
            .write_config(&prepared.text)
            .and_then(|()| prepared.run(&dir, &options));
        match result {
            Ok((record, outcome)) => {
                let container = Container {
                    dir,
                    record,
                    child: Some(outcome.pidfd),
                    console: outcome.console,
                    warnings: outcome.warnings,
                };
                if verb == Verb::Run
                    && let Err(error) = container.poststart()
                {
                    drop(lock);
                    let _ = container.delete(true);
                    return Err(error);
                }
                Ok(container)
            }
            Err(error) => {
                #[cfg(feature = "proof")]
                if crate::fault::keeps(crate::fault::Keep::State) {
                    return Err(error);
                }
                drop(spare);
                // The first error is the one to tell; a directory that can't be removed shows in `list`.
                let _ = dir.remove(lock);
                Err(error)
            }
        }
    }

    fn prepare(
        &self,
        id: &str,
        bundle: &Path,
        options: &CreateOptions,
        verb: Verb,
    ) -> Result<Prepared, Error> {
        let bundle = Bundle::read(id, bundle, options)?;
        let facts = probe::facts(&bundle.spec)?;
        self.decide(id, bundle, options, verb, &facts, false)
    }

    fn decide(
        &self,
        id: &str,
        bundle: Bundle,
        options: &CreateOptions,
        verb: Verb,
        facts: &HostFacts,
        for_root: bool,
    ) -> Result<Prepared, Error> {
        let Bundle { path, text, spec } = bundle;
        let rootless = !for_root && self.is_rootless(facts);
        let state_dir = absolute(&self.root)?.join(id);
        let plan_options = PlanOptions {
            id: id.to_owned(),
            bundle: path,
            verb,
            cgroup_manager: self.cgroup_manager.clone(),
            rootless,
            no_pivot: options.no_pivot,
            no_new_keyring: options.no_new_keyring,
            preserve_fds: options.preserve_fds + options.listen_fds.count,
            listen_fds: options.listen_fds.count,
            console: options.console != crate::Console::None,
            pidfd_socket: options.pidfd_socket.is_some(),
            pid_file: options.pid_file.is_some(),
            notify_socket: options
                .notify_socket
                .as_ref()
                .map(|path| path.to_string_lossy().into_owned()),
            state_dir,
        };
        let plan = crate::plan::plan(&spec, facts, &plan_options)?;
        crate::plan::check(&plan).map_err(|flaw| Error::Unsupported {
            what: "run a plan that doesn't hold together (a fault of ours)".to_owned(),
            why: flaw.to_string(),
        })?;
        #[cfg(feature = "proof")]
        let plan = crate::weaken::plan(plan);
        Ok(Prepared {
            text,
            spec,
            plan,
            options: plan_options,
        })
    }

    pub(crate) fn is_rootless(&self, facts: &HostFacts) -> bool {
        self.rootless
            .unwrap_or(facts.uid != 0 || !facts.initial_userns)
    }
}

/// What the caller gave.
struct Bundle {
    path: PathBuf,
    text: Vec<u8>,
    spec: Spec,
}

impl Bundle {
    fn read(id: &str, path: &Path, options: &CreateOptions) -> Result<Bundle, Error> {
        crate::check_id(id)?;
        let path = absolute(path)?;
        let file = options
            .config
            .clone()
            .unwrap_or_else(|| path.join("config.json"));
        let text = read_config(&file)?;
        let spec = config::load(&text)?;
        let terminal = spec
            .process
            .as_ref()
            .is_some_and(|process| process.terminal);
        if matches!(options.console, crate::Console::Socket(_)) && !terminal {
            return Err(Error::Config {
                path: "process.terminal".to_owned(),
                why: "cannot use console socket if tty not requested".to_owned(),
            });
        }
        Ok(Bundle { path, text, spec })
    }
}

/// All that is decided before anything is touched.
struct Prepared {
    text: Vec<u8>,
    spec: Spec,
    plan: Plan,
    options: PlanOptions,
}

impl Prepared {
    fn run(
        &self,
        dir: &crate::store::StateDir,
        options: &CreateOptions,
    ) -> Result<(Record, lane::Outcome), Error> {
        let stdio = &options.stdio;
        let around = Surroundings {
            directory: Some(dir),
            stdio: [&stdio.stdin, &stdio.stdout, &stdio.stderr]
                .map(|fd| fd.as_ref().map(|fd| fd.as_fd())),
            preserve_fds: self.options.preserve_fds,
            console: &options.console,
            pidfd_socket: options.pidfd_socket.as_deref(),
            pid_file: options.pid_file.as_deref(),
            state: self.state(),
            join: None,
        };
        let mut written = None;
        let outcome = lane::run(&self.plan, &around, &mut |lane, step| {
            match step {
                Keep::Draft => {
                    let record = self.record(lane)?;
                    dir.draft(&record)?;
                    written = Some(record);
                }
                Keep::Put => dir.put_draft()?,
            }
            Ok(())
        })?;
        let record = written
            .ok_or_else(|| Error::system("find the record of the plan", tare_sys::Errno::EPROTO))?;
        Ok((record, outcome))
    }

    fn state(&self) -> tare_oci::State {
        tare_oci::State {
            oci_version: self.spec.oci_version.clone(),
            id: self.options.id.clone(),
            status: String::new(),
            pid: 0,
            bundle: self.options.bundle.to_string_lossy().into_owned(),
            annotations: self.spec.annotations.clone(),
        }
    }

    fn record(&self, lane: &mut Lane<'_>) -> Result<Record, Error> {
        let linux = self.spec.linux.as_ref();
        let hooks = self.spec.hooks.clone().unwrap_or_default();
        let bundle = self.options.bundle.to_string_lossy().into_owned();
        let mut labels: Vec<String> = self
            .spec
            .annotations
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        labels.push(format!("bundle={bundle}"));
        let root = self
            .spec
            .root
            .as_ref()
            .map(|root| root.path.as_str())
            .unwrap_or_default();
        let pid = lane.pid();
        let mut namespaces = linux.iter().flat_map(|linux| &linux.namespaces);
        let new_pid = namespaces.any(|namespace| namespace.kind == "pid");
        let rdt = lane.rdt.as_ref();
        let mut record = Record {
            id: self.options.id.clone(),
            init_process_pid: pid,
            init_process_start: lane.start_time(),
            created: crate::time::rfc3339(SystemTime::now()),
            config: RecordConfig {
                rootfs: self
                    .options
                    .bundle
                    .join(root)
                    .to_string_lossy()
                    .trim_end_matches('/')
                    .to_owned(),
                version: self.spec.oci_version.clone(),
                labels,
                resources: linux.and_then(|linux| linux.resources.clone()),
            },
            rootless: self.options.rootless,
            namespace_paths: namespace_paths(pid),
            external_descriptors: descriptors(),
            intel_rdt_path: rdt.map(|rdt| rdt.path.clone()).unwrap_or_default(),
            tare: RecordTare {
                bundle,
                annotations: self.spec.annotations.clone(),
                intel_rdt_owned: rdt.is_some_and(|rdt| rdt.owned),
                intel_rdt_monitor: rdt.and_then(|rdt| rdt.monitor.clone()).unwrap_or_default(),
                poststart: hooks.poststart,
                poststop: hooks.poststop,
                shares_pid_namespace: !new_pid,
                program: self
                    .spec
                    .process
                    .as_ref()
                    .and_then(|process| process.args.first().cloned())
                    .unwrap_or_default(),
                tail: lane.tail(),
                steps: self.plan.child.len(),
                notify_socket: self.options.notify_socket.clone().unwrap_or_default(),
                ..RecordTare::default()
            },
            ..Record::default()
        };
        record.set_cgroup(lane.keep_cgroup(&self.options.cgroup_manager));
        Ok(record)
    }
}

impl Lane<'_> {
    /// The steps that `start` will let the child do.
    fn tail(&self) -> Vec<TailStep> {
        let plan = self.plan();
        let Some(wait) = plan
            .child
            .iter()
            .position(|step| matches!(step.op, ChildOp::AwaitStart { .. }))
        else {
            return Vec::new();
        };
        self.ops()
            .iter()
            .enumerate()
            .filter(|(_, step)| **step >= wait)
            .filter_map(|(op, step)| {
                let text = plan.child_text(plan.child.get(*step)?);
                Some(TailStep {
                    step: step + 1,
                    op,
                    text,
                })
            })
            .collect()
    }
}

fn read_config(file: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let fail = |error: &std::io::Error| Error::Bundle {
        path: file.to_owned(),
        why: match error.kind() {
            std::io::ErrorKind::NotFound => "missing".to_owned(),
            _ => tare_sys::Errno::new(error.raw_os_error().unwrap_or(5)).to_string(),
        },
    };
    let opened = std::fs::File::open(file).map_err(|error| fail(&error))?;
    // Most are smaller: two reads do.
    let mut text = Vec::with_capacity(32 << 10);
    // One byte more than is allowed, so that `load` can tell; a FIFO or /dev/zero ends there too.
    opened
        .take(config::MAX_BYTES as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|error| fail(&error))?;
    Ok(text)
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path)
        .map_err(|error| Error::path("find the absolute path of", path, &error))
}

fn namespace_paths(pid: i32) -> std::collections::BTreeMap<String, String> {
    [
        ("NEWCGROUP", "cgroup"),
        ("NEWIPC", "ipc"),
        ("NEWNET", "net"),
        ("NEWNS", "mnt"),
        ("NEWPID", "pid"),
        ("NEWTIME", "time"),
        ("NEWUSER", "user"),
        ("NEWUTS", "uts"),
    ]
    .map(|(key, file)| (key.to_owned(), format!("/proc/{pid}/ns/{file}")))
    .into()
}

fn descriptors() -> Vec<String> {
    (0..3)
        .map(|number| {
            rustix::fs::readlink(format!("/proc/self/fd/{number}"), Vec::new())
                .map(|target| target.to_string_lossy().into_owned())
                .unwrap_or_default()
        })
        .collect()
}

/// The container's own namespaces: those that its config made or joined.
pub(crate) fn own_namespaces(spec: &Spec) -> Namespaces {
    let namespaces = spec.linux.iter().flat_map(|linux| &linux.namespaces);
    namespaces
        .filter_map(|namespace| Namespaces::by_name(&namespace.kind))
        .fold(Namespaces::default(), Namespaces::with)
}
