//! The script that comes with a model says in PyTorch what `lehr predict` says, of every kind of data and
//! every way of writing it.
//!
//! Needs a Python with `torch`, `safetensors`, `numpy` and `pillow` (`LEHR_PYTHON`, otherwise `python3`);
//! skipped without one, unless `LEHR_REQUIRE_TORCH` is set.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

#[path = "studies/python.rs"]
mod python;
#[path = "studies/rows.rs"]
mod rows;
mod studies;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use python::{TOLERANCE, cells, check_same, python_with, repository, study, succeeded};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rows::{reviews, unequal};
use studies::lehr;

fn python() -> Option<String> {
    python_with("torch, safetensors, numpy, PIL", "LEHR_REQUIRE_TORCH")
}

/// Explores what is known, and has lehr and the script predict new rows; of so many there is an answer.
fn check(known: &Path, new: &Path, more: &[&str], rows: usize) {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let study = study(known, place.path(), more);
    check_asked(&python, &study, new, rows);
}

/// Has lehr and the script predict new rows; of so many there is an answer.
fn check_asked(python: &str, study: &Path, new: &Path, rows: usize) {
    let predict = lehr().arg("predict").arg(study).arg(new).output().unwrap();
    let predicted = succeeded(predict).stdout;
    assert_eq!(cells(&predicted).1.len(), rows);
    let script = study.join("best/model.py");
    let script = Command::new(python).arg(script).arg(new).output().unwrap();
    check_same(&succeeded(script).stdout, &predicted, TOLERANCE);
}

/// Explores one text as a file, and has another predicted.
fn check_files(
    ending: &str,
    known: impl AsRef<[u8]>,
    new: impl AsRef<[u8]>,
    more: &[&str],
    rows: usize,
) {
    let place = tempfile::tempdir().unwrap();
    let known = written(place.path(), &format!("known.{ending}"), known);
    let new = written(place.path(), &format!("new.{ending}"), new);
    check(&known, &new, more, rows);
}

fn written(place: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = place.join(name);
    fs::write(&path, content).unwrap();
    path
}

/// Semicolons, decimal commas, and what people write for numbers; every eleventh row has cells too few.
fn continental(rows: usize, odd: bool) -> String {
    const SPELLED: [&str; 11] = [
        "1_000", "inf", "1e5", "+3,5", ",5", "12,", "abc", "-", "1.5", "1.234.5", "1.234",
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
    let mut text = "größe;preis;klasse\n".to_string();
    for row in 0..rows {
        let size = rng.random_range(1_000..9_000);
        let mut cell = format!("{}.{:03},25", size / 1000, size % 1000);
        if odd && row % 5 == 0 {
            cell = SPELLED[rng.random_range(0..SPELLED.len())].to_string();
        }
        let price = format!("{:.2}", rng.random_range(-5.0..5.0_f64)).replace('.', ",");
        let class = if size > 5_000 { "groß" } else { "klein" };
        writeln!(text, "{cell};{price};{class}").unwrap();
        if odd && row % 11 == 0 {
            text += "zu wenig;1\n\n";
        }
    }
    text
}

#[test]
fn a_table_with_semicolons_and_decimal_commas_is_the_same() {
    let (known, new) = (continental(300, false), continental(200, true));
    check_files("csv", known, new, &["--target", "klasse"], 200);
}

/// Words in Shift_JIS, decimal commas between tabs.
fn unusual(rows: usize) -> Vec<u8> {
    const WORDS: [&[u8]; 2] = [b"\x83\x41", b"\x83\x43"];
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
    let mut table = b"size\tplace\tclass\n".to_vec();
    for _ in 0..rows {
        let size = rng.random_range(-1.0..1.0_f64);
        let word = rng.random_range(0..WORDS.len());
        let is_high = size > 0.2 || word == 0;
        let class = if is_high { "high" } else { "low" };
        let size = format!("{size:.3}").replace('.', ",");
        let cells = [size.as_bytes(), WORDS[word], class.as_bytes()];
        table.extend(cells.join(&b'\t'));
        table.push(b'\n');
    }
    table
}

#[test]
fn what_was_said_of_a_table_holds_for_the_script() {
    let more = "--target class --delimiter tab --decimal comma --encoding shift_jis";
    let more: Vec<&str> = more.split(' ').collect();
    check_files("csv", unusual(300), unusual(100), &more, 100);
}

/// Columns that blanks align, without names, and some cells that hold blanks.
fn aligned(rows: usize) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
    let mut text = String::new();
    for row in 0..rows {
        let size = rng.random_range(-9.0..9.0_f64);
        let class = if size > 1.0 { "\"very  high\"" } else { "low" };
        let cell = match row % 7 {
            3 => "?".to_string(),
            _ => format!("{size:.4}"),
        };
        let rooms = rng.random_range(1..120);
        writeln!(text, " {cell:>9}  {rooms:>4} {class} ").unwrap();
    }
    text
}

#[test]
fn a_table_aligned_by_blanks_is_the_same() {
    let more = ["--target", "column3"];
    check_files("data", aligned(300), aligned(100), &more, 100);
}

#[test]
fn a_table_without_names_is_the_same() {
    let rows = |rows: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
        let mut text = String::new();
        for _ in 0..rows {
            let size = rng.random_range(-1.0..1.0_f64);
            let word = ["süd", "nord"][rng.random_range(0..2)];
            let class = if size > 0.2 { "high" } else { "low" };
            writeln!(text, "{size:.4}\t{word}\t{class}").unwrap();
        }
        text
    };
    // Of two classes that AUC chose by, probabilities are moved.
    let more = ["--target", "column3", "--metric", "auc"];
    check_files("tsv", rows(300), rows(100), &more, 100);
}

#[test]
fn pictures_of_any_size_and_colour_are_the_same() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let made = Command::new(&python)
        .arg(repository().join("tools/pytorch/make_images.py"))
        .arg(repository().join("examples/digits/digits8x8.npz"))
        .arg(place.path())
        .output()
        .unwrap();
    succeeded(made);
    for known in ["colour", "gray"] {
        let new = place.path().join(format!("new-{known}"));
        // All but the broken one.
        check(&place.path().join(known), &new, &[], 60);
    }
}

/// Words never seen, no words, more than any, other white space, missing ones.
const ODD_TEXTS: [&str; 8] = [
    "nothing of this was written before",
    "",
    "   ",
    "NA",
    "n/a or good",
    "good\tbad\n(bad)\u{a0}great! great!",
    "good good good good good good good good good good good good good good good good good good",
    "GOOD Bad \u{e4}rger \u{c4}RGER",
];

#[test]
fn texts_are_the_same() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let known = written(place.path(), "known.csv", reviews(300, &[]));
    let study = study(&known, place.path(), &["--ignore", "age"]);
    let table = reviews(40, &ODD_TEXTS);
    for (name, content, rows) in [
        ("new.csv", &*table, 48),
        ("table.txt", &*table, 48),
        ("text.txt", "good and\n\u{3000}bad\n", 1),
        ("nothing.txt", " n/a\n", 1),
    ] {
        let new = written(place.path(), name, content);
        check_asked(&python, &study, &new, rows);
    }
}

#[test]
fn a_text_beside_other_columns_is_the_same() {
    let (known, new) = (reviews(300, &[]), reviews(40, &ODD_TEXTS));
    check_files("csv", known, new, &[], 48);
}

#[test]
fn unequal_series_with_gaps_are_the_same() {
    check_files("ts", unequal(120), unequal(180), &[], 180);
}

/// Values of NumPy, one behind the other as a wave.
fn array_file(shape: [usize; 3]) -> Vec<u8> {
    let head = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape:?}, }}");
    let head = head.replace('[', "(").replace(']', ")");
    let head = format!("{head:<117}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((head.len() as u16).to_le_bytes());
    file.extend(head.bytes());
    let values: usize = shape.iter().product();
    let value = |place: usize| 100.0 + (place as f32 * 0.37).sin();
    file.extend((0..values).flat_map(|place| value(place).to_le_bytes()));
    file
}

#[test]
fn lines_that_are_no_series_cost_no_other_and_arrays_are_read_by_their_channels() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let known = written(place.path(), "known.ts", unequal(120));
    let study = study(&known, place.path(), &[]);
    let long = ["1"; 30].join(",");
    let lines = format!(
        "1,x:1,2:slow\n1,2,3:slow\n?,NaN, ,1:1,2:fast\n1,2:3,4:other\n1,2\n{long}:{long}:slow\n"
    );
    let new = written(place.path(), "new.ts", unequal(60) + &lines);
    check_asked(&python, &study, &new, 61);
    for shape in [[10, 2, 7], [10, 7, 2], [10, 1, 2]] {
        let new = written(place.path(), "new.npy", array_file(shape));
        check_asked(&python, &study, &new, 10);
    }
}

/// A row for each step of so many series, all of them at once, and no time before the next.
fn steps(series: usize) -> String {
    let mut text = "subject,when,x,y,label\n".to_string();
    for step in 0..16 {
        for subject in 0..series {
            let (speed, label) = [(0.2, "slow"), (0.7, "fast")][subject % 2];
            let day = step * 5 % 16;
            if day < 12 + subject % 5 {
                let phase = day as f64 * speed + subject as f64;
                let (day, x, y) = (day + 1, phase.sin(), phase.cos());
                writeln!(text, "s{subject},2024-01-{day:02},{x:.3},{y:.3},{label}").unwrap();
            }
        }
    }
    text
}

#[test]
fn series_of_which_each_row_is_a_step_are_the_same() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let known = written(place.path(), "known.csv", steps(60));
    let more = "--target label --series-id subject --series-time when";
    let more: Vec<&str> = more.split(' ').collect();
    let study = study(&known, place.path(), &more);
    // A word, no id, too few cells, no time, a time that was there, and a series that is too long.
    let mut new = steps(20)
        + "s3,2024-02-01,much,0,fast\n,2024-02-01,1,1,slow\ns4,2024-02-01,1\ns5,soon,1,1,fast\n\
           s6,2024-01-01,1,1,slow\n";
    for day in 1..18 {
        writeln!(new, "long,2024-03-{day:02},0,1,slow").unwrap();
    }
    let new = written(place.path(), "new.csv", new);
    check_asked(&python, &study, &new, 16);
    // Of a file of another kind, series have no ids, and those of more than 16 steps are too long.
    let others = written(place.path(), "others.ts", unequal(18));
    check_asked(&python, &study, &others, 10);
}

/// Truths, whole numbers that are codes, and their class.
fn coded(rows: usize) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
    let mut text = "flag,code,size,class\n".to_string();
    for _ in 0..rows {
        let flag = ["true", "false", ""][rng.random_range(0..3)];
        let code = ["3", "7", "12", ""][rng.random_range(0..4)];
        let size = rng.random_range(-1.0..1.0_f64);
        let class = match (flag, code) {
            ("true", "3" | "12") | ("false", "7") => "a",
            _ => "b",
        };
        writeln!(text, "{flag},{code},{size:.3},{class}").unwrap();
    }
    text
}

#[test]
fn cells_of_a_program_mean_what_they_mean_in_a_file() {
    let Some(python) = python() else { return };
    let place = tempfile::tempdir().unwrap();
    let known = written(place.path(), "known.csv", coded(300));
    let more = ["--target", "class", "--as", "code=category"];
    let study = study(&known, place.path(), &more);
    let compared = Command::new(python)
        .arg(repository().join("tools/pytorch/compare_cells.py"))
        .arg(study.join("best/model.py"))
        .output()
        .unwrap();
    succeeded(compared);
}

/// Series as rows of a table: each column is a step.
fn wide(rows: usize) -> String {
    let names: Vec<String> = (0..24).map(|step| format!("t{step}")).collect();
    let mut text = format!("{},kind\n", names.join(","));
    for row in 0..rows {
        let (speed, label) = [(0.2, "slow"), (0.45, "fast")][row % 2];
        let step = |step: usize| match (row * 31 + step * 7) % 97 {
            0 => String::new(),
            _ => format!("{:.3}", (step as f64 * speed + row as f64).sin()),
        };
        let cells: Vec<String> = (0..24).map(step).collect();
        writeln!(text, "{},{label}", cells.join(",")).unwrap();
    }
    text
}

#[test]
fn series_in_a_wide_table_are_the_same() {
    check_files("csv", wide(160), wide(90), &["--kind", "series"], 90);
}
