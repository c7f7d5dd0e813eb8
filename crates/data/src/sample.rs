//! A few rows as they were read, in a file: what an exported model is tried on, from raw input to answer.
//!
//! Nothing learns from them. They are kept because the user's own file may be gone or changed when a
//! model is exported. Where it must be tried on more than these, rows are drawn that nobody has.

mod drawn;

use std::{fs, path::Path};

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::{
    error::DataError,
    examples::write_durably,
    fitted::TextUnit,
    preprocess::Preprocessor,
    source::{Cells, Column, Dataset, Images, RawTargets, Series, Table, Texts},
    times::TimeFormat,
};

/// Version of the file.
const FORMAT: u32 = 1;

/// A sample never holds more cells, pixels, values of series or letters of texts than this, whichever its rows
/// are; a cell counts as one, however long its text is.
const VALUES_MAX: usize = 4 << 20;

/// Rows as they were read, without what is to be predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    dataset: Dataset,
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    rows: Rows,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rows {
    Columns(Vec<WrittenColumn>),
    Images {
        height: u32,
        width: u32,
        channels: u32,
        bytes: Vec<u8>,
    },
    Series {
        columns: Vec<String>,
        channels: u32,
        lengths: Vec<u32>,
        /// What is missing is null.
        values: Vec<Option<f32>>,
    },
    Texts {
        name: String,
        texts: Vec<String>,
        #[serde(default)]
        unit: TextUnit,
    },
}

#[derive(Serialize, Deserialize)]
struct WrittenColumn {
    name: String,
    cells: WrittenCells,
}

/// A missing cell is null; JSON has no other word for what is not a number.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenCells {
    Numbers(Vec<Option<f64>>),
    Words(Vec<Option<String>>),
    Times {
        seconds: Vec<Option<f64>>,
        format: TimeFormat,
    },
}

impl Sample {
    /// Up to `rows_max` of these rows, evenly spread; fewer if they are large.
    pub fn of(dataset: &Dataset, rows: &[u32], rows_max: usize) -> Sample {
        let affordable = VALUES_MAX / values_per_row(dataset).max(1);
        let count = rows_max.min(affordable.max(1)).min(rows.len());
        let chosen: Vec<usize> = (0..count)
            .map(|place| rows[place * rows.len() / count] as usize)
            .collect();
        Sample {
            dataset: chosen_rows(dataset, &chosen),
        }
    }

    /// Rows that nobody has, of the kind that preprocessing takes.
    ///
    /// Numbers are exact in `f32`, so that an exported model can be given the very same ones.
    pub fn drawn(preprocessor: &Preprocessor, rows: usize, rng: &mut ChaCha8Rng) -> Sample {
        Sample {
            dataset: drawn::dataset(preprocessor.inputs(), rows, rng),
        }
    }

    /// The rows.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The same, at most so many.
    #[must_use]
    pub fn at_most(&self, rows_max: usize) -> Sample {
        let rows: Vec<u32> = (0..self.dataset.rows() as u32).collect();
        Sample::of(&self.dataset, &rows, rows_max)
    }

    /// Writes the rows into a file.
    ///
    /// # Errors
    /// If the disk is full or may not be written.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        let rows = match &self.dataset {
            Dataset::Table(table) => Rows::Columns(table.columns.iter().map(written).collect()),
            Dataset::Images(images) => Rows::Images {
                height: images.height,
                width: images.width,
                channels: images.channels,
                bytes: images.bytes.clone(),
            },
            Dataset::Series(series) => Rows::Series {
                columns: series.columns.clone(),
                channels: series.channels,
                lengths: series.lengths.clone(),
                values: series
                    .values
                    .iter()
                    .map(|v| (!v.is_nan()).then_some(*v))
                    .collect(),
            },
            Dataset::Texts(texts) => Rows::Texts {
                name: texts.name.clone(),
                texts: texts.texts.clone(),
                unit: texts.unit,
            },
        };
        let written = Written {
            format: FORMAT,
            rows,
        };
        let text = serde_json::to_vec(&written).expect("its keys are strings");
        write_durably(path, &text)
    }

    /// Reads what [`Sample::save`] wrote.
    ///
    /// # Errors
    /// If the file is missing, damaged, or of another version.
    pub fn load(path: &Path) -> Result<Sample, DataError> {
        let text = fs::read(path).map_err(|source| DataError::Unreadable {
            path: path.to_path_buf(),
            source,
        })?;
        let malformed = |problem: String| DataError::Malformed {
            path: path.to_path_buf(),
            problem,
        };
        let written: Written =
            serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        if written.format != FORMAT {
            let problem = format!("its rows have format {}, {FORMAT} is read", written.format);
            return Err(malformed(problem));
        }
        let dataset = read(written.rows).ok_or_else(|| malformed("its columns differ".into()))?;
        Ok(Sample { dataset })
    }
}

/// Values of the largest row; letters count, too.
fn values_per_row(dataset: &Dataset) -> usize {
    match dataset {
        Dataset::Table(table) => table.columns.len(),
        Dataset::Images(images) => images.item_bytes(),
        Dataset::Series(series) => series.longest() as usize * series.channels as usize,
        Dataset::Texts(texts) => texts.texts.iter().map(String::len).max().unwrap_or(0),
    }
}

fn chosen_rows(dataset: &Dataset, rows: &[usize]) -> Dataset {
    let targets = RawTargets::Unknown(rows.len());
    match dataset {
        Dataset::Table(table) => Dataset::Table(Table {
            columns: table
                .columns
                .iter()
                .map(|column| chosen_cells(column, rows))
                .collect(),
            targets,
        }),
        Dataset::Images(images) => {
            let item = images.item_bytes();
            let bytes = rows
                .iter()
                .flat_map(|row| &images.bytes[row * item..][..item]);
            Dataset::Images(Images {
                bytes: bytes.copied().collect(),
                targets,
                ..*images
            })
        }
        Dataset::Series(series) => {
            let each: Vec<&[f32]> = series.each().collect();
            Dataset::Series(Series {
                columns: series.columns.clone(),
                steps: None,
                channels: series.channels,
                lengths: rows.iter().map(|row| series.lengths[*row]).collect(),
                values: rows.iter().flat_map(|row| each[*row]).copied().collect(),
                targets,
            })
        }
        Dataset::Texts(texts) => Dataset::Texts(Texts {
            name: texts.name.clone(),
            unit: texts.unit,
            texts: rows.iter().map(|row| texts.texts[*row].clone()).collect(),
            targets,
        }),
    }
}

fn chosen_cells(column: &Column, rows: &[usize]) -> Column {
    let cells = match &column.cells {
        Cells::Numbers(cells) => Cells::Numbers(rows.iter().map(|row| cells[*row]).collect()),
        Cells::Words(cells) => Cells::Words(rows.iter().map(|row| cells[*row].clone()).collect()),
        Cells::Texts(cells) => Cells::Texts(rows.iter().map(|row| cells[*row].clone()).collect()),
        Cells::Times { seconds, format } => Cells::Times {
            seconds: rows.iter().map(|row| seconds[*row]).collect(),
            format: format.clone(),
        },
    };
    Column {
        name: column.name.clone(),
        cells,
    }
}

fn written(column: &Column) -> WrittenColumn {
    let present = |cell: &f64| (!cell.is_nan()).then_some(*cell);
    WrittenColumn {
        name: column.name.clone(),
        cells: match &column.cells {
            Cells::Numbers(cells) => WrittenCells::Numbers(cells.iter().map(present).collect()),
            Cells::Words(cells) | Cells::Texts(cells) => WrittenCells::Words(cells.clone()),
            Cells::Times { seconds, format } => WrittenCells::Times {
                seconds: seconds.iter().map(present).collect(),
                format: format.clone(),
            },
        },
    }
}

/// The rows, unless their lengths do not fit each other.
fn read(rows: Rows) -> Option<Dataset> {
    match rows {
        Rows::Columns(written) => {
            let columns: Vec<Column> = written.into_iter().map(read_column).collect();
            let count = columns.first().map_or(0, |column| column.cells.len());
            let even = columns.iter().all(|column| column.cells.len() == count);
            let targets = RawTargets::Unknown(count);
            even.then_some(Dataset::Table(Table { columns, targets }))
        }
        Rows::Images {
            height,
            width,
            channels,
            bytes,
        } => {
            let item = height.checked_mul(width)?.checked_mul(channels)?.max(1) as usize;
            let targets = RawTargets::Unknown(bytes.len() / item);
            let whole = bytes.len().is_multiple_of(item);
            whole.then_some(Dataset::Images(Images {
                height,
                width,
                channels,
                bytes,
                targets,
            }))
        }
        Rows::Series {
            columns,
            channels,
            lengths,
            values,
        } => {
            let steps = lengths
                .iter()
                .try_fold(0_usize, |sum, l| sum.checked_add(*l as usize))?;
            let whole = steps.checked_mul(channels as usize)? == values.len();
            let targets = RawTargets::Unknown(lengths.len());
            whole.then_some(Dataset::Series(Series {
                columns,
                steps: None,
                channels,
                lengths,
                values: values
                    .into_iter()
                    .map(|value| value.unwrap_or(f32::NAN))
                    .collect(),
                targets,
            }))
        }
        Rows::Texts { name, texts, unit } => {
            let targets = RawTargets::Unknown(texts.len());
            Some(Dataset::Texts(Texts {
                name,
                texts,
                unit,
                targets,
            }))
        }
    }
}

fn read_column(column: WrittenColumn) -> Column {
    let number = |cell: Option<f64>| cell.unwrap_or(f64::NAN);
    let cells = match column.cells {
        WrittenCells::Numbers(cells) => Cells::Numbers(cells.into_iter().map(number).collect()),
        WrittenCells::Words(cells) => Cells::Words(cells),
        WrittenCells::Times { seconds, format } => Cells::Times {
            seconds: seconds.into_iter().map(number).collect(),
            format,
        },
    };
    Column {
        name: column.name,
        cells,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Dataset {
        let number = |row: u32| {
            if row.is_multiple_of(3) {
                f64::NAN
            } else {
                f64::from(row) / 7.0
            }
        };
        let word = |row: u32| (!row.is_multiple_of(4)).then(|| format!("größer {row}"));
        let columns = vec![
            Column {
                name: "a".into(),
                cells: Cells::Numbers((0..20).map(number).collect()),
            },
            Column {
                name: "b".into(),
                cells: Cells::Words((0..20).map(word).collect()),
            },
        ];
        let targets = RawTargets::Values(vec![0.0; 20]);
        Dataset::Table(Table { columns, targets })
    }

    /// Two samples are compared as text: what is not a number is not equal to itself.
    fn shown(sample: &Sample) -> String {
        format!("{sample:?}")
    }

    #[test]
    fn rows_come_back_from_a_file_as_they_were_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("rows.json");
        let images = Dataset::Images(Images {
            height: 2,
            width: 1,
            channels: 3,
            bytes: (0..30).collect(),
            targets: RawTargets::Classes(vec![0; 5]),
        });
        let series = Dataset::Series(Series {
            columns: vec!["a".into()],
            steps: None,
            channels: 2,
            lengths: vec![1, 3, 2],
            values: (0..12)
                .map(|v| if v == 5 { f32::NAN } else { v as f32 / 3.0 })
                .collect(),
            targets: RawTargets::Unknown(3),
        });
        let texts = Dataset::Texts(Texts {
            name: "t".into(),
            texts: vec!["a b".into(), String::new(), "ü\n".into()],
            unit: TextUnit::Character,
            targets: RawTargets::Unknown(3),
        });
        for (dataset, rows) in [
            (table(), vec![1, 2, 3, 4, 9, 16]),
            (images, vec![0, 3, 4]),
            (series, vec![1, 2]),
            (texts, vec![0, 2]),
        ] {
            let sample = Sample::of(&dataset, &rows, 1000);
            assert_eq!(sample.dataset().rows(), rows.len());
            sample.save(&path).unwrap();
            assert_eq!(shown(&Sample::load(&path).unwrap()), shown(&sample));
        }
        fs::write(&path, r#"{"format": 2, "rows": {"columns": []}}"#).unwrap();
        let error = Sample::load(&path).unwrap_err().to_string();
        assert!(error.contains("format 2"), "{error}");
    }

    #[test]
    fn a_sample_is_spread_over_all_rows() {
        let rows: Vec<u32> = (0..20).collect();
        let Dataset::Table(few) = Sample::of(&table(), &rows, 3).dataset else {
            unreachable!()
        };
        let Cells::Words(words) = &few.columns[1].cells else {
            unreachable!()
        };
        assert_eq!(
            words,
            &[None, Some("größer 6".into()), Some("größer 13".into())]
        );
    }
}
