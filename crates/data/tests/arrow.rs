//! Arrow files and streams as pyarrow writes them (`tools/arrow/make_tables.py`): the same data as the
//! Parquet file of the same table, and nothing but an error for what is damaged or cannot be read.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use data::{Cells, Dataset, Preprocessor, ReadLimits, Request, Source, Table};

/// All forms of the one table.
const FORMS: [&str; 4] = ["plain.arrow", "zstd.arrow", "lz4.feather", "stream.arrows"];

fn stored(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/arrow")
        .join(name)
}

fn request(path: &Path) -> Request {
    Request {
        path: path.to_path_buf(),
        target: Some("label".to_string()),
        ..Request::default()
    }
}

fn table(source: &Source) -> &Table {
    match &source.dataset {
        Dataset::Table(table) => table,
        _ => panic!("{}", source.description),
    }
}

/// Cells as text, so that what is missing is equal to what is missing.
fn shown(source: &Source) -> String {
    format!("{:?} {:?}", source.task, table(source))
}

#[test]
fn every_form_gives_what_the_parquet_file_of_the_same_table_gives() {
    let expected = data::read(&request(&stored("same.parquet"))).unwrap();
    assert_eq!(expected.dataset.rows(), 24);
    for name in FORMS {
        let source = data::read(&request(&stored(name))).unwrap();
        assert_eq!(shown(&source), shown(&expected), "{name}");
        assert_eq!(source.fingerprint, expected.fingerprint, "{name}");
    }
}

#[test]
fn types_that_parquet_lacks_are_read_as_what_they_mean() {
    let source = data::read(&request(&stored("only.arrow"))).unwrap();
    let columns = &table(&source).columns;
    let cells = |name: &str| {
        let column = columns.iter().find(|column| column.name == name);
        column.map(|column| format!("{:?}", column.cells))
    };
    assert_eq!(cells("half").unwrap(), "Numbers([0.5, NaN, -2.0, 1.25])");
    assert_eq!(cells("lasts").unwrap(), "Numbers([1.0, 2.0, NaN, 4.0])");
    assert!(
        cells("view")
            .unwrap()
            .contains("much longer than the twelve bytes")
    );
    let nano = columns.iter().find(|column| column.name == "nano");
    let Some(Cells::Times { seconds, .. }) = nano.map(|column| &column.cells) else {
        panic!("{nano:?}")
    };
    assert!(seconds[2].is_nan());
    assert_eq!(seconds[..2], [0.0, 1e9]);
    assert_eq!(cells("nothing"), None, "an empty column says nothing");
}

#[test]
fn new_rows_are_read_for_a_model_of_the_same_columns() {
    let parquet = stored("same.parquet");
    let source = data::read(&request(&parquet)).unwrap();
    let rows: Vec<u32> = (0..24).collect();
    let preprocessor = Preprocessor::fit(&source, &rows).unwrap();
    let read = |path: &Path| {
        let rows = preprocessor
            .read_rows(path, &ReadLimits::default())
            .unwrap();
        format!("{:?} {:?}", rows.examples, rows.row_numbers)
    };
    for name in FORMS {
        assert_eq!(read(&stored(name)), read(&parquet), "{name}");
    }
}

#[test]
fn a_file_that_is_not_held_as_a_whole_gives_the_same_rows() {
    for name in FORMS {
        let whole = data::read(&request(&stored(name))).unwrap();
        let large = data::read(&Request {
            limits: ReadLimits {
                held_text_bytes: 1_000,
                ..ReadLimits::default()
            },
            ..request(&stored(name))
        });
        let large = large.unwrap();
        let beyond = large.beyond.as_ref().expect("not all rows are held");
        assert_eq!(beyond.rows(), 24, "{name}");
        let first = large.row_name(0).parse::<usize>().unwrap() - 1;
        let size = |source: &Source, row: usize| match &table(source).columns[1].cells {
            Cells::Numbers(values) => values[row],
            other => panic!("{other:?}"),
        };
        assert_eq!(size(&large, 0).to_bits(), size(&whole, first).to_bits());
    }
}

#[test]
fn lists_are_refused_by_the_name_of_their_column() {
    let refused = data::read(&Request {
        target: None,
        ..request(&stored("nested.arrow"))
    });
    let said = refused.unwrap_err().to_string();
    assert!(
        said.contains("column `list` holds lists or records: only plain columns are read"),
        "{said}"
    );
    assert!(said.contains("--ignore list"), "{said}");
}

#[test]
fn a_cut_file_is_refused_wherever_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.arrow");
    for name in ["plain.arrow", "lz4.feather"] {
        let whole = fs::read(stored(name)).unwrap();
        for length in (8..whole.len()).step_by(29) {
            fs::write(&path, &whole[..length]).unwrap();
            let refused = data::read(&request(&path)).unwrap_err().to_string();
            assert!(
                refused.contains("no whole Arrow file"),
                "{length}: {refused}"
            );
        }
    }
}

#[test]
fn a_length_that_is_made_up_costs_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.feather");
    let whole = fs::read(stored("lz4.feather")).unwrap();
    // The frame of LZ4 begins so, and behind a length of eight bytes.
    let frames = (8..whole.len() - 4).filter(|at| whole[*at..*at + 4] == [0x04, 0x22, 0x4d, 0x18]);
    let frames: Vec<usize> = frames.collect();
    assert!(!frames.is_empty(), "something of the file is compressed");
    for frame in frames {
        for length in [1_i64 << 62, 1 << 40, -2] {
            let mut damaged = whole.clone();
            damaged[frame - 8..frame].copy_from_slice(&length.to_le_bytes());
            fs::write(&path, damaged).unwrap();
            let refused = data::read(&request(&path)).unwrap_err().to_string();
            assert!(refused.contains("exceeds the limit of"), "{refused}");
        }
    }
}
