//! The plot of distributions: one panel a verb, in it one row a subject, in it one dot a round.

use crate::statistics::median;
use crate::svg::{Anchor, Scale, Sheet, colour, label, width_of};

/// One panel.
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// Subjects with their values.
    pub rows: Vec<(String, Vec<f64>)>,
}

const COLUMNS: usize = 2;
const PANEL: f64 = 470.0;
const LONE_PANEL: f64 = 760.0;
const ROW: f64 = 20.0;
const HEAD: f64 = 46.0;
const PANEL_HEAD: f64 = 26.0;
const PANEL_FOOT: f64 = 44.0;

/// The whole file. A subject has the same colour in each panel.
pub fn draw(title: &str, unit: &str, panels: &[Panel]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in panels.iter().flat_map(|panel| &panel.rows) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let heights: Vec<f64> = panels
        .chunks(COLUMNS)
        .map(|line| {
            let rows = line.iter().map(|panel| panel.rows.len()).max().unwrap_or(0);
            PANEL_HEAD + rows as f64 * ROW + PANEL_FOOT
        })
        .collect();
    let columns = COLUMNS.min(panels.len().max(1));
    let width = if columns == 1 { LONE_PANEL } else { PANEL };
    let mut sheet = Sheet::new(width * columns as f64, HEAD + heights.iter().sum::<f64>());
    sheet.text((16.0, 28.0), 15.0, Anchor::Start, title);
    let gutter = names
        .iter()
        .map(|name| width_of(name, 11.0))
        .fold(40.0, f64::max)
        + 14.0;
    let mut top = HEAD;
    for (line, height) in panels.chunks(COLUMNS).zip(&heights) {
        for (column, panel) in line.iter().enumerate() {
            let left = column as f64 * width;
            one(
                &mut sheet,
                (left, top, left + width - 24.0),
                gutter,
                unit,
                panel,
                &names,
            );
        }
        top += height;
    }
    sheet.finish()
}

fn one(
    sheet: &mut Sheet,
    (left, top, right): (f64, f64, f64),
    gutter: f64,
    unit: &str,
    panel: &Panel,
    names: &[&str],
) {
    let values: Vec<f64> = panel
        .rows
        .iter()
        .flat_map(|(_, values)| values.clone())
        .collect();
    let scale = Scale::logarithmic(&values, left + gutter, right);
    let first = top + PANEL_HEAD;
    let bottom = first + panel.rows.len() as f64 * ROW;
    sheet.text(
        (left + gutter, top + 16.0),
        13.0,
        Anchor::Start,
        &panel.title,
    );
    for tick in scale.ticks() {
        let x = scale.at(tick);
        sheet.line((x, first), (x, bottom), "#dddddd", 1.0);
        sheet.text((x, bottom + 14.0), 10.0, Anchor::Middle, &label(tick));
    }
    sheet.line((left + gutter, bottom), (right, bottom), "#888888", 1.0);
    let middle = (left + gutter + right) / 2.0;
    sheet.text((middle, bottom + 30.0), 10.0, Anchor::Middle, unit);
    for (index, (name, values)) in panel.rows.iter().enumerate() {
        let y = first + (index as f64 + 0.5) * ROW;
        let number = names.iter().position(|other| other == name).unwrap_or(0);
        sheet.text((left + gutter - 8.0, y + 4.0), 11.0, Anchor::End, name);
        for (round, value) in values.iter().enumerate() {
            let spread = (round % 5) as f64 * 2.0 - 4.0;
            sheet.dot((scale.at(*value), y + spread), 2.0, colour(number), 0.35);
        }
        let x = scale.at(median(values));
        sheet.line((x, y - 8.0), (x, y + 8.0), "#000000", 2.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_a_dot_and_each_row_has_its_name() {
        let panel = Panel {
            title: "run".to_owned(),
            rows: vec![
                ("trun".to_owned(), vec![3.0, 4.0, 5.0]),
                ("crun".to_owned(), vec![9.0, 12.0]),
            ],
        };
        let svg = draw("title", "ms", &[panel]);
        assert_eq!(svg.matches("<circle").count(), 5);
        let least = format!("width=\"{LONE_PANEL:.0}\"");
        assert!(svg.contains(&least), "a lone panel has room for the title");
        for word in [">trun<", ">crun<", ">run<", ">ms<", ">title<"] {
            assert!(svg.contains(word), "{word}");
        }
    }
}
