//! How predictions look, on a terminal, in a file and over HTTP: CSV or JSON, the same everywhere.

use std::io;

use anyhow::Result;
use data::FittedTask;
use serde::{Serialize, Serializer, ser::SerializeMap};
use study::model::Predictions;

/// What a row is called beside its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Called<'a> {
    /// The file that it is in or is.
    pub(crate) file: Option<&'a str>,
    /// The id of the series that it is.
    pub(crate) series: Option<&'a str>,
}

/// Column names of a CSV answer whose rows are called like this one.
pub(crate) fn csv_header(task: &FittedTask, called: Called<'_>) -> Vec<String> {
    let file = called.file.map(|_| "file".to_string());
    let series = called.series.map(|_| "series".to_string());
    let row = "row".to_string();
    let mut names: Vec<String> = file.into_iter().chain([row]).chain(series).collect();
    match task {
        FittedTask::Classification { classes } => {
            names.push("label".into());
            names.extend(
                classes
                    .iter()
                    .map(|class| format!("probability of {class}")),
            );
        }
        FittedTask::Regression { target, .. } => names.push(target.clone()),
    }
    names
}

/// What the model says of one row.
pub(crate) struct Line<'a> {
    pub(crate) called: Called<'a>,
    pub(crate) row: u64,
    pub(crate) said: Said<'a>,
}

/// A prediction of one row.
#[derive(Clone, Copy)]
pub(crate) enum Said<'a> {
    Class {
        classes: &'a [String],
        probabilities: &'a [f64],
        /// Which of the classes is said.
        label: usize,
    },
    Value(f64),
}

/// One line for each row; `called` says what the row at an index is called.
pub(crate) fn lines<'a>(
    predictions: &'a Predictions,
    rows: &'a [u64],
    called: impl Fn(usize) -> Called<'a> + 'a,
) -> impl Iterator<Item = Line<'a>> {
    assert_eq!(
        predictions.len(),
        rows.len(),
        "every row has its prediction"
    );
    rows.iter().enumerate().map(move |(index, row)| Line {
        called: called(index),
        row: *row,
        said: match predictions {
            Predictions::Classes {
                classes,
                probabilities,
                labels,
            } => Said::Class {
                classes,
                probabilities: &probabilities[index],
                label: labels[index],
            },
            Predictions::Values { values, .. } => Said::Value(values[index]),
        },
    })
}

impl Line<'_> {
    /// Writes it as a line of CSV.
    pub(crate) fn write_csv<W: io::Write>(&self, writer: &mut csv::Writer<W>) -> Result<()> {
        if let Some(file) = self.called.file {
            writer.write_field(file)?;
        }
        writer.write_field(self.row.to_string())?;
        if let Some(series) = self.called.series {
            writer.write_field(series)?;
        }
        match self.said {
            Said::Class {
                classes,
                probabilities,
                label,
            } => {
                writer.write_field(&classes[label])?;
                for share in probabilities {
                    writer.write_field(format!("{share:.6}"))?;
                }
            }
            Said::Value(value) => writer.write_field(value.to_string())?,
        }
        Ok(writer.write_record(None::<&[u8]>)?)
    }
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(file) = self.called.file {
            map.serialize_entry("file", file)?;
        }
        map.serialize_entry("row", &self.row)?;
        if let Some(series) = self.called.series {
            map.serialize_entry("series", series)?;
        }
        match self.said {
            Said::Class {
                classes,
                probabilities,
                label,
            } => {
                map.serialize_entry("label", &classes[label])?;
                let shares = Shares {
                    classes,
                    probabilities,
                };
                map.serialize_entry("probabilities", &shares)?;
            }
            Said::Value(value) => map.serialize_entry("value", &value)?,
        }
        map.end()
    }
}

/// Probabilities by class, in the model's order.
struct Shares<'a> {
    classes: &'a [String],
    probabilities: &'a [f64],
}

impl Serialize for Shares<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.classes.len()))?;
        for (class, share) in self.classes.iter().zip(self.probabilities) {
            // A network computes with 24 bits: more digits would say nothing.
            map.serialize_entry(class, &(*share as f32))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(predictions: &Predictions, called: Called<'static>) -> (String, String) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut json = String::new();
        for line in lines(predictions, &[3, 7], |_| called) {
            line.write_csv(&mut writer).unwrap();
            json += &serde_json::to_string(&line).unwrap();
        }
        let csv = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        (csv, json)
    }

    #[test]
    fn a_class_is_shown_with_the_probability_of_each() {
        let predictions = Predictions::Classes {
            classes: vec!["no".into(), "yes, indeed".into()],
            probabilities: vec![vec![0.25, 0.75], vec![0.9, 0.1]],
            labels: vec![1, 0],
        };
        let (csv, json) = shown(&predictions, Called::default());
        assert_eq!(
            csv,
            "3,\"yes, indeed\",0.250000,0.750000\n7,no,0.900000,0.100000\n"
        );
        assert_eq!(
            json,
            "{\"row\":3,\"label\":\"yes, indeed\",\"probabilities\":{\"no\":0.25,\"yes, indeed\":0.75}}\
             {\"row\":7,\"label\":\"no\",\"probabilities\":{\"no\":0.9,\"yes, indeed\":0.1}}"
        );
    }

    #[test]
    fn a_value_is_shown_behind_the_file_it_is_of() {
        let predictions = Predictions::Values {
            target: "rent".into(),
            values: vec![900.5, -1.0],
        };
        let file = Called {
            file: Some("a.csv"),
            series: None,
        };
        let (csv, json) = shown(&predictions, file);
        assert_eq!(csv, "a.csv,3,900.5\na.csv,7,-1\n");
        assert!(json.starts_with("{\"file\":\"a.csv\",\"row\":3,\"value\":900.5}"));
        let task = FittedTask::Regression {
            target: "rent".into(),
            mean: 0.0,
            scale: 1.0,
        };
        assert_eq!(csv_header(&task, file), ["file", "row", "rent"]);
        let series = Called {
            series: Some("patient 4"),
            ..file
        };
        let (csv, json) = shown(&predictions, series);
        assert_eq!(csv, "a.csv,3,patient 4,900.5\na.csv,7,patient 4,-1\n");
        assert!(json.starts_with(
            "{\"file\":\"a.csv\",\"row\":3,\"series\":\"patient 4\",\"value\":900.5}"
        ));
        assert_eq!(csv_header(&task, series), ["file", "row", "series", "rent"]);
    }
}
