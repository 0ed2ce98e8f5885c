//! The targets: a name, what to do with bytes, and what the engine must know of them.
mod argv;
mod bpf;
mod bus;
mod cgroup;
mod exec;
mod host;
mod image_documents;
mod planted;
mod program;
mod record;
mod resources;
mod seccomp;
mod shim_messages;
mod shim_options;
pub mod spec;
mod tar;
mod ttrpc_frames;

/// One way for hostile bytes into the project.
pub struct Target {
    /// Its name, and its corpus's folder.
    pub name: &'static str,
    /// Takes the bytes; panics where a promise is broken.
    pub run: fn(&[u8]),
    /// The longest input that the engine makes.
    pub longest: usize,
    /// Whether the input is a line of words and a JSON document.
    pub json: bool,
}

const fn text(name: &'static str, run: fn(&[u8])) -> Target {
    Target {
        name,
        run,
        longest: 4096,
        json: false,
    }
}

const fn json(name: &'static str, run: fn(&[u8])) -> Target {
    Target {
        name,
        run,
        longest: 16384,
        json: true,
    }
}

/// All targets.
pub const TARGETS: [Target; 15] = [
    json("spec", spec::run),
    json("exec", exec::run),
    json("record", record::run),
    json("resources", resources::run),
    json("seccomp", seccomp::run),
    Target {
        json: false,
        ..json("program", program::run)
    },
    text("cgroup", cgroup::run),
    text("bus", bus::run),
    text("host", host::run),
    text("argv", argv::run),
    text("ttrpc_frames", ttrpc_frames::run),
    text("shim_messages", shim_messages::run),
    text("shim_options", shim_options::run),
    text("tar", tar::run),
    text("image_documents", image_documents::run),
];

/// A target with a bug in it, which shows that the engine and the corpus test find one.
pub const PLANTED: Target = json("planted", planted::run);

/// The target of this name.
pub fn by_name(name: &str) -> Option<&'static Target> {
    TARGETS
        .iter()
        .chain([&PLANTED])
        .find(|target| target.name == name)
}

/// The first line, as words, and the rest.
fn head(bytes: &[u8]) -> (String, &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (line, rest) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (&[][..], bytes),
    };
    (String::from_utf8_lossy(line).into_owned(), rest)
}
