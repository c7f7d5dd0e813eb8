//! What a user says of columns overrules what they look like.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

use std::{fmt::Write, fs, path::PathBuf};

use data::{Cells, ColumnKind, Dataset, Request, Roles, Source, SplitBy, read};
use tempfile::TempDir;

/// Rows with a code, a name of its own, a remark, a measurement with a word in it, and a day.
fn rows() -> String {
    let mut text = "code,id,remark,size,since,class\n".to_string();
    for row in 0..40 {
        let size = if row % 4 == 0 {
            "much".to_string()
        } else {
            row.to_string()
        };
        let remark = ["all went well", "not so well", "all went wrong"][row % 3];
        let (day, month) = (row % 12 + 1, row % 11 + 1);
        let class = ["a", "b"][row % 2];
        writeln!(
            text,
            "{},n{row},{remark},{size},{day:02}/{month:02}/2024,{class}",
            row % 5
        )
        .unwrap();
    }
    text
}

fn asked(pairs: &[(&str, ColumnKind)]) -> (TempDir, Request) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("rows.csv");
    fs::write(&path, rows()).unwrap();
    let columns = pairs
        .iter()
        .map(|(name, kind)| ((*name).to_string(), *kind));
    let request = Request {
        path,
        target: Some("class".to_string()),
        columns: columns.collect(),
        ..Request::default()
    };
    (folder, request)
}

fn read_as(pairs: &[(&str, ColumnKind)]) -> Source {
    let (_folder, request) = asked(pairs);
    read(&request).unwrap()
}

fn cells<'a>(source: &'a Source, name: &str) -> Option<&'a Cells> {
    let Dataset::Table(table) = &source.dataset else {
        panic!("{}", source.description)
    };
    let found = table.columns.iter().find(|column| column.name == name);
    found.map(|column| &column.cells)
}

#[test]
fn what_looks_like_numbers_may_be_names_and_sentences_may_be_some_values() {
    let looks = read_as(&[]);
    assert!(matches!(cells(&looks, "code"), Some(Cells::Numbers(_))));
    assert!(matches!(cells(&looks, "remark"), Some(Cells::Words(_))));
    let said = read_as(&[("code", ColumnKind::Category), ("remark", ColumnKind::Text)]);
    let Some(Cells::Words(codes)) = cells(&said, "code") else {
        panic!("{:?}", cells(&said, "code"))
    };
    assert_eq!(codes[6].as_deref(), Some("1"));
    assert!(matches!(cells(&said, "remark"), Some(Cells::Texts(_))));
}

#[test]
fn what_a_network_gets_follows_what_is_said() {
    let fitted = |pairs| {
        let source = read_as(pairs);
        let rows: Vec<u32> = (0..40).collect();
        let fitted = data::Preprocessor::fit(&source, &rows).unwrap();
        let columns = fitted.columns().unwrap().to_vec();
        let kinds = columns.into_iter().map(|column| (column.name, column.kind));
        kinds.collect::<std::collections::BTreeMap<_, _>>()
    };
    use data::FittedKind;
    let looks = fitted(&[]);
    assert!(matches!(looks["code"], FittedKind::Numeric { .. }));
    assert!(matches!(looks["remark"], FittedKind::Category { .. }));
    let said = fitted(&[("code", ColumnKind::Category), ("remark", ColumnKind::Text)]);
    assert!(matches!(&said["code"], FittedKind::Category { levels, .. } if levels.len() == 5));
    assert!(matches!(&said["remark"], FittedKind::Text { words, .. } if *words == 6));
}

#[test]
fn numbers_among_many_words_are_numbers_if_that_is_said() {
    let looks = read_as(&[]);
    assert!(matches!(cells(&looks, "size"), Some(Cells::Words(_))));
    let said = read_as(&[("size", ColumnKind::Number)]);
    let Some(Cells::Numbers(sizes)) = cells(&said, "size") else {
        panic!("{:?}", cells(&said, "size"))
    };
    assert!(sizes[4].is_nan() && sizes[5] == 5.0);
    let strays = &said.oddities.strays[0];
    assert_eq!((strays.count, strays.example.as_str()), (10, "much"));
}

#[test]
fn day_and_month_are_told_apart_by_who_knows() {
    let first = |kind| {
        let source = read_as(&[("since", kind)]);
        let Some(Cells::Times { seconds, format }) = cells(&source, "since") else {
            panic!("{:?}", cells(&source, "since"))
        };
        (seconds[1], format.to_string())
    };
    let (second_of_february, _) = first(ColumnKind::DateDayFirst);
    // The second row is of the second day of the second month either way; the third day is of the third.
    assert_eq!(second_of_february, 1_706_832_000.0);
    assert_eq!(first(ColumnKind::DateDayFirst).1, "%d/%m/%Y");
    assert_eq!(first(ColumnKind::DateMonthFirst).1, "%m/%d/%Y");
    let looks = read_as(&[]);
    let notices: Vec<&str> = looks.notices.iter().map(|n| n.text.as_str()).collect();
    let said = "--as since=date_day_first or --as since=date_month_first decides";
    assert!(
        notices.iter().any(|text| text.contains(said)),
        "{notices:?}"
    );
    assert!(
        read_as(&[("since", ColumnKind::DateDayFirst)])
            .notices
            .iter()
            .all(|notice| { !notice.text.contains("would fit as well") })
    );
}

#[test]
fn a_name_of_every_row_stays_if_it_is_said_what_it_is() {
    assert_eq!(cells(&read_as(&[]), "id"), None);
    let said = read_as(&[("id", ColumnKind::Category)]);
    assert!(matches!(cells(&said, "id"), Some(Cells::Words(_))));
}

#[test]
fn what_cannot_be_is_refused_with_what_stands_there() {
    let check = |pair: (&str, ColumnKind), expected: &str| {
        let (_folder, request) = asked(&[pair]);
        let refused = read(&request).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    };
    check(("zip", ColumnKind::Category), "no column `zip`");
    check(
        ("class", ColumnKind::Category),
        "`class` cannot be read as category: it is predicted (--task says",
    );
    check(
        ("remark", ColumnKind::Number),
        "`remark` cannot be read as number: it holds `all went well`, which is not a number",
    );
    check(
        ("remark", ColumnKind::Date),
        "`remark` cannot be read as date: it holds `all went well`, which is not a date",
    );
    let (_folder, request) = asked(&[("code", ColumnKind::Number)]);
    let grouped = Request {
        roles: Roles {
            split_by: SplitBy::Group("code".to_string()),
            weight: None,
        },
        ..request
    };
    let refused = read(&grouped).unwrap_err().to_string();
    assert!(refused.contains("it splits or weighs rows"), "{refused}");
}

#[test]
fn images_have_no_columns_to_speak_of() {
    let (folder, mut request) = asked(&[("code", ColumnKind::Number)]);
    for class in ["cat", "dog"] {
        let place = folder.path().join("pets").join(class);
        fs::create_dir_all(&place).unwrap();
        image::GrayImage::new(4, 4)
            .save(place.join("one.png"))
            .unwrap();
    }
    request.path = folder.path().join("pets");
    request.target = None;
    let refused = read(&request).unwrap_err().to_string();
    assert!(
        refused.contains("`code` cannot be read as number: that is said of columns"),
        "{refused}"
    );
}
