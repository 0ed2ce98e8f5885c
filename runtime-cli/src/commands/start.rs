//! `start`: lets a created container go; waits for its readiness where a service manager asked for it.
use super::Context;
use crate::args::Matches;
use crate::error::Failure;
use crate::notify::NotifyProxy;
use rustix::event::{PollFd, PollFlags, poll};
use std::path::Path;
use tare_runtime::Container;

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    // The caller's other fds are none of a hook's business.
    tare_runtime::close_on_exec_from(3)?;
    let mut container = context.container(matches)?;
    let proxy = proxy(&container)?;
    container.start()?;
    if let Some(proxy) = proxy {
        wait_ready(&container, &proxy)?;
    }
    Ok(0)
}

/// The container's notify socket, bound, where `create` was given the host's.
pub fn proxy(container: &Container) -> Result<Option<NotifyProxy>, Failure> {
    let host = &container.record().tare.notify_socket;
    container
        .notify_socket()
        .map(|inside| NotifyProxy::bind(&inside, Path::new(host)))
        .transpose()
}

/// Until it is ready or has ended.
pub fn wait_ready(container: &Container, proxy: &NotifyProxy) -> Result<(), Failure> {
    let pid = container.record().init_process_pid;
    let Ok(pidfd) = container.pidfd() else {
        return Ok(());
    };
    loop {
        let mut fds = [
            PollFd::new(proxy, PollFlags::IN),
            PollFd::new(&pidfd, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(Failure::system("poll", errno)),
        }
        let ended = !fds[1].revents().is_empty();
        if proxy.forward(pid)? || ended {
            return Ok(());
        }
    }
}
