//! Damaged and hostile files: each is refused with a reason, or read with a word about it; none of
//! them panics, hangs, or puts anything on the disk.
//!
//! The files lie outside the repository; without them, and in CI, this is skipped and says so.

#![allow(clippy::print_stderr)] // A test that is skipped says so.

use std::{
    env,
    path::{Path, PathBuf},
};

use data::{DataKind, HeaderLine, Preprocessor, Request, SplitShares, TaskKind, split};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What is expected of a file.
enum Expected {
    /// An error that says this.
    Refused(&'static str),
    /// It is read; a notice or the description says this.
    ReadSaying(&'static str),
}
use Expected::{ReadSaying, Refused};

const CASES: [(&str, Expected); 61] = [
    ("csv/good.csv", ReadSaying("60 rows")),
    (
        "csv/ragged.csv",
        Refused("line 8 has 5 cells (2 such line(s): line 8, 13)"),
    ),
    (
        "csv/nan_labels.csv",
        ReadSaying("4 row(s) without a value in `label` are left out"),
    ),
    ("csv/one_class.csv", Refused("`label` is always `yes`")),
    (
        "csv/class_with_one_member.csv",
        Refused("class `no` has 1 row(s)"),
    ),
    (
        "csv/duplicate_header.csv",
        Refused("two columns are named `x1`"),
    ),
    ("csv/utf16.csv", ReadSaying("UTF-16")),
    ("csv/utf8_bom.csv", ReadSaying("60 rows")),
    ("csv/latin1.csv", ReadSaying("Latin-1")),
    ("csv/empty.csv", Refused("the file is empty")),
    ("csv/header_only.csv", Refused("0 row(s)")),
    ("csv/single_row.csv", Refused("1 row(s)")),
    (
        "csv/semicolon_decimal_comma.csv",
        ReadSaying("`,` is the decimal mark"),
    ),
    (
        "csv/unbalanced_quote.csv",
        Refused("opens a quote that is never closed"),
    ),
    (
        "csv/inf_and_text_in_numeric.csv",
        ReadSaying("count as missing"),
    ),
    (
        "csv/useless_columns.csv",
        ReadSaying("column `const` is left out"),
    ),
    (
        "csv/leak.csv",
        ReadSaying("column `label_copy` alone says what the target is"),
    ),
    ("csv/null_bytes.csv", Refused("NUL byte")),
    ("csv/crlf_mixed.csv", ReadSaying("60 rows")),
    ("csv/extreme_scales.csv", ReadSaying("rows")),
    (
        "csv/every_row_its_own_class.csv",
        Refused("30 different values in 30 rows"),
    ),
    ("images/truncated.png", Refused("one image is no data set")),
    ("images/zero_bytes.png", Refused("one image is no data set")),
    ("images/text_as.png", Refused("one image is no data set")),
    (
        "images/huge_20000x20000.png",
        Refused("one image is no data set"),
    ),
    (
        "images/class_of_one.zip",
        Refused("class `dog` has 1 row(s)"),
    ),
    (
        "images/one_class_only.zip",
        Refused("every image is of class `cat`"),
    ),
    (
        "images/empty_class_folder.zip",
        ReadSaying("`bird` holds no image"),
    ),
    ("images/mixed_with_non_images.zip", ReadSaying("broken.png")),
    ("images/mixed_sizes_modes.zip", ReadSaying("resized")),
    ("images/unicode_and_spaces.zip", ReadSaying("classes")),
    (
        "images/train_test_leak.zip",
        ReadSaying("identical to images to learn from"),
    ),
    ("images/class_sets_differ.zip", Refused("the class `wolf`")),
    (
        "archives/bomb_200MB_of_zeros.zip",
        Refused("no image in it that can be used"),
    ),
    (
        "archives/zip_slip.zip",
        Refused("every image is of class `cat`"),
    ),
    (
        "archives/symlink_out.tar.gz",
        Refused("every image is of class `cat`"),
    ),
    ("archives/cut_in_half.zip", Refused("was it cut?")),
    (
        "archives/not_a_zip.zip",
        Refused("the name of an archive but not its content"),
    ),
    (
        "archives/nested.zip",
        Refused("no image in it that can be used"),
    ),
    (
        "idx/wrong_magic-images-idx3-ubyte.gz",
        Refused("0x12345678"),
    ),
    (
        "idx/truncated-images-idx3-ubyte.gz",
        Refused("bytes follow"),
    ),
    (
        "idx/giant_header-images-idx3-ubyte.gz",
        Refused("more than any file has"),
    ),
    (
        "idx/cut-images-idx3-ubyte.gz",
        Refused("gzip stream is damaged or cut"),
    ),
    ("npy/object_array.npy", Refused("Python objects")),
    ("npy/nan_inf.npz", ReadSaying("infinite or not a number")),
    (
        "npy/length_mismatch.npz",
        Refused("40 inputs but 39 targets"),
    ),
    ("npy/no_y.npz", Refused("its arrays are X")),
    ("npy/negative_and_gap_labels.npz", ReadSaying("2 classes")),
    ("npy/float_labels.npz", ReadSaying("holds fractions")),
    ("npy/cut.npz", Refused("was it cut?")),
    (
        "parquet/no_footer.parquet",
        Refused("no whole Parquet file"),
    ),
    ("parquet/good.parquet", ReadSaying("table")),
    (
        "arff/sparse.arff",
        Refused("there are 2 rows, 10 are needed"),
    ),
    ("arff/no_data.arff", Refused("it has no @data")),
    (
        "arff/undeclared_value.arff",
        Refused("line 6: `z` is not among the declared values of `c` (x, y)"),
    ),
    (
        "ts/unequal_not_declared.ts",
        Refused("line 7: it has 3 steps, the first has 4, and @equalLength is true"),
    ),
    (
        "ts/unknown_label.ts",
        Refused("line 6: its label `c` is not among the declared ones (a, b)"),
    ),
    (
        "ts/no_label.ts",
        Refused("line 5: it has no label behind a colon"),
    ),
    ("images/jpeg_as.png", Refused("one image is no data set")),
    ("idx/plain_but_named.gz", Refused("NUL byte")),
    (
        "idx/good-images-idx3-ubyte.gz",
        Refused("its labels, good-labels-idx1-ubyte or .gz, do not lie beside it"),
    ),
];

fn bad_folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/bad");
    if folder.is_dir() && env::var_os("CI").is_none() {
        return Some(folder);
    }
    eprintln!("skipped: the damaged files are not here, or this is CI");
    None
}

/// Reads, splits and fits, as a study does; all that is said, or why it was refused.
fn outcome(path: &Path) -> Result<String, String> {
    let request = Request {
        path: path.to_path_buf(),
        ..Request::default()
    };
    let source = data::read(&request).map_err(|error| error.to_string())?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let split = split(&source, SplitShares::default(), &mut rng).map_err(|e| e.to_string())?;
    let preprocessor = Preprocessor::fit(&source, &split.train).map_err(|e| e.to_string())?;
    let examples = preprocessor
        .apply(&source.dataset, &split.train)
        .map_err(|e| e.to_string())?;
    let rows: Vec<u32> = (0..examples.len() as u32).collect();
    let mut inputs = vec![0.0; rows.len() * examples.item_len()];
    examples.copy_inputs(&rows, &mut inputs);
    assert!(
        inputs.iter().all(|value| value.is_finite()),
        "{path:?}: only numbers reach a network"
    );
    let notices = source.notices.iter().map(ToString::to_string);
    let findings = data::profile(&source, &split).findings;
    let said: Vec<String> = notices
        .chain(findings.iter().map(ToString::to_string))
        .collect();
    Ok(format!("{}\n{}", source.description, said.join("\n")))
}

#[test]
fn every_damaged_file_is_refused_with_its_reason_or_read_with_a_word_about_it() {
    let Some(folder) = bad_folder() else { return };
    let mut wrong = Vec::new();
    for (name, expected) in &CASES {
        let outcome = outcome(&folder.join(name));
        let right = match (expected, &outcome) {
            (Refused(part), Err(said)) | (ReadSaying(part), Ok(said)) => said.contains(part),
            _ => false,
        };
        if !right {
            wrong.push(format!("{name}: {outcome:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let slipped = ["zip_slip_was_here.txt", "zip_slip_abs_was_here.txt"];
    assert!(
        slipped
            .iter()
            .all(|name| !env::temp_dir().join(name).exists())
    );
}

#[test]
fn a_byte_order_mark_is_not_part_of_the_first_column() {
    let Some(folder) = bad_folder() else { return };
    let request = Request {
        path: folder.join("csv/utf8_bom.csv"),
        ..Request::default()
    };
    let source = data::read(&request).expect("it is a healthy file");
    let data::Dataset::Table(table) = source.dataset else {
        panic!("it is a table")
    };
    assert_eq!(table.columns[0].name, "x1");
}

/// Reads only: files too small to be split are told about all the same.
fn said(request: Request) -> String {
    let source = data::read(&request).expect("it can be read");
    let notices: Vec<String> = source.notices.iter().map(ToString::to_string).collect();
    format!("{}\n{}", source.description, notices.join("\n"))
}

#[test]
fn what_is_odd_about_texts_is_said() {
    let Some(folder) = bad_folder() else { return };
    let request = |name: &str| Request {
        path: folder.join(name),
        ..Request::default()
    };
    let latin = said(request("text/invalid_utf8.tsv"));
    assert!(latin.contains("read as Latin-1"), "{latin}");
    let typos = data::read(&request("text/label_typos.tsv")).expect_err("nearly all labels differ");
    let typos = typos.to_string();
    assert!(
        typos.contains("(`Ham` 1, `ham` 2, `spam` 1, `spma` 1)"),
        "{typos}"
    );
    let empty = Request {
        kind: Some(DataKind::Text),
        ..request("text/empty_texts.csv")
    };
    let said = said(empty);
    assert!(said.contains("3 of 4 texts are empty"), "{said}");
}

#[test]
fn a_text_of_a_million_letters_is_cut() {
    let Some(folder) = bad_folder() else { return };
    let long = Request {
        path: folder.join("text/long_line.tsv"),
        header: HeaderLine::Absent,
        kind: Some(DataKind::Text),
        target: Some("column1".to_string()),
        ..Request::default()
    };
    let said = said(long);
    let expected = "1 text(s) are longer than 100000 bytes and are read up to there";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn what_the_user_says_of_a_target_is_held_against_it() {
    let Some(folder) = bad_folder() else { return };
    let refused = |name: &str, target: Option<&str>, task: Option<TaskKind>| {
        let request = Request {
            path: folder.join(name),
            target: target.map(str::to_string),
            task,
            ..Request::default()
        };
        data::read(&request)
            .expect_err("it cannot be learned")
            .to_string()
    };
    let message = refused(
        "csv/regression_as_classification.csv",
        None,
        Some(TaskKind::Classification),
    );
    assert!(
        message.contains("60 different values in 60 rows"),
        "{message}"
    );
    let message = refused("csv/no_target_column.csv", Some("label"), None);
    assert!(
        message.contains("it has no column `label`: its columns are x1"),
        "{message}"
    );
}

#[test]
fn images_and_labels_of_different_counts_are_refused() {
    let Some(folder) = bad_folder() else { return };
    let here = tempfile::tempdir().expect("a folder for the pair");
    for (from, to) in [
        ("good-images-idx3-ubyte.gz", "a-images-idx3-ubyte.gz"),
        ("short-labels-idx1-ubyte.gz", "a-labels-idx1-ubyte.gz"),
    ] {
        std::fs::copy(folder.join("idx").join(from), here.path().join(to)).expect("it is copied");
    }
    let path = here.path().join("a-images-idx3-ubyte.gz");
    let request = Request {
        path,
        ..Request::default()
    };
    let message = data::read(&request)
        .expect_err("the counts differ")
        .to_string();
    assert!(
        message.contains("20 images") && message.contains("19 labels"),
        "{message}"
    );
}
