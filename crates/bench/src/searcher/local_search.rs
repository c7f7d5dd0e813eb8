//! Local search: all neighbours of the current model are tried, the search moves to a better one, and starts
//! anew where there is none.
//!
//! Source: White, Nolen, Savani 2021 (arXiv:2005.02960), algorithm 1, in the form that moves to the first
//! better neighbour instead of the best one, which is better on these tables.

use std::collections::BTreeSet;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use search::BudgetFraction;

use super::Searcher;
use crate::table::{Point, Table};

/// Draws of a new start until a known one is taken again.
const STARTS_MAX: usize = 64;

pub(super) struct LocalSearch<'a> {
    table: &'a Table,
    current: Option<(Point, f64)>,
    /// Neighbours of the current model that were not tried, the next one last.
    left: Vec<Point>,
    /// The start that the search waits for.
    start: Option<Point>,
    /// Whether the neighbours of the current model are to be listed.
    moved: bool,
    known: BTreeSet<usize>,
}

impl LocalSearch<'_> {
    pub(super) fn new(table: &Table) -> LocalSearch<'_> {
        LocalSearch {
            table,
            current: None,
            left: Vec::new(),
            start: None,
            moved: false,
            known: BTreeSet::new(),
        }
    }

    fn neighbours(&self, point: &Point) -> Vec<Point> {
        let slots = self.table.slots().iter().enumerate();
        let others = slots.flat_map(|(slot, levels)| {
            (0..levels.levels)
                .filter(move |level| *level != point[slot])
                .map(move |level| {
                    let mut neighbour = point.clone();
                    neighbour[slot] = level;
                    neighbour
                })
        });
        others.collect()
    }
}

impl Searcher for LocalSearch<'_> {
    fn ask(&mut self, _: BudgetFraction, rng: &mut ChaCha8Rng) -> Point {
        if let (true, Some((current, _))) = (self.moved, &self.current) {
            self.left = self.neighbours(current);
            self.left.shuffle(rng);
            self.moved = false;
        }
        while let Some(next) = self.left.pop() {
            if self.known.insert(self.table.place(&next)) {
                return next;
            }
        }
        let mut start = self.table.draw(rng);
        for _ in 0..STARTS_MAX {
            if self.known.insert(self.table.place(&start)) {
                break;
            }
            start = self.table.draw(rng);
        }
        // With several workers more than one start may be under way; the newest is waited for.
        self.start = Some(start.clone());
        start
    }

    fn tell(&mut self, point: &Point, score: f64) {
        let starts = self.start.as_ref() == Some(point);
        let better = self.current.as_ref().is_none_or(|(_, best)| score > *best);
        if starts || (better && self.start.is_none()) {
            self.current = Some((point.clone(), score));
            self.moved = true;
            self.start = None;
        }
    }
}
