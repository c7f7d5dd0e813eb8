//! A thousand rows of each kind as nobody wrote them before: gaps in every spelling, wild numbers, words
//! never seen, dates that are none, and what a runtime of ONNX gets where it cannot read text itself.

#![allow(dead_code)] // Each test program uses its own part of this.

use std::fmt::Write as _;

use data::times::TimeFormat;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows that every way of asking answers.
pub(crate) const ROWS: usize = 1000;

const DAY: i64 = 86_400;

/// The first second of 2024-01-05.
const FIFTH: f64 = 1_704_412_800.0;

/// A table as text, and the same with the seconds of its dates, as the ONNX file takes them.
pub(crate) struct Table {
    pub(crate) raw: String,
    pub(crate) in_seconds: String,
}

/// What stands in columns of numbers.
const NUMBERS: [&str; 17] = [
    "",
    "?",
    "NA",
    "NaN",
    "null",
    "1e12",
    "-3.5e9",
    "purple",
    "0",
    "-0",
    "inf",
    "-Infinity",
    "1e400",
    "1e300",
    "1_000",
    "\u{665}",
    "+.5",
];

/// What stands in columns of words.
const WORDS: [&str; 9] = [
    "",
    "?",
    "N/A",
    "None",
    "purple",
    "North",
    "  north ",
    "0",
    "süd, oder \"so\"",
];

/// What stands for a text.
pub(crate) const TEXTS: [&str; 12] = [
    "nothing of this was written before",
    "",
    "   ",
    "NA",
    "n/a or good",
    "NA NA",
    "good\tbad\n(bad)\u{a0}great! great!",
    " bad\r\nbad\n",
    "\u{b}bad\u{c}good",
    "good good good good good good good good good good good good good good good good good good good",
    "GOOD Bad \u{e4}rger \u{c4}RGER \u{1f600}",
    "\"bad\", she said; 'good'",
];

/// A column of dates: its name, how it is written, the steps of its times, and odd cells with what they
/// say, as far as they say anything.
type Dates = (
    &'static str,
    &'static str,
    i64,
    &'static [(&'static str, Option<f64>)],
);

const DATES: [Dates; 5] = [
    (
        "sold",
        "%Y-%m-%d",
        DAY,
        &[
            ("", None),
            ("NA", None),
            ("tomorrow", None),
            ("2024-1-5", Some(FIFTH)),
            ("+2024-01-05", Some(FIFTH)),
            ("2024- 1- 5", Some(FIFTH)),
            ("2023-02-29", None),
            ("2024-01-05 10:00", None),
            ("0001-01-01", None),
            ("1000-01-01", Some(-30_610_224_000.0)),
            ("2999-12-31", Some(32_503_593_600.0)),
            ("3000-01-01", None),
            ("\u{662}\u{660}24-01-05", None),
            ("1704412800", None),
        ],
    ),
    (
        "seen",
        "%d.%m.%Y %H:%M",
        60,
        &[
            ("?", None),
            ("5.1.2024 8:05", Some(FIFTH + 29_100.0)),
            ("05.01.2024   08:05", Some(FIFTH + 29_100.0)),
            ("05.01.2024 24:00", None),
            ("05.01.2024", None),
            ("31.04.2024 10:00", None),
            ("01.05.202400:00", Some(1_714_521_600.0)),
        ],
    ),
    (
        "logged",
        "%Y-%m-%dT%H:%M:%S%.f%z",
        1,
        &[
            ("null", None),
            ("2024-01-05T23:59:60Z", Some(FIFTH + 86_400.0)),
            ("2024-01-05T23:59:61Z", None),
            ("2024-01-05T10:00:00.25 +02:00", Some(FIFTH + 28_800.25)),
            (
                "2024-01-05T10:00:00.123456789-0930",
                Some(FIFTH + 70_200.123_456),
            ),
            ("2024-01-05T10:00:00z", Some(FIFTH + 36_000.0)),
            ("2024-01-05t10:00:00Z", None),
            ("2024-01-05T10:00:00+2:00", None),
            ("2024-01-05T10:00:00+25:00", None),
            ("2024-01-05T10:00:00", None),
            ("0001-01-01T00:00:00+02:00", None),
            ("9999-12-31T23:59:59-02:00", None),
        ],
    ),
    (
        "let",
        "%d %B %Y",
        DAY,
        &[
            ("n/a", None),
            ("5 Jan 2024", Some(FIFTH)),
            ("05 JANUARY 2024", Some(FIFTH)),
            ("5january2024", Some(FIFTH)),
            ("5 Januar 2024", None),
            ("5 Mai 2024", None),
            ("30 February 2024", None),
        ],
    ),
    (
        "due",
        "%m/%d/%Y",
        DAY,
        &[
            ("nan", None),
            ("1/5/2024", Some(FIFTH)),
            ("13/01/2024", None),
            ("1/5/24", None),
            ("01/05/02024", None),
        ],
    ),
];

/// Months, whose first seconds are looked up.
const MONTHS: [(&str, f64); 4] = [
    ("2019-01", 1_546_300_800.0),
    ("2020-02", 1_580_515_200.0),
    ("2021-07", 1_625_097_600.0),
    ("2022-12", 1_669_852_800.0),
];

const ODD_MONTHS: [(&str, Option<f64>); 5] = [
    ("None", None),
    ("2024-3", Some(1_709_251_200.0)),
    ("2024-13", None),
    ("March 2024", None),
    ("2024-03-01", None),
];

/// Whether rows are as those of training, or as nobody wrote them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    Known,
    Odd,
}

/// Flats: numbers near and far from 0, some with a long tail, words, a flag, a remark, streets and six dates; prices or classes behind.
pub(crate) fn flats(rows: usize, target: &str, kind: Rows) -> Table {
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
    let names = ["built", "area", "district, old", "lift", "remark"].into_iter();
    let names = names
        .chain(["income", "street"])
        .chain(DATES.iter().map(|dates| dates.0));
    let header: Vec<&str> = names.chain(["since", target]).collect();
    let (mut raw, mut in_seconds) = (
        csv::Writer::from_writer(vec![]),
        csv::Writer::from_writer(vec![]),
    );
    raw.write_record(&header).unwrap();
    in_seconds.write_record(&header).unwrap();
    for row in 0..rows {
        let mut cells = plain_cells(&mut rng, row);
        if kind == Rows::Odd {
            let place = row % 7;
            let list: &[&str] = match place {
                0 | 1 => &NUMBERS,
                2 | 3 => &WORDS,
                _ => &TEXTS,
            };
            cells[place.min(4)] = list[rng.random_range(0..list.len())].to_string();
            if row % 2 == 0 {
                cells[5] = NUMBERS[rng.random_range(0..NUMBERS.len())].to_string();
            }
            if row % 5 == 0 {
                cells[6] = WORDS[rng.random_range(0..WORDS.len())].to_string();
            }
        }
        let dates = date_cells(&mut rng, row, kind);
        let price = match (cells[1].parse::<f64>(), cells[3].as_str()) {
            (Ok(area), "yes") if area.abs() < 1e3 => 900.0 * area + 40_000.0,
            (Ok(area), _) if area.abs() < 1e3 => 900.0 * area,
            _ => 50_000.0,
        };
        let answer = match target {
            "price" => format!("{price:.1}"),
            _ => if price > 90_000.0 { "dear" } else { "cheap" }.to_string(),
        };
        let seconds = dates.iter().map(|(_, seconds)| match seconds {
            Some(seconds) => seconds.to_string(),
            None => String::new(),
        });
        let both = cells.iter().cloned();
        in_seconds
            .write_record(both.clone().chain(seconds).chain([answer.clone()]))
            .unwrap();
        let written = dates.iter().map(|(cell, _)| cell.clone());
        raw.write_record(both.chain(written).chain([answer]))
            .unwrap();
    }
    let text =
        |writer: csv::Writer<Vec<u8>>| String::from_utf8(writer.into_inner().unwrap()).unwrap();
    Table {
        raw: text(raw),
        in_seconds: text(in_seconds),
    }
}

/// Whether a column of the flats holds dates.
pub(crate) fn is_date(column: &str) -> bool {
    column == "since" || DATES.iter().any(|dates| dates.0 == column)
}

fn plain_cells(rng: &mut ChaCha8Rng, row: usize) -> [String; 7] {
    let built = 1_500_000_000_u64 + rng.random_range(0..40_000_000);
    let area = rng.random_range(20.0..160.0_f64);
    let area = match row % 11 {
        0 => String::new(),
        _ => format!("{area:.2}"),
    };
    let district = ["north", "süd", "", "east"][rng.random_range(0..4)];
    let lift = ["yes", "no"][rng.random_range(0..2)];
    let mood = ["Good,", "bad", "poor.", "GREAT"][rng.random_range(0..4)];
    let remark = format!("{mood} for {} people, {row} say", rng.random_range(1..9));
    // Too many for a value each.
    let street = format!("road {}", row % 130);
    let income = match row % 13 {
        0 => String::new(),
        1 | 2 => "1800".to_string(),
        _ => format!(
            "{:.2}",
            900.0 + 30.0 * rng.random_range(0.0..3.0_f64).powi(7)
        ),
    };
    [
        built.to_string(),
        area,
        district.to_string(),
        lift.to_string(),
        remark,
        income,
        street,
    ]
}

/// The dates of a row, each with its seconds.
fn date_cells(rng: &mut ChaCha8Rng, row: usize, kind: Rows) -> Vec<(String, Option<f64>)> {
    let mut cells: Vec<(String, Option<f64>)> = Vec::new();
    for (_, pattern, step, _) in DATES {
        let seconds = rng.random_range(1_420_000_000..1_700_000_000_i64) / step * step;
        cells.push((written(pattern, seconds as f64), Some(seconds as f64)));
    }
    let (month, seconds) = MONTHS[rng.random_range(0..MONTHS.len())];
    cells.push((month.to_string(), Some(seconds)));
    if row.is_multiple_of(13) {
        cells[row % 6] = (String::new(), None);
    }
    if kind == Rows::Odd && row.is_multiple_of(2) {
        let place = row / 2 % cells.len();
        let odd = DATES.get(place).map_or(&ODD_MONTHS[..], |dates| dates.3);
        let (cell, seconds) = odd[rng.random_range(0..odd.len())];
        cells[place] = (cell.to_string(), seconds);
    }
    cells
}

fn written(pattern: &str, seconds: f64) -> String {
    let format: TimeFormat = serde_json::from_value(pattern.into()).unwrap();
    format.written(seconds).unwrap()
}

/// Texts with a label: those of the training in short, and as nobody wrote them.
pub(crate) fn texts(rows: usize, kind: Rows) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
    let mut table = csv::Writer::from_writer(vec![]);
    table.write_record(["review", "label"]).unwrap();
    for row in 0..rows {
        let (word, label) = [
            ("good", "yes"),
            ("Bad,", "no"),
            ("FINE", "yes"),
            ("poor.", "no"),
        ][row % 4];
        let others = rng.random_range(0..13);
        let mut text = format!("{word} and  then some of {others} words in {row}");
        if kind == Rows::Odd && row.is_multiple_of(3) {
            text = TEXTS[rng.random_range(0..TEXTS.len())].to_string();
        }
        table.write_record([text.as_str(), label]).unwrap();
    }
    String::from_utf8(table.into_inner().unwrap()).unwrap()
}

/// Names with a label: those of the training, and as nobody is called.
pub(crate) fn names(rows: usize, kind: Rows) -> String {
    const LETTERS: [&str; 7] = ["ka", "mo", "ri", "Zü", "te", "lö", "an"];
    const ODD: [&str; 9] = [
        "",
        "NA",
        "Na",
        "null",
        "nulla",
        "X Æ A-12",
        "名前",
        "\u{10ffff}\u{301}",
        "a\tb  c",
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
    let mut table = csv::Writer::from_writer(vec![]);
    table.write_record(["name", "label"]).unwrap();
    for row in 0..rows {
        let (end, label) = [("a", "f"), ("o", "m")][row % 2];
        let letters = (0..rng.random_range(2..7)).map(|_| LETTERS[rng.random_range(0..7)]);
        let mut name = letters.collect::<String>() + end;
        if kind == Rows::Odd && row.is_multiple_of(3) {
            name = ODD[rng.random_range(0..ODD.len())].to_string();
        }
        table.write_record([name.as_str(), label]).unwrap();
    }
    String::from_utf8(table.into_inner().unwrap()).unwrap()
}

/// The same in a script of many characters, of which pairs are told, too.
pub(crate) fn signs(rows: usize, kind: Rows) -> String {
    let mut table = names(rows, kind);
    let sign = |place: usize| char::from_u32(0x4e00 + place as u32).unwrap();
    for (row, letters) in ["ka", "mo", "ri", "Zü", "te", "lö", "an"]
        .iter()
        .enumerate()
    {
        table = table.replace(letters, &format!("{}{}", sign(2 * row), sign(2 * row + 1)));
    }
    // Many more that stand in few rows each.
    let others = |line: usize| (0..6).map(move |place| sign(100 + (line * 6 + place) % 300));
    let lines = table.lines().enumerate().map(|(line, text)| match line {
        0 => text.to_string(),
        _ if text.starts_with([',', '"']) => text.to_string(),
        _ => others(line).collect::<String>() + text,
    });
    lines.collect::<Vec<String>>().join("\n")
}

/// A value of a series as it stands in a file; nothing where none was measured.
pub(crate) type Series = Vec<Vec<String>>;

/// Series of two channels, unequal lengths and with gaps, and the label of each.
pub(crate) fn series(rows: usize, kind: Rows) -> Vec<(Series, &'static str)> {
    const VALUES: [&str; 6] = ["?", "1e12", "-4e30", "0", "-0.0", "3e38"];
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
    let one = |row: usize| {
        let (speed, label) = [(0.2, "slow"), (0.5, "fast")][row % 2];
        let length = match kind {
            Rows::Odd if row.is_multiple_of(5) => rng.random_range(1..21),
            _ => 12 + row % 9,
        };
        let wild = if kind == Rows::Odd && row.is_multiple_of(3) {
            0.3
        } else {
            0.0
        };
        let gap = if kind == Rows::Odd && row.is_multiple_of(17) {
            1.0
        } else {
            0.1
        };
        let mut value = |step: usize, phase: f64| match () {
            () if rng.random_bool(gap) => "?".to_string(),
            () if rng.random_bool(wild) => VALUES[rng.random_range(0..VALUES.len())].to_string(),
            () => format!("{:.4}", 100.0 + (step as f64 * speed + phase).sin()),
        };
        let mut channel = |phase| (0..length).map(|step| value(step, phase)).collect();
        (vec![channel(0.0), channel(row as f64)], label)
    };
    (0..rows).map(one).collect()
}

/// Series as a .ts file.
pub(crate) fn series_file(all: &[(Series, &str)]) -> String {
    let mut text = String::from("@problemName Made\n@classLabel true slow fast\n@data\n");
    for (channels, label) in all {
        let channels: Vec<String> = channels.iter().map(|values| values.join(",")).collect();
        writeln!(text, "{}:{label}", channels.join(":")).unwrap();
    }
    text
}

/// Series as rows of a table, in which each column is a step.
pub(crate) fn wide(rows: usize, kind: Rows) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
    let names: Vec<String> = (0..24).map(|step| format!("t{step}")).collect();
    let mut text = format!("{},kind\n", names.join(","));
    for row in 0..rows {
        let (speed, label) = [(0.2, "slow"), (0.45, "fast")][row % 2];
        let step = |step: usize| match rng.random_range(0..40) {
            0 => String::new(),
            1 if kind == Rows::Odd => NUMBERS[rng.random_range(0..NUMBERS.len())].to_string(),
            _ => format!("{:.3}", (step as f64 * speed + row as f64).sin()),
        };
        let cells: Vec<String> = (0..24).map(step).collect();
        writeln!(text, "{},{label}", cells.join(",")).unwrap();
    }
    text
}

/// Images of 8 × 8 gray pixels, row by row: some of an example, some darker and lighter than any of it.
pub(crate) fn images(known: &[u8]) -> Vec<Vec<u8>> {
    let mut rng = ChaCha8Rng::seed_from_u64(ROWS as u64);
    let one = |row: usize| match row % 4 {
        0 => (0..64).map(|_| rng.random_range(0..=255)).collect(),
        1 if row % 100 == 1 => vec![[0, 255, 16][row / 100 % 3]; 64],
        _ => known[64 * row..64 * (row + 1)].to_vec(),
    };
    (0..ROWS).map(one).collect()
}

/// Bytes of images as an array file.
pub(crate) fn array_file(images: &[Vec<u8>]) -> Vec<u8> {
    let head = format!(
        "{{'descr': '|u1', 'fortran_order': False, 'shape': ({}, 8, 8), }}",
        images.len()
    );
    let head = format!("{head:<117}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((head.len() as u16).to_le_bytes());
    file.extend(head.bytes());
    file.extend(images.concat());
    file
}
