//! A slave node of a cluster: a worker that joins a study by itself, keeps a desk of its own, and leaves when
//! the study is over, its time on the machine is, or its trainers die.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant as Moment},
};

use thiserror::Error;

use crate::{
    cluster::{
        invitation::{Invitation, InvitationError},
        link::Link,
        porter,
        share::receive,
    },
    config::{Resources, StudyConfig},
    desk::{Desk, Happening},
    explore::now,
    ledger::{Ending, Keeping, LedgerError, Operations, Postgres, Reading},
    message::{Ask, Reply, WorkerSetup},
    prepared::{PrepareError, PreparedFiles},
    process::worker::{Upward, work},
    setup::CommonSetup,
    spool::Spool,
    store::{NodeWeights, StoreError},
    trial::{Instant, WorkerName},
};

/// Seconds between two tries to reach a ledger that is away when a node starts.
const RETRY_SECS: f64 = 2.0;

/// How long a node that leaves may take to say what it knows, in seconds.
const FAREWELL_SECS: f64 = 20.0;

/// Why a node could not work.
#[derive(Debug, Error)]
pub enum NodeError {
    /// Its invitation.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The prepared rows.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The study's configuration.
    #[error("the ledger's configuration is not one of this version")]
    Config(#[source] serde_json::Error),
    /// Its children or its files.
    #[error("could not {action}")]
    Process {
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What a node is and has.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeOptions {
    /// Its name, unique in the study; it may come again under the same one.
    pub name: WorkerName,
    /// The machine it runs on.
    pub host: String,
    /// Trainers, and what each may take.
    pub resources: Resources,
    /// A folder on this machine, for results on their way and what is brought from a store.
    pub scratch: PathBuf,
    /// Most bytes of weights that are kept of a store, and as many of rows.
    pub cache_bytes_max: u64,
}

/// How a node came to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// The study is over.
    Over,
    /// It was told to go: its trials wait for others.
    Told,
    /// Its trainers died one after the other: it should not come again on this machine.
    Quarantined,
}

/// Joins a study and works for it until it is over, or `leave` is set.
///
/// # Errors
/// If the study cannot be joined, or the node cannot start its children.
pub fn run(
    invitation: &Path,
    options: &NodeOptions,
    leave: &AtomicBool,
) -> Result<Farewell, NodeError> {
    let invitation = Invitation::read(invitation)?;
    let mut ledger = patient(leave, || Postgres::admitted(&invitation.admission))?;
    let record = patient(leave, || ledger.record())?;
    let mut config: StudyConfig =
        serde_json::from_str(&record.config).map_err(NodeError::Config)?;
    config.resources = options.resources;
    let cache = options.scratch.join("cache");
    let shared = receive(&invitation.share, &cache, options.cache_bytes_max)?;
    let spool = spool_of(options, &invitation)?;
    take_in_spooled(&spool, &shared.weights, &mut ledger, leave)?;
    let (name, slots) = (&options.name, options.resources.slots);
    let joined = patient(leave, || ledger.join(name, &options.host, slots, now()))?;
    let number = joined.number;
    let made = patient(leave, || ledger.proposals_of(name))?;
    let lease_secs = ledger.lease_secs();
    let common = CommonSetup::read(&shared.prepared, &shared.weights.directory(), &config)?;
    let setup = common.of_worker(name, number, made, spool.directory());
    let files = PreparedFiles::at(&shared.prepared);
    let targets = PreparedFiles::load(&files.train)?.targets().clone();
    let desk = Desk::new(Box::new(ledger), config, targets, options.host.clone())?;
    let clock = Clock::start();
    let counter = Counter {
        desk: desk.with_quarantine(),
        link: Link::new(slots, lease_secs, u64::from(number), clock.now()),
        name: name.clone(),
        clock,
    };
    staff(setup, counter, &shared.weights, leave)
}

/// The worker, its desk, and who carries weights for it, each in a thread of its own.
fn staff(
    setup: WorkerSetup,
    counter: Counter,
    weights: &NodeWeights,
    leave: &AtomicBool,
) -> Result<Farewell, NodeError> {
    let (asks, asked) = channel();
    let (finishes, finished) = channel();
    let (answers, answered) = channel();
    let (provided, replies) = channel();
    thread::scope(|scope| {
        let published = asks.clone();
        scope.spawn(move || porter::publish(weights, finished, &published, leave));
        scope.spawn(move || porter::provide(weights, answered, &provided, leave));
        let counter = scope.spawn(move || counter.serve(&asked, answers));
        let upward = Upward::Desk { asks, finishes };
        let worked = work(setup, upward, replies, leave);
        let quarantined = counter.join().unwrap_or(Ok(false))?;
        worked.map_err(failed("work"))?;
        Ok(match (quarantined, leave.load(Ordering::Relaxed)) {
            (true, _) => Farewell::Quarantined,
            (false, true) => Farewell::Told,
            (false, false) => Farewell::Over,
        })
    })
}

/// Brings results into the ledger that this node has computed before, and could not report.
fn take_in_spooled(
    spool: &Spool,
    weights: &NodeWeights,
    ledger: &mut Postgres,
    leave: &AtomicBool,
) -> Result<(), NodeError> {
    spool.hand_over(
        |action, source| failed(action)(source),
        |lease, result| {
            weights.publish(&result.artifact)?;
            let ending = Ending::Finished(Box::new(result));
            patient(leave, || ledger.finish(lease, &ending, now()))?;
            Ok(())
        },
    )
}

fn failed(action: &'static str) -> impl Fn(io::Error) -> NodeError {
    move |source| NodeError::Process { action, source }
}

fn spool_of(options: &NodeOptions, invitation: &Invitation) -> Result<Spool, NodeError> {
    let study = invitation.admission.study.to_string();
    let directory = options
        .scratch
        .join(study)
        .join("spool")
        .join(&options.name.0);
    std::fs::create_dir_all(&directory).map_err(failed("make the spool"))?;
    Ok(Spool::at(&directory))
}

/// Tries again while the ledger is away, until the node is told to leave.
fn patient<T>(
    leave: &AtomicBool,
    mut ask: impl FnMut() -> Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    loop {
        match ask() {
            Err(error) if error.may_pass() && !leave.load(Ordering::Relaxed) => {
                thread::sleep(Duration::from_secs_f64(RETRY_SECS));
            }
            answer => return answer,
        }
    }
}

/// Where a node's questions meet its desk.
struct Counter {
    desk: Desk,
    link: Link,
    name: WorkerName,
    clock: Clock,
}

/// The time since a node began: the machine's own clock may be set while it works, and no lease may wait for that.
struct Clock {
    begun: Moment,
    begun_at: Instant,
}

impl Clock {
    fn start() -> Clock {
        Clock {
            begun: Moment::now(),
            begun_at: now(),
        }
    }

    fn now(&self) -> Instant {
        self.begun_at.plus(self.begun.elapsed().as_secs_f64())
    }
}

impl Counter {
    /// Answers until nobody asks any more; then says farewell. Returns whether the ledger has had enough of
    /// this node.
    fn serve(mut self, asked: &Receiver<Ask>, answers: Sender<Reply>) -> Result<bool, LedgerError> {
        let mut log = Vec::new();
        loop {
            let patience = Duration::from_secs_f64(self.link.patience(self.clock.now()));
            match asked.recv_timeout(patience) {
                Ok(ask) => self.link.offer(ask, self.clock.now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            for ask in asked.try_iter() {
                self.link.offer(ask, self.clock.now());
            }
            while let Some(reply) = self.ask_next(&mut log)? {
                if answers.send(reply).is_err() {
                    break;
                }
            }
        }
        drop(answers);
        self.say_farewell(&mut log)
    }

    /// Asks what is due; `None` if nothing is, or the ledger is away.
    fn ask_next(&mut self, log: &mut Vec<Happening>) -> Result<Option<Reply>, LedgerError> {
        let at = self.clock.now();
        let Some(ask) = self.link.next(at).cloned() else {
            return Ok(None);
        };
        match self.desk.answer(&self.name, &ask, at, log) {
            Ok(reply) => {
                self.link.answered(&reply, at);
                Ok(Some(reply))
            }
            Err(error) if error.may_pass() => {
                self.link.unanswered(self.clock.now());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Results first, then the trials that it gives back; but not for ever: leases run out by themselves.
    fn say_farewell(&mut self, log: &mut Vec<Happening>) -> Result<bool, LedgerError> {
        self.link.forget_claims();
        let until = Moment::now() + Duration::from_secs_f64(FAREWELL_SECS);
        while !self.link.is_empty() && Moment::now() < until {
            if self.ask_next(log)?.is_none() {
                let patience = self.link.patience(self.clock.now());
                let patience = patience.clamp(0.05, 1.0);
                thread::sleep(Duration::from_secs_f64(patience));
            }
        }
        let is_quarantined = self.desk.is_quarantined(&self.name);
        if !self.link.is_empty() {
            // What it has computed is on its disk: to give the trial back now would be to train it twice. The
            // lease runs out by itself, if the node does not come again before.
            return Ok(is_quarantined);
        }
        while let Err(error) = self.desk.leave(&self.name, self.clock.now()) {
            if !error.may_pass() || Moment::now() > until {
                return Ok(is_quarantined);
            }
            thread::sleep(Duration::from_secs_f64(RETRY_SECS));
        }
        Ok(is_quarantined)
    }
}
