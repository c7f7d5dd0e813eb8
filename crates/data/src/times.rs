//! Dates and times as people write them: found out by looking, read as seconds since 1970.
//!
//! A column has one way of writing; the way that fits its first cells is asked of all of them. Times
//! without a zone count as UTC, so that what is computed from them depends on no machine.

use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};

/// Ways of writing that are known, in the words of `chrono`; where two fit, the earlier one wins.
const PATTERNS: [&str; 29] = [
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%Y.%m.%d",
    "%d.%m.%Y",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M:%S%.f",
    "%d/%m/%Y %H:%M:%S%.f",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y %H:%M",
    "%m-%d-%Y",
    "%d-%m-%Y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%d %B %Y",
    "%B %d, %Y",
    "%Y-%m",
];

/// Cells that decide how a column is written.
const SNIFFED_CELLS: usize = 200;

/// At most this share of the cells may be written otherwise; those count as missing.
const STRAYS_SHARE: f64 = 0.1;

/// Years outside of these are numbers that happen to look like dates.
const YEARS: std::ops::RangeInclusive<i32> = 1000..=2999;

/// Seconds of a day.
pub(crate) const DAY: f64 = 86_400.0;

/// How the times of a column are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeFormat(String);

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a column is written, and how else it could be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sniffed {
    pub(crate) format: TimeFormat,
    /// Another way that fits as many cells and reads some of them otherwise: day and month cannot be told apart.
    pub(crate) rival: Option<TimeFormat>,
}

/// Which ways of writing come into question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DateOrder {
    Any,
    /// Not the month before the day, unless the year is before both.
    DayFirst,
    /// Not the day before a month in digits.
    MonthFirst,
}

impl DateOrder {
    fn allows(self, pattern: &str) -> bool {
        match self {
            DateOrder::Any => true,
            DateOrder::DayFirst => !pattern.starts_with("%m"),
            DateOrder::MonthFirst => !(pattern.starts_with("%d") && pattern.contains("%m")),
        }
    }
}

impl TimeFormat {
    /// Seconds since 1970, UTC; nothing if the cell is written otherwise.
    pub(crate) fn seconds(&self, cell: &str) -> Option<f64> {
        seconds(&self.0, cell)
    }

    /// A time as it would stand in the column; nothing if it lies beyond all calendars.
    ///
    /// # Units
    /// Seconds since 1970, UTC.
    pub fn written(&self, seconds: f64) -> Option<String> {
        let time = DateTime::from_timestamp(seconds.floor() as i64, 0)?;
        Some(time.format(&self.0).to_string())
    }

    /// The way in which nearly all of the cells are written, if they are dates at all.
    pub(crate) fn sniff(cells: &[&str]) -> Option<Sniffed> {
        TimeFormat::sniff_in(DateOrder::Any, cells)
    }

    /// The same of those ways that come into question.
    pub(crate) fn sniff_in(order: DateOrder, cells: &[&str]) -> Option<Sniffed> {
        let step = cells.len().div_ceil(SNIFFED_CELLS).max(1);
        let first: Vec<&str> = cells.iter().step_by(step).copied().collect();
        let mut fitting: Vec<(usize, &str)> = PATTERNS
            .iter()
            .filter(|pattern| order.allows(pattern) && fits(pattern, &first).is_some())
            .filter_map(|pattern| Some((fits(pattern, cells)?, *pattern)))
            .collect();
        // Stable: of those that fit as many cells, the earlier one.
        fitting.sort_by_key(|(strays, _)| *strays);
        let (strays, pattern) = *fitting.first()?;
        // Several ways may read the same in all cells, as those with a month in letters: these are one.
        let reads_otherwise = |rival: &str| {
            let differs = |cell: &&str| seconds(rival, cell) != seconds(pattern, cell);
            cells.iter().any(differs)
        };
        let mut rivals = fitting[1..]
            .iter()
            .take_while(|(others, _)| *others == strays);
        let rival = rivals.find(|(_, rival)| reads_otherwise(rival));
        let format = |pattern: &str| TimeFormat(pattern.to_string());
        Some(Sniffed {
            format: format(pattern),
            rival: rival.map(|(_, pattern)| format(pattern)),
        })
    }
}

/// How many cells are written otherwise; nothing if too many are.
fn fits(pattern: &str, cells: &[&str]) -> Option<usize> {
    let strays = cells
        .iter()
        .filter(|cell| seconds(pattern, cell).is_none())
        .count();
    (!cells.is_empty() && strays as f64 <= STRAYS_SHARE * cells.len() as f64).then_some(strays)
}

fn seconds(pattern: &str, cell: &str) -> Option<f64> {
    // No date is shorter or much longer, and most cells of a table are no dates.
    if !(6..=40).contains(&cell.len()) || !cell.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let time = if pattern.ends_with("%z") {
        let with_offset = match cell.strip_suffix(['Z', 'z']) {
            Some(rest) => format!("{rest}+0000"),
            None => cell.to_string(),
        };
        DateTime::parse_from_str(&with_offset, pattern)
            .ok()?
            .naive_utc()
    } else if pattern.contains("%H") {
        NaiveDateTime::parse_from_str(cell, pattern).ok()?
    } else if pattern.contains("%d") {
        NaiveDate::parse_from_str(cell, pattern)
            .ok()?
            .and_hms_opt(0, 0, 0)?
    } else {
        let first = format!("{cell}-01");
        let date = NaiveDate::parse_from_str(&first, &format!("{pattern}-%d")).ok()?;
        date.and_hms_opt(0, 0, 0)?
    };
    let instant = time.and_utc();
    let seconds = instant.timestamp() as f64 + f64::from(instant.timestamp_subsec_micros()) * 1e-6;
    YEARS.contains(&time.year()).then_some(seconds)
}

/// A time as it is shown: the date, and the time of day where there is one.
pub(crate) fn shown(seconds: f64) -> String {
    let whole = DateTime::from_timestamp(seconds.floor() as i64, 0);
    match whole {
        Some(time) if seconds.rem_euclid(DAY) == 0.0 => time.format("%Y-%m-%d").to_string(),
        Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => seconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_read(cell: &str, expected: &str) {
        let found = TimeFormat::sniff(&[cell]).map(|sniffed| sniffed.format);
        let read = found.and_then(|format| format.seconds(cell)).map(shown);
        assert_eq!(read.as_deref(), Some(expected), "{cell}");
    }

    #[test]
    fn dates_are_read_as_people_write_them() {
        check_read("2024-02-29", "2024-02-29");
        check_read("2024-02-29T23:59:58.5", "2024-02-29 23:59:58");
        check_read("2024-02-29 23:59", "2024-02-29 23:59:00");
        check_read("2024-02-29T01:30:00+02:00", "2024-02-28 23:30:00");
        check_read("2024-02-29T01:30:00Z", "2024-02-29 01:30:00");
        check_read(
            "2024-02-29 01:30:00.000000000 +00:00",
            "2024-02-29 01:30:00",
        );
        check_read("29.02.2024", "2024-02-29");
        check_read("31/01/2024", "2024-01-31");
        check_read("01/31/2024 8:05", "2024-01-31 08:05:00");
        check_read("5-Jan-1969", "1969-01-05");
        check_read("January 5, 2024", "2024-01-05");
        check_read("2024-03", "2024-03-01");
    }

    #[test]
    fn what_is_no_date_is_none() {
        for cell in [
            "2023-02-29",
            "12",
            "1-2-3",
            "A-2024-01",
            "19.99",
            "10:30",
            "",
            "2024-13",
        ] {
            assert_eq!(TimeFormat::sniff(&[cell]), None, "{cell}");
        }
    }

    #[test]
    fn one_cell_can_tell_days_from_months_for_all() {
        let told = TimeFormat::sniff(&["01/02/2024", "03/04/2024", "25/12/2024"]);
        let told = told.map(|sniffed| (sniffed.format.to_string(), sniffed.rival));
        assert_eq!(told, Some(("%d/%m/%Y".to_string(), None)));
        let open = TimeFormat::sniff(&["01/02/2024", "03/04/2024"]).map(|sniffed| sniffed.rival);
        assert_eq!(open, Some(Some(TimeFormat("%d/%m/%Y".to_string()))));
    }

    #[test]
    fn ways_that_read_the_same_are_no_rivals() {
        for cell in ["2024-03-09 14:30:00.5 +00:00", "05 Jan 2024", "Jan 5, 2024"] {
            let sniffed = TimeFormat::sniff(&[cell]).unwrap();
            assert_eq!(sniffed.rival, None, "{cell}");
        }
    }

    #[test]
    fn a_few_cells_may_be_written_otherwise() {
        let mut cells = vec!["2024-01-05"; 19];
        cells.push("unknown yet");
        assert!(TimeFormat::sniff(&cells).is_some());
        cells.extend(["soon, perhaps"; 3]);
        assert_eq!(TimeFormat::sniff(&cells), None);
    }
}
