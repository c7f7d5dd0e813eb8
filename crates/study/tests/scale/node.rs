//! A simulated node in time: the real decisions of worker, link and desk; generator, trainers and transfers only
//! take as long as they do.

use std::collections::VecDeque;

use data::Targets;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use search::{Origin, TrialId};
use study::{
    cluster::link::Link,
    config::StudyConfig,
    desk::Desk,
    ledger::{Keeping, LEASE_SECS, Reading},
    message::{Answer, Ask, FromGenerator, FromTrainer, Reply, TellGenerator, TellTrainer},
    trial::{Candidate, Digest, Instant, Job, Slot, WorkerName},
    worker::{Action, DeathCause, Event, Worker},
};

use crate::{
    agenda::{Agenda, What},
    costs,
    made_up::{EPOCHS, Training, candidate, epoch, result},
    metered::Metered,
    tally::{Cause, Idle},
};

/// Architectures that every generator begins with, as for images (`morph::image_seeds`).
const SEEDS: u64 = 5;

/// Units of candidates that are no seeds begin here.
const FRESH_UNITS: u32 = 1000;

/// Spreads neighbouring trial numbers over all bits of a seed.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Better the later it is asked for, so that every training goes on at its rungs and is as long as recorded.
fn score(now: f64) -> f64 {
    1.0 - 1.0 / (2.0 + now)
}

/// What nodes meet outside of themselves.
pub(crate) struct Outside {
    pub(crate) now: f64,
    pub(crate) agenda: Agenda,
    /// Until when the store's way is taken.
    pub(crate) store_until: f64,
    /// When the last trial of the budget was claimed, once it has been.
    pub(crate) spent_at: Option<f64>,
    pub(crate) durations: Vec<f64>,
    /// Share of trainings whose trainer dies.
    pub(crate) deaths: f64,
    pub(crate) seed: u64,
    pub(crate) candidates: u32,
}

impl Outside {
    /// When so many bytes that are sent now, to the store or from it, are there.
    fn carried_at(&mut self, bytes: f64) -> f64 {
        self.store_until = self.store_until.max(self.now) + bytes / costs::STORE_ALL;
        self.store_until.max(self.now + bytes / costs::STORE_NODE)
    }

    /// How long a trial trains, as recorded, and after which part of that its trainer dies, if it does.
    fn training(&self, trial: TrialId, attempt: u32) -> (f64, Option<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ trial.0.wrapping_mul(SPREAD));
        let seconds = self.durations[rng.random_range(0..self.durations.len())];
        rng.set_stream(u64::from(attempt));
        let dies = rng.random_bool(self.deaths);
        (seconds, dies.then(|| rng.random()))
    }
}

/// The first process of a node: makes what it is told to, all that is wanted from one look, as
/// `process/generator.rs`.
#[derive(Debug, Default)]
struct Generator {
    wanted: u16,
    is_making: bool,
    seeds_made: u64,
    /// How many trials it knows to have ended, and the newest trial it knows of.
    ended: u64,
    newest: u64,
    /// The trial that ended last, as far as it knows.
    parent: Option<TrialId>,
}

impl Generator {
    fn hear(&mut self, told: &TellGenerator) {
        match told {
            TellGenerator::Make { count } => self.wanted += count,
            TellGenerator::News {
                history, pending, ..
            } => {
                if let Some(row) = history.last() {
                    self.ended = row.sequence.0;
                    self.parent = Some(row.trial);
                    self.newest = self.newest.max(row.trial.0);
                }
                let newest = pending.last().map_or(0, |(trial, _)| trial.0);
                self.newest = self.newest.max(newest);
            }
            TellGenerator::Setup { .. } => {}
        }
    }

    /// Begins to make candidates, if it wants more of them: how many.
    fn begin(&mut self) -> Option<u16> {
        if self.is_making || self.wanted == 0 {
            return None;
        }
        self.is_making = true;
        Some(std::mem::take(&mut self.wanted))
    }

    /// Seeds that nobody has proposed yet, as far as it knows; then something that nobody else makes.
    fn make(&mut self, name: &WorkerName, outside: &mut Outside) -> Candidate {
        let seed = self.seeds_made.max(self.newest);
        if seed < SEEDS {
            self.seeds_made = seed + 1;
            return candidate(self.seeds_made as u32, name);
        }
        outside.candidates += 1;
        let fresh = candidate(FRESH_UNITS + outside.candidates, name);
        let Some(parent) = self.parent else {
            return fresh;
        };
        let origin = Origin::Variant {
            parent,
            morphs: Vec::new(),
            temperature: 1.0,
            base_models: vec![parent],
            targets: vec![parent],
        };
        Candidate { origin, ..fresh }
    }
}

/// A training that runs.
struct Running {
    job: Job,
    began: f64,
    number: u64,
    ends: f64,
    /// Its trainer dies before it ends.
    dies: bool,
}

/// A trainer.
#[derive(Default)]
struct Trainer {
    running: Option<Running>,
    began_first: Option<f64>,
    /// Seconds of trainings that came to something.
    busy: f64,
}

pub(crate) struct SimNode {
    number: usize,
    name: WorkerName,
    ledger: Metered,
    config: StudyConfig,
    worker: Worker,
    link: Link,
    desk: Option<Desk>,
    generator: Generator,
    trainers: Vec<Trainer>,
    /// Said while a question was under way.
    said: VecDeque<Ask>,
    asking: Option<(Ask, Instant)>,
    claims: u32,
    provided_until: f64,
    published_until: f64,
    ticked_at: f64,
    wake: u64,
    trainings: u64,
    accounted_to: f64,
    is_leaving: bool,
    has_left: bool,
    pub(crate) idle: Idle,
}

impl SimNode {
    pub(crate) fn new(number: usize, config: &StudyConfig, ledger: &Metered) -> SimNode {
        let slots = config.resources.slots;
        SimNode {
            number,
            name: WorkerName(format!("node-{number}")),
            ledger: ledger.clone(),
            config: config.clone(),
            worker: Worker::new(slots, config.training.rungs),
            link: Link::new(slots, LEASE_SECS, number as u64, Instant(0.0)),
            desk: None,
            generator: Generator::default(),
            trainers: (0..slots).map(|_| Trainer::default()).collect(),
            said: VecDeque::new(),
            asking: None,
            claims: 0,
            provided_until: 0.0,
            published_until: 0.0,
            ticked_at: 0.0,
            wake: 0,
            trainings: 0,
            accounted_to: 0.0,
            is_leaving: false,
            has_left: false,
            idle: Idle::default(),
        }
    }

    /// What the ledger does for it now: lets it in, or answers. Its bill is run up meanwhile.
    pub(crate) fn served(&mut self, now: f64) -> What {
        let at = Instant(now);
        let Some(desk) = &mut self.desk else {
            self.ledger.shared().bill.seconds += costs::CONNECT;
            let slots = self.config.resources.slots;
            self.ledger.record().unwrap();
            self.ledger.join(&self.name, "host", slots, at).unwrap();
            self.ledger.proposals_of(&self.name).unwrap();
            let ledger = Box::new(self.ledger.clone());
            let targets = Targets::Values(vec![0.0; 10]);
            let desk = Desk::new(ledger, self.config.clone(), targets, "host".to_string());
            self.desk = Some(desk.unwrap().with_quarantine());
            return What::Joined;
        };
        let (ask, _) = self.asking.as_ref().unwrap();
        let reply = desk.answer(&self.name, ask, at, &mut Vec::new()).unwrap();
        What::Heard(Box::new(reply))
    }

    /// Something happens to it.
    pub(crate) fn meet(&mut self, what: What, outside: &mut Outside) {
        if self.has_left {
            return;
        }
        self.account(outside);
        let now = outside.now;
        match what {
            What::Joined => {
                let slots = self.config.resources.slots;
                self.said.push_back(Ask::Hello { slots });
            }
            What::Heard(reply) => self.receive(reply, outside),
            What::Provided(reply) => self.hear(reply, outside),
            What::Published(ask) => self.said.push_back(*ask),
            What::Wake(number) if number == self.wake => {
                if self.is_busy() || now >= self.ticked_at + costs::TICK {
                    self.ticked_at = now;
                    self.tell(Event::Tick, outside);
                }
            }
            What::Generated(count) => {
                self.generator.is_making = false;
                let made: Vec<Candidate> = (0..count)
                    .map(|_| self.generator.make(&self.name, outside))
                    .collect();
                for candidate in made {
                    let candidate = Box::new(candidate);
                    self.tell(
                        Event::Generator(FromGenerator::Candidate { candidate }),
                        outside,
                    );
                }
            }
            What::Epoch(slot, number, epoch) => self.report(slot, number, epoch, outside),
            What::Kept(slot, number) => self.keep(slot, number, outside),
            What::Trained(slot, number) => self.end_training(slot, number, outside),
            What::Wake(_) | What::Start | What::Arrive | What::Served => return,
        }
        self.go_on(outside);
    }

    /// Asks what is due, makes candidates, and sets the time of its next look.
    fn go_on(&mut self, outside: &mut Outside) {
        if self.has_left {
            return;
        }
        let now = outside.now;
        if let Some(count) = self.generator.begin() {
            let at = now + costs::proposal(self.generator.ended);
            outside.agenda.note(at, self.number, What::Generated(count));
        }
        if self.asking.is_none() {
            self.ask(outside);
        }
        let until_tick = (self.ticked_at + costs::TICK - now).max(0.0);
        let patience = self.link.patience(Instant(now));
        let pause = match (self.is_busy(), self.asking.is_some()) {
            // What it would be woken for waits for the answer.
            (true, true) => return,
            (true, false) => patience.max(1e-3),
            (false, true) => until_tick,
            (false, false) if patience > 0.0 => patience.min(until_tick),
            (false, false) => until_tick,
        };
        self.wake += 1;
        let wake = What::Wake(self.wake);
        outside.agenda.note(now + pause, self.number, wake);
    }

    fn ask(&mut self, outside: &mut Outside) {
        let now = Instant(outside.now);
        // What was said meanwhile is heard after every answer, as on a real node.
        for ask in self.said.drain(..) {
            self.link.offer(ask, now);
        }
        if let Some(ask) = self.link.next(now) {
            self.asking = Some((ask.clone(), now));
            let at = outside.now + costs::ROUND_TRIP / 2.0;
            outside.agenda.note(at, self.number, What::Arrive);
        }
    }

    /// An answer is back: what it gives out waits for the weights that it needs, and all behind it, too.
    fn receive(&mut self, reply: Box<Reply>, outside: &mut Outside) {
        let (_, at) = self.asking.take().unwrap();
        self.link.answered(&reply, at);
        let desk = self.desk.as_ref();
        if desk.is_some_and(|desk| desk.is_quarantined(&self.name)) && !self.is_leaving {
            self.is_leaving = true;
            self.tell(Event::Leave, outside);
        }
        if let Answer::Work { job, .. } = &reply.answer
            && job.inheritance.is_some()
        {
            self.provided_until = outside.carried_at(costs::WEIGHTS).max(self.provided_until);
        }
        match self.provided_until > outside.now {
            true => {
                let provided = What::Provided(reply);
                outside
                    .agenda
                    .note(self.provided_until, self.number, provided);
            }
            false => self.hear(reply, outside),
        }
    }

    fn hear(&mut self, reply: Box<Reply>, outside: &mut Outside) {
        match &reply.answer {
            Answer::Work { .. } | Answer::NoWork { .. } => self.claims -= 1,
            _ => {}
        }
        self.tell(Event::Reply(reply), outside);
    }

    fn tell(&mut self, event: Event, outside: &mut Outside) {
        for action in self.worker.step(event) {
            match action {
                Action::Ask(ask @ Ask::Finish { .. }) => {
                    self.publish(ask, costs::WEIGHTS, outside);
                }
                Action::Ask(ask @ Ask::Checkpoint { .. }) => {
                    self.publish(ask, costs::CHECKPOINT, outside);
                }
                Action::Ask(ask) => {
                    self.claims += u32::from(matches!(ask, Ask::Claim { .. }));
                    self.said.push_back(ask);
                }
                Action::TellGenerator(told) => self.generator.hear(&told),
                Action::TellTrainer(slot, TellTrainer::Train { job }) => {
                    self.begin_training(slot, *job, outside);
                }
                Action::TellTrainer(slot, TellTrainer::Stop { .. }) => {
                    if let Some(running) = &self.trainers[usize::from(slot.0)].running {
                        let number = running.number;
                        let over = What::Trained(slot, number);
                        outside.agenda.note(outside.now, self.number, over);
                    }
                }
                Action::Leave => self.leave(outside.now),
                Action::GiveUp { message } => panic!("{message}"),
                _ => {}
            }
        }
    }

    /// One after the other: what is published is said when it is in the store.
    fn publish(&mut self, ask: Ask, bytes: f64, outside: &mut Outside) {
        self.published_until = outside.carried_at(bytes).max(self.published_until);
        let published = What::Published(Box::new(ask));
        outside
            .agenda
            .note(self.published_until, self.number, published);
    }

    fn begin_training(&mut self, slot: Slot, job: Job, outside: &mut Outside) {
        self.trainings += 1;
        let (seconds, death) = outside.training(job.lease.trial, job.lease.epoch.0);
        let trainer = &mut self.trainers[usize::from(slot.0)];
        trainer.began_first.get_or_insert(outside.now);
        let at = outside.now + seconds * death.unwrap_or(1.0);
        let number = self.trainings;
        let before = trainer.running.replace(Running {
            job,
            began: outside.now,
            ends: at,
            number,
            dies: death.is_some(),
        });
        assert!(before.is_none(), "a busy trainer was given another job");
        for number_of_epoch in 1..EPOCHS {
            let share = f64::from(number_of_epoch) / f64::from(EPOCHS);
            let ended = What::Epoch(slot, number, number_of_epoch);
            outside
                .agenda
                .note(outside.now + share * seconds, self.number, ended);
        }
        self.note_keeping(slot, number, outside);
        let over = What::Trained(slot, number);
        outside.agenda.note(at, self.number, over);
    }

    /// A training is kept on the way, and will be again.
    fn keep(&mut self, slot: Slot, number: u64, outside: &mut Outside) {
        let running = self.trainers[usize::from(slot.0)].running.as_ref();
        let Some(running) = running.filter(|running| running.number == number) else {
            return;
        };
        let lease = running.job.lease;
        let checkpoint = Digest::of(format!("{lease:?} {}", outside.now).as_bytes());
        let kept = FromTrainer::Checkpoint { lease, checkpoint };
        self.note_keeping(slot, number, outside);
        self.tell(Event::Trainer(slot, kept), outside);
    }

    fn note_keeping(&self, slot: Slot, number: u64, outside: &mut Outside) {
        let at = outside.now + costs::CHECKPOINT_SECS;
        let kept = What::Kept(slot, number);
        outside.agenda.note(at, self.number, kept);
    }

    fn report(&mut self, slot: Slot, number: u64, ended: u32, outside: &mut Outside) {
        let running = self.trainers[usize::from(slot.0)].running.as_ref();
        let Some(running) = running.filter(|running| running.number == number) else {
            return;
        };
        let report = FromTrainer::Epoch {
            lease: running.job.lease,
            epochs: EPOCHS,
            report: Box::new(epoch(ended, score(outside.now))),
            // Scores rise with time.
            best: score(outside.now),
        };
        self.tell(Event::Trainer(slot, report), outside);
    }

    fn end_training(&mut self, slot: Slot, number: u64, outside: &mut Outside) {
        let trainer = &mut self.trainers[usize::from(slot.0)];
        let Some(running) = trainer.running.take_if(|running| running.number == number) else {
            return;
        };
        let seconds = outside.now - running.began;
        if running.dies {
            self.idle
                .add(Cause::Death, seconds, outside.now, outside.spent_at);
            let (cause, message) = (DeathCause::Unknown, "signal 9".to_string());
            let died = Event::TrainerDied {
                slot,
                cause,
                message,
            };
            return self.tell(died, outside);
        }
        trainer.busy += seconds;
        let lease = running.job.lease;
        let mut result = result(Training {
            job: running.job,
            curve: vec![epoch(EPOCHS, score(outside.now))],
            told: None,
        });
        result.artifact = Digest::of(format!("{lease:?}").as_bytes());
        self.tell(
            Event::Trainer(slot, FromTrainer::Finished { lease, result }),
            outside,
        );
    }

    fn leave(&mut self, now: f64) {
        self.has_left = true;
        if let Some(desk) = &mut self.desk {
            desk.leave(&self.name, Instant(now)).unwrap();
        }
    }

    fn is_busy(&self) -> bool {
        self.trainers
            .iter()
            .all(|trainer| trainer.running.is_some())
    }

    /// Seconds of trainings so far, of all its trainers.
    pub(crate) fn busy(&self, now: f64) -> f64 {
        let of = |trainer: &Trainer| {
            let running = trainer.running.as_ref();
            trainer.busy + running.map_or(0.0, |running| now - running.began)
        };
        self.trainers.iter().map(of).sum()
    }

    /// When the last of its trainings ends that have begun, and how long all of them will have been.
    pub(crate) fn foreseen(&self) -> (f64, f64) {
        let running = self
            .trainers
            .iter()
            .filter_map(|trainer| trainer.running.as_ref());
        let ends = running.map(|running| running.ends);
        let last = ends.reduce(f64::max).unwrap_or(0.0);
        let of = |trainer: &Trainer| {
            let running = trainer.running.as_ref();
            trainer.busy + running.map_or(0.0, |running| running.ends - running.began)
        };
        (last, self.trainers.iter().map(of).sum())
    }

    /// Seconds since the first training of each of its trainers.
    pub(crate) fn open(&self, now: f64) -> f64 {
        let began = self
            .trainers
            .iter()
            .filter_map(|trainer| trainer.began_first);
        began.map(|began| now - began).sum()
    }

    /// Notes what its idle trainers have waited for since the last time.
    fn account(&mut self, outside: &Outside) {
        let seconds = outside.now - self.accounted_to;
        self.accounted_to = outside.now;
        for trainer in &self.trainers {
            if trainer.running.is_some() {
                continue;
            }
            let cause = if trainer.began_first.is_none() {
                Cause::Start
            } else if self.provided_until > outside.now - seconds {
                Cause::Store
            } else if self.claims > 0 {
                Cause::Ledger
            } else if self.generator.is_making {
                Cause::Candidate
            } else {
                Cause::Pause
            };
            self.idle.add(cause, seconds, outside.now, outside.spent_at);
        }
    }
}
