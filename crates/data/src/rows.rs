//! New rows for a fitted model: read by its columns and sizes, not guessed again.
//!
//! Files here, series in `series`, tables with a row for each step in `steps`; `stream` has tables without end,
//! `sent` what comes in requests. All of them end in [`Preprocessor::apply`], as training does.

mod series;
mod steps;
mod texts;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::{
    error::DataError,
    examples::Examples,
    fitted::{FittedColumn, FittedImage, FittedInputs, FittedKind, FittedSeries},
    idx,
    images::{
        self,
        listed::{are_image_names, folder_of, read_listed},
    },
    limits::ReadLimits,
    notice::Notice,
    npy::{self, Array},
    piped::refuse_read_once,
    preprocess::Preprocessor,
    read::{INPUT_NAMES, array_images, array_series, format_of, is_text_file, place_named},
    series::{check_padded, too_large, wide},
    source::{Cells, Column, Dataset, Images, RawTargets, Table},
    table::{
        Reading, Taken,
        columns::{is_missing, number},
        dialect::{Decimal, Dialect},
        header::{HeaderLine, is_header, is_numbered},
        records,
        text::{Names, Ragged, Records, Row, check_header},
    },
    times::TimeFormat,
};

pub(crate) use texts::texts_of;

/// New rows, ready for a network.
#[derive(Clone, Debug)]
pub struct RawRows {
    /// The good ones, without targets.
    pub examples: Examples,
    /// Their numbers in the file, from 1.
    pub row_numbers: Vec<u64>,
    /// What they are called beside that.
    pub names: RowNames,
    /// The others.
    pub bad: Vec<BadRow>,
    /// What was odd about rows that can be used all the same.
    pub notices: Vec<Notice>,
}

/// What rows are called beside their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowNames {
    /// Nothing.
    None,
    /// By their paths: each is a file of its own in a folder or an archive.
    Paths(Vec<String>),
    /// By the ids of series, whose steps are rows of the file; a series has the number of its first row.
    Series(Vec<String>),
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
        refuse_read_once(path, "give it as standard input (`lehr predict MODEL -`)")?;
        let is_array = npy_kind(path).is_some();
        let read = match self.inputs() {
            FittedInputs::Columns(columns) if is_array => array_rows(columns, path, limits)?,
            FittedInputs::Image(image) => image_rows(image, path, self.dialect(), limits)?,
            FittedInputs::Series(series) if is_array => {
                let array = series::learned_from(series, read_array(path, limits)?);
                let all = array_series(path, &array, Some(series))?;
                let mut read = series::short_enough(series, &all.series);
                read.notices.extend(all.too_large);
                read
            }
            FittedInputs::Series(series) if format_of(path) == "ts" => {
                series::of_ts(series, path, self.dialect(), limits)?
            }
            FittedInputs::Series(
                series @ FittedSeries {
                    steps: Some(table), ..
                },
            ) => steps::read(series, table, path, self.dialect(), limits)?,
            FittedInputs::Text(text)
                if (path.is_dir() || is_text_file(path))
                    && !texts::is_table(text, path, self.dialect(), limits)? =>
            {
                texts::of_files(text, path, self.dialect().encoding, limits)?
            }
            _ => self.table_rows(path, limits)?,
        };
        if let (FittedInputs::Series(fitted), Dataset::Series(series)) =
            (self.inputs(), &read.dataset)
        {
            check_padded(path, series, fitted.length, limits)?;
        }
        self.prepared(read)
    }

    fn table_rows(&self, path: &Path, limits: &ReadLimits) -> Result<ReadRows, DataError> {
        let wanted = self.wanted().ok_or_else(|| {
            let problem = "the model takes series as .ts, NPY or NPZ files";
            unfit(path, problem.to_string())
        })?;
        let names: BTreeSet<&str> = wanted.iter().map(|(name, _)| *name).collect();
        let is_wanted = |column: &str| names.contains(column);
        let reading = Reading {
            header: HeaderLine::Absent,
            taken: Taken::Only(&is_wanted),
            ..kept(self.dialect(), limits)
        };
        let records = records(path, reading)?;
        let records = with_header(&wanted, path, records, limits)?;
        let places = Places::find(&wanted, path, &records.header, records.names)?;
        let mut read = places.typed(&wanted, &records.rows, records.decimal, 0);
        read.give_reasons(&records.unread, 0);
        read.notices.extend(records.notices);
        Ok(self.of_table(read))
    }

    /// The columns that the model reads of a table; nothing if it takes none.
    pub(crate) fn wanted(&self) -> Option<Wanted<'_>> {
        match self.inputs() {
            FittedInputs::Columns(columns) => {
                let wanted = columns.iter().map(|c| (c.name.as_str(), kind_of(c)));
                Some(wanted.collect())
            }
            FittedInputs::Image(_) => None,
            FittedInputs::Series(FittedSeries { columns, .. }) if columns.is_empty() => None,
            FittedInputs::Series(FittedSeries { columns, .. }) => {
                let steps = columns.iter();
                Some(steps.map(|c| (c.as_str(), CellKind::Numbers)).collect())
            }
            FittedInputs::Text(text) => Some(vec![(text.name.as_str(), CellKind::Words)]),
        }
    }

    /// Whether it takes series from a table with a row for each step.
    pub fn is_of_steps(&self) -> bool {
        matches!(self.inputs(), FittedInputs::Series(series) if series.steps.is_some())
    }

    /// Rows of a table with the wanted columns, as the kind of row that the model takes; series that are too long for
    /// it become bad.
    pub(crate) fn of_table(&self, mut read: ReadRows) -> ReadRows {
        let rows = read.row_numbers.len();
        read.dataset = match (self.inputs(), read.dataset) {
            (FittedInputs::Series(fitted), Dataset::Table(table)) => {
                read.notices
                    .extend(too_large(wide::numbers(&table.columns)));
                let all = wide::series_of(&table.columns, rows);
                let fitting = series::short_enough(fitted, &all);
                let number = |place: u64| read.row_numbers[place as usize - 1];
                let bad = fitting.bad.into_iter().map(|bad| BadRow {
                    row: number(bad.row),
                    ..bad
                });
                read.bad.extend(bad);
                read.bad.sort_by_key(|bad| bad.row);
                read.row_numbers = fitting.row_numbers.into_iter().map(number).collect();
                fitting.dataset
            }
            (FittedInputs::Text(fitted), Dataset::Table(Table { mut columns, .. })) => {
                let Some(Cells::Words(cells)) = columns.pop().map(|column| column.cells) else {
                    unreachable!("a column of text holds words")
                };
                let texts = cells.into_iter().map(Option::unwrap_or_default);
                texts_of(fitted, texts.collect())
            }
            (_, dataset) => dataset,
        };
        read
    }

    /// Rows as they were read, as a network takes them.
    pub(crate) fn prepared(&self, read: ReadRows) -> Result<RawRows, DataError> {
        let rows: Vec<u32> = (0..read.dataset.rows() as u32).collect();
        Ok(RawRows {
            examples: self.apply(&read.dataset, &rows)?,
            row_numbers: read.row_numbers,
            names: read.names,
            bad: read.bad,
            notices: read.notices,
        })
    }
}

/// New rows before preprocessing.
pub(crate) struct ReadRows {
    pub(crate) dataset: Dataset,
    pub(crate) row_numbers: Vec<u64>,
    pub(crate) names: RowNames,
    pub(crate) bad: Vec<BadRow>,
    pub(crate) notices: Vec<Notice>,
}

impl ReadRows {
    /// Why rows could not be read, by their place among these rows, which stand behind `rows_before` others.
    pub(crate) fn give_reasons(&mut self, unread: &BTreeMap<usize, String>, rows_before: u64) {
        for bad in &mut self.bad {
            if let Some(reason) = unread.get(&((bad.row - rows_before) as usize - 1)) {
                bad.reason.clone_from(reason);
            }
        }
    }

    /// Rows that are all good.
    pub(crate) fn all(dataset: Dataset) -> ReadRows {
        ReadRows {
            row_numbers: (1..=dataset.rows() as u64).collect(),
            dataset,
            names: RowNames::None,
            bad: Vec::new(),
            notices: Vec::new(),
        }
    }
}

fn npy_kind(path: &Path) -> Option<&str> {
    path.extension()?
        .to_str()
        .filter(|extension| ["npy", "npz"].contains(extension))
}

pub(crate) fn unfit(path: &Path, problem: String) -> DataError {
    DataError::Unfit {
        path: path.to_path_buf(),
        problem,
    }
}

/// What the cells of a column are to be read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellKind<'a> {
    Numbers,
    Words,
    Times(&'a TimeFormat),
}

pub(crate) fn kind_of(column: &FittedColumn) -> CellKind<'_> {
    match &column.kind {
        FittedKind::Numeric { .. } => CellKind::Numbers,
        FittedKind::Category { .. } | FittedKind::Text { .. } => CellKind::Words,
        FittedKind::Time(time) => CellKind::Times(&time.format),
    }
}

/// Names of columns, and what their cells are read as.
pub(crate) type Wanted<'a> = Vec<(&'a str, CellKind<'a>)>;

/// How new rows are read: bad ones are kept, to be told of one by one.
pub(crate) fn kept(dialect: Dialect, limits: &ReadLimits) -> Reading<'_> {
    Reading {
        ragged: Ragged::Keep,
        dialect,
        ..Reading::whole(limits)
    }
}

/// What the first line of new rows is; the model knows its columns.
pub(crate) fn first_line(wanted: &Wanted<'_>, first: &[String]) -> HeaderLine {
    let cells: BTreeSet<&str> = first.iter().map(String::as_str).collect();
    let is_there = |name: &str| cells.contains(name);
    if wanted.iter().all(|(name, _)| is_there(name)) {
        return HeaderLine::Present;
    }
    let is_unnamed = |name: &str| is_numbered(name) && !is_there(name);
    match wanted.iter().all(|(name, _)| is_unnamed(name)) {
        true => HeaderLine::Absent,
        false => HeaderLine::Guess,
    }
}

/// Makes the first of rows that were read without a header the header, if it is one.
pub(crate) fn with_header(
    wanted: &Wanted<'_>,
    path: &Path,
    mut records: Records,
    limits: &ReadLimits,
) -> Result<Records, DataError> {
    let is_named = match records.rows.first() {
        // Formats that name their columns do so whatever is asked.
        _ if records.names == Names::Written => false,
        None => false,
        Some(first) => match first_line(wanted, &first.cells) {
            HeaderLine::Present => true,
            HeaderLine::Absent => false,
            HeaderLine::Guess => is_header(&records.rows),
        },
    };
    if is_named {
        records.header = records.rows.remove(0).cells;
        records.names = Names::Written;
        check_header(path, &records.header, limits)?;
    }
    Ok(records)
}

/// Where the cells of the wanted columns stand in the rows of a table.
pub(crate) struct Places {
    /// Cells of a row.
    width: usize,
    /// For each column.
    places: Vec<usize>,
}

impl Places {
    /// Rows have so many cells, those of the wanted columns in their order.
    pub(crate) fn in_order(width: usize) -> Places {
        let places = (0..width).collect();
        Places { width, places }
    }

    /// Finds every column by its name; in a table without names that has as many, they are in order.
    ///
    /// # Errors
    /// If one is not there.
    pub(crate) fn find(
        wanted: &Wanted<'_>,
        path: &Path,
        header: &[String],
        names: Names,
    ) -> Result<Places, DataError> {
        let width = header.len();
        if names == Names::Numbered && width == wanted.len() {
            return Ok(Places::in_order(width));
        }
        let places: BTreeMap<&str, usize> = header.iter().map(String::as_str).zip(0..).collect();
        let place = |(name, _): &(&str, CellKind)| {
            places.get(name).copied().ok_or_else(|| {
                let header = header.join(", ");
                let problem = format!("it lacks the column `{name}`: it has {header}");
                unfit(path, problem)
            })
        };
        let places = wanted.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Places { width, places })
    }

    /// The cells of these rows, which stand behind `rows_before` others.
    pub(crate) fn typed(
        &self,
        wanted: &Wanted<'_>,
        rows: &[Row],
        decimal: Decimal,
        rows_before: u64,
    ) -> ReadRows {
        let (mut good, mut row_numbers, mut bad): (Vec<&Row>, _, _) =
            (Vec::new(), Vec::new(), Vec::new());
        for (row, number) in rows.iter().zip(rows_before + 1..) {
            let (cells, width) = (row.cells.len(), self.width);
            if cells == width {
                good.push(row);
                row_numbers.push(number);
            } else {
                let reason = format!("line {} has {cells} cells, the header {width}", row.line);
                bad.push(BadRow {
                    row: number,
                    reason,
                });
            }
        }
        let mut notices = Vec::new();
        let typed = wanted
            .iter()
            .zip(&self.places)
            .map(|((name, kind), place)| {
                let cells = good.iter().map(|row| row.cells[*place].as_str());
                notices.extend(strays(name, *kind, cells.clone(), decimal));
                Column {
                    name: (*name).to_string(),
                    cells: cells_of_kind(*kind, cells, decimal),
                }
            });
        let table = Table {
            columns: typed.collect(),
            targets: RawTargets::Unknown(good.len()),
        };
        ReadRows {
            dataset: Dataset::Table(table),
            row_numbers,
            names: RowNames::None,
            bad,
            notices,
        }
    }
}

/// What is to be said of cells that should be numbers or dates and are not: as in training, they are missing.
fn strays<'a>(
    column: &str,
    kind: CellKind<'_>,
    cells: impl Iterator<Item = &'a str>,
    decimal: Decimal,
) -> Option<Notice> {
    let is_read = |cell: &str| match kind {
        CellKind::Numbers => number(cell, decimal).is_some(),
        CellKind::Words => true,
        CellKind::Times(format) => format.seconds(cell).is_some(),
    };
    let mut stray = cells.filter(|cell| !is_missing(cell) && !is_read(cell));
    let example = stray.next()?;
    Some(stray_notice(column, 1 + stray.count(), example))
}

pub(crate) fn stray_notice(column: &str, count: usize, example: &str) -> Notice {
    Notice::warning(format!(
        "column `{column}`: {count} cell(s) cannot be read (as `{example}`) and count as missing"
    ))
}

fn cells_of_kind<'a>(
    kind: CellKind<'_>,
    texts: impl Iterator<Item = &'a str>,
    decimal: Decimal,
) -> Cells {
    let mut cells = cells_of(kind);
    texts.for_each(|cell| read_cell(kind, cell, decimal, &mut cells));
    cells
}

/// No cells yet, of a kind.
pub(crate) fn cells_of(kind: CellKind<'_>) -> Cells {
    match kind {
        CellKind::Numbers => Cells::Numbers(Vec::new()),
        CellKind::Words => Cells::Words(Vec::new()),
        CellKind::Times(format) => Cells::Times {
            seconds: Vec::new(),
            format: format.clone(),
        },
    }
}

/// Reads a cell and puts it behind others of its kind.
pub(crate) fn read_cell(kind: CellKind<'_>, cell: &str, decimal: Decimal, into: &mut Cells) {
    match (kind, into) {
        (CellKind::Words, Cells::Words(words)) => {
            words.push((!is_missing(cell)).then(|| cell.to_string()));
        }
        (CellKind::Times(format), Cells::Times { seconds, .. }) => {
            seconds.push(format.seconds(cell).unwrap_or(f64::NAN));
        }
        (_, Cells::Numbers(values)) => values.push(number(cell, decimal).unwrap_or(f64::NAN)),
        _ => unreachable!("cells are of the kind that they were begun with"),
    }
}

fn read_array(path: &Path, limits: &ReadLimits) -> Result<Array, DataError> {
    if npy_kind(path) == Some("npy") {
        let bytes = crate::table::text::read_bytes(path, limits)?;
        return npy::parse(path, "array", &bytes, limits)?.numbers(path, "array");
    }
    let arrays = npy::read_npz(path, limits)?;
    let names: Vec<String> = arrays.iter().map(|(name, _)| name.clone()).collect();
    // As in training, the first of the names counts, wherever its array stands in the file.
    let place_of = |wanted: &&str| names.iter().position(|name| name == wanted);
    let place = INPUT_NAMES.iter().find_map(place_of).ok_or_else(|| {
        unfit(
            path,
            format!("it has no array `X`: it has {}", names.join(", ")),
        )
    })?;
    let (name, saved) = arrays
        .into_iter()
        .nth(place)
        .expect("the array of this name was found there");
    saved.numbers(path, &name)
}

fn array_rows(
    columns: &[FittedColumn],
    path: &Path,
    limits: &ReadLimits,
) -> Result<ReadRows, DataError> {
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
        let index = place_named(&column.name).filter(|index| *index < width);
        let index = index.ok_or_else(|| {
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
    Ok(ReadRows::all(Dataset::Table(table)))
}

fn image_rows(
    image: &FittedImage,
    path: &Path,
    dialect: Dialect,
    limits: &ReadLimits,
) -> Result<ReadRows, DataError> {
    let size = (image.height, image.width, image.channels);
    if npy_kind(path).is_some() {
        let images = array_images(path, read_array(path, limits)?)?;
        let found = (images.height, images.width, images.channels);
        if found != size {
            let problem = format!("its images are {found:?}, those of the model {size:?}");
            return Err(unfit(path, problem));
        }
        return Ok(ReadRows::all(images_of(size, images.bytes)));
    }
    if idx::is_images_file(path) {
        let (height, width, bytes) = idx::read_images(path, limits)?;
        if (height, width, 1) != size {
            let problem = format!("its images are {height}x{width}, those of the model {size:?}");
            return Err(unfit(path, problem));
        }
        return Ok(ReadRows::all(images_of(size, bytes)));
    }
    if is_table(path) {
        return listed_images(path, size, dialect, limits);
    }
    let read = images::read_unlabelled(path, size, limits)?;
    let bad = read
        .bad
        .into_iter()
        .map(|(row, reason)| BadRow { row, reason });
    let (row_numbers, names): (Vec<u64>, Vec<String>) = read.good.into_iter().unzip();
    // One file that is an image is no archive with paths of its own.
    let names = match !path.is_dir() && names.iter().all(|name| path.ends_with(name)) {
        true => RowNames::None,
        false => RowNames::Paths(names),
    };
    Ok(ReadRows {
        dataset: images_of(size, read.bytes),
        row_numbers,
        names,
        bad: bad.collect(),
        notices: Vec::new(),
    })
}

/// Whether a file's name is that of a table.
fn is_table(path: &Path) -> bool {
    const TABLES: [&str; 10] = [
        "csv", "tsv", "parquet", "arrow", "feather", "arrows", "arff", "json", "jsonl", "ndjson",
    ];
    !path.is_dir() && TABLES.contains(&format_of(path))
}

/// The images that a table's column names.
fn listed_images(
    path: &Path,
    size: (u32, u32, u32),
    dialect: Dialect,
    limits: &ReadLimits,
) -> Result<ReadRows, DataError> {
    let records = records(path, kept(dialect, limits))?;
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
    Ok(ReadRows {
        dataset: images_of(size, listed.bytes),
        row_numbers: listed.good.into_iter().map(number).collect(),
        names: RowNames::None,
        bad: bad.collect(),
        notices: records.notices,
    })
}

/// Images without targets.
pub(crate) fn images_of(size: (u32, u32, u32), bytes: Vec<u8>) -> Dataset {
    let (height, width, channels) = size;
    let count = bytes.len() / images::item_bytes(size);
    Dataset::Images(Images {
        height,
        width,
        channels,
        bytes,
        targets: RawTargets::Unknown(count),
    })
}
