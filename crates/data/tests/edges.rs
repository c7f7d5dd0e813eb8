//! Files at the edge of what their formats allow: each is read or refused with a reason, and none of them
//! ends in a panic or in more memory than is allowed.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod npy;

use std::{
    fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
};

use data::{Preprocessor, ReadLimits, Request};
use npy::npy;
use zip::{ZipWriter, write::SimpleFileOptions};

fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// An NPZ file of these arrays, packed.
fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default())
            .unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Why it cannot be learned from.
fn refused(request: &Request) -> String {
    data::read(request).unwrap_err().to_string()
}

#[test]
fn a_table_without_columns_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("t.jsonl", "{}\n{}\n"), ("t.json", "[{}]")] {
        let path = written(folder.path(), name, text.as_bytes());
        let said = refused(&Request {
            path,
            ..Request::default()
        });
        assert!(said.ends_with("it has no columns"), "{said}");
    }
    let said = refused(&Request {
        path: written(folder.path(), "t.csv", b"x,y\n1,2\n3,4\n"),
        ignore: vec!["x".to_string(), "y".to_string()],
        ..Request::default()
    });
    assert!(said.ends_with("it has no columns"), "{said}");
}

#[test]
fn json_files_of_a_folder_are_rows_to_learn_from_and_to_test_with() {
    let folder = tempfile::tempdir().unwrap();
    for (name, rows) in [("train.json", 40), ("test.json", 10)] {
        let object = |row: usize| {
            let label = ["a", "b"][row % 2];
            format!("{{\"x\": {}, \"label\": \"{label}\"}}", row % 7)
        };
        let objects: Vec<String> = (0..rows).map(object).collect();
        let text = format!("[{}]", objects.join(","));
        written(folder.path(), name, text.as_bytes());
    }
    let source = data::read(&Request {
        path: folder.path().to_path_buf(),
        ..Request::default()
    });
    assert_eq!(source.unwrap().given_test_rows, 40..50);
}

#[test]
fn test_rows_that_are_a_single_number_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let train = npz(&[
        ("X", npy(&[4, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])),
        ("y", npy(&[4], &[0.0, 1.0, 0.0, 1.0])),
    ]);
    let test = npz(&[("X", npy(&[1, 2], &[0.0, 1.0])), ("y", npy(&[], &[0.0]))]);
    let said = refused(&Request {
        path: written(folder.path(), "train.npz", &train),
        test: Some(written(folder.path(), "test.npz", &test)),
        ..Request::default()
    });
    assert!(said.contains("is one number: rows are needed"), "{said}");
}

#[test]
fn texts_of_which_no_word_comes_twice_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rows = (0..20).map(|row| {
        let label = ["a", "b"][row % 2];
        format!("only{row} once{row} here{row},never{row} seen{row} again{row},{label}\n")
    });
    let text = format!("title,body,label\n{}", rows.collect::<String>());
    let source = data::read(&Request {
        path: written(folder.path(), "t.csv", text.as_bytes()),
        ..Request::default()
    });
    let all: Vec<u32> = (0..20).collect();
    let said = Preprocessor::fit(&source.unwrap(), &all).unwrap_err();
    assert!(said.to_string().contains("no word that comes twice"));
}

#[test]
fn the_arrays_of_an_archive_share_one_limit() {
    let folder = tempfile::tempdir().unwrap();
    let zeros = npy(&[1000], &[0.0; 1000]);
    let path = written(
        folder.path(),
        "t.npz",
        &npz(&[("X", zeros.clone()), ("y", zeros)]),
    );
    let said = refused(&Request {
        path,
        limits: ReadLimits {
            bytes_max: 12_000,
            ..ReadLimits::default()
        },
        ..Request::default()
    });
    assert!(said.contains("exceeds the limit of 12000 bytes"), "{said}");
}

#[test]
fn an_image_that_many_rows_name_is_held_as_often_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    image::GrayImage::from_fn(16, 16, |x, y| image::Luma([(x * y) as u8]))
        .save(folder.path().join("a.png"))
        .unwrap();
    let rows = (0..100).map(|row| format!("a.png,{}\n", ["x", "y"][row % 2]));
    let text = format!("file,label\n{}", rows.collect::<String>());
    let path = written(folder.path(), "t.csv", text.as_bytes());
    let request = |bytes_max: u64| Request {
        path: path.clone(),
        limits: ReadLimits {
            bytes_max,
            ..ReadLimits::default()
        },
        ..Request::default()
    };
    assert_eq!(data::read(&request(100 * 256)).unwrap().dataset.rows(), 100);
    let said = refused(&request(100 * 256 - 1));
    assert!(said.contains("100 images of 256 bytes exceeds"), "{said}");
}

#[test]
fn what_is_said_of_columns_is_refused_where_there_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    for class in ["good", "bad"] {
        for (kind, file) in [("texts", "a.txt"), ("pictures", "a.png")] {
            let inner = place.join(kind).join(class);
            fs::create_dir_all(&inner).unwrap();
            fs::write(inner.join(file), "some words").unwrap();
        }
    }
    let series = b"@classLabel true up down\n@data\n1,2:up\n3,4:down\n";
    written(place, "a.ts", series);
    let images = [
        &[0_u8, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 2][..],
        &[7; 16][..],
    ];
    written(place, "a-images-idx3-ubyte", &images.concat());
    let labels = [0, 0, 8, 1, 0, 0, 0, 4, 0, 1, 0, 1];
    written(place, "a-labels-idx1-ubyte", &labels);
    let arrays = npz(&[
        ("X", npy(&[4, 2, 3], &[0.5; 24])),
        ("y", npy(&[4], &[0.0, 1.0, 0.0, 1.0])),
    ]);
    written(place, "a.npz", &arrays);
    let asked = |name: &str| Request {
        path: place.join(name),
        ..Request::default()
    };
    let without = ["texts", "pictures", "a.ts", "a-images-idx3-ubyte"];
    for name in without.iter().chain(&["a.npz"]) {
        let said = refused(&Request {
            ignore: vec!["x".to_string()],
            ..asked(name)
        });
        let expected = "it has no columns, so there is no `x` to leave out";
        assert!(said.contains(expected), "{name}: {said}");
    }
    for name in without {
        let said = refused(&Request {
            target: Some("x".to_string()),
            ..asked(name)
        });
        let expected = "it has no columns, so there is no `x` to predict";
        assert!(said.contains(expected), "{name}: {said}");
    }
}
