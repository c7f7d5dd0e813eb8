//! What is worth saying about columns: suspects, strays, gaps, identifiers, rare words, long tails,
//! far values.

use super::{
    super::{
        ColumnProfile, ColumnValues, PartRows, Profile, TargetProfile, columns::RARE_LEVEL_ROWS,
    },
    DUPLICATE_SHARE, Finding, FindingKind as Kind,
    Importance::{Detail, Note, Warning},
    NAMED, named, percent,
};
use crate::{
    levels,
    oddities::{Strays, Useless},
    source::Source,
};

/// A column that explains so much of the classes alone is a suspect; one cell in a hundred may be wrong.
const SUSPECT_OF_CLASSES: f64 = 0.95;

/// The same for numbers, which are often nearly proportional to something honest.
const SUSPECT_OF_VALUES: f64 = 0.97;

/// Columns that are missing more often than this deserve a word.
const MISSING_SHARE: f64 = 0.5;

pub(super) fn findings(source: &Source, profile: &Profile) -> Vec<Finding> {
    let mut findings: Vec<Finding> = suspects(profile).into_iter().collect();
    findings.extend(strays(source));
    findings.extend(left_out(profile));
    findings.extend(missing(profile));
    for column in &profile.columns {
        findings.extend(identifier(column, profile.rows));
        findings.extend(many_levels(column, profile.rows));
    }
    findings.extend(rare_levels(profile));
    findings.extend(long_tails(profile));
    findings.extend(outliers(profile));
    findings
}

fn suspects(profile: &Profile) -> Option<Finding> {
    let limit = match profile.target {
        TargetProfile::Classification { .. } => SUSPECT_OF_CLASSES,
        TargetProfile::Regression { .. } => SUSPECT_OF_VALUES,
    };
    let explained = |column: &&ColumnProfile| column.alone.map_or(0.0, |alone| alone.explained);
    let suspects = profile
        .columns
        .iter()
        .filter(|column| explained(column) >= limit);
    let names: Vec<&str> = suspects
        .clone()
        .map(|column| column.name.as_str())
        .collect();
    let least = suspects
        .map(|column| explained(&column))
        .fold(1.0, f64::min);
    let share = percent(least);
    let (found, question) = match names[..] {
        [] => return None,
        [name] => (
            format!("column `{name}` alone says what the target is (it explains {share} of it)"),
            "is it known when predictions are made? it is kept; if not, --ignore leaves it out",
        ),
        _ => (
            format!(
                "each of {} columns alone says what the target is (explains {share} of it or more): {}",
                names.len(),
                named(&names)
            ),
            "are they known when predictions are made? they are kept; if not, --ignore leaves them out",
        ),
    };
    Some(Finding::new(
        Warning,
        Kind::Suspect,
        &names,
        found,
        question,
    ))
}

fn strays(source: &Source) -> Vec<Finding> {
    let strays = &source.oddities.strays;
    let of_one = |strays: &Strays| {
        let found = format!(
            "column `{}`: {} cell(s) are no {} (as `{}`)",
            strays.column, strays.count, strays.wanted, strays.example
        );
        let done = "they count as missing";
        Finding::new(Warning, Kind::Strays, &[&strays.column], found, done)
    };
    if strays.len() <= NAMED {
        return strays.iter().map(of_one).collect();
    }
    let names: Vec<&str> = strays.iter().map(|strays| strays.column.as_str()).collect();
    let cells: usize = strays.iter().map(|strays| strays.count).sum();
    let found = format!(
        "{} columns of numbers or dates have {cells} cells that are neither: {}",
        names.len(),
        named(&names)
    );
    vec![Finding::new(
        Warning,
        Kind::Strays,
        &names,
        found,
        "they count as missing",
    )]
}

fn left_out(profile: &Profile) -> Vec<Finding> {
    let of_kind = |why: Useless| {
        let columns = profile.left_out.iter().filter(|column| column.why == why);
        let names: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        let reason = match why {
            Useless::Missing => "without any value",
            Useless::Constant => "with the same value in every row",
            Useless::CountsRows => "that counts the rows",
            Useless::Identifier => "with another word in nearly every row, as an identifier",
        };
        let found = match names[..] {
            [] => return None,
            [name] => format!("column `{name}` is left out"),
            _ => format!("{} columns are left out ({})", names.len(), named(&names)),
        };
        let done = match names.len() {
            1 => format!("it is one {reason}"),
            _ => format!("each is one {reason}"),
        };
        Some(Finding::new(Note, Kind::LeftOut, &names, found, done))
    };
    Useless::ALL.into_iter().filter_map(of_kind).collect()
}

fn missing(profile: &Profile) -> Vec<Finding> {
    let done = "the median stands in for a number or date, and an input of its own tells of it, as of a \
                missing word";
    let with: Vec<&ColumnProfile> = profile
        .columns
        .iter()
        .filter(|column| column.missing > 0)
        .collect();
    let often: Vec<&ColumnProfile> = with
        .iter()
        .copied()
        .filter(|column| column.missing_share >= MISSING_SHARE)
        .collect();
    let names = |columns: &[&ColumnProfile]| -> Vec<String> {
        columns.iter().map(|column| column.name.clone()).collect()
    };
    let finding = |importance, columns: &[&ColumnProfile], what: &str| {
        let names = names(columns);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let most = columns
            .iter()
            .map(|column| column.missing_share)
            .fold(0.0, f64::max);
        let found = match names[..] {
            [] => return None,
            [name] => format!(
                "column `{name}` is missing in {} of the rows",
                percent(most)
            ),
            _ => format!(
                "{} columns {what} (at most {} of the rows): {}",
                names.len(),
                percent(most),
                named(&names)
            ),
        };
        Some(Finding::new(importance, Kind::Missing, &names, found, done))
    };
    let mostly = finding(Note, &often, "are missing more often than not");
    let rest = |column: &&ColumnProfile| column.missing_share < MISSING_SHARE;
    let others: Vec<&ColumnProfile> = with.into_iter().filter(rest).collect();
    mostly
        .into_iter()
        .chain(finding(Detail, &others, "have missing cells"))
        .collect()
}

fn identifier(column: &ColumnProfile, rows: PartRows) -> Option<Finding> {
    let name = column.name.as_str();
    let ColumnValues::Number(values) = &column.values else {
        return None;
    };
    let is_different = column.distinct >= rows.all() && column.missing == 0;
    let counts = values.max - values.min + 1.0 == rows.all() as f64;
    let is_identifier = values.whole && is_different && (counts || is_named_identifier(name));
    let found = format!("column `{name}` has another whole number in every row, as an identifier");
    let done = "it is learned from as a number; --ignore leaves it out if it means nothing";
    is_identifier.then(|| Finding::new(Note, Kind::Identifier, &[name], found, done))
}

fn is_named_identifier(name: &str) -> bool {
    let lower = name.to_lowercase();
    lower == "id"
        || ["_id", "-id", " id", ".id"]
            .iter()
            .any(|end| lower.ends_with(end))
        || name.ends_with("Id")
        || name.ends_with("ID")
}

fn many_levels(column: &ColumnProfile, rows: PartRows) -> Option<Finding> {
    let name = column.name.as_str();
    let ColumnValues::Category {
        own_inputs,
        sharing,
        unseen_rows,
        ..
    } = &column.values
    else {
        return None;
    };
    let importance = match *unseen_rows as f64 > DUPLICATE_SHARE * rows.all() as f64 {
        true => Note,
        false => Detail,
    };
    let found = format!("column `{name}` has {} different words", column.distinct);
    let rarer = match sharing {
        0 => String::new(),
        _ => format!(", {sharing} rarer ones share {}", levels::SHARED),
    };
    let done = format!(
        "the {own_inputs} commonest of the training rows have an input each{rarer}; of the other rows, \
         {unseen_rows} count as never seen"
    );
    let is_cut = column.distinct > *own_inputs;
    is_cut.then(|| Finding::new(importance, Kind::ManyLevels, &[name], found, done))
}

fn rare_levels(profile: &Profile) -> Option<Finding> {
    let rare = |column: &ColumnProfile| match &column.values {
        ColumnValues::Category { rare_levels, .. } => *rare_levels,
        _ => 0,
    };
    let with: Vec<&ColumnProfile> = profile.columns.iter().filter(|c| rare(c) > 0).collect();
    let names: Vec<&str> = with.iter().map(|column| column.name.as_str()).collect();
    let words: usize = with.iter().map(|column| rare(column)).sum();
    let found = match names[..] {
        [] => return None,
        [name] => format!("column `{name}` has {words} word(s)"),
        _ => format!(
            "{} columns have {words} words ({})",
            names.len(),
            named(&names)
        ),
    };
    let found = format!("{found} in fewer than {RARE_LEVEL_ROWS} training rows each");
    let done = "hardly anything can be learned of them";
    Some(Finding::new(Detail, Kind::RareLevels, &names, found, done))
}

fn long_tails(profile: &Profile) -> Option<Finding> {
    let with = profile.columns.iter().filter(|column| column.long_tailed);
    let names: Vec<&str> = with.map(|column| column.name.as_str()).collect();
    let found = match names[..] {
        [] => return None,
        [name] => format!("column `{name}` has long tails"),
        _ => format!("{} columns have long tails: {}", names.len(), named(&names)),
    };
    let done = "networks get such numbers by their quantiles, as a normal distribution has them";
    Some(Finding::new(Detail, Kind::LongTails, &names, found, done))
}

fn outliers(profile: &Profile) -> Option<Finding> {
    let clipped = profile.columns.iter().filter(|column| !column.long_tailed);
    let mut far: Vec<(f64, usize, &str)> = clipped
        .filter_map(|column| match &column.values {
            ColumnValues::Number(values) if values.clipped > 0 => {
                let most = (values.max - values.mean).max(values.mean - values.min);
                Some((
                    most / values.deviation,
                    values.clipped,
                    column.name.as_str(),
                ))
            }
            _ => None,
        })
        .collect();
    far.sort_by(|a, b| b.0.total_cmp(&a.0));
    let names: Vec<&str> = far.iter().map(|(_, _, name)| *name).collect();
    let most = far.first()?.0;
    let values: usize = far.iter().map(|(_, values, _)| values).sum();
    let found = match names[..] {
        [name] => format!(
            "column `{name}` reaches {most:.0} standard deviations from its mean ({values} value(s) \
             beyond 10)"
        ),
        _ => format!(
            "{} columns reach up to {most:.0} standard deviations from their means ({values} values \
             beyond 10): {}",
            names.len(),
            named(&names)
        ),
    };
    let done = "values beyond 10 are clipped there";
    Some(Finding::new(Detail, Kind::Outliers, &names, found, done))
}
