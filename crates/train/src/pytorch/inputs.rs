//! Preprocessing and answers as Python: what was fitted as constants, what is done with it as functions.

use data::{FittedColumn, FittedImage, FittedKind, FittedTask, Indicator, Preprocessor};

use super::literal::{numbers, text, texts, truth};

/// What is done with every table.
const TABLE: &str = include_str!("table.py");

/// What is done with all images.
const IMAGES: &str = include_str!("images.py");

/// From outputs to classes, and to a number.
const CLASSES: &str = include_str!("classes.py");
const NUMBER: &str = include_str!("number.py");

/// What the script is given on its command line.
pub(super) fn takes(preprocessor: &Preprocessor) -> &'static str {
    match preprocessor.columns() {
        Some(_) => "TABLE.csv",
        None => "IMAGES (a folder, one image, or a file of .npz, .npy or IDX)",
    }
}

/// What is predicted, as constants.
pub(super) fn answers(task: &FittedTask) -> String {
    match task {
        FittedTask::Classification { classes } => {
            format!(
                "# What the network tells apart, in the order of its outputs.\nCLASSES = {}",
                texts(classes, 0)
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
    match (preprocessor.columns(), preprocessor.image()) {
        (Some(columns), _) => {
            let columns: String = columns.iter().map(column).collect();
            format!(
                "{TABLE}\n\n# What was learned from the training rows, in the order of the network's inputs.\n\
                 COLUMNS = [\n{columns}]"
            )
        }
        (None, Some(image)) => format!("{}\n\n\n{IMAGES}", image_constants(image)),
        (None, None) => unreachable!("preprocessing is of columns or of images"),
    }
}

fn column(column: &FittedColumn) -> String {
    let name = text(&column.name);
    let told = |indicator: &Indicator| truth(*indicator == Indicator::Present);
    match &column.kind {
        FittedKind::Numeric {
            fill,
            missing_indicator,
            shift,
            scale,
        } => format!(
            "    Number({name}, fill={fill:?}, shift={shift:?}, scale={scale:?}, tells_missing={}),\n",
            told(missing_indicator)
        ),
        FittedKind::Category {
            levels,
            missing_indicator,
        } => format!(
            "    Category({name}, tells_missing={}, levels={}),\n",
            told(missing_indicator),
            texts(levels, 4)
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
