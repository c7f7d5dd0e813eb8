//! What a user calls a row: its number in the file it came from, or the path of its image.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

use std::fs;

use data::{ReadLimits, Request, Roles, SplitBy, read};

#[test]
fn rows_are_called_by_their_number_in_their_own_file_even_if_some_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let rows = "size,class\n1,a\n2,b\n3,a\n4,b\n";
    let test = "size,class\n5,a\n6,\n7,b\n";
    let whole = read(&Request {
        path: write("whole.csv", rows),
        ..Request::default()
    });
    assert_eq!(whole.unwrap().row_name(2), "3");
    let with_gaps = read(&Request {
        path: write("gaps.csv", "size,class\n1,a\n2,\n3,a\n4,b\n"),
        test: Some(write("test.csv", test)),
        ..Request::default()
    });
    let source = with_gaps.unwrap();
    let names: Vec<String> = (0..5).map(|row| source.row_name(row)).collect();
    assert_eq!(names, ["1", "3", "4", "1", "3"]);
    let given = read(&Request {
        path: write("whole.csv", rows),
        test: Some(write("other.csv", "size,class\n5,a\n7,b\n")),
        ..Request::default()
    });
    let source = given.unwrap();
    assert_eq!([source.row_name(3), source.row_name(5)], ["4", "2"]);
    let validated = read(&Request {
        path: write("whole.csv", rows),
        validation: Some(write("more.csv", rows)),
        test: Some(write("other.csv", "size,class\n5,a\n7,b\n")),
        ..Request::default()
    });
    let source = validated.unwrap();
    let names: Vec<String> = (0..10).map(|row| source.row_name(row)).collect();
    let expected = ["1", "2", "3", "4", "1", "2", "3", "4", "1", "2"];
    assert_eq!(names, expected);
}

#[test]
fn validation_rows_have_their_own_numbers_beside_test_rows_that_are_not_all_held() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: usize| {
        let row = |row: usize| format!("{},{}\n", row % 9, ["a", "b"][row % 2]);
        let rows: String = (0..rows).map(row).collect();
        let path = folder.path().join(name);
        fs::write(&path, format!("size,class\n{rows}")).unwrap();
        path
    };
    let source = read(&Request {
        path: write("rows.csv", 4),
        validation: Some(write("more.csv", 3)),
        test: Some(write("test.csv", 1_000)),
        limits: ReadLimits {
            held_text_bytes: 400,
            ..ReadLimits::default()
        },
        ..Request::default()
    })
    .unwrap();
    assert!(source.given_test_rows.len() < 1_000);
    let names: Vec<String> = (0..7).map(|row| source.row_name(row)).collect();
    assert_eq!(names, ["1", "2", "3", "4", "1", "2", "3"]);
}

#[test]
fn a_row_that_says_nonsense_of_itself_is_called_by_its_number_in_its_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    // The second row has no target, and is left out before weights are read.
    let check = |rows: &str, test: &str, expected: &str| {
        let refused = read(&Request {
            path: write("rows.csv", rows),
            test: Some(write("test.csv", test)),
            roles: Roles {
                split_by: SplitBy::Rows,
                weight: Some("count".into()),
            },
            ..Request::default()
        });
        let said = refused.unwrap_err().to_string();
        assert!(said.contains(expected), "{said}");
    };
    let good = "size,count,class\n1,1,a\n2,1,\n3,1,b\n4,1,a\n";
    let bad = good.replace("4,1,a", "4,-2,a");
    check(&bad, good, "`count` holds `-2` in row 4: a weight is");
    let test = folder.path().join("test.csv");
    let in_test = format!("`count` holds `-2` in row 4 of {}: a", test.display());
    check(good, &bad, &in_test);
}

#[test]
fn images_are_called_by_their_paths_in_the_order_of_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    for (path, shade) in [
        ("train/cat/a.png", 10),
        ("train/dog/b.png", 20),
        ("test/cat/c.png", 30),
        ("test/dog/d.png", 40),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::GrayImage::from_pixel(4, 4, image::Luma([shade]))
            .save(path)
            .unwrap();
    }
    let source = read(&Request {
        path: folder.path().to_path_buf(),
        ..Request::default()
    })
    .unwrap();
    let data::Dataset::Images(images) = &source.dataset else {
        panic!("images were read as a table")
    };
    for row in 0..4 {
        let shade = images.bytes[row as usize * 16];
        let name = source.row_name(row);
        let wanted = match shade {
            10 => "train/cat/a.png",
            20 => "train/dog/b.png",
            30 => "test/cat/c.png",
            _ => "test/dog/d.png",
        };
        assert_eq!(name, wanted);
    }
}
