//! Texts in class folders: `class/any-name.txt`, with a folder of training rows, and perhaps of validation
//! and test rows, on top or without; and how much of a text is read at all, wherever it stands.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Beside, Found, Given, is_text_file, labelled::classes, name_of, nothing, refuse_columns,
    refuse_other_kind,
};
use crate::{
    error::DataError,
    fitted::TextUnit,
    images::listed::begins_like_an_image,
    limits::ReadLimits,
    notice::Notice,
    preprocess::text::unit_of,
    roles::Part,
    source::{DataKind, Dataset, RawTargets, Request, Texts},
    table::{
        encoding::{Encoding, decode},
        text::read_bytes,
    },
};

/// A longer text is cut: what a network reads of it has long ended.
const TEXT_BYTES_MAX: usize = 100_000;

/// What texts of files are called, as the column of a table would be.
pub(super) const COLUMN: &str = "text";

/// Texts with their classes.
#[derive(Default)]
struct Labelled {
    texts: Vec<String>,
    labels: Vec<String>,
    /// Path of each, below the folder of the data.
    names: Vec<String>,
    /// Of all texts.
    bytes: u64,
    /// How many were too long.
    cut: usize,
}

/// Whether a folder holds folders of text files: two or more, and nothing but texts in the first of each.
pub(super) fn is_class_folder(path: &Path) -> bool {
    let inner = entries(path);
    let train = folders_of(Part::Train, &inner);
    let classes = match train.is_empty() {
        true => inner,
        false => train.iter().flat_map(|folder| entries(folder)).collect(),
    };
    let begins_with_text = |folder: &&PathBuf| {
        entries(folder)
            .first()
            .is_some_and(|file| is_text_file(file) && !begins_like_an_image(file))
    };
    classes.iter().filter(begins_with_text).count() > 1
}

/// Texts in class folders, and the validation and test rows that are there or named.
pub(super) fn find(request: &Request) -> Result<Found, DataError> {
    refuse_other_kind(request, DataKind::Text)?;
    refuse_columns(request)?;
    let mut notices = Vec::new();
    let [train, validation, test] = folders(request, &mut notices);
    let mut read = Labelled::default();
    read.add(request, &train, &mut notices)?;
    let given = Given {
        validation: read.add(request, &validation, &mut notices)?,
        test: read.add(request, &test, &mut notices)?,
    };
    let (task, targets) = classes(request, &read.labels, given)?;
    notices.extend(said_of_cut(read.cut));
    let asked = request.columns.get(COLUMN).and_then(|kind| kind.unit());
    let texts = checked_texts(COLUMN, read.texts, targets, asked, &mut notices);
    Ok(Found {
        dataset: Dataset::Texts(texts),
        task,
        notices,
        given,
        beside: Beside {
            row_names: Some(read.names),
            ..Beside::default()
        },
    })
}

/// The folders of classes to learn from, to validate and to test with.
fn folders(request: &Request, notices: &mut Vec<Notice>) -> [Vec<PathBuf>; 3] {
    let inner = entries(&request.path);
    let own = Part::ALL.map(|part| folders_of(part, &inner));
    let named = [&None, &request.validation, &request.test];
    if own[0].is_empty() {
        let all = Some(request.path.clone());
        return [&all, named[1], named[2]].map(|path| path.iter().cloned().collect());
    }
    let [mut train, mut validation, mut test] = own;
    for (folders, named) in [&mut train, &mut validation, &mut test]
        .into_iter()
        .zip(named)
    {
        if let Some(named) = named {
            *folders = vec![named.clone()];
        }
    }
    let is_read = |folder: &PathBuf| {
        [&train, &validation, &test]
            .iter()
            .any(|folders| folders.contains(folder))
    };
    let others = inner.iter().filter(|path| path.is_dir() && !is_read(path));
    notices.extend(others.map(|folder| {
        Notice::warning(format!(
            "folder `{}` beside the training rows is left out: it is none of validation or test rows",
            name_of(folder)
        ))
    }));
    [train, validation, test]
}

/// The folders among these that are called like a part and hold the folders of its classes.
fn folders_of(part: Part, inner: &[PathBuf]) -> Vec<PathBuf> {
    let is_of_part = |folder: &&PathBuf| {
        // A class may be called so, too; its folder holds files.
        Part::of_word(&name_of(folder)) == Some(part)
            && entries(folder).iter().any(|inner| inner.is_dir())
    };
    inner.iter().filter(is_of_part).cloned().collect()
}

impl Labelled {
    /// Adds the texts of folders with class folders; returns how many.
    fn add(
        &mut self,
        request: &Request,
        folders: &[PathBuf],
        notices: &mut Vec<Notice>,
    ) -> Result<usize, DataError> {
        let before = self.texts.len();
        for folder in folders {
            self.add_folder(request, folder, notices)?;
        }
        Ok(self.texts.len() - before)
    }

    fn add_folder(
        &mut self,
        request: &Request,
        folder: &Path,
        notices: &mut Vec<Notice>,
    ) -> Result<(), DataError> {
        let (before, mut others) = (self.texts.len(), 0);
        let (mut unread, mut recoded): (Vec<DataError>, usize) = (Vec::new(), 0);
        for class in entries(folder).iter().filter(|path| path.is_dir()) {
            for file in entries(class) {
                if !is_text_file(&file) {
                    others += 1;
                    continue;
                }
                let read = match read_text(&file, request.dialect.encoding, &request.limits) {
                    Ok(read) => read,
                    Err(error) => {
                        unread.push(error);
                        continue;
                    }
                };
                self.bytes += read.text.len() as u64;
                self.cut += usize::from(read.is_cut);
                recoded += usize::from(read.is_recoded);
                self.texts.push(read.text);
                self.labels.push(name_of(class));
                let below = file.strip_prefix(&request.path).unwrap_or(&file);
                self.names.push(below.display().to_string());
                check_size(folder, self.texts.len(), self.bytes, &request.limits)?;
            }
        }
        if others > 0 {
            notices.push(Notice::warning(format!(
                "{others} file(s) are no .txt and are left out"
            )));
        }
        if recoded > 0 {
            notices.push(Notice::note(format!(
                "{recoded} text(s) are not UTF-8 and are read as Latin-1 or UTF-16 (--encoding says what they are)"
            )));
        }
        if let Some(first) = unread.first() {
            notices.push(Notice::warning(format!(
                "{} text(s) cannot be read and are left out, the first: {first}",
                unread.len()
            )));
        }
        if self.texts.len() == before {
            let problem = match unread.first() {
                Some(first) => format!(
                    "{} holds no text that can be read: {first}",
                    folder.display()
                ),
                None => format!("{} holds no texts", folder.display()),
            };
            return Err(nothing(request, problem));
        }
        Ok(())
    }
}

/// The text of a file, and what had to be done to it.
pub(crate) struct TextFile {
    pub(crate) text: String,
    /// It was too long.
    is_cut: bool,
    /// It is not UTF-8.
    is_recoded: bool,
}

/// Reads the text of a file, up to where it is too long.
pub(crate) fn read_text(
    file: &Path,
    encoding: Option<Encoding>,
    limits: &ReadLimits,
) -> Result<TextFile, DataError> {
    let mut notices = Vec::new();
    let mut text = decode(file, &read_bytes(file, limits)?, encoding, &mut notices)?;
    let is_cut = cut(&mut text);
    Ok(TextFile {
        text,
        is_cut,
        is_recoded: !notices.is_empty(),
    })
}

/// Refuses texts of a folder that are too many, or too large together.
pub(crate) fn check_size(
    folder: &Path,
    count: usize,
    bytes: u64,
    limits: &ReadLimits,
) -> Result<(), DataError> {
    let (what, limit) = if count > limits.entries_max {
        ("its number of texts", limits.entries_max.to_string())
    } else if bytes > limits.bytes_max {
        ("what its texts hold", limits.bytes_said())
    } else {
        return Ok(());
    };
    Err(DataError::TooLarge {
        path: folder.to_path_buf(),
        what: what.to_string(),
        limit,
    })
}

/// Texts, cut where they are too long; what was odd about them is said.
pub(crate) fn checked_texts(
    name: &str,
    mut texts: Vec<String>,
    targets: RawTargets,
    asked: Option<TextUnit>,
    notices: &mut Vec<Notice>,
) -> Texts {
    let empty = texts.iter().filter(|text| text.trim().is_empty()).count();
    if empty > 0 {
        notices.push(Notice::warning(format!(
            "{empty} of {} texts are empty",
            texts.len()
        )));
    }
    let is_cut = texts.iter_mut().map(cut);
    notices.extend(said_of_cut(is_cut.filter(|is_cut| *is_cut).count()));
    let unit = asked.unwrap_or_else(|| unit_of(&texts));
    if asked.is_none() && unit == TextUnit::Character {
        notices.push(Notice::note(format!(
            "`{name}` is read by characters, as hardly any of its words comes twice (--as {name}=words \
             overrules it)"
        )));
    }
    Texts {
        name: name.to_string(),
        texts,
        unit,
        targets,
    }
}

/// Cuts a text that is too long; returns whether it was.
fn cut(text: &mut String) -> bool {
    if text.len() <= TEXT_BYTES_MAX {
        return false;
    }
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    text.truncate(end);
    text.shrink_to_fit();
    true
}

fn said_of_cut(count: usize) -> Option<Notice> {
    (count > 0).then(|| {
        Notice::warning(format!(
            "{count} text(s) are longer than {TEXT_BYTES_MAX} bytes and are read up to there"
        ))
    })
}

/// What stands in a folder, sorted; nothing if it cannot be read or is no folder. No link is followed.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()))
        .map(|entry| entry.path())
        .filter(|path| !name_of(path).starts_with('.'))
        .collect();
    paths.sort();
    paths
}
