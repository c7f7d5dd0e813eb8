//! Series and texts as people have them: found out, split into rows, and read again for a model.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use data::{
    DataKind, Dataset, ItemShape, Preprocessor, RawTargets, ReadLimits, Request, Source, Task,
};

fn read(path: &Path) -> Source {
    let request = Request {
        path: path.to_path_buf(),
        ..Request::default()
    };
    data::read(&request).unwrap()
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// All inputs of all rows, as a network gets them.
fn inputs(preprocessor: &Preprocessor, source: &Source) -> Vec<f32> {
    let rows: Vec<u32> = (0..source.dataset.rows() as u32).collect();
    let examples = preprocessor.apply(&source.dataset, &rows).unwrap();
    let mut inputs = vec![0.0; examples.item_len() * rows.len()];
    examples.copy_inputs(&rows, &mut inputs);
    inputs
}

/// The inputs of a file read for the model, which must be those of the same rows read for learning.
fn check_read_again(source: &Source, path: &Path) {
    let rows: Vec<u32> = (0..source.dataset.rows() as u32).collect();
    let preprocessor = Preprocessor::fit(source, &rows).unwrap();
    let text = serde_json::to_string(&preprocessor).unwrap();
    let preprocessor: Preprocessor = serde_json::from_str(&text).unwrap();
    let again = preprocessor
        .read_rows(path, &ReadLimits::default())
        .unwrap();
    assert!(again.bad.is_empty(), "{:?}", again.bad);
    let mut found = vec![0.0; again.examples.item_len() * rows.len()];
    again.examples.copy_inputs(&rows, &mut found);
    assert_eq!(found, inputs(&preprocessor, source));
}

const UNEQUAL: &str = "# made for this test
@problemName Made
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true up down
@data
1,2,?:10,20,30:up
3,2:30,20:down
1,2,3,4:10,20,30,40:up
";

#[test]
fn series_of_unequal_length_end_in_zeros_and_say_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "made.ts", UNEQUAL);
    let source = read(&path);
    assert_eq!(
        source.description,
        "series, 3 rows, 2 to 4 steps of 2 channels, 2 classes"
    );
    let preprocessor = Preprocessor::fit(&source, &[0, 1, 2]).unwrap();
    let shape = ItemShape::Series {
        channels: 3,
        length: 4,
    };
    assert_eq!(preprocessor.item(), shape);
    let inputs = inputs(&preprocessor, &source);
    let presence: Vec<f32> = inputs.iter().skip(2).step_by(3).copied().collect();
    assert_eq!(
        presence,
        [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    );
    // The missing value of the third step, and all behind the end of the second series.
    assert_eq!(inputs[6], 0.0);
    assert!(inputs[12 + 6..24].iter().all(|value| *value == 0.0));
    check_read_again(&source, &path);
}

#[test]
fn a_series_that_is_longer_than_any_before_is_a_bad_row() {
    let folder = tempfile::tempdir().unwrap();
    let source = read(&write(folder.path(), "made.ts", UNEQUAL));
    let preprocessor = Preprocessor::fit(&source, &[0, 1, 2]).unwrap();
    let longer = UNEQUAL.replace("1,2,?:10,20,30:up", "1,2,3,4,5:1,2,3,4,5:up");
    let path = write(folder.path(), "longer.ts", &longer);
    let rows = preprocessor
        .read_rows(&path, &ReadLimits::default())
        .unwrap();
    assert_eq!(rows.row_numbers, [2, 3]);
    assert_eq!(rows.bad[0].row, 1);
    assert_eq!(
        rows.bad[0].reason,
        "it has 5 steps, the model takes up to 4"
    );
}

/// A table of waves, one per row, with the class in front.
fn waves(rows: usize) -> String {
    let mut text = String::from("kind");
    (0..24).for_each(|step| write!(text, ",t{step}").unwrap());
    for row in 0..rows {
        let kind = if row % 2 == 0 { "slow" } else { "fast" };
        write!(text, "\n{kind}").unwrap();
        for step in 0..24 {
            let speed = 0.2 + 0.2 * (row % 2) as f64;
            let value = (f64::from(step) * speed + row as f64).sin();
            write!(text, ",{value:.3}").unwrap();
        }
    }
    text
}

#[test]
fn a_table_whose_columns_are_steps_is_read_as_series_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "waves.csv", &waves(40));
    let request = |kind| Request {
        path: path.clone(),
        target: Some("kind".to_string()),
        kind,
        ..Request::default()
    };
    let source = data::read(&request(None)).unwrap();
    assert_eq!(source.description, "series, 40 rows, 24 steps, 2 classes");
    assert!(
        source.notices[0]
            .text
            .contains("--kind table says otherwise")
    );
    check_read_again(&source, &path);
    let source = data::read(&request(Some(DataKind::Table))).unwrap();
    assert_eq!(source.description, "table, 40 rows, 24 columns, 2 classes");
}

#[test]
fn arff_columns_are_what_they_are_declared_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from(
        "% made\n@RELATION made\n@ATTRIBUTE 'the size' REAL\n@attribute code {1,2,3}\n\
         @attribute class {no, yes}\n@DATA\n",
    );
    for row in 0..20 {
        let (code, class) = (row % 3 + 1, if row % 2 == 0 { "yes" } else { "no" });
        writeln!(text, "{}.5,{code},{class}", row * row % 17).unwrap();
    }
    let source = read(&write(folder.path(), "made.arff", &text));
    let Dataset::Table(table) = &source.dataset else {
        panic!("it is a table")
    };
    let names: Vec<&str> = table
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect();
    assert_eq!(names, ["the size", "code"]);
    assert!(matches!(table.columns[0].cells, data::Cells::Numbers(_)));
    assert!(matches!(table.columns[1].cells, data::Cells::Words(_)));
}

#[test]
fn objects_of_json_lines_are_rows_whatever_the_order_of_their_keys() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for row in 0..20 {
        let label = if row % 2 == 0 { "a" } else { "b" };
        match row % 3 {
            0 => writeln!(
                text,
                "{{\"x\": {row}.25, \"label\": \"{label}\", \"ok\": true}}"
            ),
            1 => writeln!(text, "{{\"label\": \"{label}\", \"x\": {}}}", row * 2),
            _ => writeln!(
                text,
                "{{\"ok\": false, \"x\": null, \"label\": \"{label}\"}}\n"
            ),
        }
        .unwrap();
    }
    let source = read(&write(folder.path(), "made.jsonl", &text));
    assert_eq!(source.description, "table, 20 rows, 2 columns, 2 classes");
    let nested = text.replace("null", "[1, 2]");
    let path = write(folder.path(), "nested.jsonl", &nested);
    let request = Request {
        path,
        ..Request::default()
    };
    let message = data::read(&request).unwrap_err().to_string();
    assert!(message.contains("line 3: `x` holds a list"), "{message}");
}

/// Lines of a label and a text, with the quotes that people write.
fn messages() -> String {
    let mut text = String::new();
    for row in 0..40 {
        let (label, words) = match row % 2 {
            0 => ("ham", "\"see you later\" she said"),
            _ => ("spam", "win a \"prize now"),
        };
        writeln!(text, "{label}\t{words} {row} times").unwrap();
    }
    text
}

#[test]
fn lines_of_label_and_text_need_no_header_and_no_quoting() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "sms.tsv", &messages());
    let source = read(&path);
    assert!(
        source.description.starts_with("text, 40 rows"),
        "{}",
        source.description
    );
    let Dataset::Texts(texts) = &source.dataset else {
        panic!("it is text")
    };
    assert_eq!(texts.texts[0], "\"see you later\" she said 0 times");
    assert!(
        matches!(&source.task, Task::Classification { classes } if classes == &["ham", "spam"])
    );
    check_read_again(&source, &path);
}

#[test]
fn a_text_beside_other_columns_becomes_words_that_are_there_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("age,comment,label\n");
    for row in 0..40 {
        let comment = [
            "very good indeed , thanks",
            "not good at all",
            "it broke after two days",
        ];
        let comment = format!("{} {row}", comment[row % 3]);
        writeln!(text, "{},\"{comment}\",{}", row % 7, row % 2).unwrap();
    }
    let path = write(folder.path(), "reviews.csv", &text);
    let source = read(&path);
    assert_eq!(source.description, "table, 40 rows, 2 columns, 2 classes");
    check_read_again(&source, &path);
    let rows: Vec<u32> = (0..40).collect();
    let preprocessor = Preprocessor::fit(&source, &rows).unwrap();
    let inputs = inputs(&preprocessor, &source);
    assert!(
        inputs
            .chunks(preprocessor.item().values())
            .all(|row| { row[1..].iter().all(|value| *value == 0.0 || *value == 1.0) })
    );
}

#[test]
fn folders_of_text_files_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    for row in 0..12 {
        for class in ["good", "bad"] {
            let words = format!("this is {class} text number {row}");
            write(folder.path(), &format!("train/{class}/{row}.txt"), &words);
            if row < 4 {
                write(folder.path(), &format!("test/{class}/{row}.txt"), &words);
            }
        }
    }
    let source = read(folder.path());
    assert_eq!(source.given_test_rows, 24..32);
    let RawTargets::Classes(ids) = source.dataset.targets() else {
        panic!("they have classes")
    };
    assert_eq!(ids.iter().filter(|id| **id == 0).count(), 16);
}

#[test]
fn folders_of_texts_are_for_what_they_are_called() {
    let folder = tempfile::tempdir().unwrap();
    for (part, rows) in [("Training", 12), ("val", 5), ("test", 4), ("docs", 1)] {
        for (row, class) in (0..rows).flat_map(|row| [(row, "good"), (row, "bad")]) {
            let words = format!("this is {class} text number {row}");
            write(folder.path(), &format!("{part}/{class}/{row}.txt"), &words);
        }
    }
    let source = read(folder.path());
    assert_eq!(source.given_validation_rows, 24..34);
    assert_eq!(source.given_test_rows, 34..42);
    let said: Vec<String> = source.notices.iter().map(ToString::to_string).collect();
    assert!(said[0].contains("folder `docs`"), "{said:?}");
}

#[test]
fn a_text_file_that_cannot_be_read_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["good", "bad"] {
        for row in 0..6 {
            write(
                folder.path(),
                &format!("data/{class}/{row}.txt"),
                "some words",
            );
        }
    }
    let source = read(&folder.path().join("data"));
    let preprocessor = Preprocessor::fit(&source, &[0, 1, 6, 7]).unwrap();
    for (name, text) in [("a.txt", "some"), ("b.txt", "so\0me"), ("c.txt", "words")] {
        write(folder.path(), &format!("new/{name}"), text);
    }
    let new = folder.path().join("new");
    let rows = preprocessor.read_rows(&new, &ReadLimits::default());
    let rows = rows.unwrap();
    assert_eq!(rows.row_numbers, [1, 3]);
    let names = ["a.txt", "c.txt"].map(str::to_string);
    assert_eq!(rows.names, data::RowNames::Paths(names.to_vec()));
    assert_eq!(rows.bad[0].row, 2);
    assert!(rows.bad[0].reason.contains("NUL byte"), "{:?}", rows.bad);
    let few = ReadLimits {
        bytes_max: 8,
        ..ReadLimits::default()
    };
    let error = preprocessor.read_rows(&new, &few).unwrap_err().to_string();
    assert!(error.contains("what its texts hold exceeds"), "{error}");
}

#[test]
fn a_text_to_learn_from_that_cannot_be_read_is_named_and_what_is_not_utf_8_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["good", "bad"] {
        for row in 0..6 {
            write(folder.path(), &format!("{class}/{row}.txt"), "some words");
        }
    }
    write(folder.path(), "bad/broken.txt", "so\0me");
    fs::write(folder.path().join("good/latin.txt"), b"some w\xf6rds").unwrap();
    let source = read(folder.path());
    assert_eq!(source.dataset.rows(), 13);
    let said: Vec<String> = source.notices.iter().map(ToString::to_string).collect();
    let has = |part: &str| said.iter().any(|text| text.contains(part));
    assert!(has("1 text(s) are not UTF-8 and are read as"), "{said:?}");
    assert!(
        has("1 text(s) cannot be read and are left out, the first: "),
        "{said:?}"
    );
    assert!(has("broken.txt"), "{said:?}");
}

#[test]
fn two_files_named_for_training_and_testing_are_one_data_set() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "Made_TRAIN.ts", UNEQUAL);
    write(folder.path(), "Made_TEST.ts", UNEQUAL);
    write(folder.path(), "README.md", "not data");
    let source = read(folder.path());
    assert_eq!(source.given_test_rows, 3..6);
    write(folder.path(), "more.csv", "a,b\n1,2\n");
    let request = Request {
        path: folder.path().to_path_buf(),
        ..Request::default()
    };
    let message = data::read(&request).unwrap_err().to_string();
    assert!(
        message.contains("3 files of data (Made_TEST.ts, Made_TRAIN.ts, more.csv)"),
        "{message}"
    );
}

#[test]
fn a_column_that_is_ignored_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "waves.csv", &waves(40));
    let request = |ignore: &str| Request {
        path: path.clone(),
        target: Some("kind".to_string()),
        ignore: vec![ignore.to_string()],
        ..Request::default()
    };
    let source = data::read(&request("t0")).unwrap();
    assert_eq!(source.description, "series, 40 rows, 23 steps, 2 classes");
    let message = data::read(&request("t99")).unwrap_err().to_string();
    assert!(message.contains("it has no column `t99`"), "{message}");
}

#[test]
fn a_million_columns_are_refused_before_they_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let line = vec!["1"; 1_000_000].join(",");
    let path = write(
        folder.path(),
        "wide.csv",
        &format!("{line}\n{line}\n{line}\n"),
    );
    let request = Request {
        path,
        ..Request::default()
    };
    let message = data::read(&request).unwrap_err().to_string();
    assert!(
        message.contains("1000000 columns exceeds the limit of 100000 columns"),
        "{message}"
    );
}

#[test]
fn an_infinite_target_is_no_number_to_predict() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("x,y\n");
    for row in 0..40 {
        let target = if row == 7 {
            "inf".to_string()
        } else {
            format!("{row}.5")
        };
        writeln!(text, "{},{target}", row * 3 % 11).unwrap();
    }
    let path = write(folder.path(), "infinite.csv", &text);
    let request = Request {
        path,
        task: Some(data::TaskKind::Regression),
        ..Request::default()
    };
    let message = data::read(&request).unwrap_err().to_string();
    assert!(message.contains("`y` holds `inf`"), "{message}");
}

#[test]
fn a_line_of_a_ts_file_that_is_no_series_costs_no_other_of_new_rows() {
    let folder = tempfile::tempdir().unwrap();
    let source = read(&write(folder.path(), "made.ts", UNEQUAL));
    let preprocessor = Preprocessor::fit(&source, &[0, 1, 2]).unwrap();
    let lines: Vec<&str> = UNEQUAL.lines().collect();
    let data = lines
        .iter()
        .position(|line| line.starts_with("@data"))
        .unwrap();
    let (head, cases) = lines.split_at(data + 1);
    let bad = ["1,x,3:4,5,6:up", cases[0], "1,2,3:up", cases[1]];
    let text = [head, &bad].concat().join("\n");
    let path = write(folder.path(), "new.ts", &text);
    let new = preprocessor
        .read_rows(&path, &ReadLimits::default())
        .unwrap();
    assert_eq!(new.row_numbers, [2, 4]);
    let reasons: Vec<(u64, &str)> = new
        .bad
        .iter()
        .map(|bad| (bad.row, &bad.reason[..]))
        .collect();
    assert!(
        matches!(reasons[..], [(1, a), (3, b)] if a.contains("`x` is no usable number")
        && b.contains("channel(s)")),
        "{reasons:?}"
    );
    let none = [head, &["1,x:1,2:up"]].concat().join("\n");
    let path = write(folder.path(), "none.ts", &none);
    let error = preprocessor
        .read_rows(&path, &ReadLimits::default())
        .unwrap_err();
    assert!(
        error.to_string().contains("`x` is no usable number"),
        "{error}"
    );
}

#[test]
fn classes_of_a_ts_file_are_read_in_the_encoding_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let text = UNEQUAL.replace("down", "d\u{e4}wn");
    let path = folder.path().join("koi8.ts");
    // What is `ä` in Latin-1 is another letter in KOI8-R.
    let bytes: Vec<u8> = text.chars().map(|letter| letter as u32 as u8).collect();
    fs::write(&path, bytes).unwrap();
    let said = |name: &str| {
        let mut request = Request {
            path: path.clone(),
            ..Request::default()
        };
        request.dialect.encoding = Some(name.parse().unwrap());
        match data::read(&request).unwrap().task {
            Task::Classification { classes, .. } => classes,
            Task::Regression { .. } => Vec::new(),
        }
    };
    assert_eq!(said("latin1"), ["d\u{e4}wn", "up"]);
    assert_eq!(said("koi8-r"), ["d\u{414}wn", "up"]);
}

#[test]
fn a_row_of_steps_that_is_longer_than_any_before_is_a_bad_row() {
    let folder = tempfile::tempdir().unwrap();
    // What is too large for a network is missing, so that no row has a last step.
    let row = |row: usize| {
        let kind = ["a", "b"][row % 2];
        format!("{kind},{},{},{},1e39\n", row % 7, row % 5, row % 3)
    };
    let rows: String = (0..20).map(row).collect();
    let path = write(folder.path(), "t.csv", &format!("kind,t0,t1,t2,t3\n{rows}"));
    let source = data::read(&Request {
        path,
        target: Some("kind".to_string()),
        kind: Some(DataKind::Series),
        ..Request::default()
    });
    let all: Vec<u32> = (0..20).collect();
    let preprocessor = Preprocessor::fit(&source.unwrap(), &all).unwrap();
    let new = "t0,t1,t2,t3\n1,2,3,1e39\n1,2,3,4\n1,2\n3,2,1,1e39\n";
    let path = write(folder.path(), "new.csv", new);
    let rows = preprocessor
        .read_rows(&path, &ReadLimits::default())
        .unwrap();
    assert_eq!(rows.row_numbers, [1, 4]);
    assert_eq!(rows.examples.len(), 2);
    let bad = rows.bad.iter().map(|bad| (bad.row, bad.reason.as_str()));
    assert_eq!(
        bad.collect::<Vec<_>>(),
        [
            (2, "it has 4 steps, the model takes up to 3"),
            (3, "line 4 has 2 cells, the header 4"),
        ]
    );
}

const TS_HEAD: &str =
    "@problemName Made\n@timeStamps false\n@equalLength false\n@classLabel true up down\n@data\n";

/// At most so many bytes are read.
fn up_to(path: &Path, bytes_max: u64) -> Request {
    Request {
        path: path.to_path_buf(),
        limits: ReadLimits {
            bytes_max,
            ..ReadLimits::default()
        },
        ..Request::default()
    }
}

#[test]
fn one_long_channel_of_many_is_refused_before_all_are_as_long() {
    let folder = tempfile::tempdir().unwrap();
    let channels = format!("{}{}", "1:".repeat(500), vec!["1"; 500].join(","));
    let text = format!("{TS_HEAD}{channels}:up\n{channels}:down\n");
    let path = write(folder.path(), "made.ts", &text);
    let told = data::read(&up_to(&path, 100_000)).unwrap_err().to_string();
    assert!(
        told.contains("all channels of each as long as its longest, exceeds the limit of 100000"),
        "{told}"
    );
    assert_eq!(
        data::read(&up_to(&path, 10 << 20)).unwrap().dataset.rows(),
        2
    );
}

#[test]
fn one_long_series_among_many_is_refused_before_all_are_as_long() {
    let folder = tempfile::tempdir().unwrap();
    let long = vec!["1"; 1_000].join(",");
    let text = format!("{TS_HEAD}{long}:up\n{}", "1:down\n".repeat(50));
    let path = write(folder.path(), "made.ts", &text);
    let expected = "what 51 series take, each filled up to 1000 steps, exceeds the limit of 100000";
    let told = data::read(&up_to(&path, 100_000)).unwrap_err().to_string();
    assert!(told.contains(expected), "{told}");
    let source = read(&path);
    let all: Vec<u32> = (0..51).collect();
    let preprocessor = Preprocessor::fit(&source, &all).unwrap();
    let new = preprocessor.read_rows(&path, &up_to(&path, 100_000).limits);
    let told = new.unwrap_err().to_string();
    assert!(told.contains(expected), "{told}");
}

#[test]
fn a_date_of_an_arff_file_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from(
        "@relation made\n@attribute at date \"yyyy-MM-dd HH:mm\"\n@attribute x real\n\
         @attribute class {no,yes}\n@data\n",
    );
    for row in 0..20 {
        let (day, class) = (1 + row, ["no", "yes"][row % 2]);
        writeln!(text, "\"2024-03-{day:02} 14:30\",{}.5,{class}", row % 7).unwrap();
    }
    let source = read(&write(folder.path(), "made.arff", &text));
    let Dataset::Table(table) = &source.dataset else {
        panic!("{}", source.description)
    };
    let data::Cells::Times { seconds, .. } = &table.columns[0].cells else {
        panic!("{:?}", table.columns[0])
    };
    assert_eq!(seconds[1] - seconds[0], 86_400.0);
}

#[test]
fn texts_that_begin_with_the_letters_of_an_image_are_texts() {
    let folder = tempfile::tempdir().unwrap();
    for row in 0..6 {
        for (class, first) in [("cars", "BMW"), ("plans", "P1")] {
            let words = format!("{first} is the first word of text {row}");
            write(folder.path(), &format!("{class}/{row}.txt"), &words);
        }
    }
    let source = read(folder.path());
    assert!(
        source.description.starts_with("text, 12 rows"),
        "{}",
        source.description
    );
}
