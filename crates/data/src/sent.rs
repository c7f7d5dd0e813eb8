//! Rows that come in a request rather than from a file: JSON, CSV or one image, in memory.
//!
//! What a JSON value means, the fitted model decides: an object is a row of a table, lists of numbers are
//! an image or a series, a word is a text. A row that cannot be used is told by its number, as in a file,
//! and costs no other.

mod given;
mod table;

use std::path::Path;

use crate::{
    error::DataError,
    fitted::{FittedImage, FittedInputs, FittedSeries, FittedText},
    images,
    limits::ReadLimits,
    preprocess::Preprocessor,
    rows::{
        BadRow, Places, RawRows, ReadRows, RowNames, images_of, kept, texts_of, unfit, with_header,
    },
    series::{Growing, single, too_large},
    source::Dataset,
    table::{
        Reading,
        dialect::Dialect,
        header::HeaderLine,
        text::{self, malformed},
    },
};
use given::{Body, Given};

/// Rows of one request in JSON: more belong into several requests, or into a file.
pub const ROWS_MAX: usize = 10_000;

/// Numbers that the rows of a request become at most, 64 MiB of them: a short row may stand for a long series.
pub const VALUES_MAX: usize = 16 << 20;

/// What a request is called in messages.
const REQUEST: &str = "the request";

impl Preprocessor {
    /// Rows of `{"rows": [row, …]}`.
    ///
    /// A row of a table is an object of values by column, in which what is `null` or not there is missing.
    /// An image is a list of numbers, flat or by rows, columns and channels. A series is a list of numbers,
    /// or a list of such lists, one for each channel; `null` is missing. A text is a word.
    ///
    /// # Errors
    /// If it is no JSON of this form, or has more than [`ROWS_MAX`] rows.
    pub fn rows_of_json(&self, body: &[u8]) -> Result<RawRows, DataError> {
        let body: Body<'_> = serde_json::from_slice(body)
            .map_err(|error| malformed(Path::new(REQUEST), error.to_string()))?;
        let (rows, most) = (body.rows.len(), self.rows_of_request_max());
        if rows > most {
            let problem =
                format!("{rows} rows: the model takes {most}, send them in several requests");
            return Err(malformed(Path::new(REQUEST), problem));
        }
        self.prepared(match self.inputs() {
            FittedInputs::Columns(columns) => table::rows(columns, &body.rows),
            FittedInputs::Image(image) => image_rows(image, &body.rows),
            FittedInputs::Series(series) => series_rows(series, &body.rows),
            FittedInputs::Text(text) => text_rows(text, &body.rows),
        })
    }

    /// Rows that a request may have: [`ROWS_MAX`], fewer where rows are large.
    pub fn rows_of_request_max(&self) -> usize {
        (VALUES_MAX / self.item().values().max(1)).clamp(1, ROWS_MAX)
    }

    /// Rows of a CSV text, as in a file but in UTF-8, whatever the files that were learned from are.
    ///
    /// # Errors
    /// If it is damaged, lacks a column, or the model takes no tables.
    pub fn rows_of_csv(&self, body: &[u8], limits: &ReadLimits) -> Result<RawRows, DataError> {
        let path = Path::new(REQUEST);
        let wanted = self.wanted().ok_or_else(|| {
            let problem = "the model takes no rows of a table, so no CSV".to_string();
            unfit(path, problem)
        })?;
        refuse_other_than_utf8(body)?;
        let dialect = Dialect {
            encoding: None,
            ..self.dialect()
        };
        let reading = Reading {
            header: HeaderLine::Absent,
            ..kept(dialect, limits)
        };
        let records = text::read_from(path, body, reading)?;
        let records = with_header(&wanted, path, records, limits)?;
        let places = Places::find(&wanted, path, &records.header, records.names)?;
        let read = places.typed(&wanted, &records.rows, records.decimal, 0);
        self.prepared(self.of_table(read))
    }

    /// The row that the bytes of one image file are, good or bad.
    ///
    /// # Errors
    /// If the model takes no images.
    pub fn row_of_image(&self, body: &[u8], limits: &ReadLimits) -> Result<RawRows, DataError> {
        let FittedInputs::Image(image) = self.inputs() else {
            let problem = "the model takes no images".to_string();
            return Err(unfit(Path::new(REQUEST), problem));
        };
        let size = (image.height, image.width, image.channels);
        let pixels = images::pixels(body, size, limits);
        self.prepared(images_read(image, std::iter::once(pixels)))
    }

    /// Whether rows of a table can be sent, as CSV or as a stream.
    pub fn takes_tables(&self) -> bool {
        self.wanted().is_some()
    }
}

/// Whoever sends another encoding is told so: guessed words would be levels that training never saw.
fn refuse_other_than_utf8(body: &[u8]) -> Result<(), DataError> {
    std::str::from_utf8(body).map(|_| ()).map_err(|error| {
        let before = &body[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let problem = format!("line {line} holds bytes that are no UTF-8: send the rows in UTF-8");
        malformed(Path::new(REQUEST), problem)
    })
}

/// What the good rows are, their numbers, and the bad ones.
struct Separated<T> {
    good: Vec<T>,
    row_numbers: Vec<u64>,
    bad: Vec<BadRow>,
}

impl<T> Separated<T> {
    /// Good rows and bad ones, numbered in their order.
    fn of(outcomes: impl Iterator<Item = Result<T, String>>) -> Separated<T> {
        let mut separated = Separated {
            good: Vec::new(),
            row_numbers: Vec::new(),
            bad: Vec::new(),
        };
        for (row, outcome) in (1..).zip(outcomes) {
            match outcome {
                Ok(good) => {
                    separated.good.push(good);
                    separated.row_numbers.push(row);
                }
                Err(reason) => separated.bad.push(BadRow { row, reason }),
            }
        }
        separated
    }

    /// The same rows, after the good ones have become data.
    fn read(self, dataset: impl FnOnce(Vec<T>) -> Dataset) -> ReadRows {
        ReadRows {
            dataset: dataset(self.good),
            row_numbers: self.row_numbers,
            names: RowNames::None,
            bad: self.bad,
            notices: Vec::new(),
        }
    }
}

fn images_read(
    image: &FittedImage,
    outcomes: impl Iterator<Item = Result<Vec<u8>, String>>,
) -> ReadRows {
    let size = (image.height, image.width, image.channels);
    Separated::of(outcomes).read(|pixels| images_of(size, pixels.concat()))
}

fn text_rows(fitted: &FittedText, rows: &[Given<'_>]) -> ReadRows {
    let text = |given: &Given<'_>| match given {
        // As a cell of a file.
        Given::Word(text) => Ok(text.trim().to_string()),
        Given::Missing => Ok(String::new()),
        other => Err(format!("it is {}, where a text is needed", other.kind())),
    };
    Separated::of(rows.iter().map(text)).read(|texts| texts_of(fitted, texts))
}

fn series_rows(fitted: &FittedSeries, rows: &[Given<'_>]) -> ReadRows {
    let series = |given: &Given<'_>| channels_of(fitted, given);
    let mut read = Separated::of(rows.iter().map(series)).read(|all| {
        let mut growing = Growing::new(fitted.channels as usize);
        all.iter().for_each(|channels| growing.push(channels));
        Dataset::Series(growing.finish())
    });
    let numbers = |row: &Given<'_>| {
        let mut numbers = Vec::new();
        row.numbers_into(&mut numbers);
        numbers
    };
    read.notices
        .extend(too_large(rows.iter().flat_map(numbers)));
    read
}

/// The channels of a series.
fn channels_of(fitted: &FittedSeries, given: &Given<'_>) -> Result<Vec<Vec<f32>>, String> {
    let values = |given: &Given<'_>| match given {
        Given::Numbers(numbers) => Ok(numbers.iter().map(|value| single(*value)).collect()),
        other => Err(format!(
            "it is {}, where a list of numbers is needed",
            other.kind()
        )),
    };
    let channels: Vec<Vec<f32>> = match given {
        Given::List(lists) => lists.iter().map(values).collect::<Result<_, _>>()?,
        one => vec![values(one)?],
    };
    if channels.len() != fitted.channels as usize {
        let (found, needed) = (channels.len(), fitted.channels);
        return Err(format!(
            "it has {found} channel(s), the model takes {needed}"
        ));
    }
    let length = channels.iter().map(Vec::len).max().unwrap_or(0);
    if length > fitted.length as usize {
        let longest = fitted.length;
        return Err(format!(
            "it has {length} steps, the model takes up to {longest}"
        ));
    }
    Ok(channels)
}

fn image_rows(image: &FittedImage, rows: &[Given<'_>]) -> ReadRows {
    images_read(image, rows.iter().map(|row| pixels_of(image, row)))
}

/// The pixels of a list of numbers.
fn pixels_of(image: &FittedImage, given: &Given<'_>) -> Result<Vec<u8>, String> {
    let (height, width, channels) = (
        image.height as usize,
        image.width as usize,
        image.channels as usize,
    );
    let shape = given.shape().ok_or_else(|| {
        format!(
            "it is {}, where lists of numbers of equal length are needed",
            given.kind()
        )
    })?;
    let fits = shape == [height * width * channels]
        || shape == [height, width, channels]
        || (channels == 1 && shape == [height, width]);
    if !fits {
        let flat = height * width * channels;
        return Err(format!(
            "its shape is {shape:?}: the model takes [{height}, {width}, {channels}] or {flat} numbers in a row"
        ));
    }
    let mut values = Vec::with_capacity(height * width * channels);
    given.numbers_into(&mut values);
    let byte = |value: &f64| {
        // What is not a number, or beyond, is not what it was afterwards.
        let byte = *value as u8;
        let is_byte = f64::from(byte) == *value;
        is_byte.then_some(byte).ok_or_else(|| {
            let shown = match value.is_nan() {
                true => "null".to_string(),
                false => value.to_string(),
            };
            format!("it holds {shown}, where pixels are whole numbers from 0 to 255")
        })
    };
    values.iter().map(byte).collect()
}
