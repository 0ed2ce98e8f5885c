//! Order statistics, straight lines, and how far a figure made of them can be trusted.

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The figure, of all rounds.
    pub value: f64,
    /// The 2.5th percentile of the figures of resampled rounds.
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

/// The median with its interval.
pub fn middle(samples: &[f64]) -> Estimate {
    bootstrap(samples.len(), |drawn| {
        let values: Vec<f64> = drawn.iter().map(|&round| samples[round]).collect();
        median(&values)
    })
}

/// The median of `left / right`, round by round: what shook both in a round is not taken for a difference.
pub fn paired_ratio(left: &[f64], right: &[f64]) -> Estimate {
    let ratios: Vec<f64> = left.iter().zip(right).map(|(a, b)| a / b).collect();
    middle(&ratios)
}

/// The median of the one by the median of the other, for samples of different rounds.
pub fn ratio_of_medians(left: &[f64], right: &[f64]) -> Estimate {
    bootstrap(left.len().min(right.len()), |drawn| {
        let of = |samples: &[f64]| {
            let values: Vec<f64> = drawn.iter().map(|&round| samples[round]).collect();
            median(&values)
        };
        of(left) / of(right)
    })
}

/// The slope of the straight line of least squares through the medians of the samples at each x.
pub fn slope(xs: &[f64], samples: &[Vec<f64>]) -> Estimate {
    let rounds = samples.iter().map(Vec::len).min().unwrap_or(0);
    bootstrap(rounds, |drawn| slope_of(xs, samples, drawn))
}

/// Slope minus slope, both of the same rounds. Not their ratio: a slope that cannot be told from 0 divides by nothing.
pub fn slope_difference(xs: &[f64], left: &[Vec<f64>], right: &[Vec<f64>]) -> Estimate {
    let rounds = left.iter().chain(right).map(Vec::len).min().unwrap_or(0);
    bootstrap(rounds, |drawn| {
        slope_of(xs, left, drawn) - slope_of(xs, right, drawn)
    })
}

/// The share of the variance of the medians that the straight line explains.
pub fn straightness(xs: &[f64], samples: &[Vec<f64>]) -> f64 {
    let ys: Vec<f64> = samples.iter().map(|values| median(values)).collect();
    let (x_mean, y_mean) = (mean(xs), mean(&ys));
    let slope = least_squares(xs, &ys);
    let square = |value: f64| value * value;
    let left: f64 = xs
        .iter()
        .zip(&ys)
        .map(|(x, y)| square(y - y_mean - slope * (x - x_mean)))
        .sum();
    1.0 - left / ys.iter().map(|y| square(y - y_mean)).sum::<f64>()
}

fn slope_of(xs: &[f64], samples: &[Vec<f64>], drawn: &[usize]) -> f64 {
    let medians: Vec<f64> = samples
        .iter()
        .map(|values| median(&drawn.iter().map(|&round| values[round]).collect::<Vec<_>>()))
        .collect();
    least_squares(xs, &medians)
}

fn least_squares(xs: &[f64], ys: &[f64]) -> f64 {
    let (x_mean, y_mean) = (mean(xs), mean(ys));
    let products = xs.iter().zip(ys).map(|(x, y)| (x - x_mean) * (y - y_mean));
    let squares = xs.iter().map(|x| (x - x_mean) * (x - x_mean));
    products.sum::<f64>() / squares.sum::<f64>()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The figure of all rounds, and the spread of the figures of rounds drawn again with replacement. The same samples always
/// give the same interval.
fn bootstrap(rounds: usize, figure: impl Fn(&[usize]) -> f64) -> Estimate {
    let all: Vec<usize> = (0..rounds).collect();
    let mut random = Random::new();
    let figures: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn: Vec<usize> = (0..rounds).map(|_| random.below(rounds)).collect();
            figure(&drawn)
        })
        .collect();
    Estimate {
        value: figure(&all),
        low: quantile(&figures, 0.025),
        high: quantile(&figures, 0.975),
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

    const NOISE: [f64; 10] = [0.9, 1.1, 1.0, 1.05, 0.95, 1.02, 0.98, 1.08, 0.92, 1.0];

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
        let double = NOISE.map(|value| value * 2.0 + 0.01);
        let ratio = paired_ratio(&double, &NOISE);
        assert!(ratio.low > 2.0 && ratio.high < 2.02, "{ratio:?}");
        let mut other = NOISE;
        other.reverse();
        let same = paired_ratio(&NOISE, &other);
        assert!(same.low <= 1.0 && same.high >= 1.0, "{same:?}");
        assert_eq!(
            same,
            paired_ratio(&NOISE, &other),
            "the same samples, the same interval"
        );
    }

    #[test]
    fn what_shakes_both_sides_of_a_round_is_no_difference() {
        let left = [1.0, 9.0, 1.0, 9.0, 1.0, 9.0];
        let right = left.map(|value| value * 0.5);
        let exact = Estimate {
            value: 2.0,
            low: 2.0,
            high: 2.0,
        };
        assert_eq!(paired_ratio(&left, &right), exact);
    }

    #[test]
    fn a_line_has_its_slope_and_its_interval_holds_it() {
        let xs = [1.0, 10.0, 100.0];
        let line = |per_item: f64| -> Vec<Vec<f64>> {
            xs.map(|x| {
                NOISE
                    .iter()
                    .map(|noise| 5.0 + per_item * x + noise)
                    .collect()
            })
            .into()
        };
        let found = slope(&xs, &line(0.3));
        assert!((found.value - 0.3).abs() < 1e-9, "{found:?}");
        assert!(found.low <= 0.3 && found.high >= 0.3, "{found:?}");
        let more = slope_difference(&xs, &line(0.6), &line(0.2));
        assert!((more.value - 0.4).abs() < 1e-9, "{more:?}");
    }

    #[test]
    fn a_curve_is_less_straight_than_a_line() {
        let xs = [1.0, 10.0, 100.0, 1000.0];
        let of = |f: fn(f64) -> f64| -> Vec<Vec<f64>> { xs.map(|x| vec![f(x)]).into() };
        assert!(straightness(&xs, &of(|x| 3.0 + 2.0 * x)) > 0.999_999);
        assert!(straightness(&xs, &of(|x| x.ln())) < 0.9);
    }
}
