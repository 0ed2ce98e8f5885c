//! The operations as data: one definition gives the enum, its encoder and its decoder.
use crate::program::{Field, List, Reader, Sink, Table};
use core::ffi::CStr;

macro_rules! ops {
    ($( $(#[doc = $doc:literal])* $name:ident = $code:literal { $($field:ident : $kind:ty),* $(,)? } )*) => {
        /// One operation, decoded. `u16` fields are slots; see `ChildOp` in `tare-runtime` for what each does and why.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)] // the fields are those of ChildOp
        pub enum Op<'p> {
            $( $(#[doc = $doc])* $name { $($field: $kind),* }, )*
        }
        /// The first word of each operation.
        #[allow(non_upper_case_globals, dead_code)] // the names of the operations, of which few are asked for
        pub(crate) mod code {
            $( pub const $name: u32 = $code; )*
        }
        impl<'p> Op<'p> {
            /// Appends code and fields.
            pub fn encode(&self, sink: &mut impl Sink) {
                match *self {
                    $( Op::$name { $($field),* } => { sink.word($code); $( Field::put(&$field, sink); )* } )*
                }
            }
            pub(crate) fn decode(reader: &mut Reader<'p>) -> Option<Op<'p>> {
                Some(match reader.word()? {
                    $( $code => Op::$name { $($field: Field::get(reader)?),* }, )*
                    _ => return None,
                })
            }
        }
    };
}

ops! {
    /// Go on.
    Nothing = 1 {}
    /// Run the next op; after one of these errors (0 is none) the one after it, which is else left out.
    Try = 2 { e1: u32, e2: u32, e3: u32, e4: u32 }
    /// PR_SET_DUMPABLE 0.
    NonDumpable = 3 {}
    /// setns(2).
    Join = 4 { slot: u16, kinds: u32 }
    /// unshare(2).
    Unshare = 5 { kinds: u32 }
    /// 0:0 in a new user namespace.
    BecomeRoot = 6 { clear_groups: bool }
    /// Hop into the joined pid namespace.
    Fork = 7 {}
    /// /proc/self/timens_offsets and setns.
    TimeOffsets = 8 { text: &'p CStr }
    /// Meet the host: a number of `report::barrier`.
    Barrier = 9 { id: u32, signals: bool, waits: bool }
    /// setsid(2).
    Setsid = 10 {}
    /// keyctl(2).
    JoinKeyring = 11 { name: &'p CStr }
    /// SIOCSIFFLAGS.
    LoopbackUp = 12 {}
    /// sethostname(2).
    Hostname = 13 { name: &'p CStr }
    /// setdomainname(2).
    Domainname = 14 { name: &'p CStr }
    /// The host's procfs.
    OpenProc = 15 { slot: u16 }
    /// The host's null device.
    OpenNull = 16 { slot: u16 }
    /// Write to procfs.
    WriteProc = 17 { proc_slot: u16, path: &'p CStr, text: &'p CStr }
    /// MS_* on `/`.
    Propagation = 18 { flags: u32 }
    /// Bind the rootfs; what is mounted in it from now on stays in this namespace.
    BindRoot = 19 { root: u16, path: &'p CStr, tree: Option<u16> }
    /// A new filesystem instance.
    Mount = 20 { root: u16, fstype: &'p CStr, source: &'p CStr, dest: &'p CStr, attr: Attr, options: List<'p>, copy_up: bool, no_symlink: bool }
    /// Bind a path.
    BindPath = 21 { root: u16, source: &'p CStr, dest: &'p CStr, kind: u32, recursive: bool, attr: Attr, idmap: Option<u16>, idmap_recursive: bool }
    /// Bind a tree that the host opened.
    BindTree = 22 { root: u16, source: u16, dest: &'p CStr, kind: u32, recursive: bool, attr: Attr, idmap: Option<u16>, idmap_recursive: bool }
    /// Change a mount.
    Remount = 23 { root: u16, dest: &'p CStr, attr: Attr, options: List<'p> }
    /// mkdir -p.
    Mkdir = 24 { root: u16, dest: &'p CStr, mode: u32 }
    /// mknodat(2).
    Mknod = 25 { root: u16, dest: &'p CStr, mode: u32, major: u32, minor: u32, uid: u32, gid: u32 }
    /// symlinkat(2).
    Symlink = 26 { root: u16, dest: &'p CStr, target: &'p CStr, replace: bool }
    /// A pty of the container's devpts.
    OpenPty = 27 { root: u16, master: u16, slave: u16, rows: u32, columns: u32, uid: u32 }
    /// Slave on /dev/console.
    BindConsole = 28 { root: u16, slave: u16 }
    /// An fd to the host with a barrier message.
    SendFd = 29 { slot: u16, id: u32 }
    /// Controlling terminal and fds 0 to 2.
    UseTty = 30 { slave: u16 }
    /// fchown of stdio.
    OwnStdio = 31 { uid: u32 }
    /// Run a program and wait.
    RunHook = 32 { path: &'p CStr, args: Table, env: Table, timeout: u32, state: u16 }
    /// pivot_root(2).
    PivotRoot = 33 { root: u16 }
    /// MS_MOVE and chroot.
    MoveRoot = 34 { root: u16 }
    /// chroot(2).
    Chroot = 35 { root: u16 }
    /// Propagation of the new `/`.
    RootPropagation = 36 { flags: u32 }
    /// `/` read-only.
    RootReadonly = 37 {}
    /// Hide a path.
    Mask = 38 { path: &'p CStr, null: u16 }
    /// Make a path read-only.
    ReadonlyPath = 39 { path: &'p CStr }
    /// prlimit(2).
    Rlimit = 40 { resource: u32, soft: u64, hard: u64 }
    /// sched_setaffinity(2).
    Affinity = 41 { mask: &'p [u8] }
    /// sched_setattr(2).
    Scheduler = 42 { policy: u32, flags: u64, nice: u32, priority: u32, runtime: u64, deadline: u64, period: u64 }
    /// ioprio_set(2).
    IoPriority = 43 { value: u32 }
    /// set_mempolicy(2).
    MemoryPolicy = 44 { mode: u32, nodes: &'p [u8] }
    /// personality(2).
    Personality = 45 { persona: u32 }
    /// umask(2).
    Umask = 46 { mask: u32 }
    /// PR_CAPBSET_DROP of the others.
    Bounding = 47 { keep: u64 }
    /// setgroups(2); native-endian ids.
    Groups = 48 { ids: &'p [u8] }
    /// setresgid, setresuid with kept capabilities.
    Ids = 49 { uid: u32, gid: u32 }
    /// chdir(2).
    Chdir = 50 { path: &'p CStr, create: bool }
    /// Choose the program.
    FindExecutable = 51 { candidates: List<'p> }
    /// close_range(2).
    CloseOnExecFrom = 52 { first: u32 }
    /// capset(2).
    CapSet = 53 { effective: u64, permitted: u64, inheritable: u64 }
    /// PR_CAP_AMBIENT_RAISE.
    Ambient = 54 { mask: u64 }
    /// PR_SET_NO_NEW_PRIVS.
    NoNewPrivs = 55 {}
    /// seccomp(2).
    Seccomp = 56 { program: &'p [u8], flags: u32, listener: bool }
    /// Wait for `start`.
    AwaitStart = 57 { exec: u16, result: u16 }
    /// execve(2).
    Exec = 58 { args: Table, env: Table }
    /// HOME from the container's passwd.
    FindHome = 60 { uid: u32 }
    /// open_tree(2) of the root with all its mounts.
    CloneRoot = 61 { root: u16, tree: u16 }
}

/// `MountAttr` of the plan as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attr {
    /// MOUNT_ATTR_* to set.
    pub set: u32,
    /// MOUNT_ATTR_* to clear.
    pub clear: u32,
    /// With all mounts beneath.
    pub set_recursive: u32,
    /// With all mounts beneath.
    pub clear_recursive: u32,
    /// MS_*, 0 leaves it.
    pub propagation: u32,
}

impl<'p> Field<'p> for Attr {
    fn put(&self, sink: &mut impl Sink) {
        for word in [
            self.set,
            self.clear,
            self.set_recursive,
            self.clear_recursive,
            self.propagation,
        ] {
            sink.word(word);
        }
    }
    fn get(reader: &mut Reader<'p>) -> Option<Attr> {
        Some(Attr {
            set: reader.word()?,
            clear: reader.word()?,
            set_recursive: reader.word()?,
            clear_recursive: reader.word()?,
            propagation: reader.word()?,
        })
    }
}
