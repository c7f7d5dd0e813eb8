//! Master and workers in one process, without pipes or clocks: their step functions against each
//! other under delays and deaths, from one seed. What holds here holds whatever the shells do.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod made_up;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use data::Targets;
use made_up::{EPOCHS, RUNGS, Training, best, candidate, config, early_stop, epoch, result};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use search::{Origin, TrialId};
use study::{
    desk,
    ledger::{Sqlite, StudyRecord},
    master::{self, EndReason, Master},
    message::{Ask, FromGenerator, FromTrainer, Reply, StopCause, TellTrainer},
    trial::{Instant, Slot, Trial, TrialState, WorkerName},
    worker::{self, DeathCause, Worker},
};

const SLOTS: u16 = 2;
const WORKERS: u16 = 3;
/// One node: its decisions, what it is training, and what is under way to it.
struct Node {
    worker: Worker,
    training: BTreeMap<Slot, Training>,
    replies: VecDeque<Box<Reply>>,
    asks: VecDeque<Ask>,
    gone: bool,
}

struct World {
    master: Master,
    nodes: BTreeMap<WorkerName, Node>,
    rng: ChaCha8Rng,
    now: Instant,
    candidates: u32,
    noted: BTreeSet<(TrialId, u32)>,
    ended: Option<EndReason>,
}

impl World {
    fn new(seed: u64, trials: u64) -> World {
        let record = StudyRecord {
            config: String::new(),
            data: String::new(),
            trials_max: Some(trials),
        };
        let ledger = Sqlite::in_memory(&record, Instant(0.0)).unwrap();
        let targets = Targets::Values(vec![0.0; 10]);
        let master = Master::take_up(
            Box::new(ledger),
            config(trials, WORKERS, SLOTS),
            targets,
            Instant(0.0),
        )
        .unwrap();
        let names = (1..=WORKERS).map(|number| WorkerName(format!("node-{number}")));
        World {
            master,
            nodes: names.map(|name| (name, Node::new())).collect(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            now: Instant(1.0),
            candidates: 0,
            noted: BTreeSet::new(),
            ended: None,
        }
    }

    /// Lets one thing happen, chosen at random among all that could.
    fn turn(&mut self) {
        self.now = self.now.plus(self.rng.random_range(0.0..3.0));
        let names: Vec<WorkerName> = self.nodes.keys().cloned().collect();
        let name = names[self.rng.random_range(0..names.len())].clone();
        match self.rng.random_range(0..100) {
            0..30 => self.deliver_ask(&name),
            30..60 => self.deliver_reply(&name),
            60..75 => self.generate(&name),
            75..90 => self.train_on(&name),
            90..95 => self.tell(&name, worker::Event::Tick),
            95..98 => self.kill_trainer(&name),
            98 => self.kill_node(&name),
            _ => self.master_hears(master::Event::Tick),
        }
    }

    fn deliver_ask(&mut self, name: &WorkerName) {
        if let Some(ask) = self.nodes.get_mut(name).unwrap().asks.pop_front() {
            self.master_hears(master::Event::Asked(name.clone(), ask));
        } else if self.nodes[name].gone {
            let message = "left".to_string();
            self.nodes.insert(name.clone(), Node::absent());
            self.master_hears(master::Event::Left {
                worker: name.clone(),
                message,
            });
        }
    }

    fn master_hears(&mut self, event: master::Event) {
        for action in self.master.step(event, self.now).unwrap() {
            match action {
                master::Action::Reply(worker, reply) => {
                    self.nodes
                        .get_mut(&worker)
                        .unwrap()
                        .replies
                        .push_back(reply);
                }
                master::Action::StartWorker(worker) => {
                    self.nodes.insert(worker, Node::new());
                }
                master::Action::Log(desk::Happening::Finished { trial, .. }) => {
                    let first = self.noted.insert((trial, 0));
                    assert!(first, "trial {trial} was finished twice");
                }
                master::Action::Log(_) => {}
                master::Action::End(reason) => self.ended = Some(reason),
            }
        }
    }

    fn deliver_reply(&mut self, name: &WorkerName) {
        let node = self.nodes.get_mut(name).unwrap();
        if let Some(reply) = node.replies.pop_front().filter(|_| !node.gone) {
            self.tell(name, worker::Event::Reply(reply));
        }
    }

    fn generate(&mut self, name: &WorkerName) {
        self.candidates += 1;
        let units = 1 + self.candidates;
        let candidate = candidate(units, name);
        let candidate = Box::new(candidate);
        self.tell(
            name,
            worker::Event::Generator(FromGenerator::Candidate { candidate }),
        );
    }

    /// A trainer does one epoch more, or ends: because all are done, or because it was told to.
    fn train_on(&mut self, name: &WorkerName) {
        let score = self.rng.random();
        let node = self.nodes.get_mut(name).unwrap();
        let Some((slot, mut training)) = node.training.pop_first() else {
            return;
        };
        let lease = training.job.lease;
        let ended = training.curve.len() as u32 == EPOCHS || training.told.is_some();
        let said = if training.told == Some(StopCause::Behind) {
            let stop = Box::new(early_stop(training));
            FromTrainer::Stopped { lease, stop }
        } else if ended {
            let result = result(training);
            FromTrainer::Finished { lease, result }
        } else {
            let report = epoch(training.curve.len() as u32 + 1, score);
            training.curve.push(report.clone());
            let best = best(&training.curve);
            node.training.insert(slot, training);
            FromTrainer::Epoch {
                lease,
                epochs: EPOCHS,
                report: Box::new(report),
                best,
            }
        };
        self.tell(name, worker::Event::Trainer(slot, said));
    }

    fn kill_trainer(&mut self, name: &WorkerName) {
        let node = self.nodes.get_mut(name).unwrap();
        if let Some((slot, _)) = node.training.pop_first() {
            let message = "killed by signal 9".to_string();
            let cause = DeathCause::Unknown;
            self.tell(
                name,
                worker::Event::TrainerDied {
                    slot,
                    cause,
                    message,
                },
            );
        }
    }

    fn kill_node(&mut self, name: &WorkerName) {
        let node = self.nodes.get_mut(name).unwrap();
        // What it had said is still in the pipe; what it was computing is lost.
        node.gone = true;
        node.training.clear();
        node.replies.clear();
    }

    fn tell(&mut self, name: &WorkerName, event: worker::Event) {
        let node = self.nodes.get_mut(name).unwrap();
        if node.gone {
            return;
        }
        for action in node.worker.step(event) {
            match action {
                worker::Action::Ask(ask) => node.asks.push_back(ask),
                worker::Action::TellTrainer(slot, TellTrainer::Train { job }) => {
                    let training = Training {
                        job: *job,
                        curve: Vec::new(),
                        told: None,
                    };
                    let before = node.training.insert(slot, training);
                    assert!(before.is_none(), "{name} gave a busy trainer another job");
                }
                worker::Action::TellTrainer(slot, TellTrainer::Stop { cause }) => {
                    if let Some(training) = node.training.get_mut(&slot) {
                        training.told.get_or_insert(cause);
                    }
                }
                worker::Action::Leave | worker::Action::GiveUp { .. } => node.gone = true,
                _ => {}
            }
        }
    }

    /// Two nodes never hold a valid right to the same trial.
    fn check(&self) {
        let trials = self.master.ledger().trials().unwrap();
        let mut holders: BTreeMap<TrialId, u32> = BTreeMap::new();
        for training in self.nodes.values().flat_map(|node| node.training.values()) {
            let job = &training.job;
            let trial = &trials[job.lease.trial.0 as usize - 1];
            if let TrialState::Running { epoch, .. } = &trial.state {
                *holders.entry(trial.id).or_default() += u32::from(*epoch == job.lease.epoch);
            }
        }
        assert!(holders.values().all(|count| *count <= 1), "{holders:?}");
    }
}

impl Node {
    fn new() -> Node {
        Node {
            worker: Worker::new(SLOTS, RUNGS),
            training: BTreeMap::new(),
            replies: VecDeque::new(),
            asks: [Ask::Hello { slots: SLOTS }].into(),
            gone: false,
        }
    }

    fn absent() -> Node {
        Node {
            gone: true,
            asks: VecDeque::new(),
            ..Node::new()
        }
    }
}

#[test]
fn every_trial_of_the_budget_ends_exactly_once_whatever_dies() {
    let (mut stopped, mut finished, mut again) = (0, 0, 0);
    for seed in 0..200 {
        let mut world = World::new(seed, 20);
        let mut turns = 0;
        while world.ended.is_none() {
            world.turn();
            world.check();
            turns += 1;
            assert!(turns < 100_000, "seed {seed}: the study does not end");
        }
        if world.ended != Some(EndReason::Trials) {
            // Too many nodes died in a row without a trial between: the master gave up, in order.
            assert!(
                matches!(world.ended, Some(EndReason::WorkersDie { .. })),
                "seed {seed}"
            );
            continue;
        }
        let ledger = world.master.ledger();
        let counts = ledger.counts().unwrap();
        assert_eq!(counts.ended(), 20, "seed {seed}: {counts:?}");
        assert_eq!(counts.queued + counts.running, 0, "seed {seed}: {counts:?}");
        stopped += counts.stopped;
        finished += counts.finished;
        again += check_retrainings(&ledger.trials().unwrap());
        for trial in ledger.trials().unwrap() {
            if let TrialState::Stopped { stop, expected, .. } = trial.state {
                let epochs = stop.curve.len() as u32;
                assert!((1..=EPOCHS).contains(&epochs) && expected.is_finite());
            }
        }
    }
    assert!(stopped > 400 && finished > 500, "{stopped}, {finished}");
    assert!(again > 100, "{again}");
}

/// The best of all models are trained once more each way, last of all, for twice as long, and compared with
/// nobody on the way. Returns how many.
fn check_retrainings(trials: &[Trial]) -> usize {
    let is_again = |trial: &&Trial| trial.candidate.retrains().is_some();
    let best = trials
        .iter()
        .filter(|trial| !is_again(trial))
        .filter_map(|trial| Some((trial, trial.result()?.score)))
        .max_by(|(a, one), (b, other)| one.total_cmp(other).then(b.id.cmp(&a.id)));
    let again: Vec<&Trial> = trials.iter().filter(is_again).collect();
    let mut starts = BTreeSet::new();
    for trial in &again {
        let Origin::Retrained { start, .. } = trial.candidate.origin else {
            unreachable!("it says what it trains once more")
        };
        assert!(
            starts.insert(start),
            "trial {} is trained so twice",
            trial.id
        );
        assert_eq!(trial.candidate.retrains(), best.map(|(best, _)| best.id));
        assert!(!matches!(trial.state, TrialState::Stopped { .. }));
        if let Some(result) = trial.result() {
            assert_eq!(result.recipe.epochs.get(), 2 * EPOCHS);
        }
        assert!(
            trials
                .iter()
                .filter(|other| !is_again(other))
                .all(|other| other.id < trial.id)
        );
    }
    again.len()
}
