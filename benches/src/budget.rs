//! How long a section may take: when its time is over it ends with the round that it is in.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Fewer rounds than this are not worth a table.
const LEAST: usize = 3;

/// A section's time.
pub struct Budget {
    begin: Instant,
    limit: Duration,
    cut: Cell<bool>,
}

impl Budget {
    /// It begins now.
    pub fn new(seconds: u64) -> Budget {
        Budget {
            begin: Instant::now(),
            limit: Duration::from_secs(seconds),
            cut: Cell::new(false),
        }
    }

    /// Whether the round of this number, counted from 1, should not begin.
    pub fn is_over(&self, round: usize) -> bool {
        let over = round > LEAST && self.begin.elapsed() > self.limit;
        self.cut.set(self.cut.get() || over);
        over
    }

    /// Seconds so far.
    pub fn spent(&self) -> u64 {
        self.begin.elapsed().as_secs()
    }

    /// What to say of a section that had too little time.
    pub fn remark(&self) -> &'static str {
        if self.cut.get() {
            ": its time was over, so it has fewer rounds"
        } else {
            ""
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_rounds_are_never_cut() {
        let none = Budget::new(0);
        std::thread::sleep(Duration::from_millis(2));
        assert!(!none.is_over(LEAST));
        assert_eq!(none.remark(), "");
        assert!(none.is_over(LEAST + 1));
        assert_ne!(none.remark(), "");
        assert!(!Budget::new(100).is_over(50));
    }
}
