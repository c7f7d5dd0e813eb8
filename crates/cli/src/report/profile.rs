//! The profile of the data: rows of each part and class, columns, and what else was found.

use data::{
    Importance, Profile, TargetProfile,
    profile::{ColumnProfile, ColumnValues, PartRows},
};
use maud::{Markup, html};

use super::parts::thousands;
use crate::show;

/// Columns that are listed; `lehr inspect` shows all.
const COLUMNS_LISTED: usize = 60;

/// Classes that are listed.
const CLASSES_LISTED: usize = 30;

/// Words that are listed of a category.
const WORDS_LISTED: usize = 6;

pub(crate) fn profile(profile: &Profile) -> Markup {
    let details = || {
        let findings = profile.findings.iter();
        findings.filter(|finding| finding.importance == Importance::Detail)
    };
    html! {
        (parts(profile))
        @if !profile.columns.is_empty() { (columns(&profile.columns)) }
        @if details().next().is_some() {
            h3 { "Also found" }
            ul.notices { @for finding in details() { li { (finding) } } }
        }
    }
}

/// Rows of each part, and of each class in it.
fn parts(profile: &Profile) -> Markup {
    let classes = match &profile.target {
        TargetProfile::Classification { classes, .. } => classes.as_slice(),
        TargetProfile::Regression { .. } => &[],
    };
    // Rows that are cross-validated all validate, in turn.
    let validating = |rows: PartRows| match profile.rows.validation {
        0 => rows.train,
        _ => rows.validation,
    };
    let row = |name: &str, rows: PartRows| {
        html! {
            tr {
                td { (name) }
                td.number { (thousands(rows.train as u64)) }
                td.number { (thousands(validating(rows) as u64)) }
                td.number { (thousands(rows.vault as u64)) }
            }
        }
    };
    html! {
        table {
            thead {
                tr {
                    th { "rows" }
                    th.number { "to learn from" }
                    th.number { "to validate" }
                    th.number { "vault" }
                }
            }
            tbody {
                (row("all", profile.rows))
                @for class in classes.iter().take(CLASSES_LISTED) { (row(&class.class, class.rows)) }
                @if classes.len() > CLASSES_LISTED {
                    tr { td { (classes.len() - CLASSES_LISTED) " more classes" } }
                }
            }
        }
    }
}

fn columns(columns: &[ColumnProfile]) -> Markup {
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th { "column" }
                        th { "type" }
                        th.number { "missing" }
                        th.number { "explains alone" }
                        th.number { "different" }
                        th { "values" }
                    }
                }
                tbody {
                    @for column in columns.iter().take(COLUMNS_LISTED) {
                        tr {
                            td { (column.name) }
                            td { (column.values.kind()) }
                            td.number { (missing(column)) }
                            td.number { (alone(column)) }
                            td.number { (thousands(column.distinct as u64)) }
                            td { (values(&column.values)) }
                        }
                    }
                    @if columns.len() > COLUMNS_LISTED {
                        tr { td { (columns.len() - COLUMNS_LISTED) " more columns" } }
                    }
                }
            }
        }
    }
}

fn missing(column: &ColumnProfile) -> String {
    match column.missing {
        0 => "–".to_string(),
        _ => format!("{:.1} %", 100.0 * column.missing_share),
    }
}

fn alone(column: &ColumnProfile) -> String {
    let explained = column.alone.map(|alone| alone.explained.max(0.0));
    explained.map_or("–".to_string(), |explained| format!("{explained:.2}"))
}

fn values(values: &ColumnValues) -> String {
    match values {
        ColumnValues::Number(values) => show::span(values),
        ColumnValues::Category { levels, .. } => {
            let listed = levels.iter().take(WORDS_LISTED);
            let listed: Vec<String> = listed
                .map(|level| format!("{} ({})", level.level, thousands(level.rows as u64)))
                .collect();
            match levels.len() > WORDS_LISTED {
                true => format!("{}, …", listed.join(", ")),
                false => listed.join(", "),
            }
        }
        ColumnValues::Text { words } => format!("sentences of {words:.0} words in the mean"),
        ColumnValues::Time { first, last, .. } => format!("{first} … {last}"),
    }
}
