//! The plan's vocabulary: two lanes of steps, barriers, fd slots. Data only; the contract between all parts of the runtime.
//!
//! - The **host lane** runs in the caller's process and may allocate; the **child lane** runs in `stage-init`, which becomes the
//!   container's program. They run at the same time and meet at barriers.
//! - A child step is a [`ChildOp`], perhaps with one written-down alternative ([`Alternative`]) for errors that only the kernel
//!   can give. `lower` turns the lane into the flat bytes that `stage-init` decodes; each op here is one op there.
//! - File descriptors live in numbered [`Slot`]s. Host slots listed in [`Plan::handed`] are inherited by the child at spawn;
//!   a child op that opens something names the slot it fills.
//! - Paths in the child lane: a `source` is resolved in the host's view by the child before `PivotRoot`; a `dest` is resolved
//!   beneath `$root` (openat2 RESOLVE_IN_ROOT, missing parts are created by `Mount`/`Bind`/`Mknod`/`Symlink`), never by the host.
//! - Order of a `create` child lane (what `check` and the goldens hold; parts that a spec doesn't ask for are absent):
//!   nondumpable (if anything is joined); join user namespace or await `mapped` + `BecomeRoot`; join the others; unshare the new
//!   ones in one call (network too, so that it overlaps with the host's cgroup work); fork (joined pid namespace); time offsets;
//!   signal `namespaces`; setsid; keyring; loopback; await `placed`, unshare cgroup; host and domain names; OpenProc (without a
//!   procfs of its own), OpenNull; root propagation; BindRoot; mounts in order; devices, links; console bind; barrier `hooks`;
//!   createContainer hooks; PivotRoot; OpenProc (with one); sysctls; masked, read-only paths; root read-only; tty and stdio; rlimits, oom, scheduler, io priority, affinity, memory
//!   policy, personality; labels; bounding drop; groups; ids (keep caps); cwd; FindExecutable; umask; close-on-exec of the rest, non-dumpable;
//!   then without no_new_privs: Seccomp, CapSet, Ambient; with it: CapSet, Ambient, NoNewPrivs, Seccomp;
//!   signal `created`; AwaitStart; startContainer hooks; Exec.
use std::fmt;

/// What will be done, wholly decided. Made by `plan` or `plan_exec`, proved by `check`, shown by `Display` (see `render`).
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What it is for, as the first line of the text: `create c1`, `exec c1`.
    pub title: String,
    /// Steps in the caller's process.
    pub host: Vec<HostStep>,
    /// Steps in the child.
    pub child: Vec<ChildStep>,
    /// All slots by number; the first ones are the host's.
    pub slots: Vec<SlotInfo>,
    /// Slots that the host fills before `Spawn` and the child inherits, in order.
    pub handed: Vec<Slot>,
    /// The container's cgroup directories as planned: by controller on v1, under the empty name on v2.
    pub cgroup_paths: std::collections::BTreeMap<String, String>,
    /// What the spec asks for and will not be done, with the reason.
    pub skips: Vec<Skip>,
}

/// A file descriptor register of the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

/// A slot's name in the text, without the `$`.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotInfo {
    /// `root`, `proc`, `ns-net`, `source-3`.
    pub name: String,
}

/// Something that was asked for and is left out on purpose.
#[derive(Debug, Clone, PartialEq)]
pub struct Skip {
    /// JSON path in config.json.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// One step of the host lane.
#[derive(Debug, Clone, PartialEq)]
pub struct HostStep {
    /// What to do.
    pub op: HostOp,
    /// JSON path that asked for it, or empty.
    pub from: String,
}

/// One step of the child lane.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildStep {
    /// What to do.
    pub op: ChildOp,
    /// What to do instead, and after which errors.
    pub alternative: Option<Alternative>,
    /// JSON path that asked for it, or empty.
    pub from: String,
}

/// `Try`: a choice that only the kernel can make.
#[derive(Debug, Clone, PartialEq)]
pub struct Alternative {
    /// errno values (at most four) after which `op` is run; every other error fails the step.
    pub on: Vec<i32>,
    /// `ChildOp::Nothing` to go on without.
    pub op: ChildOp,
}

/// Points where the lanes meet. The direction says who waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Barrier {
    /// Host has written the id maps of the new user namespace; the child waits.
    Mapped,
    /// The child is in all its namespaces but the cgroup one; the host waits. Carries the pid of the final process after a fork.
    Namespaces,
    /// The host has put the child into its cgroups (and moved net devices in); the child waits.
    Placed,
    /// Both wait: the rootfs is mounted (host may run prestart and createRuntime hooks), then the child goes on.
    Hooks,
    /// The child sends a file descriptor (pty master); the host waits.
    Console,
    /// The child is about to install a filter with a listener; the host takes the fd by number through the shared page.
    Listener,
    /// All is set up but the last step; the host waits.
    Created,
    /// The host has recorded the container (`run` and `exec`): the child may go on to its program; the child waits.
    Go,
    /// The child has made its user namespace itself (it had to join others first) and needs its maps; the host waits.
    Unmapped,
}

impl Barrier {
    /// Name in the text.
    pub fn name(self) -> &'static str {
        match self {
            Barrier::Mapped => "mapped",
            Barrier::Namespaces => "namespaces",
            Barrier::Placed => "placed",
            Barrier::Hooks => "hooks",
            Barrier::Console => "console",
            Barrier::Listener => "listener",
            Barrier::Created => "created",
            Barrier::Go => "go",
            Barrier::Unmapped => "unmapped",
        }
    }
    /// Number on the control socket.
    pub fn number(self) -> u32 {
        self as u32 + 1
    }
    /// Whether the child tells the host.
    pub fn child_signals(self) -> bool {
        matches!(
            self,
            Barrier::Namespaces
                | Barrier::Hooks
                | Barrier::Console
                | Barrier::Listener
                | Barrier::Created
                | Barrier::Unmapped
        )
    }
    /// Whether the child waits for the host.
    pub fn child_waits(self) -> bool {
        matches!(
            self,
            Barrier::Mapped | Barrier::Placed | Barrier::Hooks | Barrier::Go
        )
    }
}

/// Namespace types as a set of `CLONE_NEW*` bits.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Namespaces(pub u32);

#[allow(missing_docs)] // the names are the field's
impl Namespaces {
    pub const TIME: Namespaces = Namespaces(0x80);
    pub const MOUNT: Namespaces = Namespaces(0x0002_0000);
    pub const CGROUP: Namespaces = Namespaces(0x0200_0000);
    pub const UTS: Namespaces = Namespaces(0x0400_0000);
    pub const IPC: Namespaces = Namespaces(0x0800_0000);
    pub const USER: Namespaces = Namespaces(0x1000_0000);
    pub const PID: Namespaces = Namespaces(0x2000_0000);
    pub const NETWORK: Namespaces = Namespaces(0x4000_0000);
    pub const ALL: [(Namespaces, &str); 8] = [
        (Self::USER, "user"),
        (Self::MOUNT, "mount"),
        (Self::PID, "pid"),
        (Self::NETWORK, "network"),
        (Self::IPC, "ipc"),
        (Self::UTS, "uts"),
        (Self::CGROUP, "cgroup"),
        (Self::TIME, "time"),
    ];
    /// Whether all of `other` are in this set.
    pub fn has(self, other: Namespaces) -> bool {
        self.0 & other.0 == other.0
    }
    /// Both sets.
    pub fn with(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 | other.0)
    }
    /// This set without `other`.
    pub fn without(self, other: Namespaces) -> Namespaces {
        Namespaces(self.0 & !other.0)
    }
    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// By the spec's word.
    pub fn by_name(name: &str) -> Option<Namespaces> {
        Self::ALL
            .iter()
            .find(|(_, n)| *n == name)
            .map(|(ns, _)| *ns)
    }
}

impl fmt::Display for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (ns, name) in Self::ALL {
            if self.has(ns) {
                write!(f, "{}{name}", if first { "" } else { "," })?;
                first = false;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Namespaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Namespaces({self})")
    }
}

/// One extent of an id map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

/// How the id maps get written.
#[derive(Debug, Clone, PartialEq)]
pub enum MapWriter {
    /// write(2) to /proc/PID/{uid,gid}_map; needs privilege, or a single own id.
    Direct,
    /// newuidmap(1) and newgidmap(1), by absolute path.
    Helpers {
        /// newuidmap.
        uid: String,
        /// newgidmap.
        gid: String,
    },
}

/// Operations of the host lane.
#[derive(Debug, Clone, PartialEq)]
pub enum HostOp {
    /// A step of the cgroup driver (before or after `Spawn`, as its decision says).
    Cgroup(tare_cgroup::Step),
    /// Open a namespace file and check its type.
    OpenNamespace {
        /// Filled.
        slot: Slot,
        /// Exactly one type.
        kind: Namespaces,
        /// Host path.
        path: String,
    },
    /// pidfd of a running process to join (exec).
    OpenProcess {
        /// Filled.
        slot: Slot,
        /// Host pid.
        pid: i32,
    },
    /// O_PATH of /proc/PID/root of a running process (exec into a container without pivot_root).
    OpenRootOf {
        /// Filled.
        slot: Slot,
        /// Host pid.
        pid: i32,
    },
    /// open_tree(OPEN_TREE_CLONE) of a bind source that the child could not reach (it is in a new user namespace).
    OpenTree {
        /// Filled.
        slot: Slot,
        /// Host path.
        source: String,
        /// With the mounts beneath it.
        recursive: bool,
    },
    /// A user namespace that carries the maps of an idmapped mount.
    MakeIdmap {
        /// Filled.
        slot: Slot,
        /// uid extents.
        uids: Vec<Extent>,
        /// gid extents.
        gids: Vec<Extent>,
    },
    /// Gives a detached tree the ids of a user namespace (MOUNT_ATTR_IDMAP): here and not in the child, which in a user namespace
    /// of its own has no right over the filesystem's.
    MapTree {
        /// From `OpenTree`.
        tree: Slot,
        /// From `MakeIdmap` or `OpenNamespace`.
        userns: Slot,
        /// With the mounts beneath.
        recursive: bool,
    },
    /// An empty memfd for the state document that hooks in the child read; written after `Spawn`, when the pid is known.
    MakeStateFile {
        /// Filled.
        slot: Slot,
        /// `status` in the document.
        status: String,
    },
    /// `exec.fifo` and `result.fifo` in the state directory.
    MakeFifos {
        /// Read by the child.
        exec: Slot,
        /// Written by the child.
        result: Slot,
    },
    /// The notify directory and socket in the state directory, bound into the container by a `Bind`.
    MakeNotifySocket {
        /// The host's NOTIFY_SOCKET.
        host: String,
    },
    /// clone3 + execveat of stage-init.
    Spawn {
        /// Namespaces made by the clone itself (user, pid).
        namespaces: Namespaces,
        /// Whether the child starts in the cgroup (CLONE_INTO_CGROUP).
        into_cgroup: bool,
    },
    /// Fill the state documents of `MakeStateFile`.
    WriteStateFiles,
    /// The id maps of the child's new user namespace.
    WriteMaps {
        /// uid extents.
        uids: Vec<Extent>,
        /// gid extents.
        gids: Vec<Extent>,
        /// Write `deny` to setgroups first (an unprivileged direct writer must).
        deny_setgroups: bool,
        /// Who writes.
        writer: MapWriter,
    },
    /// prlimit(2) on the child from outside its user namespace.
    Rlimit(Rlimit),
    /// /proc/PID/oom_score_adj from outside its user namespace.
    OomScoreAdj(i32),
    /// Move an interface into the child's network namespace, rename it, keep its addresses.
    MoveNetDevice {
        /// Name outside.
        name: String,
        /// Name inside.
        rename: String,
    },
    /// resctrl group: made if absent, schemata written, child joined.
    IntelRdt(IntelRdt),
    /// Meet the child.
    Barrier(Barrier),
    /// Receive the pty master at barrier `console`: pass it to the console socket (or keep it for the caller).
    PassConsole,
    /// Send the child's pidfd to the pidfd socket.
    PassPidfd,
    /// Send the notify fd and the containerProcessState to the agent.
    PassListener {
        /// Unix socket.
        path: String,
        /// Opaque text.
        metadata: String,
    },
    /// Run hooks of one kind in the runtime's namespaces.
    RunHooks {
        /// `prestart`, `createRuntime`.
        kind: String,
        /// In order.
        hooks: Vec<tare_oci::Hook>,
    },
    /// The record beside its place, while the child is still at work.
    DraftState,
    /// state.json by rename.
    WriteState,
    /// The pid file by rename.
    WritePidFile,
}

/// One resource limit, numbers as in prlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// RLIMIT_*.
    pub resource: u32,
    /// Name for the text.
    pub name: &'static str,
    /// Soft.
    pub soft: u64,
    /// Hard.
    pub hard: u64,
}

/// A decided `linux.intelRdt`.
#[derive(Debug, Clone, PartialEq)]
pub struct IntelRdt {
    /// resctrl mount point.
    pub mount: String,
    /// Group name.
    pub clos: String,
    /// Whether `closID` was given (then a missing group with no schemata is an error, and delete leaves it).
    pub named: bool,
    /// Lines for `schemata`.
    pub schemata: Vec<String>,
    /// A monitoring group by this name.
    pub monitor: Option<String>,
}

/// `MOUNT_ATTR_*` bits to set and to clear (mount_setattr(2)); a propagation as `MS_*` or 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountAttr {
    /// Set on the mount itself.
    pub set: u64,
    /// Cleared on the mount itself.
    pub clear: u64,
    /// Set on the mount and all beneath it.
    pub set_recursive: u64,
    /// Cleared on the mount and all beneath it.
    pub clear_recursive: u64,
    /// MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, perhaps with MS_REC; 0 leaves it.
    pub propagation: u32,
}

/// Where a bind mount comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A host path, resolved by the child.
    Path(String),
    /// A detached tree from `HostOp::OpenTree`.
    Slot(Slot),
}

/// What a mount's destination must be, if it has to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// An empty file.
    File,
    /// Whatever the source is.
    LikeSource,
}

/// Operations of the child lane: kernel operations, fixed in number, never a script.
#[derive(Debug, Clone, PartialEq)]
pub enum ChildOp {
    /// Go on (the alternative of an op that may be done without).
    Nothing,
    /// prctl(PR_SET_DUMPABLE, 0).
    NonDumpable,
    /// setns(2) to a namespace file or, with several bits, a pidfd.
    Join {
        /// Namespace file or pidfd.
        slot: Slot,
        /// Types.
        kind: Namespaces,
    },
    /// unshare(2).
    Unshare(Namespaces),
    /// In a new user namespace, after the maps: clear ambient and inheritable sets, become 0:0, setgroups if allowed.
    BecomeRoot {
        /// Whether setgroups(0) may be called.
        clear_groups: bool,
    },
    /// clone(CLONE_PARENT): go on in the child, which is in the joined pid namespace; the hop exits.
    Fork,
    /// Lines for /proc/self/timens_offsets, then enter the time namespace made by `Unshare`.
    TimeOffsets(String),
    /// Meet the host.
    Barrier(Barrier),
    /// setsid(2).
    Setsid,
    /// A new session keyring by this name.
    JoinKeyring(String),
    /// Loopback interface up.
    LoopbackUp,
    /// sethostname(2).
    Hostname(String),
    /// setdomainname(2).
    Domainname(String),
    /// O_PATH of /proc, verified to be the root of a procfs: the host's, or behind the new root the container's own.
    OpenProc(Slot),
    /// O_PATH of the host's /dev/null, verified to be char 1:3.
    OpenNull(Slot),
    /// Write to a file of the verified procfs; `self/...` is this process. For sysctls, labels, oom_score_adj.
    WriteProc {
        /// From `OpenProc`.
        proc: Slot,
        /// Relative path.
        path: String,
        /// Contents, in one write(2).
        text: String,
    },
    /// Propagation of the whole tree as seen so far (MS_* | MS_REC).
    Propagation(u32),
    /// Bind the rootfs on itself and keep it. The mount that holds it becomes private (pivot_root needs it not shared), and what
    /// is mounted in it does not reach the host.
    BindRoot {
        /// Filled.
        root: Slot,
        /// Absolute host path.
        path: String,
        /// A tree opened by the host, if the child can't reach the path.
        tree: Option<Slot>,
    },
    /// A new filesystem instance.
    Mount {
        /// Root to mount beneath.
        root: Slot,
        /// Filesystem type.
        fstype: String,
        /// `source` key.
        source: String,
        /// Beneath the root.
        dest: String,
        /// Mount attributes.
        attr: MountAttr,
        /// Superblock flag words (`ro`, `sync`, `dirsync`, `lazytime`, `mand`...) and data options, in order.
        options: Vec<(String, Option<String>)>,
        /// Copy what the destination holds into the new filesystem first.
        copy_up: bool,
        /// Refuse a destination that is a symlink (proc, sysfs).
        no_symlink: bool,
    },
    /// A bind mount.
    Bind {
        /// Root to mount beneath.
        root: Slot,
        /// From.
        source: Source,
        /// Beneath the root.
        dest: String,
        /// Kind of the destination if it has to be made.
        kind: Kind,
        /// With the mounts beneath the source.
        recursive: bool,
        /// Attributes.
        attr: MountAttr,
        /// User namespace of an idmapped mount, and whether it is for all mounts beneath (`ridmap`).
        idmap: Option<(Slot, bool)>,
    },
    /// Change an existing mount (option `remount`, `cgroup` leaf).
    Remount {
        /// Root.
        root: Slot,
        /// Beneath the root.
        dest: String,
        /// Attributes.
        attr: MountAttr,
        /// Superblock options, if the superblock is to be reconfigured too.
        options: Vec<(String, Option<String>)>,
    },
    /// mkdir -p beneath the root.
    Mkdir {
        /// Root.
        root: Slot,
        /// Beneath the root.
        dest: String,
        /// Mode of new directories.
        mode: u32,
    },
    /// A device node or fifo, replaced if it exists with other numbers.
    Mknod {
        /// Root.
        root: Slot,
        /// Beneath the root.
        dest: String,
        /// S_IF* and permission bits.
        mode: u32,
        /// Device number.
        major: u32,
        /// Device number.
        minor: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A symbolic link; an existing entry is left (`replace` false) or replaced.
    Symlink {
        /// Root.
        root: Slot,
        /// Beneath the root.
        dest: String,
        /// What it says.
        target: String,
        /// Replace an existing entry.
        replace: bool,
    },
    /// Open a pty of the container's devpts (or the one at `/dev/ptmx`), set its size and the slave's owner.
    OpenPty {
        /// Root.
        root: Slot,
        /// Filled: master.
        master: Slot,
        /// Filled: slave.
        slave: Slot,
        /// Rows, columns; 0 leaves it.
        rows: u16,
        /// Columns.
        columns: u16,
        /// Owner of the slave.
        uid: u32,
    },
    /// Bind the pty slave on /dev/console.
    BindConsole {
        /// Root.
        root: Slot,
        /// Slave.
        slave: Slot,
    },
    /// Send a slot's fd with the barrier message.
    SendFd {
        /// What.
        slot: Slot,
        /// Always `Console` now.
        barrier: Barrier,
    },
    /// Make the slave the controlling terminal and fds 0 to 2.
    UseTty(Slot),
    /// fchown fds 0-2 to the user where they are not /dev/null (so that /dev/stderr can be reopened).
    OwnStdio {
        /// Owner.
        uid: u32,
    },
    /// Run a hook and wait for it.
    RunHook {
        /// Program.
        path: String,
        /// argv.
        args: Vec<String>,
        /// Environment.
        env: Vec<String>,
        /// Seconds, 0 for none.
        timeout: u32,
        /// From `MakeStateFile`.
        state: Slot,
        /// `createContainer`, `startContainer`.
        kind: String,
    },
    /// pivot_root(2) into the root, detach the old one, chdir to `/`.
    PivotRoot(Slot),
    /// MS_MOVE the root to `/` and chroot (for `--no-pivot`, on an initramfs).
    MoveRoot(Slot),
    /// fchdir and chroot (no mount namespace).
    Chroot(Slot),
    /// A copy of the root with all that is mounted in it, attached nowhere: it outlives the mount namespace that it was made in.
    CloneRoot {
        /// The root.
        root: Slot,
        /// Filled.
        tree: Slot,
    },
    /// mount_setattr on `/`: MS_* propagation of the container's root after pivot (rootfsPropagation).
    RootPropagation(u32),
    /// `/` read-only (this mount only).
    RootReadonly,
    /// Hide a path: null over a file, an empty read-only tmpfs over a directory; absent is fine.
    Mask {
        /// Inside.
        path: String,
        /// From `OpenNull`.
        null: Slot,
    },
    /// Bind a path on itself read-only, recursively; absent is fine.
    ReadonlyPath(String),
    /// prlimit(2) on itself.
    Rlimit(Rlimit),
    /// sched_setaffinity(2), CPU mask in 64-bit words.
    Affinity(Vec<u64>),
    /// sched_setattr(2).
    Scheduler {
        /// SCHED_*.
        policy: u32,
        /// SCHED_FLAG_*.
        flags: u64,
        /// Nice value.
        nice: i32,
        /// Static priority.
        priority: u32,
        /// ns.
        runtime: u64,
        /// ns.
        deadline: u64,
        /// ns.
        period: u64,
    },
    /// ioprio_set(2) value: class << 13 | level.
    IoPriority(u32),
    /// set_mempolicy(2), node mask in 64-bit words.
    MemoryPolicy {
        /// MPOL_* | MPOL_F_*.
        mode: u32,
        /// Nodes.
        nodes: Vec<u64>,
    },
    /// personality(2).
    Personality(u32),
    /// umask(2).
    Umask(u32),
    /// PR_CAPBSET_DROP of all but these.
    Bounding(u64),
    /// setgroups(2).
    Groups(Vec<u32>),
    /// PR_SET_KEEPCAPS, setresgid, setresuid.
    Ids {
        /// uid.
        uid: u32,
        /// gid.
        gid: u32,
    },
    /// chdir, made if absent; fails unless getcwd is inside the root.
    Chdir {
        /// Absolute, inside.
        path: String,
        /// Whether a missing directory is made.
        create: bool,
    },
    /// The home directory of a uid in the container's own passwd file, for the program's empty `HOME=`; `/` if it says nothing.
    FindHome(u32),
    /// Pick the first candidate that is a file this user may execute.
    FindExecutable {
        /// Paths to try, in order.
        candidates: Vec<String>,
    },
    /// Mark every fd from here on close-on-exec (close_range(2)).
    CloseOnExecFrom(u32),
    /// capset(2).
    CapSet {
        /// Effective.
        effective: u64,
        /// Permitted.
        permitted: u64,
        /// Inheritable.
        inheritable: u64,
    },
    /// PR_CAP_AMBIENT_RAISE of each.
    Ambient(u64),
    /// PR_SET_NO_NEW_PRIVS.
    NoNewPrivs,
    /// seccomp(2).
    Seccomp {
        /// sock_filter array, 8 bytes an instruction.
        program: Vec<u8>,
        /// SECCOMP_FILTER_FLAG_*.
        flags: u32,
        /// The fd number goes to the host through the shared page.
        listener: bool,
    },
    /// Read one byte of the fifo: `start` was called.
    AwaitStart {
        /// exec.fifo.
        exec: Slot,
        /// result.fifo, where failures go from here on.
        result: Slot,
    },
    /// execve(2) of the candidate found.
    Exec {
        /// argv.
        args: Vec<String>,
        /// Environment.
        env: Vec<String>,
    },
}
