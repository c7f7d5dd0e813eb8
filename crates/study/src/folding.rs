//! Whether a study is cross-validated, in how many folds and how many times: what was asked for, or what few rows
//! need, since a part of them cannot say which of hundreds of models is best.
//!
//! Where a column or a file says which rows validate, it is followed. Rows in the order of time have one
//! part that validates, all newer than what is learned from: that part is small where rows are few, but
//! folds would be validated by what was learned from later rows, and a model that is the mean of networks,
//! each of which knows a longer past, would be scored by the one that knows least.

use data::{
    DataError, Dataset, Finding, Importance, Sides, Source, Split, folds_max, profile::FindingKind,
};
use rand_chacha::ChaCha8Rng;

use crate::{
    config::StudyConfig,
    folds::{FOLDS_MAX, Folds, REPEATS_MAX},
};

/// Fewer rows than these are too few for a part of them to say which model is better: decision 0016 has what was
/// measured.
const FOLDED_ROWS_MAX: usize = 10_000;

/// More values than these take too long to be learned from several times.
const FOLDED_VALUES_MAX: usize = 2_000_000;

/// Values that a word of a text counts as.
const WORD_VALUES: f64 = 8.0;

/// Folds where nobody says how many; more of very few rows are not better: decision 0028.
pub(crate) const FOLDS: u8 = 5;

/// Deals the rows that are learned from and those that validate into folds, if there are few; all of them
/// are both then. Returns how they are dealt, and what is to be said of it.
pub(crate) fn cross_validation(
    config: &StudyConfig,
    source: &Source,
    split: &mut Split,
    rng: &mut ChaCha8Rng,
) -> Result<(Folds, Option<Finding>), DataError> {
    let asked = Asked::of(config)?;
    if let Some(problem) = obstacle(source) {
        return match asked.named() {
            Some(named) => Err(DataError::Split {
                problem: format!("{named} {problem}"),
            }),
            None => Ok((Folds::default(), None)),
        };
    }
    let mut rows = [&split.train[..], &split.validation[..]].concat();
    let is_small = rows.len() < FOLDED_ROWS_MAX
        && rows.len() * values_per_row(&source.dataset) <= FOLDED_VALUES_MAX;
    let Some((count, repeats)) = asked.dealt(is_small) else {
        return Ok((Folds::default(), None));
    };
    rows.sort_unstable();
    let mut folds = Folds::default();
    for _ in 0..repeats {
        match data::folds(source, &rows, count, rng) {
            Ok(deal) => folds.add(deal),
            Err(DataError::Split { problem }) => {
                return match asked.named() {
                    // Nobody asked for folds, so nobody must do without a study.
                    None => Ok((Folds::default(), Some(not_folded(split, &problem)))),
                    Some(named) => Err(DataError::Split {
                        problem: format!("{named} was asked for, but {problem}: leave it out"),
                    }),
                };
            }
            Err(error) => return Err(error),
        }
    }
    split.validation.clone_from(&rows);
    split.train = rows;
    let dealt = folds_max(source, &split.train, count);
    let finding = (dealt < count).then(|| fewer_folds(source, dealt, count));
    Ok((folds, finding))
}

/// What was asked for.
#[derive(Clone, Copy)]
struct Asked {
    folds: Option<u8>,
    repeats: Option<u8>,
}

impl Asked {
    fn of(config: &StudyConfig) -> Result<Asked, DataError> {
        let &StudyConfig { folds, repeats, .. } = config;
        within("split.folds", folds, FOLDS_MAX)?;
        within("split.repeats", repeats, REPEATS_MAX)?;
        match (folds, repeats) {
            (Some(..2), Some(times @ 2..)) => Err(DataError::Split {
                problem: format!(
                    "split.repeats = {times} deals rows into folds {times} times, but a single part is to validate: \
                     leave it out, or split.validation and split.folds"
                ),
            }),
            _ => Ok(Asked { folds, repeats }),
        }
    }

    /// What asks for folds, if anything does.
    fn named(self) -> Option<String> {
        match (self.folds, self.repeats) {
            (Some(count @ 2..), _) => Some(format!("split.folds = {count}")),
            (None, Some(times @ 2..)) => Some(format!("split.repeats = {times}")),
            _ => None,
        }
    }

    /// In how many folds, and how many times; `None` for no cross-validation.
    fn dealt(self, is_small: bool) -> Option<(u8, u8)> {
        let is_wanted = is_small || self.named().is_some();
        let count = self.folds.unwrap_or(if is_wanted { FOLDS } else { 1 });
        let repeats = self.repeats.unwrap_or(1);
        (count > 1).then_some((count, repeats))
    }
}

fn within(name: &str, asked: Option<u8>, max: u8) -> Result<(), DataError> {
    match asked {
        Some(count) if count == 0 || count > max => Err(DataError::Split {
            problem: format!("{name} = {count}: it is from 1 to {max}"),
        }),
        _ => Ok(()),
    }
}

/// Why there can be no folds, whoever asks for them.
fn obstacle(source: &Source) -> Option<&'static str> {
    if source.beyond.is_some() {
        return Some("needs all rows in memory, and these are more: leave it out");
    }
    let is_told = matches!(source.facts.sides, Sides::Parts(_));
    if is_told || !source.given_validation_rows.is_empty() {
        return Some(
            "deals rows freely, but a column or a file says which rows validate: give one of the two",
        );
    }
    None
}

fn not_folded(split: &Split, problem: &str) -> Finding {
    let rows = split.train.len() + split.validation.len();
    let found = format!("so few rows as {rows} are cross-validated, but these are not: {problem}");
    let done = format!(
        "{} of them validate, which says less of a model than all would",
        split.validation.len()
    );
    Finding::new(Importance::Note, FindingKind::Folds, &[], found, done)
}

fn fewer_folds(source: &Source, dealt: u8, count: u8) -> Finding {
    let (things, thing) = match &source.facts.sides {
        Sides::Groups(_) => ("groups", "group"),
        _ => ("rows", "row"),
    };
    let found =
        format!("there are {dealt} {things} beside those of the vault, fewer than {count} folds");
    let done = format!("{dealt} folds are made, one of each {thing}");
    Finding::new(Importance::Note, FindingKind::Folds, &[], found, done)
}

fn values_per_row(dataset: &Dataset) -> usize {
    match dataset {
        Dataset::Table(table) => table.columns.len(),
        Dataset::Images(images) => (images.height * images.width * images.channels) as usize,
        Dataset::Series(series) => (series.longest() * series.channels) as usize,
        Dataset::Texts(texts) => (texts.mean_length() * WORD_VALUES) as usize,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        fmt::Write,
        fs,
        path::Path,
    };

    use data::{Roles, SplitBy};

    use crate::prepared::{PreparedData, prepare, tests::config_of};

    /// Rows of so many places on as many days, prepared as a study would.
    fn prepared(
        folder: &Path,
        places: usize,
        split_by: SplitBy,
        asked: (Option<u8>, Option<u8>),
    ) -> Result<PreparedData, String> {
        let mut table = "place,day,size,price\n".to_string();
        for row in 0..120 {
            let place = row % places;
            writeln!(table, "p{place},{},{},{}", row / 2, row * 7 % 31, row % 13).unwrap();
        }
        let path = folder.join("rows.csv");
        fs::write(&path, table).unwrap();
        let mut config = config_of(path);
        config.task = Some(data::TaskKind::Regression);
        (config.folds, config.repeats) = asked;
        config.roles = Roles {
            split_by,
            weight: None,
        };
        prepare(&config).map_err(|error| error.to_string())
    }

    fn said(prepared: &PreparedData) -> Vec<String> {
        let notices = prepared.notices();
        notices.iter().map(|notice| notice.text.clone()).collect()
    }

    #[test]
    fn texts_are_as_large_as_they_have_words() {
        let texts = data::Texts {
            name: "text".to_string(),
            texts: ["one two", "three"].map(String::from).to_vec(),
            unit: data::TextUnit::Word,
            targets: data::RawTargets::Unknown(2),
        };
        assert_eq!(super::values_per_row(&data::Dataset::Texts(texts)), 12);
    }

    #[test]
    fn few_rows_of_groups_are_cross_validated_and_no_group_is_in_two_folds() {
        let folder = tempfile::tempdir().unwrap();
        let by = SplitBy::Group("place".into());
        let made = prepared(folder.path(), 24, by, (None, None)).unwrap();
        let [deal] = made.folds.deals() else {
            panic!("{:?}", made.folds);
        };
        assert_eq!(deal.len(), made.split.train.len());
        assert_eq!(made.split.train, made.split.validation);
        let mut folds_of: BTreeMap<u32, BTreeSet<u8>> = BTreeMap::new();
        for (row, fold) in made.split.train.iter().zip(deal) {
            folds_of.entry(row % 24).or_default().insert(*fold);
        }
        assert!(
            folds_of.values().all(|folds| folds.len() == 1),
            "{folds_of:?}"
        );
        let folds: BTreeSet<u8> = deal.iter().copied().collect();
        assert_eq!(folds.len(), 5);
        assert!(made.split.vault.iter().all(|row| {
            let place = row % 24;
            !folds_of.contains_key(&place)
        }));
    }

    #[test]
    fn fewer_groups_than_folds_are_as_many_folds_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let by = || SplitBy::Group("place".into());
        let made = prepared(folder.path(), 4, by(), (None, None)).unwrap();
        assert_eq!(made.folds.count(), 3);
        let told =
            "there are 3 groups beside those of the vault, fewer than 5 folds: 3 folds are made";
        let found = said(&made);
        assert!(found.iter().any(|text| text.starts_with(told)), "{found:?}");
        // As many as were asked for, if there are.
        let asked = prepared(folder.path(), 4, by(), (Some(2), None)).unwrap();
        assert_eq!(asked.folds.count(), 2);
        assert!(
            !said(&asked)
                .iter()
                .any(|text| text.contains("folds are made"))
        );
    }

    #[test]
    fn fewer_rows_than_folds_each_validate_alone_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut table = "size,price\n".to_string();
        for row in 0..20 {
            writeln!(table, "{},{}", row * 7 % 31, row * 11 % 53).unwrap();
        }
        let path = folder.path().join("rows.csv");
        fs::write(&path, table).unwrap();
        let mut config = config_of(path);
        config.task = Some(data::TaskKind::Regression);
        (config.folds, config.repeats) = (Some(20), Some(3));
        let made = prepare(&config).unwrap();
        // Each alone can be dealt in one way only.
        assert_eq!((made.folds.count(), made.folds.repeats()), (16, 1));
        for network in 0..made.folds.networks() {
            assert_eq!(made.folds.validating(network).len(), 1);
        }
        let told = "there are 16 rows beside those of the vault, fewer than 20 folds: 16 folds are \
                    made, one of each row";
        assert!(
            said(&made).iter().any(|text| text == told),
            "{:?}",
            said(&made)
        );
    }

    #[test]
    fn few_rows_in_the_order_of_time_are_validated_by_the_newest_of_them_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let by = || SplitBy::Time("day".into());
        let made = prepared(folder.path(), 3, by(), (None, None)).unwrap();
        assert!(made.folds.is_empty());
        assert!(made.split.train.last() < made.split.validation.first());
        let found = said(&made);
        assert!(
            found
                .iter()
                .any(|text| text
                    .starts_with("so few rows as 96 are cross-validated, but these are not")),
            "{found:?}"
        );
        let refused = prepared(folder.path(), 3, by(), (Some(4), None)).unwrap_err();
        assert!(refused.contains("4 folds would be validated by what was learned from later rows"));
        assert!(prepared(folder.path(), 3, by(), (Some(1), None)).is_ok());
    }

    #[test]
    fn rows_are_dealt_as_often_as_is_asked_and_each_deal_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let made = |asked| prepared(folder.path(), 24, SplitBy::Rows, asked);
        for (asked, count, repeats) in [
            ((None, Some(3)), 5, 3),
            ((Some(4), Some(2)), 4, 2),
            ((Some(4), None), 4, 1),
        ] {
            let made = made(asked).unwrap();
            let folds = (made.folds.count(), made.folds.repeats());
            assert_eq!(folds, (count, repeats), "{asked:?}");
        }
        let once = made((None, Some(1))).unwrap();
        let thrice = made((None, Some(3))).unwrap();
        assert_eq!(once.folds.deals(), &thrice.folds.deals()[..1]);
        let refused = made((Some(1), Some(2))).unwrap_err();
        assert!(
            refused.contains("split.repeats = 2 deals rows into folds 2 times, but a single part")
        );
    }

    #[test]
    fn neither_none_nor_more_than_a_study_can_bear_are_dealt() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |asked| prepared(folder.path(), 24, SplitBy::Rows, asked).unwrap_err();
        let texts = [
            ((Some(0), None), "split.folds = 0: it is from 1 to 20"),
            ((Some(21), None), "split.folds = 21: it is from 1 to 20"),
            ((None, Some(0)), "split.repeats = 0: it is from 1 to 10"),
            (
                (Some(4), Some(11)),
                "split.repeats = 11: it is from 1 to 10",
            ),
        ];
        for (asked, text) in texts {
            let refused = refused(asked);
            assert!(refused.contains(text), "{asked:?}: {refused}");
        }
    }

    #[test]
    fn what_can_be_dealt_in_one_way_only_is_dealt_once() {
        let folder = tempfile::tempdir().unwrap();
        let by = SplitBy::Group("place".into());
        let made = prepared(folder.path(), 4, by, (None, Some(3))).unwrap();
        assert_eq!((made.folds.count(), made.folds.repeats()), (3, 1));
    }

    #[test]
    fn repeats_are_refused_where_there_can_be_no_folds() {
        let folder = tempfile::tempdir().unwrap();
        let by = SplitBy::Time("day".into());
        let refused = prepared(folder.path(), 3, by, (None, Some(2))).unwrap_err();
        assert!(
            refused.contains("split.repeats = 2 was asked for, but"),
            "{refused}"
        );
    }
}
