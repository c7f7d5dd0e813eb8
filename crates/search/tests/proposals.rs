//! What every proposal promises, whatever the pool: nothing twice, nothing beyond a limit, always
//! the same for the same arguments, and exactly what replaying its morphs gives.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::collections::BTreeSet;

use morph::{Architecture, ChannelImportance, Morph, Shape, seeds};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::{
    BudgetFraction, Fingerprint, Hyperparameters, Limits, Origin, Outcome, Pool, PoolEntry,
    Proposal, SearchError, SearchSettings, Space, Strategy as Search, Surrogate, Task, TaskHint,
    TrialId, Value, propose, propose_several,
};

const TABLE: Task = Task {
    input: Shape::Flat { features: 12 },
    tokens: None,
    outputs: 3,
};
const IMAGE: Task = Task {
    input: Shape::Image {
        channels: 1,
        height: 8,
        width: 8,
    },
    tokens: None,
    outputs: 4,
};

fn settings(strategy: Search, hint: TaskHint) -> SearchSettings {
    // A few variants are enough to see what holds for each of them.
    let space = Space::default_for(hint);
    SearchSettings {
        strategy,
        space,
        variants: 2,
        ..SearchSettings::default()
    }
}

fn next(pool: &Pool, used: f64, task: &Task, settings: &SearchSettings, seed: u64) -> Proposal {
    let mut anew = Surrogate::default();
    next_by(&mut anew, pool, used, task, settings, seed)
}

fn next_by(
    surrogate: &mut Surrogate,
    pool: &Pool,
    used: f64,
    task: &Task,
    settings: &SearchSettings,
    seed: u64,
) -> Proposal {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    propose(
        pool,
        surrogate,
        BudgetFraction::clamped(used),
        task,
        settings,
        &mut rng,
    )
    .unwrap()
}

fn parent(origin: &Origin) -> Option<TrialId> {
    match origin {
        Origin::Variant { parent, .. } => Some(*parent),
        _ => None,
    }
}

/// A made-up score: any function that tells proposals apart will do.
fn score(proposal: &Proposal) -> f64 {
    let text = Fingerprint::of(&proposal.architecture, &proposal.setting).to_string();
    f64::from(u32::from_str_radix(&text[..8], 16).unwrap())
}

/// Trains `trials` proposals one after the other; every seventh fails.
fn explored(task: &Task, settings: &SearchSettings, trials: u64) -> (Pool, Vec<Proposal>) {
    let mut pool = Pool::default();
    let mut proposals = Vec::new();
    for sequence in 1..=trials {
        let used = sequence as f64 / trials as f64;
        let proposal = next(&pool, used, task, settings, sequence);
        let outcome = match sequence % 7 {
            0 => Outcome::Failed,
            _ => Outcome::Scored(score(&proposal)),
        };
        let entry = PoolEntry {
            trial: TrialId(sequence),
            sequence,
            architecture: proposal.architecture.clone(),
            setting: proposal.setting.clone(),
            outcome,
            parent: parent(&proposal.origin),
        };
        pool.push(entry).unwrap();
        proposals.push(proposal);
    }
    (pool, proposals)
}

fn replayed(start: &Architecture, morphs: &[Morph]) -> Architecture {
    morphs.iter().fold(start.clone(), |architecture, morph| {
        morph
            .apply(&architecture, &ChannelImportance::unknown())
            .unwrap()
            .architecture
    })
}

#[test]
fn the_first_proposals_are_the_seeds_with_default_hyperparameters() {
    for (task, hint, seeds) in [
        (TABLE, TaskHint::Table, seeds::table_seeds(12, 3)),
        (IMAGE, TaskHint::Image, seeds::image_seeds(IMAGE.input, 4)),
    ] {
        let settings = settings(Search::Annealing, hint);
        let (_, proposals) = explored(&task, &settings, seeds.len() as u64);
        for (proposal, (name, architecture)) in proposals.iter().zip(seeds) {
            assert_eq!(proposal.architecture, architecture);
            assert_eq!(proposal.setting, settings.space.defaults());
            assert_eq!(
                proposal.origin,
                Origin::Seed {
                    name: name.to_string()
                }
            );
        }
    }
}

#[test]
fn replaying_a_proposals_morphs_gives_exactly_its_architecture() {
    for (task, hint) in [(TABLE, TaskHint::Table), (IMAGE, TaskHint::Image)] {
        let (pool, proposals) = explored(&task, &settings(Search::Annealing, hint), 60);
        let mut seeds = seeds::table_seeds(12, 3);
        seeds.extend(seeds::image_seeds(IMAGE.input, 4));
        let mut variants = 0;
        for proposal in &proposals {
            let (start, morphs) = match &proposal.origin {
                Origin::Seed { .. } => continue,
                Origin::Fresh { seed, morphs } => {
                    let (_, start) = seeds.iter().find(|(name, _)| name == seed).unwrap();
                    (start, morphs)
                }
                Origin::Variant { parent, morphs, .. } => {
                    variants += 1;
                    (&pool.entries()[parent.0 as usize - 1].architecture, morphs)
                }
                Origin::Retrained { .. } => panic!("a generator trains nothing once more"),
            };
            assert_eq!(
                replayed(start, morphs),
                proposal.architecture,
                "{}",
                proposal.origin
            );
        }
        assert!(variants > 25, "only {variants} variants");
    }
}

#[test]
fn a_variants_parent_is_a_target_and_targets_are_base_models_that_have_a_score() {
    let (pool, proposals) = explored(&TABLE, &settings(Search::Annealing, TaskHint::Table), 80);
    for (place, proposal) in proposals.iter().enumerate() {
        let Origin::Variant {
            parent,
            temperature,
            base_models,
            targets,
            morphs,
        } = &proposal.origin
        else {
            continue;
        };
        assert!(targets.contains(parent) && targets.len() <= 4 && base_models.len() <= 16);
        assert!(targets.iter().all(|target| base_models.contains(target)));
        assert!((0.1..=1.0).contains(temperature));
        // Nothing is limited here, so no chain was repaired. Without a morph it has another setting.
        let parent = &pool.entries()[parent.0 as usize - 1];
        let unedited = morphs.is_empty() && proposal.setting != parent.setting;
        assert!(unedited || (1..=3).contains(&morphs.len()));
        for base in base_models {
            assert!(base.0 as usize <= place, "trial {base} had not ended");
            assert!(pool.entries()[base.0 as usize - 1].score().is_some());
        }
    }
}

#[test]
fn sixty_four_proposals_in_a_row_from_one_pool_are_all_distinct() {
    for strategy in [Search::Annealing, Search::Random] {
        let settings = settings(strategy, TaskHint::Table);
        // From nothing, when no seed has ended yet, and from a pool that knows something.
        for known in [0, 20] {
            let (mut pool, _) = explored(&TABLE, &settings, known);
            let mut met: BTreeSet<Fingerprint> = pool
                .entries()
                .iter()
                .map(|entry| Fingerprint::of(&entry.architecture, &entry.setting))
                .collect();
            for seed in 0..64 {
                let proposal = next(&pool, 0.5, &TABLE, &settings, seed);
                let fingerprint = Fingerprint::of(&proposal.architecture, &proposal.setting);
                assert!(met.insert(fingerprint), "{strategy}: {}", proposal.origin);
                pool.add_pending(proposal.architecture, proposal.setting);
            }
        }
    }
}

/// `LEHR_PROPOSALS` of them, 20,000 if it is not set; a million take some minutes.
/// As studies propose: several from one look at the pool, while dozens are under way that end out of order.
#[test]
fn batches_beside_what_is_under_way_hold_nothing_twice() {
    const AT_ONCE: usize = 64;
    const BATCH: usize = 6;
    let settings = settings(Search::Annealing, TaskHint::Table);
    let (mut pool, mut surrogate) = (Pool::default(), Surrogate::default());
    let mut known = BTreeSet::new();
    let mut running: Vec<Proposal> = Vec::new();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut batches = 0;
    while known.len() < 300 {
        let used = BudgetFraction::clamped(known.len() as f64 / 300.0);
        let batch = propose_several(
            BATCH,
            &pool,
            &mut surrogate,
            used,
            &TABLE,
            &settings,
            &mut rng,
        )
        .unwrap();
        batches += usize::from(batch.len() > 1);
        for proposal in batch {
            let fingerprint = Fingerprint::of(&proposal.architecture, &proposal.setting);
            assert!(known.insert(fingerprint), "proposal {}", known.len());
            pool.add_pending(proposal.architecture.clone(), proposal.setting.clone());
            running.push(proposal);
        }
        while running.len() > AT_ONCE {
            let ended = running.swap_remove(known.len() * 31 % AT_ONCE);
            let sequence = pool.entries().len() as u64 + 1;
            let entry = PoolEntry {
                trial: TrialId(sequence),
                sequence,
                parent: parent(&ended.origin),
                outcome: Outcome::Scored(score(&ended)),
                architecture: ended.architecture,
                setting: ended.setting,
            };
            pool.push(entry).unwrap();
        }
    }
    assert_eq!(pool.pending(), AT_ONCE);
    assert!(batches > 30, "only {batches} looks gave several");
}

#[test]
fn no_model_is_proposed_twice_however_many_are() {
    let asked = std::env::var("LEHR_PROPOSALS").map(|count| count.parse().unwrap());
    let proposals: u64 = asked.unwrap_or(20_000);
    // A study of a thousand trials, again and again with other seeds.
    for study in 0..proposals.div_ceil(1000) {
        let (task, hint) = match study % 2 {
            0 => (&TABLE, TaskHint::Table),
            _ => (&IMAGE, TaskHint::Image),
        };
        let settings = SearchSettings {
            targets: 1,
            fresh: 1,
            ..settings(Search::Unscreened, hint)
        };
        let mut pool = Pool::default();
        let mut known = BTreeSet::new();
        for sequence in 1..=1000 {
            let seed = study * 1000 + sequence;
            let used = sequence as f64 / 1000.0;
            let proposal = next(&pool, used, task, &settings, seed);
            let fingerprint = Fingerprint::of(&proposal.architecture, &proposal.setting);
            assert!(known.insert(fingerprint), "study {study}, trial {sequence}");
            let outcome = match seed % 7 {
                0 => Outcome::Failed,
                1 => Outcome::Stopped { expected: -1.0 },
                _ => Outcome::Scored(score(&proposal)),
            };
            pool.push(PoolEntry {
                trial: TrialId(sequence),
                sequence,
                parent: parent(&proposal.origin),
                architecture: proposal.architecture,
                setting: proposal.setting,
                outcome,
            })
            .unwrap();
        }
    }
}

#[test]
fn the_same_pool_and_seed_give_the_same_proposal() {
    let settings = settings(Search::Annealing, TaskHint::Table);
    let (pool, proposals) = explored(&TABLE, &settings, 40);
    let (again, repeated) = explored(&TABLE, &settings, 40);
    assert_eq!(proposals, repeated);
    let mut differing = 0;
    for seed in 0..20 {
        let proposal = next(&pool, 0.5, &TABLE, &settings, seed);
        assert_eq!(proposal, next(&again, 0.5, &TABLE, &settings, seed));
        differing += usize::from(proposal != next(&pool, 0.5, &TABLE, &settings, seed + 100));
    }
    assert_eq!(differing, 20);
}

#[test]
fn a_searcher_that_followed_the_pool_and_one_made_anew_propose_the_same() {
    let settings = settings(Search::Annealing, TaskHint::Table);
    let (whole, _) = explored(&TABLE, &settings, 60);
    let (mut pool, mut kept) = (Pool::default(), Surrogate::default());
    let mut screened = 0;
    for (entry, seed) in whole.entries().iter().zip(0..) {
        pool.push(entry.clone()).unwrap();
        let used = pool.entries().len() as f64 / 60.0;
        let proposal = next_by(&mut kept, &pool, used, &TABLE, &settings, seed);
        assert_eq!(proposal, next(&pool, used, &TABLE, &settings, seed));
        screened += usize::from(proposal.promise.is_some());
    }
    assert!(screened > 40, "only {screened} proposals were screened");
}

#[test]
fn random_proposals_do_not_look_at_scores_and_inherit_nothing() {
    let settings = settings(Search::Random, TaskHint::Table);
    let (_, proposals) = explored(&TABLE, &settings, 30);
    for (proposal, seed) in proposals.iter().zip(1..) {
        assert!(matches!(proposal.origin, Origin::Fresh { .. }));
        assert_eq!(
            *proposal,
            next(&Pool::default(), 0.0, &TABLE, &settings, seed)
        );
    }
}

#[test]
fn without_a_screen_fresh_draws_have_the_chance_of_any_candidate() {
    let settings = SearchSettings {
        fresh: 4,
        ..settings(Search::Unscreened, TaskHint::Table)
    };
    let (pool, _) = explored(&TABLE, &settings, 20);
    let fresh = (0..300)
        .filter(|seed| {
            let origin = next(&pool, 0.5, &TABLE, &settings, *seed).origin;
            matches!(origin, Origin::Fresh { .. })
        })
        .count() as f64;
    // 4 beside 8 variants, a few of which are not legal; four standard deviations are 33.
    assert!((fresh - 105.0).abs() < 38.0, "{fresh} of 300");
}

/// What a study is told that has trained a linear model and nothing else.
fn told_of(limits: Limits) -> String {
    let settings = SearchSettings {
        limits,
        ..settings(Search::Annealing, TaskHint::Table)
    };
    let mut pool = Pool::default();
    pool.push(PoolEntry {
        trial: TrialId(1),
        sequence: 1,
        architecture: "in 12 | dense 3".parse().unwrap(),
        setting: settings.space.defaults(),
        outcome: Outcome::Scored(0.5),
        parent: None,
    })
    .unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (used, mut anew) = (BudgetFraction::default(), Surrogate::default());
    let proposed = propose(&pool, &mut anew, used, &TABLE, &settings, &mut rng);
    proposed.unwrap_err().to_string()
}

#[test]
fn limits_that_nothing_meets_are_named_with_what_the_nearest_seed_needs() {
    let limits = Limits {
        parameters: Some(10),
        ..Limits::default()
    };
    insta::assert_snapshot!(told_of(limits), @"no model was found within the limits (at most 10 parameters): of the seed architectures the one nearest to them needs 39 parameters where 10 are allowed; raise that limit");
    let of_each = Limits {
        networks: Some(5),
        ..limits
    };
    insta::assert_snapshot!(told_of(of_each), @"no model was found within the limits (for each of 5 networks at most 10 parameters): of the seed architectures the one nearest to them needs 39 parameters where 10 are allowed; raise that limit, or have fewer folds or repeats");
}

#[test]
fn whichever_limit_nothing_meets_is_the_one_that_is_named() {
    let limits = Limits::default();
    let (flops, memory_bytes, file_bytes, layers) = (Some(20), Some(1000), Some(900), Some(2));
    for (limits, told) in [
        (
            Limits { flops, ..limits },
            "72 operations per example where 20 are allowed; raise that limit",
        ),
        (
            Limits {
                memory_bytes,
                ..limits
            },
            "11088 bytes of training memory where 1000 are allowed; raise that limit",
        ),
        (
            Limits {
                file_bytes,
                ..limits
            },
            "2076 bytes as a file where 900 are allowed; raise that limit",
        ),
        (
            Limits { layers, ..limits },
            "3 layers where 2 are allowed; have fewer folds or repeats",
        ),
    ] {
        let said = told_of(limits);
        assert!(said.ends_with(told), "{said}");
    }
}

#[test]
fn where_no_seed_fits_the_limits_the_first_proposals_promise_something_finite() {
    let limits = Limits {
        parameters: Some(1500),
        ..Limits::default()
    };
    let settings = SearchSettings {
        limits,
        ..settings(Search::Annealing, TaskHint::Image)
    };
    for seed in 0..10 {
        let proposal = next(&Pool::default(), 0.0, &IMAGE, &settings, seed);
        assert!(matches!(proposal.origin, Origin::Fresh { .. }));
        let promise = proposal.promise.unwrap();
        assert!(promise.improvement.is_finite(), "{promise:?}");
    }
}

#[test]
fn data_that_no_seed_takes_are_refused() {
    let task = Task {
        input: Shape::Sequence {
            channels: 0,
            length: 50,
        },
        tokens: None,
        outputs: 3,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let settings = SearchSettings::default();
    let used = BudgetFraction::default();
    let error = propose(
        &Pool::default(),
        &mut Surrogate::default(),
        used,
        &task,
        &settings,
        &mut rng,
    )
    .unwrap_err();
    insta::assert_snapshot!(error, @"no seed architecture takes examples of shape 0x50 and gives 3 value(s): tables, images, series and texts with at least one of each are searched");
}

#[test]
fn a_search_that_has_seen_everything_says_so() {
    // With no hyperparameters and room for little more than the linear model, nothing is left soon.
    let limits = Limits {
        parameters: Some(39),
        ..Limits::default()
    };
    let settings = SearchSettings {
        limits,
        ..SearchSettings::default()
    };
    let (mut pool, mut surrogate) = (Pool::default(), Surrogate::default());
    let used = BudgetFraction::default();
    let error = (0..2000)
        .find_map(|seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            match propose(&pool, &mut surrogate, used, &TABLE, &settings, &mut rng) {
                Ok(proposal) => {
                    assert!(limits.allow(&proposal.architecture, &proposal.setting));
                    pool.add_pending(proposal.architecture, proposal.setting);
                    None
                }
                Err(error) => Some(error),
            }
        })
        .unwrap();
    assert!(
        matches!(
            error,
            SearchError::Exhausted {
                ended: 0,
                pending: 1..
            }
        ),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_proposal_exceeds_any_limit(
        parameters in 200_u64..20_000,
        flops in 1_000_u64..100_000,
        memory in 30_000_u64..3_000_000,
        file in 5_000_u64..100_000,
        layers in 12_u64..40,
        seed in 0_u64..1000,
    ) {
        let limits = Limits {
            parameters: Some(parameters),
            flops: Some(flops),
            memory_bytes: Some(memory),
            file_bytes: Some(file),
            layers: Some(layers),
            ..Limits::default()
        };
        let settings = SearchSettings { limits, ..settings(Search::Annealing, TaskHint::Table) };
        let (mut pool, mut surrogate) = (Pool::default(), Surrogate::default());
        for sequence in 1..=15 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed + sequence);
            let used = BudgetFraction::clamped(0.3);
            let proposal =
                propose(&pool, &mut surrogate, used, &TABLE, &settings, &mut rng).unwrap();
            prop_assert!(limits.allow(&proposal.architecture, &proposal.setting));
            let outcome = Outcome::Scored(score(&proposal));
            let parent = parent(&proposal.origin);
            let Proposal { architecture, setting, .. } = proposal;
            let trial = TrialId(sequence);
            let entry = PoolEntry { trial, sequence, architecture, setting, outcome, parent };
            pool.push(entry).unwrap();
        }
    }
}

#[test]
fn hyperparameters_by_parzen_estimators_are_legal_and_gather_where_scores_are_high() {
    let settings = SearchSettings {
        hyperparameters: Hyperparameters::Parzen,
        ..settings(Search::Unscreened, TaskHint::Table)
    };
    let mut pool = Pool::default();
    let mut surrogate = Surrogate::default();
    let mut late = Vec::new();
    for sequence in 1..=80 {
        let mut rng = ChaCha8Rng::seed_from_u64(sequence);
        let used = BudgetFraction::clamped(0.5);
        let proposal = propose(&pool, &mut surrogate, used, &TABLE, &settings, &mut rng).unwrap();
        assert_eq!(settings.space.clamp(&proposal.setting), proposal.setting);
        let Some(Value::Float(rate)) = proposal.setting.value("learning_rate") else {
            panic!("a learning rate is a float");
        };
        // The range is two decades, 3e-4 to 3e-2; the best rate lies at its lower end.
        let decades = (rate / 5e-4).log10().abs();
        if sequence > 40 {
            late.push(decades);
        }
        pool.push(PoolEntry {
            trial: TrialId(sequence),
            sequence,
            architecture: proposal.architecture,
            setting: proposal.setting,
            outcome: Outcome::Scored(-decades),
            parent: None,
        })
        .unwrap();
    }
    let mean = late.iter().sum::<f64>() / late.len() as f64;
    // Drawn uniformly it is 0.81.
    assert!(mean < 0.6, "{mean}");
}
