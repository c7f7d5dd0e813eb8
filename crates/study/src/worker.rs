//! A worker's decisions: what a slave node does when something happens, as a step function.
//!
//! Events in, actions out; it reads no clock, starts no process, touches no file. The shell around
//! it ([`crate::process::worker`]) carries the actions out. Its one aim: a trainer never waits, so
//! candidates are made, proposed and queued ahead of need.

use std::collections::{BTreeMap, VecDeque};

use search::{Rungs, TrialId, Verdict};
use train::EpochReport;

use crate::{
    ledger::HISTORY_PAGE,
    message::{
        Answer, Ask, Course, FromGenerator, FromTrainer, News, Progress, Reply, StopCause,
        TellGenerator, TellTrainer,
    },
    spool::Spooled,
    trial::{Candidate, Digest, FailReason, HistoryRow, Lease, Slot, Underway},
};

/// How often a child may die without having done anything before the worker gives up.
pub const IDLE_DEATHS_MAX: u32 = 3;

/// What happens to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The master answered, or pushed news.
    Reply(Box<Reply>),
    /// The generator said something.
    Generator(FromGenerator),
    /// The generator died.
    GeneratorDied {
        /// Exit status and last words.
        message: String,
    },
    /// A trainer said something.
    Trainer(Slot, FromTrainer),
    /// A trainer died.
    TrainerDied {
        /// Which.
        slot: Slot,
        /// How it looks.
        cause: DeathCause,
        /// Exit status and last words.
        message: String,
    },
    /// Time to beat.
    Tick,
    /// The node must leave: what it trains is paused and given back.
    Leave,
}

/// Why a child process died, as far as its parent can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeathCause {
    /// It could not get the memory it asked for.
    OutOfMemory,
    /// Anything else: a signal, a panic.
    Unknown,
}

/// What a worker wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask the master.
    Ask(Ask),
    /// Tell the generator.
    TellGenerator(TellGenerator),
    /// Tell a trainer.
    TellTrainer(Slot, TellTrainer),
    /// Start the generator again.
    StartGenerator,
    /// Start a trainer again.
    StartTrainer(Slot),
    /// Keep a result until the master has noted it.
    Spool(Box<Spooled>),
    /// The master has noted it.
    Unspool(Lease),
    /// End, well.
    Leave,
    /// End, because it cannot work.
    GiveUp {
        /// Why.
        message: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
enum SlotState {
    /// Has nothing to do.
    Idle,
    /// Asked for work.
    Claiming,
    /// Trains.
    Training {
        lease: Lease,
        progress: Option<Progress>,
        /// The best score of its epochs.
        best: f64,
    },
}

/// The state of a worker.
#[derive(Clone, Debug)]
pub struct Worker {
    slots: BTreeMap<Slot, SlotState>,
    rungs: Rungs,
    ready: VecDeque<Candidate>,
    proposals_in_flight: u64,
    queued: u64,
    course: Course,
    /// A claim was given nothing, whatever the news with it say of the queue.
    found_nothing: bool,
    history: Vec<HistoryRow>,
    pending: BTreeMap<TrialId, Underway>,
    reported: BTreeMap<TrialId, Lease>,
    budget_used: f64,
    idle_deaths: u32,
    claims: u64,
    is_leaving: bool,
}

impl Worker {
    /// A worker with so many trainers, all waiting; trainings are looked at where `rungs` are.
    pub fn new(slots: u16, rungs: Rungs) -> Worker {
        Worker {
            slots: (0..slots)
                .map(|slot| (Slot(slot), SlotState::Idle))
                .collect(),
            rungs,
            ready: VecDeque::new(),
            proposals_in_flight: 0,
            queued: 0,
            course: Course::Explore,
            found_nothing: false,
            history: Vec::new(),
            pending: BTreeMap::new(),
            reported: BTreeMap::new(),
            budget_used: 0.0,
            idle_deaths: 0,
            claims: 0,
            is_leaving: false,
        }
    }

    /// What to do now that this has happened.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Reply(reply) => self.on_reply(*reply, &mut actions),
            Event::Generator(said) => self.on_generator(said, &mut actions),
            Event::GeneratorDied { message } => self.on_generator_death(message, &mut actions),
            Event::Trainer(slot, said) => self.on_trainer(slot, said, &mut actions),
            Event::TrainerDied {
                slot,
                cause,
                message,
            } => {
                self.on_trainer_death(slot, cause, message, &mut actions);
            }
            Event::Tick => self.on_tick(&mut actions),
            Event::Leave => self.on_leave(&mut actions),
        }
        if !self.is_leaving {
            self.propose_ahead(&mut actions);
            self.claim_for_idle(&mut actions);
        }
        if (self.is_leaving || self.course == Course::Stop) && self.is_idle() {
            actions.push(Action::Leave);
        }
        actions
    }

    fn on_reply(&mut self, reply: Reply, actions: &mut Vec<Action>) {
        self.take_news(reply.news, actions);
        match reply.answer {
            Answer::Welcome => {}
            Answer::Proposed => {
                self.proposals_in_flight = self.proposals_in_flight.saturating_sub(1);
            }
            Answer::Work { slot, job } if self.is_leaving => {
                actions.push(Action::Ask(give_back(job.lease, job.checkpoint)));
                self.slots.insert(slot, SlotState::Idle);
            }
            Answer::Work { slot, job } => {
                let training = SlotState::Training {
                    lease: job.lease,
                    progress: None,
                    best: f64::NEG_INFINITY,
                };
                self.slots.insert(slot, training);
                actions.push(Action::TellTrainer(slot, TellTrainer::Train { job }));
                if self.course == Course::Stop {
                    actions.push(stop(slot, StopCause::Over));
                }
            }
            Answer::Verdict { lease, verdict } => self.on_verdict(lease, verdict, actions),
            Answer::Weightless {
                slot,
                lease,
                weights,
            } => {
                actions.push(Action::Ask(Ask::Weightless { lease, weights }));
                self.slots.insert(slot, SlotState::Idle);
            }
            Answer::NoWork { slot } => {
                self.slots.insert(slot, SlotState::Idle);
                self.found_nothing = true;
            }
            Answer::Lost { leases } => self.on_lost(&leases, actions),
            Answer::Noted { trial } => {
                let noted = trial.and_then(|trial| self.reported.remove(&trial));
                actions.extend(noted.map(Action::Unspool));
            }
        }
    }

    fn take_news(&mut self, news: News, actions: &mut Vec<Action>) {
        self.queued = news.queued;
        // Other news may be of a trial that can be given out.
        self.found_nothing = false;
        self.budget_used = news.budget_used;
        if !news.history.is_empty() || !news.pending.is_empty() {
            actions.push(Action::TellGenerator(TellGenerator::News {
                history: news.history.clone(),
                pending: news.pending.clone(),
                budget_used: news.budget_used,
            }));
        }
        self.pending.extend(news.pending);
        for row in &news.history {
            self.pending.remove(&row.trial);
        }
        self.history.extend(news.history);
        if news.course == Course::Stop && self.course != Course::Stop {
            for (slot, state) in &self.slots {
                if matches!(state, SlotState::Training { .. }) {
                    actions.push(stop(*slot, StopCause::Over));
                }
            }
        }
        // Exploring may go on after all, if what was kept back for the best is not needed; an end is one.
        if self.course != Course::Stop {
            self.course = news.course;
        }
    }

    fn on_leave(&mut self, actions: &mut Vec<Action>) {
        self.is_leaving = true;
        for (slot, state) in &self.slots {
            if matches!(state, SlotState::Training { .. }) {
                actions.push(stop(*slot, StopCause::Leave));
            }
        }
    }

    fn on_lost(&mut self, lost: &[Lease], actions: &mut Vec<Action>) {
        for (slot, state) in &self.slots {
            if matches!(state, SlotState::Training { lease, .. } if lost.contains(lease)) {
                actions.push(stop(*slot, StopCause::Over));
            }
        }
    }

    fn on_verdict(&self, judged: Lease, verdict: Verdict, actions: &mut Vec<Action>) {
        if verdict == Verdict::Continue {
            return;
        }
        for (slot, state) in &self.slots {
            if matches!(state, SlotState::Training { lease, .. } if *lease == judged) {
                actions.push(stop(*slot, StopCause::Behind));
            }
        }
    }

    fn on_generator(&mut self, said: FromGenerator, actions: &mut Vec<Action>) {
        self.idle_deaths = 0;
        match said {
            FromGenerator::Candidate { candidate } => self.ready.push_back(*candidate),
            FromGenerator::Exhausted { reason } => {
                actions.push(Action::Ask(Ask::Exhausted { reason }));
            }
        }
    }

    fn on_generator_death(&mut self, message: String, actions: &mut Vec<Action>) {
        if self.course == Course::Stop {
            return;
        }
        if let Some(give_up) = self.count_idle_death("generator", message) {
            actions.push(give_up);
            return;
        }
        actions.push(Action::StartGenerator);
        let news = |history, pending| {
            Action::TellGenerator(TellGenerator::News {
                history,
                pending,
                budget_used: self.budget_used,
            })
        };
        // In pages, as it was heard: no line grows with the study.
        let pages = self.history.chunks(HISTORY_PAGE);
        actions.extend(pages.map(|page| news(page.to_vec(), Vec::new())));
        let pending = self.pending.iter();
        let pending = pending.map(|(trial, model)| (*trial, model.clone()));
        actions.push(news(Vec::new(), pending.collect()));
        // What is still at hand counts against what the new one keeps ready.
        self.ready.clear();
    }

    fn on_trainer(&mut self, slot: Slot, said: FromTrainer, actions: &mut Vec<Action>) {
        self.idle_deaths = 0;
        match said {
            FromTrainer::Epoch {
                lease,
                epochs,
                report,
            } => {
                self.on_epoch(slot, lease, epochs, &report, actions);
            }
            FromTrainer::Checkpoint { lease, checkpoint } => {
                actions.push(Action::Ask(Ask::Checkpoint { lease, checkpoint }));
            }
            FromTrainer::Stopped { lease, stop } => {
                actions.push(Action::Ask(Ask::Stop { lease, stop }));
                self.slots.insert(slot, SlotState::Idle);
            }
            FromTrainer::Finished { lease, result } => {
                let spooled = Spooled {
                    lease,
                    result: (*result).clone(),
                };
                self.reported.insert(lease.trial, lease);
                actions.push(Action::Spool(Box::new(spooled)));
                actions.push(Action::Ask(Ask::Finish { lease, result }));
                self.slots.insert(slot, SlotState::Idle);
            }
            FromTrainer::Paused { lease, checkpoint } => {
                actions.push(Action::Ask(give_back(lease, checkpoint)));
                self.slots.insert(slot, SlotState::Idle);
            }
            FromTrainer::Failed { lease, reason } => {
                actions.push(Action::Ask(Ask::Fail { lease, reason }));
                self.slots.insert(slot, SlotState::Idle);
            }
        }
    }

    fn on_epoch(
        &mut self,
        slot: Slot,
        lease: Lease,
        epochs: u32,
        report: &EpochReport,
        actions: &mut Vec<Action>,
    ) {
        let before = match self.slots.get(&slot) {
            Some(SlotState::Training { best, .. }) => *best,
            _ => f64::NEG_INFINITY,
        };
        let best = report.score.max(before);
        let progress = Progress {
            trial: lease.trial,
            epoch: report.epoch,
            epochs,
            score: report.score,
        };
        let training = SlotState::Training {
            lease,
            progress: Some(progress),
            best,
        };
        self.slots.insert(slot, training);
        if let Some(stage) = self.rungs.at(report.epoch, epochs) {
            let score = best;
            actions.push(Action::Ask(Ask::Look {
                lease,
                stage,
                score,
            }));
        }
    }

    fn on_trainer_death(
        &mut self,
        slot: Slot,
        cause: DeathCause,
        message: String,
        actions: &mut Vec<Action>,
    ) {
        let before = self.slots.insert(slot, SlotState::Idle);
        if let Some(SlotState::Training { lease, .. }) = before {
            actions.push(Action::Ask(match cause {
                DeathCause::OutOfMemory => Ask::Fail {
                    lease,
                    reason: FailReason::OutOfMemory { message },
                },
                DeathCause::Unknown => Ask::Release {
                    lease,
                    crash: Some(message),
                    checkpoint: None,
                },
            }));
        } else if let Some(give_up) = self.count_idle_death("trainer", message) {
            actions.push(give_up);
            return;
        }
        if self.course != Course::Stop && !self.is_leaving {
            actions.push(Action::StartTrainer(slot));
            if matches!(before, Some(SlotState::Claiming)) {
                // The answer is on its way and will find the new trainer.
                self.slots.insert(slot, SlotState::Claiming);
            }
        }
    }

    fn count_idle_death(&mut self, child: &str, message: String) -> Option<Action> {
        self.idle_deaths += 1;
        (self.idle_deaths >= IDLE_DEATHS_MAX).then(|| Action::GiveUp {
            message: format!(
                "the {child} died {} times without work: {message}",
                self.idle_deaths
            ),
        })
    }

    fn on_tick(&mut self, actions: &mut Vec<Action>) {
        let (leases, progress) = self.running();
        actions.push(Action::Ask(Ask::Beat { leases, progress }));
    }

    fn running(&self) -> (Vec<Lease>, Vec<Progress>) {
        let mut leases = Vec::new();
        let mut reports = Vec::new();
        for state in self.slots.values() {
            if let SlotState::Training {
                lease, progress, ..
            } = state
            {
                leases.push(*lease);
                reports.extend(progress.clone());
            }
        }
        (leases, reports)
    }

    /// Keeps one waiting trial per slot in the ledger, and one more.
    fn propose_ahead(&mut self, actions: &mut Vec<Action>) {
        let wanted = self.slots.len() as u64 + 1;
        while self.course == Course::Explore && self.queued + self.proposals_in_flight < wanted {
            let Some(candidate) = self.ready.pop_front() else {
                return;
            };
            self.proposals_in_flight += 1;
            self.found_nothing = false;
            actions.push(Action::Ask(Ask::Propose {
                candidate: Box::new(candidate),
            }));
            actions.push(Action::TellGenerator(TellGenerator::Taken));
        }
    }

    fn claim_for_idle(&mut self, actions: &mut Vec<Action>) {
        // After a claim in vain the next one waits for news: asked again at once, it would be in vain again.
        if self.course == Course::Stop || self.found_nothing {
            return;
        }
        for (slot, state) in &mut self.slots {
            // Proposals in flight are answered before the claim that follows them.
            if *state == SlotState::Idle && self.queued + self.proposals_in_flight > 0 {
                *state = SlotState::Claiming;
                self.claims += 1;
                actions.push(Action::Ask(Ask::Claim {
                    slot: *slot,
                    number: self.claims,
                }));
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.reported.is_empty() && self.slots.values().all(|state| *state == SlotState::Idle)
    }
}

fn give_back(lease: Lease, checkpoint: Option<Digest>) -> Ask {
    Ask::Release {
        lease,
        crash: None,
        checkpoint,
    }
}

fn stop(slot: Slot, cause: StopCause) -> Action {
    Action::TellTrainer(slot, TellTrainer::Stop { cause })
}

#[cfg(test)]
mod tests {
    use search::Outcome;

    use super::*;
    use crate::{
        store::sweep::tests::{running, seed, trial},
        trial::{LeaseEpoch, Sequence},
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
}
