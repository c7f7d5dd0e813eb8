//! Exploring: the shell around the master. Makes or takes up a study, starts its workers, carries
//! their questions to the master and its answers back, until the master says that it is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant as Moment, SystemTime, UNIX_EPOCH},
};

use search::TrialId;
use thiserror::Error;

use crate::{
    artifact::ArtifactStore,
    baseline::TreesSetup,
    cluster::{self, invitation::InvitationError},
    config::{Budget, StudyConfig},
    desk::Happening,
    folder::{FolderError, StudyFolder, StudyLock},
    launch::LaunchError,
    ledger::{Counts, Ending, Ledger, LedgerError},
    master::{Action, EndReason, Event, Master},
    message::{Ask, Progress, WorkerSetup},
    prepared::{PrepareError, PreparedFiles},
    process::{Child, Said, baseline::BaselineRun},
    setup::CommonSetup,
    spool::Spool,
    trial::{Digest, Instant, WorkerName},
};

/// How often the master looks at the clock.
const TICK: Duration = Duration::from_millis(200);

/// How long workers may take to leave when told to, in seconds.
const GRACE_SECS: f64 = 120.0;

/// Why exploring failed. What was computed before stays in the study folder.
#[derive(Debug, Error)]
pub enum ExploreError {
    /// The data.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Where the ledger is.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// Nodes could not be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// A child process or a file.
    #[error("could not {action}")]
    Process {
        /// What was to be done.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How a study stands, for those who watch.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// How many trials are where.
    pub counts: Counts,
    /// The best so far: trial and score.
    pub best: Option<(TrialId, f64)>,
    /// Seconds of exploring so far, over all runs of the command.
    pub spent_seconds: f64,
    /// Share of the budget used.
    pub budget_used: f64,
    /// How far the running trials are.
    pub running: Vec<Progress>,
    /// What happened since the last snapshot.
    pub happened: Vec<Happening>,
}

impl Snapshot {
    pub(crate) fn read(
        ledger: &dyn Ledger,
        budget: Budget,
        (running, happened): (Vec<Progress>, Vec<Happening>),
        now: Instant,
    ) -> Result<Snapshot, LedgerError> {
        let best = ledger.best()?;
        let counts = ledger.counts()?;
        let spent_seconds = ledger.standing(now)?.spent_seconds;
        Ok(Snapshot {
            counts,
            best: best.and_then(|trial| trial.result().map(|result| (trial.id, result.score))),
            spent_seconds,
            budget_used: budget.used(spent_seconds, counts.ended()),
            running,
            happened,
        })
    }
}

/// An open study, ready to be explored by this process and no other.
#[derive(Debug)]
pub struct Study {
    /// Where it lies.
    pub folder: StudyFolder,
    /// What is done.
    pub config: StudyConfig,
    pub(crate) ledger: Box<dyn Ledger>,
    /// Held where the ledger is a file; a database sorts out by itself who leads.
    pub(crate) lock: Option<StudyLock>,
}

struct Happened(WorkerName, Said<Ask>);

struct Shell<'a> {
    setups: BTreeMap<WorkerName, WorkerSetup>,
    workers: BTreeMap<WorkerName, Child>,
    baseline: Option<BaselineRun>,
    program: PathBuf,
    events: Sender<Happened>,
    log: File,
    happened: Vec<Happening>,
    interrupt: &'a AtomicBool,
    budget: Budget,
    clock: Clock,
}

/// The time by the system's clock.
pub fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Instant(since.map_or(0.0, |duration| duration.as_secs_f64()))
}

/// The time since a process began to work: the machine's own clock may be set meanwhile, and the machine may sleep;
/// neither leases nor a budget of time may go by that.
#[derive(Debug)]
pub(crate) struct Clock {
    begun: Moment,
    begun_at: Instant,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock {
            begun: Moment::now(),
            begun_at: now(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.begun_at.plus(self.begun.elapsed().as_secs_f64())
    }
}

/// Explores an open study until its budget, or the user, ends it.
///
/// `program` is lehr itself: workers, generators and trainers are its subcommands. `watch` sees a
/// snapshot several times a second.
///
/// # Errors
/// If the ledger or a worker's process cannot be used; the study can be taken up again.
pub fn explore(
    study: Study,
    program: &Path,
    interrupt: &AtomicBool,
    watch: &mut dyn FnMut(&Snapshot),
) -> Result<EndReason, ExploreError> {
    if study.lock.is_none() {
        return cluster::explore::explore(study, program, interrupt, watch);
    }
    let Study {
        folder,
        config,
        mut ledger,
        lock,
    } = study;
    take_in_spooled(&folder, &mut *ledger)?;
    let files = PreparedFiles::at(&folder.prepared());
    let targets = PreparedFiles::load(&files.train)?.targets().clone();
    let common = CommonSetup::read(&folder.prepared(), &folder.artifacts(), &config)?;
    let mut setups = BTreeMap::new();
    for number in 1..=config.resources.workers {
        let name = WorkerName(format!("node-{number}"));
        let made = ledger.proposals_of(&name)?;
        let setup = common.of_worker(&name, u32::from(number), made, &folder.spool());
        setups.insert(name, setup);
    }
    let trees = TreesSetup::still_to_grow(&folder, &config)?;
    let budget = config.budget;
    let weightless = weightless(&folder, &*ledger)?;
    let clock = Clock::start();
    let mut master = Master::take_up(ledger, config, targets, clock.now())?.without(weightless);
    let (events, happenings) = channel();
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.log())
        .map_err(failed("open the log"))?;
    let mut shell = Shell {
        workers: BTreeMap::new(),
        baseline: None,
        program: program.to_path_buf(),
        events,
        log,
        happened: Vec::new(),
        interrupt,
        setups,
        budget,
        clock,
    };
    for name in shell.setups.keys().cloned().collect::<Vec<_>>() {
        shell.start_worker(&name)?;
    }
    // What the winner will be compared with, beside the workers.
    shell.baseline = start_baseline(program, trees)?;
    let reason = shell.serve(&mut master, &happenings, watch)?;
    wait_for_baseline(shell.baseline.take(), &reason, interrupt)?;
    drop(lock);
    Ok(reason)
}

pub(crate) fn start_baseline(
    program: &Path,
    trees: Option<TreesSetup>,
) -> Result<Option<BaselineRun>, ExploreError> {
    let started = trees.map(|setup| BaselineRun::start(program, setup));
    started.transpose().map_err(failed("start the baseline"))
}

/// A study that goes on later grows its baseline later, too.
pub(crate) fn wait_for_baseline(
    baseline: Option<BaselineRun>,
    reason: &EndReason,
    interrupt: &AtomicBool,
) -> Result<(), ExploreError> {
    match baseline {
        Some(baseline) if *reason != EndReason::Interrupted => baseline
            .wait(interrupt)
            .map_err(failed("write the record of the baseline")),
        _ => Ok(()),
    }
}

pub(crate) fn failed(action: &'static str) -> impl Fn(io::Error) -> ExploreError {
    move |source| ExploreError::Process { action, source }
}

/// Brings results into the ledger that a dead master had not noted yet.
fn take_in_spooled(folder: &StudyFolder, ledger: &mut dyn Ledger) -> Result<(), ExploreError> {
    Spool::at(&folder.spool()).hand_over(
        |action, source| failed(action)(source),
        |lease, result| {
            ledger.finish(lease, &Ending::Finished(Box::new(result)), now())?;
            Ok(())
        },
    )
}

/// Weights that rows name and that are no longer there, because `lehr clean` has removed them.
fn weightless(folder: &StudyFolder, ledger: &dyn Ledger) -> Result<BTreeSet<Digest>, ExploreError> {
    let artifacts = ArtifactStore::at(&folder.artifacts());
    let trials = ledger.trials()?;
    let named = trials.iter().filter_map(|trial| trial.result());
    let gone = named.filter(|result| !artifacts.path(&result.artifact).exists());
    Ok(gone.map(|result| result.artifact.clone()).collect())
}

impl Shell<'_> {
    fn serve(
        &mut self,
        master: &mut Master,
        happenings: &Receiver<Happened>,
        watch: &mut dyn FnMut(&Snapshot),
    ) -> Result<EndReason, ExploreError> {
        let mut kill_at: Option<Instant> = None;
        let mut watched_at = Instant(0.0);
        loop {
            let event = match happenings.recv_timeout(TICK) {
                Ok(Happened(name, Said::Message(ask))) => Event::Asked(name, ask),
                Ok(Happened(name, Said::End)) => self.bury(name),
                Err(RecvTimeoutError::Timeout) => Event::Tick,
                Err(RecvTimeoutError::Disconnected) => unreachable!("the shell holds a sender"),
            };
            let now = self.clock.now();
            let mut actions = master.step(event, now)?;
            if self.interrupt.load(Ordering::Relaxed) {
                actions.extend(master.step(Event::Interrupt, now)?);
            }
            for action in actions {
                if let Some(reason) = self.carry_out(action)? {
                    watch(&self.snapshot(master, now)?);
                    return Ok(reason);
                }
            }
            if now.since(watched_at) >= TICK.as_secs_f64() {
                watched_at = now;
                watch(&self.snapshot(master, now)?);
            }
            if master.is_ending() && now.since(*kill_at.get_or_insert(now)) > GRACE_SECS {
                // Their ends arrive as events, and the master ends with the last of them.
                self.workers.clear();
            }
        }
    }

    fn bury(&mut self, worker: WorkerName) -> Event {
        let message = match self.workers.remove(&worker) {
            Some(mut child) => child.bury().1,
            None => "stopped, because it did not leave in time".to_string(),
        };
        Event::Left { worker, message }
    }

    fn carry_out(&mut self, action: Action) -> Result<Option<EndReason>, ExploreError> {
        match action {
            Action::Reply(worker, reply) => {
                if let Some(child) = self.workers.get_mut(&worker) {
                    child.tell(&reply);
                }
            }
            Action::StartWorker(worker) => self.start_worker(&worker)?,
            Action::Log(happening) => self.write_log(happening)?,
            Action::End(reason) => return Ok(Some(reason)),
        }
        Ok(None)
    }

    fn start_worker(&mut self, name: &WorkerName) -> Result<(), ExploreError> {
        let events = self.events.clone();
        let sender = name.clone();
        let wrap = move |said| Happened(sender.clone(), said);
        let mut child = Child::start(&self.program, "worker", events, wrap)
            .map_err(failed("start a worker"))?;
        child.tell(&self.setups[name]);
        self.workers.insert(name.clone(), child);
        Ok(())
    }

    fn write_log(&mut self, happening: Happening) -> Result<(), ExploreError> {
        let line = serde_json::json!({ "at": now(), "happening": &happening });
        writeln!(self.log, "{line}").map_err(failed("write the log"))?;
        self.happened.push(happening);
        Ok(())
    }

    fn snapshot(&mut self, master: &Master, now: Instant) -> Result<Snapshot, ExploreError> {
        let running = master.progress().cloned().collect();
        let happened = std::mem::take(&mut self.happened);
        Ok(Snapshot::read(
            master.ledger(),
            self.budget,
            (running, happened),
            now,
        )?)
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        // Whatever ends the shell, no worker may write into a study whose master is gone.
        self.workers.clear();
        self.baseline = None;
    }
}
