//! Texts in class folders: `class/any-name.txt`, with `train/`, `validation/` and `test/` on top or without.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Beside, Found, Given, is_text_file, labelled::classes, name_of, nothing, refuse_other_kind,
};
use crate::{
    error::DataError,
    images::listed::begins_like_an_image,
    notice::Notice,
    source::{DataKind, Dataset, Request},
    table::{
        read::checked_texts,
        text::{decode, read_bytes},
    },
};

/// Folders of rows to learn from, to validate and to test with.
const TRAIN: &str = "train";
const VALIDATION: &str = "validation";
const TEST: &str = "test";

/// Texts with their classes.
#[derive(Default)]
struct Labelled {
    texts: Vec<String>,
    labels: Vec<String>,
    /// Path of each, below the folder of the data.
    names: Vec<String>,
}

/// Whether a folder holds folders of text files: two or more, and nothing but texts in the first of each.
pub(super) fn is_class_folder(path: &Path) -> bool {
    let inner = entries(path);
    let train = inner.iter().find(|path| is_named(path, TRAIN));
    let classes = train.map_or_else(|| inner.clone(), |train| entries(train));
    let begins_with_text = |folder: &&PathBuf| {
        entries(folder)
            .first()
            .is_some_and(|file| is_text_file(file) && !begins_like_an_image(file))
    };
    classes.iter().filter(begins_with_text).count() > 1
}

/// Texts in class folders, and the test rows that are there or named.
pub(super) fn find(request: &Request) -> Result<Found, DataError> {
    refuse_other_kind(request, DataKind::Text)?;
    let path = &request.path;
    let inner = entries(path);
    let named = |wanted| inner.iter().find(|path| is_named(path, wanted)).cloned();
    let (train, own_validation, own_test) = match named(TRAIN) {
        Some(train) => (train, named(VALIDATION), named(TEST)),
        None => (path.clone(), None, None),
    };
    let mut notices = Vec::new();
    let mut read = read_classes(request, &train, &mut notices)?;
    let mut given = Given::default();
    for (folder, count) in [
        (
            request.validation.clone().or(own_validation),
            &mut given.validation,
        ),
        (request.test.clone().or(own_test), &mut given.test),
    ] {
        let Some(folder) = folder else { continue };
        let more = read_classes(request, &folder, &mut notices)?;
        *count = more.texts.len();
        read.texts.extend(more.texts);
        read.names.extend(more.names);
        read.labels.extend(more.labels);
    }
    let (task, targets) = classes(request, &read.labels, given)?;
    let texts = checked_texts("text", read.texts, targets, &mut notices);
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

fn read_classes(
    request: &Request,
    folder: &Path,
    notices: &mut Vec<Notice>,
) -> Result<Labelled, DataError> {
    let mut read = Labelled::default();
    let mut others = 0;
    for class in entries(folder).iter().filter(|path| path.is_dir()) {
        for file in entries(class) {
            if !is_text_file(&file) {
                others += 1;
                continue;
            }
            if read.texts.len() >= request.limits.entries_max {
                return Err(DataError::TooLarge {
                    path: folder.to_path_buf(),
                    what: "its number of texts".to_string(),
                    limit: request.limits.entries_max.to_string(),
                });
            }
            let bytes = read_bytes(&file, &request.limits)?;
            let text = decode(&file, &bytes, &mut Vec::new())?;
            read.texts.push(text);
            read.labels.push(name_of(class));
            let below = file.strip_prefix(&request.path).unwrap_or(&file);
            read.names.push(below.display().to_string());
        }
    }
    if others > 0 {
        notices.push(Notice::warning(format!(
            "{others} file(s) are no .txt and are left out"
        )));
    }
    if read.texts.is_empty() {
        return Err(nothing(
            request,
            format!("{} holds no texts", folder.display()),
        ));
    }
    Ok(read)
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

fn is_named(path: &Path, name: &str) -> bool {
    path.is_dir() && name_of(path) == name
}
