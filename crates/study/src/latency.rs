//! How long a network takes for one example, measured on this machine with lehr's own engine.
//!
//! The weights do not matter for that, so it can be known before anything is trained. Trainers may be
//! busy on all cores meanwhile: the lower quartile of many passes leaves out those that had to wait.

use std::{
    num::{NonZeroU8, NonZeroUsize},
    time::{Duration, Instant},
};

use morph::Architecture;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::Limits;
use train::{Mode, Network, Plan, PlanError, Purpose, Threads, Weights};

/// Passes that are timed, …
const PASSES: usize = 41;

/// … fewer if they would take longer than this together, but at least [`PASSES_MIN`].
const PATIENCE: Duration = Duration::from_millis(200);

/// Passes that are timed in any case.
const PASSES_MIN: usize = 5;

/// Passes before, which fetch code and weights into the caches.
const WARM_UP: usize = 2;

/// Seconds of the forward pass of one example on one thread: the lower quartile.
///
/// # Errors
/// If the network cannot be built.
/// # Cost
/// Some forty passes, or 0.2 s and five.
pub fn measured_latency(architecture: &Architecture) -> Result<f64, PlanError> {
    let threads = Threads::new(NonZeroU8::MIN);
    let plan = Plan::compile(architecture, NonZeroUsize::MIN, threads, Purpose::Infer)?;
    let weights = Weights::fresh(architecture, &mut ChaCha8Rng::seed_from_u64(0));
    let example = vec![0.0; architecture.input_shape().values()];
    let mut network = Network::new(plan, weights);
    let mut seconds = Vec::with_capacity(PASSES);
    let started = Instant::now();
    for pass in 0..WARM_UP + PASSES {
        let began = Instant::now();
        network.forward(&example, Mode::Eval);
        if pass >= WARM_UP {
            seconds.push(began.elapsed().as_secs_f64());
        }
        if seconds.len() >= PASSES_MIN && started.elapsed() > PATIENCE {
            break;
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[seconds.len() / 4])
}

/// What measuring has shown so far, so that models are proposed that are fast enough.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// Operations of the largest model that was fast enough.
    fast_flops: f64,
    /// The most operations that a model that was too slow would have had within the limit, if its time
    /// were proportional to them.
    slow_flops: Option<f64>,
}

impl Pace {
    /// A model with so many operations took so many times the limit.
    pub(crate) fn note(&mut self, flops: u64, share_of_limit: f64) {
        let flops = flops as f64;
        if share_of_limit <= 1.0 {
            self.fast_flops = self.fast_flops.max(flops);
        } else {
            let within = flops / share_of_limit;
            self.slow_flops = Some(self.slow_flops.map_or(within, |before| before.max(within)));
        }
    }

    /// These limits, and as few operations as measuring suggests once a model was too slow.
    ///
    /// It only guides the search to models that have a chance: each is measured before it is proposed.
    pub(crate) fn limits(&self, limits: Limits) -> Limits {
        let Some(slow) = self.slow_flops else {
            return limits;
        };
        let suggested = slow.max(self.fast_flops).ceil() as u64;
        let flops = limits.flops.map_or(suggested, |flops| flops.min(suggested));
        Limits {
            flops: Some(flops),
            ..limits
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_with_a_thousand_times_the_operations_takes_longer() {
        let small = "in 3x16x16 | conv 8 k1 | gap | dense 4".parse().unwrap();
        let large = "in 3x16x16 | conv 64 k3 | conv 64 k3 | gap | dense 4"
            .parse()
            .unwrap();
        let (small, large) = (
            measured_latency(&small).unwrap(),
            measured_latency(&large).unwrap(),
        );
        assert!(small > 0.0 && large > small, "{small} {large}");
    }

    #[test]
    fn the_pace_keeps_all_that_was_fast_enough_and_stays_below_what_was_not() {
        let mut pace = Pace::default();
        assert_eq!(pace.limits(Limits::default()), Limits::default());
        pace.note(1000, 0.5);
        assert_eq!(pace.limits(Limits::default()).flops, None);
        pace.note(8000, 4.0);
        assert_eq!(pace.limits(Limits::default()).flops, Some(2000));
        pace.note(5000, 0.9);
        assert_eq!(pace.limits(Limits::default()).flops, Some(5000));
        let own = Limits {
            flops: Some(300),
            ..Limits::default()
        };
        assert_eq!(pace.limits(own).flops, Some(300));
    }
}
