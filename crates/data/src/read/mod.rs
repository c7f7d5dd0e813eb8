//! Reading whatever a user brings: the kind is found out by looking, and said.

mod arrays;
mod folder;
mod identity;
mod labelled;
mod long;
mod texts;

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use crate::{
    error::DataError,
    idx, images,
    large::Beyond,
    notice::Notice,
    npy,
    oddities::Oddities,
    piped::refuse_read_once,
    roles::RowFacts,
    series::check_padded,
    source::{DataKind, Dataset, Fingerprint, Request, Source, Task},
    table::{self, kinds::ColumnKind, text::malformed},
};

pub use arrays::INPUT_NAMES;
pub(crate) use arrays::{array_images, array_series, place_named};
pub(crate) use texts::{TextFile, check_size, checked_texts, read_text};

/// Bytes that are enough to know a format by.
const SIGNATURE_BYTES: u64 = 64;

/// Names of image files, whatever is in them.
const IMAGE_NAMES: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];

/// Formats that people have data in and that are not read, with the bytes that they start with, and what to
/// do instead.
const OTHER_FORMATS: [(&str, &[u8], &str); 4] = [
    ("hdf5", b"\x89HDF", "NPZ"),
    ("xlsx", b"", "CSV"),
    ("Feather 1", b"FEA1", "Feather 2, which is Arrow"),
    ("pkl", b"", "NPZ or Parquet"),
];

/// What a reader has found, before the whole is checked.
struct Found {
    dataset: Dataset,
    task: Task,
    notices: Vec<Notice>,
    given: Given,
    beside: Beside,
}

/// Rows that were given for one purpose; they stand behind the others in this order.
#[derive(Clone, Copy, Default)]
struct Given {
    validation: usize,
    test: usize,
}

impl Given {
    fn sum(self) -> usize {
        self.validation + self.test
    }
}

/// What some readers find beside the rows.
#[derive(Default)]
struct Beside {
    oddities: Oddities,
    facts: RowFacts,
    /// What a user calls each row, if not by its number in its file.
    row_names: Option<Vec<String>>,
    /// Rows that are not held.
    beyond: Option<Beyond>,
}

/// Reads the data of a request.
///
/// # Errors
/// If they cannot be read, or break a rule of their format, or hold nothing to learn.
pub fn read(request: &Request) -> Result<Source, DataError> {
    if !request.path.exists() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(DataError::Unreadable {
            path: request.path.clone(),
            source,
        });
    }
    let given = [&request.validation, &request.test].into_iter().flatten();
    for path in given.chain([&request.path]) {
        refuse_read_once(path, "write it into a file first")?;
    }
    let Found {
        dataset,
        task,
        notices,
        given,
        beside,
    } = find(request)?;
    let Beside {
        oddities,
        facts,
        row_names,
        beyond,
    } = beside;
    let is_long = matches!(&dataset, Dataset::Series(series) if series.steps.is_some());
    if let (Some(columns), false) = (&request.steps, is_long) {
        let id = &columns.id;
        let problem = format!("it has no columns, so there is no `{id}` to tell series apart by");
        return Err(malformed(&request.path, problem));
    }
    if let (Some(column), true) = (request.roles.columns().next(), facts == RowFacts::default()) {
        let problem = format!("it has no columns, so there is no `{column}` to split or weigh by");
        return Err(malformed(&request.path, problem));
    }
    if let Dataset::Series(series) = &dataset {
        check_padded(&request.path, series, series.longest(), &request.limits)?;
    }
    let rows = dataset.rows();
    let given_test_rows = rows - given.test..rows;
    Ok(Source {
        given_validation_rows: rows - given.sum()..given_test_rows.start,
        given_test_rows,
        fingerprint: match &beyond {
            Some(beyond) => identity::of_files(request, beyond.content().hash)?,
            None => identity::fingerprint(&dataset, &task, given, &facts),
        },
        description: identity::describe(&dataset, &task, given, beyond.as_ref()),
        dataset,
        task,
        notices,
        oddities,
        facts,
        row_names,
        beyond,
    })
}

/// What makes the data of a request these: as [`read`] finds it, but without more work than that takes.
///
/// # Errors
/// As [`read`].
pub fn fingerprint(request: &Request) -> Result<Fingerprint, DataError> {
    let path = &request.path;
    let is_table = path.is_file()
        && request.steps.is_none()
        && !idx::is_images_file(path)
        && !["npz", "npy", "ts"].contains(&format_of(path))
        && !images::looks_like_images(path);
    match is_table && table::flow::is_large(path, &request.limits) {
        true => identity::of_files(request, identity::content_of(path, &request.limits)?.hash),
        false => Ok(read(request)?.fingerprint),
    }
}

/// The end of a file's name that says its format, without that of a compression.
pub(crate) fn format_of(path: &Path) -> &str {
    let end = |path: &'_ Path| {
        path.extension()
            .and_then(|end| end.to_str())
            .unwrap_or("")
            .len()
    };
    let text = path.to_str().unwrap_or("");
    let text = match end(path) {
        2 if text.ends_with(".gz") => &text[..text.len() - 3],
        _ => text,
    };
    &text[text.len() - end(Path::new(text))..]
}

fn find(request: &Request) -> Result<Found, DataError> {
    let path = &request.path;
    if path.is_dir() {
        return find_in_folder(request);
    }
    if idx::is_images_file(path) {
        // What is wrong with the file itself is said before what is missing beside it.
        idx::read_images(path, &request.limits)?;
        return labelled::find_idx(request, &idx::pair_of(path)?, None);
    }
    let format = format_of(path);
    match format {
        "npz" => return arrays::find(request),
        "npy" => {
            let problem = "an NPY file has no labels: save X and y together with numpy.savez, or bring a \
                           folder with X.npy and y.npy";
            let bytes = table::text::read_bytes(path, &request.limits)?;
            npy::parse(path, "array", &bytes, &request.limits)?;
            return Err(malformed(path, problem.into()));
        }
        "ts" => return labelled::find_ts(request),
        _ if images::looks_like_images(path) => return labelled::find_images(request),
        "zip" | "tar" | "tgz" => {
            let problem =
                "it has the name of an archive but not its content: was it cut or renamed?";
            return Err(malformed(path, problem.into()));
        }
        _ => {}
    }
    if let Some(problem) = not_read(path, format)? {
        return Err(malformed(path, problem));
    }
    match &request.steps {
        Some(columns) => long::find(request, columns),
        None => find_table(request),
    }
}

/// A folder holds images or texts in class folders, a pair of IDX files, NPY files, or files of one of the other kinds.
fn find_in_folder(request: &Request) -> Result<Found, DataError> {
    let path = &request.path;
    if let Some((train, own)) = idx::pairs_in(path) {
        return labelled::find_idx(request, &train, own);
    }
    if arrays::are_in(path, request.target.as_deref()) {
        return arrays::find(request);
    }
    if texts::is_class_folder(path) {
        return texts::find(request);
    }
    if images::looks_like_images(path) {
        return labelled::find_images(request);
    }
    let files = folder::data_files(path)?;
    let inner = Request {
        test: request.test.clone().or(files.test.clone()),
        path: files.data,
        ..request.clone()
    };
    let mut found = find(&inner)?;
    found.notices.insert(0, Notice::note(files.said));
    Ok(found)
}

fn find_table(request: &Request) -> Result<Found, DataError> {
    let read = table::read::read(request)?;
    Ok(Found {
        dataset: read.dataset,
        task: read.task,
        notices: read.notices,
        given: Given {
            validation: read.validation_rows,
            test: read.test_rows,
        },
        beside: Beside {
            oddities: read.oddities,
            facts: read.facts,
            row_names: read.row_names,
            beyond: read.beyond,
        },
    })
}

/// The bytes at the start of a file that say what it is.
pub(crate) fn first_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    fs::File::open(path)?
        .take(SIGNATURE_BYTES)
        .read_to_end(&mut start)?;
    Ok(start)
}

/// Whether a file's name is that of a text.
pub(crate) fn is_text_file(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "txt")
}

/// The last part of a path, as it is shown.
fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Why a file that is no table is not read as one.
fn not_read(path: &Path, format: &str) -> Result<Option<String>, DataError> {
    let start = first_bytes(path).map_err(|source| DataError::Unreadable {
        path: path.to_path_buf(),
        source,
    })?;
    if images::is_image_start(&start) || IMAGE_NAMES.contains(&format) {
        let problem =
            "one image is no data set: bring a folder with one folder of images per class";
        return Ok(Some(problem.to_string()));
    }
    let known = OTHER_FORMATS.iter().find(|(name, magic, _)| {
        *name == format || (!magic.is_empty() && start.starts_with(magic))
    });
    Ok(known.map(|(name, _, instead)| format!("{name} files are not read: save it as {instead}")))
}

/// That something cannot be learned from this request's data.
pub(crate) fn nothing(request: &Request, problem: String) -> DataError {
    DataError::NothingToLearn {
        path: request.path.clone(),
        problem,
    }
}

/// Refuses what is said of columns of data that have none.
fn refuse_columns(request: &Request) -> Result<(), DataError> {
    refuse_ignored(request)?;
    match &request.target {
        None => Ok(()),
        Some(target) => {
            let problem = format!(
                "it has no columns, so there is no `{target}` to predict: without --target what stands beside its \
                 rows is predicted"
            );
            Err(malformed(&request.path, problem))
        }
    }
}

/// Refuses to leave out columns of data that have none.
fn refuse_ignored(request: &Request) -> Result<(), DataError> {
    match request.ignore.first() {
        None => Ok(()),
        Some(name) => {
            let problem = format!("it has no columns, so there is no `{name}` to leave out");
            Err(malformed(&request.path, problem))
        }
    }
}

/// Refuses a kind that these data cannot be, and what is said of columns where it would decide nothing.
fn refuse_other_kind(request: &Request, is: DataKind) -> Result<(), DataError> {
    // Texts of files are a column, too: it can be said what they are read by.
    let decides = |(name, kind): &(&String, &ColumnKind)| {
        is == DataKind::Text && *name == texts::COLUMN && kind.is_text()
    };
    if let Some((name, kind)) = request.columns.iter().find(|said| !decides(said)) {
        let problem = format!(
            "`{name}` cannot be read as {kind}: that is said of columns of a table that stands in a text, Parquet, \
             Arrow, ARFF or JSON Lines file"
        );
        return Err(nothing(request, problem));
    }
    match request.kind {
        Some(asked) if asked != is => Err(nothing(
            request,
            format!("it holds {is}, which cannot be read as {asked}"),
        )),
        _ => Ok(()),
    }
}
