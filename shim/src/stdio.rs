//! The three streams of a process, as containerd names them: nothing, fifos, files, or a program that takes them.
//!
//! Output goes straight to where it belongs: the process gets the fifo's, file's or pipe's own end, and no byte of it passes
//! through the shim. Only what a terminal says has to be carried, and input, whose end must be told.
use crate::failure::{Code, Failure};
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio as ChildStdio};
use std::time::Duration;
use tare_runtime::Stdio;
use tare_supervisor::{Reader, Writer};

/// What a request says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Streams {
    /// Input, or empty.
    pub stdin: String,
    /// Output, or empty.
    pub stdout: String,
    /// Errors, or empty; none with a terminal.
    pub stderr: String,
    /// All three are a terminal.
    pub terminal: bool,
}

/// Where a stream leads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Null,
    Fifo(PathBuf),
    File(PathBuf),
    Logger(Logger),
}

/// A program that takes output.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Logger {
    program: PathBuf,
    arguments: Vec<String>,
    /// Whether it has to say that it is ready; else its end of the pipe may just be closed.
    must_say: bool,
}

/// What stands before the reason why a logger could not be started.
const NOT_STARTED: &[u8] = b"\0not started\0";

/// How long a logger may take until it is ready.
const LOGGER_PATIENCE: Duration = Duration::from_secs(10);

/// What was made of it.
#[derive(Debug, Default)]
pub struct Made {
    /// For the process.
    pub stdio: Stdio,
    /// Open as long as the process may be read: readers may go and come.
    pub kept: Vec<Writer>,
    /// Input on its way: from the fifo to the process's pipe.
    pub input: Option<(OwnedFd, OwnedFd)>,
    /// With a terminal: the fifo that its input comes from.
    pub terminal_input: Option<OwnedFd>,
    /// With a terminal: where what it says goes.
    pub terminal_output: Option<OwnedFd>,
    /// The program that takes output, a child of the shim.
    pub logger: Option<Child>,
}

/// Opens or makes everything.
///
/// # Errors
/// INVALID_ARGUMENT for names that are none; what can't be opened, with its name.
pub fn make(
    streams: &Streams,
    ids: (u32, u32),
    id: &str,
    namespace: &str,
) -> Result<Made, Failure> {
    let mut made = Made::default();
    let input = target(&streams.stdin)?;
    match (&input, streams.terminal) {
        (Target::Null, true) => {}
        (Target::Null, false) => made.stdio.stdin = Some(null()?),
        (Target::Fifo(path), terminal) => {
            let fifo = Reader::open(path).map_err(|error| open_failure(path, &error))?;
            if terminal {
                made.terminal_input = Some(fifo);
            } else {
                let (read, write) = pipe(ids)?;
                rustix::io::ioctl_fionbio(&write, true)
                    .map_err(|errno| Failure::io("make a pipe", &errno.into()))?;
                made.stdio.stdin = Some(read);
                made.input = Some((fifo, write));
            }
        }
        (Target::File(_) | Target::Logger(_), _) => {
            return Err(invalid(format!("stdin {:?} is no fifo", streams.stdin)));
        }
    }
    let output = target(&streams.stdout)?;
    let errors = if streams.terminal {
        Target::Null
    } else {
        target(&streams.stderr)?
    };
    if let Target::Logger(logger) = &output {
        start_logger(logger, streams.terminal, ids, (id, namespace), &mut made)?;
        return Ok(made);
    }
    if streams.terminal {
        made.terminal_output = Some(match &output {
            Target::Fifo(path) => {
                let (writer, end) =
                    Writer::open_for_relay(path).map_err(|error| open_failure(path, &error))?;
                made.kept.push(writer);
                end
            }
            Target::File(path) => file(path)?,
            _ => null()?,
        });
        return Ok(made);
    }
    made.stdio.stdout = Some(end(&output, ids, &mut made.kept)?);
    made.stdio.stderr = Some(match (&output, &errors) {
        // One open file: what is written by turns stays in turns.
        (Target::File(first), Target::File(second)) if first == second => {
            clone(made.stdio.stdout.as_ref())?
        }
        _ => end(&errors, ids, &mut made.kept)?,
    });
    Ok(made)
}

fn end(target: &Target, ids: (u32, u32), kept: &mut Vec<Writer>) -> Result<OwnedFd, Failure> {
    match target {
        Target::Null => null(),
        Target::File(path) => file(path),
        Target::Fifo(path) => {
            let (writer, end) = Writer::open(path).map_err(|error| open_failure(path, &error))?;
            own(&end, ids)?;
            kept.push(writer);
            Ok(end)
        }
        Target::Logger(_) => Err(invalid(
            "stderr has a logger that stdout has not".to_owned(),
        )),
    }
}

/// With fds 3 and 4 for the two streams and 5 to say that it is ready, which `exec_logger` puts in place.
fn start_logger(
    logger: &Logger,
    terminal: bool,
    ids: (u32, u32),
    (id, namespace): (&str, &str),
    made: &mut Made,
) -> Result<(), Failure> {
    let (out, out_end) = pipe(ids)?;
    let (err, err_end) = pipe(ids)?;
    let (ready, ready_end) = pipe((0, 0))?;
    let program =
        std::env::current_exe().map_err(|error| Failure::io("find this program", &error))?;
    let child = Command::new(program)
        .arg("logger")
        .arg(&logger.program)
        .args(&logger.arguments)
        .env("CONTAINER_ID", id)
        .env("CONTAINER_NAMESPACE", namespace)
        .stdin(ChildStdio::from(out))
        .stdout(ChildStdio::from(err))
        .stderr(ChildStdio::from(ready_end))
        .spawn()
        .map_err(|error| Failure::io("start the logger", &error))?;
    let mut child = child;
    let why = match wait_ready(ready) {
        None => Some(format!(
            "said nothing within {} s: it has to close its descriptor 5, or write to it, when it is ready",
            LOGGER_PATIENCE.as_secs()
        )),
        Some(said) => match said.strip_prefix(NOT_STARTED) {
            Some(why) => Some(String::from_utf8_lossy(why).into_owned()),
            None if said.is_empty() && logger.must_say => Some(
                "ended, or closed its descriptor 5, without the byte by which a logger of binary-v2 says that it is ready"
                    .to_owned(),
            ),
            None => None,
        },
    };
    if let Some(why) = why {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Failure::new(
            Code::Unknown,
            format!("the logger {}: {why}", logger.program.display()),
        ));
    }
    made.logger = Some(child);
    if terminal {
        rustix::io::ioctl_fionbio(&out_end, true)
            .map_err(|errno| Failure::io("make a pipe", &errno.into()))?;
        made.terminal_output = Some(out_end);
    } else {
        made.stdio.stdout = Some(out_end);
        made.stdio.stderr = Some(err_end);
    }
    Ok(())
}

/// What was said first; `None` when it took too long.
fn wait_ready(ready: OwnedFd) -> Option<Vec<u8>> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let limit = Timespec {
        tv_sec: LOGGER_PATIENCE.as_secs().cast_signed(),
        tv_nsec: 0,
    };
    let mut fds = [PollFd::new(&ready, PollFlags::IN)];
    match poll(&mut fds, Some(&limit)) {
        Ok(count) if count > 0 => {}
        _ => return None,
    }
    let mut said = vec![0; 512];
    let count = std::fs::File::from(ready).read(&mut said).ok()?;
    said.truncate(count);
    Some(said)
}

/// The hidden action `logger`: PROGRAM ARGUMENTS, with its pipes as fds 0 to 2, becomes that program with them as fds 3 to 5.
///
/// # Errors
/// Whatever keeps it from that; nobody sees it but by the pipe's end.
pub fn exec_logger(words: &[String]) -> Result<(), Failure> {
    use std::os::fd::{AsFd, AsRawFd};
    use std::os::unix::process::CommandExt;
    let [program, arguments @ ..] = words else {
        return Err(invalid("logger PROGRAM ARGUMENTS".to_owned()));
    };
    let fail = |errno: rustix::io::Errno| Failure::io("place the logger's pipes", &errno.into());
    let pipes = [
        rustix::io::dup(rustix::stdio::stdin()),
        rustix::io::dup(rustix::stdio::stdout()),
        rustix::io::dup(rustix::stdio::stderr()),
    ];
    let mut kept = Vec::new();
    for (pipe, number) in pipes.into_iter().zip(3..) {
        let pipe = pipe.map_err(fail)?;
        if pipe.as_raw_fd() != number {
            return Err(invalid(format!("fd {number} was open already")));
        }
        kept.push(pipe);
    }
    let ready = kept
        .last()
        .map(AsFd::as_fd)
        .ok_or_else(|| invalid("no pipe".to_owned()))?;
    let error = Command::new(program)
        .args(arguments)
        .stdin(ChildStdio::null())
        .stdout(ChildStdio::null())
        .stderr(ChildStdio::null())
        .exec();
    // The one who waits for it hears by the third pipe.
    let _ = rustix::io::write(ready, &[NOT_STARTED, error.to_string().as_bytes()].concat());
    Err(Failure::io(program, &error))
}

fn target(name: &str) -> Result<Target, Failure> {
    if name.is_empty() {
        return Ok(Target::Null);
    }
    let Some((scheme, rest)) = name.split_once("://") else {
        return Ok(Target::Fifo(name.into()));
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = unescape(path);
    if !path.starts_with('/') {
        return Err(invalid(format!("{name:?}: the path is not absolute")));
    }
    match scheme {
        "fifo" => Ok(Target::Fifo(path.into())),
        "file" => Ok(Target::File(path.into())),
        "binary" | "binary-v2" => Ok(Target::Logger(Logger {
            program: path.into(),
            // `?KEY=VALUE`, `?FLAG`: each a word of the command line, then its value.
            arguments: query
                .split('&')
                .filter(|pair| !pair.is_empty())
                .flat_map(|pair| match pair.split_once('=') {
                    Some((key, value)) => vec![unescape(key), unescape(value)],
                    None => vec![unescape(pair)],
                })
                .filter(|word| !word.is_empty())
                .collect(),
            must_say: scheme == "binary-v2",
        })),
        _ => Err(invalid(format!(
            "{name:?}: known are fifo, file, binary and binary-v2"
        ))),
    }
}

/// `%41` is `A`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let code = (*first == b'%')
            .then(|| more.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn file(path: &Path) -> Result<OwnedFd, Failure> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|error| Failure::io(format!("make {}", parent.display()), &error))?;
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o644))
        .map_err(|errno| open_failure(path, &errno.into()))
}

fn null() -> Result<OwnedFd, Failure> {
    let path = Path::new("/dev/null");
    rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| open_failure(path, &errno.into()))
}

fn pipe(ids: (u32, u32)) -> Result<(OwnedFd, OwnedFd), Failure> {
    let (read, write) =
        pipe_with(PipeFlags::CLOEXEC).map_err(|errno| Failure::io("make a pipe", &errno.into()))?;
    own(&read, ids)?;
    own(&write, ids)?;
    Ok((read, write))
}

/// So that the container may open /dev/stdout again.
fn own(fd: &OwnedFd, (uid, gid): (u32, u32)) -> Result<(), Failure> {
    if uid == 0 && gid == 0 {
        return Ok(());
    }
    let ids = (
        rustix::fs::Uid::from_raw(uid),
        rustix::fs::Gid::from_raw(gid),
    );
    rustix::fs::fchown(fd, Some(ids.0), Some(ids.1))
        .map_err(|errno| Failure::io("give a stream to the container's user", &errno.into()))
}

fn clone(fd: Option<&OwnedFd>) -> Result<OwnedFd, Failure> {
    match fd {
        Some(fd) => fd
            .try_clone()
            .map_err(|error| Failure::io("duplicate a stream", &error)),
        None => null(),
    }
}

fn open_failure(path: &Path, error: &std::io::Error) -> Failure {
    Failure::io(format!("open {}", path.display()), error)
}

fn invalid(why: String) -> Failure {
    Failure::new(Code::InvalidArgument, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_somewhere() {
        let logger = |must_say: bool| {
            Target::Logger(Logger {
                program: "/bin/log me".into(),
                arguments: ["id", "c 1", "fast"].map(str::to_owned).into(),
                must_say,
            })
        };
        for (name, expected) in [
            ("", Target::Null),
            ("/run/x/stdout", Target::Fifo("/run/x/stdout".into())),
            ("fifo:///run/x", Target::Fifo("/run/x".into())),
            ("file:///var/log/a%20b", Target::File("/var/log/a b".into())),
            ("binary:///bin/log%20me?id=c%201&fast", logger(false)),
            ("binary-v2:///bin/log%20me?id=c%201&fast", logger(true)),
        ] {
            assert_eq!(target(name).unwrap(), expected, "{name}");
        }
        for name in ["http:///x", "file://relative", "streaming+unix:///x"] {
            assert_eq!(target(name).unwrap_err().code, Code::InvalidArgument);
        }
    }

    #[test]
    fn half_an_escape_is_itself() {
        assert_eq!(unescape("a%4"), "a%4");
        assert_eq!(unescape("%zz%41"), "%zzA");
    }
}
