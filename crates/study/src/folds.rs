//! Which rows each network of a cross-validation learns from, and which it is validated by.
//!
//! Rows are dealt into folds, once or repeatedly, and there is a network for each fold of each deal. So every row
//! validates one network of each deal, and the others of the deal learn from it.

use std::borrow::Cow;

use data::Examples;
use serde::{Deserialize, Serialize};

/// Folds at most: each is a network to train.
pub const FOLDS_MAX: u8 = 20;

/// Times at most that rows are dealt into them.
pub const REPEATS_MAX: u8 = 10;

/// Rows dealt into folds, once or repeatedly; not at all without cross-validation.
///
/// Networks are numbered fold by fold, deal after deal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Folds {
    /// In each deal the fold of each row, from 0; as many rows and folds in one as in another.
    deals: Vec<Vec<u8>>,
}

/// As it is written down: a single deal without the list around it, as it has always been.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Once(Vec<u8>),
    Repeatedly(Vec<Vec<u8>>),
}

impl From<Folds> for Written {
    fn from(mut folds: Folds) -> Written {
        match folds.deals.len() {
            0 | 1 => Written::Once(folds.deals.pop().unwrap_or_default()),
            _ => Written::Repeatedly(folds.deals),
        }
    }
}

impl TryFrom<Written> for Folds {
    type Error = String;

    fn try_from(written: Written) -> Result<Folds, String> {
        let deals = match written {
            Written::Once(deal) if deal.is_empty() => Vec::new(),
            Written::Once(deal) => vec![deal],
            Written::Repeatedly(deals) => deals,
        };
        let differs = |pair: &[Vec<u8>]| size(&pair[0]) != size(&pair[1]);
        match deals.windows(2).any(differs) {
            true => Err("deals of other rows, or into another number of folds".to_string()),
            false => Ok(Folds { deals }),
        }
    }
}

/// What a network that has not learned from some rows says of them; `[rows][outputs]`.
pub type Said<'a, E> = &'a dyn Fn(usize, &Examples) -> Result<Vec<f32>, E>;

impl Folds {
    /// Adds a deal, the fold of each row from 0, unless rows are already dealt like this, or into another number of
    /// folds.
    pub(crate) fn add(&mut self, deal: Vec<u8>) {
        let own = by_first_row(&deal);
        let is_like = |old: &Vec<u8>| by_first_row(old) == own;
        let is_other = |old: &Vec<u8>| size(old) != size(&deal);
        if !self.deals.iter().any(|old| is_like(old) || is_other(old)) {
            self.deals.push(deal);
        }
    }

    /// Whether there is no cross-validation.
    pub fn is_empty(&self) -> bool {
        self.deals.is_empty()
    }

    /// Into how many folds rows are dealt; 1 without cross-validation.
    pub fn count(&self) -> u8 {
        let last = self.deals.first().and_then(|deal| size(deal).1);
        last.map_or(1, |last| last + 1)
    }

    /// How many times they are dealt; 1 without cross-validation, too.
    pub fn repeats(&self) -> u8 {
        self.deals.len().max(1) as u8
    }

    /// How many networks a model is trained as.
    pub fn networks(&self) -> usize {
        usize::from(self.count()) * usize::from(self.repeats())
    }

    /// The fold of each row, deal by deal.
    #[cfg(test)]
    pub(crate) fn deals(&self) -> &[Vec<u8>] {
        &self.deals
    }

    /// What a network learns from, and what validates it; without cross-validation all there is, with it copied:
    /// together the rows of all networks are as many times those of a study.
    pub(crate) fn part<'a>(
        &self,
        network: usize,
        train: &'a Examples,
        validation: &'a Examples,
    ) -> (Cow<'a, Examples>, Cow<'a, Examples>) {
        match self.is_empty() {
            true => (Cow::Borrowed(train), Cow::Borrowed(validation)),
            false => (
                Cow::Owned(train.chosen(&self.learned(network))),
                Cow::Owned(validation.chosen(&self.validating(network))),
            ),
        }
    }

    /// Numbers of the rows that a network learns from.
    fn learned(&self, network: usize) -> Vec<u32> {
        self.rows(network, |fold, own| fold != own)
    }

    /// Numbers of the rows that validate it.
    pub(crate) fn validating(&self, network: usize) -> Vec<u32> {
        self.rows(network, |fold, own| fold == own)
    }

    fn rows(&self, network: usize, is_chosen: impl Fn(usize, usize) -> bool) -> Vec<u32> {
        let count = usize::from(self.count());
        let (deal, own) = (network / count, network % count);
        let places = self.deals[deal].iter().zip(0..);
        let chosen = places.filter(|(fold, _)| is_chosen(usize::from(**fold), own));
        chosen.map(|(_, place)| place).collect()
    }

    /// What is said of validation rows by those networks that have not learned from them, in the mean over all
    /// deals; without folds by the only network there is.
    ///
    /// # Errors
    /// The first that `said` gives.
    pub fn told<E>(&self, validation: &Examples, said: Said<'_, E>) -> Result<Vec<f32>, E> {
        if self.is_empty() {
            return said(0, validation);
        }
        let share = 1.0 / f32::from(self.repeats());
        let mut all: Vec<f32> = Vec::new();
        for network in 0..self.networks() {
            let rows = self.validating(network);
            // Earlier versions dealt fewer rows into more folds; who validates nothing has nothing to say.
            if rows.is_empty() {
                continue;
            }
            let outputs = said(network, &validation.chosen(&rows))?;
            let width = outputs.len() / rows.len();
            all.resize(width * validation.len(), 0.0);
            for (row, output) in rows.iter().zip(outputs.chunks_exact(width.max(1))) {
                let mean = &mut all[*row as usize * width..][..width];
                let pairs = mean.iter_mut().zip(output);
                pairs.for_each(|(mean, output)| *mean += share * output);
            }
        }
        Ok(all)
    }
}

/// Rows of a deal, and its last fold.
fn size(deal: &[u8]) -> (usize, Option<u8>) {
    (deal.len(), deal.iter().copied().max())
}

/// The folds of a deal, numbered in the order of their first rows.
fn by_first_row(deal: &[u8]) -> Vec<usize> {
    let mut seen: Vec<u8> = Vec::new();
    let mut number_of = |fold: &u8| {
        let known = seen.iter().position(|other| other == fold);
        known.unwrap_or_else(|| {
            seen.push(*fold);
            seen.len() - 1
        })
    };
    deal.iter().map(&mut number_of).collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use data::{ItemShape, Targets};

    use super::*;

    fn dealt(deals: &[&[u8]]) -> Folds {
        let mut folds = Folds::default();
        deals.iter().for_each(|deal| folds.add(deal.to_vec()));
        folds
    }

    /// Rows whose only value is their number.
    fn numbered(count: usize) -> Examples {
        let inputs: Vec<f32> = (0..count).map(|row| row as f32).collect();
        let shape = ItemShape::Features(1);
        Examples::from_floats(shape, inputs, Targets::Values(vec![0.0; count]))
    }

    /// Each network says its number, and each row's.
    fn said(network: usize, rows: &Examples) -> Result<Vec<f32>, Infallible> {
        let all: Vec<u32> = (0..rows.len() as u32).collect();
        let mut values = vec![0.0; rows.len()];
        rows.copy_inputs(&all, &mut values);
        let pairs = values.iter().flat_map(|value| [network as f32, *value]);
        Ok(pairs.collect())
    }

    #[test]
    fn what_is_said_of_folds_comes_back_in_the_order_of_the_rows() {
        let Ok(outputs) = dealt(&[&[1, 0, 2, 1, 0, 2]]).told(&numbered(6), &said);
        let wanted = [1.0, 0.0, 0.0, 1.0, 2.0, 2.0, 1.0, 3.0, 0.0, 4.0, 2.0, 5.0];
        assert_eq!(outputs, wanted);
        let Ok(alone) = Folds::default().told(&numbered(6), &said);
        assert_eq!(alone[..4], [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_fold_without_rows_takes_nothing_from_what_the_others_said() {
        let Ok(outputs) = dealt(&[&[2, 0, 2, 0]]).told(&numbered(4), &said);
        assert_eq!(outputs, [2.0, 0.0, 0.0, 1.0, 2.0, 2.0, 0.0, 3.0]);
        let Ok(outputs) = dealt(&[&[2, 1, 2, 1]]).told(&numbered(4), &said);
        assert_eq!(outputs, [2.0, 0.0, 1.0, 1.0, 2.0, 2.0, 1.0, 3.0]);
    }

    #[test]
    fn of_several_deals_it_is_the_mean_of_those_that_have_not_learned_from_the_row() {
        let folds = dealt(&[&[0, 0, 1, 1], &[0, 1, 0, 1]]);
        let Ok(outputs) = folds.told(&numbered(4), &said);
        // Networks 0 and 1 are of the first deal, 2 and 3 of the second.
        assert_eq!(outputs, [1.0, 0.0, 1.5, 1.0, 1.5, 2.0, 2.0, 3.0]);
    }

    #[test]
    fn no_network_learns_from_a_row_that_validates_it_and_each_row_validates_one_of_each_deal() {
        let folds = dealt(&[&[0, 1, 2, 0, 1], &[2, 2, 1, 0, 0]]);
        assert_eq!(
            (folds.count(), folds.repeats(), folds.networks()),
            (3, 2, 6)
        );
        for network in 0..folds.networks() {
            let mut all = [folds.learned(network), folds.validating(network)].concat();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4]);
        }
        for deal in [0..3, 3..6] {
            let mut validating: Vec<u32> =
                deal.flat_map(|network| folds.validating(network)).collect();
            validating.sort_unstable();
            assert_eq!(validating, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn a_deal_that_differs_by_the_numbers_of_its_folds_alone_is_none() {
        let folds = dealt(&[&[0, 1, 2, 0], &[2, 0, 1, 2], &[0, 1, 2, 1]]);
        assert_eq!(folds.deals(), [vec![0, 1, 2, 0], vec![0, 1, 2, 1]]);
    }

    #[test]
    fn a_single_deal_is_written_as_ever_and_damaged_deals_are_refused() {
        let text = |folds: &Folds| serde_json::to_string(folds).unwrap();
        assert_eq!(text(&Folds::default()), "[]");
        assert_eq!(text(&dealt(&[&[0, 1, 0]])), "[0,1,0]");
        let twice = dealt(&[&[0, 1, 0], &[0, 1, 1]]);
        assert_eq!(text(&twice), "[[0,1,0],[0,1,1]]");
        for folds in [Folds::default(), dealt(&[&[0, 1, 0]]), twice] {
            assert_eq!(serde_json::from_str::<Folds>(&text(&folds)).unwrap(), folds);
        }
        for damaged in [
            "[[0,1],[0,1,1]]",
            "[[0,1,0],[0,1,2]]",
            "[[0,1],[300,0]]",
            "{}",
        ] {
            assert!(serde_json::from_str::<Folds>(damaged).is_err(), "{damaged}");
        }
    }
}
