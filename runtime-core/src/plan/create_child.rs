//! The child of `create` and `run` from its namespaces to its program, and what the host does meanwhile.
use super::builder::Builder;
use super::capabilities::NET_ADMIN;
use super::create::{Create, Handed};
use super::ir::{Barrier, ChildOp, HostOp, Kind, MountAttr, Namespaces, Slot, Source};
use super::mount_options::{NODEV, NOEXEC, NOSUID, RDONLY};
use super::process::{self, NOTIFY_DIRECTORY};
use super::{devices, hooks, mounts, rootfs, security};
use crate::config::{At, ConfigError};

impl Create<'_> {
    /// The child from its namespaces to its program, and the host to its records.
    pub(super) fn inside(
        &self,
        handed: &Handed,
        decided: &[mounts::Decided<'_>],
        context: &mounts::Context<'_>,
        builder: &mut Builder,
    ) -> Result<(), ConfigError> {
        self.isolate(builder);
        let (proc, null, root) = (
            builder.slot("proc"),
            builder.slot("null"),
            builder.slot("root"),
        );
        // Its own where it has one: it never holds the host's then, and a sysctl of a new network namespace is looked up in the
        // host's /proc among those of all others.
        let own_proc = mounts::brings_proc(decided);
        if !own_proc {
            builder.child(ChildOp::OpenProc(proc), "");
        }
        builder.child(ChildOp::OpenNull(null), "");
        rootfs::begin(&self.root, root, handed.root_tree, builder);
        // As far as they need no cgroup: the host makes them meanwhile.
        let (before, after) = decided.split_at(mounts::placed_before(decided));
        mounts::emit(before, context, root, builder);
        builder.barrier(Barrier::Placed);
        if self.namespaces.new.has(Namespaces::CGROUP) {
            builder.child(ChildOp::Unshare(Namespaces::CGROUP), "linux.namespaces");
        }
        mounts::emit(after, context, root, builder);
        self.notify(root, builder);
        self.dev(decided, context, root, builder);
        let slave = self.console(root, builder);
        self.host_hooks(builder);
        if let Some(state) = handed.create_container {
            // Without variables of their own these get none; only startContainer hooks get the program's.
            builder.child_steps(hooks::inside(
                "createContainer",
                &self.hooks.create_container,
                state,
                &[],
            ));
        }
        if let Some(dest) = process::directory_to_make(&self.process.cwd).field("process.cwd")? {
            builder.child(
                ChildOp::Mkdir {
                    root,
                    dest,
                    mode: 0o755,
                },
                "process.cwd",
            );
        }
        mounts::finish(decided, root, builder);
        rootfs::enter(&self.root, root, handed.callers_mounts, builder);
        if own_proc {
            builder.child(ChildOp::OpenProc(proc), "");
        }
        for (path, text) in &self.sysctls {
            builder.child(
                ChildOp::WriteProc {
                    proc,
                    path: path.clone(),
                    text: text.clone(),
                },
                "linux.sysctl",
            );
        }
        rootfs::restrict(&self.root, &self.restricted, null, builder);
        match slave {
            Some(slave) => builder.child(ChildOp::UseTty(slave), "process.terminal"),
            None => builder.child(
                ChildOp::OwnStdio {
                    uid: self.process.ids.uid,
                },
                "process.user.uid",
            ),
        }
        process::limits(&self.process, self.place, proc, builder);
        security::labels(&self.security, proc, builder);
        process::identity(&self.process, &self.security, self.place, builder);
        builder.child(
            ChildOp::CloseOnExecFrom(3_u32.saturating_add(self.options.preserve_fds)),
            "",
        );
        // From `created` on others can be in the container: an exec, or a container of the same pid namespace. Before the last
        // capabilities go, so that they never see an equal that they could trace.
        builder.child(ChildOp::NonDumpable, "");
        security::confine(&self.security, builder);
        self.end(handed, builder);
        Ok(())
    }

    /// What is the container's own besides files.
    fn isolate(&self, builder: &mut Builder) {
        builder.child(ChildOp::Setsid, "");
        if !self.options.no_new_keyring {
            let join = ChildOp::JoinKeyring(format!("_ses.{}", self.options.id));
            builder.child_or(join, process::no_keyring(self.facts), ChildOp::Nothing, "");
        }
        let new = self.namespaces.new;
        if new.has(Namespaces::NETWORK) {
            if self.place.user_namespace || self.facts.has_capability(NET_ADMIN) {
                builder.child(ChildOp::LoopbackUp, "linux.namespaces");
            } else {
                builder.skip("loopback", "stays down: the caller lacks CAP_NET_ADMIN");
            }
        }
        if !self.spec.hostname.is_empty() {
            builder.child(ChildOp::Hostname(self.spec.hostname.clone()), "hostname");
        }
        if !self.spec.domainname.is_empty() {
            builder.child(
                ChildOp::Domainname(self.spec.domainname.clone()),
                "domainname",
            );
        }
    }

    /// The service manager's notify socket, as a directory of the state directory.
    fn notify(&self, root: Slot, builder: &mut Builder) {
        if self.options.notify_socket.is_none() {
            return;
        }
        let op = ChildOp::Bind {
            root,
            source: Source::Path(
                self.options
                    .state_dir
                    .join("notify")
                    .to_string_lossy()
                    .into_owned(),
            ),
            dest: NOTIFY_DIRECTORY.to_owned(),
            kind: Kind::Directory,
            recursive: false,
            attr: MountAttr {
                set: RDONLY | NOSUID | NODEV | NOEXEC,
                ..MountAttr::default()
            },
            idmap: None,
        };
        builder.child(op, "");
    }

    /// Nodes and links in /dev, unless the config brings a /dev of its own.
    fn dev(
        &self,
        decided: &[mounts::Decided<'_>],
        context: &mounts::Context<'_>,
        root: Slot,
        builder: &mut Builder,
    ) {
        if mounts::brings_dev(decided) {
            if !self.linux.devices.is_empty() {
                builder.skip(
                    "linux.devices",
                    "/dev is a bind mount, which has what it has",
                );
            }
            return;
        }
        let bind = self.place.user_namespace || !context.facts.initial_userns;
        for node in self.nodes.iter().filter(|node| node.path != "/dev/ptmx") {
            builder.child_steps([devices::step(node, root, bind)]);
        }
        let links = [
            ("/dev/ptmx", "pts/ptmx", true),
            ("/dev/fd", "/proc/self/fd", false),
            ("/dev/stdin", "/proc/self/fd/0", false),
            ("/dev/stdout", "/proc/self/fd/1", false),
            ("/dev/stderr", "/proc/self/fd/2", false),
            ("/dev/core", "/proc/kcore", false),
        ];
        for (dest, target, replace) in links {
            builder.child(
                ChildOp::Symlink {
                    root,
                    dest: dest.to_owned(),
                    target: target.to_owned(),
                    replace,
                },
                "",
            );
        }
    }

    /// The terminal is opened on the container's own devpts, so that its name means the same inside; its master goes out.
    fn console(&self, root: Slot, builder: &mut Builder) -> Option<Slot> {
        let terminal = self.process.terminal()?;
        let (master, slave) = (builder.slot("pty-master"), builder.slot("pty-slave"));
        let uid = self.process.ids.uid;
        let from = "process.terminal";
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
        builder.child(ChildOp::BindConsole { root, slave }, from);
        builder.child(
            ChildOp::SendFd {
                slot: master,
                barrier: Barrier::Console,
            },
            from,
        );
        builder.host(HostOp::Barrier(Barrier::Console), from);
        builder.host(HostOp::PassConsole, from);
        Some(slave)
    }

    fn host_hooks(&self, builder: &mut Builder) {
        if self.hooks.prestart.is_empty() && self.hooks.create_runtime.is_empty() {
            return;
        }
        builder.barrier(Barrier::Hooks);
        for (kind, list) in [
            ("prestart", &self.hooks.prestart),
            ("createRuntime", &self.hooks.create_runtime),
        ] {
            if !list.is_empty() {
                builder.host(
                    HostOp::RunHooks {
                        kind: kind.to_owned(),
                        hooks: list.clone(),
                    },
                    format!("hooks.{kind}"),
                );
            }
        }
        builder.host(HostOp::Barrier(Barrier::Hooks), "");
    }

    fn end(&self, handed: &Handed, builder: &mut Builder) {
        // The child is at work meanwhile: after the barrier it waits for each of the host's steps.
        builder.host(HostOp::DraftState, "");
        builder.barrier(Barrier::Created);
        process::host_limits(&self.process, self.place, builder);
        if self.options.pidfd_socket {
            builder.host(HostOp::PassPidfd, "");
        }
        builder.host(HostOp::WriteState, "");
        if self.options.pid_file {
            builder.host(HostOp::WritePidFile, "");
        }
        match handed.fifos {
            Some((exec, result)) => builder.child(ChildOp::AwaitStart { exec, result }, ""),
            None => builder.barrier(Barrier::Go),
        }
        if let Some(state) = handed.start_container {
            let env = self.process.env();
            builder.child_steps(hooks::inside(
                "startContainer",
                &self.hooks.start_container,
                state,
                env,
            ));
        }
        builder.child(self.process.exec(), "process.args");
    }
}
