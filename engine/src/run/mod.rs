//! `tare run`: a program from an image, in the foreground; of its container only the changes are left, and with `--rm` nothing.

mod ids;
pub mod place;
pub mod root;
mod spec;
mod user;

use crate::cli::Run;
use crate::commands::{images, pull};
use crate::containers::Record;
use crate::failure::{Failure, USAGE};
use crate::place::Place;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::SystemTime;
use tare_image::store::{Name, Ref, Store};
use tare_image::{Platform, Reference};
use tare_runtime::{
    Console, Container, CreateOptions, Error, ErrorKind, ProgramError, Runtime, SignalReceiver,
    Stdio,
};
use tare_supervisor::Foreground;

/// The program could not be started, and was not found (docker run, "Exit status").
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Runs a program and gives its exit status.
pub fn run(place: &Place, words: &Run) -> Result<u8, Failure> {
    prepare(place, words)
        .map_err(|failure| failure.with_status(USAGE))
        .and_then(|ready| ready.run())
}

struct Ready {
    /// First, so that what is in it goes last.
    ground: place::Ground,
    runtime: Runtime,
    interactive: bool,
    terminal: bool,
}

fn prepare(place: &Place, words: &Run) -> Result<Ready, Failure> {
    let store = place.store()?;
    let to = image(&store, words)?;
    let image = images::Image::load(&store, &to)?;
    let wanted = spec::wanted(&image.config.config, words)?;
    if words.tty && !rustix::termios::isatty(std::io::stdin()) {
        return Err(Failure::new("the input device is not a TTY"));
    }
    let runtime = place.runtime();
    place::sweep(place, &runtime);
    let record = Record {
        id: place::id()?,
        name: words.name.clone(),
        image: words.image.clone(),
        base: to,
        layers: image.config.rootfs.diff_ids.clone(),
        config: spec::config(&image.config.config, words)?,
        created: tare_runtime::rfc3339(SystemTime::now()),
        keep: !words.rm,
        copied: false,
        maps: ids::maps(words)?,
        finished: None,
    };
    let maps = record.maps.clone();
    let ground = place::Ground::make(place, &store, record, &wanted.directory)?;
    let user = user::find(&ground.root()?, &wanted.user)?;
    let config = spec::write(&wanted, &user, &ground, words, maps.as_ref())?;
    ground.put("config.json", &config)?;
    if let Some(path) = &words.cidfile {
        let written =
            File::create_new(path).and_then(|mut file| file.write_all(ground.id().as_bytes()));
        written.map_err(|error| Failure::new(format!("--cidfile {}: {error}", path.display())))?;
    }
    Ok(Ready {
        ground,
        runtime,
        interactive: words.interactive,
        terminal: words.tty,
    })
}

/// The image, pulled where it is not there.
fn image(store: &Store, words: &Run) -> Result<Ref, Failure> {
    let wanted: Option<Platform> = words.platform.as_deref().map(str::parse).transpose()?;
    if let Some((_, to)) = images::find(store, &words.image)?
        && wanted
            .as_ref()
            .is_none_or(|wanted| wanted.rank(&to.platform).is_some())
    {
        return Ok(to);
    }
    let reference: Reference = words.image.parse()?;
    eprintln!("Unable to find image '{}' locally", reference.familiar());
    let mut options = pull::options()?;
    if let Some(wanted) = wanted {
        options.platform = wanted;
    }
    pull::fetch(store, &reference, &options, words.quiet)?;
    let to = store.get_ref(&Name::Reference(reference))?;
    to.ok_or_else(|| Failure::new(format!("No such image: {}", words.image)))
}

impl Ready {
    fn run(mut self) -> Result<u8, Failure> {
        // Before the container is there, so that no signal is lost between the two.
        let signals = SignalReceiver::new().map_err(engine)?;
        let stdin = if self.interactive || self.terminal {
            None
        } else {
            Some(nothing()?)
        };
        let options = CreateOptions {
            stdio: Stdio {
                stdin,
                ..Stdio::default()
            },
            console: if self.terminal {
                Console::Keep
            } else {
                Console::None
            },
            ..CreateOptions::default()
        };
        let mut container = self
            .runtime
            .run(self.ground.id(), self.ground.bundle(), options)
            .map_err(started)?;
        self.ground.began();
        for warning in container.warnings() {
            eprintln!("tare: {warning}");
        }
        let status = attend(&mut container, &signals, self.interactive);
        // Whatever went wrong while it ran, it does not run on unattended.
        let warnings = container.delete(true).map_err(engine)?;
        for warning in warnings {
            eprintln!("tare: {}", warning.report());
        }
        self.ground.finish(status.as_ref().ok().copied())?;
        status
    }
}

fn attend(container: &mut Container, signals: &SignalReceiver, input: bool) -> Result<u8, Failure> {
    let console = container.console();
    let container = &*container;
    let foreground: Foreground<Failure> = Foreground {
        signals,
        pidfd: container.pidfd().map_err(engine)?,
        pid: container.record().init_process_pid,
        wait: &|| container.wait(),
        kill: &|signal| container.kill(signal, false),
        console,
        input,
        notify: None,
        reap: false,
    };
    Ok(u8::try_from(foreground.attend()?.code()).unwrap_or(u8::MAX))
}

fn engine(error: Error) -> Failure {
    Failure::new(error.report()).with_status(USAGE)
}

/// A container that did not start: whose fault it is decides the exit status.
fn started(error: Error) -> Failure {
    let status = match &error {
        Error::Program {
            why:
                ProgramError::NotInPath | ProgramError::Absent(_) | ProgramError::InterpreterAbsent(_),
            ..
        } => NOT_FOUND,
        error if error.kind() == ErrorKind::Program => CANNOT_RUN,
        _ => USAGE,
    };
    let hint = error
        .hint()
        .map(|hint| format!(" ({hint})"))
        .unwrap_or_default();
    Failure::new(format!("{}{hint}", error.report())).with_status(status)
}

fn nothing() -> Result<OwnedFd, Failure> {
    let file = std::fs::File::open("/dev/null")
        .map_err(|error| Failure::new(format!("/dev/null: {error}")))?;
    Ok(file.into())
}
