//! The plot of growth: one panel a thing that grows, in it one curve a subject, with the interval of each point.

use crate::statistics::Estimate;
use crate::svg::{Anchor, Scale, Sheet, colour, label, width_of};

/// One panel.
pub struct Panel {
    /// What grows.
    pub title: String,
    /// What the horizontal axis counts.
    pub horizontal: String,
    /// Subjects with their points.
    pub curves: Vec<(String, Vec<(f64, Estimate)>)>,
}

const COLUMNS: usize = 3;
const PANEL: (f64, f64) = (330.0, 270.0);
const LONE_PANEL: (f64, f64) = (640.0, 320.0);
const HEAD: f64 = 66.0;
const MARGIN: (f64, f64) = (62.0, 24.0); // left and right of the axes
const EDGE: (f64, f64) = (30.0, 50.0); // above and below them
const ASIDE: f64 = 3.0; // from one subject's points to the next one's, so that intervals don't hide each other

/// The whole file. A subject has the same colour in each panel; the legend is above them.
pub fn draw(title: &str, vertical: &str, panels: &[Panel]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in panels.iter().flat_map(|panel| &panel.curves) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let columns = COLUMNS.min(panels.len().max(1));
    let rows = panels.len().div_ceil(COLUMNS);
    let size = if columns == 1 { LONE_PANEL } else { PANEL };
    let legend: f64 = names.iter().map(|name| legend_width(name)).sum();
    let width = (size.0 * columns as f64)
        .max(width_of(title, 15.0) + 32.0)
        .max(legend + 32.0);
    let mut sheet = Sheet::new(width, HEAD + size.1 * rows as f64);
    sheet.text((16.0, 28.0), 15.0, Anchor::Start, title);
    let mut left = 16.0;
    for (number, name) in names.iter().enumerate() {
        sheet.line((left, 48.0), (left + 22.0, 48.0), colour(number), 2.5);
        sheet.dot((left + 11.0, 48.0), 3.5, colour(number), 1.0);
        sheet.text((left + 28.0, 52.0), 11.0, Anchor::Start, name);
        left += legend_width(name);
    }
    for (index, panel) in panels.iter().enumerate() {
        let corner = (
            (index % COLUMNS) as f64 * size.0,
            HEAD + (index / COLUMNS) as f64 * size.1,
        );
        one(&mut sheet, (corner, size), vertical, panel, &names);
    }
    sheet.finish()
}

fn legend_width(name: &str) -> f64 {
    28.0 + width_of(name, 11.0) + 18.0
}

fn one(
    sheet: &mut Sheet,
    (corner, size): ((f64, f64), (f64, f64)),
    vertical: &str,
    panel: &Panel,
    names: &[&str],
) {
    let (left, right) = (corner.0 + MARGIN.0, corner.0 + size.0 - MARGIN.1);
    let (top, bottom) = (corner.1 + EDGE.0, corner.1 + size.1 - EDGE.1);
    let points: Vec<&(f64, Estimate)> =
        panel.curves.iter().flat_map(|(_, points)| points).collect();
    let mut places: Vec<f64> = points.iter().map(|(x, _)| *x).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let across = Scale::logarithmic(&places, left, right);
    let heights: Vec<f64> = points.iter().flat_map(|(_, y)| [y.value, y.high]).collect();
    let up = Scale::linear(&heights, bottom, top);

    sheet.text((left, corner.1 + 18.0), 13.0, Anchor::Start, &panel.title);
    for tick in up.ticks() {
        let y = up.at(tick);
        sheet.line((left, y), (right, y), "#dddddd", 1.0);
        sheet.text((left - 6.0, y + 3.5), 10.0, Anchor::End, &label(tick));
    }
    for place in &places {
        let x = across.at(*place);
        sheet.line((x, bottom), (x, bottom + 4.0), "#888888", 1.0);
        sheet.text((x, bottom + 16.0), 10.0, Anchor::Middle, &label(*place));
    }
    sheet.line((left, bottom), (right, bottom), "#888888", 1.0);
    let middle = ((left + right) / 2.0, bottom + 32.0);
    sheet.text(middle, 10.0, Anchor::Middle, &panel.horizontal);
    sheet.text_up((corner.0 + 16.0, (top + bottom) / 2.0), 10.0, vertical);

    for (name, points) in &panel.curves {
        let number = names.iter().position(|other| other == name).unwrap_or(0);
        let aside = (number as f64 - (names.len() - 1) as f64 / 2.0) * ASIDE;
        let pixels: Vec<(f64, f64)> = points
            .iter()
            .map(|(x, y)| (across.at(*x) + aside, up.at(y.value)))
            .collect();
        for pair in pixels.windows(2) {
            sheet.line(pair[0], pair[1], colour(number), 2.0);
        }
        for (pixel, (_, y)) in pixels.iter().zip(points) {
            let (low, high) = (up.at(y.low), up.at(y.high));
            sheet.line((pixel.0, low), (pixel.0, high), colour(number), 1.2);
            sheet.dot(*pixel, 3.5, colour(number), 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::exact;

    #[test]
    fn each_point_is_a_dot_and_each_subject_is_in_the_legend() {
        let curve = |name: &str| (name.to_owned(), vec![(1.0, exact(3.0)), (10.0, exact(4.0))]);
        let panel = |title: &str| Panel {
            title: title.to_owned(),
            horizontal: "count".to_owned(),
            curves: vec![curve("trun"), curve("crun")],
        };
        let svg = draw("title", "ms", &[panel("mounts"), panel("devices")]);
        assert_eq!(svg.matches("<circle").count(), 2 * 4 + 2);
        assert_eq!(svg.matches(">trun<").count(), 1);
        assert_eq!(svg.matches(">count<").count(), 2);
    }
}
