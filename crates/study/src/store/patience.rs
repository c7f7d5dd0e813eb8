//! How often a store is asked again that does not answer, and how long is waited between.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a wait is at most slept through without a look at whether to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often something is tried, and how long is waited between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Tries in all.
    pub attempts: u32,
    /// The first wait; each further one is twice as long.
    pub first_wait: Duration,
    /// No wait is longer.
    pub longest_wait: Duration,
}

impl Default for Patience {
    /// Eight tries over about 45 seconds: a server that is started again is back by then.
    fn default() -> Patience {
        Patience {
            attempts: 8,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(15),
        }
    }
}

impl Patience {
    /// How long is waited after a failed try, counted from 1: between half and one and a half times the
    /// doubled wait, by `chance` from 0 to 1, so that many nodes do not come back at once.
    pub fn wait_after(&self, attempt: u32, chance: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        let wait = self.first_wait * (1 << doublings);
        wait.min(self.longest_wait).mul_f64(0.5 + chance)
    }
}

/// A number from 0 to 1 that differs between nodes; nothing that is recorded hangs on it.
pub(crate) fn chance() -> f64 {
    f64::from(u32::from_le_bytes(random_bytes())) / f64::from(u32::MAX)
}

/// Bytes that nobody else draws, for names of unfinished files and for waits.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // A system without random bytes makes names that are less unique, and waits that are alike.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes
}

/// Sleeps; `false` if it was told to stop meanwhile.
pub(crate) fn sleep_unless_stopped(wait: Duration, stop: &AtomicBool) -> bool {
    let until = Instant::now() + wait;
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(LOOK_EVERY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_scatter_by_half() {
        let patience = Patience::default();
        let seconds = |attempt, chance| patience.wait_after(attempt, chance).as_secs_f64();
        assert_eq!(seconds(1, 0.5), 0.5);
        assert_eq!(seconds(2, 0.5), 1.0);
        assert_eq!(seconds(7, 0.5), 15.0);
        assert_eq!(seconds(1_000, 1.0), 22.5);
        assert_eq!(seconds(3, 0.0), 1.0);
        let all: f64 = (1..patience.attempts).map(|n| seconds(n, 0.5)).sum();
        assert!(all > 40.0, "{all}");
    }

    #[test]
    fn a_wait_ends_when_it_is_told_to() {
        let stop = AtomicBool::new(true);
        let begun = Instant::now();
        assert!(!sleep_unless_stopped(Duration::from_secs(60), &stop));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
