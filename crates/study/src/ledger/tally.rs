//! How many trials are where, without looking at all of them: what has ended stays as it ended, so that it is counted
//! once, and from then on only what ended since.
//!
//! Whoever watches a study asks several times a second, and a study may have a hundred thousand trials.

use serde::Deserialize;

use super::Counts;
use crate::trial::Sequence;

/// A count of trials, and how far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Tally {
    /// All that wait or run; of those that have ended, those that were counted.
    #[serde(flatten)]
    pub(super) counts: Counts,
    /// The last place of the history that was counted.
    pub(super) last: Sequence,
}

impl Tally {
    /// This count, gone on with: `later` has what ended behind its last place.
    pub(super) fn continued_by(self, later: Tally) -> Tally {
        let (before, since) = (self.counts, later.counts);
        Tally {
            counts: Counts {
                finished: before.finished + since.finished,
                stopped: before.stopped + since.stopped,
                failed: before.failed + since.failed,
                ..since
            },
            last: later.last,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_ended_is_added_up_and_what_goes_on_is_as_it_is_now() {
        let earlier = Tally {
            counts: Counts {
                queued: 5,
                running: 2,
                finished: 10,
                stopped: 3,
                failed: 1,
            },
            last: Sequence(14),
        };
        let row =
            r#"{"queued": 4, "running": 1, "finished": 1, "stopped": 0, "failed": 1, "last": 16}"#;
        let later: Tally = serde_json::from_str(row).unwrap();
        let now = earlier.continued_by(later);
        assert_eq!((now.counts.queued, now.counts.running), (4, 1));
        assert_eq!((now.counts.ended(), now.last), (16, Sequence(16)));
    }
}
