//! The caller's terminal while a container has it: raw mode, its size handed on, both put back however we end.
use rustix::fd::{AsFd, BorrowedFd};
use rustix::termios::{
    OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

/// The caller's terminal in raw mode; its former mode comes back when this is dropped.
pub struct RawTerminal {
    saved: Option<Termios>,
}

impl RawTerminal {
    /// Makes stdin raw if it is a terminal.
    pub fn enter() -> RawTerminal {
        let stdin = rustix::stdio::stdin();
        let saved = if isatty(stdin) {
            tcgetattr(stdin).ok()
        } else {
            None
        };
        if let Some(termios) = &saved {
            let mut raw = termios.clone();
            raw.make_raw();
            // Output of our own (a message at the end) shall still begin lines at the left.
            raw.output_modes |= rustix::termios::OutputModes::OPOST & termios.output_modes;
            let _ = tcsetattr(stdin, OptionalActions::Now, &raw);
        }
        RawTerminal { saved }
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if let Some(termios) = &self.saved {
            let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, termios);
        }
    }
}

/// Gives the container's terminal the size of ours.
pub fn hand_on_size(master: BorrowedFd<'_>) {
    if let Some(size) = own_size() {
        let _ = tcsetwinsize(master, size);
    }
}

fn own_size() -> Option<Winsize> {
    [
        rustix::stdio::stdin(),
        rustix::stdio::stdout(),
        rustix::stdio::stderr(),
    ]
    .iter()
    .find_map(|fd| tcgetwinsize(fd.as_fd()).ok())
}

/// Bytes on their way from one fd to another: what the other can't take yet waits here, and only then.
#[derive(Debug, Default)]
pub struct Channel {
    waiting: Vec<u8>,
    /// Nothing more comes.
    pub ended: bool,
}

impl Channel {
    /// Whether the source is to be read: not while the sink lags behind.
    pub fn wants_input(&self) -> bool {
        !self.ended && self.waiting.is_empty()
    }

    /// Whether bytes wait for the sink.
    pub fn wants_output(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Reads once. A terminal whose other side has closed gives EIO: the end.
    pub fn fill(&mut self, source: BorrowedFd<'_>) {
        let mut buffer = [0u8; 16 * 1024];
        match rustix::io::read(source, &mut buffer) {
            Ok(0) => self.ended = true,
            Ok(length) => self.waiting.extend_from_slice(&buffer[..length]),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => self.ended = true,
        }
    }

    /// Writes once.
    pub fn drain(&mut self, sink: BorrowedFd<'_>) {
        match rustix::io::write(sink, &self.waiting) {
            Ok(length) => drop(self.waiting.drain(..length)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => {
                // Nobody reads any more: what is left has no place to go.
                self.waiting.clear();
                self.ended = true;
            }
        }
    }
}
