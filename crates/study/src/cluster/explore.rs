//! Exploring with nodes: the shell around the master of a cluster. It looks at the ledger, keeps the nodes of this
//! machine alive, and says what happens, until the study is over and the last node has left.

use std::{
    fs::OpenOptions,
    io::Write,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant as Moment},
};

use serde_json::json;

use crate::{
    baseline::TreesSetup,
    clean::needs,
    cluster::{
        invitation::LedgerPlace,
        lead::{Lead, Seen},
        sweeper::Sweeper,
    },
    config::Resources,
    desk::Happening,
    explore::{ExploreError, Snapshot, Study, failed, now, start_baseline, wait_for_baseline},
    launch::{
        Doubts, Launcher, NodeCommand,
        local::Local,
        reconcile::{Patience, alive, carry_out, reconcile},
    },
    ledger::LedgerError,
    master::EndReason,
};

/// How often the master looks at the ledger.
const LOOK: Duration = Duration::from_secs(1);

/// How often it notices that the user wants it to end.
const TICK: Duration = Duration::from_millis(100);

/// How long nodes may take to leave when the study ends; those beyond are waited for no longer.
const GRACE: Duration = Duration::from_secs(120);

/// Explores a study whose ledger is in a database, until its budget or the user ends it.
///
/// # Errors
/// If the ledger refuses, or nodes cannot be started; while the ledger is away, it is waited for.
pub(crate) fn explore(
    mut study: Study,
    program: &Path,
    interrupt: &AtomicBool,
    watch: &mut dyn FnMut(&Snapshot),
) -> Result<EndReason, ExploreError> {
    let node = NodeCommand::new(program, &study.folder.invitation())?;
    let node = node.with(&resources_of(study.config.resources));
    let local = Local::new(node, &study.folder.logs())?;
    let trees = TreesSetup::still_to_grow(&study.folder, &study.config)?;
    let baseline = start_baseline(program, trees)?;
    // Whatever has ended it before: it is explored again.
    study.ledger.explore_again()?;
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let holder = format!("{host}-{}", std::process::id());
    let mut shell = Shell {
        lead: Lead::new(holder, study.config.clone()),
        local,
        wanted: u32::from(study.config.resources.workers),
        patience: Patience::default(),
        host,
        ending_since: None,
        happened: Vec::new(),
        sweeper: Sweeper::of(LedgerPlace::of(&study.folder)?),
    };
    let reason = loop {
        if let Some(reason) = shell.turn(&mut study, interrupt, watch)? {
            break reason;
        }
        let until = Moment::now() + LOOK;
        while Moment::now() < until && !(interrupt.load(Ordering::Relaxed) && shell.is_going_on()) {
            thread::sleep(TICK);
        }
    };
    wait_for_baseline(baseline, &reason, interrupt)?;
    Ok(reason)
}

/// The nodes of this machine share it as the user has said.
fn resources_of(resources: Resources) -> Vec<String> {
    let mut said = vec![
        format!("--slots={}", resources.slots),
        format!("--threads={}", resources.threads),
    ];
    let mib = resources.memory_bytes_max.map(|bytes| bytes >> 20);
    said.extend(mib.map(|mib| format!("--memory-mib={mib}")));
    said
}

struct Shell {
    lead: Lead,
    local: Local,
    wanted: u32,
    patience: Patience,
    host: String,
    ending_since: Option<Moment>,
    happened: Vec<Happening>,
    /// Where weights are in a store.
    sweeper: Option<Sweeper>,
}

impl Shell {
    fn is_going_on(&self) -> bool {
        self.ending_since.is_none()
    }

    /// Looks once; says why the study has ended, if it has.
    fn turn(
        &mut self,
        study: &mut Study,
        interrupt: &AtomicBool,
        watch: &mut dyn FnMut(&Snapshot),
    ) -> Result<Option<EndReason>, ExploreError> {
        let ledger = &mut *study.ledger;
        if interrupt.load(Ordering::Relaxed) && self.is_going_on() {
            pass(self.lead.interrupt(ledger, now()))?;
        }
        let Some(seen) = pass(self.lead.look(ledger, now()))? else {
            return Ok(None);
        };
        self.note(study, &seen)?;
        let ledger = &mut *study.ledger;
        if self.patience.is_exhausted() && self.is_going_on() {
            let message = format!("see {}", study.folder.logs().display());
            pass(self.lead.give_up(ledger, message, now()))?;
        }
        let parts = (seen.running.clone(), std::mem::take(&mut self.happened));
        if let Some(snapshot) = pass(Snapshot::read(ledger, study.config.budget, parts, now()))? {
            watch(&snapshot);
            if seen.is_leading && self.is_going_on() {
                self.sweep(study, snapshot.counts.ended())?;
            }
        }
        if self.lead.ending().is_some() {
            self.ending_since.get_or_insert_with(Moment::now);
        }
        self.tend(&seen)?;
        let is_waited_for = self
            .ending_since
            .is_none_or(|since| since.elapsed() < GRACE);
        Ok(match is_waited_for {
            true => seen.end,
            false => self.lead.ending().cloned(),
        })
    }

    /// Keeps what happened for those who watch, and in the log.
    fn note(&mut self, study: &Study, seen: &Seen) -> Result<(), ExploreError> {
        let lines = seen.happened.iter();
        let lines = lines.map(|happening| json!({ "at": now(), "happening": happening }));
        write_log(study, lines.collect())?;
        self.happened.extend(seen.happened.iter().cloned());
        Ok(())
    }

    /// Removes from the store what nobody needs, when it is time; the log says what came of it.
    fn sweep(&mut self, study: &Study, ended: u64) -> Result<(), ExploreError> {
        let Some(sweeper) = &mut self.sweeper else {
            return Ok(());
        };
        let mut failure = None;
        let at = Moment::now();
        if sweeper.is_due(ended, at) {
            let needs = needs(&study.folder, &study.config, &*study.ledger);
            let begun = sweeper.begin(needs, ended, at);
            failure = begun.err().map(|error| error.to_string());
        }
        let line = match (failure, sweeper.outcome()) {
            (None, None) => return Ok(()),
            (None, Some(Ok(swept))) => json!({ "at": now(), "swept": swept }),
            (None, Some(Err(error))) => json!({ "at": now(), "not_swept": error.to_string() }),
            (Some(failure), _) => json!({ "at": now(), "not_swept": failure }),
        };
        write_log(study, vec![line])
    }

    /// Starts the nodes of this machine that are missing; those that a master before this one has left running
    /// count, too. When the study ends, they leave by themselves.
    fn tend(&mut self, seen: &Seen) -> Result<(), ExploreError> {
        if !(seen.is_leading && self.is_going_on()) {
            return Ok(());
        }
        let placed = self.local.placed()?;
        let here = seen.alive.iter().filter(|node| node.host == self.host);
        let others = here.count().saturating_sub(placed.len());
        let wanted = self.wanted.saturating_sub(others as u32);
        let doubts = Doubts::default();
        let step = reconcile(wanted, &placed, &doubts);
        self.patience.note(alive(&placed, &doubts), step.start);
        Ok(carry_out(&mut self.local, &step, &doubts)?)
    }
}

fn write_log(study: &Study, lines: Vec<serde_json::Value>) -> Result<(), ExploreError> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut options = OpenOptions::new();
    let opened = options.create(true).append(true).open(study.folder.log());
    let mut log = opened.map_err(failed("open the log"))?;
    let written = lines
        .into_iter()
        .try_for_each(|line| writeln!(log, "{line}"));
    written.map_err(failed("write the log"))
}

/// What the ledger said; `None` if it is away, which passes.
fn pass<T>(said: Result<T, LedgerError>) -> Result<Option<T>, LedgerError> {
    match said {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.may_pass() => Ok(None),
        Err(error) => Err(error),
    }
}
