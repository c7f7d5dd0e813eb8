//! `lehr inspect`: what data are like before anything is trained, and what will be done about it.
//!
//! The data are read and split exactly as `lehr explore` would; nothing is written.

use anyhow::Result;
use data::{
    Importance, Notice, Profile, Severity, SplitBy, TargetProfile,
    profile::{ColumnProfile, ColumnValues, ImageProfile, Lengths, LevelCount},
};
use serde::Serialize;
use study::prepared::{PreparedData, prepare};
use train::{ClassWeights, Metric};

use crate::{args::InspectArgs, settings, show};

/// Version of what `--json` prints; a change that could break a reader changes it.
const SCHEMA: &str = "lehr.inspect/1";

/// Letters of a line.
const WIDTH: usize = 80;

/// Letters of a name; longer ones are cut.
const NAME_WIDTH: usize = 20;

/// Classes that are listed with their rows.
const CLASSES_LISTED: usize = 8;

/// Everything that `--json` prints.
#[derive(Serialize)]
struct Inspected<'a> {
    schema: &'static str,
    split: String,
    /// Folds of the cross-validation; 1 without.
    folds: u8,
    /// How many times rows are dealt into them.
    repeats: u8,
    metric: Metric,
    class_weights: ClassWeights,
    /// What was noticed while reading.
    notices: &'a [Notice],
    profile: &'a Profile,
}

pub(crate) fn run(args: &InspectArgs) -> Result<String> {
    let config = settings::decide_data(&args.data)?;
    let prepared = prepare(&config)?;
    let split = &config.roles.split_by;
    if args.json {
        return Ok(show::pretty_json(&Inspected {
            schema: SCHEMA,
            split: split.to_string(),
            folds: prepared.folds.count(),
            repeats: prepared.folds.repeats(),
            metric: prepared.metric,
            class_weights: prepared.class_weights,
            notices: &prepared.source.notices,
            profile: &prepared.profile,
        }));
    }
    Ok(text(&prepared, split, args.columns))
}

fn text(prepared: &PreparedData, split: &SplitBy, columns_max: usize) -> String {
    let profile = &prepared.profile;
    let rows = profile.rows;
    let mut text = entry("data", &profile.data);
    let by = match (split, &profile.target) {
        (SplitBy::Rows, TargetProfile::Classification { .. }) => {
            "row by row, classes evenly".into()
        }
        (SplitBy::Rows, TargetProfile::Regression { .. }) => "row by row, numbers evenly".into(),
        (by, _) => by.to_string(),
    };
    let both = rows.train + rows.validation;
    let dealt = match (prepared.folds.count(), prepared.folds.repeats()) {
        (1, _) => format!(
            "{} rows to learn from, {} to validate",
            rows.train, rows.validation
        ),
        (folds, 1) => format!("{both} rows to learn from and to validate, in {folds} folds"),
        (folds, repeats) => format!(
            "{both} rows to learn from and to validate, in {folds} folds, dealt {repeats} times"
        ),
    };
    text += &entry(
        "split",
        &format!("{dealt}, {} in the vault; {by}", rows.vault),
    );
    text += &entry("target", &target(&profile.target));
    let weights = match (prepared.class_weights, &profile.target) {
        (ClassWeights::Balanced, TargetProfile::Classification { .. }) => "; classes weigh alike",
        _ => "",
    };
    text += &entry("metric", &format!("{}{weights}", prepared.metric));
    if let Some(found) = &profile.images {
        text += &entry("images", &images(found));
    }
    if let Some(found) = &profile.series {
        let channels = found.channels;
        let steps = lengths(found.steps);
        let missing = match found.missing {
            0 => "no value missing".to_string(),
            _ => format!("{} of the values missing", share(found.missing_share)),
        };
        let said = format!("{channels} channel(s), {steps} steps, {missing}");
        text += &entry("series", &said);
    }
    if let Some(found) = &profile.texts {
        let (length, units) = (lengths(found.length), found.unit.plural());
        let said = format!(
            "{length} {units}, {} different, {} empty",
            found.different, found.empty
        );
        text += &entry("texts", &said);
    }
    if !profile.columns.is_empty() {
        text += "\n";
        text += &columns(&profile.columns, columns_max);
    }
    let said = findings(prepared);
    if !said.is_empty() {
        text += "\n";
        text += &said;
    }
    text
}

/// A name and what is said behind it, broken into lines.
fn entry(name: &str, said: &str) -> String {
    paragraph(&format!("{name:<8}"), said)
}

/// Words after a first indent, all following lines as far in.
fn paragraph(first: &str, words: &str) -> String {
    let indent = first.chars().count();
    let mut lines = vec![first.to_string()];
    let mut used = indent;
    for word in words.split(' ') {
        let length = word.chars().count();
        if used > indent && used + length + 1 > WIDTH {
            lines.push(" ".repeat(indent));
            used = indent;
        }
        let line = lines.last_mut().expect("there is a first line");
        if used > indent {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += length;
    }
    lines.join("\n") + "\n"
}

fn percent(part: usize, whole: usize) -> String {
    share(part as f64 / whole.max(1) as f64)
}

fn share(share: f64) -> String {
    match 100.0 * share {
        0.0 => "-".to_string(),
        few if few < 9.95 => format!("{few:.1} %"),
        many => format!("{many:.0} %"),
    }
}

fn target(target: &TargetProfile) -> String {
    match target {
        TargetProfile::Classification { classes, imbalance } => {
            let all: usize = classes.iter().map(|class| class.rows.all()).sum();
            let mut listed: Vec<String> = classes
                .iter()
                .take(CLASSES_LISTED)
                .map(|class| {
                    let rows = class.rows.all();
                    format!("`{}` {rows} ({})", class.class, percent(rows, all))
                })
                .collect();
            if let Some(more) = classes
                .len()
                .checked_sub(CLASSES_LISTED)
                .filter(|more| *more > 0)
            {
                listed.push(format!("{more} more classes"));
            }
            format!("{}; {imbalance:.1} to 1", listed.join(", "))
        }
        TargetProfile::Regression {
            name,
            values,
            distinct,
        } => format!(
            "`{name}` is a number, {distinct} different values: {}, mean {}, deviation {}",
            show::span(values),
            show::significant(values.mean),
            show::significant(values.deviation)
        ),
    }
}

fn lengths(lengths: Lengths) -> String {
    let Lengths {
        shortest,
        median,
        longest,
    } = lengths;
    format!("{shortest} … {median} … {longest}")
}

fn images(images: &ImageProfile) -> String {
    let ImageProfile {
        height,
        width,
        channels,
        ..
    } = images;
    let tone = match channels {
        1 => "gray",
        _ => "colour",
    };
    let sizes: Vec<String> = images
        .sizes
        .iter()
        .map(|size| format!("{}x{} ({})", size.height, size.width, size.files))
        .collect();
    let files = match images.different_sizes {
        0 => String::new(),
        1 => format!(
            "; files of one size, {} gray, {} in colour",
            images.gray_files, images.colour_files
        ),
        sizes_all => format!(
            "; files of {sizes_all} sizes, most of them {}; {} gray, {} in colour",
            sizes.join(", "),
            images.gray_files,
            images.colour_files
        ),
    };
    let means: Vec<String> = images
        .mean
        .iter()
        .map(|mean| format!("{mean:.0}"))
        .collect();
    format!("{height}x{width} {tone}, mean {}{files}", means.join("/"))
}

fn columns(columns: &[ColumnProfile], most: usize) -> String {
    let heading = ["column", "type", "missing", "alone", "values"]
        .map(String::from)
        .to_vec();
    let rows: Vec<Vec<String>> = columns.iter().take(most).map(row).collect();
    let all: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let mut text = String::new();
    for line in show::columns(&all).lines() {
        text += &cut(line.trim_end(), WIDTH);
        text.push('\n');
    }
    if columns.len() > most {
        let more = &columns[most..];
        let of = |kind: &str| {
            let columns = more.iter().filter(|column| column.values.kind() == kind);
            columns.count()
        };
        let kinds: Vec<String> = ["number", "category", "text", "time"]
            .into_iter()
            .filter(|kind| of(kind) > 0)
            .map(|kind| format!("{} {kind}", of(kind)))
            .collect();
        let missing = more.iter().filter(|column| column.missing > 0).count();
        text += &paragraph(
            "… ",
            &format!(
                "and {} more ({}; {missing} with missing cells): --columns N shows them",
                more.len(),
                kinds.join(", ")
            ),
        );
    }
    text += "alone: how much of the target the column explains by itself, on rows held out\n";
    text
}

fn row(column: &ColumnProfile) -> Vec<String> {
    let missing = match column.missing {
        0 => "-".to_string(),
        _ => share(column.missing_share),
    };
    let alone = column
        .alone
        .map_or("-".to_string(), |alone| match alone.explained {
            nothing if nothing < 0.005 => "-".to_string(),
            explained => format!("{explained:.2}"),
        });
    let values = match &column.values {
        ColumnValues::Number(values) => show::span(values),
        ColumnValues::Category { levels, .. } => words(column.distinct, levels),
        ColumnValues::Text { words } => format!("sentences of {words:.0} words in the mean"),
        ColumnValues::Time { first, last, .. } => format!("{first} … {last}"),
    };
    vec![
        cut(&column.name, NAME_WIDTH),
        column.values.kind().to_string(),
        missing,
        alone,
        values,
    ]
}

fn words(distinct: usize, levels: &[LevelCount]) -> String {
    let named: Vec<String> = levels
        .iter()
        .map(|level| format!("{} {}", level.level, level.rows))
        .collect();
    format!("{distinct} words: {}", named.join(", "))
}

/// At most so many letters; what is cut is told by `…`. Line ends and tabs become spaces.
fn cut(text: &str, width: usize) -> String {
    let letters: Vec<char> = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    match letters.len() > width {
        true => letters[..width - 1].iter().chain(['…'].iter()).collect(),
        false => letters.into_iter().collect(),
    }
}

/// What was noticed while reading, then what the profile found: warnings first.
fn findings(prepared: &PreparedData) -> String {
    let notices = prepared.source.notices.iter().map(|notice| {
        let is_warning = notice.severity == Severity::Warning;
        (is_warning, notice.text.clone())
    });
    let found = prepared.profile.findings.iter().map(|finding| {
        let is_warning = finding.importance == Importance::Warning;
        (is_warning, finding.to_string())
    });
    let mut all: Vec<(bool, String)> = notices.chain(found).collect();
    all.sort_by_key(|(is_warning, _)| !is_warning);
    all.iter()
        .map(|(is_warning, said)| paragraph(if *is_warning { "!   " } else { "    " }, said))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_broken_between_words_and_indented() {
        let said =
            "what was found here is long enough to need a second line and then some more of it";
        let text = entry("data", said);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines.iter().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        assert!(lines[1].starts_with("        "), "{text}");
        assert_eq!(
            text.split_whitespace().collect::<Vec<_>>().join(" "),
            format!("data {said}")
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_and_keeps_to_its_line() {
        assert_eq!(cut("a column\nof two lines", 12), "a column of…");
        assert_eq!(cut("short", 12), "short");
    }
}
