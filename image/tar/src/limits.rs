//! Bounds of what an archive may make its reader keep.

/// What a reader takes at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one extended header or long name.
    pub extension: u64,
    /// Segments of one sparse file.
    pub segments: usize,
}

impl Default for Limits {
    /// 1 MiB, as Go's reader has it, and 256 Ki segments.
    fn default() -> Self {
        Self {
            extension: 1 << 20,
            segments: 1 << 18,
        }
    }
}
