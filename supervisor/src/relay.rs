//! Bytes on their way from one descriptor to another, by splice(2): none of them comes into our memory where the kernel can move
//! them itself, and what the reader does not take stays with the writer.
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What a relay waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// That its source has something.
    Source,
    /// That its target has room.
    Target,
    /// Nothing: the source ended and all of it has gone on, or the target is gone.
    Ended,
}

/// A one-way relay between two descriptors that don't block.
#[derive(Debug)]
pub struct Relay {
    from: OwnedFd,
    to: OwnedFd,
    /// What was read and not yet written, where splice can't do it.
    held: Option<Vec<u8>>,
    /// A source that is dry has ended.
    closing: bool,
}

/// What a pipe holds, and a step's share: other work comes between.
const STEP: usize = 64 << 10;

/// The buffer where there has to be one: no more is read before it is written.
const BUFFER: usize = 8 << 10;

impl Relay {
    /// Both must be non-blocking; one of them is a pipe, or each byte is copied.
    pub fn new(from: OwnedFd, to: OwnedFd) -> Relay {
        Relay {
            from,
            to,
            held: None,
            closing: false,
        }
    }

    /// The source has ended once it is dry, whoever may still have it open for writing. What it holds goes on first.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// The source, to be polled.
    pub fn source(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    /// The target, to be polled.
    pub fn target(&self) -> BorrowedFd<'_> {
        self.to.as_fd()
    }

    /// Moves a step's share and tells what it waits for now.
    pub fn pump(&mut self) -> Progress {
        match self.step() {
            Ok(Progress::Source) if self.closing && !self.waits() => Progress::Ended,
            Ok(progress) => progress,
            // EIO is how a pseudo-terminal's master tells that nobody has the other side open.
            Err(_) => Progress::Ended,
        }
    }

    fn step(&mut self) -> io::Result<Progress> {
        if self.held.is_none() {
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            match splice(&self.from, None, &self.to, None, STEP, flags) {
                Ok(0) => return Ok(Progress::Ended),
                Ok(_) | Err(Errno::INTR) => return Ok(Progress::Source),
                // It doesn't say which of the two is not ready.
                Err(Errno::AGAIN) if self.waits() => return Ok(Progress::Target),
                Err(Errno::AGAIN) => return Ok(Progress::Source),
                // Neither is a pipe, or this kernel's terminals can't splice.
                Err(Errno::INVAL) => self.held = Some(Vec::new()),
                Err(errno) => return Err(errno.into()),
            }
        }
        self.copy()
    }

    /// Whether the source has something.
    fn waits(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut source = [PollFd::new(&self.from, PollFlags::IN)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let known = poll(&mut source, Some(&now));
        known.is_ok() && source[0].revents().intersects(PollFlags::IN)
    }

    fn copy(&mut self) -> io::Result<Progress> {
        let held = self.held.get_or_insert_default();
        if held.is_empty() {
            let mut bytes = [0; BUFFER];
            match rustix::io::read(&self.from, &mut bytes) {
                Ok(0) => return Ok(Progress::Ended),
                Ok(count) => held.extend_from_slice(&bytes[..count]),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(Progress::Source),
                Err(errno) => return Err(errno.into()),
            }
        }
        match rustix::io::write(&self.to, held) {
            Ok(count) => {
                held.drain(..count);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(if held.is_empty() {
            Progress::Source
        } else {
            Progress::Target
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    fn pipe() -> (OwnedFd, OwnedFd) {
        pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap()
    }

    fn socket() -> (OwnedFd, OwnedFd) {
        let (a, b) = UnixStream::pair().unwrap();
        a.set_nonblocking(true).unwrap();
        b.set_nonblocking(true).unwrap();
        (a.into(), b.into())
    }

    /// Through a relay of this kind: a source that is dry, a target that is full, and the end of the source.
    fn flows(source: (OwnedFd, OwnedFd), target: (OwnedFd, OwnedFd)) {
        let (from, into) = (source.0, source.1);
        let (out, to) = (target.0, target.1);
        let mut relay = Relay::new(from, to);
        assert_eq!(relay.pump(), Progress::Source);
        let (mut into, mut out) = (File::from(into), File::from(out));
        let mut sent = 0usize;
        let chunk = [7u8; 4096];
        while relay.pump() != Progress::Target {
            sent += into.write(&chunk).unwrap_or(0);
            assert!(sent < 64 << 20, "nothing holds it back");
        }
        drop(into);
        let mut got = 0;
        let mut bytes = vec![0; 64 << 10];
        loop {
            let ended = relay.pump() == Progress::Ended;
            loop {
                match out.read(&mut bytes) {
                    Ok(count) if count > 0 => got += count,
                    _ => break,
                }
            }
            if ended {
                break;
            }
        }
        assert_eq!(got, sent);
    }

    #[test]
    fn by_splice_between_pipes() {
        flows(pipe(), pipe());
    }

    #[test]
    fn by_splice_from_a_socket() {
        flows(socket(), pipe());
    }

    #[test]
    fn by_copying_where_neither_is_a_pipe() {
        flows(socket(), socket());
    }

    /// The reader of a full pipe gets what was written before the end was asked for, and then an end, though a writer is there.
    fn closes(source: (OwnedFd, OwnedFd)) {
        let (from, into) = source;
        let (out, to) = pipe();
        let mut relay = Relay::new(from, to);
        let (mut into, mut out) = (File::from(into), File::from(out));
        let mut sent = 0;
        while relay.pump() != Progress::Target {
            sent += into.write(&[7; 4096]).unwrap_or(0);
        }
        while let Ok(count) = into.write(&[8; 4096]) {
            sent += count;
        }
        relay.close();
        assert_eq!(relay.pump(), Progress::Target);
        let (mut got, mut bytes) = (0, vec![0; 4096]);
        while relay.pump() != Progress::Ended {
            while let Ok(count) = out.read(&mut bytes) {
                got += count;
            }
        }
        drop(relay);
        got += out.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(got, sent);
        drop(into);
    }

    #[test]
    fn a_closed_one_delivers_what_it_holds() {
        closes(pipe());
        closes(socket());
    }

    #[test]
    fn a_closed_one_that_is_dry_ends() {
        let (from, _into) = pipe();
        let mut relay = Relay::new(from, pipe().1);
        assert_eq!(relay.pump(), Progress::Source);
        relay.close();
        assert_eq!(relay.pump(), Progress::Ended);
    }

    #[test]
    fn a_target_that_is_gone_ends_it() {
        let (from, into) = pipe();
        let (out, to) = pipe();
        let mut relay = Relay::new(from, to);
        drop(out);
        File::from(into).write_all(b"x").unwrap();
        assert_eq!(relay.pump(), Progress::Ended);
    }
}
