//! The frames on the control socket, which is SOCK_SEQPACKET: one frame a message, native-endian words.
//!
//! Child to host: `[kind, a, b, c]`, 16 bytes, perhaps with an fd. Host to child: one word, the barrier's number.

/// Bytes of a frame.
pub const FRAME: usize = 16;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// The child is at a barrier.
    Barrier {
        /// Number of the barrier.
        id: u32,
    },
    /// The child gave up.
    Failure {
        /// Index of the op.
        step: u32,
        /// errno.
        errno: u32,
        /// For a hook: its wait status plus 1; for the executable: 1 + index of the candidate; else 0.
        detail: u32,
    },
    /// The hop has made the final process.
    Forked {
        /// Its pid in the hop's pid namespace, which is the host's.
        pid: u32,
    },
}

impl Frame {
    /// As bytes.
    pub fn to_bytes(self) -> [u8; FRAME] {
        let words = match self {
            Frame::Barrier { id } => [1, id, 0, 0],
            Frame::Failure {
                step,
                errno,
                detail,
            } => [2, step, errno, detail],
            Frame::Forked { pid } => [3, pid, 0, 0],
        };
        let mut bytes = [0; FRAME];
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&u32::to_ne_bytes(word));
        }
        bytes
    }
    /// From bytes; `None` for what no child sends.
    pub fn from_bytes(bytes: &[u8]) -> Option<Frame> {
        let mut words = bytes
            .chunks_exact(4)
            .map(|c| u32::from_ne_bytes(<[u8; 4]>::try_from(c).unwrap_or_default()));
        let (kind, a, b, c) = (words.next()?, words.next()?, words.next()?, words.next()?);
        match (kind, bytes.len()) {
            (1, FRAME) => Some(Frame::Barrier { id: a }),
            (2, FRAME) => Some(Frame::Failure {
                step: a,
                errno: b,
                detail: c,
            }),
            (3, FRAME) => Some(Frame::Forked { pid: a }),
            _ => None,
        }
    }
}
