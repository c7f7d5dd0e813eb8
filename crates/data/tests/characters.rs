//! Texts that are read by their characters: scripts that set no words apart, sequences of letters, names.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use data::{
    Cells, ColumnKind, DataError, DataKind, Dataset, FittedInputs, FittedText, Preprocessor,
    ReadLimits, Request, Source, TextUnit, read,
};

/// Rows of one column, and every other a class.
fn table(column: &str, cell: impl Fn(usize) -> String) -> String {
    let mut table = format!("{column},label\n");
    for row in 0..120 {
        writeln!(table, "{},{}", cell(row), ["a", "b"][row % 2]).unwrap();
    }
    table
}

fn read_as(
    table: &str,
    kind: Option<DataKind>,
    asked: &[(&str, ColumnKind)],
) -> Result<Source, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    fs::write(&path, table).unwrap();
    let asked = asked
        .iter()
        .map(|(name, kind)| ((*name).to_string(), *kind));
    read(&Request {
        path,
        kind,
        columns: asked.collect(),
        ..Request::default()
    })
}

/// What a table is read by, if it holds texts.
fn unit(table: &str) -> Option<TextUnit> {
    match read_as(table, None, &[]).unwrap().dataset {
        Dataset::Texts(texts) => Some(texts.unit),
        _ => None,
    }
}

/// Sequences of four letters, as of a genome.
fn bases(row: usize) -> String {
    let mut state = row as u64 + 1;
    let letter = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ['a', 'c', 'g', 't'][(state >> 60) as usize % 4]
    };
    (0..57).map(letter).collect()
}

fn name(row: usize) -> String {
    let letters = ["ka", "mo", "ri", "zu", "te", "lo", "an"];
    format!(
        "N{}{}{}",
        letters[row % 7],
        letters[row / 7 % 7],
        letters[row / 49]
    )
}

/// The codes of each row, as a network gets them.
fn codes(fitted: &Preprocessor, examples: &data::Examples) -> Vec<Vec<f32>> {
    let rows: Vec<u32> = (0..examples.len() as u32).collect();
    let mut inputs = vec![0.0; rows.len() * examples.item_len()];
    examples.copy_inputs(&rows, &mut inputs);
    assert_eq!(fitted.item().values(), examples.item_len());
    inputs
        .chunks(examples.item_len())
        .map(<[f32]>::to_vec)
        .collect()
}

fn fitted(source: &Source) -> (Preprocessor, FittedText) {
    let rows: Vec<u32> = (0..source.dataset.rows() as u32).collect();
    let preprocessor = Preprocessor::fit(source, &rows).unwrap();
    let FittedInputs::Text(text) = preprocessor.inputs().clone() else {
        panic!("{}", source.description)
    };
    (preprocessor, text)
}

fn rows_of(preprocessor: &Preprocessor, folder: &Path, table: &str) -> Vec<Vec<f32>> {
    let path = folder.join("new.csv");
    fs::write(&path, table).unwrap();
    let rows = preprocessor
        .read_rows(&path, &ReadLimits::default())
        .unwrap();
    codes(preprocessor, &rows.examples)
}

#[test]
fn what_has_no_words_is_read_by_its_characters_and_what_has_is_not() {
    assert_eq!(unit(&table("sequence", bases)), Some(TextUnit::Character));
    assert_eq!(unit(&table("name", name)), Some(TextUnit::Character));
    let review = |row: usize| {
        let word = ["好看", "难看", "无聊", "精彩"][row % 4];
        format!("这部电影第{row}次看真的很{word}")
    };
    assert_eq!(unit(&table("review", review)), Some(TextUnit::Character));
    let sentence = |row: usize| format!("this is sentence number {row}");
    assert_eq!(unit(&table("sentence", sentence)), Some(TextUnit::Word));
    let source = read_as(&table("name", name), None, &[]).unwrap();
    let said = &source
        .notices
        .iter()
        .map(|n| n.text.as_str())
        .collect::<Vec<_>>();
    assert!(
        said.iter()
            .any(|text| text.contains("`name` is read by characters")),
        "{said:?}"
    );
    assert!(source.oddities.left_out.is_empty());
    assert!(
        source.description.contains("characters in the mean"),
        "{}",
        source.description
    );
}

#[test]
fn numbers_of_things_stay_identifiers_and_names_beside_other_columns_too() {
    let refused = read_as(&table("id", |row| format!("user_{row}")), None, &[]);
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("no column is left to predict from"),
        "{refused}"
    );
    let two = table("name,size", |row| format!("{},{}", name(row), row * 7 % 13));
    let Dataset::Table(table) = read_as(&two, None, &[]).unwrap().dataset else {
        panic!("it is a table")
    };
    assert_eq!(table.columns.len(), 1);
}

#[test]
fn a_text_without_words_beside_other_columns_is_a_category() {
    let review = |row: usize| format!("这部电影第{}次看真的很好看", row % 60);
    let two = table("review,size", |row| {
        format!("{},{}", review(row), row * 7 % 13)
    });
    let Dataset::Table(table) = read_as(&two, None, &[]).unwrap().dataset else {
        panic!("it is a table")
    };
    assert!(matches!(table.columns[0].cells, Cells::Words(_)));
    let source = read_as(&two, Some(DataKind::Text), &[]).unwrap();
    assert!(matches!(source.dataset, Dataset::Texts(texts) if texts.name == "review"));
}

#[test]
fn a_user_says_what_texts_are_read_by() {
    let two = table("name,remark", |row| {
        format!("{},it is number {row}", name(row))
    });
    let asked = [("name", ColumnKind::Characters)];
    let Dataset::Texts(texts) = read_as(&two, Some(DataKind::Text), &asked).unwrap().dataset else {
        panic!("it is text")
    };
    assert_eq!(
        (texts.name.as_str(), texts.unit),
        ("name", TextUnit::Character)
    );
    let refused = read_as(&two, None, &asked).unwrap_err().to_string();
    assert!(
        refused.contains("--kind text learns from it alone"),
        "{refused}"
    );
    let sentences = table("remark", |row| format!("it is number {row}"));
    for (kind, unit) in [
        (ColumnKind::Characters, TextUnit::Character),
        (ColumnKind::Words, TextUnit::Word),
        (ColumnKind::Text, TextUnit::Word),
    ] {
        let source = read_as(&sentences, None, &[("remark", kind)]).unwrap();
        assert!(
            matches!(source.dataset, Dataset::Texts(texts) if texts.unit == unit),
            "{kind}"
        );
    }
}

#[test]
fn texts_of_files_can_be_read_by_characters() {
    let folder = tempfile::tempdir().unwrap();
    for row in 0..8 {
        let path = folder
            .path()
            .join(["a", "b"][row % 2])
            .join(format!("{row}.txt"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("some words and number {row}")).unwrap();
    }
    let request = |column: &str, kind| Request {
        path: folder.path().to_path_buf(),
        columns: [(column.to_string(), kind)].into(),
        ..Request::default()
    };
    let source = read(&request("text", ColumnKind::Characters)).unwrap();
    assert!(matches!(source.dataset, Dataset::Texts(texts) if texts.unit == TextUnit::Character));
    assert!(read(&request("text", ColumnKind::Number)).is_err());
    assert!(read(&request("other", ColumnKind::Characters)).is_err());
}

#[test]
fn a_letter_and_its_capital_share_a_code_and_what_is_unknown_has_one() {
    let source = read_as(&table("sequence", bases), None, &[]).unwrap();
    let (preprocessor, text) = fitted(&source);
    assert_eq!((text.length, text.codes, text.pairs.len()), (57, 6, 0));
    let folder = tempfile::tempdir().unwrap();
    let table = "sequence\nacgt\nACGT\nax\nNA\n\n";
    let rows = rows_of(&preprocessor, folder.path(), table);
    let code = |letter: &str| f32::from(text.forms[letter]);
    assert_eq!(
        rows[0][..5],
        [code("a"), code("c"), code("g"), code("t"), 0.0]
    );
    assert_eq!(rows[1], rows[0]);
    assert_eq!(
        rows[2][..3],
        [code("a"), f32::from(FittedText::UNKNOWN), 0.0]
    );
    assert!(rows[3].iter().all(|code| *code == 0.0), "it is missing");
    let body = br#"{"rows": [" acgt\n", "a\u0000c"]}"#;
    let sent = preprocessor.rows_of_json(body).unwrap();
    let sent = codes(&preprocessor, &sent.examples);
    assert_eq!(sent[0], rows[0], "white space around it is none of it");
    assert_eq!(sent[1][..3], [code("a"), 0.0, code("c")]);
}

/// Words of two characters each, of 300, as in a script that has thousands.
fn signs(row: usize) -> String {
    let sign = |place: usize| char::from_u32(0x4e00 + place as u32).unwrap();
    let word = |word: usize| [sign(word % 150), sign(150 + word % 150)];
    (0..12)
        .flat_map(|place| word(row * 7 + place * 13))
        .collect()
}

#[test]
fn of_many_characters_pairs_are_told_beside_them() {
    let source = read_as(&table("text", signs), None, &[]).unwrap();
    let (preprocessor, text) = fitted(&source);
    let pairs: BTreeMap<[u16; 2], u16> = text.pair_codes().collect();
    assert_eq!(text.channels(), 2);
    assert_eq!(text.codes as usize, 2 + 300 + pairs.len());
    assert_eq!(
        pairs.values().max().map(|code| u32::from(*code) + 1),
        Some(text.codes)
    );
    let folder = tempfile::tempdir().unwrap();
    let (written, first): (String, Vec<u16>) = {
        let letters: Vec<char> = signs(3).chars().take(3).collect();
        let codes = letters.iter().map(|letter| text.forms[&letter.to_string()]);
        (letters.iter().collect(), codes.collect())
    };
    let rows = rows_of(&preprocessor, folder.path(), &format!("text\n{written}x\n"));
    let unknown = FittedText::UNKNOWN;
    let pair = |first, second| pairs.get(&[first, second]).copied().unwrap_or(0);
    assert!(pair(first[0], first[1]) > 0);
    let expected = [
        [first[0], pair(first[0], first[1])],
        [first[1], pair(first[1], first[2])],
        [first[2], 0],
        [unknown, 0],
        [0, 0],
    ];
    let expected: Vec<f32> = expected
        .as_flattened()
        .iter()
        .map(|code| f32::from(*code))
        .collect();
    assert_eq!(rows[0][..10], expected);
}

#[test]
fn a_character_whose_capital_is_two_has_a_code_and_its_capital_none() {
    let name = |row: usize| format!("ẞß{}İi̇", bases(row));
    let (_, text) = fitted(&read_as(&table("name", name), None, &[]).unwrap());
    assert!(text.forms.contains_key("ß") && !text.forms.contains_key("SS"));
    assert_eq!(text.forms["ß"], text.forms["ẞ"]);
    assert!(text.forms.contains_key("İ"));
}

#[test]
fn a_description_of_characters_holds_characters() {
    let source = read_as(&table("sequence", bases), None, &[]).unwrap();
    let mut written = serde_json::to_value(fitted(&source).0).unwrap();
    let text = &mut written["inputs"]["text"];
    assert_eq!(text["unit"], "character");
    text["forms"]["two"] = 2.into();
    let refused = serde_json::from_value::<Preprocessor>(written.clone()).unwrap_err();
    assert!(
        refused.to_string().contains("`two` is no character"),
        "{refused}"
    );
    written["inputs"]["text"]["forms"]
        .as_object_mut()
        .unwrap()
        .remove("two");
    for (pairs, why) in [
        (
            serde_json::json!([[2, 6]]),
            "of 7 codes, those of pairs are the last 1",
        ),
        (
            serde_json::json!(vec![[2, 2]; 9]),
            "7 codes are too few for 9 pairs",
        ),
    ] {
        let mut other = written.clone();
        other["inputs"]["text"]["codes"] = 7.into();
        other["inputs"]["text"]["pairs"] = pairs;
        let refused = serde_json::from_value::<Preprocessor>(other)
            .unwrap_err()
            .to_string();
        assert!(refused.contains(why), "{refused}");
    }
    let mut words = written.clone();
    words["inputs"]["text"]["unit"] = "word".into();
    words["inputs"]["text"]["pairs"] = serde_json::json!([[2, 2]]);
    let refused = serde_json::from_value::<Preprocessor>(words)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("not of words"), "{refused}");
    written["inputs"]["text"]["length"] = 3.into();
    let refused = serde_json::from_value::<Preprocessor>(written).unwrap_err();
    assert!(
        refused.to_string().contains("3 characters with 6 codes"),
        "{refused}"
    );
}
