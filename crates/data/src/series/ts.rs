//! The `.ts` format of the UCR and UEA archives: one series per line, a block of values per channel, then
//! the class.
//!
//! `v,v,…:v,v,…:class`; lines with `@` in front say what is to be expected, and are held to it. Time stamps
//! are refused.

use std::path::Path;

use super::Growing;
use crate::{
    error::DataError,
    limits::ReadLimits,
    notice::Notice,
    source::Series,
    table::{
        encoding::decode,
        text::{malformed, numbered_lines, read_bytes},
    },
};

/// Series and what stands behind each.
#[derive(Debug)]
pub(crate) struct ReadSeries {
    pub(crate) series: Series,
    /// As many as series, or none if the file has none.
    pub(crate) labels: Vec<String>,
    /// Whether the labels are numbers to predict.
    pub(crate) is_regression: bool,
    pub(crate) notices: Vec<Notice>,
}

/// What the lines before the data say.
#[derive(Default)]
struct Declared {
    is_equal_length: bool,
    has_time_stamps: bool,
    dimensions: Option<usize>,
    /// Empty if any class is allowed.
    classes: Vec<String>,
    has_labels: bool,
    is_regression: bool,
}

/// Reads a `.ts` file, plain or gzipped.
///
/// # Errors
/// If a line breaks a rule of the format or of what the file says of itself; the line is named.
pub(crate) fn read(path: &Path, limits: &ReadLimits) -> Result<ReadSeries, DataError> {
    let mut notices = Vec::new();
    let text = decode(path, &read_bytes(path, limits)?, None, &mut notices)?;
    let mut lines = numbered_lines(&text, &['#', '%']);
    let declared = declarations(path, &mut lines)?;
    let (mut series, mut labels) = (None, Vec::new());
    let mut first_length = None;
    for (line, text) in lines {
        let wrong = |problem: String| malformed(path, format!("line {line}: {problem}"));
        let case = Case::parse(text, &declared).map_err(wrong)?;
        let channels = case.channels.len();
        let growing = series.get_or_insert_with(|| Growing::new(channels));
        if channels != growing.channels {
            let expected = growing.channels;
            return Err(wrong(format!(
                "it has {channels} channel(s), the lines before {expected}"
            )));
        }
        let length = case.channels.iter().map(Vec::len).max().unwrap_or(0);
        let first = *first_length.get_or_insert(length);
        if declared.is_equal_length && length != first {
            return Err(wrong(format!(
                "it has {length} steps, the first has {first}, and @equalLength is true"
            )));
        }
        growing.push(&case.channels);
        labels.extend(case.label);
    }
    let series = series.ok_or_else(|| malformed(path, "no series stand behind @data".into()))?;
    Ok(ReadSeries {
        series: series.finish(),
        labels,
        is_regression: declared.is_regression,
        notices,
    })
}

/// Reads up to `@data`.
fn declarations<'a>(
    path: &Path,
    lines: &mut impl Iterator<Item = (u64, &'a str)>,
) -> Result<Declared, DataError> {
    let mut declared = Declared::default();
    for (line, text) in lines {
        let mut words = text.split_whitespace();
        let keyword = words.next().unwrap_or_default().to_ascii_lowercase();
        let mut says_true = || {
            words
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case("true"))
        };
        match keyword.as_str() {
            "@data" if declared.has_time_stamps => {
                let problem = "its series have time stamps, which are not read: \
                               bring values at equal distances";
                return Err(malformed(path, problem.into()));
            }
            "@data" => return Ok(declared),
            "@equallength" => declared.is_equal_length = says_true(),
            "@timestamps" => declared.has_time_stamps = says_true(),
            "@classlabel" => {
                declared.has_labels = says_true();
                declared.classes = words.map(str::to_string).collect();
            }
            "@targetlabel" => {
                declared.has_labels = says_true();
                declared.is_regression = declared.has_labels;
            }
            "@dimensions" | "@dimension" => {
                declared.dimensions = words.next().and_then(|word| word.parse().ok());
            }
            other if other.starts_with('@') => {}
            other => {
                let problem = format!("line {line} begins with `{other}`: @data is expected first");
                return Err(malformed(path, problem));
            }
        }
    }
    Err(malformed(
        path,
        "it has no @data: a .ts file has its series behind that".into(),
    ))
}

/// One line of data.
struct Case {
    channels: Vec<Vec<f32>>,
    label: Option<String>,
}

impl Case {
    fn parse(text: &str, declared: &Declared) -> Result<Case, String> {
        let mut blocks: Vec<&str> = text.split(':').collect();
        let label = match declared.has_labels {
            false => None,
            true if blocks.len() < 2 => {
                return Err("it has no label behind a colon, and labels are declared".into());
            }
            true => blocks.pop().map(|label| label.trim().to_string()),
        };
        if let Some(label) = &label {
            check_label(label, declared)?;
        }
        if let Some(expected) = declared
            .dimensions
            .filter(|expected| *expected != blocks.len())
        {
            let found = blocks.len();
            return Err(format!(
                "it has {found} channel(s), and @dimensions is {expected}"
            ));
        }
        let channels = blocks.into_iter().map(values).collect::<Result<_, _>>()?;
        Ok(Case { channels, label })
    }
}

fn check_label(label: &str, declared: &Declared) -> Result<(), String> {
    if declared.is_regression && label.parse::<f64>().is_err() {
        return Err(format!("its target `{label}` is no number"));
    }
    let is_known = declared.classes.is_empty() || declared.classes.iter().any(|c| c == label);
    if declared.is_regression || is_known {
        return Ok(());
    }
    let classes = declared.classes.join(", ");
    Err(format!(
        "its label `{label}` is not among the declared ones ({classes})"
    ))
}

fn values(block: &str) -> Result<Vec<f32>, String> {
    let value = |word: &str| match word.trim() {
        "?" | "NaN" | "nan" | "" => Ok(f32::NAN),
        word => match word.parse::<f32>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(format!("`{word}` is no usable number")),
        },
    };
    block.split(',').map(value).collect()
}
