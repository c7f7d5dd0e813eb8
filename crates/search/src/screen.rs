//! Which of the legal candidates is proposed.
//!
//! The one that is expected to improve most on the best model so far, as the surrogate says; or any, to
//! see what the surrogate is good for.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{origin::Proposal, pool::Pool, space::Space, surrogate::Surrogate};

/// The candidate with the largest expected improvement; `None` if there is none.
///
/// Of candidates that promise the same the first is taken: they come in random order.
///
/// # Cost
/// That of [`Surrogate::follow`] and [`Surrogate::promises`].
pub fn screen(
    mut candidates: Vec<Proposal>,
    surrogate: &mut Surrogate,
    pool: &Pool,
    space: &Space,
) -> Option<Proposal> {
    if candidates.is_empty() {
        return None;
    }
    surrogate.follow(pool, space);
    let models = candidates
        .iter()
        .map(|one| (&one.architecture, &one.setting));
    let promises = surrogate.promises(pool, space, models);
    let mut best = 0;
    for (index, promise) in promises.iter().enumerate() {
        if promise.improvement > promises[best].improvement {
            best = index;
        }
    }
    let promise = Some(promises[best]);
    let chosen = candidates.swap_remove(best);
    Some(Proposal { promise, ..chosen })
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
        origin::Origin,
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
        let chosen = screen(texts.map(candidate).to_vec(), &mut surrogate, &pool, &space).unwrap();
        assert_eq!(chosen.architecture, candidate(texts[1]).architecture);
        let promise = chosen.promise.unwrap();
        assert!(promise.ended == 6 && promise.mean > 0.0 && promise.improvement > 0.0);
        assert_eq!(surrogate.points(), 6);
        assert_eq!(screen(Vec::new(), &mut surrogate, &pool, &space), None);
    }
}
