//! Preprocessing and answers as Python: what was fitted as constants, what is done with it as functions.

use data::{
    FittedColumn, FittedImage, FittedInputs, FittedKind, FittedTask, FittedText, Indicator,
    Preprocessor, Scaling, TextUnit, fitted::CLIP, levels, read::INPUT_NAMES,
};

use super::{
    dialect,
    literal::{in_lines, numbers, text, texts, truth},
    series,
};
use crate::calibration::Calibration;

/// How tables and arrays are read.
pub(super) const DELIMITED: &str = include_str!("delimited.py");
const ARRAYS: &str = include_str!("arrays.py");
const NAMES_PLACE: &str = "@NAMES@";

/// What is done with every table, and with the kinds of columns that not every table has.
const TABLE: &str = include_str!("table.py");
const WORDS: &str = include_str!("words.py");
const MANY_LEVELS: &str = include_str!("many_levels.py");
const SHARED_PLACE: &str = "@SHARED@";
const QUANTILES: &str = include_str!("quantiles.py");
const MORE_PLACE: &str = "@MORE@\n\n\n";

/// How dates are read, and what a column of them becomes.
pub(super) const DATES: &str = include_str!("dates.py");
const TIME: &str = include_str!("time.py");

/// Where words are looked up, and how a text becomes words.
const STORED: &str = include_str!("stored.py");
const PIECES: &str = include_str!("pieces.py");
const PAIRS: &str = include_str!("pairs.py");

/// What is done with all images and texts.
const IMAGES: &str = include_str!("images.py");
const TEXT: &str = include_str!("text.py");

/// What rows are called beside their answers.
pub(super) const ROWS: &str = include_str!("rows.py");

/// From outputs to classes, and to a number.
const CLASSES: &str = include_str!("classes.py");
const NUMBER: &str = include_str!("number.py");

/// What the script is given on its command line.
pub(super) fn takes(preprocessor: &Preprocessor) -> &'static str {
    match preprocessor.inputs() {
        FittedInputs::Columns(_) => "TABLE.csv",
        FittedInputs::Image(_) => "IMAGES (a folder, one image, or a file of .npz, .npy or IDX)",
        FittedInputs::Series(fitted) => series::takes(fitted),
        FittedInputs::Text(_) => "TEXTS (a table, a .txt file, or a folder of such files)",
    }
}

/// What must lie beside the script besides the weights.
pub(super) fn needs(preprocessor: &Preprocessor) -> Option<&'static str> {
    let is_stored = match preprocessor.inputs() {
        FittedInputs::Columns(columns) => columns.iter().any(is_stored),
        FittedInputs::Text(_) => true,
        FittedInputs::Image(_) | FittedInputs::Series(_) => false,
    };
    is_stored.then_some("Known words are read from model.json beside this file.")
}

/// Whether what is known of a column is too much to stand in the script.
fn is_stored(column: &FittedColumn) -> bool {
    is_text(column) || has_many_levels(column)
}

fn has_many_levels(column: &FittedColumn) -> bool {
    matches!(&column.kind, FittedKind::Category { levels, .. } if levels::shared(levels) > 0)
}

fn is_text(column: &FittedColumn) -> bool {
    matches!(column.kind, FittedKind::Text { .. })
}

fn is_long_tailed(column: &FittedColumn) -> bool {
    matches!(
        column.kind,
        FittedKind::Numeric {
            scaling: Scaling::Quantiles { .. },
            ..
        }
    )
}

/// What is predicted, as constants.
pub(super) fn answers(task: &FittedTask, calibration: &Calibration) -> String {
    match task {
        FittedTask::Classification { classes } => {
            format!(
                "# What the network tells apart, in the order of its outputs.\nCLASSES = {}\n\
                 # What divides all outputs before they become probabilities.\nTEMPERATURE = {:?}\n\
                 # Of two classes, what is then added to the output of the second.\nOFFSET = {:?}\n\
                 # Of two classes, the second is said above this probability.\nTHRESHOLD = {:?}",
                texts(classes, 0),
                calibration.temperature(),
                calibration.offset(),
                calibration.threshold(),
            )
        }
        FittedTask::Regression {
            target,
            mean,
            scale,
        } => format!(
            "# What is predicted: the network's output is in standard deviations from the mean.\n\
             TARGET = {}\nTARGET_MEAN = {mean:?}\nTARGET_SCALE = {scale:?}",
            text(target)
        ),
    }
}

/// Everything before the network.
pub(super) fn inputs(preprocessor: &Preprocessor) -> String {
    let written = dialect::constants(preprocessor.dialect());
    let parts = match preprocessor.inputs() {
        FittedInputs::Columns(columns) => table(columns, written),
        FittedInputs::Image(image) => vec![
            image_constants(image),
            arrays(),
            IMAGES.to_string(),
            ROWS.to_string(),
        ],
        FittedInputs::Series(fitted) => series::parts(fitted, written),
        FittedInputs::Text(text) => vec![
            text_constants(text),
            written,
            DELIMITED.to_string(),
            STORED.to_string(),
            match text.unit {
                TextUnit::Word => format!("{}\n\n\n{TEXT}", PIECES.trim_end()),
                TextUnit::Character => characters(text),
            },
            ROWS.to_string(),
        ],
    };
    let parts: Vec<&str> = parts.iter().map(|part| part.trim_end()).collect();
    parts.join("\n\n\n")
}

/// How arrays are read, as lehr knows them by their names.
pub(super) fn arrays() -> String {
    ARRAYS.replace(NAMES_PLACE, &texts(&INPUT_NAMES.map(str::to_string), 0))
}

fn table(columns: &[FittedColumn], written: String) -> Vec<String> {
    let lines: String = columns.iter().map(column).collect();
    let columns_list = format!(
        "{}\n\n\
         # What was learned from the training rows, in the order of the network's inputs.\n\
         COLUMNS = [\n{lines}]",
        clip(),
    );
    let mut parts = vec![written, DELIMITED.to_string(), arrays()];
    let mut more = String::new();
    if columns.iter().any(is_stored) {
        parts.push(STORED.to_string());
    }
    if columns.iter().any(has_many_levels) {
        let sizes = format!("{}, {}", levels::SHARED, levels::STEP);
        let code = MANY_LEVELS.replace(SHARED_PLACE, &sizes);
        more += &format!("{}\n\n\n", code.trim_end());
    }
    if columns.iter().any(is_text) {
        parts.push(PIECES.to_string());
        more += &format!("{}\n\n\n", WORDS.trim_end());
    }
    if columns.iter().any(is_long_tailed) {
        more += &format!("{}\n\n\n", QUANTILES.trim_end());
    }
    if columns
        .iter()
        .any(|column| matches!(column.kind, FittedKind::Time(_)))
    {
        more += &format!("{}\n\n\n{}\n\n\n", DATES.trim_end(), TIME.trim_end());
    }
    parts.push(TABLE.replace(MORE_PLACE, &more));
    parts.extend([columns_list, ROWS.to_string()]);
    parts
}

pub(super) fn clip() -> String {
    format!(
        "# Largest value, in scales, that reaches the network: one wild cell must not drown a row.\n\
         CLIP = {CLIP:?}"
    )
}

/// What a text consists of if it is read by words, in [`TEXT`], and if by characters.
const WORDS_OF_TEXT: &str = "words_of(text)";
const CHARACTERS_OF_TEXT: &str = r#"list(text.strip(" \t\n\r\f"))"#;

/// What the network takes in [`TEXT`], and with pairs of characters.
const CODES_ALONE: &str = "return torch.from_numpy(codes), numbers";
const CODES_AND_PAIRS: &str =
    "return torch.from_numpy(numpy.hstack([codes, pair_codes(codes)])), numbers";

fn characters(text: &FittedText) -> String {
    let code = TEXT.replace(WORDS_OF_TEXT, CHARACTERS_OF_TEXT);
    match text.pairs.is_empty() {
        true => code,
        false => {
            let code = code.replace(CODES_ALONE, CODES_AND_PAIRS);
            format!("{}\n\n\n{code}", PAIRS.trim_end())
        }
    }
}

fn text_constants(fitted: &FittedText) -> String {
    format!(
        "# The column of the texts, how many {units} are read of each, and the codes of none and of an\n\
         # unknown one; those of known {units} stand in model.json.\n\
         COLUMN = {}\nLENGTH, NOTHING, UNKNOWN = {}, {}, {}",
        text(&fitted.name),
        fitted.length,
        FittedText::NOTHING,
        FittedText::UNKNOWN,
        units = fitted.unit.plural(),
    )
}

fn column(column: &FittedColumn) -> String {
    let name = text(&column.name);
    let told = |indicator: &Indicator| truth(*indicator == Indicator::Present);
    match &column.kind {
        FittedKind::Numeric {
            fill,
            missing_indicator,
            scaling,
        } => {
            let missing = told(missing_indicator);
            match scaling {
                Scaling::Deviation { shift, scale } => format!(
                    "    Number({name}, fill={fill:?}, shift={shift:?}, scale={scale:?}, \
                     tells_missing={missing}),\n"
                ),
                Scaling::Quantiles { knots } => {
                    let knots: Vec<String> = knots
                        .pairs()
                        .iter()
                        .map(|knot| format!("{knot:?}"))
                        .collect();
                    format!(
                        "    LongTailed({name}, fill={fill:?}, tells_missing={missing}, knots={}),\n",
                        in_lines(&knots, 4)
                    )
                }
            }
        }
        FittedKind::Time(time) => {
            let cycles = time.cycles.iter();
            let cycles =
                cycles.map(|cycle| format!("({:?}, {:?})", cycle.begin(), cycle.seconds()));
            format!(
                "    Time({name}, {}, fill={:?}, shift={:?}, scale={:?}, tells_missing={}, cycles=[{}]),\n",
                text(&time.format.to_string()),
                time.fill,
                time.shift,
                time.scale,
                told(&time.missing_indicator),
                cycles.collect::<Vec<String>>().join(", ")
            )
        }
        FittedKind::Text { words, .. } => format!("    Words({name}, words={words}),\n"),
        FittedKind::Category {
            levels,
            missing_indicator,
        } => format!(
            "    {}({name}, tells_missing={}, levels={}),\n",
            if levels::shared(levels) > 0 {
                "ManyLevels"
            } else {
                "Category"
            },
            told(missing_indicator),
            texts(levels::own(levels), 4)
        ),
    }
}

fn image_constants(image: &FittedImage) -> String {
    let FittedImage {
        height,
        width,
        channels,
        shift,
        scale,
    } = image;
    format!(
        "# Size of every image, and mean and standard deviation of each channel of the training images.\n\
         HEIGHT, WIDTH, CHANNELS = {height}, {width}, {channels}\n\
         PIXEL_SHIFT = numpy.array({}, numpy.float32)\nPIXEL_SCALE = numpy.array({}, numpy.float32)",
        numbers(shift),
        numbers(scale),
    )
}

/// Everything behind the network.
pub(super) fn predictions(task: &FittedTask) -> String {
    match task {
        FittedTask::Classification { .. } => CLASSES.to_string(),
        FittedTask::Regression { .. } => NUMBER.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn script(fitted: Value, dialect: Value) -> String {
        let task = json!({ "kind": "classification", "classes": ["a", "b"] });
        let fitted = json!({ "format": 1, "inputs": fitted, "task": task, "dialect": dialect });
        inputs(&serde_json::from_value(fitted).unwrap())
    }

    fn check_says(script: &str, lines: &[&str]) {
        for line in lines {
            assert!(script.contains(line), "{line} is not in\n{script}");
        }
        for place in [NAMES_PLACE, SHARED_PLACE, "@MORE@"] {
            assert!(!script.contains(place), "{place} is left in\n{script}");
        }
    }

    #[test]
    fn a_script_reads_tables_as_was_said_and_arrays_by_all_names_that_lehr_knows() {
        let column = json!({
            "name": "day", "kind": "time", "format": "%Y-%m-%d", "fill": 0.0,
            "missing_indicator": "absent", "shift": 0.0, "scale": 1.0, "cycles": [],
        });
        let dialect = json!({ "delimiter": "blanks", "encoding": "shift_jis" });
        let script = script(json!({ "columns": [column] }), dialect);
        let said = r#"DELIMITER, DECIMAL, ENCODING = "blanks", None, "cp932""#;
        check_says(&script, &[said, "class DateForm:", "class Time:"]);
        let names = script.lines().find(|line| line.starts_with("INPUT_NAMES"));
        for name in INPUT_NAMES {
            let is_there = names.is_some_and(|line| line.contains(&text(name)));
            assert!(is_there, "{name} is not in {names:?}");
        }
    }

    #[test]
    fn a_script_of_series_says_how_they_stand_in_a_table() {
        let series = |steps: Value| {
            script(
                json!({ "series": {
                    "steps": steps, "channels": 2, "length": 9, "shift": [0.0, 0.0],
                    "scale": [1.0, 1.0], "presence": "absent",
                }}),
                json!({}),
            )
        };
        let time = json!({ "column": "when", "format": "%d.%m.%Y" });
        let dated = series(json!({ "id": "who", "time": time, "channels": ["x", "y"] }));
        let lines = [
            r#"STEP_ID, STEP_TIME = "who", "when""#,
            r#"STEP_CHANNELS = ["x", "y"]"#,
            r#"STEP_DATES = DateForm("%d.%m.%Y")"#,
            "else STEP_DATES.seconds(cell)",
            r#"return ["row", "series"]"#,
        ];
        check_says(&dated, &lines);
        let ordered = series(json!({ "id": "who", "channels": ["x", "y"] }));
        check_says(&ordered, &[r#"STEP_ID, STEP_TIME = "who", None"#]);
        assert!(!ordered.contains("DateForm"), "{ordered}");
        let of_files = series(Value::Null);
        check_says(&of_files, &["COLUMNS = []", r#"["file", "row"]"#]);
    }
}
