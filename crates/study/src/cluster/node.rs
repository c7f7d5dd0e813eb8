//! A slave node of a cluster: a worker that joins a study by itself, keeps a desk of its own, and leaves when
//! the study is over, its time on the machine is, or its trainers die.

use std::{
    fs, io,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant as Moment},
};

use data::error::with_causes;
use thiserror::Error;

use crate::{
    cluster::{
        invitation::{Invitation, InvitationError},
        link::Link,
        porter::Porter,
        share::{Shared, receive},
    },
    config::{Resources, StudyConfig},
    desk::{Desk, Happening},
    explore::{Clock, now},
    ledger::{Ending, Keeping, LedgerError, Operations, Postgres, Reading},
    message::{Ask, Reply, WorkerSetup},
    prepared::{PrepareError, PreparedFiles},
    process::worker::{Upward, work},
    setup::CommonSetup,
    spool::Spool,
    store::{NodeWeights, StoreError},
    trial::{Digest, WorkerName},
};

/// Seconds between two tries to reach a ledger that is away when a node starts.
const RETRY_SECS: f64 = 2.0;

/// How long a node that leaves may take to say what it knows, in seconds; transfers that are under way then are
/// ended.
const FAREWELL_SECS: f64 = 20.0;

/// How often is looked whether the farewell is said.
const TICK: Duration = Duration::from_millis(20);

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

/// Hears what happens on a node.
pub(super) type Tell<'a> = &'a (dyn Fn(&Happening) + Sync);

/// Says why something is waited for, once for each reason.
pub(super) struct Waiting<'a> {
    tell: Tell<'a>,
    said: String,
}

impl<'a> Waiting<'a> {
    /// Has said nothing yet.
    pub(super) fn silent(tell: Tell<'a>) -> Waiting<'a> {
        Waiting {
            tell,
            said: String::new(),
        }
    }

    pub(super) fn say(&mut self, error: &dyn std::error::Error) {
        let reason = with_causes(error);
        if reason != self.said {
            self.said.clone_from(&reason);
            (self.tell)(&Happening::Waiting { reason });
        }
    }

    /// It is there again: if it goes away once more, that is said once more.
    pub(super) fn is_over(&mut self) {
        self.said.clear();
    }
}

/// Joins a study and works for it until it is over, or `leave` is set: by whoever tells the node to go, or by itself
/// when its trainers die. `tell` hears what happens.
///
/// # Errors
/// If the study cannot be joined, or the node cannot start its children.
pub fn run(
    invitation: &Path,
    options: &NodeOptions,
    leave: &Arc<AtomicBool>,
    tell: Tell<'_>,
) -> Result<Farewell, NodeError> {
    let invitation = Invitation::read(invitation)?;
    let mut ledger = patient(leave, tell, || Postgres::admitted(&invitation.admission))?;
    let record = patient(leave, tell, || ledger.record())?;
    let mut config: StudyConfig =
        serde_json::from_str(&record.config).map_err(NodeError::Config)?;
    config.resources = options.resources;
    let spools = spools_of(options, &invitation);
    let spool = spool_within(&spools, &options.name)?;
    if spool.all().map_err(failed("read the spool"))?.is_empty() {
        // Whoever had this name is gone. A launcher would take this node for the silent one, and kill it, as long as
        // it fetches the rows. Results that are left go to the ledger first: with their trials another one may begin.
        patient(leave, tell, || ledger.leave(&options.name, now()))?;
    }
    let cache = options.scratch.join("cache");
    let received = receive(&invitation.share, &cache, options.cache_bytes_max, leave);
    let shared = match received {
        Err(StoreError::Stopped { .. }) => return Ok(Farewell::Told),
        received => received?,
    };
    take_in_spooled(&spools, &shared.weights, &mut ledger, (leave, tell))?;
    let (name, slots) = (&options.name, options.resources.slots);
    let joined = patient(leave, tell, || {
        ledger.join(name, &options.host, slots, now())
    })?;
    let number = joined.number;
    let made = patient(leave, tell, || ledger.proposals_of(name))?;
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
        leave,
        unsaid: &AtomicBool::new(false),
        tell,
        waiting: Waiting::silent(tell),
    };
    staff(setup, counter, &shared)
}

/// The worker, its desk, and who carries weights for it, each in a thread of its own.
fn staff(setup: WorkerSetup, counter: Counter<'_>, shared: &Shared) -> Result<Farewell, NodeError> {
    let leave = counter.leave;
    let porter = Porter {
        weights: &shared.weights,
        leave,
        unsaid: counter.unsaid,
        tell: counter.tell,
    };
    let porter = &porter;
    let (asks, asked) = channel();
    let (finishes, finished) = channel();
    let (answers, answered) = channel();
    let (provided, replies) = channel();
    thread::scope(|scope| {
        let published = asks.clone();
        scope.spawn(move || porter.publish(finished, &published));
        scope.spawn(move || porter.provide(answered, &provided));
        let counter = scope.spawn(move || counter.serve(&asked, answers));
        let upward = Upward::Desk { asks, finishes };
        let worked = work(setup, upward, replies, leave);
        let until = Moment::now() + Duration::from_secs_f64(FAREWELL_SECS);
        while !counter.is_finished() && Moment::now() < until {
            thread::sleep(TICK);
        }
        // Whatever is still carried now stays in the spool and the cache.
        shared.stop.store(true, Ordering::Relaxed);
        let quarantined = counter
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic))?;
        worked.map_err(failed("work"))?;
        Ok(match (quarantined, leave.load(Ordering::Relaxed)) {
            (true, _) => Farewell::Quarantined,
            (false, true) => Farewell::Told,
            (false, false) => Farewell::Over,
        })
    })
}

/// Brings results into the ledger that nodes have computed on this machine before, and could not report: none of them
/// may come again under its name. Those of one that still works may be among them; the ledger counts none twice.
fn take_in_spooled(
    spools: &Path,
    weights: &NodeWeights,
    ledger: &mut dyn Operations,
    (leave, tell): (&AtomicBool, Tell<'_>),
) -> Result<(), NodeError> {
    let read = failed("read the spools");
    for entry in fs::read_dir(spools).map_err(&read)? {
        let directory = entry.map_err(&read)?.path();
        if !directory.is_dir() {
            continue;
        }
        Spool::at(&directory).hand_over(
            |action, source| failed(action)(source),
            |lease, result| {
                match weights.publish(&result.artifact) {
                    // The ledger had it, and its weights went since; without them it is no result.
                    Err(StoreError::Missing { .. }) => return Ok(()),
                    published => published?,
                }
                let ending = Ending::Finished(Box::new(result));
                patient(leave, tell, || ledger.finish(lease, &ending, now()))?;
                Ok(())
            },
        )?;
    }
    Ok(())
}

fn failed(action: &'static str) -> impl Fn(io::Error) -> NodeError {
    move |source| NodeError::Process { action, source }
}

/// Where the nodes of a study on this machine have their spools. Another study of the same name, in another database,
/// has another password and so another place: its results are none of this one.
fn spools_of(options: &NodeOptions, invitation: &Invitation) -> PathBuf {
    let admission = &invitation.admission;
    let password = admission.password.as_deref().unwrap_or_default();
    let own = Digest::of(password.as_bytes());
    let study = format!("{}-{}", admission.study, &own.as_str()[..12]);
    options.scratch.join(study).join("spool")
}

fn spool_within(spools: &Path, name: &WorkerName) -> Result<Spool, NodeError> {
    // Kubernetes has slashes in its names.
    let directory = spools.join(name.0.replace('/', "-"));
    fs::create_dir_all(&directory).map_err(failed("make the spool"))?;
    Ok(Spool::at(&directory))
}

/// Tries again while the ledger is away, and says why, until the node is told to leave.
fn patient<T>(
    leave: &AtomicBool,
    tell: Tell<'_>,
    mut ask: impl FnMut() -> Result<T, LedgerError>,
) -> Result<T, LedgerError> {
    let mut waiting = Waiting::silent(tell);
    loop {
        match ask() {
            Err(error) if error.may_pass() && !leave.load(Ordering::Relaxed) => {
                waiting.say(&error);
                thread::sleep(Duration::from_secs_f64(RETRY_SECS));
            }
            answer => return answer,
        }
    }
}

/// Where a node's questions meet its desk.
struct Counter<'a> {
    desk: Desk,
    link: Link,
    name: WorkerName,
    clock: Clock,
    leave: &'a AtomicBool,
    /// Whether a result stays in the spool that the ledger has not heard of.
    unsaid: &'a AtomicBool,
    tell: Tell<'a>,
    waiting: Waiting<'a>,
}

impl Counter<'_> {
    /// Answers until nobody asks any more; then says farewell. Returns whether the ledger has had enough of
    /// this node.
    fn serve(mut self, asked: &Receiver<Ask>, answers: Sender<Reply>) -> Result<bool, LedgerError> {
        loop {
            let patience = Duration::from_secs_f64(self.link.patience(self.clock.now()));
            match asked.recv_timeout(patience) {
                Ok(ask) => self.link.offer(ask, self.clock.now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            loop {
                // What is said meanwhile is heard after every answer: no lease waits until a long queue has been
                // answered.
                for ask in asked.try_iter() {
                    self.link.offer(ask, self.clock.now());
                }
                let Some(reply) = self.ask_next()? else { break };
                if answers.send(reply).is_err() {
                    break;
                }
            }
        }
        drop(answers);
        self.say_farewell()
    }

    /// Asks what is due; `None` if nothing is, or the ledger is away.
    fn ask_next(&mut self) -> Result<Option<Reply>, LedgerError> {
        let at = self.clock.now();
        let Some(ask) = self.link.next(at).cloned() else {
            return Ok(None);
        };
        let mut log = Vec::new();
        let answered = self.desk.answer(&self.name, &ask, at, &mut log);
        log.iter().for_each(self.tell);
        match answered {
            Ok(reply) => {
                self.waiting.is_over();
                self.link.answered(&reply, at);
                if self.desk.is_quarantined(&self.name) {
                    // It leaves as if it were told to: trainings that are well go on elsewhere.
                    self.leave.store(true, Ordering::Relaxed);
                }
                Ok(Some(reply))
            }
            Err(error) if error.may_pass() => {
                self.waiting.say(&error);
                self.link.unanswered(self.clock.now());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Results first, then the trials that it gives back; but not for ever: leases run out by themselves.
    fn say_farewell(&mut self) -> Result<bool, LedgerError> {
        self.link.forget_claims();
        let until = Moment::now() + Duration::from_secs_f64(FAREWELL_SECS);
        while !self.link.is_empty() && Moment::now() < until {
            if self.ask_next()?.is_none() {
                let patience = self.link.patience(self.clock.now());
                let patience = patience.clamp(0.05, 1.0);
                thread::sleep(Duration::from_secs_f64(patience));
            }
        }
        let is_quarantined = self.desk.is_quarantined(&self.name);
        if !self.link.is_empty() || self.unsaid.load(Ordering::Relaxed) {
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

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;

    use data::Targets;
    use search::TrialId;

    use super::*;
    use crate::{
        ledger::{ClaimKey, Sqlite, StudyRecord, WORKER_CRASHES_MAX},
        message::Answer,
        prepared::tests::config_of,
        spool::Spooled,
        store::{
            ObjectName,
            sweep::tests::{finished, running, seed, trial},
        },
        trial::{Candidate, Lease, LeaseEpoch, Slot, TrialResult, TrialState},
    };

    pub(in crate::cluster) fn ledger() -> Sqlite {
        let record = StudyRecord {
            config: "{}".to_string(),
            data: String::new(),
            trials_max: None,
        };
        Sqlite::in_memory(&record, now()).unwrap()
    }

    pub(in crate::cluster) fn worker() -> WorkerName {
        WorkerName("node-1".to_string())
    }

    pub(in crate::cluster) fn candidate(units: u32) -> Candidate {
        let architecture = format!("in 4 | dense {units} | relu | dense 2");
        Candidate {
            architecture: architecture.parse().unwrap(),
            ..trial(1, seed("mlp"), running()).candidate
        }
    }

    pub(in crate::cluster) fn result(number: u64) -> TrialResult {
        match finished(number, 0.5, 0.1) {
            TrialState::Finished { result, .. } => *result,
            other => panic!("{other:?}"),
        }
    }

    fn claim(number: u64) -> Ask {
        let slot = Slot(0);
        Ask::Claim { slot, number }
    }

    /// Whose beats are always due.
    fn counter<'a>(leave: &'a AtomicBool, unsaid: &'a AtomicBool, tell: Tell<'a>) -> Counter<'a> {
        let targets = Targets::Values(vec![0.0; 10]);
        let config = config_of("rows.csv".into());
        let desk = Desk::new(Box::new(ledger()), config, targets, "host".to_string());
        let clock = Clock::start();
        Counter {
            desk: desk.unwrap().with_quarantine(),
            link: Link::new(1, 0.0, 1, clock.now()),
            name: worker(),
            clock,
            leave,
            unsaid,
            tell,
            waiting: Waiting::silent(tell),
        }
    }

    #[test]
    fn a_beat_that_comes_while_a_queue_is_answered_does_not_wait_for_all_of_it() {
        let reason = "nothing new".to_string();
        let (asks, asked) = channel();
        for ask in [Ask::Exhausted { reason }, claim(1), claim(2)] {
            asks.send(ask).unwrap();
        }
        let late = Mutex::new(Some(asks));
        let tell = |_: &Happening| {
            let asks = late.lock().unwrap().take().unwrap();
            asks.send(Ask::Beat {
                leases: Vec::new(),
                unnoted: Vec::new(),
                progress: Vec::new(),
            })
            .unwrap();
        };
        let (answers, replies) = channel();
        let leave = AtomicBool::new(false);
        let unsaid = AtomicBool::new(false);
        let is_unfit = counter(&leave, &unsaid, &tell);
        let is_unfit = is_unfit.serve(&asked, answers).unwrap();
        assert!(!is_unfit && !leave.load(Ordering::Relaxed));
        let answers: Vec<Answer> = replies.try_iter().map(|reply| reply.answer).collect();
        let is_between = matches!(
            answers[..],
            [
                Answer::Noted { .. },
                Answer::Lost { .. },
                Answer::NoWork { .. },
                Answer::NoWork { .. }
            ]
        );
        assert!(is_between, "{answers:?}");
    }

    #[test]
    fn a_node_whose_trainers_die_leaves_as_if_it_were_told_to() {
        let (asks, asked) = channel();
        asks.send(Ask::Hello { slots: 1 }).unwrap();
        for number in 1..=WORKER_CRASHES_MAX {
            let candidate = Box::new(candidate(8 + number));
            asks.send(Ask::Propose { candidate }).unwrap();
            asks.send(claim(u64::from(number))).unwrap();
        }
        for number in 1..=WORKER_CRASHES_MAX {
            let lease = Lease {
                trial: TrialId(u64::from(number)),
                epoch: LeaseEpoch(1),
            };
            let (crash, checkpoint) = (Some("signal 9".to_string()), None);
            asks.send(Ask::Release {
                lease,
                crash,
                checkpoint,
            })
            .unwrap();
        }
        drop(asks);
        let (answers, _replies) = channel();
        let leave = AtomicBool::new(false);
        let unsaid = AtomicBool::new(false);
        let is_unfit = counter(&leave, &unsaid, &|_| {});
        let is_unfit = is_unfit.serve(&asked, answers).unwrap();
        assert!(is_unfit && leave.load(Ordering::Relaxed));
    }

    #[test]
    fn what_dead_nodes_of_this_machine_have_computed_is_brought_into_the_ledger() {
        let place = tempfile::tempdir().unwrap();
        let spools = place.path().join("spool");
        let mut ledger = ledger();
        // Of the second the weights are gone.
        for number in [1, 2] {
            ledger.propose(&candidate(8 + number), now()).unwrap();
            let key = ClaimKey {
                slot: Slot(0),
                incarnation: 1,
                number: u64::from(number),
            };
            let claim = ledger.claim(&worker(), key, now()).unwrap().unwrap();
            let name = WorkerName(format!("dead/{number}"));
            let spooled = Spooled {
                lease: claim.lease,
                result: result(u64::from(number)),
            };
            let spool = spool_within(&spools, &name).unwrap();
            spool.put(&spooled).unwrap();
        }
        let there = ObjectName::weights(&result(1).artifact).to_string();
        fs::write(place.path().join(there), b"weights").unwrap();
        let weights = NodeWeights::InPlace(place.path().to_path_buf());
        let leave = AtomicBool::new(false);
        take_in_spooled(&spools, &weights, &mut ledger, (&leave, &|_| {})).unwrap();
        let counts = ledger.counts().unwrap();
        assert_eq!((counts.finished, counts.running), (1, 1));
        for name in ["dead-1", "dead-2"] {
            assert_eq!(Spool::at(&spools.join(name)).all().unwrap(), []);
        }
    }
}
