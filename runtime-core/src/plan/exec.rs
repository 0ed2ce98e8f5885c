//! The plan of `exec`: a process more in a running container. Shorter than `create`'s, over the same steps.
//!
//! From the join on a hostile container may look at the child, so it is non-dumpable before, and whatever it opens of the host's is
//! opened before (CVE-2016-9962). Nothing of the container's state is changed: no mount, no directory made.
use super::builder::Builder;
use super::facts::{HostFacts, PlanOptions};
use super::ids;
use super::ir::{Barrier, ChildOp, Extent, HostOp, Namespaces, Plan, Slot};
use super::number_list;
use super::process::{self, Groups, Inherited, Place};
use super::{security, user_maps};
use crate::config::{At, ConfigError, invalid};
use tare_oci::{IdMapping, Linux, Process};

/// The container that the process goes into, as its records have it.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecTarget<'a> {
    /// Host pid of its init.
    pub pid: i32,
    /// Its own namespaces: those that its config made or joined.
    pub namespaces: Namespaces,
    /// `linux` of its config: the filter, the memory policy and the personality hold for every process in it.
    pub linux: &'a Linux,
    /// Labels of the cgroup hierarchies that it is in: v1's first controllers, or the empty one for v2.
    pub cgroups: &'a [String],
    /// Whether the child can be cloned into its v2 cgroup.
    pub into_cgroup: bool,
}

/// Plans one more process in a running container.
///
/// # Errors
/// [`ConfigError`] as [`super::plan`]; paths start at `process` (or `linux` for what the container's config says).
pub fn plan_exec(
    process: &Process,
    target: &ExecTarget<'_>,
    facts: &HostFacts,
    options: &PlanOptions,
) -> Result<Plan, ConfigError> {
    let mut builder = Builder::new(format!("exec {}", options.id));
    let inherited = Inherited {
        listen_fds: options.listen_fds,
        notify_socket: false,
        console: options.console,
    };
    let program = process::decide(process, target.linux, None, &inherited, &mut builder)?;
    check_ids(&program.ids, target)?;
    // Unknown system calls were refused by `create`, if at all.
    let security = security::decide(process, target.linux, facts, false, &mut builder)?;
    let user = target.namespaces.has(Namespaces::USER);
    let place = Place {
        user_namespace: user,
        privileged: !options.rootless,
        raises_limits: !options.rootless && facts.has_capability(super::capabilities::SYS_RESOURCE),
        groups: if user {
            Groups::Unknown
        } else {
            Groups::Allowed
        },
    };
    let affinity = affinity(process)?;
    let exec = Exec {
        target,
        facts,
        options,
        program: &program,
        security: &security,
        place,
    };
    exec.write(affinity, &mut builder);
    builder.finish()
}

/// The maps that the config states are those of its user namespace, made or joined.
fn check_ids(ids: &ids::Ids, target: &ExecTarget<'_>) -> Result<(), ConfigError> {
    let linux = target.linux;
    if !target.namespaces.has(Namespaces::USER)
        || linux.uid_mappings.is_empty()
        || linux.gid_mappings.is_empty()
    {
        return Ok(());
    }
    let map = |mappings: &[IdMapping], field: &str| ids::extents(mappings).field(field);
    let uids: Vec<Extent> = map(&linux.uid_mappings, "linux.uidMappings")?;
    user_maps::check_ids(ids, &uids, &map(&linux.gid_mappings, "linux.gidMappings")?)
}

/// CPU masks before and after the cgroup is entered.
struct Affinity {
    first: Option<ChildOp>,
    last: Option<ChildOp>,
}

fn affinity(process: &Process) -> Result<Affinity, ConfigError> {
    let wire = process.exec_cpu_affinity.as_ref();
    let mask = |list: Option<&String>, field: &str| -> Result<Option<ChildOp>, ConfigError> {
        let Some(list) = list.filter(|list| !list.is_empty()) else {
            return Ok(None);
        };
        let mask = number_list::mask(list)
            .field(field)
            .field("process.execCPUAffinity")?;
        if mask.is_empty() {
            return invalid("names no CPU")
                .field(field)
                .field("process.execCPUAffinity");
        }
        Ok(Some(ChildOp::Affinity(mask)))
    };
    Ok(Affinity {
        first: mask(wire.map(|wire| &wire.initial), "initial")?,
        last: mask(wire.map(|wire| &wire.final_), "final")?,
    })
}

struct Exec<'a> {
    target: &'a ExecTarget<'a>,
    facts: &'a HostFacts,
    options: &'a PlanOptions,
    program: &'a process::Decided,
    security: &'a security::Security,
    place: Place,
}

impl Exec<'_> {
    fn write(&self, affinity: Affinity, builder: &mut Builder) {
        let joins = self.prepare(builder);
        let root = self.program.terminal().map(|terminal| {
            let root = builder.handed_slot("root");
            builder.host(
                HostOp::OpenRootOf {
                    slot: root,
                    pid: self.target.pid,
                },
                "process.terminal",
            );
            (root, terminal)
        });
        // Without a mount namespace the container's root is only its init's chroot.
        let outside = !self.target.namespaces.has(Namespaces::MOUNT);
        let chroot = outside.then(|| {
            let slot = builder.handed_slot("root-of-init");
            let op = HostOp::OpenRootOf {
                slot,
                pid: self.target.pid,
            };
            builder.host(op, "");
            slot
        });
        // CLONE_INTO_CGROUP would come before the first affinity.
        let into_cgroup = self.target.into_cgroup && affinity.first.is_none();
        builder.host(
            HostOp::Spawn {
                namespaces: Namespaces::default(),
                into_cgroup,
            },
            "",
        );
        if let Some(op) = affinity.first {
            builder.child(op, "process.execCPUAffinity.initial");
        }
        let proc = self.enter(&joins, builder);
        if let Some(slot) = chroot {
            builder.child(ChildOp::Chroot(slot), "");
        }
        if !into_cgroup && !self.target.cgroups.is_empty() {
            let labels = self.target.cgroups.to_vec();
            builder.host(
                HostOp::Cgroup(tare_cgroup::Step::Join {
                    labels,
                    single_threaded: true,
                }),
                "",
            );
        }
        process::host(self.program, self.place, builder);
        builder.barrier(Barrier::Placed);
        if let Some(op) = affinity.last {
            builder.child(op, "process.execCPUAffinity.final");
        }
        builder.child(ChildOp::Setsid, "");
        if !self.options.no_new_keyring {
            builder.child_or(
                ChildOp::JoinKeyring(format!("_ses.{}", self.options.id)),
                process::no_keyring(self.facts),
                ChildOp::Nothing,
                "",
            );
        }
        match root {
            Some((root, terminal)) => self.console(root, terminal, builder),
            None => builder.child(
                ChildOp::OwnStdio {
                    uid: self.program.ids.uid,
                },
                "process.user.uid",
            ),
        }
        process::limits(self.program, self.place, proc, builder);
        security::labels(self.security, proc, builder);
        process::identity(self.program, self.security, self.place, builder);
        builder.child(
            ChildOp::CloseOnExecFrom(3_u32.saturating_add(self.options.preserve_fds)),
            "",
        );
        security::confine(self.security, builder);
        self.end(builder);
    }

    /// One pidfd for all namespaces, which can't be another process's; before Linux 5.8 a file for each.
    fn prepare(&self, builder: &mut Builder) -> Vec<(Slot, Namespaces)> {
        let pid = self.target.pid;
        if self.target.namespaces.is_empty() {
            return Vec::new();
        }
        if self.facts.kernel_at_least(5, 8) {
            let slot = builder.handed_slot("init");
            builder.host(HostOp::OpenProcess { slot, pid }, "");
            return vec![(slot, self.target.namespaces)];
        }
        let files = [
            (Namespaces::USER, "user"),
            (Namespaces::PID, "pid"),
            (Namespaces::IPC, "ipc"),
            (Namespaces::UTS, "uts"),
            (Namespaces::NETWORK, "net"),
            (Namespaces::CGROUP, "cgroup"),
            (Namespaces::TIME, "time"),
            (Namespaces::MOUNT, "mnt"),
        ];
        let own = files
            .into_iter()
            .filter(|(kind, _)| self.target.namespaces.has(*kind));
        own.map(|(kind, file)| {
            let slot = builder.handed_slot(format!("ns-{kind}"));
            builder.host(
                HostOp::OpenNamespace {
                    slot,
                    kind,
                    path: format!("/proc/{pid}/ns/{file}"),
                },
                "",
            );
            (slot, kind)
        })
        .collect()
    }

    fn enter(&self, joins: &[(Slot, Namespaces)], builder: &mut Builder) -> Slot {
        let proc = builder.slot("proc");
        builder.child(ChildOp::NonDumpable, "");
        builder.child(ChildOp::OpenProc(proc), "");
        for (slot, kind) in joins {
            builder.child(
                ChildOp::Join {
                    slot: *slot,
                    kind: *kind,
                },
                "",
            );
        }
        if self.place.user_namespace {
            const EPERM: i32 = 1;
            // Whether setgroups(2) is denied there is known only inside.
            let instead = ChildOp::BecomeRoot {
                clear_groups: false,
            };
            builder.child_or(
                ChildOp::BecomeRoot { clear_groups: true },
                &[EPERM],
                instead,
                "",
            );
            // Becoming root made it dumpable.
            builder.child(ChildOp::NonDumpable, "");
        }
        if self.target.namespaces.has(Namespaces::PID) {
            builder.child(ChildOp::Fork, "");
        }
        builder.barrier(Barrier::Namespaces);
        proc
    }

    /// The container's devpts gives the terminal; /dev/console stays its init's.
    fn console(&self, root: Slot, terminal: process::Terminal, builder: &mut Builder) {
        let from = "process.terminal";
        let (master, slave) = (builder.slot("pty-master"), builder.slot("pty-slave"));
        let uid = self.program.ids.uid;
        builder.child(
            ChildOp::OpenPty {
                root,
                master,
                slave,
                rows: terminal.rows,
                columns: terminal.columns,
                uid,
            },
            from,
        );
        builder.child(
            ChildOp::SendFd {
                slot: master,
                barrier: Barrier::Console,
            },
            from,
        );
        builder.host(HostOp::Barrier(Barrier::Console), from);
        builder.host(HostOp::PassConsole, from);
        builder.child(ChildOp::UseTty(slave), from);
    }

    fn end(&self, builder: &mut Builder) {
        builder.barrier(Barrier::Created);
        process::host_limits(self.program, self.place, builder);
        if self.options.pidfd_socket {
            builder.host(HostOp::PassPidfd, "");
        }
        if self.options.pid_file {
            builder.host(HostOp::WritePidFile, "");
        }
        builder.barrier(Barrier::Go);
        builder.child(self.program.exec(), "process.args");
    }
}
