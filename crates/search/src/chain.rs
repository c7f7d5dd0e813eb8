//! A few random morphs in a row that end within the limits.
//!
//! Growing is usual and shrinking is not, because seeds are small; the nearer a model comes to a
//! limit, the rarer it grows. A chain that ends beyond a limit is repaired by more shrinking
//! morphs, which belong to it like the others: replaying all of them gives exactly its
//! architecture.

use morph::{Architecture, ChannelImportance, Direction, Morph};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{limits::Limits, setting::Setting};

/// How often a morph grows a model that is far from every limit.
const GROW_SHARE: f64 = 0.7;

/// Share of the tightest limit from which on growing becomes rarer, down to never at the limit.
const NEAR_LIMIT: f64 = 0.5;

/// Shrinking morphs tried to bring a model back within the limits.
const REPAIRS_MAX: usize = 16;

/// Morphs in a row and what they lead to.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// What is done, in order.
    pub morphs: Vec<Morph>,
    /// What comes of it.
    pub architecture: Architecture,
}

impl Chain {
    /// Draws `length` morphs, fewer if none is legal any more, and repairs what breaks a limit.
    ///
    /// `None` if a limit is still broken after as many shrinking morphs as a repair may take.
    ///
    /// # Cost
    /// That of [`Morph::draw`], at most `length + REPAIRS_MAX` times twice.
    pub fn draw(
        start: &Architecture,
        setting: &Setting,
        limits: &Limits,
        length: usize,
        rng: &mut ChaCha8Rng,
    ) -> Option<Chain> {
        let mut chain = Chain {
            morphs: Vec::new(),
            architecture: start.clone(),
        };
        for _ in 0..length {
            let direction = direction(limits.used(&chain.architecture, setting), rng);
            let longer = chain
                .extended(direction, rng)
                .or_else(|| chain.extended(opposite(direction), rng));
            match longer {
                Some(longer) => chain = longer,
                None => break,
            }
        }
        chain.repaired(setting, limits, rng)
    }

    /// With one more random morph in this direction, if there is a legal one.
    fn extended(&self, direction: Direction, rng: &mut ChaCha8Rng) -> Option<Chain> {
        let morph = Morph::draw(&self.architecture, direction, rng)?;
        // Which channels a pruning drops is decided when there are weights; the shape is the same.
        let morphed = morph
            .apply(&self.architecture, &ChannelImportance::unknown())
            .expect("a drawn morph can be applied");
        let morphs = self.morphs.iter().copied().chain([morph]).collect();
        Some(Chain {
            morphs,
            architecture: morphed.architecture,
        })
    }

    fn repaired(
        mut self,
        setting: &Setting,
        limits: &Limits,
        rng: &mut ChaCha8Rng,
    ) -> Option<Chain> {
        let mut used = limits.used(&self.architecture, setting);
        for _ in 0..REPAIRS_MAX {
            if used <= 1.0 {
                break;
            }
            let smaller = self.extended(Direction::Shrink, rng)?;
            let used_then = limits.used(&smaller.architecture, setting);
            if used_then < used {
                (self, used) = (smaller, used_then);
            }
        }
        (used <= 1.0).then_some(self)
    }
}

fn direction(used: f64, rng: &mut ChaCha8Rng) -> Direction {
    match rng.random::<f64>() < grow_share(used) {
        true => Direction::Grow,
        false => Direction::Shrink,
    }
}

/// [`GROW_SHARE`] up to [`NEAR_LIMIT`], from there down to 0 at the limit in a straight line.
fn grow_share(used: f64) -> f64 {
    GROW_SHARE * ((1.0 - used) / (1.0 - NEAR_LIMIT)).clamp(0.0, 1.0)
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Grow => Direction::Shrink,
        _ => Direction::Grow,
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn start() -> Architecture {
        "in 10 | dense 64 | bn | relu | dense 64 | bn | relu | dense 3"
            .parse()
            .unwrap()
    }

    fn parameters_max(limit: u64) -> Limits {
        Limits {
            parameters: Some(limit),
            ..Limits::default()
        }
    }

    #[test]
    fn replaying_a_chain_gives_exactly_its_architecture() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for length in 0..10 {
            let chain = Chain::draw(
                &start(),
                &Setting::default(),
                &Limits::default(),
                length,
                &mut rng,
            )
            .unwrap();
            assert_eq!(chain.morphs.len(), length);
            let replayed = chain.morphs.iter().fold(start(), |architecture, morph| {
                morph
                    .apply(&architecture, &ChannelImportance::unknown())
                    .unwrap()
                    .architecture
            });
            assert_eq!(replayed, chain.architecture);
        }
    }

    #[test]
    fn a_chain_never_ends_beyond_a_limit_and_repairs_are_part_of_it() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        // The start itself has about 5,200 parameters.
        let limits = parameters_max(3000);
        let mut longer = 0;
        for _ in 0..50 {
            let chain = Chain::draw(&start(), &Setting::default(), &limits, 1, &mut rng).unwrap();
            assert!(chain.architecture.cost().parameters <= 3000);
            longer += usize::from(chain.morphs.len() > 1);
        }
        assert!(longer > 10, "only {longer} chains were repaired");
    }

    #[test]
    fn limits_that_nothing_meets_give_no_chain() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let none = Chain::draw(
            &start(),
            &Setting::default(),
            &parameters_max(5),
            1,
            &mut rng,
        );
        assert_eq!(none, None);
    }

    #[test]
    fn growing_becomes_rarer_near_a_limit() {
        assert_eq!(
            [0.0, 0.5, 0.75, 1.0, 3.0].map(grow_share),
            [0.7, 0.7, 0.35, 0.0, 0.0]
        );
        assert_eq!(grow_share(f64::INFINITY), 0.0);
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let grown = (0..2000)
            .filter(|_| direction(0.0, &mut rng) == Direction::Grow)
            .count() as f64;
        // Four standard deviations are 82.
        assert!((grown - 1400.0).abs() < 82.0, "{grown}");
    }
}
