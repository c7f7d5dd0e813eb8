//! The `.ts` format of the UCR and UEA archives: one series per line, a block of values per channel, then
//! the class.
//!
//! `v,v,…:v,v,…:class`; lines with `@` in front say what is to be expected, and are held to it. Time stamps
//! are refused.

use std::{collections::BTreeMap, path::Path};

use super::{Growing, VALUE_BYTES};
use crate::{
    error::DataError,
    limits::ReadLimits,
    notice::Notice,
    source::Series,
    table::{
        Reading,
        encoding::decode,
        text::{Ragged, malformed, numbered_lines, read_bytes},
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
    /// Lines of data that could not be read, by their number among them from 1, if such are kept.
    pub(crate) unread: BTreeMap<u64, String>,
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
/// If a line breaks a rule of the format or of what the file says of itself; the line is named. Where lines are kept
/// that cannot be read, only if all of them are such.
pub(crate) fn read(path: &Path, reading: Reading<'_>) -> Result<ReadSeries, DataError> {
    let mut notices = Vec::new();
    let bytes = read_bytes(path, reading.limits)?;
    let text = decode(path, &bytes, reading.dialect.encoding, &mut notices)?;
    let mut lines = numbered_lines(&text, &['#', '%']);
    let declared = declarations(path, &mut lines)?;
    let (mut alike, mut labels, mut unread) = (Alike::default(), Vec::new(), BTreeMap::new());
    for (number, (line, text)) in (1..).zip(lines) {
        let case = Case::parse(text, &declared);
        if let Ok(case) = &case {
            alike.check_padding(path, case, reading.limits)?;
        }
        match case.and_then(|case| alike.add(case, &declared)) {
            Ok(label) => labels.extend(label),
            Err(problem) => {
                let problem = format!("line {line}: {problem}");
                if reading.ragged == Ragged::Refuse {
                    return Err(malformed(path, problem));
                }
                unread.insert(number, problem);
            }
        }
    }
    let series = alike.series.ok_or_else(|| {
        let first = unread.values().next().cloned();
        malformed(path, first.unwrap_or("no series stand behind @data".into()))
    })?;
    Ok(ReadSeries {
        series: series.finish(),
        labels,
        is_regression: declared.is_regression,
        unread,
        notices,
    })
}

/// Series of as many channels as the first, and as many steps where that is declared.
#[derive(Default)]
struct Alike {
    series: Option<Growing>,
    first_length: usize,
    /// Values that no line has: of channels that end before others of their series.
    padding: u64,
}

impl Alike {
    /// Refuses series that would become far more than their lines are: one long channel makes others as long.
    fn check_padding(
        &mut self,
        path: &Path,
        case: &Case,
        limits: &ReadLimits,
    ) -> Result<(), DataError> {
        let length = case.length();
        let missing = |channel: &Vec<f32>| (length - channel.len()) as u64;
        self.padding += case.channels.iter().map(missing).sum::<u64>();
        match self.padding.saturating_mul(VALUE_BYTES) > limits.bytes_max {
            false => Ok(()),
            true => Err(DataError::TooLarge {
                path: path.to_path_buf(),
                what: "what its series take, all channels of each as long as its longest,"
                    .to_string(),
                limit: limits.bytes_said(),
            }),
        }
    }

    /// Adds a series, and gives its label back.
    fn add(&mut self, case: Case, declared: &Declared) -> Result<Option<String>, String> {
        let channels = case.channels.len();
        let length = case.length();
        let series = self.series.get_or_insert_with(|| {
            self.first_length = length;
            Growing::new(channels)
        });
        if channels != series.channels {
            let expected = series.channels;
            return Err(format!(
                "it has {channels} channel(s), the lines before {expected}"
            ));
        }
        if declared.is_equal_length && length != self.first_length {
            let first = self.first_length;
            return Err(format!(
                "it has {length} steps, the first has {first}, and @equalLength is true"
            ));
        }
        series.push(&case.channels);
        Ok(case.label)
    }
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
    /// Steps of its longest channel.
    fn length(&self) -> usize {
        let lengths = self.channels.iter().map(Vec::len);
        lengths.max().unwrap_or(0)
    }

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
