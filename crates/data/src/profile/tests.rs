//! Whole profiles of small files: what is found, and what is said about it.

use std::fmt::Write;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::{Request, Roles, SplitBy, SplitShares, read, split};

/// The profile of a table, with the columns in their roles.
fn profiled(text: &str, roles: Roles) -> Profile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.csv");
    std::fs::write(&path, text).unwrap();
    let request = Request {
        path,
        roles,
        ..Request::default()
    };
    let source = read(&request).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let split = split(&source, SplitShares::default(), &mut rng).unwrap();
    profile(&source, &split)
}

/// What is said before a study and in the profile, one finding per line.
fn said(profile: &Profile) -> String {
    profile
        .findings
        .iter()
        .map(|finding| format!("{finding}\n"))
        .collect()
}

/// 400 rows with one of everything that deserves a word.
fn odd_table() -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut text =
        "customer_id,size,wild,day,colour,city,mostly_gone,copy,same,note,label\n".to_string();
    for row in 0..400_u32 {
        let label = ["no", "yes"][usize::from(rng.random_bool(0.4))];
        let wild = if row == 7 {
            "250".to_string()
        } else {
            rng.random_range(0..50).to_string()
        };
        let size = if row == 9 {
            "large".to_string()
        } else {
            format!("{:.3}", rng.random::<f64>())
        };
        let day = format!("2024-{:02}-{:02}", 1 + row % 12, 1 + row % 28);
        let colour = ["red", "green", ""][row as usize % 3];
        let gone = if row % 10 == 0 { "1" } else { "" };
        let copy = if label == "yes" { 17.5 } else { -3.0 } + rng.random_range(-0.1..0.1);
        writeln!(
            text,
            "{},{size},{wild},{day},{colour},c{},{gone},{copy},x,note {row},{label}",
            5_000 + (row * 7) % 400,
            row % 130,
        )
        .unwrap();
    }
    text
}

#[test]
fn everything_odd_about_a_table_is_found_and_said_once() {
    let profile = profiled(&odd_table(), Roles::default());
    let expected = "\
column `copy` alone says what the target is (it explains 100 % of it): is it known when predictions are made? it is kept; if not, --ignore leaves it out
column `size`: 1 cell(s) are no usable numbers (as `large`): they count as missing
column `same` is left out: it is one with the same value in every row
column `note` is left out: it is one with another word in nearly every row, as an identifier
column `mostly_gone` is missing in 90 % of the rows: the median stands in for a number or date, and an input of its own tells of it, as of a missing word
column `customer_id` has another whole number in every row, as an identifier: it is learned from as a number; --ignore leaves it out if it means nothing
column `city` has 130 different words: the 100 commonest of the training rows have an input each; of the other rows, 32 count as never seen
2 columns have missing cells (at most 33 % of the rows): `size`, `colour`: the median stands in for a number or date, and an input of its own tells of it, as of a missing word
column `city` has 126 word(s) in fewer than 10 training rows each: hardly anything can be learned of them
column `wild` reaches 12 standard deviations from its mean (1 value(s) beyond 10): values beyond 10 are clipped there
there are 400 rows, fewer than 1000, and 80 of them are in the vault: a share is known to 11 percentage points there; split.vault sets how many, 0 none
";
    let found = said(&profile);
    let without_counts = |text: &str| -> String {
        // How many rows count as never seen hangs on the split.
        let lines = text
            .lines()
            .filter(|line| !line.contains("commonest of the training rows"));
        lines.map(|line| format!("{line}\n")).collect()
    };
    assert_eq!(without_counts(&found), without_counts(expected));
    assert!(
        found.contains("column `city` has 130 different words: the 100 commonest"),
        "{found}"
    );
}

#[test]
fn a_column_with_long_tails_is_named_and_not_said_to_be_clipped() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut text = "age,income,label\n".to_string();
    for row in 0..300 {
        let income = rng.random_range(0.0..6.0_f64).exp2().exp2().min(1e15);
        writeln!(
            text,
            "{},{income},{}",
            20 + row % 50,
            ["no", "yes"][row % 2]
        )
        .unwrap();
    }
    let profile = profiled(&text, Roles::default());
    assert!(!profile.columns[0].long_tailed && profile.columns[1].long_tailed);
    let found = said(&profile);
    let expected = "column `income` has long tails: networks get such numbers by their quantiles, as a \
                    normal distribution has them\n";
    assert!(found.contains(expected), "{found}");
    assert!(!found.contains("clipped"), "{found}");
}

#[test]
fn columns_say_their_type_and_how_it_was_decided() {
    let profile = profiled(&odd_table(), Roles::default());
    let of = |name: &str| {
        profile
            .columns
            .iter()
            .find(|column| column.name == name)
            .unwrap()
    };
    let size = of("size");
    assert_eq!(
        size.decided,
        "399 of 400 cells are numbers; the others, as `large`, count as missing"
    );
    assert_eq!(
        (size.missing, size.strays, size.distinct > 300),
        (1, 1, true)
    );
    let ColumnValues::Time {
        format,
        first,
        last,
    } = &of("day").values
    else {
        panic!("{:?}", of("day"))
    };
    assert_eq!(
        (format.as_str(), first.as_str(), last.as_str()),
        ("%Y-%m-%d", "2024-01-01", "2024-12-28")
    );
    let ColumnValues::Category { levels, .. } = &of("colour").values else {
        panic!("{:?}", of("colour"))
    };
    assert_eq!((levels[0].level.as_str(), levels[0].rows), ("red", 134));
    assert_eq!(of("colour").missing, 133);
    let alone = of("copy").alone.unwrap().explained;
    assert!(
        alone > 0.99 && of("size").alone.unwrap().explained < 0.2,
        "{alone}"
    );
}

#[test]
fn repeated_and_contradicting_rows_are_counted() {
    let mut text = "a,b,label\n".to_string();
    for row in 0..100 {
        writeln!(text, "{row},x{},{}", row % 7, ["no", "yes"][row % 2]).unwrap();
    }
    text += "3,x3,yes\n3,x3,yes\n4,x4,yes\n";
    let found = profiled(&text, Roles::default()).duplicates;
    // Row 3 is there three times, row 4 as `no` and as `yes`.
    assert_eq!((found.repeated, found.conflicting), (2, 2));
    let most = found.accuracy_max.unwrap();
    assert!((most - 102.0 / 103.0).abs() < 1e-12, "{most}");
}

#[test]
fn rows_on_both_sides_are_found_and_a_group_keeps_them_on_one() {
    let mut text = "a,b,who,label\n".to_string();
    for row in 0..600 {
        let who = row / 2;
        writeln!(
            text,
            "{},{},w{who},{}",
            who * 3 % 301,
            who % 5,
            ["no", "yes"][who % 2]
        )
        .unwrap();
    }
    let shared = |profile: &Profile| {
        profile
            .duplicates
            .shared
            .iter()
            .map(|s| s.rows)
            .sum::<usize>()
    };
    let alone = profiled(&text.replace(",who,", ",x,"), Roles::default());
    assert!(shared(&alone) > 100, "{:?}", alone.duplicates);
    assert!(
        said(&alone).contains("are identical to rows to learn from"),
        "{}",
        said(&alone)
    );
    let roles = Roles {
        split_by: SplitBy::Group("who".into()),
        weight: None,
    };
    let grouped = profiled(&text, roles);
    assert_eq!(shared(&grouped), 0);
    assert!(grouped.columns.iter().all(|column| column.name != "who"));
}

#[test]
fn the_target_of_a_regression_is_described() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut text = "x,price\n".to_string();
    for _ in 0..2_000 {
        let x: f64 = rng.random_range(-1.0..1.0);
        writeln!(
            text,
            "{x},{}",
            (3.0 * x + rng.random_range(0.0..2.0_f64)).exp()
        )
        .unwrap();
    }
    let profile = profiled(&text, Roles::default());
    let TargetProfile::Regression { values, .. } = profile.target else {
        panic!("{:?}", profile.target)
    };
    assert!(values.skewness > 2.0 && values.outliers > 0, "{values:?}");
    assert!(
        said(&profile).contains("`price` has a long tail to the right"),
        "{}",
        said(&profile)
    );
}

#[test]
fn what_is_said_of_many_columns_stays_short() {
    let names: Vec<String> = (1..39).map(|column| format!("c{column}")).collect();
    let mut text = format!("free,{},label\n", names.join(","));
    for row in 0..60 {
        let same = "1,".repeat(38);
        writeln!(text, "{},{same}{}", row % 3, row % 2).unwrap();
    }
    let profile = profiled(&text, Roles::default());
    let found = said(&profile);
    assert!(
        found.contains("38 columns are left out (`c1`, `c2`, `c3`, `c4`, `c5` and 33 more)"),
        "{found}"
    );
}

#[test]
fn a_profile_is_the_same_after_it_was_written() {
    let profile = profiled(&odd_table(), Roles::default());
    let text = serde_json::to_string(&profile).unwrap();
    assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
}
