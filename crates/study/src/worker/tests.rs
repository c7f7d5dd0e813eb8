//! What a worker decides when something happens.

use search::Outcome;

use super::*;
use crate::{
    store::sweep::tests::{running, seed, trial},
    trial::{LeaseEpoch, Sequence, tests::job},
};

fn reply(answer: Answer, queued: u64, history: Vec<HistoryRow>) -> Event {
    let news = News {
        history,
        pending: Vec::new(),
        budget_used: 0.0,
        queued,
        course: Course::Explore,
    };
    Event::Reply(Box::new(Reply { answer, news }))
}

fn ended(place: u64) -> HistoryRow {
    HistoryRow {
        sequence: Sequence(place),
        trial: TrialId(place),
        candidate: trial(place, seed("mlp"), running()).candidate,
        outcome: Outcome::Scored(0.5),
    }
}

fn claims(actions: &[Action]) -> usize {
    let is_claim = |action: &&Action| matches!(action, Action::Ask(Ask::Claim { .. }));
    actions.iter().filter(is_claim).count()
}

#[test]
fn a_claim_in_vain_is_repeated_when_there_is_news_and_not_before() {
    let mut worker = Worker::new(1, Rungs::default());
    let mut claims_at = |answer| claims(&worker.step(reply(answer, 3, Vec::new())));
    assert_eq!(claims_at(Answer::Welcome), 1);
    let slot = Slot(0);
    assert_eq!(claims_at(Answer::NoWork { slot }), 0);
    let leases = Vec::new();
    assert_eq!(claims_at(Answer::Lost { leases }), 1);
}

#[test]
fn a_trial_that_cannot_inherit_goes_back_and_the_slot_claims_again() {
    let mut worker = Worker::new(1, Rungs::default());
    worker.step(reply(Answer::Welcome, 1, Vec::new()));
    let lease = Lease {
        trial: TrialId(2),
        epoch: LeaseEpoch(1),
    };
    let weights = Digest::of(b"gone");
    let answer = Answer::Weightless {
        slot: Slot(0),
        lease,
        weights: weights.clone(),
    };
    let actions = worker.step(reply(answer, 1, Vec::new()));
    assert_eq!(actions[0], Action::Ask(Ask::Weightless { lease, weights }));
    assert_eq!(claims(&actions), 1);
}

/// A worker of two trainers with a ledger that answers at once, and a generator that makes what was ordered when
/// it is let.
struct House {
    worker: Worker,
    queued: u64,
    ordered: u64,
    trials: u64,
    training: Vec<(Slot, Lease)>,
}

impl House {
    fn new() -> House {
        let mut house = House {
            worker: Worker::new(2, Rungs::default()),
            queued: 0,
            ordered: 0,
            trials: 0,
            training: Vec::new(),
        };
        house.happen(reply(Answer::Welcome, 0, Vec::new()));
        house
    }

    fn happen(&mut self, event: Event) {
        for action in self.worker.step(event) {
            match action {
                Action::Ask(Ask::Propose { .. }) => {
                    self.queued += 1;
                    self.happen(reply(Answer::Proposed, self.queued, Vec::new()));
                }
                Action::Ask(Ask::Claim { slot, .. }) => {
                    let answer = self.claimed(slot);
                    self.happen(reply(answer, self.queued, Vec::new()));
                }
                Action::TellGenerator(TellGenerator::Make { count }) => {
                    self.ordered += u64::from(count);
                }
                _ => {}
            }
        }
    }

    fn claimed(&mut self, slot: Slot) -> Answer {
        if self.queued == 0 {
            return Answer::NoWork { slot };
        }
        self.queued -= 1;
        self.trials += 1;
        let lease = Lease {
            trial: TrialId(self.trials),
            epoch: LeaseEpoch(1),
        };
        self.training.push((slot, lease));
        Answer::Work {
            slot,
            job: Box::new(job(lease, "in 4 | dense 2")),
        }
    }

    /// All that was ordered is made.
    fn make(&mut self) {
        for _ in 0..std::mem::take(&mut self.ordered) {
            let candidate = Box::new(ended(1).candidate);
            self.happen(Event::Generator(FromGenerator::Candidate { candidate }));
        }
    }

    /// The training that began first ends.
    fn end_one(&mut self) {
        let (slot, lease) = self.training.remove(0);
        let message = String::new();
        let reason = FailReason::OutOfMemory { message };
        self.happen(Event::Trainer(slot, FromTrainer::Failed { lease, reason }));
    }
}

#[test]
fn one_candidate_is_made_ahead_where_trainings_take_longer_than_that() {
    let mut house = House::new();
    house.make();
    for _ in 0..30 {
        house.make();
        house.end_one();
        assert_eq!(house.training.len(), 2, "nobody waits");
    }
    assert_eq!((house.queued, house.ordered), (0, 1));
    house.make();
    assert_eq!((house.queued, house.worker.ready.len()), (1, 0));
}

#[test]
fn a_worker_whose_claims_are_in_vain_brings_what_it_needs() {
    let mut worker = Worker::new(2, Rungs::default());
    let queued = 50;
    worker.step(reply(Answer::Welcome, queued, Vec::new()));
    let mut ordered = 0;
    for slot in [0, 1].map(Slot) {
        for action in worker.step(reply(Answer::NoWork { slot }, queued, Vec::new())) {
            if let Action::TellGenerator(TellGenerator::Make { count }) = action {
                ordered += count;
            }
        }
    }
    assert!(ordered >= 2, "{ordered}");
    let candidate = Box::new(ended(1).candidate);
    let actions = worker.step(Event::Generator(FromGenerator::Candidate { candidate }));
    assert!(matches!(actions[0], Action::Ask(Ask::Propose { .. })));
    assert_eq!(claims(&actions), 2);
}

#[test]
fn more_are_made_ahead_where_trainers_wait_and_fewer_again_where_they_do_not() {
    let mut house = House::new();
    house.make();
    house.make();
    let mut waited = 0;
    for _ in 0..20 {
        while !house.training.is_empty() {
            house.end_one();
        }
        waited += 1;
        house.make();
    }
    assert_eq!((house.worker.ahead, waited), (3 + READY_MAX, 20));
    house.make();
    let at_hand = house.queued + house.worker.ready.len() as u64;
    assert_eq!(at_hand + house.ordered, 3 + READY_MAX);
    for _ in 0..100 {
        house.end_one();
        house.make();
    }
    assert_eq!(house.worker.ahead, 1);
}

#[test]
fn a_generator_that_is_started_again_hears_the_history_in_pages() {
    let rows = HISTORY_PAGE as u64 + 1;
    let mut worker = Worker::new(1, Rungs::default());
    let history = (1..=rows).map(ended).collect();
    worker.step(reply(Answer::Welcome, 0, history));
    let message = "signal 9".to_string();
    let actions = worker.step(Event::GeneratorDied { message });
    let pages: Vec<usize> = actions
        .iter()
        .filter_map(|action| match action {
            Action::TellGenerator(TellGenerator::News { history, .. }) => Some(history.len()),
            _ => None,
        })
        .collect();
    assert_eq!(pages, [HISTORY_PAGE, 1, 0]);
}
