//! The files of the repository, as they lie on disk. Build outputs and studies are left out.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A text file of the repository.
pub(crate) struct TextFile {
    /// Path from the repository's root, with `/` between folders.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

/// Where the repository lies.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize()
        .expect("the crate lies in the repository")
}

/// One file that must be there.
pub(crate) fn read(path: &str) -> String {
    let file = root().join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

/// Every text file below this folder of the repository, in the order of their paths.
pub(crate) fn text_files(folder: &str) -> Vec<TextFile> {
    let root = root();
    let mut files = Vec::new();
    collect(&root, &root.join(folder), &mut files);
    files.sort_by(|left, right| left.path.cmp(&right.path));
    files
}

/// Every Rust file below `crates/`.
pub(crate) fn rust_files() -> Vec<TextFile> {
    let mut files = text_files("crates");
    files.retain(|file| file.path.ends_with(".rs"));
    files
}

/// Names of the folders below `crates/`.
pub(crate) fn crate_names() -> Vec<String> {
    let entries = fs::read_dir(root().join("crates")).expect("the repository has crates");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("the folder can be read"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<TextFile>) {
    let entries = fs::read_dir(folder).expect("a folder of the repository can be read");
    for entry in entries {
        let path = entry
            .expect("a folder of the repository can be read")
            .path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !is_left_out(&name) {
                collect(root, &path, files);
            }
            continue;
        }
        // What is not UTF-8 is data, not text.
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        let relative = path
            .strip_prefix(root)
            .expect("the walk starts at the root");
        files.push(TextFile {
            path: relative.to_string_lossy().replace('\\', "/"),
            text,
        });
    }
}

fn is_left_out(folder: &str) -> bool {
    let is_kept = [".ci", ".config", ".github"].contains(&folder);
    folder == "target" || folder.ends_with(".lehr") || (folder.starts_with('.') && !is_kept)
}
