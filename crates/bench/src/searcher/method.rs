//! lehr's method, the very code that a study runs, on the models of a table.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use search::{
    BudgetFraction, Fingerprint, Origin, Outcome, Pool, PoolEntry, SearchSettings, Strategy,
    Surrogate, TrialId, propose_among,
};

use super::Searcher;
use crate::table::{Point, Table, TableModels};

/// Random models that a search starts with: as many as a study of images has seed architectures.
const STARTS: usize = 5;

pub(super) struct Method<'a> {
    table: &'a Table,
    models: TableModels<'a>,
    settings: SearchSettings,
    pool: Pool,
    surrogate: Surrogate,
    /// Parents of the models under way.
    parents: BTreeMap<Fingerprint, Option<TrialId>>,
}

impl Method<'_> {
    pub(super) fn new<'a>(
        table: &'a Table,
        strategy: Strategy,
        rng: &mut ChaCha8Rng,
    ) -> Method<'a> {
        let starts = (0..STARTS).map(|_| table.draw(rng)).collect();
        Method {
            table,
            models: TableModels::new(table, starts),
            settings: SearchSettings {
                strategy,
                ..SearchSettings::default()
            },
            pool: Pool::default(),
            surrogate: Surrogate::default(),
            parents: BTreeMap::new(),
        }
    }
}

impl Searcher for Method<'_> {
    fn ask(&mut self, used: BudgetFraction, rng: &mut ChaCha8Rng) -> Point {
        let proposal = propose_among(
            &self.models,
            &self.pool,
            &mut self.surrogate,
            used,
            &self.settings,
            rng,
        );
        let Some(proposal) = proposal else {
            // The whole table is known.
            return self.table.draw(rng);
        };
        let parent = match proposal.origin {
            Origin::Variant { parent, .. } => Some(parent),
            _ => None,
        };
        let point = self.table.point(&proposal.architecture, &proposal.setting);
        let fingerprint = Fingerprint::of(&proposal.architecture, &proposal.setting);
        self.parents.insert(fingerprint, parent);
        self.pool
            .add_pending(proposal.architecture, proposal.setting);
        point
    }

    fn tell(&mut self, point: &Point, score: f64) {
        let (architecture, setting) = self.table.model(point);
        let fingerprint = Fingerprint::of(&architecture, &setting);
        let sequence = self.pool.entries().len() as u64 + 1;
        let entry = PoolEntry {
            trial: TrialId(sequence),
            sequence,
            architecture,
            setting,
            outcome: Outcome::Scored(score),
            parent: self.parents.remove(&fingerprint).flatten(),
        };
        self.pool.push(entry).expect("sequence numbers count up");
    }
}
