//! New rows for a fitted model: a file, a stream of parts and a request say the same of the same rows,
//! and a bad row costs no other.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod npy;

use std::{
    fs,
    io::{Cursor, Read, Write},
    path::Path,
};

use data::{
    BadRow, ColumnKind, Dataset, Examples, Fingerprint, Images, Piped, Preprocessor, RawRows,
    RawTargets, ReadLimits, Request, RowStream, Series, Source, Task, TaskKind, TextUnit, Texts,
    sent::ROWS_MAX,
};
use npy::npy;

/// Numbers with gaps, words with gaps, words that are numbers, words that are truths.
const TABLE: &str = "age,town,floor,lift,rent\n\
    30,Bern,1st,yes,900\n,Basel,2nd,no,1100\n41,,1st,yes,1250\n52,Bern,2nd,no,1000\n\
    35,Basel,1st,yes,990\n";

fn table_model(folder: &Path) -> Preprocessor {
    let path = folder.join("rents.csv");
    fs::write(&path, TABLE).unwrap();
    let request = Request {
        path,
        task: Some(TaskKind::Regression),
        ..Request::default()
    };
    let source = data::read(&request).unwrap();
    Preprocessor::fit(&source, &[0, 1, 2, 3, 4]).unwrap()
}

/// A model for images of two rows, three columns and one or three channels.
fn image_model(channels: u32) -> Preprocessor {
    let bytes = (0..4 * 6 * channels).map(|value| value as u8).collect();
    let images = Images {
        height: 2,
        width: 3,
        channels,
        bytes,
        targets: RawTargets::Classes(vec![0, 1, 0, 1]),
    };
    model_of(Dataset::Images(images))
}

fn any_fingerprint() -> Fingerprint {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("any.csv");
    fs::write(&path, TABLE).unwrap();
    let request = Request {
        path,
        task: Some(TaskKind::Regression),
        ..Request::default()
    };
    data::read(&request).unwrap().fingerprint
}

/// A source that gives a few bytes at a time, as a pipe may.
struct Trickle<R>(R, usize);

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let most = self.1.min(out.len());
        self.0.read(&mut out[..most])
    }
}

/// All parts of a stream as one.
fn streamed(model: &Preprocessor, text: &[u8], bytes_at_once: usize) -> Result<RawRows, String> {
    let source = Trickle(Cursor::new(text), bytes_at_once);
    let said = |error: data::DataError| error.to_string();
    let stream =
        RowStream::new(model, Path::new("pipe"), source, ReadLimits::default()).map_err(said)?;
    all_of(stream)
}

fn all_of(mut stream: RowStream<'_, impl Read>) -> Result<RawRows, String> {
    let said = |error: data::DataError| error.to_string();
    let mut all: Option<RawRows> = None;
    while let Some(part) = stream.next_part().map_err(said)? {
        match &mut all {
            None => all = Some(part),
            Some(all) => {
                all.examples.append(part.examples);
                all.row_numbers.extend(part.row_numbers);
                all.bad.extend(part.bad);
            }
        }
    }
    all.ok_or_else(|| "no rows".to_string())
}

fn inputs(examples: &Examples) -> Vec<f32> {
    let rows: Vec<u32> = (0..examples.len() as u32).collect();
    let mut out = vec![0.0; examples.len() * examples.item_len()];
    examples.copy_inputs(&rows, &mut out);
    out
}

#[test]
fn a_file_a_stream_a_csv_request_and_a_json_request_give_a_network_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let model = table_model(folder.path());
    let text = "lift,extra,age,floor,town\nyes,1,30,1st,Bern\nno,2,NA,\"2nd\",\nyes,3,44.5,9th,\"Ba\nsel\"\n";
    let path = folder.path().join("new.csv");
    fs::write(&path, text).unwrap();
    let from_file = model.read_rows(&path, &ReadLimits::default()).unwrap();
    let from_csv = model
        .rows_of_csv(text.as_bytes(), &ReadLimits::default())
        .unwrap();
    let json = r#"{"rows": [
        {"age": 30, "town": "Bern", "floor": "1st", "lift": "yes"},
        {"lift": "no", "floor": "2nd", "town": null},
        {"age": 44.5, "town": "Ba\nsel", "floor": "9th", "lift": "yes"}]}"#;
    let from_json = model.rows_of_json(json.as_bytes()).unwrap();
    assert_eq!(from_file.row_numbers, [1, 2, 3]);
    for other in [&from_csv, &from_json] {
        assert_eq!(inputs(&other.examples), inputs(&from_file.examples));
        assert_eq!(other.row_numbers, from_file.row_numbers);
    }
    for bytes_at_once in [1, 7, 4096] {
        let from_stream = streamed(&model, text.as_bytes(), bytes_at_once).unwrap();
        assert_eq!(inputs(&from_stream.examples), inputs(&from_file.examples));
        assert_eq!(from_stream.row_numbers, from_file.row_numbers);
    }
}

#[test]
fn a_line_of_a_file_that_is_no_row_is_told_by_its_number_and_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let model = table_model(folder.path());
    let check = |name: &str, text: &str, expected: &[(u64, &str)]| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let rows = model.read_rows(&path, &ReadLimits::default()).unwrap();
        assert_eq!(rows.row_numbers, [1, 4], "{name}");
        let found: Vec<u64> = rows.bad.iter().map(|bad| bad.row).collect();
        assert_eq!(found, [2, 3], "{name}");
        for (bad, (_, reason)) in rows.bad.iter().zip(expected) {
            assert!(bad.reason.contains(reason), "{name}: {}", bad.reason);
        }
    };
    let good = r#"{"age": 30, "town": "Bern", "floor": "1st", "lift": "yes"}"#;
    let nested = good.replace("30", "[30]");
    check(
        "rows.jsonl",
        &format!("{good}\n{{\"age\": 3\n{nested}\n{good}\n"),
        &[
            (2, "line 2 is no JSON object"),
            (3, "line 3: `age` holds a list"),
        ],
    );
    let head = "@relation r\n@attribute age numeric\n@attribute town string\n\
                @attribute floor {1st,2nd}\n@attribute lift string\n@data\n";
    check(
        "rows.arff",
        &format!("{head}30,Bern,1st,yes\n30,Bern\n30,Bern,3rd,yes\n31,Basel,2nd,no\n"),
        &[(2, "line 8: "), (3, "line 9: ")],
    );
}

#[test]
fn a_bad_row_is_told_by_its_number_and_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let model = table_model(folder.path());
    let json = r#"{"rows": [{"age": 30}, [1, 2], {"age": [3]}, {"years": 3}, {"town": true},
        {"age": 1, "age": 2}, {"age": 31, "years": 3}]}"#;
    let rows = model.rows_of_json(json.as_bytes()).unwrap();
    assert_eq!(rows.row_numbers, [1, 5, 7]);
    assert_eq!(rows.examples.len(), 3);
    let reasons: Vec<(u64, &str)> = rows
        .bad
        .iter()
        .map(|bad| (bad.row, bad.reason.as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            (
                2,
                "it is a list, where an object of values by column is needed"
            ),
            (3, "`age` is a list, a number or null is needed"),
            (
                4,
                "it names no column of the model, which are age, town, floor, lift"
            ),
            (6, "`age` is given twice"),
        ]
    );
    let notices: Vec<String> = rows.notices.iter().map(ToString::to_string).collect();
    assert_eq!(
        notices,
        ["warning: `years` is no column of the model and is ignored in 1 row(s)"]
    );
    let ragged = "age,town,floor,lift\n30,Bern,1st,yes\n31,Bern\nold,Bern,1st,no\n";
    for rows in [
        model
            .rows_of_csv(ragged.as_bytes(), &ReadLimits::default())
            .unwrap(),
        streamed(&model, ragged.as_bytes(), 5).unwrap(),
    ] {
        assert_eq!(rows.row_numbers, [1, 3]);
        let reason = "line 3 has 2 cells, the header 4".to_string();
        assert_eq!(rows.bad, [BadRow { row: 2, reason }]);
    }
    let rows = model.rows_of_csv(ragged.as_bytes(), &ReadLimits::default());
    let notice = rows.unwrap().notices[0].to_string();
    assert!(
        notice.contains("`age`: 1 cell(s)") && notice.contains("`old`"),
        "{notice}"
    );
}

#[test]
fn a_number_or_a_truth_in_a_column_of_words_is_the_word_that_training_saw() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flats.csv");
    let rows: String = (0..40)
        .map(|row| {
            format!(
                "{},{},{}\n",
                ["B1", "2", "3.0"][row % 3],
                row % 2 == 0,
                row * row
            )
        })
        .collect();
    fs::write(
        &path,
        format!("code,garden,rent\n{}", rows.replace("true", "True")),
    )
    .unwrap();
    let request = Request {
        path,
        ..Request::default()
    };
    let source = data::read(&request).unwrap();
    let all: Vec<u32> = (0..40).collect();
    let model = Preprocessor::fit(&source, &all).unwrap();
    let of = |json: &str| inputs(&model.rows_of_json(json.as_bytes()).unwrap().examples);
    assert_eq!(
        of(r#"{"rows": [{"code": 2, "garden": true}, {"code": 3, "garden": false}]}"#),
        of(r#"{"rows": [{"code": "2", "garden": "True"}, {"code": "3.0", "garden": "false"}]}"#)
    );
}

#[test]
fn a_whole_number_of_many_digits_is_its_own_word() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sales.csv");
    // The last two round to one number of 64 bits.
    let merchants = ["7", "100000000000000001", "100000000000000002"];
    let rows: String = (0..60)
        .map(|row| format!("{},{}\n", merchants[row % 3], row * row))
        .collect();
    fs::write(&path, format!("merchant,price\n{rows}")).unwrap();
    let request = Request {
        path,
        columns: [("merchant".to_string(), ColumnKind::Category)].into(),
        ..Request::default()
    };
    let source = data::read(&request).unwrap();
    let model = Preprocessor::fit(&source, &(0..60).collect::<Vec<u32>>()).unwrap();
    let of = |json: &str| inputs(&model.rows_of_json(json.as_bytes()).unwrap().examples);
    for merchant in merchants {
        assert_eq!(
            of(&format!("{{\"rows\": [{{\"merchant\": {merchant}}}]}}")),
            of(&format!("{{\"rows\": [{{\"merchant\": \"{merchant}\"}}]}}"))
        );
    }
    let never_seen = of(r#"{"rows": [{"merchant": 100000000000000003}]}"#);
    assert_eq!(never_seen, of(r#"{"rows": [{"merchant": "shop"}]}"#));
}

#[test]
fn a_request_that_is_no_utf8_is_refused_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let model = table_model(folder.path());
    let sent = b"age,town,floor,lift\n30,Bern,1st,yes\n31,Z\xfcrich,1st,yes\n";
    let refused = model.rows_of_csv(sent, &ReadLimits::default());
    assert_eq!(
        refused.unwrap_err().to_string(),
        "the request: line 3 holds bytes that are no UTF-8: send the rows in UTF-8"
    );
}

#[test]
fn an_image_is_a_list_of_pixels_flat_or_by_rows_columns_and_channels() {
    let gray = image_model(1);
    let json = r#"{"rows": [[1,2,3,4,5,6], [[1,2,3],[4,5,6]], [[[1],[2],[3]],[[4],[5],[6]]],
        [1,2,3], [1,2,3,4,5,256], [1,2,3,4,5,0.5], [1,2,null,4,5,6], "x", [[1,2,3],[4,5]]]}"#;
    let rows = gray.rows_of_json(json.as_bytes()).unwrap();
    assert_eq!(rows.row_numbers, [1, 2, 3]);
    let values = inputs(&rows.examples);
    assert_eq!(values[..6], values[6..12]);
    assert_eq!(values[..6], values[12..]);
    let bad: Vec<u64> = rows.bad.iter().map(|bad| bad.row).collect();
    assert_eq!(bad, [4, 5, 6, 7, 8, 9]);
    assert_eq!(
        rows.bad[0].reason,
        "its shape is [3]: the model takes [2, 3, 1] or 6 numbers in a row"
    );
    assert_eq!(
        rows.bad[1].reason,
        "it holds 256, where pixels are whole numbers from 0 to 255"
    );
    let colour = image_model(3);
    let pixels = "[[[1,2,3],[4,5,6],[7,8,9]],[[1,2,3],[4,5,6],[7,8,9]]]";
    let rows = colour
        .rows_of_json(format!("{{\"rows\":[{pixels}]}}").as_bytes())
        .unwrap();
    assert_eq!((rows.examples.len(), rows.bad.len()), (1, 0));
    let no_picture = colour.row_of_image(b"no picture", &ReadLimits::default());
    assert_eq!(no_picture.unwrap().bad[0].row, 1);
}

/// A model for this dataset.
fn model_of(dataset: Dataset) -> Preprocessor {
    let rows: Vec<u32> = (0..dataset.rows() as u32).collect();
    let source = Source {
        row_names: None,
        beyond: None,
        facts: data::RowFacts::default(),
        given_validation_rows: 0..0,
        oddities: data::oddities::Oddities::default(),
        given_test_rows: rows.len()..rows.len(),
        dataset,
        task: Task::Classification {
            classes: vec!["a".into(), "b".into()],
        },
        notices: Vec::new(),
        fingerprint: any_fingerprint(),
        description: String::new(),
    };
    Preprocessor::fit(&source, &rows).unwrap()
}

#[test]
fn a_series_is_a_list_of_numbers_or_one_for_each_channel() {
    let series = |channels: u32| {
        let steps = 4 * channels as usize;
        model_of(Dataset::Series(Series {
            columns: Vec::new(),
            steps: None,
            channels,
            lengths: vec![4, 4],
            values: (0..2 * steps).map(|value| value as f32).collect(),
            targets: RawTargets::Classes(vec![0, 1]),
        }))
    };
    let one = series(1);
    let json =
        r#"{"rows": [[1,2,3,4], [[1,2,3,4]], [1,2], [1,2,3,4,5], [[1],[2]], "x", [1,null,3,4]]}"#;
    let rows = one.rows_of_json(json.as_bytes()).unwrap();
    assert_eq!(rows.row_numbers, [1, 2, 3, 7]);
    let item = rows.examples.item_len();
    let values = inputs(&rows.examples);
    assert_eq!(values[..item], values[item..2 * item]);
    let reasons: Vec<&str> = rows.bad.iter().map(|bad| bad.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "it has 5 steps, the model takes up to 4",
            "it has 2 channel(s), the model takes 1",
            "it is a word, where a list of numbers is needed"
        ]
    );
    let json = r#"{"rows": [[[1,2,3,4],[5,6,7,8]], [1,2,3,4], [[1,2],[3]]]}"#;
    let rows = series(2).rows_of_json(json.as_bytes()).unwrap();
    assert_eq!(rows.row_numbers, [1, 3]);
    let csv = one.rows_of_csv(b"a,b\n1,2\n", &ReadLimits::default());
    assert!(csv.unwrap_err().to_string().contains("so no CSV"));
}

#[test]
fn an_array_of_new_series_has_its_channels_where_it_has_as_many_as_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = model_of(Dataset::Series(Series {
        columns: Vec::new(),
        steps: None,
        channels: 3,
        lengths: vec![8, 8],
        values: (0..48).map(|value| value as f32).collect(),
        targets: RawTargets::Classes(vec![0, 1]),
    }));
    let read = |shape: &[usize]| {
        let values: Vec<f64> = (0..shape.iter().product::<usize>())
            .map(|v| v as f64)
            .collect();
        let path = folder.path().join("new.npy");
        fs::write(&path, npy(shape, &values)).unwrap();
        model.read_rows(&path, &ReadLimits::default())
    };
    for (shape, channels) in [
        ([1, 3, 2], "[[0,1],[2,3],[4,5]]"),
        ([1, 2, 3], "[[0,3],[1,4],[2,5]]"),
    ] {
        let json = format!("{{\"rows\": [{channels}]}}");
        let sent = model.rows_of_json(json.as_bytes()).unwrap();
        let read = read(&shape).unwrap();
        assert_eq!(inputs(&read.examples), inputs(&sent.examples), "{shape:?}");
    }
    let unclear = read(&[1, 3, 3]).unwrap_err().to_string();
    assert!(
        unclear.contains("[1, 3, 3] does not tell channels from steps"),
        "{unclear}"
    );
}

#[test]
fn a_text_is_a_word_or_a_cell_of_its_column() {
    let model = model_of(Dataset::Texts(Texts {
        name: "review".into(),
        texts: vec!["good and new".into(), "bad and old".into()],
        unit: TextUnit::Word,
        targets: RawTargets::Classes(vec![0, 1]),
    }));
    let json = r#"{"rows": ["good and old", 3, null, ["bad"]]}"#;
    let sent = model.rows_of_json(json.as_bytes()).unwrap();
    assert_eq!(sent.row_numbers, [1, 3]);
    assert_eq!(sent.bad[1].reason, "it is a list, where a text is needed");
    let table = "stars\treview\n5\tgood and old\n1\t\n";
    let csv = model.rows_of_csv(table.as_bytes(), &ReadLimits::default());
    assert_eq!(inputs(&csv.unwrap().examples), inputs(&sent.examples));
    for bytes_at_once in [3, 100] {
        let streamed = streamed(&model, table.as_bytes(), bytes_at_once).unwrap();
        assert_eq!(inputs(&streamed.examples), inputs(&sent.examples));
    }
    // Tables with tabs rarely quote: a quote is part of the text, also where it stands alone.
    let inches = "stars\treview\n5\t\"good\n4\told\n";
    let streamed = streamed(&model, inches.as_bytes(), 9).unwrap();
    assert_eq!(streamed.row_numbers, [1, 2]);
}

#[test]
fn columns_without_names_are_found_by_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numbers.csv");
    let rows: String = (0..40)
        .map(|row| format!("{},{},{}\n", row % 7, row * 3 % 11, row * row % 100))
        .collect();
    fs::write(&path, rows).unwrap();
    let request = Request {
        path,
        task: Some(TaskKind::Regression),
        ..Request::default()
    };
    let source = data::read(&request).unwrap();
    let all: Vec<u32> = (0..40).collect();
    let model = Preprocessor::fit(&source, &all).unwrap();
    let text = "3,4\n5,6\n";
    let limits = ReadLimits::default();
    let csv = model.rows_of_csv(text.as_bytes(), &limits).unwrap();
    let piped = streamed(&model, text.as_bytes(), 2).unwrap();
    assert_eq!(csv.row_numbers, [1, 2]);
    assert_eq!(inputs(&csv.examples), inputs(&piped.examples));
    let [first, second] = model.columns().unwrap() else {
        panic!("one of three columns is the target");
    };
    let swapped = format!("{},{}\n4,3\n6,5\n", second.name, first.name);
    let named = streamed(&model, swapped.as_bytes(), 5).unwrap();
    assert_eq!(inputs(&csv.examples), inputs(&named.examples));
    let alone = model.rows_of_csv(b"3,4\n", &limits).unwrap();
    assert_eq!(alone.row_numbers, [1], "one line alone is a row");
}

#[test]
fn names_that_are_numbers_are_names_for_a_file_a_request_and_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spectra.csv");
    let value = |row: usize, column: usize| (row * (7 + column) % 23) as f64 / 10.0;
    let rows = (0..40).map(|row| {
        let [a, b, c, fat] = [0, 1, 2, 3].map(|column| value(row, column));
        format!("{a},{b},{c},{fat}\n")
    });
    let text = format!("1100,1102,1104,fat\n{}", rows.collect::<String>());
    fs::write(&path, text).unwrap();
    let request = Request {
        path: path.clone(),
        task: Some(TaskKind::Regression),
        ..Request::default()
    };
    let all: Vec<u32> = (0..40).collect();
    let model = Preprocessor::fit(&data::read(&request).unwrap(), &all).unwrap();
    let limits = ReadLimits::default();
    let new = "1104,1100,1102\n0.1,0.2,0.3\n0.4,0.5,0.6\n";
    fs::write(&path, new).unwrap();
    let in_order = "1100,1102,1104\n0.2,0.3,0.1\n0.5,0.6,0.4\n";
    let expected = streamed(&model, in_order.as_bytes(), 100).unwrap();
    assert_eq!(expected.row_numbers, [1, 2]);
    for rows in [
        model.read_rows(&path, &limits).unwrap(),
        model.rows_of_csv(new.as_bytes(), &limits).unwrap(),
        streamed(&model, new.as_bytes(), 3).unwrap(),
    ] {
        assert_eq!(rows.row_numbers, [1, 2]);
        assert_eq!(inputs(&rows.examples), inputs(&expected.examples));
    }
}

#[test]
fn a_decimal_comma_that_a_stream_has_shown_stays() {
    let folder = tempfile::tempdir().unwrap();
    let model = table_model(folder.path());
    let text =
        "age;town;floor;lift\n1,5;Bern;1st;yes\n2,5;Bern;1st;yes\n1.234;Bern;1st;yes\n".as_bytes();
    let whole = model.rows_of_csv(text, &ReadLimits::default()).unwrap();
    let parts = streamed(&model, text, 20).unwrap();
    assert_eq!(inputs(&parts.examples), inputs(&whole.examples));
}

#[test]
fn a_request_that_is_not_understood_is_answered_with_the_place() {
    let model = image_model(1);
    let said = |json: &str| model.rows_of_json(json.as_bytes()).unwrap_err().to_string();
    for (json, expected) in [
        ("{\"rows\": [1,\n 2,,]}", "line 2 column 4"),
        ("[1]", "the one key `rows`"),
        ("{}", "the key `rows` is missing"),
        ("{\"row\": []}", "the key `row` was not expected"),
        (
            "{\"rows\": [], \"rows\": []}",
            "the key `rows` was not expected",
        ),
        ("{\"rows\": 3}", "a list of rows"),
        ("", "EOF"),
    ] {
        let message = said(json);
        assert!(message.contains(expected), "{json}: {message}");
    }
    let many = format!("{{\"rows\":[{}0]}}", "0,".repeat(ROWS_MAX));
    assert!(said(&many).contains("send them in several requests"));
    let deep = format!("{{\"rows\":{}{}}}", "[".repeat(3000), "]".repeat(3000));
    assert!(said(&deep).contains("recursion limit"));
    // Deep, but not too deep to be read: it is judged at once.
    let nested = format!("{{\"rows\":[{}1{}]}}", "[".repeat(100), "]".repeat(100));
    let rows = model.rows_of_json(nested.as_bytes()).unwrap();
    assert!(rows.bad[0].reason.starts_with("its shape is [1, 1, 1"));
}

#[test]
fn a_stream_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let model = table_model(folder.path());
    let header = "age,town,floor,lift\n";
    for (text, expected) in [
        (b"".to_vec(), "it is empty"),
        (b"\n\n".to_vec(), "it is empty"),
        (b"\x1f\x8b123".to_vec(), "a gzip file"),
        (b"age,town\n1,2\n".to_vec(), "lacks the column `floor`"),
        (
            format!("{header}1,\"Bern\n").into_bytes(),
            "line 2 or one behind it opens a quote",
        ),
    ] {
        let message = streamed(&model, &text, 3).unwrap_err();
        assert!(message.contains(expected), "{message}");
    }
    let images = image_model(1);
    let message = streamed(&images, header.as_bytes(), 3).unwrap_err();
    assert!(message.contains("only rows of a table"), "{message}");
    let no_end = format!("{header}1,\"{}", "x".repeat(18 << 20));
    let message = streamed(&model, no_end.as_bytes(), 1 << 20).unwrap_err();
    assert!(
        message.contains("the row at line 2 exceeds the limit"),
        "{message}"
    );
}

/// What comes by a pipe, so many bytes at a time: its rows, or what its file's name would end in.
fn piped(model: &Preprocessor, bytes: &[u8], at_once: usize) -> Result<RawRows, String> {
    let said = |error: data::DataError| error.to_string();
    let source = Trickle(Cursor::new(bytes), at_once);
    let found = model.piped(Path::new("pipe"), source, ReadLimits::default());
    match found.map_err(said)? {
        Piped::Whole { ending, mut source } => {
            let mut all = Vec::new();
            source.read_to_end(&mut all).unwrap();
            Err(format!("{ending}: {} bytes", all.len()))
        }
        Piped::Rows(stream) => all_of(*stream),
    }
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn objects_come_by_a_pipe_as_lines_of_cells_do_packed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let model = table_model(folder.path());
    let cells = "lift,extra,age,floor,town\nyes,1,30,1st,Bern\nno,2,NA,2nd,\nyes,3,44.5,9th,\"a \"\"b\"\"\"\n";
    let objects = r#"{"age": 30, "town": "Bern", "floor": "1st", "lift": "yes", "extra": [1]}
{"lift": "no", "floor": "2nd"}
{"age": 44.5, "town": "a \"b\"", "floor": "9th", "lift": "yes"}"#;
    let expected = streamed(&model, cells.as_bytes(), 4096).unwrap();
    for text in [cells, objects] {
        let marked = format!("\u{feff}{text}");
        let packed = gzipped(text.as_bytes());
        for bytes in [text.as_bytes(), marked.as_bytes(), &packed[..]] {
            for at_once in [1, 7, 4096] {
                let found = piped(&model, bytes, at_once).unwrap();
                assert_eq!(inputs(&found.examples), inputs(&expected.examples));
                assert_eq!(found.row_numbers, [1, 2, 3]);
            }
        }
    }
}

#[test]
fn an_object_that_is_none_costs_no_other_and_the_first_has_every_column() {
    let folder = tempfile::tempdir().unwrap();
    let model = table_model(folder.path());
    let first = r#"{"age": 30, "town": "Bern", "floor": "1st", "lift": "yes"}"#;
    let lines = [
        "{\"age\": ",
        first,
        "3",
        r#"{"age": [1]}"#,
        r#"{"age": 1, "age": 2}"#,
        "",
        "{}",
    ];
    let found = piped(&model, lines.join("\n").as_bytes(), 11).unwrap();
    assert_eq!(found.row_numbers, [2, 6]);
    let reasons: Vec<(u64, &str)> = found
        .bad
        .iter()
        .map(|bad| (bad.row, &bad.reason[..]))
        .collect();
    for ((row, reason), (number, expected)) in reasons.iter().zip([
        (1, "line 1 is no JSON object"),
        (3, "line 3 is no JSON object"),
        (4, "line 4: `age` holds a list"),
        (5, "line 5 has the key `age` twice"),
    ]) {
        assert!(
            *row == number && reason.starts_with(expected),
            "{row}: {reason}"
        );
    }
    assert_eq!(reasons.len(), 4);
    let message = piped(&model, br#"{"age": 30, "town": "Bern", "floor": "1st"}"#, 5).unwrap_err();
    assert!(message.contains("lacks the column `lift`"), "{message}");
}

#[test]
fn what_must_be_had_as_a_whole_is_known_by_its_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let model = table_model(folder.path());
    for (bytes, expected) in [
        (b" [{\"age\": 1}]".to_vec(), "json: 13 bytes"),
        (gzipped(b"[]"), "json: 2 bytes"),
        (b"PAR1....PAR1".to_vec(), "parquet: 12 bytes"),
        (b"ARROW1..".to_vec(), "arrow: 8 bytes"),
        (b"\x93NUMPY\x01".to_vec(), "npy: 7 bytes"),
        (b"PK\x03\x04".to_vec(), "npz: 4 bytes"),
        (b"@relation a".to_vec(), "arff: 11 bytes"),
        (b"\xff\xfea\0".to_vec(), "csv: 4 bytes"),
    ] {
        for at_once in [1, 4096] {
            assert_eq!(piped(&model, &bytes, at_once).unwrap_err(), expected);
        }
    }
    for (bytes, expected) in [(&b""[..], "it is empty"), (b"{", "line 1")] {
        let found = piped(&model, bytes, 1);
        let said = found.map(|rows| rows.bad[0].reason.clone());
        let said = said.unwrap_or_else(|message| message);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_stream_is_given_on_as_its_rows_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let model = table_model(folder.path());
    let text = "\u{feff}age;town;floor;lift\r\n1,5;Bern;1st;yes\r\n2,5;B\u{e4}le;\"2nd\";no";
    let source = Trickle(Cursor::new(text.as_bytes()), 30);
    let limits = ReadLimits::default();
    let mut stream = RowStream::new(&model, Path::new("pipe"), source, limits).unwrap();
    let mut numbers = Vec::new();
    while let Some(part) = stream.next_part().unwrap() {
        assert!(part.notices.is_empty(), "{:?}", part.notices);
        numbers.push(part.row_numbers);
    }
    assert_eq!(numbers, [[1], [2]]);
}
