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
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use data::Preprocessor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::{Limits, TrialId};
use thiserror::Error;
use train::{Calibration, Weights, export_onnx};

use crate::{
    artifact::ArtifactStore,
    baseline::{TreesRecord, TreesSetup},
    config::StudyConfig,
    folder::{FolderError, StudyFolder, StudyLock},
    ledger::{Counts, Ending, Ledger, LedgerError},
    master::{Action, EndReason, Event, Happening, Master},
    message::{Ask, GeneratorSetup, Progress, TrainerSetup, WorkerSetup},
    open::linear,
    prepared::{PrepareError, PreparedFiles, fold_count, network_task, target_scale},
    process::{Child, Said, baseline::FromBaseline},
    spool::Spool,
    trial::{Digest, Instant, WorkerName},
    worker::DeathCause,
};

/// How often the master looks at the clock.
const TICK: Duration = Duration::from_millis(200);

/// How long workers may take to leave when told to, in seconds.
const GRACE_SECS: f64 = 120.0;

/// How long the baseline may take beyond its time, in seconds: to load rows, to end its last tree, to write.
const BASELINE_GRACE_SECS: f64 = 10.0;

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
    /// A child process or the spool.
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

/// An open study, ready to be explored by this process and no other.
#[derive(Debug)]
pub struct Study {
    /// Where it lies.
    pub folder: StudyFolder,
    /// What is done.
    pub config: StudyConfig,
    pub(crate) ledger: Ledger,
    pub(crate) lock: StudyLock,
}

enum Happened {
    Worker(WorkerName, Said<Ask>),
    Baseline(Said<FromBaseline>),
}

/// What grows trees, until it has.
struct BaselineRun {
    child: Child,
    ends_by: std::time::Instant,
    record: PathBuf,
}

struct Shell<'a> {
    setups: BTreeMap<WorkerName, WorkerSetup>,
    workers: BTreeMap<WorkerName, Child>,
    baseline: Option<BaselineRun>,
    program: PathBuf,
    events: Sender<Happened>,
    log: File,
    happened: Vec<Happening>,
    interrupt: &'a AtomicBool,
}

/// The time by the system's clock.
pub fn now() -> Instant {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Instant(since.map_or(0.0, |duration| duration.as_secs_f64()))
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
    let Study {
        folder,
        config,
        mut ledger,
        lock,
    } = study;
    take_in_spooled(&folder, &mut ledger)?;
    let files = PreparedFiles::at(&folder.prepared());
    let targets = PreparedFiles::load(&files.train)?.targets().clone();
    let setups = worker_setups(&folder, &config, &ledger)?;
    let trees = match TreesRecord::read(&folder) {
        None => TreesSetup::of(&folder, &config)?,
        Some(_) => None,
    };
    let weightless = weightless(&folder, &ledger)?;
    let mut master = Master::take_up(ledger, config, targets, now())?.without(weightless);
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
    };
    for name in shell.setups.keys().cloned().collect::<Vec<_>>() {
        shell.start_worker(&name)?;
    }
    if let Some(setup) = trees {
        shell.start_baseline(setup)?;
    }
    let reason = shell.serve(&mut master, &happenings, watch)?;
    if reason != EndReason::Interrupted {
        shell.wait_for_baseline(&happenings)?;
    }
    drop(lock);
    Ok(reason)
}

fn failed(action: &'static str) -> impl Fn(io::Error) -> ExploreError {
    move |source| ExploreError::Process { action, source }
}

/// Brings results into the ledger that a dead master had not noted yet.
fn take_in_spooled(folder: &StudyFolder, ledger: &mut Ledger) -> Result<(), ExploreError> {
    let spool = Spool::at(&folder.spool());
    for spooled in spool.all().map_err(failed("read the spool"))? {
        let ending = Ending::Finished(Box::new(spooled.result));
        ledger.finish(spooled.lease, &ending, now())?;
        spool
            .remove(spooled.lease)
            .map_err(failed("clear the spool"))?;
    }
    Ok(())
}

/// Weights that rows name and that are no longer there, because `lehr clean` has removed them.
fn weightless(folder: &StudyFolder, ledger: &Ledger) -> Result<BTreeSet<Digest>, ExploreError> {
    let artifacts = ArtifactStore::at(&folder.artifacts());
    let trials = ledger.trials()?;
    let named = trials.iter().filter_map(|trial| trial.result());
    let gone = named.filter(|result| !artifacts.path(&result.artifact).exists());
    Ok(gone.map(|result| result.artifact.clone()).collect())
}

fn worker_setups(
    folder: &StudyFolder,
    config: &StudyConfig,
    ledger: &Ledger,
) -> Result<BTreeMap<WorkerName, WorkerSetup>, ExploreError> {
    let files = PreparedFiles::at(&folder.prepared());
    let preprocessor = files.read_preprocessor()?;
    let metric = config
        .metric
        .expect("a study's metric is decided when it is made");
    let folds = files.read_folds()?;
    let members = u64::from(fold_count(&folds));
    let trainer = TrainerSetup {
        folds,
        train: files.train,
        validation: files.validation,
        artifacts: folder.artifacts(),
        metric,
        target_scale: target_scale(&preprocessor),
        threads: config.resources.threads,
        memory_bytes_max: config.resources.memory_bytes_max,
    };
    let mut settings = config.search.clone();
    if let Some(bytes) = &mut settings.limits.file_bytes {
        *bytes = bytes.saturating_sub(preprocessing_bytes(&preprocessor));
    }
    settings.limits = shared(settings.limits, members);
    let mut setups = BTreeMap::new();
    for number in 1..=config.resources.workers {
        let name = WorkerName(format!("node-{number}"));
        let generator = GeneratorSetup {
            worker: name.clone(),
            task: network_task(&preprocessor),
            settings: settings.clone(),
            seed: config.seed.wrapping_add(u64::from(number)),
            proposals_made: ledger.proposals_of(&name)?,
            ahead: config.resources.slots + 1,
        };
        let setup = WorkerSetup {
            rungs: config.training.rungs,
            name: name.clone(),
            slots: config.resources.slots,
            generator,
            trainer: trainer.clone(),
            spool: folder.spool(),
        };
        setups.insert(name, setup);
    }
    Ok(setups)
}

/// What each of so many networks may have, if the model that answers in the end is all of them.
fn shared(limits: Limits, members: u64) -> Limits {
    let share = |limit: Option<u64>| limit.map(|limit| limit / members);
    Limits {
        parameters: share(limits.parameters),
        flops: share(limits.flops),
        memory_bytes: limits.memory_bytes,
        file_bytes: share(limits.file_bytes),
        latency_micros: share(limits.latency_micros),
    }
}

/// What the preprocessing adds to an exported model, as far as it does not depend on the network.
fn preprocessing_bytes(preprocessor: &Preprocessor) -> u64 {
    let task = network_task(preprocessor);
    let linear = linear(&task);
    let weights = Weights::fresh(&linear, &mut ChaCha8Rng::seed_from_u64(0));
    let exported = export_onnx(
        &linear,
        &weights,
        preprocessor,
        &Calibration::default(),
        &[],
    );
    exported.map_or(0, |bytes| {
        (bytes.len() as u64).saturating_sub(4 * linear.cost().parameters)
    })
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
                Ok(Happened::Worker(name, Said::Message(ask))) => Event::Asked(name, ask),
                Ok(Happened::Worker(name, Said::End)) => self.bury(name),
                Ok(Happened::Baseline(said)) => {
                    self.hear_baseline(said)?;
                    Event::Tick
                }
                Err(RecvTimeoutError::Timeout) => Event::Tick,
                Err(RecvTimeoutError::Disconnected) => unreachable!("the shell holds a sender"),
            };
            let now = now();
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
        let wrap = move |said| Happened::Worker(sender.clone(), said);
        let mut child = Child::start(&self.program, "worker", events, wrap)
            .map_err(failed("start a worker"))?;
        child.tell(&self.setups[name]);
        self.workers.insert(name.clone(), child);
        Ok(())
    }

    /// Starts what the winner will be compared with, beside the workers.
    fn start_baseline(&mut self, setup: TreesSetup) -> Result<(), ExploreError> {
        let events = self.events.clone();
        let mut child = Child::start(&self.program, "baseline", events, Happened::Baseline)
            .map_err(failed("start the baseline"))?;
        child.tell(&setup);
        let ends_by = Duration::from_secs_f64(setup.seconds_max + BASELINE_GRACE_SECS);
        self.baseline = Some(BaselineRun {
            child,
            ends_by: std::time::Instant::now() + ends_by,
            record: setup.record,
        });
        Ok(())
    }

    fn hear_baseline(&mut self, said: Said<FromBaseline>) -> Result<(), ExploreError> {
        let Some(mut run) = self.baseline.take() else {
            return Ok(());
        };
        let reason = match said {
            Said::Message(FromBaseline::Written) => return Ok(()),
            Said::Message(FromBaseline::Failed { reason }) => reason,
            Said::End => match run.child.bury() {
                (DeathCause::OutOfMemory, _) => "they needed more memory than a trainer has".into(),
                (DeathCause::Unknown, message) => format!("their process {message}"),
            },
        };
        let record = TreesRecord::Failed { reason };
        record
            .write(&run.record)
            .map_err(failed("write the record of the baseline"))
    }

    /// A study of a few trials may end before its baseline does; that takes its time all the same.
    fn wait_for_baseline(&mut self, happenings: &Receiver<Happened>) -> Result<(), ExploreError> {
        while let Some(run) = &self.baseline {
            if self.interrupt.load(Ordering::Relaxed) {
                return Ok(());
            }
            match happenings.recv_timeout(TICK) {
                Ok(Happened::Baseline(said)) => self.hear_baseline(said)?,
                _ if std::time::Instant::now() < run.ends_by => {}
                _ => {
                    let reason = "they did not end in their time".to_string();
                    let failed_record = TreesRecord::Failed { reason };
                    let written = failed_record.write(&run.record);
                    self.baseline = None;
                    written.map_err(failed("write the record of the baseline"))?;
                }
            }
        }
        Ok(())
    }

    fn write_log(&mut self, happening: Happening) -> Result<(), ExploreError> {
        let line = serde_json::json!({ "at": now(), "happening": &happening });
        writeln!(self.log, "{line}").map_err(failed("write the log"))?;
        self.happened.push(happening);
        Ok(())
    }

    fn snapshot(&mut self, master: &Master, now: Instant) -> Result<Snapshot, ExploreError> {
        let best = master.ledger().best()?;
        Ok(Snapshot {
            counts: master.ledger().counts()?,
            best: best.and_then(|trial| trial.result().map(|result| (trial.id, result.score))),
            spent_seconds: master.spent_seconds(now),
            budget_used: master.budget_used(now)?,
            running: master.progress().cloned().collect(),
            happened: std::mem::take(&mut self.happened),
        })
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        // Whatever ends the shell, no worker may write into a study whose master is gone.
        self.workers.clear();
        self.baseline = None;
    }
}
