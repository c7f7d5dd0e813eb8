//! One search over a table by simulated workers: no clock, a queue of events.

use std::{cmp::Reverse, collections::BinaryHeap};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use search::BudgetFraction;

use crate::{
    searcher::SearcherKind,
    table::{Point, Record, Table},
};

/// How much longer or shorter than usual a training may take, as a share: workers get out of step.
const JITTER: f64 = 0.5;

/// Time units of a usual training: whole numbers, so that events have an order.
const USUAL: f64 = 1e6;

/// Random streams: one for the table's start and the durations, one for each proposal after it.
const FIRST_PROPOSAL: u64 = 1;

/// One search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Who searches.
    pub searcher: SearcherKind,
    /// Models trained at once.
    pub workers: usize,
    /// Models trained in all.
    pub evaluations: usize,
    /// Of everything random.
    pub seed: u64,
}

/// A model that was trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// When it ended, in usual durations of a training.
    pub time: f64,
    /// The best record so far, by its score.
    pub best: Record,
}

/// What a search found, model by model, in the order in which they ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Course {
    /// One for each model.
    pub steps: Vec<Step>,
}

/// Makes one search. The same plan gives the same course.
///
/// # Cost
/// That of the searcher; for lehr's method some ten milliseconds for each evaluation.
pub fn run(table: &Table, plan: &Plan) -> Course {
    let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
    let mut searcher = plan.searcher.start(table, &mut rng);
    let mut running: BinaryHeap<Reverse<(u64, usize, Point)>> = BinaryHeap::new();
    let mut steps = Vec::with_capacity(plan.evaluations);
    let mut best: Option<Record> = None;
    let (mut now, mut asked) = (0, 0);
    while steps.len() < plan.evaluations {
        while running.len() < plan.workers && asked < plan.evaluations {
            let mut stream = ChaCha8Rng::seed_from_u64(plan.seed);
            stream.set_stream(FIRST_PROPOSAL + asked as u64);
            let used = BudgetFraction::clamped(asked as f64 / plan.evaluations as f64);
            let point = searcher.ask(used, &mut stream);
            let takes = USUAL * rng.random_range(1.0 - JITTER..1.0 + JITTER);
            running.push(Reverse((now + takes as u64, asked, point)));
            asked += 1;
        }
        let Reverse((end, _, point)) = running.pop().expect("a worker is busy");
        now = end;
        let record = table.record(&point);
        searcher.tell(&point, record.score);
        let best = best.insert(match best {
            Some(best) if best.score >= record.score => best,
            _ => record,
        });
        steps.push(Step {
            time: now as f64 / USUAL,
            best: *best,
        });
    }
    Course { steps }
}
