//! What a case works with: a directory, a state root, a container with its bundle, and cleaning up after it.

use crate::args::CaseOptions;
use crate::inspect::Report;
use crate::runtime::{Call, Output, default_limit};
use crate::spec::Spec;
use crate::{leaks, process, rootfs};
use serde_json::Value;
use std::cell::Cell;
use std::ffi::OsString;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// What the containers of one case share.
pub struct Environment {
    pub runtime: PathBuf,
    pub runtime_name: String,
    /// Whether systemd makes the groups.
    pub systemd: bool,
    pub tag: String,
    pub directory: PathBuf,
    pub root: PathBuf,
    pub temporary: PathBuf,
    /// Starts of each race.
    pub starts: usize,
    /// Defences that the runtime leaves out.
    pub weaken: String,
    template: PathBuf,
    counter: Cell<usize>,
}

/// One container, not made yet: its id, bundle, root file system and config.json.
pub struct Container {
    pub environment: Rc<Environment>,
    pub id: String,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    pub spec: Spec,
    /// Where a container that was created writes its stdout.
    pub output: PathBuf,
}

/// The first container of the case, and what checks and clears at its end.
pub struct Sandbox {
    main: Container,
    /// Further state roots that must end empty.
    pub roots: Vec<PathBuf>,
}

impl Sandbox {
    pub fn new(options: &CaseOptions) -> Self {
        let environment = Rc::new(Environment {
            runtime: options.runtime.clone(),
            runtime_name: options.runtime_name.clone(),
            systemd: options.systemd,
            tag: options.tag.clone(),
            directory: options.directory.clone(),
            root: options.directory.join("root"),
            temporary: options.directory.join("tmp"),
            starts: options.starts,
            weaken: options.weaken.clone(),
            template: options.template.clone(),
            counter: Cell::new(0),
        });
        fs::create_dir(&environment.temporary).expect("the directory is empty");
        fs::set_permissions(&environment.temporary, fs::Permissions::from_mode(0o1777))
            .expect("own directory");
        let main = Container::new(Rc::clone(&environment), "");
        Self {
            main,
            roots: vec![environment.root.clone()],
        }
    }

    /// Another container of the same case, its id ending in `-NAME`.
    pub fn sibling(&self, name: &str) -> Container {
        Container::new(Rc::clone(&self.environment), name)
    }

    /// Deletes what is left by `delete --force`, then names all that is still there and clears it.
    pub fn finish(&self, descriptors: usize) -> Vec<String> {
        let mut left = Vec::new();
        for root in &self.roots {
            if self.environment.runtime_name.starts_with("crun") {
                // What all its containers share stands among them.
                for shared in [".cache", ".empty-directory"] {
                    let _ = fs::remove_dir_all(root.join(shared));
                }
            }
            for entry in fs::read_dir(root).into_iter().flatten().flatten() {
                let id = entry.file_name().to_string_lossy().into_owned();
                let root = root.to_string_lossy().into_owned();
                let output = self
                    .call(&["delete", "--force", &id])
                    .globals(["--root", &root])
                    .run();
                if output.code != 0 {
                    left.push(format!(
                        "delete --force {id} exited {}: {}",
                        output.code,
                        output.stderr.trim()
                    ));
                }
            }
        }
        let watch = leaks::Watch {
            tag: &self.environment.tag,
            directory: &self.environment.directory,
            roots: &self.roots,
            temporary: Some(&self.environment.temporary),
            descriptors: Some(descriptors),
        };
        left.extend(leaks::find(&watch));
        if !left.is_empty() {
            leaks::clear(&watch);
        }
        left
    }
}

impl Deref for Sandbox {
    type Target = Container;
    fn deref(&self) -> &Container {
        &self.main
    }
}

impl DerefMut for Sandbox {
    fn deref_mut(&mut self) -> &mut Container {
        &mut self.main
    }
}

impl Container {
    fn new(environment: Rc<Environment>, name: &str) -> Self {
        let suffix = if name.is_empty() {
            String::new()
        } else {
            format!("-{name}")
        };
        let id = format!("{}{suffix}", environment.tag);
        let bundle = environment.directory.join(format!("bundle{suffix}"));
        let root_file_system = bundle.join("rootfs");
        rootfs::make_from(&environment.template, &root_file_system)
            .unwrap_or_else(|error| panic!("{}: {error}", root_file_system.display()));
        Self {
            spec: Spec::new(&if environment.systemd {
                format!("system.slice:tare:{id}")
            } else {
                format!("/{id}")
            }),
            output: environment.directory.join(format!("unset{suffix}")),
            environment,
            id,
            bundle,
            rootfs: root_file_system,
        }
    }

    /// A path in the case's own directory, as text for command lines and specs.
    pub fn path(&self, name: &str) -> String {
        self.environment
            .directory
            .join(name)
            .to_string_lossy()
            .into_owned()
    }

    pub fn write_spec(&self) {
        fs::write(self.bundle.join("config.json"), self.spec.to_string())
            .expect("own bundle is writable");
    }

    /// `RUNTIME --root R ARGUMENTS`, with an empty environment but PATH and TMPDIR.
    pub fn call(&self, arguments: &[&str]) -> Call {
        let environment = &self.environment;
        let number = environment.counter.replace(environment.counter.get() + 1);
        let weaken: Option<(OsString, OsString)> = Some(&environment.weaken)
            .filter(|names| !names.is_empty())
            .map(|names| ("TARE_WEAKEN".into(), names.into()));
        let mut globals = vec!["--root".into(), environment.root.clone().into()];
        if environment.systemd {
            globals.push("--systemd-cgroup".into());
        }
        Call {
            program: environment.runtime.clone(),
            globals,
            arguments: arguments.iter().map(Into::into).collect(),
            environment: [
                (
                    "PATH".into(),
                    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
                ),
                ("TMPDIR".into(), environment.temporary.clone().into()),
            ]
            .into_iter()
            .chain(weaken)
            .collect(),
            directory: environment.directory.clone(),
            user: None,
            limit: default_limit(),
            stdin: std::process::Stdio::null(),
            redirections: String::new(),
            prelude: String::new(),
            terminal: None,
            stdout: environment.directory.join(format!("{number}.out")),
            stderr: environment.directory.join(format!("{number}.err")),
        }
    }

    pub fn bundle_text(&self) -> String {
        self.bundle.to_string_lossy().into_owned()
    }

    /// `run FLAGS --bundle B ID`, prepared; config.json is written.
    pub fn run_call(&self, flags: &[&str]) -> Call {
        self.write_spec();
        let bundle = self.bundle_text();
        let arguments = [&["run"], flags, &["--bundle", &bundle, &self.id]].concat();
        self.call(&arguments)
    }

    pub fn run(&self) -> Output {
        self.run_call(&[]).run()
    }

    /// Runs the inspector as the container's program: full report and probes.
    #[track_caller]
    pub fn inspect(&mut self, probes: &[&str]) -> Report {
        self.spec.args(&[&["/inspect", "report"], probes].concat());
        Report::parse(&self.run().ok().stdout)
    }

    pub fn pid_file(&self) -> PathBuf {
        self.environment.directory.join(format!("{}.pid", self.id))
    }

    /// `create FLAGS --bundle B --pid-file F ID`.
    pub fn create_call(&self, flags: &[&str]) -> Call {
        self.write_spec();
        let (bundle, pid_file) = (
            self.bundle_text(),
            self.pid_file().to_string_lossy().into_owned(),
        );
        let arguments = [
            &["create"],
            flags,
            &["--bundle", &bundle, "--pid-file", &pid_file, &self.id],
        ]
        .concat();
        self.call(&arguments)
    }

    #[track_caller]
    pub fn create(&mut self) -> Output {
        let output = self.create_call(&[]).run().ok();
        self.output.clone_from(&output.stdout_file);
        output
    }

    pub fn start(&self) -> Output {
        self.call(&["start", &self.id]).run()
    }

    pub fn pid(&self) -> i32 {
        let text = fs::read_to_string(self.pid_file()).expect("create wrote the pid file");
        text.parse()
            .unwrap_or_else(|_| panic!("the pid file holds {text:?}"))
    }

    /// Creates and starts the container with `arguments` and waits until it has printed `ready`.
    #[track_caller]
    pub fn start_program(&mut self, arguments: &[&str]) {
        self.spec.args(arguments);
        self.create();
        self.start().ok();
        self.wait_output("ready");
    }

    /// A container that waits for a signal and exits with its number.
    #[track_caller]
    pub fn start_waiting(&mut self) {
        self.start_program(&["/inspect", "wait"]);
    }

    #[track_caller]
    pub fn wait_output(&self, words: &str) {
        let mut text = String::new();
        let seen = process::eventually(Duration::from_secs(5), || {
            text = fs::read_to_string(&self.output).unwrap_or_default();
            text.contains(words)
        });
        assert!(seen, "the container did not print {words:?} but {text:?}");
    }

    pub fn output_text(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    #[track_caller]
    pub fn state(&self) -> Value {
        let text = self.call(&["state", &self.id]).run().ok().stdout;
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("state printed {text:?}: {error}"))
    }

    pub fn status(&self) -> String {
        self.state()["status"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    pub fn kill(&self, signal: &str) -> Output {
        self.call(&["kill", &self.id, signal]).run()
    }

    pub fn delete(&self) -> Output {
        self.call(&["delete", &self.id]).run()
    }

    /// Reaps init, at most five seconds from now; its exit code or 128 + signal.
    #[track_caller]
    pub fn reap(&self) -> i32 {
        let pid = self.pid();
        process::reap(pid, Duration::from_secs(5))
            .unwrap_or_else(|| panic!("init did not end: {}", process::describe(pid)))
    }

    /// SIGKILL, reap, delete.
    #[track_caller]
    pub fn stop(&self) {
        self.kill("KILL").ok();
        self.reap();
        self.delete().ok();
    }

    pub fn exec(&self, arguments: &[&str]) -> Output {
        self.exec_with(&[], arguments)
    }

    pub fn exec_with(&self, flags: &[&str], arguments: &[&str]) -> Output {
        self.exec_call(flags, arguments).run()
    }

    pub fn exec_call(&self, flags: &[&str], arguments: &[&str]) -> Call {
        self.call(&[&["exec"], flags, &[self.id.as_str()], arguments].concat())
    }

    /// Runs the inspector by exec.
    #[track_caller]
    pub fn exec_inspect(&self, flags: &[&str], probes: &[&str]) -> Report {
        let arguments = [&["/inspect", "report"], probes].concat();
        Report::parse(&self.exec_with(flags, &arguments).ok().stdout)
    }
}
