//! New rows for a fitted model: read by its columns and sizes, not guessed again.

use std::path::Path;

use crate::{
    error::DataError,
    examples::Examples,
    fitted::{FittedColumn, FittedImage, FittedKind},
    idx, images,
    limits::ReadLimits,
    npy::{self, Array},
    preprocess::Preprocessor,
    read::array_images,
    source::{Cells, Column, Dataset, Images, RawTargets, Table},
    table::{
        columns::{is_missing, number},
        records,
        text::{Decimal, Ragged, Row},
    },
};

/// New rows, ready for a network.
#[derive(Clone, Debug)]
pub struct RawRows {
    /// The good ones, without targets.
    pub examples: Examples,
    /// Their numbers in the file, from 1.
    pub row_numbers: Vec<u64>,
    /// The others.
    pub bad: Vec<BadRow>,
}

/// A row that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its number, from 1.
    pub row: u64,
    /// What is wrong with it.
    pub reason: String,
}

impl Preprocessor {
    /// New rows, read from a file like the one it was fitted on; the target may be absent. Rows that
    /// cannot be used are reported by number and passed over.
    ///
    /// # Errors
    /// If the file cannot be read, or lacks a column, or holds images where rows are needed.
    pub fn read_rows(&self, path: &Path, limits: &ReadLimits) -> Result<RawRows, DataError> {
        let (dataset, row_numbers, bad) = match (self.columns(), self.image()) {
            (Some(columns), _) if npy_kind(path).is_some() => array_rows(columns, path, limits)?,
            (Some(columns), _) => table_rows(columns, path, limits)?,
            (_, Some(image)) => image_rows(image, path, limits)?,
            (None, None) => unreachable!("preprocessing is of columns or of images"),
        };
        let rows: Vec<u32> = (0..dataset.rows() as u32).collect();
        let examples = self.apply(&dataset, &rows)?;
        Ok(RawRows {
            examples,
            row_numbers,
            bad,
        })
    }
}

type Read = (Dataset, Vec<u64>, Vec<BadRow>);

fn npy_kind(path: &Path) -> Option<&str> {
    path.extension()?
        .to_str()
        .filter(|extension| ["npy", "npz"].contains(extension))
}

fn unfit(path: &Path, problem: String) -> DataError {
    DataError::Unfit {
        path: path.to_path_buf(),
        problem,
    }
}

fn table_rows(
    columns: &[FittedColumn],
    path: &Path,
    limits: &ReadLimits,
) -> Result<Read, DataError> {
    let records = records(path, limits, Ragged::Keep)?;
    let width = records.header.len();
    let places: Vec<usize> = columns
        .iter()
        .map(|column| {
            records
                .header
                .iter()
                .position(|name| *name == column.name)
                .ok_or_else(|| {
                    let header = records.header.join(", ");
                    unfit(
                        path,
                        format!("it lacks the column `{}`: it has {header}", column.name),
                    )
                })
        })
        .collect::<Result<_, _>>()?;
    let (mut good, mut numbers, mut bad): (Vec<&Row>, _, _) = (Vec::new(), Vec::new(), Vec::new());
    for (index, row) in records.rows.iter().enumerate() {
        let number = index as u64 + 1;
        if row.cells.len() == width {
            good.push(row);
            numbers.push(number);
        } else {
            let cells = row.cells.len();
            let reason = format!("line {} has {cells} cells, the header {width}", row.line);
            bad.push(BadRow {
                row: number,
                reason,
            });
        }
    }
    let typed = columns.iter().zip(&places).map(|(column, place)| {
        let cells = good.iter().map(|row| row.cells[*place].as_str());
        Column {
            name: column.name.clone(),
            cells: cells_of_kind(column, cells, records.decimal),
        }
    });
    let table = Table {
        columns: typed.collect(),
        targets: RawTargets::Unknown(good.len()),
    };
    Ok((Dataset::Table(table), numbers, bad))
}

fn cells_of_kind<'a>(
    column: &FittedColumn,
    cells: impl Iterator<Item = &'a str>,
    decimal: Decimal,
) -> Cells {
    match column.kind {
        FittedKind::Numeric { .. } => Cells::Numbers(
            cells
                .map(|cell| number(cell, decimal).unwrap_or(f64::NAN))
                .collect(),
        ),
        FittedKind::Category { .. } => Cells::Words(
            cells
                .map(|cell| (!is_missing(cell)).then(|| cell.to_string()))
                .collect(),
        ),
    }
}

fn read_array(path: &Path, limits: &ReadLimits) -> Result<Array, DataError> {
    if npy_kind(path) == Some("npy") {
        let bytes = crate::table::text::read_bytes(path, limits)?;
        return npy::parse(path, "array", &bytes, limits);
    }
    let arrays = npy::read_npz(path, npy::Texts::Refuse, limits)?;
    let names: Vec<String> = arrays.iter().map(|(name, _)| name.clone()).collect();
    arrays
        .into_iter()
        .find(|(name, _)| crate::read::INPUT_NAMES.contains(&name.as_str()))
        .map(|(_, array)| array)
        .ok_or_else(|| {
            unfit(
                path,
                format!("it has no array `X`: it has {}", names.join(", ")),
            )
        })
}

fn array_rows(
    columns: &[FittedColumn],
    path: &Path,
    limits: &ReadLimits,
) -> Result<Read, DataError> {
    let array = read_array(path, limits)?;
    let [rows, width] = array.shape[..] else {
        return Err(unfit(
            path,
            format!(
                "its shape is {:?}, rows and columns are needed",
                array.shape
            ),
        ));
    };
    let values = array.values.to_floats();
    let column = |column: &FittedColumn| {
        let index = column
            .name
            .strip_prefix('x')
            .and_then(|index| index.parse::<usize>().ok());
        let index = index.filter(|index| *index < width).ok_or_else(|| {
            unfit(
                path,
                format!("its {width} columns do not include `{}`", column.name),
            )
        })?;
        let cells = (0..rows).map(|row| values[row * width + index]);
        let cells = Cells::Numbers(
            cells
                .map(|v| if v.is_finite() { v } else { f64::NAN })
                .collect(),
        );
        Ok(Column {
            name: column.name.clone(),
            cells,
        })
    };
    let columns = columns
        .iter()
        .map(column)
        .collect::<Result<_, DataError>>()?;
    let table = Table {
        columns,
        targets: RawTargets::Unknown(rows),
    };
    Ok((
        Dataset::Table(table),
        (1..=rows as u64).collect(),
        Vec::new(),
    ))
}

fn image_rows(image: &FittedImage, path: &Path, limits: &ReadLimits) -> Result<Read, DataError> {
    let size = (image.height, image.width, image.channels);
    let (bytes, numbers, bad) = if npy_kind(path).is_some() {
        let images = array_images(path, read_array(path, limits)?)?;
        let found = (images.height, images.width, images.channels);
        if found != size {
            let problem = format!("its images are {found:?}, those of the model {size:?}");
            return Err(unfit(path, problem));
        }
        all(images.bytes, size)
    } else if idx::is_images_file(path) {
        let (height, width, bytes) = idx::read_images(path, limits)?;
        if (height, width, 1) != size {
            let problem = format!("its images are {height}x{width}, those of the model {size:?}");
            return Err(unfit(path, problem));
        }
        all(bytes, size)
    } else {
        let (bytes, numbers, bad) = images::read_unlabelled(path, size, limits)?;
        let bad = bad
            .into_iter()
            .map(|(row, reason)| BadRow { row, reason })
            .collect();
        (bytes, numbers, bad)
    };
    let targets = RawTargets::Unknown(numbers.len());
    let images = Images {
        height: size.0,
        width: size.1,
        channels: size.2,
        bytes,
        targets,
    };
    Ok((Dataset::Images(images), numbers, bad))
}

fn all(bytes: Vec<u8>, size: (u32, u32, u32)) -> (Vec<u8>, Vec<u64>, Vec<BadRow>) {
    let count = bytes.len() / (size.0 * size.1 * size.2) as usize;
    (bytes, (1..=count as u64).collect(), Vec::new())
}
