//! Order statistics, and how far a ratio of medians can be trusted.

/// A ratio with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Median of the one by median of the other.
    pub value: f64,
    /// The 2.5th percentile of the resampled ratios.
    pub low: f64,
    /// The 97.5th.
    pub high: f64,
}

const RESAMPLES: usize = 2000;

/// The value below which a share of the samples lies, interpolated; NaN of no samples.
pub fn quantile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = share * last as f64;
    let below = place.floor() as usize;
    let above = place.ceil() as usize;
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The median.
pub fn median(samples: &[f64]) -> f64 {
    quantile(samples, 0.5)
}

/// Median of `left` by median of `right`, where the two were measured in the same rounds: whole rounds are drawn again, so
/// what shook both in a round is not taken for a difference. The same samples always give the same interval.
pub fn paired_ratio(left: &[f64], right: &[f64]) -> Ratio {
    let rounds = left.len().min(right.len());
    let mut random = Random::new();
    let mut ratios = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let drawn: Vec<usize> = (0..rounds).map(|_| random.below(rounds)).collect();
        let of = |samples: &[f64]| {
            median(
                &drawn
                    .iter()
                    .map(|&round| samples[round])
                    .collect::<Vec<_>>(),
            )
        };
        ratios.push(of(left) / of(right));
    }
    Ratio {
        value: median(left) / median(right),
        low: quantile(&ratios, 0.025),
        high: quantile(&ratios, 0.975),
    }
}

/// Xorshift: good enough to draw rounds, and the same on every machine.
pub struct Random(u64);

impl Random {
    /// Always the same sequence.
    pub fn new() -> Random {
        Random(0x9E37_79B9_7F4A_7C15)
    }

    /// Fisher and Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_loses_nothing_and_moves_something() {
        let mut items: Vec<usize> = (0..10).collect();
        Random::new().shuffle(&mut items);
        assert_ne!(items, (0..10).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn quantiles_are_interpolated() {
        let samples = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(median(&samples), 2.5);
        assert_eq!(quantile(&samples, 0.0), 1.0);
        assert_eq!(quantile(&samples, 1.0), 4.0);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn a_clear_difference_has_a_tight_interval_and_none_straddles_one() {
        let noise = [0.9, 1.1, 1.0, 1.05, 0.95, 1.02, 0.98, 1.08, 0.92, 1.0];
        let double = noise.map(|value| value * 2.0);
        let ratio = paired_ratio(&double, &noise);
        assert_eq!(ratio.value, 2.0);
        assert!(ratio.low > 1.8 && ratio.high < 2.2, "{ratio:?}");
        let mut other = noise;
        other.reverse();
        let same = paired_ratio(&noise, &other);
        assert!(same.low <= 1.0 && same.high >= 1.0, "{same:?}");
        assert_eq!(
            same,
            paired_ratio(&noise, &other),
            "the same samples, the same interval"
        );
    }
}
