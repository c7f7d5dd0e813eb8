//! `lehr predict`: what a model says of each row or image, as CSV; bad rows are told and passed over.

use std::fs;

use anyhow::{Context, Result};
use data::ReadLimits;
use study::model::Predictions;

use crate::{args::PredictArgs, command::load_model, tell};

/// How many bad rows are named before the rest is only counted.
const BAD_ROWS_NAMED: usize = 10;

pub(crate) fn run(args: &PredictArgs) -> Result<String> {
    let model = load_model(&args.model)?;
    let rows = model
        .card
        .preprocessor
        .read_rows(&args.file, &ReadLimits::default())?;
    for bad in rows.bad.iter().take(BAD_ROWS_NAMED) {
        tell(&format!("row {} is passed over: {}", bad.row, bad.reason));
    }
    if rows.bad.len() > BAD_ROWS_NAMED {
        tell(&format!(
            "{} more rows are passed over",
            rows.bad.len() - BAD_ROWS_NAMED
        ));
    }
    let table = table(&model.predict(&rows.examples)?, &rows.row_numbers)?;
    match &args.out {
        None => Ok(table),
        Some(path) => {
            fs::write(path, table)
                .with_context(|| format!("could not write {}", path.display()))?;
            Ok(String::new())
        }
    }
}

fn table(predictions: &Predictions, rows: &[u64]) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    match predictions {
        Predictions::Classes {
            classes,
            probabilities,
            labels,
        } => {
            let named = classes
                .iter()
                .map(|class| format!("probability of {class}"));
            writer.write_record(["row".into(), "label".into()].into_iter().chain(named))?;
            for ((row, probabilities), label) in rows.iter().zip(probabilities).zip(labels) {
                let label = classes[*label].clone();
                let shares = probabilities.iter().map(|share| format!("{share:.6}"));
                writer.write_record([row.to_string(), label].into_iter().chain(shares))?;
            }
        }
        Predictions::Values { target, values } => {
            writer.write_record(["row", target])?;
            for (row, value) in rows.iter().zip(values) {
                writer.write_record([row.to_string(), value.to_string()])?;
            }
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
