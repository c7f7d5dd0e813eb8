//! New rows for a fitted model: read by its columns and sizes, not guessed again.

use std::path::{Path, PathBuf};

use crate::{
    error::DataError,
    examples::Examples,
    fitted::{FittedColumn, FittedImage, FittedInputs, FittedKind, FittedSeries, FittedText},
    idx,
    images::{
        self,
        listed::{are_image_names, folder_of, read_listed},
    },
    limits::ReadLimits,
    npy::{self, Array},
    preprocess::Preprocessor,
    read::{array_images, array_series, format_of},
    series::{ts, wide},
    source::{Cells, Column, Dataset, Images, RawTargets, Series, Table, Texts},
    table::{
        Reading,
        columns::{is_missing, number},
        header::HeaderLine,
        records,
        text::{Decimal, Names, Ragged, Records, Row, decode, read_bytes},
    },
    times::TimeFormat,
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
        let (dataset, row_numbers, bad) = match self.inputs() {
            FittedInputs::Columns(columns) if npy_kind(path).is_some() => {
                array_rows(columns, path, limits)?
            }
            FittedInputs::Columns(columns) => {
                let wanted: Vec<_> = columns
                    .iter()
                    .map(|c| (c.name.as_str(), kind_of(c)))
                    .collect();
                table_rows(&wanted, path, limits)?
            }
            FittedInputs::Image(image) => image_rows(image, path, limits)?,
            FittedInputs::Series(series) => series_rows(series, path, limits)?,
            FittedInputs::Text(text) => text_rows(text, path, limits)?,
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

/// What the cells of a column are to be read as.
#[derive(Clone, Copy)]
enum CellKind<'a> {
    Numbers,
    Words,
    Times(&'a TimeFormat),
}

fn kind_of(column: &FittedColumn) -> CellKind<'_> {
    match &column.kind {
        FittedKind::Numeric { .. } => CellKind::Numbers,
        FittedKind::Category { .. } | FittedKind::Text { .. } => CellKind::Words,
        FittedKind::Time(time) => CellKind::Times(&time.format),
    }
}

/// Columns of these names.
type Wanted<'a> = [(&'a str, CellKind<'a>)];

fn table_rows(columns: &Wanted<'_>, path: &Path, limits: &ReadLimits) -> Result<Read, DataError> {
    let records = kept_records(path, limits)?;
    let width = records.header.len();
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let places = places_of(&names, &records, path)?;
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
    let typed = columns.iter().zip(&places).map(|((name, kind), place)| {
        let cells = good.iter().map(|row| row.cells[*place].as_str());
        Column {
            name: (*name).to_string(),
            cells: cells_of_kind(*kind, cells, records.decimal),
        }
    });
    let table = Table {
        columns: typed.collect(),
        targets: RawTargets::Unknown(good.len()),
    };
    Ok((Dataset::Table(table), numbers, bad))
}

fn kept_records(path: &Path, limits: &ReadLimits) -> Result<Records, DataError> {
    let reading = Reading {
        limits,
        ragged: Ragged::Keep,
        header: HeaderLine::Guess,
    };
    records(path, reading)
}

/// Where the columns of these names stand; in a file without names that has as many, they are in order.
fn places_of(names: &[&str], records: &Records, path: &Path) -> Result<Vec<usize>, DataError> {
    if records.names == Names::Numbered && records.header.len() == names.len() {
        return Ok((0..names.len()).collect());
    }
    let place = |name: &&str| {
        let place = records.header.iter().position(|other| other == name);
        place.ok_or_else(|| {
            let header = records.header.join(", ");
            let problem = format!("it lacks the column `{name}`: it has {header}");
            unfit(path, problem)
        })
    };
    names.iter().map(place).collect()
}

fn cells_of_kind<'a>(
    kind: CellKind<'_>,
    cells: impl Iterator<Item = &'a str>,
    decimal: Decimal,
) -> Cells {
    match kind {
        CellKind::Numbers => Cells::Numbers(
            cells
                .map(|cell| number(cell, decimal).unwrap_or(f64::NAN))
                .collect(),
        ),
        CellKind::Words => Cells::Words(
            cells
                .map(|cell| (!is_missing(cell)).then(|| cell.to_string()))
                .collect(),
        ),
        CellKind::Times(format) => Cells::Times {
            seconds: cells
                .map(|cell| format.seconds(cell).unwrap_or(f64::NAN))
                .collect(),
            format: format.clone(),
        },
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
    } else if is_table(path) {
        listed_images(path, size, limits)?
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

/// Pixels of the good images, their numbers, and the bad ones.
type Pixels = (Vec<u8>, Vec<u64>, Vec<BadRow>);

/// Whether a file's name is that of a table.
fn is_table(path: &Path) -> bool {
    const TABLES: [&str; 7] = ["csv", "tsv", "parquet", "arff", "json", "jsonl", "ndjson"];
    !path.is_dir() && TABLES.contains(&format_of(path))
}

/// The images that a table's column names.
fn listed_images(
    path: &Path,
    size: (u32, u32, u32),
    limits: &ReadLimits,
) -> Result<Pixels, DataError> {
    let records = kept_records(path, limits)?;
    let folder = folder_of(path);
    let cells = |place: usize| {
        let rows = records.rows.iter();
        rows.map(move |row| row.cells.get(place).map(String::as_str))
    };
    let place = (0..records.header.len()).find(|place| are_image_names(folder, cells(*place)));
    let place = place.ok_or_else(|| {
        let header = records.header.join(", ");
        unfit(
            path,
            format!("none of its columns names images beside it: it has {header}"),
        )
    })?;
    let names: Vec<Option<&str>> = cells(place).collect();
    let listed = read_listed(folder, &names, Some(size), limits)?;
    let number = |row: usize| row as u64 + 1;
    let bad = listed.bad.into_iter().map(|(row, reason)| BadRow {
        row: number(row),
        reason,
    });
    let bad = bad.collect();
    Ok((
        listed.bytes,
        listed.good.into_iter().map(number).collect(),
        bad,
    ))
}

fn all(bytes: Vec<u8>, size: (u32, u32, u32)) -> Pixels {
    let count = bytes.len() / (size.0 * size.1 * size.2) as usize;
    (bytes, (1..=count as u64).collect(), Vec::new())
}

/// Series of a `.ts` file, of arrays, or of a table with the steps' columns; those that are too long are bad.
fn series_rows(fitted: &FittedSeries, path: &Path, limits: &ReadLimits) -> Result<Read, DataError> {
    let series = if npy_kind(path).is_some() {
        array_series(path, &read_array(path, limits)?)?.0
    } else if format_of(path) == "ts" {
        ts::read(path, limits)?.series
    } else if fitted.columns.is_empty() {
        let problem = "the model takes series as .ts, NPY or NPZ files";
        return Err(unfit(path, problem.into()));
    } else {
        let steps = fitted.columns.iter();
        let wanted: Vec<_> = steps
            .map(|name| (name.as_str(), CellKind::Numbers))
            .collect();
        let (table, numbers, bad) = table_rows(&wanted, path, limits)?;
        let Dataset::Table(table) = table else {
            unreachable!("rows of columns are a table")
        };
        let series = wide::series_of(&table.columns, numbers.len());
        return Ok((Dataset::Series(series), numbers, bad));
    };
    let mut bad = Vec::new();
    let mut kept = Series {
        columns: Vec::new(),
        channels: series.channels,
        lengths: Vec::new(),
        values: Vec::new(),
        targets: RawTargets::Unknown(0),
    };
    let mut numbers = Vec::new();
    for ((values, length), number) in series.each().zip(&series.lengths).zip(1..) {
        if *length > fitted.length {
            let longest = fitted.length;
            let reason = format!("it has {length} steps, the model takes up to {longest}");
            bad.push(BadRow {
                row: number,
                reason,
            });
            continue;
        }
        kept.values.extend(values);
        kept.lengths.push(*length);
        numbers.push(number);
    }
    kept.targets = RawTargets::Unknown(numbers.len());
    Ok((Dataset::Series(kept), numbers, bad))
}

/// Texts of a table's column, of a `.txt` file, or of all such files in a folder, by their names.
fn text_rows(fitted: &FittedText, path: &Path, limits: &ReadLimits) -> Result<Read, DataError> {
    let is_text = |path: &Path| path.extension().is_some_and(|end| end == "txt");
    if path.is_dir() || is_text(path) {
        let files = match path.is_dir() {
            true => text_files(path, is_text)?,
            false => vec![path.to_path_buf()],
        };
        let read = |file: &PathBuf| decode(file, &read_bytes(file, limits)?, &mut Vec::new());
        let texts = files.iter().map(read).collect::<Result<_, _>>()?;
        return Ok(texts_read(
            fitted,
            texts,
            (1..).take(files.len()).collect(),
            Vec::new(),
        ));
    }
    let wanted = [(fitted.name.as_str(), CellKind::Words)];
    let (table, numbers, bad) = table_rows(&wanted, path, limits)?;
    let Dataset::Table(Table { mut columns, .. }) = table else {
        unreachable!("rows of columns are a table")
    };
    let Some(Cells::Words(cells)) = columns.pop().map(|column| column.cells) else {
        unreachable!("a column of text holds words")
    };
    let texts = cells.into_iter().map(Option::unwrap_or_default).collect();
    Ok(texts_read(fitted, texts, numbers, bad))
}

fn texts_read(
    fitted: &FittedText,
    texts: Vec<String>,
    numbers: Vec<u64>,
    bad: Vec<BadRow>,
) -> Read {
    let texts = Texts {
        name: fitted.name.clone(),
        targets: RawTargets::Unknown(texts.len()),
        texts,
    };
    (Dataset::Texts(texts), numbers, bad)
}

fn text_files(folder: &Path, is_text: impl Fn(&Path) -> bool) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |source| DataError::Unreadable {
        path: folder.to_path_buf(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() && is_text(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
