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
    /// Places of the starts that are under way: with several workers there may be several.
    starts: BTreeSet<usize>,
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
            starts: BTreeSet::new(),
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
        self.starts.insert(self.table.place(&start));
        start
    }

    fn tell(&mut self, point: &Point, score: f64) {
        let is_start = self.starts.remove(&self.table.place(point));
        let is_better = self.current.as_ref().is_none_or(|(_, best)| score > *best);
        let is_used_up = self.left.is_empty() && !self.moved;
        if is_better || (is_start && is_used_up) {
            self.current = Some((point.clone(), score));
            self.moved = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use rand::SeedableRng;

    use super::*;
    use crate::table::made;

    fn asked(search: &mut LocalSearch<'_>, number: u64) -> Point {
        let mut rng = ChaCha8Rng::seed_from_u64(number);
        search.ask(BudgetFraction::default(), &mut rng)
    }

    #[test]
    fn one_worker_tries_all_neighbours_until_one_is_better_before_it_starts_anew() {
        let table = made::table();
        let mut search = LocalSearch::new(&table);
        let mut tried = BTreeSet::new();
        let mut current: Option<(Point, f64)> = None;
        let mut starts = 0;
        for number in 0..300 {
            let point = asked(&mut search, number);
            let score = table.record(&point).score;
            let neighbours = match &current {
                Some((current, _)) => search.neighbours(current),
                None => Vec::new(),
            };
            let is_start = neighbours
                .iter()
                .all(|neighbour| tried.contains(&table.place(neighbour)));
            assert!(is_start || neighbours.contains(&point));
            starts += usize::from(is_start);
            if is_start || current.as_ref().is_none_or(|(_, best)| score > *best) {
                current = Some((point.clone(), score));
            }
            tried.insert(table.place(&point));
            search.tell(&point, score);
            assert_eq!(search.current, current);
        }
        assert!(starts > 2, "{starts}");
    }

    #[test]
    fn many_workers_try_neighbours_of_the_best_as_one_does() {
        let table = made::table();
        let mut search = LocalSearch::new(&table);
        let mut running = VecDeque::new();
        let mut near = 0;
        for number in 0..100 {
            let point = asked(&mut search, number);
            let current = search.current.as_ref();
            near += usize::from(
                current.is_some_and(|(current, _)| search.neighbours(current).contains(&point)),
            );
            running.push_back(point);
            if running.len() == 8 {
                let point = running.pop_front().expect("eight are running");
                search.tell(&point, table.record(&point).score);
            }
        }
        assert!(near > 50, "{near} of 100");
    }
}
