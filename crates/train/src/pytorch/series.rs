//! Series as Python: of files, and of tables whose columns, or whose rows, are steps.

use data::{FittedSeries, Indicator, StepTable};

use super::{
    inputs::{DATES, DELIMITED, ROWS, arrays, clip},
    literal::{numbers, text, texts, truth},
};

/// What is done with all series, and how those of tables are read.
const SERIES: &str = include_str!("series.py");
const WIDE: &str = include_str!("wide.py");
const STEPS: &str = include_str!("steps.py");

/// What a time of a step is in [`STEPS`] where times are numbers, and where they are dates.
const NUMBER_AS_TIME: &str = "return as_number(cell, decimal)";
const DATE_AS_TIME: &str =
    "return numpy.nan if is_number(cell, decimal) else STEP_DATES.seconds(cell)";

/// What the script is given on its command line.
pub(super) fn takes(series: &FittedSeries) -> &'static str {
    match (&series.steps, series.columns.is_empty()) {
        (Some(_), _) => "SERIES (a table with a row for each step, or a file of .ts, .npz or .npy)",
        (None, false) => {
            "SERIES (a table with a column for each step, or a file of .ts, .npz or .npy)"
        }
        (None, true) => "SERIES (a file of .ts, .npz or .npy)",
    }
}

/// Everything before the network; `written` are the constants of how tables are written.
pub(super) fn parts(series: &FittedSeries, written: String) -> Vec<String> {
    let mut parts = vec![constants(series)];
    parts.extend(series.steps.as_ref().map(step_columns));
    parts.extend([written, DELIMITED.to_string(), arrays(), SERIES.to_string()]);
    match &series.steps {
        None => parts.extend([WIDE.to_string(), ROWS.to_string()]),
        Some(table) => parts.extend(of_steps(table)),
    }
    parts
}

fn constants(series: &FittedSeries) -> String {
    format!(
        "# Steps and channels of the longest series, mean and standard deviation of each channel of the\n\
         # training series, and whether a channel behind the others tells where something was measured.\n\
         LENGTH, CHANNELS = {}, {}\nSERIES_SHIFT = numpy.array({}, numpy.float32)\n\
         SERIES_SCALE = numpy.array({}, numpy.float32)\nTELLS_PRESENCE = {}\n\n\
         # Columns of a table that are the steps.\nCOLUMNS = {}\n\n{}",
        series.length,
        series.channels,
        numbers(&series.shift),
        numbers(&series.scale),
        truth(series.presence == Indicator::Present),
        texts(&series.columns, 0),
        clip(),
    )
}

fn step_columns(table: &StepTable) -> String {
    let time = table.time.as_ref().map(|time| text(&time.column));
    format!(
        "# Columns of a table with a row for each step: what tells series apart, what orders the steps of one\n\
         # (None: they stand in order), and the channels.\n\
         STEP_ID, STEP_TIME = {}, {}\nSTEP_CHANNELS = {}",
        text(&table.id),
        time.as_deref().unwrap_or("None"),
        texts(&table.channels, 0),
    )
}

fn of_steps(table: &StepTable) -> Vec<String> {
    match table.time.as_ref().and_then(|time| time.format.as_ref()) {
        None => vec![STEPS.to_string()],
        Some(form) => vec![
            DATES.to_string(),
            format!(
                "# How the times of steps are written.\nSTEP_DATES = DateForm({})",
                text(&form.to_string())
            ),
            STEPS.replace(NUMBER_AS_TIME, DATE_AS_TIME),
        ],
    }
}
