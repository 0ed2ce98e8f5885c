//! From a layout and a request to steps. Pure.
use crate::limits::{self, Current};
use crate::path::{self, Place};
use crate::step::Make;
use crate::systemd::properties;
use crate::{Layout, Mode, Refusal, Saved, Skip, Step, devices, layout::Hierarchy};
use std::collections::{BTreeMap, BTreeSet};
use tare_oci::Resources;

/// Who makes the container's cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Manager {
    /// We do, in the cgroup filesystem.
    #[default]
    Cgroupfs,
    /// systemd does, asked over D-Bus.
    Systemd {
        /// The user's manager instead of the system's.
        user: bool,
        /// Bus address; empty is the system bus's well-known one, and no choice for a user's manager.
        address: String,
    },
    /// Nobody: the container stays in the caller's cgroup and limits are refused (podman's `--cgroups=disabled`).
    Disabled,
}

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// Who makes it.
    pub manager: Manager,
    /// `linux.cgroupsPath`, may be empty.
    pub path: &'a str,
    /// The container's id.
    pub id: &'a str,
    /// `linux.resources`.
    pub resources: Option<&'a Resources>,
    /// `annotations` of the spec: `org.systemd.property.*`, `run.oci.systemd.subgroup`.
    pub annotations: Option<&'a BTreeMap<String, String>>,
    /// Whether the caller lacks the rights of the host's root (euid not 0, or root of a user namespace).
    pub rootless: bool,
    /// The caller's uid on the host, for the path of a user's systemd.
    pub uid: u32,
    /// Host uid that shall own the v2 cgroup: the container's root, where it has its own user and cgroup namespaces and a
    /// writable cgroup mount (runtime-spec, "cgroup ownership").
    pub owner: Option<u32>,
}

/// What will be done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// To run before the child exists.
    pub prepare: Vec<Step>,
    /// To run when the child's pid is known, while it has one thread and has started nothing.
    pub place: Vec<Step>,
    /// Whether the child may be cloned with `CLONE_INTO_CGROUP` (`Executor::directory`); then [`Decision::place_after_clone_into`]
    /// is what is left to do.
    pub into_fd: bool,
    /// What is left out, and why.
    pub skips: Vec<Skip>,
    /// Where the cgroups will be: v1 controller, or empty for v2, to directory. What [`crate::Cgroup::saved`] says after the
    /// steps ran is the truth (systemd may choose, rootless may have to leave out).
    pub paths: BTreeMap<String, String>,
}

impl Decision {
    /// The place steps for a child that was cloned into the v2 cgroup.
    pub fn place_after_clone_into(&self) -> impl Iterator<Item = &Step> {
        self.place.iter().filter(|step| !step.is_unified_join())
    }

    /// What a container has if every step of it is done: to clean up after a caller who was killed among them.
    pub fn expected(&self, manager: Manager) -> Saved {
        let scope = self.place.iter().find_map(|step| match step {
            Step::Scope(scope) => Some(scope),
            _ => None,
        });
        Saved::new(self.paths.clone(), manager, scope)
    }
}

/// The annotation that names a sub-cgroup for the container's processes below the systemd scope.
const SUBGROUP: &str = "run.oci.systemd.subgroup";

/// Decides how the container gets its cgroups.
///
/// Errors: a [`Refusal`] with the JSON path of what can't be honoured on this layout.
pub fn decide(layout: &Layout, request: &Request<'_>) -> Result<Decision, Refusal> {
    let none = Resources::default();
    let resources = request.resources.unwrap_or(&none);
    match &request.manager {
        Manager::Disabled => without("cgroups are disabled by the caller", resources),
        _ if layout.mode == Mode::None => without("no cgroup filesystem is mounted", resources),
        Manager::Cgroupfs => cgroupfs(layout, request, resources),
        Manager::Systemd { user, address } => systemd(layout, request, resources, *user, address),
    }
}

/// No cgroup at all: fine as long as nothing was asked.
fn without(reason: &str, resources: &Resources) -> Result<Decision, Refusal> {
    if let Some(json) = limits::first_asked(resources) {
        return Err(Refusal::new(json, format!("can't be set: {reason}")));
    }
    Ok(Decision {
        skips: vec![Skip::new("cgroup", reason)],
        ..Decision::default()
    })
}

fn cgroupfs(
    layout: &Layout,
    request: &Request<'_>,
    resources: &Resources,
) -> Result<Decision, Refusal> {
    let place = path::cgroupfs(request.path, request.id)?;
    let mut plan = Planner::new(layout, request, resources)?;
    if request.rootless
        && request.path.is_empty()
        && plan.hierarchies().all(|(_, hierarchy)| !hierarchy.writable)
    {
        return without("rootless, and no cgroup is delegated to this user", resources).map_err(|refusal| {
            Refusal::new(refusal.json, format!("{}; let systemd delegate one (systemd-run --user --scope -p Delegate=yes ...), or leave the limit out", refusal.why))
        });
    }
    let below = |hierarchy: &Hierarchy, v2: bool| match &place {
        Place::Absolute(path) => path.clone(),
        Place::Relative(path) => {
            let own = hierarchy.own_below_mount();
            let base = if v2 {
                own.rsplit_once('/').map_or("", |(parent, _)| parent)
            } else {
                own.trim_end_matches('/')
            };
            format!("{base}/{path}")
        }
    };
    plan.make_all(below, None)?;
    plan.limit()?;
    let joins = plan.joins();
    plan.decision.place = joins;
    plan.decision.into_fd = plan.decision.paths.contains_key("");
    Ok(plan.decision)
}

fn systemd(
    layout: &Layout,
    request: &Request<'_>,
    resources: &Resources,
    user: bool,
    address: &str,
) -> Result<Decision, Refusal> {
    let unit = path::systemd(request.path, request.id)?;
    if !user && !layout.systemd {
        let why = "the systemd cgroup manager was asked for, but systemd doesn't run this host; use the cgroupfs manager";
        return Err(Refusal::new("linux.cgroupsPath", why));
    }
    let address = match (address, user) {
        ("", true) => {
            return Err(Refusal::new(
                "linux.cgroupsPath",
                "the address of the user's bus isn't known (DBUS_SESSION_BUS_ADDRESS or XDG_RUNTIME_DIR)",
            ));
        }
        ("", false) => "unix:path=/run/dbus/system_bus_socket",
        (address, _) => address,
    };
    let slice = match (unit.slice.as_str(), user) {
        ("", true) => "user.slice",
        ("", false) => "system.slice",
        (slice, _) => slice,
    };
    let mut plan = Planner::new(layout, request, resources)?;
    let manager = if user {
        user_manager(layout, request.uid)
    } else {
        String::new()
    };
    let empty = BTreeMap::new();
    let annotations = request.annotations.unwrap_or(&empty);
    let subgroup = match annotations.get(SUBGROUP).map(String::as_str) {
        None | Some("") => None,
        Some(name) => match path::cgroupfs(name, request.id) {
            Ok(Place::Relative(name)) => Some(name),
            _ => {
                return Err(Refusal::new(
                    format!("annotations.{SUBGROUP}"),
                    format!("{name:?} is no name below the scope"),
                ));
            }
        },
    };
    let scope_path = format!("{manager}{}/{}", path::expand_slice(slice)?, unit.name);
    let unified = layout.mode == Mode::V2;
    let limits = plan.settings()?;
    let mut scope = properties::scope(
        &unit.name,
        slice,
        address,
        resources,
        annotations,
        unified,
        request.rootless,
    )?;
    plan.decision.skips.append(&mut scope.skips);
    let mut place = vec![Step::Scope(scope.scope)];
    plan.make_all(|_, _| scope_path.clone(), subgroup.as_deref())?;
    // systemd has put the child into the hierarchies that it manages; the others, and a sub-cgroup, are ours to join.
    let joins = plan.joins_after_systemd(subgroup.is_some());
    let makes = std::mem::take(&mut plan.decision.prepare);
    if subgroup.is_some() {
        // The scope can't enable controllers for the sub-cgroup while the child is still in the scope itself.
        let bare = |step: &Step| match step {
            Step::Make(make) if make.label.is_empty() => Some(Step::Make(Make {
                enable: Vec::new(),
                ..make.clone()
            })),
            Step::Make(make) => Some(Step::Make(make.clone())),
            _ => None,
        };
        place.extend(makes.iter().filter_map(bare));
        place.extend(joins);
        place.extend(
            makes
                .into_iter()
                .filter(|step| !matches!(step, Step::Make(make) if !make.label.is_empty())),
        );
    } else {
        place.extend(makes);
        place.extend(joins);
    }
    place.extend(limits);
    plan.decision.place = place;
    Ok(plan.decision)
}

/// Where a user's systemd sits: seen in the caller's own cgroup, or else where systemd puts it by rule. The executor reads the
/// true path from the child after systemd placed it.
fn user_manager(layout: &Layout, uid: u32) -> String {
    let own = layout
        .unified
        .as_ref()
        .map_or("", |unified| unified.own_below_mount());
    let mut path = String::new();
    for part in own.split('/').filter(|part| !part.is_empty()) {
        path += &format!("/{part}");
        if part.starts_with("user@") && part.ends_with(".service") {
            return path;
        }
    }
    format!("/user.slice/user-{uid}.slice/user@{uid}.service")
}

/// The common part of both managers: which hierarchies, which limits.
struct Planner<'a> {
    layout: &'a Layout,
    request: &'a Request<'a>,
    resources: &'a Resources,
    /// v2 controllers that the limits need in hybrid mode.
    hybrid_needs: BTreeSet<&'static str>,
    devices: DeviceHome,
    decision: Decision,
}

/// Which hierarchy takes the device rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DeviceHome {
    V1,
    V2,
    Nowhere,
}

impl<'a> Planner<'a> {
    fn new(
        layout: &'a Layout,
        request: &'a Request<'a>,
        resources: &'a Resources,
    ) -> Result<Planner<'a>, Refusal> {
        let mut plan = Planner {
            layout,
            request,
            resources,
            hybrid_needs: BTreeSet::new(),
            devices: DeviceHome::Nowhere,
            decision: Decision::default(),
        };
        plan.choose_devices()?;
        if layout.mode == Mode::Hybrid {
            plan.hybrid_needs = limits::hybrid_needs(layout, resources)?;
        }
        Ok(plan)
    }

    fn choose_devices(&mut self) -> Result<(), Refusal> {
        const JSON: &str = "linux.resources.devices";
        if self.request.rootless {
            let reason = "rootless: device rules need root, and a user namespace can't make or use new device nodes anyway";
            self.decision.skips.push(Skip::new(JSON, reason));
            return Ok(());
        }
        self.devices = match (self.layout.v1_of("devices"), &self.layout.unified) {
            (Some(_), _) => DeviceHome::V1,
            (None, Some(_)) => DeviceHome::V2,
            (None, None) => {
                return Err(Refusal::new(
                    JSON,
                    "the devices controller isn't mounted and there is no cgroup v2: the container's devices can't be confined; mount it",
                ));
            }
        };
        Ok(())
    }

    /// The hierarchies that the container gets a cgroup in; v2 comes last.
    fn hierarchies(&self) -> impl Iterator<Item = (bool, &'a Hierarchy)> {
        let unified_too = self.layout.mode == Mode::V2
            || !self.hybrid_needs.is_empty()
            || self.devices == DeviceHome::V2;
        let v1 = self.layout.v1.iter().map(|hierarchy| (false, hierarchy));
        v1.chain(
            self.layout
                .unified
                .iter()
                .filter(move |_| unified_too)
                .map(|hierarchy| (true, hierarchy)),
        )
    }

    fn make_all(
        &mut self,
        path: impl Fn(&Hierarchy, bool) -> String,
        subgroup: Option<&str>,
    ) -> Result<(), Refusal> {
        let systemd = matches!(self.request.manager, Manager::Systemd { .. });
        let optional = self.request.rootless && (self.request.path.is_empty() || systemd);
        for (v2, hierarchy) in self.hierarchies().collect::<Vec<_>>() {
            if optional && !systemd && !hierarchy.writable {
                continue;
            }
            let mut path = path(hierarchy, v2);
            if let (true, Some(subgroup)) = (v2, subgroup) {
                path = format!("{path}/{subgroup}");
            }
            let make = Make {
                label: if v2 {
                    String::new()
                } else {
                    hierarchy.controllers.first().cloned().unwrap_or_default()
                },
                mount: hierarchy.mount.clone(),
                path,
                inherit_cpuset: hierarchy.controllers.iter().any(|name| name == "cpuset") && !v2,
                enable: if v2 {
                    self.enable(hierarchy)
                } else {
                    Vec::new()
                },
                optional,
                shared: systemd,
            };
            let unified = [String::new()];
            for key in if v2 {
                unified.as_slice()
            } else {
                &hierarchy.controllers
            } {
                self.decision.paths.insert(key.clone(), make.directory());
            }
            self.decision.prepare.push(Step::Make(make));
        }
        if let (Some(uid), true) = (self.request.owner, self.decision.paths.contains_key("")) {
            self.decision.prepare.push(Step::Own {
                label: String::new(),
                uid,
            });
        }
        Ok(())
    }

    /// On v2 all that there is, as runc: statistics want them too. In hybrid mode only what the limits need.
    fn enable(&self, hierarchy: &Hierarchy) -> Vec<String> {
        let all = self.layout.mode == Mode::V2;
        hierarchy
            .controllers
            .iter()
            .filter(|name| all || self.hybrid_needs.contains(name.as_str()))
            .cloned()
            .collect()
    }

    fn limit(&mut self) -> Result<(), Refusal> {
        let steps = self.settings()?;
        for step in &steps {
            if let Step::Write { label, .. } = step
                && !self
                    .decision
                    .prepare
                    .iter()
                    .any(|made| matches!(made, Step::Make(make) if make.label == *label))
            {
                let name = if label.is_empty() {
                    "of cgroup v2"
                } else {
                    label
                };
                let why = format!(
                    "can't be set: rootless, and the controller {name} isn't delegated to this user"
                );
                return Err(Refusal::new(step.json(), why));
            }
        }
        self.decision.prepare.extend(steps);
        Ok(())
    }

    fn settings(&mut self) -> Result<Vec<Step>, Refusal> {
        let limits = limits::settings(self.layout, self.resources, &Current::default())?;
        self.decision.skips.extend(limits.skips);
        let mut steps: Vec<Step> = limits
            .settings
            .into_iter()
            .map(|(label, settings)| Step::Write { label, settings })
            .collect();
        let (label, rules) = match self.devices {
            DeviceHome::Nowhere => return Ok(steps),
            DeviceHome::V1 => (
                "devices",
                devices::Rules::V1(devices::v1::lines(&devices::effective(
                    &self.resources.devices,
                )?)?),
            ),
            DeviceHome::V2 => (
                "",
                devices::Rules::V2(devices::effective(&self.resources.devices)?),
            ),
        };
        let label = self
            .layout
            .v1_of(label)
            .and_then(|hierarchy| hierarchy.controllers.first())
            .map_or(label, String::as_str);
        steps.push(Step::Devices {
            label: label.to_string(),
            rules,
        });
        Ok(steps)
    }

    fn joins(&self) -> Vec<Step> {
        self.join_steps(|_| true)
    }

    /// systemd joins the child to `name=systemd` and the v2 scope, and to the v1 controllers that it manages; joining those again
    /// is harmless, so all v1 hierarchies but its own are.
    fn joins_after_systemd(&self, subgroup: bool) -> Vec<Step> {
        self.join_steps(|label| {
            if label.is_empty() {
                subgroup || self.layout.mode != Mode::V2
            } else {
                label != "name=systemd"
            }
        })
    }

    fn join_steps(&self, keep: impl Fn(&str) -> bool) -> Vec<Step> {
        let makes = self.decision.prepare.iter().chain(&self.decision.place);
        let labels = makes.filter_map(|step| {
            if let Step::Make(make) = step {
                Some(make.label.clone())
            } else {
                None
            }
        });
        let (v2, v1): (Vec<String>, Vec<String>) = labels
            .filter(|label| keep(label))
            .partition(String::is_empty);
        let mut steps = Vec::new();
        if !v1.is_empty() {
            steps.push(Step::Join {
                labels: v1,
                single_threaded: true,
            });
        }
        if !v2.is_empty() {
            steps.push(Step::Join {
                labels: v2,
                single_threaded: true,
            });
        }
        steps
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
