//! A simulated node: the real decisions of worker, link and desk; trainer, generator, spool and weights are made up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use data::Targets;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use search::TrialId;
use study::{
    cluster::link::Link,
    config::StudyConfig,
    desk::Desk,
    ledger::{Ending, Keeping, LEASE_SECS, Operations},
    message::{Answer, Ask, FromGenerator, FromTrainer, Reply, StopCause, TellTrainer},
    trial::{Digest, Instant, Lease, Slot, TrialResult, WorkerName},
    worker::{Action, DeathCause, Event, Worker},
};

use train::EpochReport;

use crate::{
    access::Access,
    made_up::{EPOCHS, RUNGS, Training, best, candidate, early_stop, epoch, result},
    shared::Mistake,
};

pub(crate) const SLOTS: u16 = 2;

/// What stays when a node's processes die.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    spool: BTreeMap<Lease, TrialResult>,
    weights: BTreeSet<Digest>,
    kept: BTreeMap<Digest, Vec<EpochReport>>,
    /// Nothing more can be written.
    pub(crate) is_full: bool,
}

/// What all nodes send their weights to.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) objects: BTreeSet<Digest>,
    pub(crate) is_away: bool,
}

/// What dies with a node's process.
struct Process {
    worker: Worker,
    link: Link,
    desk: Desk,
    trainings: BTreeMap<Slot, Training>,
    replies: VecDeque<Reply>,
    publishing: VecDeque<Ask>,
    is_leaving: bool,
}

pub(crate) struct SimNode {
    pub(crate) name: WorkerName,
    pub(crate) access: Access,
    pub(crate) disk: Disk,
    process: Option<Process>,
    pub(crate) is_frozen: bool,
    /// How far its clock is from the database's.
    pub(crate) clock: f64,
    /// Its trainers always die.
    pub(crate) is_sick: bool,
    pub(crate) is_quarantined: bool,
    /// Results of which it was told that they are noted.
    pub(crate) noted: BTreeSet<TrialId>,
}

/// The digest of weights that were trained under a lease.
pub(crate) fn weights_of(lease: Lease) -> Digest {
    Digest::of(format!("{lease:?}").as_bytes())
}

/// The digest of a training after so many epochs.
fn checkpoint_of(lease: Lease, epochs: usize) -> Digest {
    Digest::of(format!("{lease:?} after {epochs}").as_bytes())
}

impl SimNode {
    pub(crate) fn new(number: usize, access: Access) -> SimNode {
        SimNode {
            name: WorkerName(format!("node-{number}")),
            access,
            disk: Disk::default(),
            process: None,
            is_frozen: false,
            clock: 0.0,
            is_sick: false,
            is_quarantined: false,
            noted: BTreeSet::new(),
        }
    }

    pub(crate) fn described(&self) -> String {
        match &self.process {
            None => "down".to_string(),
            Some(process) => format!(
                "{} training, {} replies, {} publishing, leaving {}, {:?}",
                process.trainings.len(),
                process.replies.len(),
                process.publishing.len(),
                process.is_leaving,
                process.worker
            ),
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    fn now(&self) -> Instant {
        self.access.shared().now.plus(self.clock)
    }

    /// Everything in memory is gone.
    pub(crate) fn crash(&mut self) {
        self.process = None;
    }

    /// Starts as a node does: what is in the spool goes first. Fails while the ledger or the store is away.
    pub(crate) fn start(&mut self, config: &StudyConfig, store: &mut Store) -> Option<()> {
        let now = self.now();
        while let Some((lease, spooled)) = self.disk.spool.pop_first() {
            let ending = Ending::Finished(Box::new(spooled.clone()));
            let is_published = !store.is_away && self.disk.weights.contains(&spooled.artifact);
            if is_published {
                store.objects.insert(spooled.artifact.clone());
            }
            let is_told = is_published && self.access.finish(lease, &ending, now).is_ok();
            if !is_told {
                self.disk.spool.insert(lease, spooled);
                return None;
            }
        }
        self.access.join(&self.name, "host", SLOTS, now).ok()?;
        let targets = Targets::Values(vec![0.0; 10]);
        let ledger = Box::new(self.access.clone());
        let desk = Desk::new(ledger, config.clone(), targets, "host".to_string()).ok()?;
        let mut link = Link::new(SLOTS, LEASE_SECS, 1, now);
        link.offer(Ask::Hello { slots: SLOTS }, now);
        self.process = Some(Process {
            worker: Worker::new(SLOTS, RUNGS),
            link,
            desk: desk.with_quarantine(),
            trainings: BTreeMap::new(),
            replies: VecDeque::new(),
            publishing: VecDeque::new(),
            is_leaving: false,
        });
        Some(())
    }

    /// One thing that a running node does by itself.
    pub(crate) fn act(&mut self, store: &mut Store, rng: &mut ChaCha8Rng, units: &mut u32) {
        match rng.random_range(0..100) {
            0..30 => self.ask(),
            30..50 => self.hear(),
            50..60 => self.generate(units),
            60..80 => self.train(rng),
            80..90 => self.publish(store),
            _ => self.tell(Event::Tick),
        }
    }

    /// Asks the ledger what is due.
    fn ask(&mut self) {
        let now = self.now();
        let Some(process) = &mut self.process else {
            return;
        };
        let Some(ask) = process.link.next(now).cloned() else {
            return;
        };
        let mut log = Vec::new();
        match process.desk.answer(&self.name, &ask, now, &mut log) {
            Ok(reply) => {
                process.link.answered(&reply, now);
                if let (Ask::Finish { lease, .. }, Answer::Noted { .. }) = (&ask, &reply.answer) {
                    self.noted.insert(lease.trial);
                }
                process.replies.push_back(reply);
                if process.desk.is_quarantined(&self.name) && !process.is_leaving {
                    // As the shell does: it leaves as if it were told to.
                    self.preempt();
                }
            }
            Err(error) => {
                assert!(error.may_pass(), "{error}");
                process.link.unanswered(now);
            }
        }
    }

    fn hear(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        if let Some(reply) = process.replies.pop_front() {
            self.tell(Event::Reply(Box::new(reply)));
        }
    }

    fn generate(&mut self, units: &mut u32) {
        *units += 1;
        let candidate = Box::new(candidate(*units, &self.name));
        self.tell(Event::Generator(FromGenerator::Candidate { candidate }));
    }

    /// A trainer does one epoch more, or ends.
    fn train(&mut self, rng: &mut ChaCha8Rng) {
        let Some(process) = &mut self.process else {
            return;
        };
        let Some((slot, mut training)) = process.trainings.pop_first() else {
            return;
        };
        let lease = training.job.lease;
        if self.is_sick {
            return self.bury(slot, "signal 9");
        }
        let is_done = training.curve.len() as u32 == EPOCHS;
        let ends = is_done || matches!(training.told, Some(StopCause::Over));
        if ends && self.disk.is_full {
            return self.bury(slot, "no space left");
        }
        let said = match training.told {
            Some(StopCause::Leave) => FromTrainer::Paused {
                lease,
                checkpoint: self.pause(lease, training.curve),
            },
            Some(StopCause::Behind) => FromTrainer::Stopped {
                lease,
                stop: Box::new(early_stop(training)),
            },
            told if is_done || told.is_some() => {
                let mut result = result(training);
                result.artifact = weights_of(lease);
                // Weights are on disk before anybody hears of them.
                self.disk.weights.insert(result.artifact.clone());
                FromTrainer::Finished { lease, result }
            }
            _ => {
                let report = epoch(training.curve.len() as u32 + 1, rng.random());
                training.curve.push(report.clone());
                let best = best(&training.curve);
                let kept = rng.random_bool(0.5) && !self.disk.is_full;
                let checkpoint = checkpoint_of(lease, training.curve.len());
                if kept {
                    let curve = training.curve.clone();
                    self.disk.kept.insert(checkpoint.clone(), curve);
                }
                process.trainings.insert(slot, training);
                if kept {
                    self.tell(Event::Trainer(
                        slot,
                        FromTrainer::Checkpoint { lease, checkpoint },
                    ));
                }
                FromTrainer::Epoch {
                    lease,
                    epochs: EPOCHS,
                    report: Box::new(report),
                    best,
                }
            }
        };
        self.tell(Event::Trainer(slot, said));
    }

    /// Where another node goes on, if there is room to say so.
    fn pause(&mut self, lease: Lease, curve: Vec<EpochReport>) -> Option<Digest> {
        let checkpoint = checkpoint_of(lease, curve.len());
        (!self.disk.is_full).then(|| {
            self.disk.kept.insert(checkpoint.clone(), curve);
            checkpoint
        })
    }

    pub(crate) fn kill_trainer(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        let Some((slot, _)) = process.trainings.pop_first() else {
            return;
        };
        self.bury(slot, "signal 9");
    }

    fn bury(&mut self, slot: Slot, words: &str) {
        self.tell(Event::TrainerDied {
            slot,
            cause: DeathCause::Unknown,
            message: words.to_string(),
        });
    }

    /// Weights go to the store, and only then the result to the ledger.
    fn publish(&mut self, store: &mut Store) {
        let now = self.now();
        let mistake = self.access.shared().mistake;
        let Some(process) = &mut self.process else {
            return;
        };
        let is_hasty = match process.publishing.front() {
            Some(Ask::Finish { .. }) => mistake == Some(Mistake::RowBeforeWeights),
            _ => mistake == Some(Mistake::RowBeforeCheckpoint),
        };
        if store.is_away && !is_hasty {
            return;
        }
        let Some(ask) = process.publishing.pop_front() else {
            return;
        };
        match &ask {
            _ if store.is_away => {}
            Ask::Finish { result, .. } => {
                store.objects.insert(result.artifact.clone());
            }
            paused => {
                let checkpoint = paused.stored().expect("only such asks wait here");
                let kept = self.disk.kept.remove(checkpoint).unwrap_or_default();
                self.access.shared().kept.insert(checkpoint.clone(), kept);
            }
        }
        process.link.offer(ask, now);
    }

    /// The engine takes the machine away.
    pub(crate) fn preempt(&mut self) {
        if let Some(process) = &mut self.process {
            process.is_leaving = true;
            self.tell(Event::Leave);
        }
    }

    fn tell(&mut self, event: Event) {
        let now = self.now();
        let Some(process) = &mut self.process else {
            return;
        };
        for action in process.worker.step(event) {
            match action {
                Action::Ask(ask) if ask.stored().is_some() => process.publishing.push_back(ask),
                Action::Ask(ask) => process.link.offer(ask, now),
                // What cannot be kept is told all the same.
                Action::Spool(_) if self.disk.is_full => {}
                Action::Spool(spooled) => {
                    self.disk.spool.insert(spooled.lease, spooled.result);
                }
                Action::Unspool(lease) => {
                    self.disk.spool.remove(&lease);
                }
                Action::TellTrainer(slot, TellTrainer::Train { job }) => {
                    let checkpoint = job.checkpoint.as_ref();
                    let curve = self.access.shared().note_job(job.lease, checkpoint);
                    let training = Training {
                        job: *job,
                        curve,
                        told: None,
                    };
                    let before = process.trainings.insert(slot, training);
                    assert!(before.is_none(), "a busy trainer was given another job");
                }
                Action::TellTrainer(slot, TellTrainer::Stop { cause }) => {
                    if let Some(training) = process.trainings.get_mut(&slot) {
                        training.told.get_or_insert(cause);
                    }
                }
                Action::Leave | Action::GiveUp { .. } => return self.leave(),
                _ => {}
            }
        }
    }

    /// Says what it still knows, as far as it is heard, and goes.
    fn leave(&mut self) {
        let now = self.now();
        let Some(mut process) = self.process.take() else {
            return;
        };
        process.link.forget_claims();
        while let Some(ask) = process.link.next(now).cloned() {
            match process.desk.answer(&self.name, &ask, now, &mut Vec::new()) {
                Ok(reply) => process.link.answered(&reply, now),
                Err(_) => break,
            }
        }
        // Asked before the desk forgets it.
        self.is_quarantined = process.desk.is_quarantined(&self.name);
        // If it is not heard, its leases run out.
        let _ = process.desk.leave(&self.name, now);
    }
}
