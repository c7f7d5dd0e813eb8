//! Models drawn at random, none twice as long as there are others.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use search::BudgetFraction;

use super::Searcher;
use crate::table::{Point, Table};

/// Draws until a known model is taken again.
const DRAWS_MAX: usize = 64;

pub(super) struct Random<'a> {
    table: &'a Table,
    asked: BTreeSet<usize>,
}

impl Random<'_> {
    pub(super) fn new(table: &Table) -> Random<'_> {
        let asked = BTreeSet::new();
        Random { table, asked }
    }
}

impl Searcher for Random<'_> {
    fn ask(&mut self, _: BudgetFraction, rng: &mut ChaCha8Rng) -> Point {
        let mut point = self.table.draw(rng);
        for _ in 0..DRAWS_MAX {
            if self.asked.insert(self.table.place(&point)) {
                break;
            }
            point = self.table.draw(rng);
        }
        point
    }

    fn tell(&mut self, _: &Point, _: f64) {}
}
