//! A sheet of SVG: shapes, text, scales and their ticks. Knows nothing of what it shows.

use std::fmt::Write as _;

/// Colours that people with any colour vision tell apart (Okabe and Ito's), in the order of subjects.
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555",
];

/// The colour of the subject with this number.
pub fn colour(number: usize) -> &'static str {
    COLOURS[number % COLOURS.len()]
}

/// Which end of a text its point is.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// The text begins there.
    Start,
    /// It is centred.
    Middle,
    /// It ends there.
    End,
}

/// What is drawn on.
pub struct Sheet {
    width: f64,
    height: f64,
    body: String,
}

impl Sheet {
    /// An empty sheet, in pixels.
    pub fn new(width: f64, height: f64) -> Sheet {
        Sheet {
            width,
            height,
            body: String::new(),
        }
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let _ = writeln!(
            self.body,
            r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}" stroke-width="{width}"/>"#,
            from.0, from.1, to.0, to.1
        );
    }

    /// A filled dot; `opacity` 1 is solid.
    pub fn dot(&mut self, at: (f64, f64), radius: f64, colour: &str, opacity: f64) {
        let _ = writeln!(
            self.body,
            r#"<circle cx="{:.1}" cy="{:.1}" r="{radius}" fill="{colour}" fill-opacity="{opacity}"/>"#,
            at.0, at.1
        );
    }

    /// One line of text of a size in pixels.
    pub fn text(&mut self, at: (f64, f64), size: f64, anchor: Anchor, words: &str) {
        self.put_text(at, size, anchor, words, "");
    }

    /// The same, running upwards, around its middle.
    pub fn text_up(&mut self, at: (f64, f64), size: f64, words: &str) {
        let turn = format!(r#" transform="rotate(-90 {:.1} {:.1})""#, at.0, at.1);
        self.put_text(at, size, Anchor::Middle, words, &turn);
    }

    fn put_text(&mut self, at: (f64, f64), size: f64, anchor: Anchor, words: &str, more: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.body,
            r##"<text x="{:.1}" y="{:.1}" font-size="{size}" text-anchor="{anchor}" fill="#222222"{more}>{}</text>"##,
            at.0,
            at.1,
            escape(words)
        );
    }

    /// The whole file.
    pub fn finish(self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0}\" height=\"{1:.0}\" viewBox=\"0 0 {0:.0} {1:.0}\" \
             font-family=\"DejaVu Sans, Verdana, sans-serif\">\n<rect width=\"{0:.0}\" height=\"{1:.0}\" fill=\"#ffffff\"/>\n{2}</svg>\n",
            self.width, self.height, self.body
        )
    }
}

/// About how wide a text is.
pub fn width_of(words: &str, size: f64) -> f64 {
    words.chars().count() as f64 * size * 0.62
}

/// Maps values to pixels.
#[derive(Clone, Copy)]
pub struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    logarithmic: bool,
}

impl Scale {
    /// A logarithmic scale that holds all values, which are above 0, with a little room at both ends.
    pub fn logarithmic(values: &[f64], from: f64, to: f64) -> Scale {
        let (low, high) = ends(values, 1.0, 10.0);
        Scale {
            low: low / 1.12,
            high: high * 1.12,
            from,
            to,
            logarithmic: true,
        }
    }

    /// A scale from 0 to a little above the largest value.
    pub fn linear(values: &[f64], from: f64, to: f64) -> Scale {
        let (_, high) = ends(values, 0.0, 1.0);
        Scale {
            low: 0.0,
            high: high * 1.06,
            from,
            to,
            logarithmic: false,
        }
    }

    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        let place = |value: f64| {
            if self.logarithmic {
                value.max(1e-9).ln()
            } else {
                value
            }
        };
        let share = (place(value) - place(self.low)) / (place(self.high) - place(self.low));
        self.from + share * (self.to - self.from)
    }

    /// Round values to label: 1, 2, 5 of each power of ten, fewer when there would be too many.
    pub fn ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            let raw = self.high / 4.0;
            let power = 10f64.powf(raw.log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0]
                .map(|factor| factor * power)
                .into_iter()
                .find(|step| *step >= raw)
                .unwrap_or(raw);
            let count = (self.high / step).floor() as usize;
            return (0..=count).map(|index| index as f64 * step).collect();
        }
        let (first, last) = (
            self.low.log10().floor() as i32,
            self.high.log10().ceil() as i32,
        );
        let of = |factors: &[f64]| -> Vec<f64> {
            (first..=last)
                .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
                .filter(|tick| *tick >= self.low && *tick <= self.high)
                .collect()
        };
        let fine = of(&[1.0, 2.0, 5.0]);
        if fine.len() > 8 { of(&[1.0]) } else { fine }
    }
}

/// A tick's label without needless digits.
pub fn label(value: f64) -> String {
    let rounded = (value * 1e4).round() / 1e4;
    format!("{rounded}")
}

fn ends(values: &[f64], low: f64, high: f64) -> (f64, f64) {
    let finite: Vec<f64> = values
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    let lowest = finite.iter().copied().reduce(f64::min).unwrap_or(low);
    let highest = finite.iter().copied().reduce(f64::max).unwrap_or(high);
    (lowest, highest)
}

fn escape(words: &str) -> String {
    words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_keeps_its_values_inside_and_its_ticks_round() {
        let logarithmic = Scale::logarithmic(&[1.3, 40.0], 100.0, 500.0);
        assert!(logarithmic.at(1.3) > 100.0 && logarithmic.at(40.0) < 500.0);
        assert_eq!(logarithmic.ticks(), [2.0, 5.0, 10.0, 20.0]);
        let wide = Scale::logarithmic(&[0.001, 5000.0], 0.0, 1.0);
        assert!(wide.ticks().len() <= 8, "{:?}", wide.ticks());
        let linear = Scale::linear(&[3.0, 37.0], 300.0, 0.0);
        assert_eq!(linear.at(0.0), 300.0);
        assert_eq!(linear.ticks(), [0.0, 10.0, 20.0, 30.0]);
    }

    #[test]
    fn text_is_escaped() {
        let mut sheet = Sheet::new(10.0, 10.0);
        sheet.text((1.0, 1.0), 11.0, Anchor::Start, "a < b & c");
        assert!(sheet.finish().contains(">a &lt; b &amp; c</text>"));
    }
}
