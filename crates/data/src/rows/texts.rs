//! New texts for a fitted model: a file that is one, or a folder of such files. A table of texts is read as any other.

use std::path::{Path, PathBuf};

use super::{BadRow, CellKind, ReadRows, RowNames, first_line};
use crate::{
    error::DataError,
    fitted::FittedText,
    limits::ReadLimits,
    read::{TextFile, check_size, is_text_file, read_text},
    source::{Dataset, RawTargets, Texts},
    table::{
        dialect::{Delimiter, Dialect},
        encoding::{Encoding, decode},
        header::{HeaderLine, numbered},
        text::{self, Quoting, read_bytes},
    },
};

/// Whether a `.txt` file is no text but a table: its first line has the column that the model reads.
///
/// Columns without names are there in any line with enough commas, so that a tab or all lines must say the same.
///
/// # Errors
/// If it cannot be read.
pub(super) fn is_table(
    fitted: &FittedText,
    path: &Path,
    dialect: Dialect,
    limits: &ReadLimits,
) -> Result<bool, DataError> {
    if path.is_dir() {
        return Ok(false);
    }
    let bytes = read_bytes(path, limits)?;
    let content = decode(path, &bytes, dialect.encoding, &mut Vec::new())?;
    let delimiter = dialect.delimiter_of(&content);
    let quoting = Quoting::of(&content, delimiter);
    let rows_of = |text: &str| text::rows_of(path, text, delimiter, quoting, 0, limits);
    let mut lines = content.lines().filter(|line| !line.trim().is_empty());
    let first = rows_of(lines.next().unwrap_or_default())?;
    let Some(first) = first.first() else {
        return Ok(false);
    };
    let wanted = vec![(fitted.name.as_str(), CellKind::Words)];
    let width = first.cells.len();
    Ok(match first_line(&wanted, &first.cells) {
        HeaderLine::Present => lines.next().is_some(),
        HeaderLine::Absent if width > 1 && numbered(width).contains(&fitted.name) => {
            delimiter == Delimiter::TAB
                || rows_of(&content).is_ok_and(|rows| {
                    rows.len() > 1 && rows.iter().all(|row| row.cells.len() == width)
                })
        }
        HeaderLine::Absent | HeaderLine::Guess => false,
    })
}

/// The text of a `.txt` file, or of all such files in a folder, by their names.
pub(super) fn of_files(
    fitted: &FittedText,
    path: &Path,
    encoding: Option<Encoding>,
    limits: &ReadLimits,
) -> Result<ReadRows, DataError> {
    if !path.is_dir() {
        let text = read_text(path, encoding, limits)?.text;
        return Ok(ReadRows::all(texts_of(fitted, vec![text])));
    }
    let (mut texts, mut row_numbers, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let (mut bad, mut bytes) = (Vec::new(), 0);
    for (row, file) in (1..).zip(files_in(path)?) {
        match read_text(&file, encoding, limits) {
            Ok(TextFile { text, .. }) => {
                bytes += text.len() as u64;
                texts.push(text);
                row_numbers.push(row);
                let name = file.file_name().unwrap_or_default();
                names.push(name.to_string_lossy().into_owned());
            }
            Err(error) => bad.push(BadRow {
                row,
                reason: error.to_string(),
            }),
        }
        check_size(path, texts.len(), bytes, limits)?;
    }
    Ok(ReadRows {
        dataset: texts_of(fitted, texts),
        row_numbers,
        names: RowNames::Paths(names),
        bad,
        notices: Vec::new(),
    })
}

/// Texts without targets.
pub(crate) fn texts_of(fitted: &FittedText, texts: Vec<String>) -> Dataset {
    Dataset::Texts(Texts {
        name: fitted.name.clone(),
        targets: RawTargets::Unknown(texts.len()),
        unit: fitted.unit,
        texts,
    })
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |source| DataError::Unreadable {
        path: folder.to_path_buf(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() && is_text_file(&path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
