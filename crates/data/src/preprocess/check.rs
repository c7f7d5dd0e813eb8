//! What a description of preprocessing must be before anything follows it: files are damaged, and edited.

use serde::Deserialize;

use super::Preprocessor;
use crate::{
    fitted::{
        FORMAT, FittedColumn, FittedImage, FittedInputs, FittedKind, FittedSeries, FittedTask,
        FittedText, Scaling, TextUnit,
    },
    table::dialect::Dialect,
};

/// A description as it is written, not yet looked at.
#[derive(Deserialize)]
pub(super) struct Written {
    format: u32,
    inputs: FittedInputs,
    task: FittedTask,
    #[serde(default)]
    dialect: Dialect,
}

impl TryFrom<Written> for Preprocessor {
    type Error = String;

    fn try_from(written: Written) -> Result<Preprocessor, String> {
        let Written {
            format,
            inputs,
            task,
            dialect,
        } = written;
        if format != FORMAT {
            return Err(format!(
                "the preprocessing has format {format}; this lehr reads format {FORMAT}"
            ));
        }
        match &inputs {
            FittedInputs::Columns(columns) => columns.iter().try_for_each(check_column)?,
            FittedInputs::Image(image) => check_image(image)?,
            FittedInputs::Series(series) => check_series(series)?,
            FittedInputs::Text(text) => check_text(text)?,
        }
        if inputs.item().values() == 0 {
            return Err("a network would get no values of a row".to_string());
        }
        check_task(&task)?;
        Ok(Preprocessor::of(inputs, task, dialect))
    }
}

fn check_column(column: &FittedColumn) -> Result<(), String> {
    let name = &column.name;
    let scale = match &column.kind {
        FittedKind::Numeric {
            scaling: Scaling::Deviation { scale, .. },
            ..
        } => *scale,
        FittedKind::Time(time) => time.scale,
        FittedKind::Text { forms, words } => {
            return match forms.values().find(|place| u32::from(**place) >= *words) {
                Some(place) => Err(format!(
                    "the column `{name}` has {words} places for words, but one is at {place}"
                )),
                None => Ok(()),
            };
        }
        // Knots are checked where they are read; levels can be any.
        FittedKind::Numeric { .. } | FittedKind::Category { .. } => return Ok(()),
    };
    check_scale(&format!("the column `{name}`"), scale)
}

fn check_image(image: &FittedImage) -> Result<(), String> {
    let FittedImage {
        height,
        width,
        channels,
        shift,
        scale,
    } = image;
    if [height, width, channels].contains(&&0) {
        return Err(format!(
            "images of {height}x{width}x{channels} have no pixels"
        ));
    }
    let pixels = height.checked_mul(*width);
    if pixels
        .and_then(|pixels| pixels.checked_mul(*channels))
        .is_none()
    {
        return Err(format!(
            "images of {height}x{width}x{channels} are larger than any that is read"
        ));
    }
    check_channels(*channels, shift, scale)
}

fn check_series(series: &FittedSeries) -> Result<(), String> {
    if series.channels == 0 || series.length == 0 {
        let FittedSeries {
            channels, length, ..
        } = series;
        return Err(format!(
            "series of {length} steps of {channels} channels have no values"
        ));
    }
    check_channels(series.channels, &series.shift, &series.scale)
}

fn check_channels(channels: u32, shift: &[f32], scale: &[f32]) -> Result<(), String> {
    let lengths = [shift.len(), scale.len()];
    if lengths != [channels as usize; 2] {
        let [shifts, scales] = lengths;
        return Err(format!(
            "{channels} channel(s) have {shifts} shift(s) and {scales} scale(s)"
        ));
    }
    scale
        .iter()
        .try_for_each(|scale| check_scale("a channel", f64::from(*scale)))
}

fn check_text(text: &FittedText) -> Result<(), String> {
    let FittedText {
        unit,
        length,
        codes,
        forms,
        ..
    } = text;
    let least = match unit {
        TextUnit::Word => 1,
        TextUnit::Character => FittedText::CHARACTERS_MIN,
    };
    let units = unit.plural();
    if *length < least || *codes < u32::from(FittedText::FIRST_KNOWN) {
        return Err(format!("{length} {units} with {codes} codes are no texts"));
    }
    let is_one = |form: &&String| form.chars().count() == 1;
    if let (TextUnit::Character, Some(form)) = (unit, forms.keys().find(|form| !is_one(form))) {
        return Err(format!("`{form}` is no character"));
    }
    if *unit == TextUnit::Word && !text.pairs.is_empty() {
        return Err("pairs are told of characters only, not of words".to_string());
    }
    let Some(characters) = (*codes as usize).checked_sub(text.pairs.len()) else {
        return Err(format!(
            "{codes} codes are too few for {} pairs",
            text.pairs.len()
        ));
    };
    if *codes > 1 << 16
        || text
            .pairs
            .iter()
            .flatten()
            .any(|code| usize::from(*code) >= characters)
    {
        return Err(format!(
            "of {codes} codes, those of pairs are the last {}",
            text.pairs.len()
        ));
    }
    match forms.values().find(|code| u32::from(**code) >= *codes) {
        Some(code) => Err(format!(
            "there are {codes} codes, but one of its {units} has {code}"
        )),
        None => Ok(()),
    }
}

fn check_task(task: &FittedTask) -> Result<(), String> {
    match task {
        FittedTask::Classification { classes } if classes.is_empty() => {
            Err("there are no classes to tell apart".to_string())
        }
        FittedTask::Classification { .. } => Ok(()),
        FittedTask::Regression { target, scale, .. } => {
            check_scale(&format!("the target `{target}`"), *scale)
        }
    }
}

fn check_scale(of: &str, scale: f64) -> Result<(), String> {
    match scale > 0.0 && scale.is_finite() {
        true => Ok(()),
        false => Err(format!("{of} has the scale {scale}; a scale is above 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(inputs: serde_json::Value) -> Result<Preprocessor, String> {
        let task = serde_json::json!({ "kind": "classification", "classes": ["a", "b"] });
        let written = serde_json::json!({ "format": 1, "inputs": inputs, "task": task });
        serde_json::from_value(written).map_err(|error| error.to_string())
    }

    #[test]
    fn what_would_be_read_beyond_its_end_is_refused_with_the_rule() {
        let image = |channels: u32| {
            serde_json::json!({ "image": {
                "height": 2, "width": 2, "channels": channels, "shift": [0.0], "scale": [1.0],
            }})
        };
        assert!(read(image(1)).is_ok());
        assert!(read(image(0)).unwrap_err().contains("have no pixels"));
        assert!(read(image(3)).unwrap_err().contains("1 shift(s)"));
        let huge = serde_json::json!({ "image": {
            "height": 65536, "width": 65536, "channels": 1, "shift": [0.0], "scale": [1.0],
        }});
        assert!(read(huge).unwrap_err().contains("larger than any"));
        let series = serde_json::json!({ "series": {
            "channels": 1, "length": 4, "shift": [0.0], "scale": [0.0], "presence": "absent",
        }});
        assert!(read(series).unwrap_err().contains("a scale is above 0"));
        let text = |code: u16| {
            serde_json::json!({ "text": {
                "name": "t", "length": 3, "codes": 4, "forms": { "word": code },
            }})
        };
        assert!(read(text(3)).is_ok());
        assert!(
            read(text(4))
                .unwrap_err()
                .contains("one of its words has 4")
        );
        let bag = serde_json::json!({ "columns": [{
            "name": "note", "kind": "text", "forms": { "word": 2 }, "words": 2,
        }]});
        assert!(read(bag).unwrap_err().contains("`note`"));
        let none = serde_json::json!({ "columns": [] });
        assert!(read(none).unwrap_err().contains("no values of a row"));
    }
}
