//! How numbers, tables and errors look to people.

use data::profile::NumberProfile;
use serde::Serialize;

/// An error and its sources, each said once.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let said = cause.to_string();
        if parts.last() != Some(&said) {
            parts.push(said);
        }
    }
    parts.join(": ")
}

/// JSON for machines, one value, indented, with a line end.
pub(crate) fn pretty_json<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_string_pretty(value).expect("what is shown has string keys only");
    text + "\n"
}

/// A number with four significant digits, and no more than are needed.
pub(crate) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_string();
    }
    let magnitude = if value == 0.0 {
        0.0
    } else {
        value.abs().log10().floor()
    };
    let decimals = (3.0 - magnitude).clamp(0.0, 9.0) as usize;
    format!("{value:.decimals$}")
}

/// Smallest, median and largest of a column's numbers.
pub(crate) fn span(values: &NumberProfile) -> String {
    let show = |value: f64| match values.whole && value.abs() < 1e15 {
        true => format!("{value:.0}"),
        false => significant(value),
    };
    let (min, median, max) = (show(values.min), show(values.median), show(values.max));
    format!("{min} … {median} … {max}")
}

/// A time span in the unit that fits.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        short if short < 10.0 => format!("{short:.1} s"),
        short if short < 120.0 => format!("{short:.0} s"),
        long if long < 7200.0 => format!("{:.0} min", long / 60.0),
        long => format!("{:.1} h", long / 3600.0),
    }
}

/// A table with aligned columns; the last one is as wide as it wants.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            match column + 1 == count {
                true => text += cell,
                false => text += &format!("{cell:<width$}  ", width = widths[column]),
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_significant_digits() {
        let shown: Vec<String> = [0.98333, 12.3456, 47_397.1, 0.000_123_45, 0.0, 1.0]
            .iter()
            .map(|value| significant(*value))
            .collect();
        assert_eq!(
            shown,
            ["0.9833", "12.35", "47397", "0.0001234", "0.000", "1.000"]
        );
    }

    #[test]
    fn an_error_is_not_said_twice() {
        let error = anyhow::anyhow!("the disk is full")
            .context("the disk is full")
            .context("no");
        assert_eq!(chain(&error), "no: the disk is full");
    }
}
