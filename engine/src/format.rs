//! How numbers and times are shown, as docker shows them.

use crate::failure::Failure;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes by thousands: `1.23GB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        _ if unit == 0 => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{}", UNITS[unit])
}

/// How long ago: `3 weeks ago`.
pub fn ago(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..1 => return "Less than a second ago".to_owned(),
        1..60 => (seconds, "second"),
        60..120 => return "About a minute ago".to_owned(),
        120..3600 => (seconds / 60, "minute"),
        3600..7200 => return "About an hour ago".to_owned(),
        7200..172_800 => (seconds / 3600, "hour"),
        172_800..1_209_600 => (seconds / 86_400, "day"),
        1_209_600..5_184_000 => (seconds / 604_800, "week"),
        5_184_000..63_072_000 => (seconds / 2_592_000, "month"),
        _ => (seconds / 31_536_000, "year"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

/// An RFC 3339 time as seconds since the epoch; None: it is none. Fractions are dropped.
pub fn seconds(time: &str) -> Option<i64> {
    let bytes = time.as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = bytes.get(range)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| std::str::from_utf8(digits).ok()?.parse().ok())?
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators
        .iter()
        .any(|(at, byte)| bytes.get(*at).map(u8::to_ascii_uppercase) != Some(*byte))
    {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let of_day = number(11..13)? * 3600 + number(14..16)? * 60 + number(17..19)?;
    let zone =
        time[19..].trim_start_matches(|letter: char| letter == '.' || letter.is_ascii_digit());
    let offset = match zone.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), hours @ ..] if hours.len() == 5 && hours[2] == b':' => {
            let part = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i64>().ok();
            let minutes = part(&hours[..2])? * 60 + part(&hours[3..])?;
            if *sign == b'-' {
                -minutes * 60
            } else {
                minutes * 60
            }
        }
        _ => return None,
    };
    // Days of the civil calendar, with years that begin in March.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    (1..=12)
        .contains(&month)
        .then_some(days * 86_400 + of_day - offset)
}

/// How long ago an RFC 3339 time was; `N/A` where there is none.
pub fn since(time: Option<&str>) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    match time
        .and_then(seconds)
        .and_then(|seconds| u64::try_from(seconds).ok())
    {
        Some(then) => ago(now.saturating_sub(then)),
        None => "N/A".to_owned(),
    }
}

/// Whether `--format` asks for JSON, which it may do in docker's words too.
pub fn wants_json(format: Option<&str>) -> Result<bool, Failure> {
    match format {
        None | Some("table") => Ok(false),
        Some("json" | "{{json .}}") => Ok(true),
        Some(other) => Err(Failure::new(format!(
            "--format {other}: table and json are known"
        ))),
    }
}

/// Rows with columns as wide as they need, three blanks between; the first row is the head.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        text += cells.collect::<Vec<_>>().join("   ").trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |bytes, expect| assert_eq!(size(bytes), expect);
        check(0, "0B");
        check(999, "999B");
        check(1000, "1kB");
        check(1_234_567, "1.23MB");
        check(12_345_678, "12.3MB");
        check(117_000_000, "117MB");
        check(999_900_000, "1GB");
    }

    #[test]
    fn times() {
        let check = |text, expect| assert_eq!(seconds(text), expect, "{text}");
        check("1970-01-01T00:00:00Z", Some(0));
        check("2000-02-29T12:30:15.123456789Z", Some(951_827_415));
        check("2024-03-01T01:00:00+01:00", Some(1_709_251_200));
        check("1969-12-31T23:59:59Z", Some(-1));
        check("0001-01-01T00:00:00Z", Some(-62_135_596_800));
        check("2024-13-01T00:00:00Z", None);
        check("2024-01-01", None);
        check("yesterday", None);
    }

    #[test]
    fn what_the_runtime_writes_is_read() {
        for time in [0, 951_827_415, 1_709_251_200, 1_735_689_599, 4_102_444_800] {
            let text = tare_runtime::rfc3339(UNIX_EPOCH + std::time::Duration::from_secs(time));
            assert_eq!(super::seconds(&text), Some(time as i64));
        }
    }

    #[test]
    fn ages() {
        let check = |seconds, expect| assert_eq!(ago(seconds), expect);
        check(0, "Less than a second ago");
        check(1, "1 second ago");
        check(90, "About a minute ago");
        check(7200, "2 hours ago");
        check(21 * 86_400, "3 weeks ago");
        check(800 * 86_400, "2 years ago");
    }
}
