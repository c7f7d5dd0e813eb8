//! Simulated annealing of a single model, by its score alone.
//!
//! Source: Kirkpatrick, Gelatt, Vecchi 1983. The temperature falls geometrically with the budget, in units
//! of the standard deviation of the first random scores.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use search::BudgetFraction;

use super::{Searcher, evolution::mutated};
use crate::table::{Point, Table};

/// Random models that the temperature is measured by.
const STARTS: usize = 10;

/// Temperature at the beginning and at the end, in standard deviations of the first scores.
const TEMPERATURES: (f64, f64) = (0.5, 0.005);

pub(super) struct Annealing<'a> {
    table: &'a Table,
    asked: usize,
    first: Vec<f64>,
    current: Option<(Point, f64)>,
    temperature: f64,
    /// What decides whether the next worse model is accepted.
    chance: f64,
}

impl Annealing<'_> {
    pub(super) fn new(table: &Table) -> Annealing<'_> {
        Annealing {
            table,
            asked: 0,
            first: Vec::new(),
            current: None,
            temperature: f64::INFINITY,
            chance: 0.0,
        }
    }
}

impl Searcher for Annealing<'_> {
    fn ask(&mut self, used: BudgetFraction, rng: &mut ChaCha8Rng) -> Point {
        self.asked += 1;
        let (start, end) = TEMPERATURES;
        self.temperature = deviation(&self.first) * start * (end / start).powf(used.get());
        self.chance = rng.random();
        match &self.current {
            Some((current, _)) if self.asked > STARTS => mutated(self.table, current, rng),
            _ => self.table.draw(rng),
        }
    }

    fn tell(&mut self, point: &Point, score: f64) {
        if self.first.len() < STARTS {
            self.first.push(score);
            if self.current.as_ref().is_none_or(|(_, best)| score > *best) {
                self.current = Some((point.clone(), score));
            }
            return;
        }
        let accepted = self
            .current
            .as_ref()
            .is_none_or(|(_, current)| self.chance < ((score - current) / self.temperature).exp());
        if accepted {
            self.current = Some((point.clone(), score));
        }
    }
}

fn deviation(scores: &[f64]) -> f64 {
    let count = scores.len().max(1) as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let squares = scores.iter().map(|score| (score - mean).powi(2));
    (squares.sum::<f64>() / count).sqrt()
}
