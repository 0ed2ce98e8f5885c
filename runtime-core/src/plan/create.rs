//! The plan of `create` and `run`: decides each area, then writes both lanes down in the order that [`super::ir`] states.
//!
//! The host lane: what must exist before the child (cgroups, namespaces to join, trees, hooks' state, fifos); `Spawn`; the id maps;
//! then, when the child stands in its namespaces, everything that needs its pid; `barrier placed`; the hooks of the runtime's
//! side; at last the records. `barrier hooks` stands in the host lane twice: at the first the host waits for the child, and what
//! lies between runs while the child waits; the second lets the child go on.
use super::builder::Builder;
use super::facts::{HostFacts, PlanOptions, Verb};
use super::ir::{Barrier, ChildOp, HostOp, Namespaces, Plan, Slot};
use super::namespaces::Joined;
use super::process::{self, Groups, Inherited, Place};
use super::{
    cgroups, devices, hooks, mounts, namespaces, net_devices, rdt, rootfs, security, sysctl,
    user_maps,
};
use crate::config::{At, ConfigError, invalid};
use tare_oci::{Hooks, Linux, Process, Spec};

/// Plans `create` or `run` of a spec on a host.
///
/// # Errors
/// [`ConfigError`] with the JSON path of a value that the spec forbids or that this host can't honour.
pub fn plan(spec: &Spec, facts: &HostFacts, options: &PlanOptions) -> Result<Plan, ConfigError> {
    let none = (Linux::default(), Hooks::default());
    let linux = spec.linux.as_ref().unwrap_or(&none.0);
    let hooks = spec.hooks.as_ref().unwrap_or(&none.1);
    let Some(process) = &spec.process else {
        return invalid("process property must not be empty").field("process");
    };
    let verb = if options.verb == Verb::Create {
        "create"
    } else {
        "run"
    };
    let mut builder = Builder::new(format!("{verb} {}", options.id));
    let create = Create::decide(spec, process, linux, hooks, facts, options, &mut builder)?;
    create.write(builder)
}

/// Everything decided that both lanes draw on.
pub(super) struct Create<'a> {
    pub(super) spec: &'a Spec,
    pub(super) linux: &'a Linux,
    pub(super) hooks: &'a Hooks,
    pub(super) facts: &'a HostFacts,
    pub(super) options: &'a PlanOptions,
    pub(super) namespaces: namespaces::Decided,
    pub(super) maps: Option<user_maps::Decided>,
    pub(super) root: rootfs::Decided,
    pub(super) restricted: rootfs::Restricted,
    pub(super) nodes: Vec<devices::Node>,
    pub(super) sysctls: Vec<(String, String)>,
    pub(super) moves: Vec<HostOp>,
    pub(super) rdt: Option<HostOp>,
    pub(super) cgroup: tare_cgroup::Decision,
    pub(super) process: process::Decided,
    pub(super) security: security::Security,
    pub(super) label: &'a str,
    pub(super) place: Place,
    pub(super) entry: Entry,
}

/// How the child gets into a new user and a new pid namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// Both are made by the clone itself, or there are none.
    Clone,
    /// The user namespace is joined: a new pid namespace must be made within it, by unshare and fork.
    JoinedUser,
    /// Other namespaces are joined, which only the host's root may do: the new user namespace is made after that.
    UserAfterJoin,
}

/// Slots that the host fills for the child.
pub(super) struct Handed {
    pub(super) joined: Vec<Slot>,
    pub(super) root_tree: Option<Slot>,
    pub(super) callers_mounts: Option<Slot>,
    pub(super) create_container: Option<Slot>,
    pub(super) start_container: Option<Slot>,
    pub(super) fifos: Option<(Slot, Slot)>,
}

impl<'a> Create<'a> {
    fn decide(
        spec: &'a Spec,
        process: &Process,
        linux: &'a Linux,
        hooks: &'a Hooks,
        facts: &'a HostFacts,
        options: &'a PlanOptions,
        builder: &mut Builder,
    ) -> Result<Self, ConfigError> {
        let namespaces = namespaces::decide(spec, facts)?;
        hooks::check(hooks)?;
        let root = rootfs::decide(spec, namespaces.own(), options)?;
        let user = namespaces.own().has(Namespaces::USER);
        let new_user = namespaces.new.has(Namespaces::USER);
        if options.rootless && facts.uid != 0 && !user {
            return invalid("rootless container requires user namespaces")
                .field("linux.namespaces");
        }
        if !user && !facts.has_capability(super::capabilities::SYS_ADMIN) {
            return invalid(
                "making a container's namespaces takes CAP_SYS_ADMIN, which the caller lacks; add a user namespace, or let whoever started the caller give it that capability",
            )
            .field("linux.namespaces");
        }
        let maps = if new_user {
            Some(user_maps::decide(
                &namespaces.uids,
                &namespaces.gids,
                facts,
            )?)
        } else {
            None
        };
        let inherited = Inherited {
            listen_fds: options.listen_fds,
            notify_socket: options.notify_socket.is_some(),
            console: options.console,
        };
        let keep_groups = process::keep_groups(&spec.annotations);
        let program = process::decide(process, linux, keep_groups, &inherited, builder)?;
        if let Some((uids, gids)) = namespaces.ids(facts) {
            user_maps::check_ids(&program.ids, uids, gids)?;
        }
        let place = Place {
            user_namespace: user,
            privileged: !options.rootless,
            raises_limits: !options.rootless
                && facts.has_capability(super::capabilities::SYS_RESOURCE),
            groups: match &maps {
                Some(maps) if maps.groups_denied => Groups::Denied,
                None if user => Groups::Unknown,
                None if facts.setgroups_denied => Groups::Denied,
                _ => Groups::Allowed,
            },
        };
        let scope = sysctl::Scope {
            own: namespaces.own(),
            domainname: &spec.domainname,
        };
        let entry = match (new_user, namespaces.joins(Namespaces::USER)) {
            (true, _) if !namespaces.joined.is_empty() => Entry::UserAfterJoin,
            (_, true) => Entry::JoinedUser,
            _ => Entry::Clone,
        };
        Ok(Self {
            spec,
            linux,
            hooks,
            facts,
            options,
            restricted: rootfs::restricted(linux)?,
            nodes: devices::nodes(&linux.devices).field("linux.devices")?,
            sysctls: sysctl::sysctls(&linux.sysctl, scope).field("linux.sysctl")?,
            moves: moves(linux, namespaces.own(), options)?,
            rdt: intel_rdt(linux, facts, options)?,
            cgroup: cgroups::decide(spec, &namespaces, program.ids.uid, facts, options, builder)?,
            security: security::decide(
                process,
                linux,
                facts,
                security::refuses_unknown(&spec.annotations),
                builder,
            )?,
            label: security::mount_label(linux, facts, builder)?,
            process: program,
            maps,
            root,
            namespaces,
            place,
            entry,
        })
    }

    fn write(self, mut builder: Builder) -> Result<Plan, ConfigError> {
        let builder_ref = &mut builder;
        let joined_user = self.prepare_joined(builder_ref);
        let paths = self.cgroup.paths.clone();
        builder_ref.cgroup_paths(paths.clone());
        let context = mounts::Context {
            facts: self.facts,
            bundle: &self.options.bundle,
            rootless: self.options.rootless,
            user_namespace: self.place.user_namespace,
            maps: self.maps.as_ref().map(|_| {
                (
                    self.namespaces.uids.as_slice(),
                    self.namespaces.gids.as_slice(),
                )
            }),
            ids: self.namespaces.ids(self.facts),
            pid_namespace: self.namespaces.own().has(Namespaces::PID),
            joined_user: joined_user.0,
            cgroup_namespace: self.namespaces.own().has(Namespaces::CGROUP),
            cgroup_paths: &paths,
            label: self.label,
        };
        let mut decided = mounts::decide(&self.spec.mounts, &context, builder_ref)?;
        mounts::prepare(&mut decided, &context, builder_ref)?;
        let handed = self.prepare_rest(joined_user.1, &context, builder_ref);
        self.spawn(builder_ref);
        self.enter(&handed, builder_ref);
        self.host_places(builder_ref);
        self.inside(&handed, &decided, &context, builder_ref)?;
        builder.finish()
    }

    /// Opens the namespaces to join. Returns the user namespace's slot, and all in the order of joining.
    fn prepare_joined(&self, builder: &mut Builder) -> (Option<Slot>, Vec<Slot>) {
        let mut user = None;
        let mut slots = Vec::new();
        for Joined { kind, path, index } in &self.namespaces.joined {
            let slot = builder.handed_slot(format!("ns-{kind}"));
            let op = HostOp::OpenNamespace {
                slot,
                kind: *kind,
                path: path.clone(),
            };
            builder.host(op, format!("linux.namespaces[{index}]"));
            if *kind == Namespaces::USER {
                user = Some(slot);
            }
            slots.push(slot);
        }
        (user, slots)
    }

    fn prepare_rest(
        &self,
        joined: Vec<Slot>,
        context: &mounts::Context<'_>,
        builder: &mut Builder,
    ) -> Handed {
        let far = self.place.user_namespace && super::mount_sources::can_open_trees(context);
        let root_tree = far.then(|| {
            mounts::open_tree(
                builder,
                "root-tree".to_owned(),
                &self.root.path,
                true,
                "root.path".to_owned(),
            )
        });
        let callers_mounts = self.root.shares_mounts.then(|| {
            let slot = builder.handed_slot("callers-mounts");
            let op = HostOp::OpenNamespace {
                slot,
                kind: Namespaces::MOUNT,
                path: "/proc/thread-self/ns/mnt".to_owned(),
            };
            builder.host(op, "linux.namespaces");
            slot
        });
        if let Some(host) = &self.options.notify_socket {
            builder.host(HostOp::MakeNotifySocket { host: host.clone() }, "");
        }
        let mut state = |list: &[tare_oci::Hook], kind: &str, status: &str| {
            (!list.is_empty()).then(|| {
                let slot = builder.handed_slot(format!("state-{kind}"));
                builder.host(
                    HostOp::MakeStateFile {
                        slot,
                        status: status.to_owned(),
                    },
                    format!("hooks.{kind}"),
                );
                slot
            })
        };
        let create_container = state(&self.hooks.create_container, "createContainer", "creating");
        let start_container = state(&self.hooks.start_container, "startContainer", "created");
        let fifos = (self.options.verb == Verb::Create).then(|| {
            let (exec, result) = (
                builder.handed_slot("exec-fifo"),
                builder.handed_slot("result-fifo"),
            );
            builder.host(HostOp::MakeFifos { exec, result }, "");
            (exec, result)
        });
        self.cgroups(true, builder);
        Handed {
            joined,
            root_tree,
            callers_mounts,
            create_container,
            start_container,
            fifos,
        }
    }

    /// Steps that need no pid. What isn't needed for the clone runs while the child makes its namespaces, the slowest part of a
    /// start.
    fn cgroups(&self, before_spawn: bool, builder: &mut Builder) {
        for step in &self.cgroup.prepare {
            let needed = self.cgroup.into_fd && matches!(step, tare_cgroup::Step::Make(_));
            if needed == before_spawn {
                builder.host(HostOp::Cgroup(step.clone()), step.json());
            }
        }
    }

    /// Namespaces that the clone makes.
    fn cloned(&self) -> Namespaces {
        let mut namespaces = Namespaces::default();
        if self.entry == Entry::Clone {
            for kind in [Namespaces::USER, Namespaces::PID] {
                if self.namespaces.new.has(kind) {
                    namespaces = namespaces.with(kind);
                }
            }
        }
        namespaces
    }

    fn spawn(&self, builder: &mut Builder) {
        builder.host(
            HostOp::Spawn {
                namespaces: self.cloned(),
                into_cgroup: self.cgroup.into_fd,
            },
            "",
        );
    }

    /// Both lanes until the child stands in all its namespaces but the cgroup one.
    fn enter(&self, handed: &Handed, builder: &mut Builder) {
        if !self.namespaces.joined.is_empty() {
            builder.child(ChildOp::NonDumpable, "");
        }
        match self.entry {
            Entry::Clone => {
                self.mapped(builder);
                self.join(handed, builder);
            }
            Entry::JoinedUser => {
                self.join(handed, builder);
                // Whether setgroups(2) is denied there is known only inside.
                let instead = ChildOp::BecomeRoot {
                    clear_groups: false,
                };
                if self.process.keeps_groups() {
                    builder.child(instead, "linux.namespaces");
                } else {
                    builder.child_or(
                        ChildOp::BecomeRoot { clear_groups: true },
                        &[EPERM],
                        instead,
                        "linux.namespaces",
                    );
                }
            }
            Entry::UserAfterJoin => {
                self.join(handed, builder);
                builder.child(ChildOp::Unshare(Namespaces::USER), "linux.namespaces");
                builder.barrier(Barrier::Unmapped);
                self.mapped(builder);
            }
        }
        let mut unshared = self
            .namespaces
            .new
            .without(self.cloned())
            .without(Namespaces::CGROUP);
        if self.entry == Entry::UserAfterJoin {
            unshared = unshared.without(Namespaces::USER);
        }
        if self.root.shares_mounts {
            unshared = unshared.with(Namespaces::MOUNT);
        }
        if !unshared.is_empty() {
            builder.child(ChildOp::Unshare(unshared), "linux.namespaces");
        }
        if self.namespaces.new.has(Namespaces::TIME) {
            builder.child(
                ChildOp::TimeOffsets(self.namespaces.time_offsets.clone()),
                "linux.timeOffsets",
            );
        }
        if self.place.user_namespace && !self.namespaces.joined.is_empty() {
            // Becoming root made the process dumpable, so that its own files in /proc are its own; the last one is written.
            builder.child(ChildOp::NonDumpable, "");
        }
        if self.namespaces.joins(Namespaces::PID) || unshared.has(Namespaces::PID) {
            builder.child(ChildOp::Fork, "linux.namespaces");
        }
        self.cgroups(false, builder);
        builder.barrier(Barrier::Namespaces);
    }

    fn join(&self, handed: &Handed, builder: &mut Builder) {
        for (Joined { kind, index, .. }, slot) in self.namespaces.joined.iter().zip(&handed.joined)
        {
            builder.child(
                ChildOp::Join {
                    slot: *slot,
                    kind: *kind,
                },
                format!("linux.namespaces[{index}]"),
            );
        }
    }

    /// The host writes the maps of the new user namespace, the child takes its new root's ids.
    fn mapped(&self, builder: &mut Builder) {
        let Some(maps) = &self.maps else { return };
        builder.host(maps.write.clone(), "linux.uidMappings");
        builder.barrier(Barrier::Mapped);
        let clear_groups = !maps.groups_denied && !self.process.keeps_groups();
        builder.child(ChildOp::BecomeRoot { clear_groups }, "linux.uidMappings");
    }

    /// The host's work on a child whose pid is known.
    fn host_places(&self, builder: &mut Builder) {
        let place: Vec<_> = if self.cgroup.into_fd {
            self.cgroup.place_after_clone_into().cloned().collect()
        } else {
            self.cgroup.place.clone()
        };
        for step in place {
            let from = step.json().to_owned();
            builder.host(HostOp::Cgroup(step), from);
        }
        if let Some(rdt) = &self.rdt {
            builder.host(rdt.clone(), "linux.intelRdt");
        }
        process::host(&self.process, self.place, builder);
        for step in &self.moves {
            builder.host(step.clone(), "linux.netDevices");
        }
        if !self.hooks.create_container.is_empty() || !self.hooks.start_container.is_empty() {
            builder.host(HostOp::WriteStateFiles, "hooks");
        }
    }
}

const EPERM: i32 = 1;

fn moves(
    linux: &Linux,
    own: Namespaces,
    options: &PlanOptions,
) -> Result<Vec<HostOp>, ConfigError> {
    let field = "linux.netDevices";
    if linux.net_devices.is_empty() {
        return Ok(Vec::new());
    }
    if !own.has(Namespaces::NETWORK) {
        return invalid("unable to move network devices without a network namespace; add one to linux.namespaces").field(field);
    }
    if options.rootless {
        return invalid("network devices are not supported for rootless containers").field(field);
    }
    net_devices::moves(&linux.net_devices).field(field)
}

fn intel_rdt(
    linux: &Linux,
    facts: &HostFacts,
    options: &PlanOptions,
) -> Result<Option<HostOp>, ConfigError> {
    let Some(wire) = &linux.intel_rdt else {
        return Ok(None);
    };
    let group = rdt::group(wire, &options.id, facts.resctrl.as_deref()).field("linux.intelRdt")?;
    Ok(Some(HostOp::IntelRdt(group)))
}
