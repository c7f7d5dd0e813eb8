//! Series in long format: the same series whether they stand in rows, in columns or in a `.ts` file, and
//! every way in which rows can fail to be steps, told by their numbers.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use data::{
    DataKind, Dataset, Preprocessor, RawTargets, ReadLimits, Request, Roles, RowNames, Sides,
    Source, SplitBy, StepColumns,
};
use tempfile::TempDir;

const SERIES: usize = 12;

fn place() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn steps(id: &str, time: Option<&str>) -> Option<StepColumns> {
    Some(StepColumns {
        id: id.to_string(),
        time: time.map(str::to_string),
    })
}

fn request(path: &Path, target: &str, steps: Option<StepColumns>) -> Request {
    Request {
        path: path.to_path_buf(),
        target: Some(target.to_string()),
        steps,
        ..Request::default()
    }
}

/// The values of a series of one channel; one is missing here and there.
fn values(series: usize) -> Vec<String> {
    let value = |step: usize| match (series + step) % 9 {
        8 => String::new(),
        _ => format!("{:.3}", (step as f64 * 0.3 + series as f64).sin()),
    };
    // The last step has a value, as a table of columns does not tell what lies behind the last one.
    let mut values: Vec<String> = (0..10 + series % 4).map(value).collect();
    values.push("1.5".to_string());
    values
}

fn label(series: usize) -> &'static str {
    ["up", "down", "level"][series % 3]
}

/// A row for each step, all series at once, the last steps first.
fn long() -> String {
    let mut text = String::from("t,who,x,label\n");
    for step in (0..15).rev() {
        for series in 0..SERIES {
            if let Some(value) = values(series).get(step) {
                writeln!(text, "{step},p{series},{value},{}", label(series)).unwrap();
            }
        }
    }
    text
}

fn wide() -> String {
    let names: Vec<String> = (0..14).map(|step| format!("t{step}")).collect();
    let mut text = format!("{},label\n", names.join(","));
    // In the order in which the series begin in the long table: the longest stand first.
    for series in in_order_of_beginning() {
        let mut cells = values(series);
        cells.resize(14, String::new());
        writeln!(text, "{},{}", cells.join(","), label(series)).unwrap();
    }
    text
}

fn in_order_of_beginning() -> Vec<usize> {
    let mut order: Vec<usize> = (0..SERIES).collect();
    order.sort_by_key(|series| std::cmp::Reverse(values(*series).len()));
    order
}

fn ts() -> String {
    let mut text = String::from("@classLabel true down level up\n@equalLength false\n@data\n");
    for series in in_order_of_beginning() {
        let cells = values(series);
        let cells = cells.iter().map(|cell| match cell.as_str() {
            "" => "?",
            cell => cell,
        });
        let cells: Vec<&str> = cells.collect();
        writeln!(text, "{}:{}", cells.join(","), label(series)).unwrap();
    }
    text
}

fn bits(source: &Source) -> (Vec<u32>, RawTargets) {
    let rows: Vec<u32> = (0..source.dataset.rows() as u32).collect();
    let preprocessor = Preprocessor::fit(source, &rows).unwrap();
    let examples = preprocessor.apply(&source.dataset, &rows).unwrap();
    let mut inputs = vec![0.0; examples.item_len() * rows.len()];
    examples.copy_inputs(&rows, &mut inputs);
    let bits = inputs.iter().map(|value: &f32| value.to_bits()).collect();
    (bits, source.dataset.targets().clone())
}

#[test]
fn rows_columns_and_ts_files_of_the_same_series_give_the_same_examples() {
    let folder = place();
    let long = write(&folder, "long.csv", &long());
    let wide = write(&folder, "wide.csv", &wide());
    let ts = write(&folder, "series.ts", &ts());
    let from_long = data::read(&request(&long, "label", steps("who", Some("t")))).unwrap();
    let from_wide = data::read(&Request {
        kind: Some(DataKind::Series),
        ..request(&wide, "label", None)
    });
    let from_ts = data::read(&Request {
        target: None,
        ..request(&ts, "", None)
    });
    assert_eq!(
        from_long.description,
        "series, 12 rows, 11 to 14 steps, 3 classes"
    );
    assert_eq!(bits(&from_long), bits(&from_wide.unwrap()));
    assert_eq!(bits(&from_long), bits(&from_ts.unwrap()));
    assert_eq!(from_long.row_name(0), "p3");
}

#[test]
fn new_rows_are_read_as_those_of_training_and_called_by_their_ids() {
    let folder = place();
    let path = write(&folder, "long.csv", &long());
    let source = data::read(&request(&path, "label", steps("who", Some("t")))).unwrap();
    let all: Vec<u32> = (0..SERIES as u32).collect();
    let preprocessor = Preprocessor::fit(&source, &all).unwrap();
    let text = serde_json::to_string(&preprocessor).unwrap();
    let preprocessor: Preprocessor = serde_json::from_str(&text).unwrap();
    // Without the target, and with the columns in another order.
    let mut new = String::from("x,t,who\n");
    for line in long().lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        writeln!(new, "{},{},{}", cells[2], cells[0], cells[1]).unwrap();
    }
    let new = write(&folder, "new.csv", &new);
    let rows = preprocessor
        .read_rows(&new, &ReadLimits::default())
        .unwrap();
    assert!(rows.bad.is_empty(), "{:?}", rows.bad);
    let mut inputs = vec![0.0; rows.examples.item_len() * SERIES];
    rows.examples.copy_inputs(&all, &mut inputs);
    let found: Vec<u32> = inputs.iter().map(|value: &f32| value.to_bits()).collect();
    assert_eq!(found, bits(&source).0);
    let RowNames::Series(ids) = &rows.names else {
        panic!("{:?}", rows.names)
    };
    assert_eq!((ids[0].as_str(), ids.len()), ("p3", SERIES));
    assert_eq!(rows.row_numbers[..2], [1, 2]);
}

#[test]
fn a_row_that_is_no_step_costs_its_own_series_and_is_told_by_number() {
    let folder = place();
    let path = write(&folder, "long.csv", &long());
    let source = data::read(&request(&path, "label", steps("who", Some("t")))).unwrap();
    let preprocessor = Preprocessor::fit(&source, &[0, 1, 2, 3]).unwrap();
    let new = "who,t,x\na,1,0.5\nb,1,0.5\na,0,0.25\nb,2,large\n,3,0.5\nc,1,1\nc,1,2\nd,now,1\ne,5\nf,1,\n";
    let new = write(&folder, "new.csv", new);
    let read = |limits: &ReadLimits| {
        let rows = preprocessor.read_rows(&new, limits).unwrap();
        let bad = rows.bad.iter();
        let bad: Vec<String> = bad
            .map(|bad| format!("{}: {}", bad.row, bad.reason))
            .collect();
        (rows.names, rows.row_numbers, bad)
    };
    let (names, row_numbers, bad) = read(&ReadLimits::default());
    assert_eq!(names, RowNames::Series(vec!["a".into(), "f".into()]));
    assert_eq!(row_numbers, [1, 10]);
    assert_eq!(
        bad,
        [
            "4: `x` holds `large`, which is no number; series `b` is not answered without it",
            "5: it has no `who`, so it belongs to no series",
            "7: series `c` has `1` in `t`, as in row 6; series `c` is not answered without it",
            "8: `t` holds `now`, which is neither a number nor a date like the others; series `d` is not \
             answered without it",
            "9: it has 2 cells, the header 3; series `e` is not answered without it",
        ]
    );
    // So it is in a file that is too large to be held.
    let few = ReadLimits {
        held_text_bytes: 10,
        ..ReadLimits::default()
    };
    assert_eq!(read(&few), (names, row_numbers, bad));
    let mut steps = String::from("who,t,x\n");
    (0..20).for_each(|step| writeln!(steps, "a,{step},1").unwrap());
    let longer = write(&folder, "longer.csv", &steps);
    let rows = preprocessor
        .read_rows(&longer, &ReadLimits::default())
        .unwrap();
    assert_eq!(
        rows.bad[0].reason,
        "series `a` has 20 steps, the model takes up to 14"
    );
    let lacking = write(&folder, "lacking.csv", "who,x\na,1\n");
    let refused = preprocessor.read_rows(&lacking, &ReadLimits::default());
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("lacks the column `t`"), "{refused}");
}

fn check_refused(rows: &str, time: Option<&str>, expected: &str) {
    let folder = place();
    let path = write(&folder, "long.csv", &format!("who,t,x,label\n{rows}"));
    let refused = data::read(&request(&path, "label", steps("who", time)));
    let said = refused.unwrap_err().to_string();
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("long.csv"), "{said}");
}

#[test]
fn what_cannot_be_series_is_refused_with_its_row_and_the_next_step() {
    check_refused(
        "a,1,1,up\na,2,1,down\nb,1,1,up\n",
        None,
        "row 2: series `a` has `down` in `label`, in row 1 it has `up` (it must be the same in all rows of \
         a series",
    );
    check_refused(
        "a,1,1,up\nb,1,1,down\na,1,2,up\n",
        Some("t"),
        "row 3: series `a` has `1` in `t`, as in row 1 (steps of a series have different times",
    );
    check_refused(
        "a,1,1,up\n,1,1,down\n",
        None,
        "row 2: it has no `who`, so it belongs to no series (give every row one",
    );
    check_refused(
        "a,1,1,up\nb,1,red,down\n",
        None,
        "row 2: `x` holds `red`, which is no number (every column without another role is a channel",
    );
    check_refused(
        "a,1,1,up\nb,soon,1,down\n",
        Some("t"),
        "row 2: `t` holds `soon`, which is neither a number nor a date",
    );
    check_refused(
        "a,1,1,up\na,2,1,up\n",
        None,
        "all its rows with a target have `a` in `who`, so they are one series: at least two are needed",
    );
    check_refused("a,1,1,\nb,2,1,\n", None, "none of its series has a target");
    check_refused("a,1,1,up\nb,2,1,down\n", Some("when"), "no column `when`");
    check_refused(
        "a,1,1,up\nb,2,1,down\n",
        Some("label"),
        "cannot be predicted",
    );
}

#[test]
fn dates_order_steps_and_a_target_may_stand_in_one_row_of_its_series() {
    let folder = place();
    let text = "who,day,x,y,rent\n\
                a,3.2.2024,3,30,\na,1.2.2024,1,10,700.5\nb,5.2.2024,7,70,900\nb,4.2.2024,6,60,900\nc,1.2.2024,1,1,\n";
    let path = write(&folder, "long.csv", text);
    let source = data::read(&request(&path, "rent", steps("who", Some("day")))).unwrap();
    let Dataset::Series(series) = &source.dataset else {
        panic!("{}", source.description)
    };
    assert_eq!(series.values, [1.0, 10.0, 3.0, 30.0, 6.0, 60.0, 7.0, 70.0]);
    assert_eq!(series.targets, RawTargets::Values(vec![700.5, 900.0]));
    let said: Vec<&str> = source.notices.iter().map(|n| n.text.as_str()).collect();
    assert!(
        said.contains(&"1 series without a value in `rent` are left out"),
        "{said:?}"
    );
    assert!(
        said.iter().any(|said| said
            .contains("ordered by `day`, of which only the order is used; channels are `x`, `y`")),
        "{said:?}"
    );
}

#[test]
fn series_are_split_by_a_column_that_is_the_same_in_all_their_rows() {
    let folder = place();
    let mut text = String::from("ward,who,x,label\n");
    for row in 0..24 {
        let who = row / 2;
        writeln!(text, "w{},p{who},{row},{}", who / 3, label(who)).unwrap();
    }
    let path = write(&folder, "long.csv", &text);
    let by_ward = |path: &Path| Request {
        roles: Roles {
            split_by: SplitBy::Group("ward".to_string()),
            weight: None,
        },
        ..request(path, "label", steps("who", None))
    };
    let source = data::read(&by_ward(&path)).unwrap();
    let expected = (0..12).map(|who| who / 3).collect();
    assert_eq!(source.facts.sides, Sides::Groups(expected));
    let Dataset::Series(series) = &source.dataset else {
        panic!("{}", source.description)
    };
    assert_eq!(series.channels, 1, "a group is no channel");
    let moved = text.replacen("w0", "w9", 1);
    let path = write(&folder, "moved.csv", &moved);
    let refused = data::read(&by_ward(&path)).unwrap_err().to_string();
    assert!(
        refused.contains("row 2: series `p0` has `w0` in `ward`, in row 1 it has `w9`"),
        "{refused}"
    );
}

#[test]
fn a_series_that_says_nonsense_of_itself_is_called_by_its_id() {
    let folder = place();
    // The second series has no target, and is left out before weights are read.
    let rows = "a,1,1,up\na,1,2,up\nb,1,3,\nc,1,4,down\nd,-2,5,up\ne,1,6,down\n";
    let path = write(&folder, "long.csv", &format!("who,count,x,label\n{rows}"));
    let weighed = Request {
        roles: Roles {
            split_by: SplitBy::Rows,
            weight: Some("count".to_string()),
        },
        ..request(&path, "label", steps("who", None))
    };
    let refused = data::read(&weighed).unwrap_err().to_string();
    let expected = "`count` holds `-2` in series `d`: a weight is a number, 0 or more";
    assert!(refused.contains(expected), "{refused}");
}

#[test]
fn test_rows_are_series_of_their_own() {
    let folder = place();
    let path = write(&folder, "long.csv", &long());
    let test = write(
        &folder,
        "test.csv",
        "label,x,who,t\nup,1,p0,1\nup,2,p0,2\ndown,1,p1,1\n",
    );
    let both = |test: &Path| Request {
        test: Some(test.to_path_buf()),
        ..request(&path, "label", steps("who", Some("t")))
    };
    let source = data::read(&both(&test)).unwrap();
    assert_eq!(source.given_test_rows, SERIES..SERIES + 2);
    let odd = write(&folder, "odd.csv", "label,x,who,t\nup,1,,1\n");
    let refused = data::read(&both(&odd)).unwrap_err().to_string();
    assert!(
        refused.contains("odd.csv") && refused.contains("row 1: it has no `who`"),
        "{refused}"
    );
}

#[test]
fn a_table_larger_than_memory_gives_the_same_series() {
    let folder = place();
    let path = write(&folder, "long.csv", &long());
    let held = request(&path, "label", steps("who", Some("t")));
    let large = Request {
        limits: ReadLimits {
            held_text_bytes: 100,
            ..ReadLimits::default()
        },
        ..held.clone()
    };
    let (held, large) = (data::read(&held).unwrap(), data::read(&large).unwrap());
    assert_eq!(bits(&held), bits(&large));
    assert_eq!(held.fingerprint, large.fingerprint);
}

#[test]
fn what_has_no_columns_has_no_ids() {
    let folder = place();
    let path = write(&folder, "series.ts", &ts());
    let refused = data::read(&Request {
        target: None,
        ..request(&path, "", steps("who", None))
    });
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("there is no `who`"), "{said}");
}

#[test]
fn a_table_of_steps_is_hinted_at_and_read_as_a_table() {
    let folder = place();
    let mut text = String::from("who,t,x,label\n");
    for row in 0..60 {
        let (who, step) = (row / 10, row % 10);
        writeln!(text, "p{who},{step},{},{}", row * 7 % 13, label(who)).unwrap();
    }
    let path = write(&folder, "long.csv", &text);
    let source = data::read(&request(&path, "label", None)).unwrap();
    let said: Vec<&str> = source.notices.iter().map(|n| n.text.as_str()).collect();
    assert!(
        said.iter()
            .any(|said| said.contains("--series-id who --series-time t reads them as series")),
        "{said:?}"
    );
    assert_eq!(source.dataset.kind(), DataKind::Table);
}

#[test]
fn no_table_that_people_have_is_taken_for_steps() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !shared.is_dir() || env::var_os("CI").is_some() {
        eprintln!("skipped: the tables are not here, or this is CI");
        return;
    }
    let mut read = 0;
    for kind in ["tabular", "text"] {
        let sets = fs::read_dir(shared.join(kind)).unwrap();
        for set in sets
            .map(|set| set.unwrap().path())
            .filter(|set| set.is_dir())
        {
            for file in fs::read_dir(set).unwrap() {
                let path = file.unwrap().path();
                let request = Request {
                    path: path.clone(),
                    ..Request::default()
                };
                let Ok(source) = data::read(&request) else {
                    continue;
                };
                read += 1;
                let mut said = source.notices.iter().map(|notice| notice.text.as_str());
                assert!(!said.any(|said| said.contains("--series-id")), "{path:?}");
            }
        }
    }
    assert!(read > 20, "{read} tables were read");
}
