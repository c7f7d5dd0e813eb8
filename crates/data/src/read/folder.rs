//! Which files of a folder hold the data: one alone, or one to learn from and one to test with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{format_of, name_of};
use crate::error::DataError;

/// Ends of names that data have.
const DATA_FORMATS: [&str; 13] = [
    "csv", "tsv", "parquet", "arrow", "feather", "arrows", "arff", "ts", "jsonl", "ndjson", "npz",
    "txt", JSON,
];

/// A file of this kind beside others is rather about the data than data.
const JSON: &str = "json";

/// What people call rows to learn from, and rows to test with.
const TRAIN: &str = "train";
const TEST: &str = "test";

/// The data of a folder.
pub(super) struct DataFiles {
    pub(super) data: PathBuf,
    pub(super) test: Option<PathBuf>,
    /// Which files these are, for the user.
    pub(super) said: String,
}

/// Finds the data of a folder.
///
/// # Errors
/// If there is none, or more than can be told apart by their names.
pub(super) fn data_files(folder: &Path) -> Result<DataFiles, DataError> {
    let nothing = |problem: String| DataError::NothingToLearn {
        path: folder.to_path_buf(),
        problem,
    };
    let unreadable = |source| DataError::Unreadable {
        path: folder.to_path_buf(),
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = name_of(&path).starts_with('.');
        if path.is_file() && !is_hidden && DATA_FORMATS.contains(&format_of(&path)) {
            files.push(path);
        }
    }
    if files.iter().any(|path| format_of(path) != JSON) {
        files.retain(|path| format_of(path) != JSON);
    }
    files.sort();
    let names: Vec<String> = files.iter().map(|path| name_of(path)).collect();
    match &files[..] {
        [] => Err(nothing(format!(
            "it holds no data: files of {} are, or a folder of images or texts per class",
            DATA_FORMATS.join(", ")
        ))),
        [only] => Ok(DataFiles {
            data: only.clone(),
            test: None,
            said: format!("`{}` is read, the only data in the folder", names[0]),
        }),
        [first, second] => pair(first, second).ok_or_else(|| nothing(too_many(&names))),
        _ => Err(nothing(too_many(&names))),
    }
}

fn too_many(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let more = names.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let shown = names[..names.len().min(SHOWN)].join(", ");
    format!(
        "it holds {} files of data ({shown}{more}): name one of them",
        names.len()
    )
}

/// Two files whose names differ in `train` and `test` alone.
fn pair(first: &Path, second: &Path) -> Option<DataFiles> {
    let names = [first, second].map(|path| name_of(path).to_ascii_lowercase());
    let train = names.iter().position(|name| name.contains(TRAIN))?;
    let (data, test) = if train == 0 {
        (first, second)
    } else {
        (second, first)
    };
    (names[train].replacen(TRAIN, TEST, 1) == names[1 - train]).then(|| DataFiles {
        data: data.to_path_buf(),
        test: Some(test.to_path_buf()),
        said: format!(
            "`{}` is learned from, `{}` are test rows",
            name_of(data),
            name_of(test)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_files_are_data_unless_there_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| fs::write(folder.path().join(name), "").unwrap();
        let found = || {
            let files = data_files(folder.path()).unwrap();
            (name_of(&files.data), files.test.as_deref().map(name_of))
        };
        put("train.json");
        assert_eq!(found(), ("train.json".to_string(), None));
        put("test.json");
        let test = Some("test.json".to_string());
        assert_eq!(found(), ("train.json".to_string(), test));
        put("rows.csv");
        assert_eq!(found(), ("rows.csv".to_string(), None));
    }
}
