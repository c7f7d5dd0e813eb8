//! Which of the legal candidates are proposed.
//!
//! The one that is expected to improve most on the best model so far, as the surrogate says, and behind it, if
//! more are wanted at once, the best of other parents; or any, to see what the surrogate is good for.

use std::collections::BTreeSet;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    fingerprint::Fingerprint,
    origin::{Origin, Proposal},
    pool::Pool,
    space::Space,
    surrogate::{Promise, Surrogate},
};

/// The candidates with the largest expected improvement, at most so many, the best first; of one parent
/// only its best, since two of its children say much the same.
///
/// Of candidates that promise the same the first is taken: they come in random order.
///
/// # Cost
/// That of [`Surrogate::follow`] and [`Surrogate::promises`], however many are wanted.
pub fn screen(
    candidates: Vec<Proposal>,
    count: usize,
    surrogate: &mut Surrogate,
    pool: &Pool,
    space: &Space,
) -> Vec<Proposal> {
    if candidates.is_empty() {
        return candidates;
    }
    surrogate.follow(pool, space);
    let models = candidates
        .iter()
        .map(|one| (&one.architecture, &one.setting));
    let promises = surrogate.promises(pool, space, models);
    let mut promised: Vec<(Promise, Proposal)> = promises.into_iter().zip(candidates).collect();
    // A stable sort: the first of equals stays first.
    promised.sort_by(|(a, _), (b, _)| b.improvement.total_cmp(&a.improvement));
    let (mut parents, mut models) = (BTreeSet::new(), BTreeSet::new());
    let chosen = promised.into_iter().filter(|(_, one)| {
        let is_first_of_parent = match one.origin {
            Origin::Variant { parent, .. } => parents.insert(parent),
            _ => true,
        };
        is_first_of_parent && models.insert(Fingerprint::of(&one.architecture, &one.setting))
    });
    let chosen = chosen.take(count).map(|(promise, proposal)| Proposal {
        promise: Some(promise),
        ..proposal
    });
    chosen.collect()
}

/// Any candidate, all with equal chances; `None` if there is none.
pub fn any(mut candidates: Vec<Proposal>, rng: &mut ChaCha8Rng) -> Option<Proposal> {
    if candidates.is_empty() {
        return None;
    }
    let chosen = rng.random_range(0..candidates.len());
    Some(candidates.swap_remove(chosen))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::{
        pool::{Outcome, PoolEntry, TrialId},
        setting::Setting,
    };

    fn candidate(text: &str) -> Proposal {
        Proposal {
            architecture: text.parse().unwrap(),
            setting: Setting::default(),
            origin: Origin::Seed {
                name: text.to_string(),
            },
            promise: None,
        }
    }

    #[test]
    fn any_candidate_has_the_same_chance() {
        let names = [
            "in 4 | dense 2",
            "in 4 | dense 3",
            "in 4 | dense 4",
            "in 4 | dense 5",
        ];
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut met = [0; 4];
        for _ in 0..4000 {
            let chosen = any(names.map(candidate).to_vec(), &mut rng).unwrap();
            let place = names.iter().position(|name| candidate(name) == chosen);
            met[place.unwrap()] += 1;
        }
        // Four standard deviations are 110.
        assert!(
            met.iter().all(|count| (890..1110).contains(count)),
            "{met:?}"
        );
        assert_eq!(any(Vec::new(), &mut rng), None);
    }

    #[test]
    fn what_is_like_the_good_ones_is_proposed() {
        let mut pool = Pool::default();
        for (place, units) in [8, 16, 32, 64, 128, 256].into_iter().enumerate() {
            let sequence = place as u64 + 1;
            let entry = PoolEntry {
                trial: TrialId(sequence),
                sequence,
                architecture: format!("in 4 | dense {units} | relu | dense 2")
                    .parse()
                    .unwrap(),
                setting: Setting::default(),
                // Wider is better.
                outcome: Outcome::Scored(f64::from(units)),
                parent: None,
            };
            pool.push(entry).unwrap();
        }
        let space = Space::default();
        let texts = [
            "in 4 | dense 9 | relu | dense 2",
            "in 4 | dense 300 | relu | dense 2",
        ];
        let mut surrogate = Surrogate::default();
        let both = texts.map(candidate).to_vec();
        let chosen = screen(both.clone(), 1, &mut surrogate, &pool, &space);
        assert_eq!(chosen.len(), 1);
        assert_eq!(chosen[0].architecture, candidate(texts[1]).architecture);
        let promise = chosen[0].promise.unwrap();
        assert!(promise.ended == 6 && promise.mean > 0.0 && promise.improvement > 0.0);
        assert_eq!(surrogate.points(), 6);
        let ranked = screen(both, 5, &mut surrogate, &pool, &space);
        assert_eq!(ranked.len(), 2);
        assert_eq!(ranked[0], chosen[0]);
        assert!(screen(Vec::new(), 1, &mut surrogate, &pool, &space).is_empty());
        // Of one parent only the better child.
        let child = |text: &str| Proposal {
            origin: Origin::Variant {
                parent: TrialId(1),
                morphs: Vec::new(),
                temperature: 1.0,
                base_models: Vec::new(),
                targets: Vec::new(),
            },
            ..candidate(text)
        };
        let siblings = screen(texts.map(child).to_vec(), 2, &mut surrogate, &pool, &space);
        assert_eq!(siblings.len(), 1);
        assert_eq!(siblings[0].architecture, chosen[0].architecture);
    }
}
