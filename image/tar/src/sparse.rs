//! Maps of sparse files: the GNU header's four, its extension blocks, and the text before the content of pax version 1.0.

use crate::header::{parse_number, text};
use crate::pax::decimal;
use crate::{BLOCK, Segment};

/// Bytes of one segment in a GNU header: two numbers of twelve.
const PAIR: usize = 24;

/// The segments of a GNU header or extension block; an empty one ends the list. None: a number is none.
pub(crate) fn pairs(bytes: &[u8], into: &mut Vec<Segment>) -> Option<()> {
    for pair in bytes.chunks_exact(PAIR) {
        if text(pair).is_empty() {
            break;
        }
        let number = |field: &[u8]| u64::try_from(parse_number(field)?).ok();
        into.push(Segment {
            offset: number(&pair[..12])?,
            length: number(&pair[12..])?,
        });
    }
    Some(())
}

/// The map before the content (pax 1.0), which comes in whole blocks: the count, then offset and length of each, a line each.
#[derive(Default)]
pub(crate) struct MapText {
    number: Vec<u8>,
    count: Option<u64>,
    numbers: Vec<u64>,
}

impl MapText {
    /// Takes the next block; Some when the map is complete. `limit` bounds its segments.
    pub(crate) fn push(
        &mut self,
        block: &[u8; BLOCK],
        limit: usize,
    ) -> Result<Option<Vec<Segment>>, &'static str> {
        for byte in block {
            if *byte != b'\n' {
                if self.number.len() >= 20 {
                    return Err("a line that is no number");
                }
                self.number.push(*byte);
                continue;
            }
            let number = decimal(&self.number).ok_or("a line that is no number")?;
            self.number.clear();
            match self.count {
                None if number > limit as u64 => return Err("too many segments"),
                None => self.count = Some(number),
                Some(_) => self.numbers.push(number),
            }
            if self
                .count
                .is_some_and(|count| self.numbers.len() as u64 == 2 * count)
            {
                let pairs = self.numbers.chunks_exact(2);
                return Ok(Some(
                    pairs
                        .map(|pair| Segment {
                            offset: pair[0],
                            length: pair[1],
                        })
                        .collect(),
                ));
            }
        }
        Ok(None)
    }
}

/// Whether segments ascend without overlaps inside a file of a size, and have as many bytes as are stored; empty ones are dropped.
pub(crate) fn valid(
    segments: Vec<Segment>,
    size: u64,
    stored: u64,
) -> Result<Vec<Segment>, &'static str> {
    let (mut end, mut sum) = (0u64, 0u64);
    for segment in &segments {
        if segment.offset < end {
            return Err("segments overlap or descend");
        }
        end = segment
            .offset
            .checked_add(segment.length)
            .ok_or("a segment beyond 64 bits")?;
        sum += segment.length;
    }
    if end > size {
        return Err("a segment beyond the end of the file");
    }
    if sum != stored {
        return Err("the archive has more or less content than the map says");
    }
    Ok(segments
        .into_iter()
        .filter(|segment| segment.length > 0)
        .collect())
}
