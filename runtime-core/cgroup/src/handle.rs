//! The cgroups of an existing container: what is saved of them, and what can be done with them.
use crate::apply::write_settings;
use crate::directory::{Directory, read_at, read_path};
use crate::execute::join;
use crate::execute::open_tasks;
use crate::limits::{self, Current};
use crate::systemd::{Scope, properties, unit};
use crate::{Error, Layout, Manager, Mode, Refusal, Skip, layout::Hierarchy, remove, walk};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use tare_oci::Resources;

/// What a container's state keeps of its cgroups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// v1 controller, or empty for v2, to directory: `cgroup_paths` of runc's `state.json`.
    pub paths: BTreeMap<String, String>,
    /// Who made them.
    pub manager: Manager,
    /// Unit name for systemd, else empty.
    pub unit: String,
}

impl Saved {
    /// Later calls speak to the bus that made the scope: the caller may have left the choice of it open.
    pub(crate) fn new(
        paths: BTreeMap<String, String>,
        manager: Manager,
        scope: Option<&Scope>,
    ) -> Self {
        let manager = match (manager, scope) {
            (Manager::Systemd { user, .. }, Some(scope)) => Manager::Systemd {
                user,
                address: scope.address.clone(),
            },
            (manager, _) => manager,
        };
        Saved {
            paths,
            manager,
            unit: scope.map_or_else(String::new, |scope| scope.unit.clone()),
        }
    }
}

/// A container's cgroups. Opening costs nothing: files are opened as they are needed.
#[derive(Debug, Clone)]
pub struct Cgroup {
    saved: Saved,
}

impl Cgroup {
    /// From what the state keeps. No IO.
    pub fn open(saved: Saved) -> Cgroup {
        Cgroup { saved }
    }

    /// A cgroup that somebody else made, to be looked at: its path in all hierarchies, whether or not it is there. `a-b.slice` is
    /// a slice.
    ///
    /// Errors: a [`Refusal`] for what is no path of a cgroup.
    pub fn foreign(layout: &Layout, path: &str) -> Result<Cgroup, Refusal> {
        let below = crate::path::foreign(path)?;
        let v1 = layout.v1.iter().flat_map(|hierarchy| {
            let controllers = hierarchy.controllers.iter();
            controllers.map(|controller| (controller.as_str(), &hierarchy.mount))
        });
        let unified = layout.unified.iter();
        let all = v1.chain(unified.map(|hierarchy| ("", &hierarchy.mount)));
        let paths = all.map(|(label, mount)| (label.to_owned(), format!("{mount}{below}")));
        Ok(Cgroup::open(Saved {
            paths: paths.collect(),
            ..Saved::default()
        }))
    }

    /// To be kept in the state.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }

    /// Whether any of its directories is there.
    pub fn exists(&self) -> bool {
        self.directories()
            .iter()
            .any(|path| rustix::fs::access(*path, rustix::fs::Access::EXISTS).is_ok())
    }

    /// All processes in it and below, in no order; each once. Pids that this pid namespace can't see are left out.
    /// Empty for a container without cgroup, and for one whose cgroup is gone.
    pub fn pids(&self) -> Result<Vec<i32>, Error> {
        let mut pids = BTreeSet::new();
        if let Some(path) = self.process_path() {
            walk::each(path, |here| match read_at(here, "cgroup.procs") {
                Ok(text) => {
                    let all = text.lines().filter_map(|line| line.parse::<i32>().ok());
                    pids.extend(all.filter(|pid| *pid > 0));
                    Ok(())
                }
                // Gone, or a threaded cgroup, whose processes are listed in the domain above it.
                Err(Errno::NOENT | Errno::NODEV | Errno::NOTSUP) => Ok(()),
                Err(errno) => Err(errno),
            })?;
        }
        Ok(pids.into_iter().collect())
    }

    /// Puts a process into it. `below` names sub-cgroups that exist: by v1 controller, or the empty name for all (and for v2).
    /// `init` is the container's first process: where the cgroup takes no process any more (v2, the container made cgroups of its
    /// own), the process goes where that one is.
    ///
    /// The process must have one thread.
    pub fn join(
        &self,
        pid: i32,
        below: &BTreeMap<String, String>,
        init: Option<i32>,
    ) -> Result<(), Error> {
        self.join_those(pid, below, init, |_| true)
    }

    /// As [`Cgroup::join`], but only v2: the v1 hierarchies are joined by the process itself through [`Cgroup::tasks`].
    pub fn join_unified(
        &self,
        pid: i32,
        below: &BTreeMap<String, String>,
        init: Option<i32>,
    ) -> Result<(), Error> {
        self.join_those(pid, below, init, str::is_empty)
    }

    /// The v1 `tasks` files, open for a process that joins by writing `0` to each: as [`crate::Executor::tasks`].
    pub fn tasks(&self, below: &BTreeMap<String, String>) -> Result<Vec<OwnedFd>, Error> {
        let mut done = BTreeSet::new();
        let mut files = Vec::new();
        for (controller, path) in self.saved.paths.iter().filter(|(c, _)| !c.is_empty()) {
            let sub = below.get(controller).or_else(|| below.get(""));
            let path = below_path(path, sub.map_or("", String::as_str))?;
            if done.insert(path.clone()) {
                let directory = Directory::open(&path)
                    .map_err(|errno| Error::io("open cgroup", &path, errno))?;
                files.push(open_tasks(&directory)?);
            }
        }
        Ok(files)
    }

    fn join_those(
        &self,
        pid: i32,
        below: &BTreeMap<String, String>,
        init: Option<i32>,
        which: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        let mut done = BTreeSet::new();
        for (controller, path) in self.saved.paths.iter().filter(|(c, _)| which(c)) {
            let sub = below
                .get(controller)
                .or_else(|| below.get(""))
                .map_or("", String::as_str);
            let path = below_path(path, sub)?;
            if !done.insert(path.clone()) {
                continue;
            }
            let directory =
                Directory::open(&path).map_err(|errno| Error::io("open cgroup", &path, errno))?;
            match join(&directory, pid, !controller.is_empty()) {
                Err(error)
                    if controller.is_empty()
                        && error.errno() == Some(Errno::BUSY)
                        && sub.is_empty() =>
                {
                    self.join_beside(pid, init, error)?
                }
                Err(error) if matches!(error.errno(), Some(Errno::ACCESS | Errno::PERM)) => {
                    self.attach(pid, sub, error)?
                }
                other => other?,
            }
        }
        match (&self.saved.manager, init) {
            (Manager::Systemd { .. }, Some(init)) if !self.saved.paths.contains_key("") => {
                self.join_tracked(pid, init)
            }
            _ => Ok(()),
        }
    }

    /// Where v1 has the controllers, systemd may keep track of processes in a v2 hierarchy beside it: the container's first process
    /// is in the scope there, and so is to be this one, or it ends with its caller's unit.
    fn join_tracked(&self, pid: i32, init: i32) -> Result<(), Error> {
        let Some(path) = unified_path_of(init)? else {
            return Ok(());
        };
        if path.split('/').all(|part| part != self.saved.unit) {
            return Ok(());
        }
        match Directory::open(&path) {
            Ok(directory) => join(&directory, pid, false),
            Err(errno) => Err(Error::io("open cgroup", path, errno)),
        }
    }

    /// The v2 directory, for `CLONE_INTO_CGROUP`; None where v2 doesn't carry the container.
    pub fn directory(&self, below: &BTreeMap<String, String>) -> Result<Option<OwnedFd>, Error> {
        let Some(path) = self.saved.paths.get("") else {
            return Ok(None);
        };
        let path = below_path(path, below.get("").map_or("", String::as_str))?;
        let flags = rustix::fs::OFlags::RDONLY
            | rustix::fs::OFlags::DIRECTORY
            | rustix::fs::OFlags::CLOEXEC;
        let open = rustix::fs::open(&path, flags, rustix::fs::Mode::empty());
        open.map(Some)
            .map_err(|errno| Error::io("open cgroup", path, errno))
    }

    /// [`Cgroup::directory`] for a further process of a container whose first one is `init`: where the container made cgroups of its
    /// own, so that its cgroup takes no process any more (clone3 would fail with EBUSY), the one that `init` is in now.
    pub fn exec_directory(
        &self,
        below: &BTreeMap<String, String>,
        init: i32,
    ) -> Result<Option<OwnedFd>, Error> {
        let inner = match self.optional("")? {
            Some(top) if below.is_empty() => !top
                .optional_text("cgroup.subtree_control")?
                .unwrap_or_default()
                .trim()
                .is_empty(),
            _ => false,
        };
        match if inner { self.path_of(init)? } else { None } {
            Some(path) => Directory::open(&path)
                .map(|directory| Some(directory.into_fd()))
                .map_err(|errno| Error::io("open cgroup", path, errno)),
            None => self.directory(below),
        }
    }

    /// Changes limits. Values that are absent stay as they are. Device rules are not changed by an update, as in runc.
    ///
    /// Returns what was left out. A refused value leaves those written before it in force.
    pub fn update(&self, resources: &Resources) -> Result<Vec<Skip>, Error> {
        if self.saved.paths.is_empty() {
            return match limits::first_asked(resources) {
                Some(json) => {
                    Err(Refusal::new(json, "can't be set: the container has no cgroup").into())
                }
                None => Ok(Vec::new()),
            };
        }
        let layout = self.layout();
        let limits = limits::settings(&layout, resources, &self.current()?)?;
        if let Manager::Systemd { address, .. } = &self.saved.manager {
            let properties = properties::of_resources(resources, layout.mode == Mode::V2)?;
            unit::set_properties(address, &self.saved.unit, &properties)?;
        }
        for (label, settings) in &limits.settings {
            let path = self.saved.paths.get(label).ok_or(Error::NoController {
                what: "update",
                controller: "v2",
            })?;
            let directory =
                Directory::open(path).map_err(|errno| Error::io("open cgroup", path, errno))?;
            write_settings(&directory, settings, &BTreeMap::new())?;
        }
        let mut skips = limits.skips;
        if !resources.devices.is_empty() {
            skips.push(Skip::new(
                "linux.resources.devices",
                "an update doesn't change device rules; runc's neither",
            ));
        }
        Ok(skips)
    }

    /// What limits are in force, as far as an update depends on them.
    pub fn current(&self) -> Result<Current, Error> {
        let mut current = Current::default();
        if let Some(memory) = self.optional("memory")? {
            let limit = memory
                .optional_text("memory.limit_in_bytes")?
                .and_then(|text| text.trim().parse::<u64>().ok());
            current.memory_limit = limit.filter(|limit| *limit < UNLIMITED);
            current.memory_usage = number(memory.optional_text("memory.usage_in_bytes")?);
        }
        if let Some(unified) = self.optional("")? {
            if let Some(text) = unified.optional_text("memory.max")? {
                current.memory_limit = text.trim().parse().ok();
                current.memory_usage = number(unified.optional_text("memory.current")?);
            }
            if let Some(text) = unified.optional_text("cpu.max")? {
                let mut words = text.split_ascii_whitespace();
                current.cpu_quota = words.next().and_then(|word| word.parse().ok());
                current.cpu_period = words.next().and_then(|word| word.parse().ok());
            }
        }
        Ok(current)
    }

    /// Removes it with the cgroups made inside; systemd's unit is stopped first. An absent one is fine.
    /// Processes must be gone or dying: a directory that stays busy for about a second is an error.
    pub fn destroy(&self) -> Result<(), Error> {
        let stopped = match &self.saved.manager {
            Manager::Systemd { address, .. } if !self.saved.unit.is_empty() => {
                unit::stop(address, &self.saved.unit)
            }
            _ => Ok(()),
        };
        let mut first_error = None;
        for path in self.directories() {
            if let Err(error) = remove::tree(path) {
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(stopped, Err)
    }

    /// The directory of exactly that key, opened; None where there is none, or it is gone.
    pub(crate) fn optional(&self, key: &str) -> Result<Option<Directory>, Error> {
        let Some(path) = self.saved.paths.get(key) else {
            return Ok(None);
        };
        match Directory::open(path) {
            Ok(directory) => Ok(Some(directory)),
            Err(Errno::NOENT | Errno::NODEV) => Ok(None),
            Err(errno) => Err(Error::io("open cgroup", path, errno)),
        }
    }

    /// The hierarchy whose membership is taken for the container's.
    fn process_path(&self) -> Option<&str> {
        let keys = ["devices", "freezer", "pids", "memory", ""];
        let paths = &self.saved.paths;
        keys.iter()
            .find_map(|key| paths.get(*key))
            .or_else(|| paths.values().next())
            .map(String::as_str)
    }

    fn directories(&self) -> BTreeSet<&str> {
        self.saved.paths.values().map(String::as_str).collect()
    }

    /// A layout as this container has it, to decide limits for.
    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        for (controller, path) in self
            .saved
            .paths
            .iter()
            .filter(|(controller, _)| !controller.is_empty())
        {
            match layout.v1.iter_mut().find(|known| known.mount == *path) {
                Some(known) => known.controllers.push(controller.clone()),
                None => layout.v1.push(Hierarchy {
                    mount: path.clone(),
                    controllers: vec![controller.clone()],
                    ..Hierarchy::default()
                }),
            }
        }
        if let Some(path) = self.saved.paths.get("") {
            let text = read_path(&format!("{path}/cgroup.controllers")).unwrap_or_default();
            let controllers = text.split_ascii_whitespace().map(str::to_string).collect();
            layout.unified = Some(Hierarchy {
                mount: path.clone(),
                controllers,
                ..Hierarchy::default()
            });
        }
        let real = layout
            .v1
            .iter()
            .flat_map(|hierarchy| &hierarchy.controllers)
            .any(|name| !name.starts_with("name="));
        layout.mode = match (real, &layout.unified) {
            (true, Some(_)) => Mode::Hybrid,
            (true, None) => Mode::V1,
            (false, Some(_)) => Mode::V2,
            (false, None) => Mode::None,
        };
        layout
    }

    /// Joins the cgroup that the container's first process is in now.
    fn join_beside(&self, pid: i32, init: Option<i32>, error: Error) -> Result<(), Error> {
        let Some(path) = init.map(|init| self.path_of(init)).transpose()?.flatten() else {
            return Err(error);
        };
        let directory =
            Directory::open(&path).map_err(|errno| Error::io("open cgroup", path, errno))?;
        join(&directory, pid, false)
    }

    /// The v2 cgroup that a process is in now, if it is below the container's.
    fn path_of(&self, pid: i32) -> Result<Option<String>, Error> {
        let path = unified_path_of(pid)?;
        let top = self.saved.paths.get("").map(|top| format!("{top}/"));
        Ok(path.filter(|path| top.is_some_and(|top| path.starts_with(&top))))
    }

    /// A user may not move a process between delegated trees; the user's systemd may.
    fn attach(&self, pid: i32, below: &str, error: Error) -> Result<(), Error> {
        match &self.saved.manager {
            Manager::Systemd { address, .. } => unit::attach(
                address,
                &self.saved.unit,
                below,
                u32::try_from(pid).unwrap_or(0),
            ),
            _ => Err(error),
        }
    }
}

/// The directory of the v2 cgroup that a process is in now; None where v2 isn't mounted.
fn unified_path_of(pid: i32) -> Result<Option<String>, Error> {
    let mountinfo = "/proc/self/mountinfo";
    let mounts = read_path(mountinfo).map_err(|errno| Error::io("read", mountinfo, errno))?;
    let file = format!("/proc/{pid}/cgroup");
    let text = read_path(&file).map_err(|errno| Error::io("read", file, errno))?;
    let unified = Layout::parse(&mounts, &text, "", false).unified;
    Ok(unified.map(|unified| format!("{}{}", unified.mount, unified.own_below_mount())))
}

/// v1's "no limit" is the largest multiple of the page size below 2^63.
const UNLIMITED: u64 = 0x7fff_ffff_ffff_0000;

fn number(text: Option<String>) -> u64 {
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn below_path(path: &str, below: &str) -> Result<String, Error> {
    let below = below.trim_matches('/');
    if below.is_empty() {
        return Ok(path.to_string());
    }
    if below.split('/').any(|part| matches!(part, "" | "." | "..")) || below.contains('\0') {
        return Err(Refusal::new("cgroup", format!("bad sub cgroup path: {below}")).into());
    }
    Ok(format!("{path}/{below}"))
}
