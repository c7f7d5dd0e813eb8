//! Multivariate Parzen estimators over all slots, those of the architecture too.

use rand_chacha::ChaCha8Rng;
use search::{BudgetFraction, Parzen as Estimators, Setting, Space};

use super::Searcher;
use crate::table::{Point, Table};

pub(super) struct Parzen<'a> {
    table: &'a Table,
    space: Space,
    settings: Vec<Setting>,
    scores: Vec<f64>,
}

impl Parzen<'_> {
    pub(super) fn new(table: &Table) -> Parzen<'_> {
        Parzen {
            table,
            space: table.whole_space(),
            settings: Vec::new(),
            scores: Vec::new(),
        }
    }
}

impl Searcher for Parzen<'_> {
    fn ask(&mut self, _: BudgetFraction, rng: &mut ChaCha8Rng) -> Point {
        let settings: Vec<&Setting> = self.settings.iter().collect();
        let drawn = Estimators::new(&self.space, &settings, &self.scores).draw(rng);
        self.table.point_of(&drawn)
    }

    fn tell(&mut self, point: &Point, score: f64) {
        self.settings.push(self.table.setting_of(point));
        self.scores.push(score);
    }
}
