//! Regularised evolution: the best of a sample is mutated, the oldest dies.
//!
//! Source: Real, Aggarwal, Huang, Le 2019 (arXiv:1802.01548), algorithm 1, with the population 20 and the
//! sample 5 that suit a hundred evaluations.

use std::collections::VecDeque;

use rand::{Rng, seq::IteratorRandom};
use rand_chacha::ChaCha8Rng;
use search::BudgetFraction;

use super::Searcher;
use crate::table::{Point, Table};

const POPULATION: usize = 20;
const SAMPLE: usize = 5;

pub(super) struct Evolution<'a> {
    table: &'a Table,
    asked: usize,
    /// Oldest first.
    population: VecDeque<(Point, f64)>,
}

impl Evolution<'_> {
    pub(super) fn new(table: &Table) -> Evolution<'_> {
        Evolution {
            table,
            asked: 0,
            population: VecDeque::new(),
        }
    }
}

impl Searcher for Evolution<'_> {
    fn ask(&mut self, _: BudgetFraction, rng: &mut ChaCha8Rng) -> Point {
        self.asked += 1;
        if self.asked <= POPULATION || self.population.is_empty() {
            return self.table.draw(rng);
        }
        let sample = self
            .population
            .iter()
            .choose_multiple(rng, SAMPLE)
            .into_iter();
        let (parent, _) = sample
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .expect("a sample of a population is not empty");
        mutated(self.table, parent, rng)
    }

    fn tell(&mut self, point: &Point, score: f64) {
        self.population.push_back((point.clone(), score));
        if self.population.len() > POPULATION {
            self.population.pop_front();
        }
    }
}

/// One slot at any other level.
pub(super) fn mutated(table: &Table, point: &Point, rng: &mut ChaCha8Rng) -> Point {
    let mut child = point.clone();
    let slot = rng.random_range(0..child.len());
    let drawn = rng.random_range(0..table.slots()[slot].levels - 1);
    child[slot] = drawn + u8::from(drawn >= child[slot]);
    child
}
