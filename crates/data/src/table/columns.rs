//! From words to typed columns: what is a number, what is a category, what says nothing.

use std::collections::BTreeSet;

use super::{
    dialect::Decimal,
    kinds::{ColumnKind, ColumnKinds},
    writing::are_texts,
};
use crate::{
    notice::Notice,
    oddities::{LeftOut, Oddities, Strays, Useless},
    roles::{NO_DOUBT, ambiguous},
    source::{Cells, Column},
    times::{DateOrder, Sniffed, TimeFormat},
};

/// What people write where they have no value.
const MISSING: [&str; 12] = [
    "", "?", "NA", "N/A", "n/a", "na", "nan", "NaN", "NAN", "null", "NULL", "None",
];

/// A column is numeric if at most this share of its cells is neither number nor missing.
const STRAY_WORDS_SHARE: f64 = 0.1;

/// A column is one of numbers if at least this share of its cells with a value are.
pub(super) const NUMBERS_SHARE: f64 = 1.0 - STRAY_WORDS_SHARE;

/// A column of words is an identifier if more than this share of its cells are different.
const IDENTIFIER_SHARE: f64 = 0.95;

/// No column of fewer rows is called an identifier.
const IDENTIFIER_ROWS_MIN: usize = 30;

/// Whether a cell says that there is no value.
pub(crate) fn is_missing(cell: &str) -> bool {
    MISSING.contains(&cell)
}

/// A number as people write it; infinities are no values that anything can be learned from.
pub(crate) fn number(cell: &str, decimal: Decimal) -> Option<f64> {
    let value = match decimal {
        Decimal::Point => cell.parse::<f64>().ok(),
        Decimal::Comma => with_point(cell)?.parse::<f64>().ok(),
    };
    value.filter(|value| value.is_finite())
}

/// A number with a comma as one with a point; points in it may only set thousands apart.
fn with_point(cell: &str) -> Option<String> {
    let (whole, fraction) = cell.split_at(cell.find(',').unwrap_or(cell.len()));
    let are_digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let mut groups = whole.trim_start_matches(['+', '-']).split('.');
    let first = groups.next().unwrap_or_default();
    let is_grouped = (1..=3).contains(&first.len())
        && are_digits(first)
        && groups.all(|group| group.len() == 3 && are_digits(group));
    let is_number = is_grouped || !whole.contains('.');
    is_number.then(|| whole.replace('.', "") + &fraction.replacen(',', ".", 1))
}

/// A column as it is written, and what is known of it.
pub(crate) struct Written<'a> {
    pub(crate) name: &'a str,
    pub(crate) cells: &'a [&'a str],
    pub(crate) decimal: Decimal,
    /// What the user says it holds.
    pub(crate) asked: Option<ColumnKind>,
}

impl Written<'_> {
    /// Its cells, typed; what was odd about them is noted.
    ///
    /// # Errors
    /// That they cannot be what they are said to be, as a sentence.
    pub(crate) fn typed(
        &self,
        notices: &mut Vec<Notice>,
        oddities: &mut Oddities,
    ) -> Result<Cells, String> {
        let present = self.present();
        let order = match self.asked {
            Some(ColumnKind::Category) => return Ok(Cells::Words(self.words())),
            Some(ColumnKind::Text | ColumnKind::Words | ColumnKind::Characters) => {
                return Ok(Cells::Texts(self.words()));
            }
            Some(ColumnKind::Number) => {
                let numbers = self.numbers(1.0, &present, oddities);
                return numbers
                    .ok_or_else(|| self.refused("a number, and no other cell holds one"));
            }
            Some(ColumnKind::Date) => DateOrder::Any,
            Some(ColumnKind::DateDayFirst) => DateOrder::DayFirst,
            Some(ColumnKind::DateMonthFirst) => DateOrder::MonthFirst,
            None => {
                let numbers = self.numbers(STRAY_WORDS_SHARE, &present, oddities);
                let times = || self.times(DateOrder::Any, &present, notices, oddities);
                let typed = numbers.or_else(times);
                return Ok(typed.unwrap_or_else(|| self.worded()));
            }
        };
        let times = self.times(order, &present, notices, oddities);
        times.ok_or_else(|| self.no_date())
    }

    /// Words, or texts if they look like these.
    pub(crate) fn worded(&self) -> Cells {
        let words = self.words();
        match are_texts(&words) {
            true => Cells::Texts(words),
            false => Cells::Words(words),
        }
    }

    fn words(&self) -> Vec<Option<String>> {
        let word = |cell: &&str| (!is_missing(cell)).then(|| (*cell).to_string());
        self.cells.iter().map(word).collect()
    }

    fn present(&self) -> Vec<&str> {
        let present = self.cells.iter().copied();
        present.filter(|cell| !is_missing(cell)).collect()
    }

    /// Numbers, if at most this share of the cells with a value are words, and not all.
    fn numbers(&self, strays_max: f64, present: &[&str], oddities: &mut Oddities) -> Option<Cells> {
        let is_number = |cell: &&str| number(cell, self.decimal).is_some();
        let others: Vec<&str> = present.iter().copied().filter(|c| !is_number(c)).collect();
        let infinite = |cell: &str| cell.parse::<f64>().is_ok_and(f64::is_infinite);
        let words = others.iter().filter(|cell| !infinite(cell)).count();
        let are_numbers = words as f64 <= strays_max * present.len() as f64
            && !present.is_empty()
            && (self.asked.is_none() || others.len() < present.len());
        are_numbers.then(|| {
            self.note(&others, "usable numbers".to_string(), oddities);
            let value = |cell: &&str| number(cell, self.decimal).unwrap_or(f64::NAN);
            Cells::Numbers(self.cells.iter().map(value).collect())
        })
    }

    /// Dates, if nearly all cells with a value are, in one way of writing.
    fn times(
        &self,
        order: DateOrder,
        present: &[&str],
        notices: &mut Vec<Notice>,
        oddities: &mut Oddities,
    ) -> Option<Cells> {
        let Sniffed { format, rival } = TimeFormat::sniff_in(order, present)?;
        let is_stray = |cell: &&str| format.seconds(cell).is_none();
        let others: Vec<&str> = present.iter().copied().filter(is_stray).collect();
        self.note(&others, format!("dates like {format}"), oddities);
        let name = self.name;
        notices.extend(rival.map(|rival| {
            let next = format!(
                "--as {name}=date_day_first or --as {name}=date_month_first decides; {NO_DOUBT}"
            );
            ambiguous(name, &format, &rival, &next)
        }));
        let second = |cell: &&str| format.seconds(cell).unwrap_or(f64::NAN);
        Some(Cells::Times {
            seconds: self.cells.iter().map(second).collect(),
            format,
        })
    }

    fn note(&self, strays: &[&str], wanted: String, oddities: &mut Oddities) {
        oddities.strays.extend(strays.first().map(|example| Strays {
            column: self.name.to_string(),
            count: strays.len(),
            example: (*example).to_string(),
            wanted,
        }));
    }

    fn no_date(&self) -> String {
        self.refused(
            "a date, or too many cells are written otherwise than others: dates are written in one way, as \
             2024-03-09 or 2024-03-09 14:30",
        )
    }

    fn refused(&self, what: &str) -> String {
        let (name, kind) = (self.name, self.asked.map_or("", ColumnKind::name));
        match self.present().first() {
            Some(cell) => {
                format!("`{name}` cannot be read as {kind}: it holds `{cell}`, which is not {what}")
            }
            None => format!("`{name}` cannot be read as {kind}: no cell of it has a value"),
        }
    }
}

/// Leaves out columns that say nothing: constant, empty, or different in every row; of the last, those stay of
/// which the user said what they hold.
pub(crate) fn without_useless(
    columns: Vec<Column>,
    asked: &ColumnKinds,
    oddities: &mut Oddities,
) -> Vec<Column> {
    let is_left_out = |column: &Column, why: &Useless| match why {
        Useless::Identifier | Useless::CountsRows => !asked.contains_key(&column.name),
        Useless::Missing | Useless::Constant => true,
    };
    columns
        .into_iter()
        .filter_map(|column| match useless(&column.cells) {
            Some(why) if is_left_out(&column, &why) => {
                let name = column.name;
                oddities.left_out.push(LeftOut { name, why });
                None
            }
            _ => Some(column),
        })
        .collect()
}

fn useless(cells: &Cells) -> Option<Useless> {
    match cells {
        Cells::Numbers(values) => {
            let counts_up = values.len() >= IDENTIFIER_ROWS_MIN
                && values.windows(2).all(|pair| pair[1] - pair[0] == 1.0);
            useless_numbers(values).or(counts_up.then_some(Useless::CountsRows))
        }
        Cells::Times { seconds, .. } => useless_numbers(seconds),
        Cells::Words(words) | Cells::Texts(words) => {
            let present: Vec<&String> = words.iter().flatten().collect();
            let different: BTreeSet<&String> = present.iter().copied().collect();
            if present.is_empty() {
                return Some(Useless::Missing);
            }
            if different.len() == 1 && present.len() == words.len() {
                return Some(Useless::Constant);
            }
            let unique = different.len() as f64 > IDENTIFIER_SHARE * present.len() as f64;
            let are_names = matches!(cells, Cells::Words(_));
            (unique && words.len() >= IDENTIFIER_ROWS_MIN && are_names)
                .then_some(Useless::Identifier)
        }
    }
}

fn useless_numbers(values: &[f64]) -> Option<Useless> {
    let mut present = values.iter().copied().filter(|value| !value.is_nan());
    let Some(first) = present.next() else {
        return Some(Useless::Missing);
    };
    let is_constant =
        present.all(|value| value == first) && !values.iter().any(|value| value.is_nan());
    is_constant.then_some(Useless::Constant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beside_a_decimal_comma_points_set_thousands_apart_and_nothing_else() {
        let read = |cell: &str| number(cell, Decimal::Comma);
        for (cell, value) in [
            ("3", 3.0),
            ("-3,5", -3.5),
            (",5", 0.5),
            ("1e3", 1000.0),
            ("1.234", 1234.0),
            ("+12.345.678,9", 12_345_678.9),
        ] {
            assert_eq!(read(cell), Some(value), "{cell}");
        }
        for cell in [
            "01.02.2024",
            "2.5",
            "1.5e3",
            "1234.567",
            "192.168.1.1",
            "1,2,3",
            "1,234.5",
            ".123",
        ] {
            assert_eq!(read(cell), None, "{cell}");
        }
    }

    #[test]
    fn dates_with_points_are_dates_beside_a_decimal_comma() {
        let cells = ["01.02.2024", "15.02.2024", "01.03.2024"];
        let (mut notices, mut oddities) = (Vec::new(), Oddities::default());
        let written = Written {
            name: "Datum",
            cells: &cells,
            decimal: Decimal::Comma,
            asked: None,
        };
        let typed = written.typed(&mut notices, &mut oddities).unwrap();
        let Cells::Times { seconds, .. } = typed else {
            panic!("{typed:?}");
        };
        assert!(seconds.is_sorted(), "{seconds:?}");
    }
}
