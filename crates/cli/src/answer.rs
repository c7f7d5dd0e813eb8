//! How predictions look, on a terminal, in a file and over HTTP: CSV or JSON, the same everywhere.

use std::io;

use anyhow::Result;
use data::FittedTask;
use serde::{Serialize, Serializer, ser::SerializeMap};
use study::model::Predictions;

/// What stands before what the model says of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// The row's number.
    Row,
    /// The file that the row is in or is, then its number.
    FileAndRow,
}

/// Column names of a CSV answer.
pub(crate) fn csv_header(task: &FittedTask, naming: Naming) -> Vec<String> {
    let mut names: Vec<String> = match naming {
        Naming::Row => vec!["row".into()],
        Naming::FileAndRow => vec!["file".into(), "row".into()],
    };
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
    pub(crate) file: Option<&'a str>,
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

/// One line for each row; `name` says in which file a row of a number stands.
pub(crate) fn lines<'a>(
    predictions: &'a Predictions,
    rows: &'a [u64],
    name: impl Fn(usize) -> Option<&'a str> + 'a,
) -> impl Iterator<Item = Line<'a>> {
    assert_eq!(
        predictions.len(),
        rows.len(),
        "every row has its prediction"
    );
    rows.iter().enumerate().map(move |(index, row)| Line {
        file: name(index),
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
        if let Some(file) = self.file {
            writer.write_field(file)?;
        }
        writer.write_field(self.row.to_string())?;
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
        if let Some(file) = self.file {
            map.serialize_entry("file", file)?;
        }
        map.serialize_entry("row", &self.row)?;
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

    fn shown(predictions: &Predictions, file: Option<&'static str>) -> (String, String) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut json = String::new();
        for line in lines(predictions, &[3, 7], |_| file) {
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
        let (csv, json) = shown(&predictions, None);
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
        let (csv, json) = shown(&predictions, Some("a.csv"));
        assert_eq!(csv, "a.csv,3,900.5\na.csv,7,-1\n");
        assert!(json.starts_with("{\"file\":\"a.csv\",\"row\":3,\"value\":900.5}"));
        let task = FittedTask::Regression {
            target: "rent".into(),
            mean: 0.0,
            scale: 1.0,
        };
        assert_eq!(
            csv_header(&task, Naming::FileAndRow),
            ["file", "row", "rent"]
        );
    }
}
