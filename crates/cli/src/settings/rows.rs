//! Which rows are for what, which are one, and how many may be read: `[split]`, `[series]`, `[read]` and the flags
//! that say the same.

use anyhow::{Result, bail};
use data::{
    DataKind, Dialect, HeaderLine, ReadMax, Roles, SplitBy, SplitShares, StepColumns, TaskKind,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use study::config::StudyConfig;

use super::{StudyToml, set};
use crate::args::DataArgs;

/// `[split]`: shares of all rows, each from 0 to below 1, and at most one column that the split follows.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SplitToml {
    /// Rows that decide between trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) validation: Option<f64>,
    /// Rows that only the final score sees; a fifth if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vault: Option<f64>,
    /// Folds of a cross-validation over all rows that are not in the vault, instead of a share that
    /// validates; 1 for none. Five if there are few rows, and neither `validation` nor a column or a time says
    /// which rows validate; groups stay in one piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) folds: Option<u8>,
    /// How many times rows are dealt into folds, each time otherwise; the model is the mean of all networks. Once if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repeats: Option<u8>,
    /// Rows with the same value in this column stay on one side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// The oldest rows by this column (numbers or dates) are learned from, the newest are the vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
    /// This column says of each row what it is for: `train`, `validation` or `test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<String>,
}

/// `[series]`: a table has a row for each step of a series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SeriesToml {
    /// Rows with the same value in this column are one series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// Orders the rows of a series (numbers or dates); they stand in order if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<String>,
}

impl SeriesToml {
    pub(super) fn is_absent(&self) -> bool {
        *self == SeriesToml::default()
    }
}

impl From<&Option<StepColumns>> for SeriesToml {
    fn from(columns: &Option<StepColumns>) -> SeriesToml {
        let columns = columns.as_ref();
        SeriesToml {
            id: columns.map(|columns| columns.id.clone()),
            time: columns.and_then(|columns| columns.time.clone()),
        }
    }
}

pub(super) fn steps(typed: &SeriesToml) -> Result<Option<StepColumns>> {
    match (&typed.id, &typed.time) {
        (Some(id), time) => Ok(Some(StepColumns {
            id: id.clone(),
            time: time.clone(),
        })),
        (None, Some(time)) => bail!(
            "`series.time` = `{time}` orders the rows of a series, but no column says which rows are one: \
             give `series.id` or --series-id"
        ),
        (None, None) => Ok(None),
    }
}

/// `[read]`: limits of what is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadToml {
    /// MiB of a file that is read as a whole, and of all that an archive unpacks to; 2048 if absent. Larger tables
    /// and sets of images are read in parts, whatever this says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mib_max: Option<u64>,
    /// Columns of a table; 100,000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) columns_max: Option<usize>,
    /// Classes of a target; 1,000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) classes_max: Option<usize>,
}

impl ReadToml {
    pub(super) fn is_usual(&self) -> bool {
        *self == ReadToml::default()
    }
}

impl From<ReadToml> for ReadMax {
    fn from(typed: ReadToml) -> ReadMax {
        ReadMax {
            mib: typed.mib_max,
            columns: typed.columns_max,
            classes: typed.classes_max,
        }
    }
}

impl From<ReadMax> for ReadToml {
    fn from(read: ReadMax) -> ReadToml {
        ReadToml {
            mib_max: read.mib,
            columns_max: read.columns,
            classes_max: read.classes,
        }
    }
}

pub(super) fn apply_flags(typed: &mut StudyToml, args: &DataArgs) {
    set(&mut typed.test, &args.test);
    set(&mut typed.validation, &args.validation);
    set(&mut typed.target, &args.target);
    if !args.ignore.is_empty() {
        typed.ignore.clone_from(&args.ignore);
    }
    set(&mut typed.image_size, &args.image_size);
    set(&mut typed.read.mib_max, &args.read_mib_max);
    set(&mut typed.read.columns_max, &args.columns_max);
    set(&mut typed.read.classes_max, &args.classes_max);
    typed.columns.extend(args.columns_as.iter().cloned());
    typed.header = args.header.map_or(typed.header, HeaderLine::from);
    let said = Dialect::from(args.dialect);
    set(&mut typed.delimiter, &said.delimiter);
    set(&mut typed.decimal, &said.decimal);
    set(&mut typed.encoding, &said.encoding);
    set(&mut typed.kind, &args.kind.map(DataKind::from));
    set(&mut typed.split.folds, &args.folds);
    set(&mut typed.split.repeats, &args.repeats);
    set(&mut typed.task, &args.task.map(TaskKind::from));
    set(&mut typed.weight, &args.weight);
    set(&mut typed.series.id, &args.series_id);
    set(&mut typed.series.time, &args.series_time);
    typed.seed = args.seed.unwrap_or(typed.seed);
    let flags = [&args.split_group, &args.split_time, &args.split_column];
    // One flag overrules whatever column the file names.
    if flags.iter().any(|flag| flag.is_some()) {
        let [group, time, column] = flags.map(Clone::clone);
        typed.split = SplitToml {
            group,
            time,
            column,
            ..typed.split
        };
    }
}

pub(super) fn dialect(typed: &StudyToml) -> Dialect {
    Dialect {
        delimiter: typed.delimiter,
        decimal: typed.decimal,
        encoding: typed.encoding,
    }
}

pub(super) fn image_size(typed: &StudyToml) -> Result<Option<u32>> {
    match typed.image_size {
        Some(0) => {
            bail!("`image_size` = 0 leaves nothing of an image: give at least 1, or leave it out")
        }
        size => Ok(size),
    }
}

pub(super) fn shares(typed: &SplitToml) -> SplitShares {
    SplitShares {
        validation: typed
            .validation
            .unwrap_or(SplitShares::default().validation),
        vault: typed.vault,
    }
}

/// Who asks for a share that validates asks for no cross-validation.
pub(super) fn folds(typed: &StudyToml) -> Option<u8> {
    match (typed.split.folds, typed.split.validation) {
        (None, Some(_)) => Some(1),
        (folds, _) => folds,
    }
}

pub(super) fn roles(typed: &StudyToml) -> Result<Roles> {
    let SplitToml {
        group,
        time,
        column,
        ..
    } = &typed.split;
    let split_by = match (group, time, column) {
        (None, None, None) => SplitBy::Rows,
        (Some(name), None, None) => SplitBy::Group(name.clone()),
        (None, Some(name), None) => SplitBy::Time(name.clone()),
        (None, None, Some(name)) => SplitBy::Column(name.clone()),
        _ => bail!(
            "`split` names more than one of `group`, `time` and `column`: a split follows one of them"
        ),
    };
    Ok(Roles {
        split_by,
        weight: typed.weight.clone(),
    })
}

/// `[split]` of a decided study.
pub(super) fn rendered(config: &StudyConfig) -> SplitToml {
    let by = &config.roles.split_by;
    let column = || by.column().map(str::to_string);
    SplitToml {
        // A share that is written down would be taken for one that was asked for, and end the folds.
        validation: config.folds.map(|_| config.split.validation),
        vault: config.split.vault,
        folds: config.folds,
        repeats: config.repeats,
        group: column().filter(|_| matches!(by, SplitBy::Group(_))),
        time: column().filter(|_| matches!(by, SplitBy::Time(_))),
        column: column().filter(|_| matches!(by, SplitBy::Column(_))),
    }
}
