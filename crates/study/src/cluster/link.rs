//! When a node asks its ledger what: questions wait while the database is away, and nothing is asked more
//! often than somebody needs to know.
//!
//! A step function without I/O. Questions are answered in the order in which they were asked, except that
//! reports of progress replace each other.

use std::collections::VecDeque;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    message::{Ask, News, Reply},
    trial::Instant,
};

/// A lease lasts so many beats of a busy node.
const BEATS_PER_LEASE: f64 = 4.0;

/// By which share a pause is drawn out or cut short, so that a thousand nodes do not ask at once.
const JITTER: f64 = 0.2;

/// Seconds between two looks of a node that waits for work: at first, and at most.
const IDLE_SECS: (f64, f64) = (0.5, 8.0);

/// Seconds between two tries to reach a ledger that is away: at first, and at most.
const RETRY_SECS: (f64, f64) = (0.5, 15.0);

/// What a node has to ask.
#[derive(Debug)]
pub struct Link {
    slots: usize,
    beat_secs: f64,
    waiting: VecDeque<Ask>,
    beat: Option<Ask>,
    contact_at: Instant,
    /// When its leases were told last.
    told_at: Instant,
    /// Whether a look for work has gone before the questions that wait.
    has_looked: bool,
    idle_secs: f64,
    retry_secs: f64,
    retry_at: Option<Instant>,
    rng: ChaCha8Rng,
}

impl Link {
    /// A node of so many slots has nothing to ask yet. Leases last `lease_secs`.
    pub fn new(slots: u16, lease_secs: f64, seed: u64, now: Instant) -> Link {
        Link {
            slots: usize::from(slots),
            beat_secs: lease_secs / BEATS_PER_LEASE,
            waiting: VecDeque::new(),
            beat: None,
            contact_at: now,
            told_at: now,
            has_looked: false,
            idle_secs: IDLE_SECS.0,
            retry_secs: RETRY_SECS.0,
            retry_at: None,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The node wants this asked.
    pub fn offer(&mut self, ask: Ask, now: Instant) {
        match &ask {
            Ask::Beat { leases, .. } => {
                if leases.len() < self.slots {
                    // A trainer has become free since the last look: the next one must not be far.
                    let soon = now.plus(self.idle_secs);
                    self.contact_at = Instant(self.contact_at.0.min(soon.0));
                }
                self.beat = Some(ask);
            }
            _ => self.waiting.push_back(ask),
        }
    }

    /// What is to be asked now, if anything.
    pub fn next(&self, now: Instant) -> Option<&Ask> {
        if self.retry_at.is_some_and(|at| now.since(at) < 0.0) {
            return None;
        }
        self.due_beat(now).or(self.waiting.front())
    }

    /// A lease does not wait until a long queue has been answered. A look for work goes before a queue once: where the
    /// ledger is slow, the next look would be due before the question that brings work is asked.
    ///
    /// Nothing goes before the greeting: what is told before it would be told again after it.
    fn due_beat(&self, now: Instant) -> Option<&Ask> {
        if matches!(self.waiting.front(), Some(Ask::Hello { .. })) {
            return None;
        }
        let is_due = now.since(self.contact_at) >= 0.0;
        let is_urgent = |beat: &Ask| match beat {
            Ask::Beat {
                leases, unnoted, ..
            } if leases.len() < self.slots => {
                let is_lease_old = now.since(self.told_at) >= self.beat_secs;
                let holds_any = !(leases.is_empty() && unnoted.is_empty());
                !self.has_looked || (is_lease_old && holds_any)
            }
            _ => true,
        };
        self.beat.as_ref().filter(|beat| is_due && is_urgent(beat))
    }

    /// Seconds until there may be something to ask, if nothing else is offered before.
    pub fn patience(&self, now: Instant) -> f64 {
        let due = match self.waiting.is_empty() {
            true => self.contact_at,
            false => now,
        };
        let at = self.retry_at.map_or(due.0, |retry| retry.0.max(due.0));
        (at - now.0).max(0.0)
    }

    /// What [`Link::next`] gave at this time was answered.
    pub fn answered(&mut self, reply: &Reply, now: Instant) {
        self.retry_at = None;
        self.retry_secs = RETRY_SECS.0;
        if let Some(Ask::Beat { leases, .. }) = self.due_beat(now) {
            let busy = leases.len();
            self.beat = None;
            self.told_at = now;
            self.has_looked = !self.waiting.is_empty();
            self.pause(busy, &reply.news, now);
        } else {
            self.waiting.pop_front();
            self.has_looked &= !self.waiting.is_empty();
        }
    }

    /// What [`Link::next`] gave was not answered: the ledger is away.
    pub fn unanswered(&mut self, now: Instant) {
        self.retry_at = Some(now.plus(self.jittered(self.retry_secs)));
        self.retry_secs = (2.0 * self.retry_secs).min(RETRY_SECS.1);
    }

    /// Whether nothing waits that must not be lost.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Questions that nobody needs an answer to when the node leaves.
    pub fn forget_claims(&mut self) {
        self.beat = None;
        self.waiting.retain(|ask| {
            matches!(
                ask,
                Ask::Stop { .. }
                    | Ask::Finish { .. }
                    | Ask::Fail { .. }
                    | Ask::Weightless { .. }
                    | Ask::Release { .. }
            )
        });
    }

    /// How long the next beat can wait: a busy node needs to know little, one that waits for work more.
    fn pause(&mut self, busy: usize, news: &News, now: Instant) {
        let is_news = !news.history.is_empty() || !news.pending.is_empty() || news.queued > 0;
        let pause = if busy >= self.slots {
            self.idle_secs = IDLE_SECS.0;
            self.beat_secs
        } else {
            let pause = self.idle_secs;
            self.idle_secs = match is_news {
                true => IDLE_SECS.0,
                false => (2.0 * pause).min(IDLE_SECS.1),
            };
            pause.min(self.beat_secs)
        };
        self.contact_at = now.plus(self.jittered(pause));
    }

    fn jittered(&mut self, seconds: f64) -> f64 {
        seconds * self.rng.random_range(1.0 - JITTER..=1.0 + JITTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        message::{Answer, Course},
        trial::{Lease, LeaseEpoch, Slot},
    };

    fn beat(leases: u64) -> Ask {
        let lease = |trial| Lease {
            trial: search::TrialId(trial),
            epoch: LeaseEpoch(1),
        };
        Ask::Beat {
            leases: (0..leases).map(lease).collect(),
            unnoted: Vec::new(),
            progress: Vec::new(),
        }
    }

    fn claim(slot: u16) -> Ask {
        Ask::Claim {
            slot: Slot(slot),
            number: u64::from(slot),
        }
    }

    fn reply() -> Reply {
        Reply {
            answer: Answer::Noted { trial: None },
            news: News {
                history: Vec::new(),
                pending: Vec::new(),
                budget_used: 0.0,
                queued: 0,
                course: Course::Explore,
            },
        }
    }

    /// Asks whenever it may for so many seconds; returns how often a beat was asked.
    fn beats_within(link: &mut Link, leases: u64, seconds: f64, from: f64) -> usize {
        let mut count = 0;
        let mut now = from;
        while now < from + seconds {
            link.offer(beat(leases), Instant(now));
            if matches!(link.next(Instant(now)), Some(Ask::Beat { .. })) {
                link.answered(&reply(), Instant(now));
                count += 1;
            }
            now += 0.1;
        }
        count
    }

    #[test]
    fn a_busy_node_beats_four_times_a_lease_and_an_idle_one_less_and_less_up_to_that() {
        let mut link = Link::new(2, 60.0, 1, Instant(0.0));
        let busy = beats_within(&mut link, 2, 600.0, 0.0);
        assert!((35..=50).contains(&busy), "{busy}");
        let idle = beats_within(&mut link, 1, 600.0, 600.0);
        assert!((70..=95).contains(&idle), "{idle}");
    }

    #[test]
    fn questions_wait_in_order_while_the_ledger_is_away_and_none_is_lost() {
        let mut link = Link::new(2, 60.0, 1, Instant(0.0));
        link.offer(claim(0), Instant(0.0));
        link.offer(claim(1), Instant(0.0));
        let mut now = Instant(0.0);
        for _ in 0..20 {
            now = now.plus(link.patience(now) + 0.001);
            assert_eq!(link.next(now), Some(&claim(0)));
            link.unanswered(now);
            assert_eq!(link.next(now), None);
        }
        let pause = link.patience(now);
        assert!((12.0..=18.0).contains(&pause), "{pause}");
        now = now.plus(pause);
        link.answered(&reply(), now);
        assert_eq!(link.next(now), Some(&claim(1)));
        link.answered(&reply(), now);
        assert!(link.is_empty() && link.next(now).is_none());
    }

    #[test]
    fn a_node_that_looks_for_work_asks_for_it_however_slow_the_ledger_is() {
        let mut link = Link::new(2, 60.0, 1, Instant(0.0));
        let mut claims = 0;
        for look in 0..20 {
            // Every answer takes longer than a pause between looks.
            let now = Instant(2.0 * f64::from(look));
            link.offer(claim(look), now);
            link.offer(beat(1), now);
            claims += usize::from(matches!(link.next(now), Some(Ask::Claim { .. })));
            link.answered(&reply(), now);
        }
        // It looks once, and its lease is told four times in a minute all the same.
        assert_eq!(claims, 17);
    }

    #[test]
    fn nothing_goes_before_a_greeting_that_was_not_answered() {
        let mut link = Link::new(2, 60.0, 1, Instant(0.0));
        let hello = Ask::Hello { slots: 2 };
        link.offer(hello.clone(), Instant(0.0));
        link.unanswered(Instant(0.0));
        link.offer(beat(2), Instant(20.0));
        assert_eq!(link.next(Instant(20.0)), Some(&hello));
        link.answered(&reply(), Instant(20.0));
        assert_eq!(link.next(Instant(20.0)), Some(&beat(2)));
    }

    #[test]
    fn a_lease_does_not_wait_behind_a_queue() {
        let mut link = Link::new(2, 60.0, 1, Instant(0.0));
        link.offer(claim(0), Instant(0.0));
        link.offer(beat(2), Instant(0.0));
        assert_eq!(link.next(Instant(1.0)), Some(&beat(2)));
        link.answered(&reply(), Instant(1.0));
        assert_eq!(link.next(Instant(1.0)), Some(&claim(0)));
    }
}
