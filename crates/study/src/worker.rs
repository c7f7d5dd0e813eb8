//! A worker's decisions: what a slave node does when something happens, as a step function.
//!
//! Events in, actions out; it reads no clock, starts no process, touches no file. The shell around
//! it ([`crate::process::worker`]) carries the actions out. A trainer must not wait, so candidates are made,
//! proposed and queued ahead of need; but what is made early knows less, so no earlier than trainers have been seen
//! to need it.

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

/// Candidates that a worker keeps beside those that it has queued, at most: where trainings are shorter than it takes
/// to make a candidate.
const READY_MAX: u64 = 6;

/// After so many trials that were there when a trainer wanted one, one candidate less is made ahead.
const SERVED_MAX: u32 = 4;

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
    },
}

/// The state of a worker.
#[derive(Clone, Debug)]
pub struct Worker {
    slots: BTreeMap<Slot, SlotState>,
    rungs: Rungs,
    ready: VecDeque<Candidate>,
    /// How many candidates are made ahead of need.
    ahead: u64,
    /// Candidates that the generator has been told to make.
    ordered: u64,
    /// A trainer waits for a trial that nobody has proposed yet.
    is_short: bool,
    /// Trials that were there when they were wanted, since `ahead` changed.
    served: u32,
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
            ahead: u64::from(slots),
            ordered: 0,
            is_short: false,
            served: 0,
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
            self.order(&mut actions);
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
                };
                self.slots.insert(slot, training);
                self.note_served();
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
            FromGenerator::Candidate { candidate } => {
                self.ordered = self.ordered.saturating_sub(1);
                self.ready.push_back(*candidate);
            }
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
        self.ordered = 0;
    }

    fn on_trainer(&mut self, slot: Slot, said: FromTrainer, actions: &mut Vec<Action>) {
        self.idle_deaths = 0;
        match said {
            FromTrainer::Epoch {
                lease,
                epochs,
                report,
                best,
            } => {
                self.on_epoch(slot, (lease, epochs), &report, best, actions);
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
        (lease, epochs): (Lease, u32),
        report: &EpochReport,
        best: f64,
        actions: &mut Vec<Action>,
    ) {
        let progress = Progress {
            trial: lease.trial,
            epoch: report.epoch,
            epochs,
            score: report.score,
        };
        let training = SlotState::Training {
            lease,
            progress: Some(progress),
        };
        self.slots.insert(slot, training);
        if let Some(stage) = self.rungs.at(report.epoch, epochs) {
            actions.push(Action::Ask(Ask::Look {
                lease,
                stage,
                score: best,
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
        actions.push(Action::Ask(Ask::Beat {
            leases,
            unnoted: self.reported.values().copied().collect(),
            progress,
        }));
    }

    fn running(&self) -> (Vec<Lease>, Vec<Progress>) {
        let mut leases = Vec::new();
        let mut reports = Vec::new();
        for state in self.slots.values() {
            if let SlotState::Training { lease, progress } = state {
                leases.push(*lease);
                reports.extend(progress.clone());
            }
        }
        (leases, reports)
    }

    /// Trials that wait in the ledger, if as many candidates are made ahead as are now: one for each slot and one more
    /// at most, since they are anybody's.
    fn queued_ahead(&self) -> u64 {
        self.ahead.min(self.queued_max())
    }

    fn queued_max(&self) -> u64 {
        self.slots.len() as u64 + 1
    }

    /// Trials that are missing in the ledger.
    fn unqueued(&self) -> u64 {
        let idle = self
            .slots
            .values()
            .filter(|state| **state == SlotState::Idle);
        // What waits there is taken by others, who are faster: of many nodes, each brings what it needs.
        let lacking = match self.found_nothing {
            true => idle.count() as u64,
            false => 0,
        };
        let missing = self.queued_ahead().saturating_sub(self.queued);
        missing
            .max(lacking)
            .saturating_sub(self.proposals_in_flight)
    }

    fn propose_ahead(&mut self, actions: &mut Vec<Action>) {
        let wanted = match self.course {
            Course::Explore => self.unqueued(),
            _ => 0,
        };
        for _ in 0..wanted {
            let Some(candidate) = self.ready.pop_front() else {
                return;
            };
            self.proposals_in_flight += 1;
            self.found_nothing = false;
            actions.push(Action::Ask(Ask::Propose {
                candidate: Box::new(candidate),
            }));
        }
    }

    fn claim_for_idle(&mut self, actions: &mut Vec<Action>) {
        let is_any_there = self.queued + self.proposals_in_flight > 0;
        let mut is_short = false;
        for (slot, state) in &mut self.slots {
            if *state != SlotState::Idle {
                continue;
            }
            // After a claim in vain the next one waits for news: asked again at once, it would be in vain again.
            // Proposals in flight are answered before the claim that follows them.
            if self.course == Course::Stop || self.found_nothing || !is_any_there {
                is_short = true;
                continue;
            }
            *state = SlotState::Claiming;
            self.claims += 1;
            actions.push(Action::Ask(Ask::Claim {
                slot: *slot,
                number: self.claims,
            }));
        }
        self.note_shortage(is_short);
    }

    /// Twice as much is made ahead when a trainer begins to wait, but for the first trials of all.
    fn note_shortage(&mut self, is_short: bool) {
        if is_short && !self.is_short && self.claims > 0 && self.course == Course::Explore {
            self.ahead = (2 * self.ahead).min(self.queued_max() + READY_MAX);
            self.served = 0;
        }
        self.is_short = is_short;
    }

    fn note_served(&mut self) {
        self.served += 1;
        if self.served >= SERVED_MAX {
            self.served = 0;
            self.ahead = (self.ahead - 1).max(1);
        }
    }

    /// Has the generator make what is missing.
    fn order(&mut self, actions: &mut Vec<Action>) {
        if self.course != Course::Explore {
            return;
        }
        let wanted = self.ahead - self.queued_ahead() + self.unqueued();
        let missing = wanted.saturating_sub(self.ready.len() as u64 + self.ordered);
        if missing > 0 {
            self.ordered += missing;
            let count = missing as u16;
            actions.push(Action::TellGenerator(TellGenerator::Make { count }));
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
mod tests;
