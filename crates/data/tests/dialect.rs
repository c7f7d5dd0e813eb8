//! Tables in other ways of writing: what is said of them holds for the data, for files that do not fit into memory,
//! and for new rows of the model; columns that nobody wants may hold anything.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use data::{
    Cells, Column, Dataset, Decimal, Delimiter, Dialect, Examples, Preprocessor, ReadLimits,
    Request, RowStream, Source,
};

fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn request(path: &Path, dialect: Dialect) -> Request {
    Request {
        path: path.to_path_buf(),
        dialect,
        ..Request::default()
    }
}

fn columns(source: &Source) -> &[Column] {
    match &source.dataset {
        Dataset::Table(table) => &table.columns,
        _ => panic!("{}", source.description),
    }
}

fn cells(source: &Source) -> Vec<(&str, String)> {
    let shown = |column: &Column| format!("{:?}", column.cells);
    let columns = columns(source).iter();
    columns
        .map(|column| (column.name.as_str(), shown(column)))
        .collect()
}

fn fitted(source: &Source) -> Preprocessor {
    let rows: Vec<u32> = (0..source.dataset.rows() as u32).collect();
    Preprocessor::fit(source, &rows).unwrap()
}

/// What a network gets of all rows.
fn inputs(examples: &Examples) -> Vec<f32> {
    let rows: Vec<u32> = (0..examples.len() as u32).collect();
    let mut inputs = vec![0.0; examples.len() * examples.item_len()];
    examples.copy_inputs(&rows, &mut inputs);
    inputs
}

/// Towns and rents in Chinese, with `|` between cells and a comma in the fractions; `label` is what is predicted.
fn rents(rows: usize) -> String {
    let row = |row: usize| {
        let (town, label) = (["北京", "上海", "广州|南"][row % 3], ["高", "低"][row % 2]);
        format!("\"{town}\"|{},{}|{label}\n", row % 7, row % 10)
    };
    let rows: String = (0..rows).map(row).collect();
    format!("城市|price|label\n{rows}")
}

const CHINESE: &str = "gbk";

fn in_gbk(text: &str) -> Vec<u8> {
    let (bytes, _, had_errors) = encoding_rs::GBK.encode(text);
    assert!(!had_errors);
    bytes.into_owned()
}

fn dialect_of_rents() -> Dialect {
    Dialect {
        delimiter: Some(Delimiter::Byte(b'|')),
        decimal: Some(Decimal::Comma),
        encoding: Some(CHINESE.parse().unwrap()),
    }
}

#[test]
fn a_table_is_read_as_is_said_and_its_model_reads_new_rows_so() {
    let folder = tempfile::tempdir().unwrap();
    let gbk = written(folder.path(), "gbk.csv", &in_gbk(&rents(60)));
    let source = data::read(&request(&gbk, dialect_of_rents())).unwrap();
    let plain = rents(60).replace(',', ".");
    let plain = data::read(&request(
        &written(folder.path(), "utf8.csv", plain.as_bytes()),
        Dialect::default(),
    ));
    let plain = plain.unwrap();
    assert_eq!(cells(&source), cells(&plain));
    // Nothing is found out, so there is nothing to say of it.
    let said: Vec<&str> = source.notices.iter().map(|n| n.text.as_str()).collect();
    assert!(
        said.iter().all(|text| text.contains("is predicted")),
        "{said:?}"
    );

    let model = fitted(&source).written_as(dialect_of_rents());
    let written_down = serde_json::to_string(&model).unwrap();
    let model: Preprocessor = serde_json::from_str(&written_down).unwrap();
    let limits = ReadLimits::default();
    let rows: Vec<u32> = (0..60).collect();
    let of_source = model.apply(&source.dataset, &rows).unwrap();
    let of_file = model.read_rows(&gbk, &limits).unwrap();
    assert_eq!(inputs(&of_file.examples), inputs(&of_source));
    let stream = Cursor::new(in_gbk(&rents(60)));
    let mut stream = RowStream::new(&model, Path::new("pipe"), stream, limits).unwrap();
    let part = stream.next_part().unwrap().unwrap();
    assert_eq!(inputs(&part.examples), inputs(&of_source));

    // Of another file something else can be said.
    let utf8 = written(folder.path(), "new.csv", rents(60).as_bytes());
    let utf8_said = Dialect {
        encoding: Some("utf-8".parse().unwrap()),
        ..Dialect::default()
    };
    let of_utf8 = model
        .written_as(utf8_said)
        .read_rows(&utf8, &limits)
        .unwrap();
    assert_eq!(inputs(&of_utf8.examples), inputs(&of_source));
}

#[test]
fn what_is_said_holds_for_a_file_that_is_not_held_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    // Several parts, at whose borders characters may be torn.
    let path = written(folder.path(), "large.csv", &in_gbk(&rents(400_000)));
    let source = data::read(&Request {
        limits: ReadLimits {
            held_text_bytes: 100_000,
            ..ReadLimits::default()
        },
        ..request(&path, dialect_of_rents())
    });
    let source = source.unwrap();
    assert_eq!(
        source.beyond.as_ref().map(|beyond| beyond.rows()),
        Some(400_000)
    );
    let columns = columns(&source);
    assert_eq!(columns[0].name, "城市");
    let Cells::Words(towns) = &columns[0].cells else {
        panic!("{:?}", columns[0])
    };
    let known = ["北京", "上海", "广州|南"];
    assert!(
        towns
            .iter()
            .flatten()
            .all(|town| known.contains(&town.as_str()))
    );
    let Cells::Numbers(prices) = &columns[1].cells else {
        panic!("{:?}", columns[1])
    };
    assert!(prices.iter().all(|price| (0.0..7.0).contains(price)));
}

#[test]
fn bytes_that_are_not_what_is_said_are_told_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = in_gbk(&rents(10));
    bytes.extend(b"\"\xff\xff\"|1|2\n");
    let path = written(folder.path(), "t.csv", &bytes);
    let refused = data::read(&request(&path, dialect_of_rents())).unwrap_err();
    let told = refused.to_string();
    assert!(
        told.contains("line 12 holds bytes that are no gbk"),
        "{told}"
    );
    let held = ReadLimits {
        held_text_bytes: 10,
        ..ReadLimits::default()
    };
    let refused = data::read(&Request {
        limits: held,
        ..request(&path, dialect_of_rents())
    });
    let told = format!("{:?}", refused.unwrap_err());
    assert!(
        told.contains("line 12 holds bytes that are no gbk"),
        "{told}"
    );
}

#[test]
fn cells_that_blanks_separate_are_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let row = |row: usize| {
        let (x, y, label) = (row as f64 / 4.0, 100 - row, ["a", "b"][row % 2]);
        format!("{:>w$}  {:>8.3}\t{y:>5}   {label} \n", row, x, w = 6)
    };
    let text: String = (0..40).map(row).collect();
    let path = written(folder.path(), "t.data", text.as_bytes());
    let source = data::read(&request(&path, Dialect::default())).unwrap();
    let names: Vec<&str> = columns(&source).iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["column2", "column3"], "{:?}", source.notices);
    let large = data::read(&Request {
        limits: ReadLimits {
            held_text_bytes: 100,
            ..ReadLimits::default()
        },
        ..request(&path, Dialect::default())
    });
    let large = large.unwrap();
    assert_eq!(large.beyond.as_ref().map(|beyond| beyond.rows()), Some(40));
}

/// Objects of which one key holds a list, and another something else in each row.
fn nested_json(rows: usize) -> String {
    let row = |row: usize| {
        let odd = ["[1, 2]", "{\"a\": []}", "null", "3"][row % 4];
        let label = ["yes", "no"][row % 2];
        let size = row * 7 % 13;
        format!("{{\"size\": {size}.5, \"tags\": {odd}, \"label\": \"{label}\"}}\n")
    };
    (0..rows).map(row).collect()
}

#[test]
fn a_nested_column_of_json_is_refused_with_what_to_do_unless_it_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.jsonl", nested_json(40).as_bytes());
    let refused = data::read(&request(&path, Dialect::default())).unwrap_err();
    let told = refused.to_string();
    assert!(
        told.contains("line 1: `tags` holds a list") && told.contains("--ignore tags"),
        "{told}"
    );
    for held_text_bytes in [u64::MAX, 100] {
        let source = data::read(&Request {
            ignore: vec!["tags".to_string()],
            limits: ReadLimits {
                held_text_bytes,
                ..ReadLimits::default()
            },
            ..request(&path, Dialect::default())
        });
        let source = source.unwrap();
        let names: Vec<&str> = columns(&source).iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["size"]);
        // The model does not ask for it, so it costs no row.
        let model = fitted(&source);
        let rows = model.read_rows(&path, &ReadLimits::default()).unwrap();
        assert_eq!((rows.row_numbers.len(), rows.bad.len()), (40, 0));
    }
}

#[test]
fn a_nested_column_of_json_costs_rows_only_where_the_model_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(
        folder.path(),
        "train.jsonl",
        nested_json(40).replace("tags", "more").as_bytes(),
    );
    let source = data::read(&Request {
        ignore: vec!["more".to_string()],
        ..request(&path, Dialect::default())
    });
    let model = fitted(&source.unwrap());
    let new = "{\"size\": 1, \"more\": [1]}\n{\"size\": [1]}\n{\"size\": 2}\n";
    let new = written(folder.path(), "new.jsonl", new.as_bytes());
    let rows = model.read_rows(&new, &ReadLimits::default()).unwrap();
    assert_eq!(rows.row_numbers, [1, 3]);
    assert!(
        rows.bad[0].reason.contains("`size` holds a list"),
        "{:?}",
        rows.bad
    );
}

#[test]
fn a_table_whose_first_letters_are_the_mark_of_an_image_is_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let row = |row: usize| format!("{}.5,{},{}\n", row % 7, row % 5, ["a", "b"][row % 2]);
    let rows: String = (0..20).map(row).collect();
    for names in [["BMI", "age"], ["P1", "P2"], ["P6", "BM"]] {
        let text = format!("{},label\n{rows}", names.join(","));
        let path = written(folder.path(), "t.csv", text.as_bytes());
        let source = data::read(&request(&path, Dialect::default())).unwrap();
        let found: Vec<&str> = columns(&source).iter().map(|c| c.name.as_str()).collect();
        assert_eq!(found, names);
    }
    let path = folder.path().join("image.csv");
    let image = image::GrayImage::new(4, 4);
    image
        .save_with_format(&path, image::ImageFormat::Bmp)
        .unwrap();
    let refused = data::read(&request(&path, Dialect::default())).unwrap_err();
    let told = refused.to_string();
    assert!(told.contains("one image is no data set"), "{told}");
}

#[test]
fn files_with_other_decimal_marks_are_read_alike_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let row = |row: usize| format!("{};{};{}\n", row % 7, row % 5, ["a", "b"][row % 2]);
    let whole: String = (0..40).map(row).collect();
    let train = format!("x;y;label\n{whole}");
    let train_commas = format!("x;y;label\n{}", whole.replacen("0;0;", "0,5;0;", 2));
    let read = |train: &str, test: &str, decimal: Option<Decimal>| {
        let dialect = Dialect {
            decimal,
            ..Dialect::default()
        };
        let train = written(folder.path(), "train.csv", train.as_bytes());
        data::read(&Request {
            test: Some(written(folder.path(), "test.csv", test.as_bytes())),
            ..request(&train, dialect)
        })
    };
    let last = |source: &Source| match &columns(source)[0].cells {
        Cells::Numbers(values) => values[values.len() - 1],
        other => panic!("{other:?}"),
    };
    let points = "x,y,label\n2.5,2,a\n1.234,3,b\n";
    let told = read(&train_commas, points, None).unwrap_err().to_string();
    assert!(
        told.contains("test.csv: its fractions are read with a point, those of ")
            && told.contains("train.csv with a comma")
            && told.contains("--decimal"),
        "{told}"
    );
    let said = read(&train_commas, points, Some(Decimal::Comma)).unwrap();
    assert_eq!(last(&said), 1234.0);
    // Whole numbers are the same either way.
    let wholes = read(&train_commas, "x,y,label\n2,2,a\n3,3,b\n", None).unwrap();
    assert_eq!(last(&wholes), 3.0);
    let commas = "x;y;label\n2,5;2;a\n1,5;3;b\n";
    assert_eq!(last(&read(&train, commas, None).unwrap()), 1.5);
    let told = read(points, commas, None).unwrap_err().to_string();
    assert!(told.contains("train.csv: its fractions are read"), "{told}");
}

#[test]
fn where_a_format_always_has_points_it_is_the_other_file_that_is_to_be_written_so() {
    let folder = tempfile::tempdir().unwrap();
    let commas = format!("x;y;label\n{}", "2,5;2;a\n1,5;3;b\n".repeat(10));
    let objects = |x: &str| format!("{{\"x\": {x}, \"y\": 2, \"label\": \"a\"}}\n");
    let read = |objects: &str| {
        let train = written(folder.path(), "train.csv", commas.as_bytes());
        data::read(&Request {
            test: Some(written(folder.path(), "test.jsonl", objects.as_bytes())),
            ..request(&train, Dialect::default())
        })
    };
    let told = read(&objects("2.5")).unwrap_err().to_string();
    assert!(
        told.contains("train.csv with a comma: its format has points whatever is said")
            && !told.contains("--decimal"),
        "{told}"
    );
    assert!(read(&objects("2")).is_ok());
}

#[test]
fn that_a_text_is_read_as_latin_1_is_said_once_also_of_parts() {
    let folder = tempfile::tempdir().unwrap();
    let row = |row: usize| {
        let (town, label) = (["Bern", "Zürich", "Genf"][row % 3], ["a", "b"][row % 2]);
        format!("{town},{},{label}\n", row % 7)
    };
    let rows: String = (0..40_000).map(row).collect();
    let text = format!("town,x,label\n{rows}");
    let latin: Vec<u8> = text.chars().map(|letter| letter as u32 as u8).collect();
    let path = written(folder.path(), "t.csv", &latin);
    let source = data::read(&Request {
        limits: ReadLimits {
            held_text_bytes: 100_000,
            ..ReadLimits::default()
        },
        ..request(&path, Dialect::default())
    });
    let source = source.unwrap();
    assert!(source.beyond.is_some());
    let is_said = |notice: &&data::Notice| notice.text.contains("read as Latin-1");
    assert_eq!(source.notices.iter().filter(is_said).count(), 1);
    let model = fitted(&source);
    let stream = Cursor::new(latin);
    let limits = ReadLimits::default();
    let mut stream = RowStream::new(&model, Path::new("pipe"), stream, limits).unwrap();
    let (mut parts, mut said) = (0, 0);
    while let Some(part) = stream.next_part().unwrap() {
        parts += 1;
        said += part.notices.iter().filter(is_said).count();
    }
    assert!(parts > 1);
    assert_eq!(said, 1);
}
