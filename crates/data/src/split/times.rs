//! A split by time: the oldest rows are learned from, the newest are the vault; equal times stay together.

use std::ops::Range;

use super::{Split, Wanted, refused};
use crate::error::DataError;

/// Deals rows by time, at the borders between times that are nearest to the shares asked for.
///
/// # Cost
/// `O(rows log rows)`.
pub(super) fn deal(times: &[f64], own: Range<usize>, wanted: Wanted) -> Result<Split, DataError> {
    let mut order: Vec<u32> = own.map(|row| row as u32).collect();
    let time = |row: &u32| times[*row as usize];
    order.sort_by(|a, b| time(a).total_cmp(&time(b)).then(a.cmp(b)));
    let borders: Vec<usize> = (1..order.len())
        .filter(|place| time(&order[place - 1]) < time(&order[*place]))
        .collect();
    // Where validation and vault begin.
    let rows = order.len() as f64;
    let begins = [
        (
            wanted.validation,
            rows * (1.0 - wanted.validation - wanted.vault),
        ),
        (wanted.vault, rows * (1.0 - wanted.vault)),
    ];
    let needed: Vec<f64> = begins
        .iter()
        .filter(|(share, _)| *share > 0.0)
        .map(|(_, begin)| *begin)
        .collect();
    if borders.len() < needed.len() {
        return Err(refused(format!(
            "there are {} different times, and {} parts need one each at least",
            borders.len() + 1,
            needed.len() + 1
        )));
    }
    let mut cuts = chosen(&borders, &needed).into_iter();
    let mut cut = |share: f64| if share > 0.0 { cuts.next() } else { None };
    let validation = cut(wanted.validation);
    let vault = cut(wanted.vault).unwrap_or(order.len());
    let validation = validation.unwrap_or(vault);
    Ok(Split {
        train: order[..validation].to_vec(),
        validation: order[validation..vault].to_vec(),
        vault: order[vault..].to_vec(),
    })
}

/// For each place needed the nearest border, every one later than the one before.
fn chosen(borders: &[usize], needed: &[f64]) -> Vec<usize> {
    let mut taken: Vec<usize> = Vec::new();
    for (index, place) in needed.iter().enumerate() {
        let first = taken.last().map_or(0, |last| last + 1);
        let last = borders.len() - (needed.len() - index);
        let nearest = (first..=last).min_by(|a, b| {
            let distance = |border: &usize| (borders[*border] as f64 - place).abs();
            distance(a).total_cmp(&distance(b))
        });
        taken.push(nearest.expect("there are as many borders as places"));
    }
    taken.into_iter().map(|border| borders[border]).collect()
}
