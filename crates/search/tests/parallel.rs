//! Many workers at once search like one: what they have under way is no reason to edit otherwise.
//!
//! Trainings of unequal length by simulated workers, and made-up scores that take no time: a network is
//! the better, the nearer its size, its depth and its learning rate are to a place, and the more of its
//! layers are joined by skips or concatenations. If joints were worth nothing beyond a few of them, one
//! worker, who knows more by the same trial, would leave them sooner: that is progress and not
//! parallelism. How much sooner many workers find good models is measured on recorded tables by
//! `lehr bench search`.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::{cmp::Reverse, collections::BinaryHeap};

use morph::{Layer, Morph, Shape};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use search::{
    BudgetFraction, Domain, Fingerprint, Origin, Outcome, Parameter, Pool, PoolEntry, Proposal,
    Scale, SearchSettings, Space, Surrogate, Task, TrialId, Value, propose,
};

const TASK: Task = Task {
    input: Shape::Image {
        channels: 3,
        height: 16,
        width: 16,
    },
    tokens: None,
    outputs: 10,
};

/// Workers of the parallel studies.
const WORKERS: usize = 64;

/// By how much the shares may differ, as a part of the one of a single worker.
const DIFFERENCE_MAX: f64 = 0.2;

/// Morphs of the variants of some studies, and how many of them are joints.
#[derive(Clone, Copy, Debug, Default)]
struct Morphs {
    all: usize,
    skips: usize,
    concats: usize,
}

impl Morphs {
    fn count(&mut self, origin: &Origin) {
        let Origin::Variant { morphs, .. } = origin else {
            return;
        };
        let of = |is: fn(&Morph) -> bool| morphs.iter().filter(|morph| is(morph)).count();
        self.all += morphs.len();
        self.skips += of(|morph| matches!(morph, Morph::AddSkip { .. }));
        self.concats += of(|morph| matches!(morph, Morph::ConcatSkip { .. }));
    }

    /// Of skips, of concatenations and of both together.
    fn shares(&self) -> [f64; 3] {
        let counts = [self.skips, self.concats, self.skips + self.concats];
        counts.map(|count| count as f64 / self.all as f64)
    }
}

/// Best at 60,000 parameters, 12 layers with weights and learning rate 0.01; every joint is worth a little, so
/// that they never become pointless; and a fifth of a decade of noise, which is the same every time.
fn score(proposal: &Proposal) -> f64 {
    let architecture = &proposal.architecture;
    let layers = || architecture.ids().map(|id| architecture.layer(id));
    let size = (architecture.cost().parameters as f64 / 60_000.0).log10();
    let depth = (layers().filter(|layer| layer.has_weights()).count() as f64 - 12.0) / 6.0;
    let joints = layers().filter(|layer| matches!(layer, Layer::Add | Layer::Concat));
    let rate = match proposal.setting.value("learning_rate") {
        Some(Value::Float(rate)) => (rate / 0.01).log10(),
        other => panic!("a learning rate is a float, not {other:?}"),
    };
    let text = Fingerprint::of(architecture, &proposal.setting).to_string();
    let noise = f64::from(u32::from_str_radix(&text[..8], 16).unwrap()) / f64::from(u32::MAX);
    0.0625 * joints.count() as f64 + 0.2 * noise - size.hypot(depth).hypot(rate)
}

/// Makes one study of so many trials, so many of them at once.
fn explore(workers: usize, trials: u64, study: u64, met: &mut Morphs) {
    // Fewer candidates and hyperparameters than in a study: a test should not take longer than it must.
    let rates = Domain::Float {
        low: 3e-4,
        high: 3e-2,
        scale: Scale::Log,
    };
    let rate = Parameter::new("learning_rate", rates, None).unwrap();
    let settings = SearchSettings {
        space: Space::new(vec![rate]).unwrap(),
        variants: 4,
        fresh: 2,
        ..SearchSettings::default()
    };
    let (mut pool, mut surrogate) = (Pool::default(), Surrogate::default());
    let mut durations = ChaCha8Rng::seed_from_u64(study);
    let mut running: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let (mut now, mut proposals) = (0, Vec::new());
    while (pool.entries().len() as u64) < trials {
        while running.len() < workers && (proposals.len() as u64) < trials {
            let asked = proposals.len() as u64;
            let mut rng = ChaCha8Rng::seed_from_u64(study);
            rng.set_stream(1 + asked);
            let used = BudgetFraction::clamped(asked as f64 / trials as f64);
            let proposal =
                propose(&pool, &mut surrogate, used, &TASK, &settings, &mut rng).unwrap();
            met.count(&proposal.origin);
            pool.add_pending(proposal.architecture.clone(), proposal.setting.clone());
            running.push(Reverse((now + durations.random_range(500..1500), asked)));
            proposals.push(proposal);
        }
        let Reverse((end, trial)) = running.pop().unwrap();
        now = end;
        let proposal: &Proposal = &proposals[trial as usize];
        let parent = match proposal.origin {
            Origin::Variant { parent, .. } => Some(parent),
            _ => None,
        };
        let entry = PoolEntry {
            trial: TrialId(trial + 1),
            sequence: pool.entries().len() as u64 + 1,
            architecture: proposal.architecture.clone(),
            setting: proposal.setting.clone(),
            outcome: Outcome::Scored(score(proposal)),
            parent,
        };
        pool.push(entry).unwrap();
    }
}

/// The morphs of serial and of parallel studies, by the same seeds.
fn compared(studies: u64, trials: u64) -> [Morphs; 2] {
    [1, WORKERS].map(|workers| {
        let mut met = Morphs::default();
        (0..studies).for_each(|study| explore(workers, trials, study, &mut met));
        met
    })
}

#[test]
fn workers_in_parallel_try_skips_and_concats_as_often_as_one_worker() {
    let [serial, parallel] = compared(2, 160).map(|met| met.shares()[2]);
    let difference = (parallel / serial - 1.0).abs();
    assert!(
        difference <= DIFFERENCE_MAX,
        "{serial:.3} and {parallel:.3}"
    );
}

#[test]
#[ignore = "takes minutes: the same with more studies, by kind"]
fn over_many_studies_each_kind_is_tried_as_often() {
    let [serial, parallel] = compared(20, 300).map(|met| met.shares());
    for (serial, parallel) in serial.into_iter().zip(parallel) {
        let difference = (parallel / serial - 1.0).abs();
        assert!(difference <= DIFFERENCE_MAX, "{serial:.3}, {parallel:.3}");
    }
}
