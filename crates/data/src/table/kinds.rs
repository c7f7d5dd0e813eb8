//! What columns of a table hold, where a user says so: it overrules what they look like.

use std::{collections::BTreeMap, fmt, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    read::{is_role, place_of},
    text::{Records, malformed},
};
use crate::{error::DataError, fitted::TextUnit, source::Request};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Numbers, of which more and less mean something.
    Number,
    /// One of some values, of which none is more than another; numbers may be names, too.
    Category,
    /// Sentences, or what else is written, read by what suits it.
    Text,
    /// The same, read by words.
    Words,
    /// The same, read by characters.
    Characters,
    /// Dates or times, in whatever way they are written.
    Date,
    /// The same, the day before the month.
    DateDayFirst,
    /// The same, the month before the day.
    DateMonthFirst,
}

impl ColumnKind {
    /// All of them.
    pub const ALL: [ColumnKind; 8] = [
        ColumnKind::Number,
        ColumnKind::Category,
        ColumnKind::Text,
        ColumnKind::Words,
        ColumnKind::Characters,
        ColumnKind::Date,
        ColumnKind::DateDayFirst,
        ColumnKind::DateMonthFirst,
    ];

    /// Whether it is a text, whatever it is read by.
    pub(crate) fn is_text(self) -> bool {
        self == ColumnKind::Text || self.unit().is_some()
    }

    /// What a text is to be read by, if that was said.
    pub(crate) fn unit(self) -> Option<TextUnit> {
        match self {
            ColumnKind::Words => Some(TextUnit::Word),
            ColumnKind::Characters => Some(TextUnit::Character),
            _ => None,
        }
    }

    /// Its name, as in `lehr.toml`.
    pub fn name(self) -> &'static str {
        match self {
            ColumnKind::Number => "number",
            ColumnKind::Category => "category",
            ColumnKind::Text => "text",
            ColumnKind::Words => "words",
            ColumnKind::Characters => "characters",
            ColumnKind::Date => "date",
            ColumnKind::DateDayFirst => "date_day_first",
            ColumnKind::DateMonthFirst => "date_month_first",
        }
    }
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ColumnKind {
    type Err = String;

    fn from_str(text: &str) -> Result<ColumnKind, String> {
        let found = ColumnKind::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            let known = ColumnKind::ALL.map(ColumnKind::name).join(", ");
            format!("`{text}` is nothing that a column can hold: choose one of {known}")
        })
    }
}

/// What is said of columns by name.
pub type ColumnKinds = BTreeMap<String, ColumnKind>;

/// Refuses what is said of a column that is not there, or is no input.
pub(super) fn check(
    path: &Path,
    request: &Request,
    records: &Records,
    target: usize,
) -> Result<(), DataError> {
    for (name, kind) in &request.columns {
        let place = place_of(path, records, name)?;
        let instead = match (place == target, is_role(request, name)) {
            (true, _) => "it is predicted (--task says whether it is a number or a class)",
            (_, true) => "it splits or weighs rows, and is no input",
            _ => continue,
        };
        let problem = format!("`{name}` cannot be read as {kind}: {instead}");
        return Err(malformed(path, problem));
    }
    Ok(())
}
