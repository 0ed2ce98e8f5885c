//! `run`: create, start, stay until the end, delete. With `--detach` the first two only.
use super::{Context, create, id, start};
use crate::args::Matches;
use crate::error::Failure;
use crate::notify::NotifyProxy;
use std::os::fd::AsFd;
use tare_runtime::{Console, Container, CreateOptions, SignalReceiver};
use tare_supervisor::{Foreground, Notify};

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    context.resolved.keep_root();
    let mut options = create::options(matches)?;
    let detach = matches.has("detach");
    if detach {
        let (container, proxy) = make(context, matches, options)?;
        context.warn(container.warnings());
        if let Some(proxy) = proxy {
            start::wait_ready(&container, &proxy)?;
        }
        return Ok(0);
    }
    if options.console == Console::None {
        options.console = Console::Keep;
    }
    // Before the container is there, so that no signal is lost between the two.
    let signals = SignalReceiver::new()?;
    let reap = !matches.has("no-subreaper");
    if reap {
        let own = rustix::process::getpid();
        rustix::process::set_child_subreaper(Some(own))
            .map_err(|errno| Failure::system("become the subreaper", errno))?;
    }
    let (mut container, proxy) = make(context, matches, options)?;
    context.warn(container.warnings());
    let status = attend(&mut container, &signals, proxy.as_ref(), reap);
    if !matches.has("keep") || status.is_err() {
        // Whatever went wrong while it ran, it does not run on unattended.
        let warnings = container.delete(true)?;
        warnings
            .iter()
            .for_each(|warning| context.log.warning(&warning.report()));
    }
    status
}

/// Creates and starts it; a container that couldn't be started is gone afterwards.
fn make(
    context: &Context<'_>,
    matches: &Matches,
    options: CreateOptions,
) -> Result<(Container, Option<NotifyProxy>), Failure> {
    let (id, bundle) = (id(matches), create::bundle(matches));
    let failure = |error| create::failure(context.program, error);
    if options.notify_socket.is_none() {
        return Ok((
            context.runtime.run(id, &bundle, options).map_err(failure)?,
            None,
        ));
    }
    // The socket that its readiness arrives at must be there before the program is.
    let mut container = context
        .runtime
        .create(id, &bundle, options)
        .map_err(failure)?;
    let started = start::proxy(&container).and_then(|proxy| {
        container.start().map_err(failure)?;
        Ok(proxy)
    });
    match started {
        Ok(proxy) => Ok((container, proxy)),
        Err(failure) => {
            // The first failure is the one to tell.
            drop(container.delete(true));
            Err(failure)
        }
    }
}

fn attend(
    container: &mut Container,
    signals: &SignalReceiver,
    notify: Option<&NotifyProxy>,
    reap: bool,
) -> Result<u8, Failure> {
    let console = container.console();
    let container = &*container;
    let forward = notify.map(|proxy| (proxy, |pid| proxy.forward(pid)));
    let foreground: Foreground<Failure> = Foreground {
        signals,
        pidfd: container.pidfd()?,
        pid: container.record().init_process_pid,
        wait: &|| container.wait(),
        kill: &|signal| container.kill(signal, false),
        console,
        input: true,
        notify: forward.as_ref().map(|(proxy, forward)| Notify {
            fd: proxy.as_fd(),
            forward,
        }),
        reap,
    };
    Ok(u8::try_from(foreground.attend()?.code()).unwrap_or(255))
}
