//! Columns that say something of a row instead of helping to predict: its group, its time, its part of
//! the split, its weight. They are no inputs of a network.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    notice::Notice,
    table::{
        columns::{is_missing, number},
        dialect::Decimal,
    },
    times::TimeFormat,
};

/// Which columns have a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// What the split follows.
    #[serde(default)]
    pub split_by: SplitBy,
    /// Column with the weight of each row in losses and metrics.
    #[serde(default)]
    pub weight: Option<String>,
}

/// What a split follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// Rows are dealt one by one, classes evenly.
    #[default]
    Rows,
    /// Rows with the same value in this column stay together.
    Group(String),
    /// Rows are ordered by this column: the oldest are learned from, the newest are the vault.
    Time(String),
    /// This column says of each row what it is for.
    Column(String),
}

impl fmt::Display for SplitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SplitBy::Rows => f.write_str("row by row"),
            SplitBy::Group(name) => write!(f, "by groups of `{name}`"),
            SplitBy::Time(name) => write!(f, "by the time in `{name}`"),
            SplitBy::Column(name) => write!(f, "as `{name}` says"),
        }
    }
}

impl SplitBy {
    /// The column, if it is one.
    pub fn column(&self) -> Option<&str> {
        match self {
            SplitBy::Rows => None,
            SplitBy::Group(name) | SplitBy::Time(name) | SplitBy::Column(name) => Some(name),
        }
    }
}

impl Roles {
    /// The columns that are no inputs.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.split_by
            .column()
            .into_iter()
            .chain(self.weight.as_deref())
    }
}

/// What a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Learned from.
    Train,
    /// Decides between trials.
    Validation,
    /// Seen once, at the end.
    Vault,
}

impl Part {
    /// All of them, in this order.
    pub const ALL: [Part; 3] = [Part::Train, Part::Validation, Part::Vault];

    /// What is called so in a column or on a folder.
    pub(crate) fn of_word(word: &str) -> Option<Part> {
        match word.to_lowercase().as_str() {
            "train" | "training" => Some(Part::Train),
            "validation" | "valid" | "val" | "dev" => Some(Part::Validation),
            "vault" | "test" | "testing" | "holdout" => Some(Part::Vault),
            _ => None,
        }
    }

    /// Its name, as it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "training",
            Part::Validation => "validation",
            Part::Vault => "vault",
        }
    }
}

/// What the columns with roles say of every row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowFacts {
    /// What decides on which side a row stands.
    pub sides: Sides,
    /// Weights of the rows, finite and not negative; all the same if absent.
    pub weights: Option<Vec<f64>>,
}

/// What decides on which side of a split a row stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Sides {
    /// Nothing: any row may stand anywhere.
    #[default]
    Free,
    /// Rows with the same number stay together.
    Groups(Vec<u32>),
    /// Older rows stand before newer ones.
    Times(Vec<f64>),
    /// It was said of each row.
    Parts(Vec<Part>),
}

impl RowFacts {
    /// What is said of some of the rows, in this order.
    pub(crate) fn chosen(&self, rows: &[usize]) -> RowFacts {
        fn some<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|row| values[*row]).collect()
        }
        let sides = match &self.sides {
            Sides::Free => Sides::Free,
            Sides::Groups(groups) => Sides::Groups(some(groups, rows)),
            Sides::Times(times) => Sides::Times(some(times, rows)),
            Sides::Parts(parts) => Sides::Parts(some(parts, rows)),
        };
        RowFacts {
            sides,
            weights: self.weights.as_ref().map(|weights| some(weights, rows)),
        }
    }
}

/// The rows that columns with roles speak of.
pub(crate) struct RoleRows<'a> {
    /// The cells of a column by its name.
    pub(crate) cells_of: &'a dyn Fn(&str) -> Option<Vec<String>>,
    /// What a user finds a row by, from its place among all of them.
    pub(crate) called: &'a dyn Fn(usize) -> String,
    /// What stands between the digits of a number.
    pub(crate) decimal: Decimal,
}

impl RoleRows<'_> {
    fn cells(&self, name: &str) -> Result<Vec<String>, String> {
        let cells = (self.cells_of)(name);
        cells.ok_or_else(|| format!("it has no column `{name}`, which was asked for by name"))
    }

    /// That a row holds what it cannot.
    fn odd(&self, name: &str, (row, cell): (usize, &str), rule: &str) -> String {
        let row = (self.called)(row);
        format!("`{name}` holds `{cell}` in {row}: {rule}")
    }
}

/// Reads what the columns with roles say.
///
/// # Errors
/// What is wrong with which column, as a sentence.
pub(crate) fn read_facts(
    roles: &Roles,
    rows: &RoleRows<'_>,
    notices: &mut Vec<Notice>,
) -> Result<RowFacts, String> {
    let sides = match &roles.split_by {
        SplitBy::Rows => Sides::Free,
        SplitBy::Group(name) => Sides::Groups(groups(name, &rows.cells(name)?, notices)?),
        SplitBy::Time(name) => Sides::Times(times(name, rows, notices)?),
        SplitBy::Column(name) => Sides::Parts(parts(name, rows)?),
    };
    let weights = roles.weight.as_ref().map(|name| weights(name, rows));
    Ok(RowFacts {
        sides,
        weights: weights.transpose()?,
    })
}

/// Numbers of the groups in the order of their names; a row without one is a group of its own.
fn groups(name: &str, cells: &[String], notices: &mut Vec<Notice>) -> Result<Vec<u32>, String> {
    let mut numbers: BTreeMap<&str, u32> = cells
        .iter()
        .filter(|cell| !is_missing(cell))
        .map(|cell| (cell.as_str(), 0))
        .collect();
    if numbers.len() < 2 {
        return Err(format!(
            "`{name}` has {} value(s): a split by groups needs at least two",
            numbers.len()
        ));
    }
    for (number, value) in numbers.values_mut().enumerate() {
        *value = number as u32;
    }
    let mut next = numbers.len() as u32;
    let named = next;
    let groups = cells.iter().map(|cell| match numbers.get(cell.as_str()) {
        Some(number) => *number,
        None => {
            next += 1;
            next - 1
        }
    });
    let groups = groups.collect();
    notices.push(Notice::note(format!(
        "rows with the same `{name}` stay on one side of the split ({named} groups); it is no input"
    )));
    if next > named {
        notices.push(Notice::warning(format!(
            "{} row(s) have no `{name}`: each of them is a group of its own",
            next - named
        )));
    }
    Ok(groups)
}

fn times(name: &str, rows: &RoleRows<'_>, notices: &mut Vec<Notice>) -> Result<Vec<f64>, String> {
    let cells = rows.cells(name)?;
    let read_number = |cell: &String| number(cell, rows.decimal);
    let read = match cells.iter().map(read_number).collect::<Option<Vec<f64>>>() {
        Some(numbers) => numbers,
        None => dates(name, rows, &cells, notices)?,
    };
    if read.iter().all(|time| *time == read[0]) {
        let first = cells.first().map_or("", String::as_str);
        return Err(format!(
            "`{name}` is always `{first}`: nothing can be ordered by it"
        ));
    }
    notices.push(Notice::note(format!(
        "rows are ordered by `{name}`: the oldest are learned from, the newest are the vault; it is \
         no input, because every later row would lie beyond all that was learned"
    )));
    Ok(read)
}

fn dates(
    name: &str,
    rows: &RoleRows<'_>,
    cells: &[String],
    notices: &mut Vec<Notice>,
) -> Result<Vec<f64>, String> {
    const RULE: &str =
        "a split by time needs a number or a date, as 2024-03-09 or 2024-03-09 14:30, in every row";
    let texts: Vec<&str> = cells.iter().map(String::as_str).collect();
    let Some(sniffed) = TimeFormat::sniff(&texts) else {
        return Err(rows.odd(name, (0, texts[0]), RULE));
    };
    if let Some(rival) = &sniffed.rival {
        notices.push(ambiguous(name, &sniffed.format, rival, NO_DOUBT));
    }
    let read = |row: (usize, &str)| {
        let seconds = sniffed.format.seconds(row.1);
        seconds.ok_or_else(|| rows.odd(name, row, RULE))
    };
    texts.into_iter().enumerate().map(read).collect()
}

/// Said where day and month cannot be told apart.
pub(crate) fn ambiguous(
    name: &str,
    taken: &TimeFormat,
    rival: &TimeFormat,
    next_step: &str,
) -> Notice {
    Notice::warning(format!(
        "column `{name}` is read as dates like {taken}, but {rival} would fit as well: {next_step}"
    ))
}

/// What is to be done where nobody can be asked.
pub(crate) const NO_DOUBT: &str = "dates like 2024-03-09 leave no doubt";

fn parts(name: &str, rows: &RoleRows<'_>) -> Result<Vec<Part>, String> {
    const RULE: &str = "it must say train, validation or test (or vault) of every row";
    let part = |(row, cell): (usize, &String)| {
        Part::of_word(cell).ok_or_else(|| rows.odd(name, (row, cell), RULE))
    };
    rows.cells(name)?.iter().enumerate().map(part).collect()
}

fn weights(name: &str, rows: &RoleRows<'_>) -> Result<Vec<f64>, String> {
    const RULE: &str = "a weight is a number, 0 or more";
    let weight = |(row, cell): (usize, &String)| {
        let usable = number(cell, rows.decimal).filter(|weight| *weight >= 0.0);
        usable.ok_or_else(|| rows.odd(name, (row, cell), RULE))
    };
    let cells = rows.cells(name)?;
    let weights: Vec<f64> = cells
        .iter()
        .enumerate()
        .map(weight)
        .collect::<Result<_, _>>()?;
    match weights.iter().any(|weight| *weight > 0.0) {
        true => Ok(weights),
        false => Err(format!("`{name}` is 0 in every row: nothing would count")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(roles: &Roles, cells: &[&str]) -> Result<RowFacts, String> {
        let rows = RoleRows {
            cells_of: &|name| {
                (name == "c").then(|| cells.iter().map(ToString::to_string).collect())
            },
            called: &|row| format!("row {}", row + 1),
            decimal: Decimal::Point,
        };
        read_facts(roles, &rows, &mut Vec::new())
    }

    fn by(split_by: SplitBy) -> Roles {
        Roles {
            split_by,
            weight: None,
        }
    }

    #[test]
    fn a_row_without_a_group_is_one_of_its_own() {
        let facts = check(&by(SplitBy::Group("c".into())), &["b", "a", "", "b", "NA"]);
        assert_eq!(
            facts.map(|facts| facts.sides),
            Ok(Sides::Groups(vec![1, 0, 2, 1, 3]))
        );
    }

    #[test]
    fn times_are_numbers_or_dates_and_never_missing() {
        let time = by(SplitBy::Time("c".into()));
        assert_eq!(
            check(&time, &["3", "1.5"]).map(|facts| facts.sides),
            Ok(Sides::Times(vec![3.0, 1.5]))
        );
        assert_eq!(
            check(&time, &["1970-01-02", "1970-01-01"]).map(|facts| facts.sides),
            Ok(Sides::Times(vec![86_400.0, 0.0]))
        );
        let error = check(&time, &["1970-01-02", ""]).unwrap_err();
        assert!(error.contains("`c` holds"), "{error}");
        let error = check(&time, &["5", "5"]).unwrap_err();
        assert!(error.contains("always `5`"), "{error}");
    }

    #[test]
    fn parts_are_read_in_the_words_that_people_use() {
        let column = by(SplitBy::Column("c".into()));
        let facts = check(&column, &["train", "Test", "val", "VAULT", "dev"]);
        let expected = [
            Part::Train,
            Part::Vault,
            Part::Validation,
            Part::Vault,
            Part::Validation,
        ];
        assert_eq!(
            facts.map(|facts| facts.sides),
            Ok(Sides::Parts(expected.to_vec()))
        );
        let error = check(&column, &["train", "later"]).unwrap_err();
        assert!(error.contains("`later` in row 2"), "{error}");
    }

    #[test]
    fn a_weight_is_never_negative_and_not_all_are_nothing() {
        let roles = Roles {
            split_by: SplitBy::Rows,
            weight: Some("c".into()),
        };
        assert_eq!(
            check(&roles, &["0", "2"]).map(|facts| facts.weights),
            Ok(Some(vec![0.0, 2.0]))
        );
        assert!(
            check(&roles, &["1", "-2"])
                .unwrap_err()
                .contains("`-2` in row 2")
        );
        assert!(
            check(&roles, &["0", "0"])
                .unwrap_err()
                .contains("nothing would count")
        );
        let absent = Roles {
            weight: Some("w".into()),
            ..roles
        };
        assert!(
            check(&absent, &["1"])
                .unwrap_err()
                .contains("no column `w`")
        );
    }
}
