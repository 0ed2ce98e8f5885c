//! The option strings of one mount, decided: attributes of the mount, flags of the filesystem, propagation, and what is left for
//! the filesystem itself.
//!
//! Options are read left to right and the last word on a subject wins, as mount(8) has it. The lists below are also what the
//! features document publishes.

/// Attributes of one mount, the `MOUNT_ATTR_*` bits of mount_setattr(2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// Bits to turn on.
    pub set: u64,
    /// Bits to turn off; all of [`ATIME`] whenever one of its values is set.
    pub clear: u64,
}

/// `MOUNT_ATTR_RDONLY`
pub const RDONLY: u64 = 0x0000_0001;
/// `MOUNT_ATTR_NOSUID`
pub const NOSUID: u64 = 0x0000_0002;
/// `MOUNT_ATTR_NODEV`
pub const NODEV: u64 = 0x0000_0004;
/// `MOUNT_ATTR_NOEXEC`
pub const NOEXEC: u64 = 0x0000_0008;
/// `MOUNT_ATTR__ATIME`: the mask of an enumeration whose value 0 is relatime.
pub const ATIME: u64 = 0x0000_0070;
/// `MOUNT_ATTR_NOATIME`
pub const NOATIME: u64 = 0x0000_0010;
/// `MOUNT_ATTR_STRICTATIME`
pub const STRICTATIME: u64 = 0x0000_0020;
/// `MOUNT_ATTR_NODIRATIME`
pub const NODIRATIME: u64 = 0x0000_0080;
/// `MOUNT_ATTR_NOSYMFOLLOW`
pub const NOSYMFOLLOW: u64 = 0x0020_0000;

impl Attributes {
    /// Whether nothing is asked for.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.set == 0 && self.clear == 0
    }

    /// Whether the mount ends read-only.
    #[must_use]
    pub const fn readonly(self) -> bool {
        self.set & RDONLY != 0
    }

    fn turn_on(&mut self, bits: u64) {
        self.set |= bits;
        self.clear &= !bits;
    }

    fn turn_off(&mut self, bits: u64) {
        self.clear |= bits;
        self.set &= !bits;
    }

    /// The kernel takes an access-time value only together with the whole mask in `clear`.
    fn atime(&mut self, value: u64) {
        self.set = self.set & !ATIME | value;
        self.clear |= ATIME;
    }

    /// Back to what the mount has anyway, if `value` was what was asked for.
    fn forget_atime(&mut self, value: u64) {
        if self.clear & ATIME == ATIME && self.set & ATIME == value {
            self.set &= !ATIME;
            self.clear &= !ATIME;
        }
    }
}

/// How a mount event travels to and from other mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PropagationKind {
    /// Neither way.
    Private,
    /// Both ways.
    Shared,
    /// Inwards only.
    Slave,
    /// Neither way, and no bind mount of it may be made.
    Unbindable,
}

/// A propagation change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Propagation {
    /// The kind.
    pub kind: PropagationKind,
    /// For every mount below as well.
    pub recursive: bool,
}

impl Propagation {
    /// `rslave`, `shared`, ...: mount(8)'s word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match (self.kind, self.recursive) {
            (PropagationKind::Private, false) => "private",
            (PropagationKind::Private, true) => "rprivate",
            (PropagationKind::Shared, false) => "shared",
            (PropagationKind::Shared, true) => "rshared",
            (PropagationKind::Slave, false) => "slave",
            (PropagationKind::Slave, true) => "rslave",
            (PropagationKind::Unbindable, false) => "unbindable",
            (PropagationKind::Unbindable, true) => "runbindable",
        }
    }

    /// `MS_*` bits of mount(2).
    #[must_use]
    pub const fn bits(self) -> u32 {
        let kind = match self.kind {
            PropagationKind::Unbindable => 1 << 17,
            PropagationKind::Private => 1 << 18,
            PropagationKind::Slave => 1 << 19,
            PropagationKind::Shared => 1 << 20,
        };
        if self.recursive { kind | MS_REC } else { kind }
    }

    /// The propagation of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        PROPAGATION
            .iter()
            .copied()
            .find(|propagation| propagation.name() == name)
    }
}

/// `MS_REC`
pub const MS_REC: u32 = 1 << 14;

const PROPAGATION: [Propagation; 8] = [
    Propagation {
        kind: PropagationKind::Private,
        recursive: false,
    },
    Propagation {
        kind: PropagationKind::Private,
        recursive: true,
    },
    Propagation {
        kind: PropagationKind::Shared,
        recursive: false,
    },
    Propagation {
        kind: PropagationKind::Shared,
        recursive: true,
    },
    Propagation {
        kind: PropagationKind::Slave,
        recursive: false,
    },
    Propagation {
        kind: PropagationKind::Slave,
        recursive: true,
    },
    Propagation {
        kind: PropagationKind::Unbindable,
        recursive: false,
    },
    Propagation {
        kind: PropagationKind::Unbindable,
        recursive: true,
    },
];

/// How the ids of a mount are mapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// For every mount below as well (`ridmap`).
    pub recursive: bool,
    /// crun's `idmap=uids=...;gids=...`, what stands behind the first `=`.
    pub inline: Option<String>,
}

/// What the option strings of one mount ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Attributes of this mount.
    pub attributes: Attributes,
    /// Attributes of this mount and all below it.
    pub recursive_attributes: Attributes,
    /// Flags of the filesystem, by the names that fsconfig(2) takes: `sync`, `dirsync`, `lazytime`, `mand`, and their opposites.
    pub filesystem_flags: Vec<&'static str>,
    /// In the order given: a mount can be slave and shared.
    pub propagation: Vec<Propagation>,
    /// `Some(recursive)`: a bind mount.
    pub bind: Option<bool>,
    /// Change what is mounted there instead of mounting.
    pub remount: bool,
    /// Copy what lies under a tmpfs into it.
    pub copy_up: bool,
    /// Map ids.
    pub idmap: Option<IdMap>,
    /// crun's: make the symlink that the source is, instead of a mount.
    pub copy_symlink: bool,
    /// crun's: don't follow a symlink at the end of the source.
    pub source_nofollow: bool,
    /// crun's: don't follow a symlink at the end of the destination.
    pub destination_nofollow: bool,
    /// Known words without an effect here: the word and why.
    pub ignored: Vec<(String, &'static str)>,
    /// For the filesystem: a bare word, or a key with its value.
    pub data: Vec<(String, Option<String>)>,
}

/// What a known option does.
#[derive(Clone, Copy)]
enum Effect {
    Nothing,
    On(u64),
    Off(u64),
    Atime(u64),
    NotAtime(u64),
    Filesystem {
        flag: &'static str,
        opposite: &'static str,
    },
    Bind(bool),
    Remount,
    CopyUp,
    IdMap(bool),
    CopySymlink,
    SourceNofollow,
    DestinationNofollow,
    Ignored(&'static str),
}

const NO_KERNEL_FLAG: &str = "the kernel's mount interface has no such flag for a filesystem";
const ONLY_LOGGING: &str = "it changed only what the kernel logs";

/// Every option with one fixed effect on a mount, by name.
const OPTIONS: [(&str, Effect); 43] = [
    (
        "async",
        Effect::Filesystem {
            flag: "async",
            opposite: "sync",
        },
    ),
    ("atime", Effect::NotAtime(NOATIME)),
    ("bind", Effect::Bind(false)),
    ("copy-symlink", Effect::CopySymlink),
    ("defaults", Effect::Nothing),
    ("dest-nofollow", Effect::DestinationNofollow),
    ("dev", Effect::Off(NODEV)),
    ("diratime", Effect::Off(NODIRATIME)),
    (
        "dirsync",
        Effect::Filesystem {
            flag: "dirsync",
            opposite: "",
        },
    ),
    ("exec", Effect::Off(NOEXEC)),
    ("idmap", Effect::IdMap(false)),
    ("iversion", Effect::Ignored(NO_KERNEL_FLAG)),
    (
        "lazytime",
        Effect::Filesystem {
            flag: "lazytime",
            opposite: "nolazytime",
        },
    ),
    ("loud", Effect::Ignored(ONLY_LOGGING)),
    (
        "mand",
        Effect::Filesystem {
            flag: "mand",
            opposite: "nomand",
        },
    ),
    ("noatime", Effect::Atime(NOATIME)),
    ("nodev", Effect::On(NODEV)),
    ("nodiratime", Effect::On(NODIRATIME)),
    ("noexec", Effect::On(NOEXEC)),
    ("noiversion", Effect::Ignored(NO_KERNEL_FLAG)),
    (
        "nolazytime",
        Effect::Filesystem {
            flag: "nolazytime",
            opposite: "lazytime",
        },
    ),
    (
        "nomand",
        Effect::Filesystem {
            flag: "nomand",
            opposite: "mand",
        },
    ),
    ("norelatime", Effect::NotAtime(0)),
    ("nostrictatime", Effect::NotAtime(STRICTATIME)),
    ("nosuid", Effect::On(NOSUID)),
    ("nosymfollow", Effect::On(NOSYMFOLLOW)),
    ("rbind", Effect::Bind(true)),
    ("relatime", Effect::Atime(0)),
    ("remount", Effect::Remount),
    ("ridmap", Effect::IdMap(true)),
    ("ro", Effect::On(RDONLY)),
    ("rw", Effect::Off(RDONLY)),
    ("silent", Effect::Ignored(ONLY_LOGGING)),
    ("src-nofollow", Effect::SourceNofollow),
    ("strictatime", Effect::Atime(STRICTATIME)),
    ("suid", Effect::Off(NOSUID)),
    ("symfollow", Effect::Off(NOSYMFOLLOW)),
    (
        "sync",
        Effect::Filesystem {
            flag: "sync",
            opposite: "async",
        },
    ),
    ("tmpcopyup", Effect::CopyUp),
    (
        "nofail",
        Effect::Ignored("it is a word for fstab; a mount that fails fails the container"),
    ),
    ("noauto", Effect::Ignored("it is a word for fstab")),
    ("auto", Effect::Ignored("it is a word for fstab")),
    ("_netdev", Effect::Ignored("it is a word for fstab")),
];

/// The recursive twins: `On` and `Off` of a bit, or `Atime` of a value.
const RECURSIVE: [(&str, Effect); 18] = [
    ("ratime", Effect::Atime(0)),
    ("rdev", Effect::Off(NODEV)),
    ("rdiratime", Effect::Off(NODIRATIME)),
    ("rexec", Effect::Off(NOEXEC)),
    ("rnoatime", Effect::Atime(NOATIME)),
    ("rnodev", Effect::On(NODEV)),
    ("rnodiratime", Effect::On(NODIRATIME)),
    ("rnoexec", Effect::On(NOEXEC)),
    ("rnorelatime", Effect::Atime(0)),
    ("rnostrictatime", Effect::Atime(0)),
    ("rnosuid", Effect::On(NOSUID)),
    ("rnosymfollow", Effect::On(NOSYMFOLLOW)),
    ("rrelatime", Effect::Atime(0)),
    ("rro", Effect::On(RDONLY)),
    ("rrw", Effect::Off(RDONLY)),
    ("rstrictatime", Effect::Atime(STRICTATIME)),
    ("rsuid", Effect::Off(NOSUID)),
    ("rsymfollow", Effect::Off(NOSYMFOLLOW)),
];

/// Every option word that isn't passed to the filesystem, sorted: the features document's `mountOptions`.
#[must_use]
pub fn known() -> Vec<&'static str> {
    let mut names: Vec<&str> = OPTIONS
        .iter()
        .chain(&RECURSIVE)
        .map(|(name, _)| *name)
        .collect();
    names.extend(PROPAGATION.iter().map(|propagation| propagation.name()));
    names.sort_unstable();
    names
}

/// Reads the options in their order; a word that is in none of the lists is for the filesystem.
#[must_use]
pub fn parse(options: &[String]) -> MountOptions {
    let mut decided = MountOptions::default();
    for option in options {
        for word in words(option) {
            decided.take(word);
        }
    }
    decided
}

/// Producers (and fstab habits) join several words in one string; a comma within quotes (SELinux categories) or behind a backslash
/// (overlay's paths) joins nothing.
fn words(option: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    option
        .split(move |character| {
            let separates = character == ',' && !quoted && !escaped;
            quoted ^= character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            separates
        })
        .filter(|word| !word.is_empty())
}

/// mount(2) wants a value with commas in quotes; fsconfig(2) takes values one by one and would read the quotes as text.
fn unquoted(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(value)
}

fn lookup(table: &[(&str, Effect)], word: &str) -> Option<Effect> {
    table
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, effect)| *effect)
}

impl MountOptions {
    fn take(&mut self, word: &str) {
        if let Some(effect) = lookup(&OPTIONS, word) {
            self.apply(word, effect);
        } else if let Some(effect) = lookup(&RECURSIVE, word) {
            apply_attributes(&mut self.recursive_attributes, effect);
        } else if let Some(propagation) = Propagation::named(word) {
            self.propagation.push(propagation);
        } else if let Some(inline) = word.strip_prefix("idmap=") {
            self.idmap = Some(IdMap {
                recursive: false,
                inline: Some(inline.to_owned()),
            });
        } else if let Some(inline) = word.strip_prefix("ridmap=") {
            self.idmap = Some(IdMap {
                recursive: true,
                inline: Some(inline.to_owned()),
            });
        } else if let Some((key, value)) = word.split_once('=') {
            self.data
                .push((key.to_owned(), Some(unquoted(value).to_owned())));
        } else {
            self.data.push((word.to_owned(), None));
        }
    }

    fn apply(&mut self, word: &str, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::On(_) | Effect::Off(_) | Effect::Atime(_) | Effect::NotAtime(_) => {
                apply_attributes(&mut self.attributes, effect);
            }
            Effect::Filesystem { flag, opposite } => {
                self.filesystem_flags
                    .retain(|known| *known != flag && *known != opposite);
                self.filesystem_flags.push(flag);
            }
            Effect::Bind(recursive) => self.bind = Some(recursive || self.bind == Some(true)),
            Effect::Remount => self.remount = true,
            Effect::CopyUp => self.copy_up = true,
            Effect::IdMap(recursive) => {
                self.idmap = Some(IdMap {
                    recursive,
                    inline: None,
                })
            }
            Effect::CopySymlink => self.copy_symlink = true,
            Effect::SourceNofollow => self.source_nofollow = true,
            Effect::DestinationNofollow => self.destination_nofollow = true,
            Effect::Ignored(reason) => self.ignored.push((word.to_owned(), reason)),
        }
    }

    /// The filesystem's own options as mount(8) writes them, for one who reads: `mode=755,size=64k`.
    #[must_use]
    pub fn data_text(&self) -> String {
        let words = self.data.iter().map(|(key, value)| match value {
            Some(value) => format!("{key}={value}"),
            None => key.clone(),
        });
        words.collect::<Vec<_>>().join(",")
    }
}

fn apply_attributes(attributes: &mut Attributes, effect: Effect) {
    match effect {
        Effect::On(bits) => attributes.turn_on(bits),
        Effect::Off(bits) => attributes.turn_off(bits),
        Effect::Atime(value) => attributes.atime(value),
        Effect::NotAtime(value) => attributes.forget_atime(value),
        _ => {}
    }
}

#[cfg(test)]
#[path = "mount_options_tests.rs"]
mod tests;
