//! One container: its id, bundle, root file system, config.json and the fifos of its streams.

use crate::args::CaseOptions;
use crate::fifo::{self, Reader};
use crate::lab::Lab;
use crate::spec::Spec;
use crate::task::{Stdio, Task};
use crate::{leaks, rootfs};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

pub struct Container {
    pub id: String,
    pub bundle: PathBuf,
    pub spec: Spec,
    pub stdio: Stdio,
}

impl Container {
    pub fn new(options: &CaseOptions, name: &str, arguments: &[&str]) -> Self {
        let dash = if name.is_empty() { "" } else { "-" };
        let id = format!("{}{dash}{name}", options.tag);
        // As containerd has it: .../io.containerd.runtime.v2.task/NAMESPACE/ID.
        let bundle = options.directory.join("tasks").join(&id);
        fs::create_dir_all(&bundle).expect("the case's own directory");
        rootfs::make(&options.template, &bundle.join("rootfs")).expect("the case's own directory");
        let mut container = Self::at(&id, &bundle);
        container.spec.args(arguments);
        container
    }

    /// One whose bundle is there.
    pub fn at(id: &str, bundle: &Path) -> Self {
        Self {
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            spec: Spec::new(&format!("/{id}")),
            stdio: Stdio::default(),
        }
    }

    pub fn write(&self) {
        let text = serde_json::to_string_pretty(&*self.spec).expect("plain JSON");
        fs::write(self.bundle.join("config.json"), text).expect("the case's own directory");
    }

    /// In a group of that name, as the containers of a pod.
    pub fn in_group(mut self, name: &str) -> Self {
        self.spec["annotations"] = json!({"io.containerd.runc.v2.group": name});
        self
    }

    /// Fifos for output and errors, as containerd has both or none; each is read.
    pub fn read_both(&mut self) -> (Reader, Reader) {
        let [output, errors] = ["stdout", "stderr"].map(|name| self.fifo(name));
        self.stdio.stdout = output.to_string_lossy().into_owned();
        self.stdio.stderr = errors.to_string_lossy().into_owned();
        (Reader::open(&output), Reader::open(&errors))
    }

    /// The same, where only the output is of interest.
    pub fn read_stdout(&mut self) -> Reader {
        self.read_both().0
    }

    /// Makes a fifo for the standard input; `fifo::writer` opens it once the shim has.
    pub fn give_stdin(&mut self) -> PathBuf {
        let path = self.fifo("stdin");
        self.stdio.stdin = path.to_string_lossy().into_owned();
        path
    }

    /// A terminal instead of the streams; what it says is read.
    pub fn terminal(&mut self) -> Reader {
        self.spec.set("process.terminal", true);
        self.stdio.terminal = true;
        let output = self.fifo("stdout");
        self.stdio.stdout = output.to_string_lossy().into_owned();
        Reader::open(&output)
    }

    pub fn fifo(&self, name: &str) -> PathBuf {
        fifo::make(&self.bundle.join(name))
    }

    /// A process for exec: as this container's own, with other arguments.
    pub fn process(&self, arguments: &[&str]) -> Value {
        let mut process = self.spec["process"].clone();
        process["args"] = json!(arguments);
        process["terminal"] = json!(false);
        process
    }

    /// The container's group of a v1 controller, or its only one.
    pub fn cgroup(&self, controller: &str) -> Option<PathBuf> {
        let mut groups = leaks::cgroups(&self.id);
        let named = Path::new("/sys/fs/cgroup").join(controller);
        let v1 = groups.iter().position(|path| path.starts_with(&named));
        match v1 {
            Some(index) => Some(groups.swap_remove(index)),
            None => groups.pop(),
        }
    }
}

impl Lab {
    /// A started shim that has the container created.
    #[track_caller]
    pub fn created(&self, container: &Container) -> Task {
        container.write();
        let task = self.start(container);
        self.create(&task, container);
        task
    }

    /// The pid.
    #[track_caller]
    pub fn create(&self, task: &Task, container: &Container) -> i32 {
        let Container {
            id, bundle, stdio, ..
        } = container;
        let created = task.create(id, bundle, &[], stdio, self.runc_options());
        created.unwrap_or_else(|status| panic!("Create: {status}"))
    }

    /// The same, and it runs.
    #[track_caller]
    pub fn started(&self, container: &Container) -> Task {
        let task = self.created(container);
        let started = task.start(&container.id, "");
        started.unwrap_or_else(|status| panic!("Start: {status}"));
        task
    }
}
