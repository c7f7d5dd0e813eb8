//! Data larger than memory: what is held is a sample that goes the way of all small data, and what is not
//! held becomes the same numbers as if it were.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use data::{
    Counted, DataError, Dataset, Examples, FittedKind, Notice, Preprocessor, ReadLimits, Request,
    RestTask, Roles, RowStream, Scaling, Shards, Source, Split, SplitBy, SplitShares, Targets,
};
use flate2::{Compression, write::GzEncoder};
use parquet::{
    data_type::{ByteArray, ByteArrayType, DoubleType},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows of the tables here.
const ROWS: usize = 20_000;

/// A table with numbers, gaps, dates, words, groups, times, weights and classes, of which one is rare.
fn table() -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut text = String::from("id,x,y,when,town,group,time,side,w,label\n");
    for row in 0..ROWS {
        let x: f64 = rng.random_range(-1.0..1.0);
        let y = match rng.random_range(0..10) {
            0 => String::new(),
            _ => format!("{:.3}", 40.0 + 10.0 * x),
        };
        let (day, town) = (1 + row % 28, rng.random_range(0..40));
        let side = ["train", "train", "validation", "test"][row % 4];
        let label = match (row, x > 0.1) {
            (5_000..5_015, _) => "rare",
            (_, true) => "yes",
            (_, false) => "no",
        };
        let (group, weight) = (row / 8, 1 + row % 3);
        let _ = writeln!(
            text,
            "{row},{x:.4},{y},2024-03-{day:02},\"town, {town}\",g{group},{row}.5,{side},{weight},{label}"
        );
    }
    text
}

fn limits(held_text_bytes: u64) -> ReadLimits {
    ReadLimits {
        held_text_bytes,
        ..ReadLimits::default()
    }
}

fn request(path: &Path, ignore: &[&str], held_text_bytes: u64) -> Request {
    Request {
        path: path.to_path_buf(),
        ignore: ignore.iter().map(ToString::to_string).collect(),
        limits: limits(held_text_bytes),
        ..Request::default()
    }
}

const WITHOUT_ROLES: [&str; 4] = ["group", "time", "side", "w"];

struct Study {
    source: Source,
    split: Split,
    preprocessor: Preprocessor,
}

fn study(request: &Request) -> Study {
    let source = data::read(request).expect("the test's data are sound");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let split =
        data::split(&source, SplitShares::default(), &mut rng).expect("the test's data are sound");
    let preprocessor = Preprocessor::fit(&source, &split.train).expect("the test's data are sound");
    Study {
        source,
        split,
        preprocessor,
    }
}

impl Study {
    fn held(&self) -> Examples {
        let rows = &self.split.train;
        let held = self
            .preprocessor
            .apply(&self.source.dataset, rows)
            .expect("the test's data are sound");
        match &self.source.facts.weights {
            Some(weights) => {
                let weights: Vec<f64> = rows.iter().map(|row| weights[*row as usize]).collect();
                held.with_weights(&weights)
            }
            None => held,
        }
    }

    fn convert(&self, path: &Path) -> Result<Counted, DataError> {
        let task = RestTask {
            source: &self.source,
            split: &self.split,
            preprocessor: &self.preprocessor,
        };
        let beyond = self
            .source
            .beyond
            .as_ref()
            .expect("the test's data are sound");
        beyond.convert(&task, &self.held(), path)
    }

    /// Every row that is learned from, held or not, as bits and sorted.
    fn all_rows(&self, folder: &Path) -> (Counted, Vec<Vec<u32>>) {
        let path = folder.join("rows.shards");
        let counted = self.convert(&path).expect("the test's data are sound");
        let held = self.held();
        let all = held.len() as u64 + counted.rows;
        let held = held.with_rest(Shards::open(&path).expect("the test's data are sound"));
        let portions = (0..all.div_ceil(held.len() as u64)).map(|n| held.portion(1, n));
        let mut rows: Vec<Vec<u32>> = portions
            .flat_map(|portion| {
                bits(
                    &portion
                        .expect("the test's data are sound")
                        .expect("the test's data are sound"),
                )
            })
            .take(all as usize)
            .collect();
        rows.sort();
        (counted, rows)
    }

    /// The names of held rows, as numbers from 0.
    fn numbers(&self, rows: &[u32]) -> Vec<u32> {
        let name = |row: &u32| {
            self.source
                .row_name(*row)
                .parse::<u32>()
                .expect("the test's data are sound")
                - 1
        };
        rows.iter().map(name).collect()
    }
}

/// Inputs, target and weight of each row.
fn bits(examples: &Examples) -> Vec<Vec<u32>> {
    let len = examples.item_len();
    let mut values = vec![0.0; len * examples.len()];
    let all: Vec<u32> = (0..examples.len() as u32).collect();
    examples.copy_inputs(&all, &mut values);
    let mut rows: Vec<Vec<u32>> = values
        .chunks_exact(len)
        .map(|row| row.iter().map(|value| value.to_bits()).collect())
        .collect();
    for (place, row) in rows.iter_mut().enumerate() {
        row.push(match examples.targets() {
            Targets::Classes { ids, .. } => ids[place],
            Targets::Values(values) => values[place].to_bits(),
            Targets::None => panic!("they are learned from"),
        });
        row.extend(examples.weights().map(|weights| weights[place].to_bits()));
    }
    rows
}

fn written(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("the test's data are sound");
    path
}

fn texts(notices: &[Notice]) -> String {
    notices.iter().map(|n| n.text.clone() + "\n").collect()
}

#[test]
fn what_is_not_held_becomes_the_same_numbers_as_if_it_were() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.csv", table().as_bytes());
    let large = study(&request(&path, &WITHOUT_ROLES, 400 << 10));
    let small = study(&request(&path, &WITHOUT_ROLES, 1 << 30));
    let held = large.source.dataset.rows();
    assert!((1_000..ROWS / 2).contains(&held), "{held} rows");
    assert!(small.source.beyond.is_none());
    assert_eq!(large.source.beyond.as_ref().unwrap().rows(), ROWS as u64);

    let (counted, rows) = large.all_rows(folder.path());
    assert_eq!(counted.rows, (ROWS - held) as u64);
    let scored: BTreeSet<u32> = [&large.split.validation, &large.split.vault]
        .into_iter()
        .flat_map(|rows| large.numbers(rows))
        .collect();
    let learned: Vec<u32> = (0..ROWS as u32)
        .filter(|row| !scored.contains(row))
        .collect();
    let dataset = &small.source.dataset;
    let expected = large.preprocessor.apply(dataset, &learned).unwrap();
    let mut expected = bits(&expected);
    expected.sort();
    assert!(rows == expected, "a row differs");
}

#[test]
fn the_chosen_rows_are_a_study_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let text = table();
    let path = written(folder.path(), "t.csv", text.as_bytes());
    // A column that counts all rows does not count the chosen ones.
    let ignore = [&WITHOUT_ROLES[..], &["id"]].concat();
    let large = study(&request(&path, &ignore, 400 << 10));
    let all: Vec<u32> = (0..large.source.dataset.rows() as u32).collect();
    let chosen: BTreeSet<u32> = large.numbers(&all).into_iter().collect();
    let lines = (0..).zip(text.lines().skip(1));
    let mut alone = text.lines().next().unwrap().to_string();
    for (_, line) in lines.filter(|(row, _)| chosen.contains(row)) {
        let _ = write!(alone, "\n{line}");
    }
    let path = written(folder.path(), "alone.csv", alone.as_bytes());
    let alone = study(&request(&path, &ignore, 1 << 30));
    assert_eq!(large.split, alone.split);
    assert_eq!(large.preprocessor, alone.preprocessor);
    assert!(large.held() == alone.held(), "a prepared row differs");
}

#[test]
fn statistics_of_the_chosen_rows_are_as_near_as_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.csv", table().as_bytes());
    let ignore = [&WITHOUT_ROLES[..], &["when", "town"]].concat();
    let large = study(&request(&path, &ignore, 800 << 10));
    let small = study(&request(&path, &ignore, 1 << 30));
    let error = 1.0 / (large.split.train.len() as f64).sqrt();
    let said = texts(&large.source.notices);
    assert!(said.contains("standard deviations, a median by"), "{said}");
    let pairs = large.preprocessor.columns().unwrap().iter();
    let mut compared = 0;
    for (own, other) in pairs.zip(small.preprocessor.columns().unwrap()) {
        assert_eq!(own.name, other.name);
        let (
            FittedKind::Numeric {
                fill,
                missing_indicator,
                scaling: Scaling::Deviation { shift, scale },
            },
            FittedKind::Numeric {
                fill: all_fill,
                missing_indicator: all_indicator,
                scaling:
                    Scaling::Deviation {
                        shift: all_shift,
                        scale: all_scale,
                    },
            },
        ) = (&own.kind, &other.kind)
        else {
            panic!("`{}` is no number without long tails", own.name);
        };
        assert_eq!(missing_indicator, all_indicator);
        assert!((shift - all_shift).abs() < 4.0 * error * all_scale);
        assert!((scale / all_scale - 1.0).abs() < 4.0 * error);
        // The values are uniform, so half a share of the rows is 1.7 deviations times it.
        assert!((fill - all_fill).abs() < 4.0 * 1.8 * error * all_scale);
        compared += 1;
    }
    assert_eq!(compared, 2);
}

#[test]
fn a_table_that_turns_out_to_be_small_is_as_if_it_were_read_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let packed = parquet_bytes(ROWS as i32);
    // Two cells count as sixteen bytes before they are text, and are seven as text.
    let held = 15 * ROWS as u64;
    assert!(packed.len() < held as usize, "it packs too badly for this");
    let path = written(folder.path(), "t.parquet", &packed);
    let large = study(&request(&path, &[], held));
    let small = study(&request(&path, &[], 1 << 30));
    assert_eq!(large.source.beyond.as_ref().unwrap().rows_left(), 0);
    assert_eq!(large.source.oddities, small.source.oddities);
    assert_eq!(large.split, small.split);
    assert_eq!(large.preprocessor, small.preprocessor);
    assert!(large.held() == small.held(), "a prepared row differs");
    let (counted, _) = large.all_rows(folder.path());
    assert_eq!(counted, Counted::default());
}

#[test]
fn a_packed_table_is_as_large_as_its_text() {
    let folder = tempfile::tempdir().unwrap();
    let rows = (0..10_000).map(|row| format!("{},{}\n", row % 7, ["a", "b"][row % 2]));
    let text = format!("x,label\n{}", rows.collect::<String>());
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(text.as_bytes()).unwrap();
    let path = written(folder.path(), "t.csv.gz", &packed.finish().unwrap());
    let is_large = |held: u64| {
        let source = data::read(&request(&path, &[], held)).unwrap();
        source.beyond.is_some()
    };
    assert!(is_large(text.len() as u64 - 1));
    assert!(!is_large(text.len() as u64));
}

#[test]
fn quotes_in_json_lines_do_not_hold_lines_together() {
    let folder = tempfile::tempdir().unwrap();
    let line = |row: usize| {
        let label = ["a", "b"][row % 2];
        format!(
            "{{\"v\":{},\"label\":\"{label}\",\"note\": \"\"}}\n",
            row % 97
        )
    };
    let lines: String = (0..6_000).map(line).collect();
    let path = written(folder.path(), "t.jsonl", lines.as_bytes());
    let source = data::read(&request(&path, &[], 100 << 10)).unwrap();
    assert_eq!(source.beyond.unwrap().rows(), 6_000);
}

#[test]
fn json_lines_become_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = String::new();
    for row in 0..6_000 {
        let label = if row % 3 == 0 { "a" } else { "b" };
        let value = match row % 10 {
            0 => "null".to_string(),
            _ => format!("{}.25", row % 97),
        };
        let _ = writeln!(
            lines,
            r#"{{"v": {value}, "word": "w{}", "label": "{label}"}}"#,
            row % 7
        );
    }
    let path = written(folder.path(), "t.jsonl", lines.as_bytes());
    let large = study(&request(&path, &[], 100 << 10));
    let small = study(&request(&path, &[], 1 << 30));
    let (counted, rows) = large.all_rows(folder.path());
    let held = large.source.dataset.rows() as u64;
    assert_eq!(counted.rows + held, 6_000);
    let learned: BTreeSet<Vec<u32>> = rows.into_iter().collect();
    let all: Vec<u32> = (0..6_000).collect();
    let expected = large
        .preprocessor
        .apply(&small.source.dataset, &all)
        .unwrap();
    let expected: BTreeSet<Vec<u32>> = bits(&expected).into_iter().collect();
    assert!(learned.is_subset(&expected) && learned.len() > 100);
    let later = lines + "{\"v\": 1, \"other\": 2, \"label\": \"a\"}\n";
    let path = written(folder.path(), "later.jsonl", later.as_bytes());
    let read = data::read(&request(&path, &[], 100 << 10));
    // The first part of a file this small is all of it.
    assert!(read.is_ok_and(|source| texts(&source.notices).contains("drawn by chance")));
}

/// A Parquet file of a number and a class, in groups of a thousand rows.
fn parquet_bytes(rows: i32) -> Vec<u8> {
    let schema = "message schema { REQUIRED DOUBLE v; REQUIRED BYTE_ARRAY label (UTF8); }";
    let schema = Arc::new(parse_message_type(schema).expect("the test's data are sound"));
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default())
        .expect("the test's data are sound");
    for start in (0..rows).step_by(1_000) {
        let numbers: Vec<i32> = (start..start + 1_000).collect();
        let values: Vec<f64> = numbers
            .iter()
            .map(|row| f64::from(row * 7 % 5_003))
            .collect();
        let labels: Vec<ByteArray> = numbers
            .iter()
            .map(|row| ByteArray::from(if row % 3 == 0 { "a" } else { "b" }))
            .collect();
        let mut group = writer.next_row_group().expect("the test's data are sound");
        let mut column = group
            .next_column()
            .expect("the test's data are sound")
            .expect("the test's data are sound");
        column
            .typed::<DoubleType>()
            .write_batch(&values, None, None)
            .expect("the test's data are sound");
        column.close().expect("the test's data are sound");
        let mut column = group
            .next_column()
            .expect("the test's data are sound")
            .expect("the test's data are sound");
        column
            .typed::<ByteArrayType>()
            .write_batch(&labels, None, None)
            .expect("the test's data are sound");
        column.close().expect("the test's data are sound");
        group.close().expect("the test's data are sound");
    }
    writer.close().expect("the test's data are sound");
    bytes
}

#[test]
fn rows_that_are_only_scored_are_not_said_to_be_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let [train, test] = ["t.csv", "test.csv"].map(|name| {
        let text = table();
        written(folder.path(), name, text.as_bytes())
    });
    let source = data::read(&Request {
        test: Some(test),
        ..request(&train, &WITHOUT_ROLES, 400 << 10)
    });
    let said = texts(&source.unwrap().notices);
    let scored = said.lines().find(|line| line.contains("test.csv")).unwrap();
    assert!(
        scored.ends_with("are scored; the others are not used"),
        "{scored}"
    );
    assert_eq!(
        said.matches("are learned from by networks alone").count(),
        1
    );
}

#[test]
fn parquet_becomes_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.parquet", &parquet_bytes(20_000));
    let large = study(&request(&path, &[], 60 << 10));
    let small = study(&request(&path, &[], 1 << 30));
    let (counted, rows) = large.all_rows(folder.path());
    let held = large.source.dataset.rows();
    assert_eq!(counted.rows as usize + held, 20_000);
    let numbers = large.numbers(&(0..held as u32).collect::<Vec<_>>());
    assert!(numbers.is_sorted() && *numbers.last().unwrap() > 10_000);
    let all: Vec<u32> = (0..20_000).collect();
    let expected = large
        .preprocessor
        .apply(&small.source.dataset, &all)
        .unwrap();
    let expected: BTreeSet<Vec<u32>> = bits(&expected).into_iter().collect();
    assert!(
        rows.iter().all(|row| expected.contains(row)),
        "a row differs"
    );
}

#[test]
fn no_row_of_a_held_out_group_is_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.csv", table().as_bytes());
    let mut request = request(&path, &["time", "side", "w"], 400 << 10);
    request.roles.split_by = SplitBy::Group("group".into());
    let study = study(&request);
    let (counted, rows) = study.all_rows(folder.path());
    let group = |row: u32| row / 8;
    let held_out: BTreeSet<u32> = [&study.split.validation, &study.split.vault]
        .into_iter()
        .flat_map(|rows| study.numbers(rows))
        .map(group)
        .collect();
    let held: BTreeSet<u32> = study
        .numbers(&(0..study.source.dataset.rows() as u32).collect::<Vec<_>>())
        .into_iter()
        .collect();
    let others = (0..ROWS as u32).filter(|row| !held.contains(row));
    let (out, learned): (Vec<u32>, Vec<u32>) =
        others.partition(|row| held_out.contains(&group(*row)));
    assert_eq!(counted.held_out, out.len() as u64);
    assert_eq!(counted.rows, learned.len() as u64);
    assert!(!out.is_empty());
    assert_eq!(rows.len(), learned.len() + study.split.train.len());
    assert!(
        texts(&counted.notices()).contains("stand on the side of the validation or vault rows")
    );
}

#[test]
fn rows_of_a_later_time_or_another_part_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.csv", table().as_bytes());
    let mut by_time = request(&path, &["group", "side", "w"], 400 << 10);
    by_time.roles.split_by = SplitBy::Time("time".into());
    let timed = study(&by_time);
    let first = timed
        .numbers(&timed.split.validation)
        .into_iter()
        .min()
        .unwrap();
    let (counted, rows) = timed.all_rows(folder.path());
    // Times are the numbers of the rows.
    assert_eq!(rows.len() as u32, first);
    assert!(counted.held_out > 0);

    let mut told = request(&path, &["group", "time", "w"], 400 << 10);
    told.roles.split_by = SplitBy::Column("side".into());
    let (counted, rows) = study(&told).all_rows(folder.path());
    assert_eq!(rows.len(), ROWS / 2);
    assert!(counted.held_out > 0);
}

#[test]
fn weights_keep_their_proportions() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.csv", table().as_bytes());
    let mut weighted = request(&path, &["group", "time", "side"], 400 << 10);
    weighted.roles = Roles {
        weight: Some("w".into()),
        ..Roles::default()
    };
    let (_, rows) = study(&weighted).all_rows(folder.path());
    let mut weights: Vec<f32> = rows
        .iter()
        .map(|row| f32::from_bits(row[row.len() - 1]))
        .collect();
    weights.sort_by(f32::total_cmp);
    weights.dedup_by(|a, b| (*a - *b).abs() < 1e-6);
    let [one, two, three] = weights[..] else {
        panic!("{weights:?}");
    };
    assert!((two / one - 2.0).abs() < 1e-5 && (three / one - 3.0).abs() < 1e-5);
}

#[test]
fn a_rare_class_and_a_column_that_counts_are_found_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.csv", table().as_bytes());
    let large = study(&request(&path, &WITHOUT_ROLES, 60 << 10));
    let held = large.source.dataset.rows();
    assert!(held < 1_000, "{held}");
    let Dataset::Table(table) = &large.source.dataset else {
        panic!("it is a table");
    };
    let left_out = &large.source.oddities.left_out;
    assert_eq!(left_out[0].name, "id");
    assert!(table.columns.iter().all(|column| column.name != "id"));
    let task = format!("{:?}", large.source.task);
    assert!(task.contains("rare"), "{task}");
}

#[test]
fn a_file_that_changes_while_it_is_converted_is_said_to() {
    let folder = tempfile::tempdir().unwrap();
    let text = table();
    let path = written(folder.path(), "t.csv", text.as_bytes());
    let study = study(&request(&path, &WITHOUT_ROLES, 400 << 10));
    let out = folder.path().join("rows.shards");
    // Cut at the end of a row, as by a writer that began anew.
    let cut = text[..text.len() / 2].rfind('\n').unwrap() + 1;
    fs::write(&path, &text[..cut]).unwrap();
    let error = study.convert(&out).unwrap_err().to_string();
    assert!(
        error.ends_with("it was changed while it was read: begin again when nothing writes to it")
    );
    assert!(error.contains("t.csv"), "{error}");
    assert!(Shards::open(&out).is_err(), "nothing looks finished");
    fs::remove_file(&path).unwrap();
    let error = study.convert(&out).unwrap_err().to_string();
    assert!(error.contains("t.csv could not be read"), "{error}");
}

#[test]
fn a_row_with_too_few_cells_is_named_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = table();
    text.push_str("1,2,3\n");
    let path = written(folder.path(), "t.csv", text.as_bytes());
    let error = data::read(&request(&path, &[], 400 << 10))
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 20002 has 3 cells"), "{error}");
}

/// Images of 16x16 pixels in two class folders.
fn images(folder: &Path, count: u32) {
    for number in 0..count {
        let class = folder.join(["dark", "light"][number as usize % 2]);
        fs::create_dir_all(&class).expect("the test's data are sound");
        let image = image::GrayImage::from_fn(16, 16, |x, y| {
            image::Luma([(number % 2 * 100 + (x * 7 + y * 13 + number) % 100) as u8])
        });
        image
            .save(class.join(format!("{number:04}.png")))
            .expect("the test's data are sound");
    }
}

#[test]
fn images_that_are_not_held_become_the_same_pixels_and_lost_ones_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    images(&data, 600);
    let read = |held_pixel_bytes| Request {
        path: data.clone(),
        limits: ReadLimits {
            held_pixel_bytes,
            ..ReadLimits::default()
        },
        ..Request::default()
    };
    let (large, small) = (study(&read(100 << 10)), study(&read(1 << 30)));
    assert_eq!(large.source.dataset.rows(), 200);
    let (counted, rows) = large.all_rows(folder.path());
    assert_eq!(counted.rows, 400);
    let scored: BTreeSet<String> = [&large.split.validation, &large.split.vault]
        .into_iter()
        .flatten()
        .map(|row| large.source.row_name(*row))
        .collect();
    let learned: Vec<u32> = (0..600)
        .filter(|row| !scored.contains(&small.source.row_name(*row)))
        .collect();
    let expected = large
        .preprocessor
        .apply(&small.source.dataset, &learned)
        .unwrap();
    let mut expected = bits(&expected);
    expected.sort();
    assert!(rows == expected, "an image differs");

    let held: BTreeSet<String> = (0..200).map(|row| large.source.row_name(row)).collect();
    let mut others = (0..600)
        .map(|row| small.source.row_name(row))
        .filter(|name| !held.contains(name));
    let [lost, changed] = [others.next(), others.next()].map(Option::unwrap);
    fs::remove_file(data.join(&lost)).unwrap();
    let counted = large.convert(&folder.path().join("again.shards")).unwrap();
    assert_eq!(counted.rows, 399);
    let said = texts(&counted.notices());
    let wanted = format!(
        "skipped 1 images while converting; the first is `{lost}`: it was gone when it was to be read\n"
    );
    assert_eq!(said, wanted);
    let another = image::GrayImage::from_pixel(16, 16, image::Luma([77]));
    another.save(data.join(&changed)).unwrap();
    let counted = large.convert(&folder.path().join("again.shards")).unwrap();
    assert_eq!(counted.rows, 398);
    let said = texts(&counted.notices());
    let wanted = format!("the first is `{changed}`: it was changed while it was read");
    assert!(said.contains(&wanted), "{said}");
}

#[test]
fn a_large_file_of_new_rows_is_answered_part_after_part() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.csv", table().as_bytes());
    let study = study(&request(&path, &WITHOUT_ROLES, 400 << 10));
    let preprocessor = &study.preprocessor;
    let whole = preprocessor
        .read_rows(&path, &ReadLimits::default())
        .unwrap();
    let small = RowStream::of_large_file(preprocessor, &path, ReadLimits::default());
    assert!(small.unwrap().is_none());
    let stream = RowStream::of_large_file(preprocessor, &path, limits(400 << 10));
    let mut stream = stream.unwrap().unwrap();
    let (mut rows, mut numbers, mut parts) = (Vec::new(), Vec::new(), 0);
    let values_of = |examples: &Examples| {
        let mut values = vec![0.0; examples.item_len() * examples.len()];
        examples.copy_inputs(&(0..examples.len() as u32).collect::<Vec<_>>(), &mut values);
        values
    };
    while let Some(part) = stream.next_part().unwrap() {
        rows.extend(values_of(&part.examples));
        numbers.extend(part.row_numbers);
        parts += 1;
    }
    assert!(parts > 1 && numbers == whole.row_numbers);
    assert!(rows == values_of(&whole.examples), "a row differs");
}

#[test]
fn the_same_content_has_the_same_fingerprint_wherever_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let text = table();
    let one = written(folder.path(), "one.csv", text.as_bytes());
    let two = written(folder.path(), "two.csv", text.as_bytes());
    let other = written(
        folder.path(),
        "other.csv",
        text.replacen("g7", "g8", 1).as_bytes(),
    );
    let of = |path: &Path| {
        let request = request(path, &WITHOUT_ROLES, 400 << 10);
        let read = data::read(&request).unwrap().fingerprint;
        assert_eq!(read, data::fingerprint(&request).unwrap());
        read
    };
    assert_eq!(of(&one), of(&two));
    assert_ne!(of(&one), of(&other));
}
