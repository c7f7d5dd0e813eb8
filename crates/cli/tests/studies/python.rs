//! Python beside the program: whether it is there, and whether both say the same.

#![allow(dead_code)] // Each test program uses its own part of this.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::studies::{explore, said};

/// Largest difference of a probability, or of a value relative to its size or spread.
pub(crate) const TOLERANCE: f64 = 1e-4;

/// The repository that these tests are in.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Python that has some packages, unless these checks are to be skipped.
pub(crate) fn python_with(packages: &str, required: &str) -> Option<String> {
    let python = env::var("LEHR_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let import = format!("import {packages}");
    let tried = Command::new(&python).args(["-c", &import]).output();
    if tried.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    assert!(
        env::var_os(required).is_none(),
        "{python} lacks {packages}, which {required} requires"
    );
    eprintln!("skipped: {python} lacks one of {packages}; set LEHR_PYTHON to one that has them");
    None
}

/// The output of a command that went well.
pub(crate) fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{}", said(&output));
    output
}

/// A study of few small models, explored to its end.
pub(crate) fn study(data: &Path, place: &Path, more: &[&str]) -> PathBuf {
    let out = place.join("study");
    let arguments = [&["--trials", "6", "--slots", "2"], more].concat();
    succeeded(explore(data, &out, &arguments));
    out
}

/// Cells of a table of predictions below its header.
pub(crate) fn cells(table: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
    let mut reader = csv::Reader::from_reader(table);
    let header = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_string)
        .collect();
    let row = |record: csv::Result<csv::StringRecord>| {
        record.unwrap().iter().map(str::to_string).collect()
    };
    (header, reader.records().map(row).collect())
}

/// Both tables have the same header, rows and labels, and no number differs by more than the tolerance
/// times its size or, if that is larger, the spread of its column; returns the largest difference.
pub(crate) fn check_same(found: &[u8], expected: &[u8], tolerance: f64) -> f64 {
    let ((header, found), (expected_header, expected)) = (cells(found), cells(expected));
    assert_eq!(header, expected_header);
    assert_eq!(found.len(), expected.len());
    let spreads: Vec<f64> = (0..header.len())
        .map(|place| spread(&expected, place))
        .collect();
    let mut worst = 0.0_f64;
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found[0], expected[0], "rows are numbered alike");
        let row = &found[0];
        for (place, (found, expected)) in found.iter().zip(expected).enumerate().skip(1) {
            match (found.parse::<f64>(), expected.parse::<f64>()) {
                (Ok(a), Ok(b)) => {
                    let apart = (a - b).abs() / b.abs().max(spreads[place]);
                    assert!(apart <= tolerance, "row {row}: {found} is not {expected}");
                    worst = worst.max(apart);
                }
                _ => assert_eq!(found, expected, "row {row}"),
            }
        }
    }
    worst
}

/// Standard deviation of a column of numbers; at least 1, which is that of no probability.
fn spread(rows: &[Vec<String>], place: usize) -> f64 {
    let values: Vec<f64> = rows
        .iter()
        .filter_map(|row| row[place].parse().ok())
        .collect();
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / count;
    variance.sqrt().max(1.0)
}
