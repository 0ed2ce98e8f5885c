//! `start`: the server's socket is bound here and handed over, so that it is there before anybody is told of it.
use crate::arguments::Arguments;
use crate::bootstrap::{self, Dialect, Request};
use crate::failure::{Code, Failure};
use crate::options::{self, Found, Options, Sharing};
use crate::record;
use rustix::fs::{FlockOperation, Mode};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The group of all containers, where they share one server.
const NODE: &str = "all of the node";
/// containerd sends no more on standard input.
const MOST_INPUT: u64 = 10 << 20;
/// Leaves a server behind, or finds the one of the group, and prints its address; the bundle is the working directory.
///
/// # Errors
/// For standard error, with nothing left behind.
pub fn start(arguments: &Arguments) -> Result<(), Failure> {
    let mut input = Vec::new();
    std::io::stdin()
        .take(MOST_INPUT)
        .read_to_end(&mut input)
        .map_err(|error| Failure::io("read standard input", &error))?;
    let request = bootstrap::request(&input, arguments);
    let config = match std::fs::read("config.json") {
        Ok(config) => config,
        // The bundle of a sandbox, which is no container.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => b"{}".into(),
        Err(error) => return Err(Failure::io("read the bundle's config.json", &error)),
    };
    let options = given(&request)?;
    let group = bootstrap::group(&config, &arguments.id)
        .map_err(|error| Failure::new(Code::InvalidArgument, format!("config.json: {error}")))?;
    // No container can name this group by its annotations: they have no empty part.
    let group = if options.sharing == Sharing::Node {
        NODE.to_owned()
    } else {
        group
    };
    let socket = bootstrap::socket(&request.sockets, arguments, &group);
    let address = format!("unix://{}", socket.display());
    let mut server = None;
    if let Some(listener) = bind(&request.sockets, &socket)? {
        let served = serve(arguments, &request, &options, &socket, listener);
        server = Some(served.inspect_err(|_| {
            let _ = std::fs::remove_file(&socket);
        })?);
    }
    tell(&request, &address).inspect_err(|_| {
        // Nobody would ever know of it.
        if let Some(server) = &mut server {
            let _ = server.kill();
            let _ = server.wait();
            let _ = std::fs::remove_file(&socket);
        }
    })
}

/// Where the server is, in the bundle and on standard output.
fn tell(request: &Request, address: &str) -> Result<(), Failure> {
    // containerd before 2.0 reads it when it comes back, and `delete` does.
    put("address", address.as_bytes())
        .map_err(|error| Failure::io("write the bundle's address", &error))?;
    if request.dialect == Dialect::Params {
        link(&request.sockets)
            .map_err(|error| Failure::io("link the bundle to its socket's directory", &error))?;
    }
    let mut out = std::io::stdout();
    out.write_all(&bootstrap::answer(request.dialect, address))
        .and_then(|()| out.flush())
        .map_err(|error| Failure::io("print the address", &error))
}

/// The link `s` in the bundle, by which containerd from 2.3 on finds sockets whose server is gone.
fn link(sockets: &Path) -> std::io::Result<()> {
    match std::fs::remove_file("s") {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::os::unix::fs::symlink(sockets, "s"),
    }
}

/// Puts a file in place by rename.
pub fn put(path: impl AsRef<Path>, bytes: &[u8]) -> std::io::Result<()> {
    let path = path.as_ref();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    std::fs::write(&temporary, bytes)
        .and_then(|()| std::fs::rename(&temporary, path))
        .inspect_err(|_| {
            let _ = std::fs::remove_file(&temporary);
        })
}

/// The options, from wherever they are.
pub fn given(request: &Request) -> Result<Options, Failure> {
    load(options::read(request.options.as_ref())?)
}

/// The options, read from their file where they are in one.
///
/// # Errors
/// INVALID_ARGUMENT.
pub fn load(found: Found) -> Result<Options, Failure> {
    match found {
        Found::Options(options) => Ok(*options),
        Found::File(path) => {
            let body = std::fs::read(&path).map_err(|error| {
                let why = format!("the runtime's options in {path}: {error}");
                Failure::new(Code::InvalidArgument, why)
            })?;
            options::parse(&body)
        }
    }
}

/// A listening socket, or `None` when a live server has it.
fn bind(sockets: &Path, socket: &Path) -> Result<Option<UnixListener>, Failure> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(sockets)
        .map_err(|error| Failure::io(format!("make {}", sockets.display()), &error))?;
    // Of two callers who find a dead socket one must not remove what the other has just bound.
    let lock = File::open(sockets)
        .map_err(|error| Failure::io(format!("open {}", sockets.display()), &error))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)
        .map_err(|errno| Failure::io(format!("lock {}", sockets.display()), &errno.into()))?;
    let fail = |error: std::io::Error| Failure::io(format!("bind {}", socket.display()), &error);
    let old = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = match UnixListener::bind(socket) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            match UnixStream::connect(socket) {
                Ok(_) => Ok(None),
                Err(_) => std::fs::remove_file(socket)
                    .and_then(|()| UnixListener::bind(socket))
                    .map(Some),
            }
        }
        bound => bound.map(Some),
    };
    rustix::process::umask(old);
    bound.map_err(fail)
}

/// Starts the server. It gets its socket as standard input, and the fifo `log` of the bundle as its standard error.
fn serve(
    arguments: &Arguments,
    request: &Request,
    options: &Options,
    socket: &Path,
    listener: UnixListener,
) -> Result<Child, Failure> {
    let fail = |what: &str, error: &std::io::Error| Failure::io(what, error);
    let program = std::env::current_exe().map_err(|error| fail("find this program", &error))?;
    let program = without_deleted(program);
    let mut command = Command::new(&program);
    command
        .arg("-namespace")
        .arg(&arguments.namespace)
        .arg("-id")
        .arg(&arguments.id)
        .arg("-address")
        .arg(&arguments.address)
        .arg("-socket")
        .arg(socket);
    if arguments.debug {
        command.arg("-debug");
    }
    // Its server is gone: the next one takes over what is left.
    if let (Some(_), Ok(bundle)) = (record::kept(Path::new(".")), std::env::current_dir()) {
        command.arg("-bundle").arg(bundle);
    }
    if !request.events.is_empty() {
        command.env("TTRPC_ADDRESS", &request.events);
    }
    command
        .arg("serve")
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        .stderr(log())
        // The bundle may be removed while the server serves another one.
        .current_dir("/")
        // A signal to containerd's group is not for its containers.
        .process_group(0);
    let child = command
        .spawn()
        .map_err(|error| fail("start the server", &error))?;
    place(child.id(), options);
    Ok(child)
}

/// The program may have been replaced since it was started.
fn without_deleted(program: PathBuf) -> PathBuf {
    match program
        .to_str()
        .and_then(|path| path.strip_suffix(" (deleted)"))
    {
        Some(path) => path.into(),
        None => program,
    }
}

/// containerd reads what the server has to say from a fifo in the bundle. Without one there is nobody to tell.
fn log() -> Stdio {
    use std::os::unix::fs::OpenOptionsExt;
    // For reading too, so that the open waits for nobody and a reader that goes away breaks nothing.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open("log")
        .map_or_else(|_| Stdio::null(), Stdio::from)
}

/// Where the kernel is to look for memory first, and where the server's own is counted. Neither is worth a container that does
/// not start.
fn place(pid: u32, options: &Options) {
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    if let Ok(score) = own.trim().parse::<i32>() {
        let _ = std::fs::write(
            format!("/proc/{pid}/oom_score_adj"),
            (score + 1).min(1000).to_string(),
        );
    }
    if !options.runc.shim_cgroup.is_empty() {
        let inside = options.runc.shim_cgroup.trim_start_matches('/');
        let root = Path::new("/sys/fs/cgroup");
        let mut homes: Vec<OsString> = vec![root.join(inside).into()];
        for hierarchy in std::fs::read_dir(root).into_iter().flatten().flatten() {
            homes.push(hierarchy.path().join(inside).into());
        }
        for home in homes {
            let _ = std::fs::write(Path::new(&home).join("cgroup.procs"), pid.to_string());
        }
    }
}
