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
        lead::{LEADER_SECS, Lead, Seen},
        sweeper::Sweeper,
    },
    config::Resources,
    desk::Happening,
    explore::{ExploreError, Snapshot, Study, failed, now, start_baseline, wait_for_baseline},
    launch::{
        Doubts, Launcher, NodeCommand,
        local::Local,
        reconcile::{carry_out, reconcile},
    },
    ledger::{Counts, LedgerError},
    master::{EndReason, RESTARTS_MAX},
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
    let mut shell = Shell::of(&study, local)?;
    let reason = loop {
        if let Some(reason) = shell.turn(&mut study, interrupt, watch)? {
            break reason;
        }
        let until = Moment::now() + LOOK;
        loop {
            thread::sleep(TICK);
            let is_hurried = interrupt.load(Ordering::Relaxed) && shell.is_going_on();
            if is_hurried || Moment::now() >= until {
                break;
            }
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
    /// Nodes started since a trial came to something, and how many trials had.
    started: u32,
    ended: u64,
    host: String,
    interrupted_since: Option<Moment>,
    ending_since: Option<Moment>,
    happened: Vec<Happening>,
    /// Where weights are in a store.
    sweeper: Option<Sweeper>,
}

impl Shell {
    fn of(study: &Study, local: Local) -> Result<Shell, ExploreError> {
        let host = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        let holder = format!("{host}-{}", std::process::id());
        Ok(Shell {
            lead: Lead::new(holder, study.config.clone()),
            local,
            wanted: u32::from(study.config.resources.workers),
            started: 0,
            ended: 0,
            host,
            interrupted_since: None,
            ending_since: None,
            happened: Vec::new(),
            sweeper: Sweeper::of(LedgerPlace::of(&study.folder)?),
        })
    }

    fn is_going_on(&self) -> bool {
        self.ending_since.is_none()
    }

    /// Whether the user wants the study to end for so long that a ledger which is away is not waited for.
    fn is_past_waiting(&self) -> bool {
        self.interrupted_since
            .is_some_and(|since| since.elapsed().as_secs_f64() > LEADER_SECS)
    }

    /// Whether the nodes of this machine die so often that starting more of them is no use.
    fn is_in_vain(&self) -> bool {
        self.started > self.wanted.saturating_add(RESTARTS_MAX)
    }

    fn note_ended(&mut self, counts: Counts) {
        let ended = counts.finished + counts.stopped;
        if ended > self.ended {
            self.started = 0;
        }
        self.ended = ended;
    }

    /// Looks once; says why the study has ended, if it has.
    fn turn(
        &mut self,
        study: &mut Study,
        interrupt: &AtomicBool,
        watch: &mut dyn FnMut(&Snapshot),
    ) -> Result<Option<EndReason>, ExploreError> {
        let ledger = &mut *study.ledger;
        let is_interrupted = interrupt.load(Ordering::Relaxed);
        if is_interrupted && self.is_going_on() {
            self.interrupted_since.get_or_insert_with(Moment::now);
            pass(self.lead.interrupt(ledger, now()))?;
        }
        let Some(seen) = pass(self.lead.look(ledger, now()))? else {
            return Ok(self.is_past_waiting().then_some(EndReason::Interrupted));
        };
        if is_interrupted && !seen.is_leading {
            // Another process leads: the study is not this one's to end.
            return Ok(Some(EndReason::Interrupted));
        }
        self.note(study, &seen)?;
        let ledger = &mut *study.ledger;
        let nobody_is_there = seen.alive.is_empty() && self.local.placed()?.is_empty();
        if self.is_in_vain() && nobody_is_there && self.is_going_on() {
            let message = format!("see {}", study.folder.logs().display());
            pass(self.lead.give_up(ledger, message, now()))?;
        }
        let parts = (seen.running.clone(), std::mem::take(&mut self.happened));
        if let Some(snapshot) = pass(Snapshot::read(ledger, study.config.budget, parts, now()))? {
            watch(&snapshot);
            self.note_ended(snapshot.counts);
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
    /// count, too. What was started in vain too often is not started before a trial ends, wherever that is trained.
    /// When the study ends, they leave by themselves.
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
        if step.start > 0 && self.is_in_vain() {
            return Ok(());
        }
        self.started = self.started.saturating_add(step.start);
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

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
    };

    use super::*;
    use crate::{
        cluster::node::tests::ledger,
        folder::{FolderError, StudyFolder},
        launch::tests::invitation,
        prepared::tests::config_of,
    };

    /// A study that one node of this machine works on, and what that node does.
    fn scene(place: &Path, node: &str) -> (Study, Shell) {
        let program = place.join("node");
        fs::write(&program, format!("#!/bin/sh\n{node}\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let root = place.join("study");
        let folder = StudyFolder::create::<FolderError>(&root, |_| Ok(())).unwrap();
        let node = NodeCommand::new(&program, &invitation(place)).unwrap();
        let local = Local::new(node, &folder.logs()).unwrap();
        let study = Study {
            folder,
            config: config_of("rows.csv".into()),
            ledger: Box::new(ledger()),
            lock: None,
        };
        let shell = Shell::of(&study, local).unwrap();
        (study, shell)
    }

    fn turn(study: &mut Study, shell: &mut Shell, interrupt: bool) -> Option<EndReason> {
        let interrupt = AtomicBool::new(interrupt);
        shell.turn(study, &interrupt, &mut |_| {}).unwrap()
    }

    #[test]
    fn one_that_does_not_lead_ends_when_it_is_told_to_and_the_study_goes_on() {
        let place = tempfile::tempdir().unwrap();
        let (mut study, mut shell) = scene(place.path(), "exit 0");
        let term = study.ledger.lead("another", 100.0, now()).unwrap();
        assert!(term.is_some());
        assert_eq!(turn(&mut study, &mut shell, false), None);
        let ended = turn(&mut study, &mut shell, true);
        assert_eq!(ended, Some(EndReason::Interrupted));
        assert_eq!(study.ledger.standing(now()).unwrap().ending, None);
    }

    #[test]
    fn nodes_that_die_are_not_started_again_for_ever_however_long_they_live() {
        let place = tempfile::tempdir().unwrap();
        let (mut study, mut shell) = scene(place.path(), "sleep 0.05");
        let begun = Moment::now();
        let ended = loop {
            if let Some(ended) = turn(&mut study, &mut shell, false) {
                break ended;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "they die on");
            thread::sleep(Duration::from_millis(10));
        };
        assert!(matches!(ended, EndReason::WorkersDie { .. }), "{ended:?}");
    }
}
