//! Data sets of NPZ files, with the test rows in the file itself or in one of their own.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod npy;

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
};

use data::{DataKind, Dataset, Examples, Preprocessor, ReadLimits, Request, Source, Task};
use npy::{npy, npy_of_words};
use zip::{ZipWriter, write::SimpleFileOptions};

/// An NPZ file of these arrays.
fn packed(folder: &Path, name: &str, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
    let path = folder.join(name);
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    for (array, bytes) in arrays {
        zip.start_file(format!("{array}.npy"), SimpleFileOptions::default())
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    path
}

/// So many rows of three numbers, and of two classes.
fn numbers(rows: usize) -> Vec<u8> {
    let values: Vec<f64> = (0..rows * 3).map(|value| value as f64 * 0.25).collect();
    npy(&[rows, 3], &values)
}

fn classes(rows: usize) -> Vec<u8> {
    let classes: Vec<f64> = (0..rows).map(|row| (row % 2) as f64).collect();
    npy(&[rows], &classes)
}

/// The same, under these names.
fn write(folder: &Path, name: &str, parts: &[(&str, &str, usize)]) -> PathBuf {
    let arrays: Vec<(&str, Vec<u8>)> = parts
        .iter()
        .flat_map(|(inputs, targets, rows)| [(*inputs, numbers(*rows)), (*targets, classes(*rows))])
        .collect();
    packed(folder, name, &arrays)
}

fn request(path: PathBuf, test: Option<PathBuf>) -> Request {
    Request {
        path,
        test,
        ..Request::default()
    }
}

fn column_names(dataset: &Dataset) -> Vec<&str> {
    let Dataset::Table(table) = dataset else {
        panic!("it is a table")
    };
    let names = table.columns.iter().map(|column| column.name.as_str());
    names.collect()
}

#[test]
fn test_rows_come_from_the_file_named_for_them_or_from_the_data_itself() {
    let folder = tempfile::tempdir().unwrap();
    let train = write(folder.path(), "train.npz", &[("X", "y", 40)]);
    let test = write(folder.path(), "test.npz", &[("X", "y", 10)]);
    let both = write(
        folder.path(),
        "both.npz",
        &[("X", "y", 40), ("X_test", "y_test", 10)],
    );
    let given = |path: &Path, test: Option<&Path>| {
        let request = request(path.to_path_buf(), test.map(Path::to_path_buf));
        data::read(&request).map(|source| source.given_test_rows)
    };
    assert!(given(&train, None).unwrap().is_empty());
    assert_eq!(given(&train, Some(&test)).unwrap(), 40..50);
    assert_eq!(given(&both, None).unwrap(), 40..50);
    let twice = given(&both, Some(&test)).unwrap_err().to_string();
    assert!(twice.contains("give one of the two"), "{twice}");
    let missing = folder.path().join("absent.npz");
    assert!(given(&train, Some(&missing)).is_err());
}

#[test]
fn validation_rows_come_from_the_file_named_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let train = write(folder.path(), "train.npz", &[("X", "y", 40)]);
    let more = write(folder.path(), "more.npz", &[("X", "y", 12)]);
    let asked = Request {
        validation: Some(more.clone()),
        ..request(train, Some(more))
    };
    let source = data::read(&asked).unwrap();
    assert_eq!(source.given_validation_rows, 40..52);
    assert_eq!(source.given_test_rows, 52..64);
}

#[test]
fn arrays_have_the_names_that_people_give_them() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [
        ("x_train", "y_train", 40),
        ("x_val", "y_val", 12),
        ("x_test", "y_test", 10),
    ];
    let path = write(folder.path(), "keras.npz", &parts);
    let source = data::read(&request(path, None)).unwrap();
    assert_eq!(source.given_validation_rows, 40..52);
    assert_eq!(source.given_test_rows, 52..62);
    let parts = [
        ("train_images", "train_labels", 40),
        ("test_images", "test_labels", 10),
    ];
    let path = write(folder.path(), "images.npz", &parts);
    let source = data::read(&request(path, None)).unwrap();
    assert_eq!(source.given_test_rows, 40..50);
}

#[test]
fn a_folder_may_have_a_file_for_each_array() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f64> = (0..150)
        .map(|value| f64::from(value * value % 17))
        .collect();
    let words: Vec<&str> = (0..50).map(|row| ["no", "yes"][row % 2]).collect();
    for (name, bytes) in [
        ("X_train.npy", npy(&[40, 3], &values[..120])),
        ("y_train.npy", npy_of_words(&words[..40])),
        ("X_test.npy", npy(&[10, 3], &values[120..])),
        ("y_test.npy", npy_of_words(&words[40..])),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let source = data::read(&request(folder.path().to_path_buf(), None)).unwrap();
    assert_eq!(source.given_test_rows, 40..50);
    let alone = data::read(&request(folder.path().join("X_train.npy"), None));
    let refused = alone.unwrap_err().to_string();
    assert!(
        refused.contains("or bring a folder with X.npy and y.npy"),
        "{refused}"
    );
}

#[test]
fn targets_may_be_words_and_other_arrays_of_words_harm_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f64> = (0..120)
        .map(|value| f64::from(value * value % 17))
        .collect();
    let words: Vec<&str> = (0..40).map(|row| ["no", "yes"][row % 2]).collect();
    let arrays = [
        ("X", npy(&[40, 3], &values)),
        ("y", npy_of_words(&words)),
        ("feature_names", npy_of_words(&["a", "b", "c"])),
    ];
    let asked = request(packed(folder.path(), "words.npz", &arrays), None);
    let source = data::read(&asked).unwrap();
    let classes = ["no", "yes"].map(String::from).to_vec();
    assert_eq!(source.task, data::Task::Classification { classes });
    let refused = data::read(&Request {
        task: Some(data::TaskKind::Regression),
        ..asked
    });
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("`y` holds `no`, so it cannot be predicted as a number"),
        "{refused}"
    );
}

#[test]
fn a_column_of_an_array_can_have_a_role() {
    let folder = tempfile::tempdir().unwrap();
    let train = write(folder.path(), "train.npz", &[("X", "y", 40)]);
    let with = |weight: &str| {
        let mut asked = request(train.clone(), None);
        asked.roles.weight = Some(weight.to_string());
        data::read(&asked)
    };
    let source = with("x1").unwrap();
    let weights = source.facts.weights.unwrap();
    assert_eq!((weights.len(), weights[2]), (40, 1.75));
    assert_eq!(column_names(&source.dataset), ["x0", "x2"]);
    let error = with("x7").unwrap_err().to_string();
    assert!(error.contains("no column `x7`"), "{error}");
}

/// Checks that a file with all columns, read for a model, gives what the model was fitted on.
fn check_read_again(source: &Source, path: &Path) {
    let rows: Vec<u32> = (0..source.dataset.rows() as u32).collect();
    let preprocessor = Preprocessor::fit(source, &rows).unwrap();
    let inputs = |examples: &Examples| {
        let mut inputs = vec![0.0; examples.item_len() * rows.len()];
        examples.copy_inputs(&rows, &mut inputs);
        inputs
    };
    let again = preprocessor
        .read_rows(path, &ReadLimits::default())
        .unwrap();
    assert!(again.bad.is_empty(), "{:?}", again.bad);
    let known = preprocessor.apply(&source.dataset, &rows).unwrap();
    assert_eq!(inputs(&again.examples), inputs(&known));
}

#[test]
fn of_several_arrays_new_rows_come_from_the_one_that_was_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let others: Vec<f64> = (0..120).rev().map(f64::from).collect();
    let arrays = [
        ("data", npy(&[40, 3], &others)),
        ("X", numbers(40)),
        ("y", classes(40)),
    ];
    let path = packed(folder.path(), "both.npz", &arrays);
    let source = data::read(&request(path.clone(), None)).unwrap();
    check_read_again(&source, &path);
}

#[test]
fn more_classes_than_are_allowed_are_refused_with_what_allows_them() {
    let folder = tempfile::tempdir().unwrap();
    let targets: Vec<f64> = (0..40).map(|row| f64::from(row % 10)).collect();
    let arrays = [("X", numbers(40)), ("y", npy(&[40], &targets))];
    let path = packed(folder.path(), "many.npz", &arrays);
    let read = |classes_max: usize| {
        data::read(&Request {
            limits: ReadLimits {
                classes_max,
                ..ReadLimits::default()
            },
            ..request(path.clone(), None)
        })
    };
    assert!(read(10).is_ok());
    let refused = read(9).unwrap_err().to_string();
    let expected = "`y` with 10 classes exceeds the limit of 9 classes (--classes-max allows more)";
    assert!(refused.ends_with(expected), "{refused}");
}

#[test]
fn a_column_of_a_table_that_is_called_nearly_as_one_of_an_array_is_not_found_in_an_array() {
    let folder = tempfile::tempdir().unwrap();
    let row = |row: usize| format!("{},{},{}\n", row % 7, row % 5, ["a", "b"][row % 2]);
    let rows: String = (0..40).map(row).collect();
    let new = folder.path().join("new.npy");
    fs::write(&new, numbers(4)).unwrap();
    let read = |header: &str| {
        let table = folder.path().join("t.csv");
        fs::write(&table, format!("{header}\n{rows}")).unwrap();
        let source = data::read(&request(table, None)).unwrap();
        let all: Vec<u32> = (0..40).collect();
        let preprocessor = Preprocessor::fit(&source, &all).unwrap();
        preprocessor.read_rows(&new, &ReadLimits::default())
    };
    assert_eq!(read("x0,x1,label").unwrap().row_numbers, [1, 2, 3, 4]);
    let refused = read("x01,x02,label").unwrap_err().to_string();
    assert!(refused.contains("do not include `x01`"), "{refused}");
}

#[test]
fn a_column_of_an_array_that_is_ignored_is_not_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "train.npz", &[("X", "y", 40)]);
    let without = |ignore: &[&str]| {
        data::read(&Request {
            ignore: ignore.iter().map(|name| (*name).to_string()).collect(),
            ..request(path.clone(), None)
        })
    };
    let source = without(&["x1"]).unwrap();
    assert_eq!(column_names(&source.dataset), ["x0", "x2"]);
    check_read_again(&source, &path);
    let refused = |ignore: &[&str]| without(ignore).unwrap_err().to_string();
    for absent in ["x3", "x01", "colour"] {
        let said = refused(&[absent]);
        let expected = format!("it has no column `{absent}`: its 3 columns are named");
        assert!(said.contains(&expected), "{said}");
    }
    let said = refused(&["x0", "x1", "x2"]);
    assert!(said.contains("no column is left to predict from"), "{said}");
}

#[test]
fn steps_of_an_array_that_are_ignored_are_left_out_of_its_new_rows_too() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f64> = (0..40 * 6).map(|value| f64::from(value * 7 % 31)).collect();
    let arrays = [("X", npy(&[40, 6], &values)), ("y", classes(40))];
    let path = packed(folder.path(), "waves.npz", &arrays);
    let source = data::read(&Request {
        kind: Some(DataKind::Series),
        ignore: vec!["x0".to_string(), "x5".to_string()],
        ..request(path.clone(), None)
    })
    .unwrap();
    assert_eq!(source.description, "series, 40 rows, 4 steps, 2 classes");
    check_read_again(&source, &path);
}

#[test]
fn the_array_that_is_named_is_predicted() {
    let folder = tempfile::tempdir().unwrap();
    let ages = |rows: usize| {
        let values: Vec<f64> = (0..rows).map(|row| row as f64 * 0.5).collect();
        npy(&[rows], &values)
    };
    let mut arrays = vec![("X", numbers(40)), ("y", classes(40)), ("age", ages(40))];
    let read = |arrays: &[(&str, Vec<u8>)], target: &str| {
        data::read(&Request {
            target: Some(target.to_string()),
            ..request(packed(folder.path(), "people.npz", arrays), None)
        })
    };
    let refused = |arrays: &[(&str, Vec<u8>)], target: &str| {
        let refused = read(arrays, target).unwrap_err();
        refused.to_string()
    };
    let age = Task::Regression {
        target: "age".to_string(),
    };
    assert_eq!(read(&arrays, "age").unwrap().task, age);
    let said = refused(&arrays, "height");
    let expected = "it has no array named `height`: its arrays are X, y, age";
    assert!(said.contains(expected), "{said}");
    let said = refused(&arrays, "X");
    assert!(said.contains("`X` is what is predicted from"), "{said}");

    // Test rows of the file itself are of the same target, or refused.
    arrays.extend([("X_test", numbers(10)), ("y_test", classes(10))]);
    let said = refused(&arrays, "age");
    assert!(said.contains("one of age_test, test_age"), "{said}");
    arrays.push(("age_test", ages(10)));
    let source = read(&arrays, "age").unwrap();
    assert_eq!((source.task, source.given_test_rows), (age, 40..50));
}
