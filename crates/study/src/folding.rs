//! Whether a study is cross-validated, and in how many folds: what was asked for, or what few rows need, since a
//! part of them cannot say which of hundreds of models is best.
//!
//! Where a column or a file says which rows validate, it is followed. Rows in the order of time have one
//! part that validates, all newer than what is learned from: that part is small where rows are few, but
//! folds would be validated by what was learned from later rows, and a model that is the mean of networks,
//! each of which knows a longer past, would be scored by the one that knows least.

use data::{
    DataError, Dataset, Finding, Importance, Sides, Source, Split, folds_max, profile::FindingKind,
};
use rand_chacha::ChaCha8Rng;

use crate::config::StudyConfig;

/// Fewer rows than these are too few for a part of them to say which model is better: decision 0016 has what was
/// measured.
const FOLDED_ROWS_MAX: usize = 10_000;

/// More values than these take too long to be learned from several times.
const FOLDED_VALUES_MAX: usize = 2_000_000;

/// Values that a word of a text counts as.
const WORD_VALUES: f64 = 8.0;

/// Folds where nobody says how many.
const FOLDS: u8 = 5;

/// Deals the rows that are learned from and those that validate into folds, if there are few; all of them
/// are both then. Returns the fold of each, empty without cross-validation, and what is to be said of it.
pub(crate) fn cross_validation(
    config: &StudyConfig,
    source: &Source,
    split: &mut Split,
    rng: &mut ChaCha8Rng,
) -> Result<(Vec<u8>, Option<Finding>), DataError> {
    let asked = config.folds;
    if let Some(problem) = obstacle(source) {
        return match asked {
            Some(count) if count > 1 => Err(DataError::Split {
                problem: format!("split.folds = {count} {problem}"),
            }),
            _ => Ok((Vec::new(), None)),
        };
    }
    let mut rows = [&split.train[..], &split.validation[..]].concat();
    let is_small = rows.len() < FOLDED_ROWS_MAX
        && rows.len() * values_per_row(&source.dataset) <= FOLDED_VALUES_MAX;
    let count = asked.unwrap_or(if is_small { FOLDS } else { 1 });
    if count < 2 {
        return Ok((Vec::new(), None));
    }
    rows.sort_unstable();
    let folds = match data::folds(source, &rows, count, rng) {
        Ok(folds) => folds,
        // Nobody asked for folds, so nobody must do without a study.
        Err(DataError::Split { problem }) if asked.is_none() => {
            return Ok((Vec::new(), Some(not_folded(split, &problem))));
        }
        Err(DataError::Split { problem }) => {
            return Err(DataError::Split {
                problem: format!(
                    "split.folds = {count} was asked for, but {problem}: leave it out"
                ),
            });
        }
        Err(error) => return Err(error),
    };
    split.validation.clone_from(&rows);
    split.train = rows;
    let dealt = folds_max(source, &split.train, count);
    Ok((folds, (dealt < count).then(|| fewer_groups(dealt, count))))
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

fn fewer_groups(dealt: u8, count: u8) -> Finding {
    let found =
        format!("there are {dealt} groups beside those of the vault, fewer than {count} folds");
    let done = format!("{dealt} folds are made, one of each group");
    Finding::new(Importance::Note, FindingKind::Folds, &[], found, done)
}

fn values_per_row(dataset: &Dataset) -> usize {
    match dataset {
        Dataset::Table(table) => table.columns.len(),
        Dataset::Images(images) => (images.height * images.width * images.channels) as usize,
        Dataset::Series(series) => (series.longest() * series.channels) as usize,
        Dataset::Texts(texts) => (texts.mean_words() * WORD_VALUES) as usize,
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
        folds: Option<u8>,
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
        config.folds = folds;
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
            targets: data::RawTargets::Unknown(2),
        };
        assert_eq!(super::values_per_row(&data::Dataset::Texts(texts)), 12);
    }

    #[test]
    fn few_rows_of_groups_are_cross_validated_and_no_group_is_in_two_folds() {
        let folder = tempfile::tempdir().unwrap();
        let by = SplitBy::Group("place".into());
        let made = prepared(folder.path(), 24, by, None).unwrap();
        assert_eq!(made.folds.len(), made.split.train.len());
        assert_eq!(made.split.train, made.split.validation);
        let mut folds_of: BTreeMap<u32, BTreeSet<u8>> = BTreeMap::new();
        for (row, fold) in made.split.train.iter().zip(&made.folds) {
            folds_of.entry(row % 24).or_default().insert(*fold);
        }
        assert!(
            folds_of.values().all(|folds| folds.len() == 1),
            "{folds_of:?}"
        );
        let folds: BTreeSet<u8> = made.folds.iter().copied().collect();
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
        let made = prepared(folder.path(), 4, by(), None).unwrap();
        assert_eq!(made.folds.iter().max(), Some(&2));
        let told =
            "there are 3 groups beside those of the vault, fewer than 5 folds: 3 folds are made";
        let found = said(&made);
        assert!(found.iter().any(|text| text.starts_with(told)), "{found:?}");
        // As many as were asked for, if there are.
        let asked = prepared(folder.path(), 4, by(), Some(2)).unwrap();
        assert_eq!(asked.folds.iter().max(), Some(&1));
        assert!(
            !said(&asked)
                .iter()
                .any(|text| text.contains("folds are made"))
        );
    }

    #[test]
    fn few_rows_in_the_order_of_time_are_validated_by_the_newest_of_them_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let by = || SplitBy::Time("day".into());
        let made = prepared(folder.path(), 3, by(), None).unwrap();
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
        let refused = prepared(folder.path(), 3, by(), Some(4)).unwrap_err();
        assert!(refused.contains("4 folds would be validated by what was learned from later rows"));
        assert!(prepared(folder.path(), 3, by(), Some(1)).is_ok());
    }
}
