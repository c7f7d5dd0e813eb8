//! What every split keeps to, over many seeds, sizes and kinds.

use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng};

use super::*;
use crate::{
    oddities::Oddities,
    roles::RowFacts,
    source::{Cells, Column, Dataset, Fingerprint, Table},
};

const SEEDS: u64 = 40;

/// A table of three classes, the last of them rare; nothing but targets matters here.
fn source(rows: usize, rng: &mut ChaCha8Rng) -> Source {
    let class = |_| match rng.random_range(0..20_u32) {
        0..11 => 0,
        11..18 => 1,
        _ => 2,
    };
    source_of((0..rows).map(class).collect())
}

/// A table whose rows are of these classes, of three.
pub(crate) fn source_of(ids: Vec<u32>) -> Source {
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    table(RawTargets::Classes(ids), Task::Classification { classes })
}

/// A table whose rows have these numbers.
pub(crate) fn measured(values: Vec<f64>) -> Source {
    let target = "y".to_string();
    table(RawTargets::Values(values), Task::Regression { target })
}

fn table(targets: RawTargets, task: Task) -> Source {
    let rows = targets.len();
    let column = Column {
        name: "x".into(),
        cells: Cells::Numbers((0..rows).map(|row| row as f64).collect()),
    };
    Source {
        row_names: None,
        beyond: None,
        dataset: Dataset::Table(Table {
            columns: vec![column],
            targets,
        }),
        given_validation_rows: rows..rows,
        given_test_rows: rows..rows,
        task,
        notices: Vec::new(),
        oddities: Oddities::default(),
        facts: RowFacts::default(),
        fingerprint: Fingerprint::of(&blake3::Hasher::new()),
        description: String::new(),
    }
}

/// How far, at most, the share of the chosen rows up to a number is from that of all rows.
pub(crate) fn distance_of_distributions(values: &[f64], chosen: &[u32]) -> f64 {
    let up_to = |rows: &mut dyn Iterator<Item = f64>, limit: f64| {
        rows.filter(|value| *value <= limit).count() as f64
    };
    let off = |limit: &f64| {
        let own = up_to(&mut chosen.iter().map(|row| values[*row as usize]), *limit);
        let all = up_to(&mut values.iter().copied(), *limit);
        (own / chosen.len() as f64 - all / values.len() as f64).abs()
    };
    values.iter().map(off).fold(0.0, f64::max)
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// No row is lost or stands twice; the same seed gives the same split; returns it.
fn check_split(source: &Source, shares: SplitShares, seed: u64) -> Split {
    let made = split(source, shares, &mut rng(seed)).unwrap();
    let again = split(source, shares, &mut rng(seed)).unwrap();
    assert_eq!(made, again, "seed {seed}");
    let mut all: Vec<u32> = Part::ALL
        .iter()
        .flat_map(|part| made.rows(*part))
        .copied()
        .collect();
    all.sort_unstable();
    assert!(
        all.into_iter().eq(0..source.dataset.rows() as u32),
        "seed {seed}"
    );
    assert!(Part::ALL.iter().all(|part| made.rows(*part).is_sorted()));
    made
}

fn share(source: &Source, rows: &[u32]) -> f64 {
    rows.len() as f64 / source.dataset.rows() as f64
}

fn share_of_class(source: &Source, rows: &[u32], class: u32) -> f64 {
    let RawTargets::Classes(ids) = source.dataset.targets() else {
        panic!("the sources of these tests have classes")
    };
    let of_class = rows.iter().filter(|row| ids[**row as usize] == class);
    of_class.count() as f64 / rows.len() as f64
}

#[test]
fn every_class_is_dealt_by_the_same_shares() {
    for seed in 0..SEEDS {
        let source = source(200 + 37 * seed as usize, &mut rng(seed));
        let made = check_split(&source, SplitShares::default(), seed);
        for part in [Part::Validation, Part::Vault] {
            assert!((share(&source, made.rows(part)) - 0.2).abs() < 0.01);
        }
        for class in 0..3 {
            let wanted = share_of_class(&source, &made.train, class);
            let found = share_of_class(&source, &made.validation, class);
            assert!(
                (wanted - found).abs() < 0.02,
                "seed {seed}: {wanted} and {found}"
            );
        }
    }
}

#[test]
fn numbers_are_spread_alike_over_all_parts_also_where_they_are_few() {
    for seed in 0..SEEDS {
        let mut random = rng(seed);
        let rows = 30 + 11 * seed as usize;
        // Few different values, and a tail.
        let values: Vec<f64> = (0..rows)
            .map(|_| (random.random::<f64>().powi(-2) / 3.0).floor())
            .collect();
        let source = measured(values.clone());
        let made = check_split(&source, SplitShares::default(), seed);
        for part in Part::ALL {
            let of_part = made.rows(part);
            let off = distance_of_distributions(&values, of_part);
            // By chance a tenth of the draws is off by more than 1.2 / √rows.
            let most = 2.0 / of_part.len() as f64;
            assert!(off <= most, "seed {seed}, {}: {off} > {most}", part.name());
        }
        let share_of_all = share(&source, &made.vault);
        assert!(
            (share_of_all - 0.2).abs() < 0.02,
            "seed {seed}: {share_of_all}"
        );
    }
}

#[test]
fn groups_of_numbers_are_dealt_so_that_no_part_gets_only_high_ones() {
    for seed in 0..SEEDS {
        let mut random = rng(seed);
        // A group has about the same number in all of its rows.
        let levels: Vec<f64> = (0..50).map(|_| random.random_range(0.0..100.0)).collect();
        let numbers: Vec<u32> = (0..400).map(|_| random.random_range(0..50)).collect();
        let values: Vec<f64> = numbers
            .iter()
            .map(|group| levels[*group as usize] + random.random::<f64>())
            .collect();
        let mut source = measured(values.clone());
        source.facts.sides = Sides::Groups(numbers.clone());
        let made = check_split(&source, SplitShares::default(), seed);
        for part in [Part::Validation, Part::Vault] {
            let of_part = made.rows(part);
            let off = distance_of_distributions(&values, of_part);
            // By chance ten groups are off by 0.27 on the mean.
            assert!(off < 0.2, "seed {seed}, {}: {off}", part.name());
            assert!((share(&source, of_part) - 0.2).abs() < 0.04);
        }
    }
}

#[test]
fn no_group_stands_on_two_sides_and_shares_and_classes_are_nearly_kept() {
    for seed in 0..SEEDS {
        let mut random = rng(seed);
        let mut source = source(600 + 50 * seed as usize, &mut random);
        let rows = source.dataset.rows();
        let groups = random.random_range(40..200_u32);
        // Some groups are many times larger than others.
        let group = |_| (groups as f64 * random.random::<f64>().powi(2)) as u32;
        let numbers: Vec<u32> = (0..rows).map(group).collect();
        source.facts.sides = Sides::Groups(numbers.clone());
        let made = check_split(&source, SplitShares::default(), seed);
        let sides = Part::ALL.map(|part| -> BTreeSet<u32> {
            made.rows(part)
                .iter()
                .map(|row| numbers[*row as usize])
                .collect()
        });
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            assert!(sides[a].is_disjoint(&sides[b]), "seed {seed}");
        }
        for part in [Part::Validation, Part::Vault] {
            let found = share(&source, made.rows(part));
            assert!((found - 0.2).abs() < 0.03, "seed {seed}: {found}");
            let (wanted, found) = (
                share_of_class(&source, &made.train, 2),
                share_of_class(&source, made.rows(part), 2),
            );
            assert!(
                (wanted - found).abs() < 0.04,
                "seed {seed}: {wanted} and {found}"
            );
        }
    }
}

#[test]
fn a_part_gets_a_group_even_if_all_groups_are_large() {
    let mut source = source(90, &mut rng(1));
    source.facts.sides = Sides::Groups((0..90).map(|row| row / 30).collect());
    let made = check_split(&source, SplitShares::default(), 1);
    assert!(Part::ALL.iter().all(|part| made.rows(*part).len() == 30));
    source.facts.sides = Sides::Groups((0..90).map(|row| row / 45).collect());
    let error = split(&source, SplitShares::default(), &mut rng(1)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("there are 2 groups, and 3 parts"),
        "{error}"
    );
}

#[test]
fn no_row_to_learn_from_is_newer_than_one_to_validate_and_ties_stay_together() {
    for seed in 0..SEEDS {
        let mut random = rng(seed);
        let mut source = source(300, &mut random);
        let times: Vec<f64> = (0..300)
            .map(|_| f64::from(random.random_range(0..60_u32)))
            .collect();
        source.facts.sides = Sides::Times(times.clone());
        let made = check_split(&source, SplitShares::default(), seed);
        let span = |part: Part| {
            let of_part = made.rows(part).iter().map(|row| times[*row as usize]);
            of_part.fold((f64::MAX, f64::MIN), |(low, high), time| {
                (low.min(time), high.max(time))
            })
        };
        assert!(
            span(Part::Train).1 < span(Part::Validation).0,
            "seed {seed}"
        );
        assert!(
            span(Part::Validation).1 < span(Part::Vault).0,
            "seed {seed}"
        );
        for part in [Part::Validation, Part::Vault] {
            let found = share(&source, made.rows(part));
            assert!((found - 0.2).abs() < 0.05, "seed {seed}: {found}");
        }
    }
}

#[test]
fn two_times_cannot_be_split_into_three_parts() {
    let mut source = source(100, &mut rng(3));
    source.facts.sides = Sides::Times((0..100).map(|row| f64::from(row / 90)).collect());
    let error = split(&source, SplitShares::default(), &mut rng(3)).unwrap_err();
    assert!(
        error.to_string().contains("2 different times, and 3 parts"),
        "{error}"
    );
    let without_vault = SplitShares {
        vault: Some(0.0),
        ..SplitShares::default()
    };
    let made = check_split(&source, without_vault, 3);
    assert_eq!((made.validation.len(), made.vault.len()), (10, 0));
}

#[test]
fn a_column_is_followed_to_the_letter() {
    let mut source = source(100, &mut rng(4));
    let mut parts = vec![Part::Train; 100];
    parts[10..30].fill(Part::Vault);
    parts[50..60].fill(Part::Validation);
    source.facts.sides = Sides::Parts(parts.clone());
    let made = check_split(&source, SplitShares::default(), 4);
    assert!(made.vault.iter().copied().eq(10..30) && made.validation.iter().copied().eq(50..60));
    // Without validation rows, some of those to learn from validate.
    parts[50..60].fill(Part::Train);
    source.facts.sides = Sides::Parts(parts);
    let made = check_split(&source, SplitShares::default(), 4);
    assert!(made.vault.iter().copied().eq(10..30));
    assert_eq!(made.validation.len(), 16);
}

#[test]
fn given_rows_serve_the_purpose_they_were_given_for() {
    let mut source = source(100, &mut rng(5));
    source.given_validation_rows = 60..80;
    source.given_test_rows = 80..100;
    let made = check_split(&source, SplitShares::default(), 5);
    assert!(made.validation.iter().copied().eq(60..80) && made.vault.iter().copied().eq(80..100));
    source.given_validation_rows = 80..80;
    let made = check_split(&source, SplitShares::default(), 5);
    assert_eq!(
        (made.train.len(), made.validation.len(), made.vault.len()),
        (64, 16, 20)
    );
}

#[test]
fn a_class_that_only_given_rows_have_is_warned_of_and_the_others_are_split() {
    let mut ids: Vec<u32> = (0..100).map(|row| row % 2).collect();
    ids[95..].fill(2);
    let mut source = source_of(ids);
    source.given_validation_rows = 80..80;
    source.given_test_rows = 80..100;
    let made = check_split(&source, SplitShares::default(), 8);
    assert_eq!(
        (made.train.len(), made.validation.len(), made.vault.len()),
        (64, 16, 20)
    );
    let findings = crate::profile(&source, &made).findings;
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let warning = "no training row is of class `c`: nothing can be learned of them";
    assert!(said.iter().any(|text| text == warning), "{said:?}");
}

#[test]
fn training_rows_of_one_class_are_refused() {
    let mut source = source(100, &mut rng(6));
    let RawTargets::Classes(ids) = source.dataset.targets().clone() else {
        panic!("the sources of these tests have classes")
    };
    // Time has brought the second class.
    let counts: BTreeMap<u32, usize> = ids.iter().fold(BTreeMap::new(), |mut counts, id| {
        *counts.entry(*id).or_default() += 1;
        counts
    });
    assert!(counts.len() == 3);
    source.facts.sides = Sides::Times(ids.iter().map(|id| f64::from(u8::from(*id > 0))).collect());
    let without_vault = SplitShares {
        vault: Some(0.0),
        ..SplitShares::default()
    };
    let error = split(&source, without_vault, &mut rng(6)).unwrap_err();
    assert!(error.to_string().contains("are of class `a`"), "{error}");
}

#[test]
fn shares_that_leave_nothing_to_learn_from_are_refused() {
    let source = source(100, &mut rng(7));
    for (validation, vault) in [(0.0, 0.2), (0.5, 0.5), (0.2, -0.1), (f64::NAN, 0.1)] {
        let shares = SplitShares {
            validation,
            vault: Some(vault),
        };
        assert!(split(&source, shares, &mut rng(7)).is_err(), "{shares:?}");
    }
}
