//! Runs steps. No decision is taken here but the ones that a step spells out (optional, if present, or else).
use crate::apply::{apply_devices, write_settings};
use crate::directory::{Directory, read_path};
use crate::handle::Saved;
use crate::step::{Make, Setting};
use crate::systemd::{Scope, unit};
use crate::{Cgroup, Error, Skip, Step, devices, error::errno_name, remove};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::collections::BTreeMap;

/// Runs the steps of one [`crate::Decision`] and remembers what it made.
///
/// Dropped before [`Executor::commit`], it removes every directory that it made itself and stops the scope that it started: let the
/// child die first, a cgroup with processes stays.
#[derive(Debug, Default)]
pub struct Executor {
    open: BTreeMap<String, Hierarchy>,
    left_out: BTreeMap<String, String>,
    /// v2 controllers that could not be enabled, and where it failed.
    not_enabled: BTreeMap<String, String>,
    /// Directories made, parents first.
    made: Vec<String>,
    scope: Option<Scope>,
    /// Where systemd really put the scope, below the v2 or the `name=systemd` mount.
    scope_path: Option<String>,
    committed: bool,
}

#[derive(Debug)]
struct Hierarchy {
    directory: Directory,
}

impl Executor {
    /// An executor that has done nothing.
    pub fn new() -> Executor {
        Executor::default()
    }

    /// Runs one step. `pid` is the child's as the caller's pid namespace has it; place steps need it, the others don't read it.
    ///
    /// Returns what had to be left out, where the step allows that.
    pub fn run(&mut self, step: &Step, pid: Option<i32>) -> Result<Option<Skip>, Error> {
        match step {
            Step::Make(make) => self.make(make),
            Step::Write { label, settings } => self.write(label, settings).map(|()| None),
            Step::Devices { label, rules } => self.devices(label, rules).map(|()| None),
            Step::Own { label, uid } => self.own(label, *uid).map(|()| None),
            Step::Join {
                labels,
                single_threaded,
            } => self.join(labels, *single_threaded, pid).map(|()| None),
            Step::Scope(scope) => self.start(scope, pid).map(|()| None),
        }
    }

    /// The v1 `tasks` files of a [`Step::Join`], open for the child: it joins by writing `0` to each, the one form of attach that does
    /// not wait for the kernel's global thread-group lock (5 to 15 ms when that is cold). The kernel judges by the opener's rights.
    pub fn tasks(&self, labels: &[String]) -> Result<Vec<OwnedFd>, Error> {
        let v1 = labels.iter().filter(|label| !label.is_empty());
        v1.filter_map(|label| self.open.get(label))
            .map(|hierarchy| open_tasks(&hierarchy.directory))
            .collect()
    }

    /// The v2 cgroup's directory, for `CLONE_INTO_CGROUP`.
    pub fn directory(&self) -> Option<BorrowedFd<'_>> {
        self.open.get("").map(|hierarchy| hierarchy.directory.fd())
    }

    /// Keeps what was made and hands it over.
    pub fn commit(self, decision: &crate::Decision, manager: crate::Manager) -> Cgroup {
        let steps = decision.prepare.iter().chain(&decision.place);
        self.commit_steps(steps, &decision.paths, manager)
    }

    /// The same, for a caller who keeps the steps and the paths of its decision elsewhere.
    pub fn commit_steps<'a>(
        mut self,
        steps: impl Iterator<Item = &'a Step>,
        expected: &BTreeMap<String, String>,
        manager: crate::Manager,
    ) -> Cgroup {
        self.committed = true;
        let makes = steps.filter_map(|step| match step {
            Step::Make(make) => Some((make.directory(), make.label.as_str())),
            _ => None,
        });
        let labels: BTreeMap<String, &str> = makes.collect();
        let mut paths = BTreeMap::new();
        for (controller, directory) in expected {
            let label = labels.get(directory);
            if let Some(hierarchy) = label.and_then(|label| self.open.get(*label)) {
                paths.insert(controller.clone(), hierarchy.directory.path().to_string());
            }
        }
        let scope = self.scope.take();
        Cgroup::open(Saved::new(paths, manager, scope.as_ref()))
    }

    fn make(&mut self, make: &Make) -> Result<Option<Skip>, Error> {
        match self.try_make(make) {
            Ok(directory) => {
                self.open
                    .insert(make.label.clone(), Hierarchy { directory });
                Ok(None)
            }
            Err(Error::Io {
                errno: errno @ (Errno::ACCESS | Errno::PERM | Errno::ROFS),
                path,
                ..
            }) if make.optional => {
                let reason = format!("rootless: {path} can't be made: {}", errno_name(errno));
                self.left_out.insert(make.label.clone(), reason.clone());
                Ok(Some(Skip::new("cgroup", reason)))
            }
            Err(error) => Err(error),
        }
    }

    fn try_make(&mut self, make: &Make) -> Result<Directory, Error> {
        let mount =
            Directory::open(&make.mount).map_err(|errno| Error::io("open", &make.mount, errno))?;
        let path = match (&self.scope_path, make.shared) {
            (Some(scope), true) => {
                crate::systemd::real_path(scope, &make.path, self.scope.as_ref())
            }
            _ => make.path.clone(),
        };
        let path = path.trim_start_matches('/');
        if make.inherit_cpuset || !make.enable.is_empty() {
            self.descend(&mount, path, make)?;
        } else if let Err(errno) = self.make_one(&mount, path, make.shared) {
            if errno.errno() != Some(Errno::NOENT) {
                return Err(errno);
            }
            self.descend(&mount, path, make)?;
        }
        mount
            .open_below(path)
            .map_err(|errno| Error::io("open cgroup", mount.file(path), errno))
    }

    /// Level by level: what a level needs before the next one can be used.
    fn descend(&mut self, mount: &Directory, path: &str, make: &Make) -> Result<(), Error> {
        let ends: Vec<usize> = path
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([path.len()])
            .collect();
        let mut above = None;
        for end in ends {
            let level = &path[..end];
            if !make.enable.is_empty() {
                self.enable(above.as_ref().unwrap_or(mount), &make.enable);
            }
            let fresh = self.make_one(mount, level, make.shared || end < path.len())?;
            let here = mount
                .open_below(level)
                .map_err(|errno| Error::io("open cgroup", mount.file(level), errno))?;
            // Below a cgroup that is threaded already, or that has processes and only threadable controllers.
            if !make.enable.is_empty()
                && fresh
                && here
                    .read("cgroup.type")
                    .is_ok_and(|kind| kind.trim() == "domain invalid")
            {
                let _ = here.write("cgroup.type", "threaded");
            }
            if make.inherit_cpuset {
                inherit(above.as_ref().unwrap_or(mount), &here, fresh)?;
            }
            above = Some(here);
        }
        Ok(())
    }

    /// Makes one directory; true if it wasn't there. One that is there must be empty unless it may be shared.
    fn make_one(&mut self, mount: &Directory, path: &str, may_exist: bool) -> Result<bool, Error> {
        match mount.make(path) {
            Ok(()) => {
                self.made.push(mount.file(path));
                Ok(true)
            }
            Err(Errno::EXIST) if may_exist => Ok(false),
            Err(Errno::EXIST) => {
                let there = mount
                    .open_below(path)
                    .map_err(|errno| Error::io("open cgroup", mount.file(path), errno))?;
                let count = there
                    .read("cgroup.procs")
                    .unwrap_or_default()
                    .lines()
                    .count();
                if count > 0 {
                    return Err(Error::NotEmpty {
                        path: there.path().to_string(),
                        count,
                    });
                }
                Ok(false)
            }
            Err(errno) => {
                let hint = match errno {
                    Errno::ACCESS | Errno::PERM => "; this cgroup isn't delegated to the caller",
                    Errno::ROFS => "; the cgroup mount is read-only",
                    _ => "",
                };
                Err(Error::Io {
                    what: "make cgroup",
                    path: mount.file(path),
                    errno,
                    hint: hint.to_string(),
                })
            }
        }
    }

    /// Enables v2 controllers for the children of a cgroup: all at once, or those that go.
    fn enable(&mut self, parent: &Directory, controllers: &[String]) {
        const FILE: &str = "cgroup.subtree_control";
        let enabled = parent.read(FILE).unwrap_or_default();
        let missing: Vec<&String> = controllers
            .iter()
            .filter(|name| !enabled.split_ascii_whitespace().any(|known| known == *name))
            .collect();
        if missing.is_empty() {
            return;
        }
        let all: Vec<String> = missing.iter().map(|name| format!("+{name}")).collect();
        let mut note = |name: &String, why: &str| {
            let why = format!("{}: {why}", parent.file(FILE));
            self.not_enabled.insert(name.clone(), why);
        };
        match parent.write(FILE, &all.join(" ")) {
            Ok(()) => {}
            // Processes sit in the parent. Those controllers that would go in all the same (cpu, pids) would make its children threaded,
            // and no process from elsewhere can join such a one: better none.
            Err(Errno::BUSY) => {
                let why = "EBUSY: processes sit in that cgroup, move them into one below it";
                missing.into_iter().for_each(|name| note(name, why));
            }
            Err(_) => {
                for name in missing {
                    if let Err(errno) = parent.write(FILE, &format!("+{name}")) {
                        note(name, &errno_name(errno));
                    }
                }
            }
        }
    }

    fn write(&mut self, label: &str, settings: &[Setting]) -> Result<(), Error> {
        let Some(hierarchy) = self.open.get(label) else {
            let json = settings
                .first()
                .map_or("linux.resources", |setting| &setting.json);
            return Err(self.unavailable(label, json));
        };
        write_settings(&hierarchy.directory, settings, &self.not_enabled)
    }

    fn unavailable(&self, label: &str, json: &str) -> Error {
        let name = if label.is_empty() { "cgroup v2" } else { label };
        let why = self
            .left_out
            .get(label)
            .map_or("no such cgroup was made", String::as_str);
        let why = format!(
            "cannot set {name} limit: container could not join or create cgroup ({why}); let a cgroup be delegated or leave the limit out"
        );
        Error::Refused(crate::Refusal::new(json, why))
    }

    fn devices(&mut self, label: &str, rules: &devices::Rules) -> Result<(), Error> {
        let hierarchy = self
            .open
            .get(label)
            .ok_or_else(|| self.unavailable(label, "linux.resources.devices"))?;
        apply_devices(&hierarchy.directory, rules)
    }

    fn own(&mut self, label: &str, uid: u32) -> Result<(), Error> {
        if let Some(hierarchy) = self.open.get(label) {
            crate::delegate::give(&hierarchy.directory, uid)?;
        }
        Ok(())
    }

    fn join(
        &mut self,
        labels: &[String],
        single_threaded: bool,
        pid: Option<i32>,
    ) -> Result<(), Error> {
        let pid = pid.ok_or_else(|| Error::io("join", "no pid given", Errno::INVAL))?;
        for label in labels {
            if let Some(hierarchy) = self.open.get(label) {
                join(
                    &hierarchy.directory,
                    pid,
                    single_threaded && !label.is_empty(),
                )?;
            }
        }
        Ok(())
    }

    fn start(&mut self, scope: &Scope, pid: Option<i32>) -> Result<(), Error> {
        let pid = pid.ok_or_else(|| Error::io("join", "no pid given", Errno::INVAL))?;
        unit::start(scope, u32::try_from(pid).unwrap_or(0))?;
        self.scope = Some(scope.clone());
        let file = format!("/proc/{pid}/cgroup");
        let text = read_path(&file).map_err(|errno| Error::io("read", file, errno))?;
        self.scope_path = crate::systemd::path_of_unit(&text, &scope.unit);
        Ok(())
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        if let Some(scope) = self.scope.take() {
            let _ = unit::stop(&scope.address, &scope.unit);
        }
        self.open.clear();
        for path in self.made.iter().rev() {
            let _ = remove::one(path);
        }
    }
}

pub(crate) fn open_tasks(directory: &Directory) -> Result<OwnedFd, Error> {
    directory
        .open_file("tasks", rustix::fs::OFlags::WRONLY)
        .map_err(|errno| Error::io("open", directory.file("tasks"), errno))
}

/// v1's `tasks` takes one thread without the wait for the kernel's global thread-group lock that `cgroup.procs` has.
pub(crate) fn join(directory: &Directory, pid: i32, tasks: bool) -> Result<(), Error> {
    let file = if tasks { "tasks" } else { "cgroup.procs" };
    directory.write(file, &pid.to_string()).map_err(|errno| {
        let hint = match errno {
            Errno::BUSY => "; the cgroup has controllers enabled for children, so it takes no process of its own",
            Errno::ACCESS | Errno::PERM => "; this cgroup isn't delegated to the caller",
            Errno::SRCH => "; the process is gone",
            Errno::NOTSUP => "; the cgroup is a threaded one, or below one that has processes: it takes only threads of those",
            Errno::NOSPC => "; its cpuset has no cpus or mems",
            Errno::INVAL => "; a realtime process needs realtime runtime there (cpu.realtimeRuntime)",
            _ => "",
        };
        Error::Io { what: "join", path: directory.file(file), errno, hint: hint.to_string() }
    })
}

/// Gives a v1 cpuset its parent's cpus and mems where it has none.
fn inherit(parent: &Directory, child: &Directory, fresh: bool) -> Result<(), Error> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if !fresh && !child.text(file)?.trim().is_empty() {
            continue;
        }
        let value = parent.text(file)?;
        child
            .write(file, value.trim())
            .map_err(|errno| Error::io("write", child.file(file), errno))?;
    }
    Ok(())
}
