//! The master's decisions on one machine: what the master node does when something happens, as a step
//! function (R1).
//!
//! Events in, actions out. It owns the ledger, so every answer it gives is already durable; it
//! reads no clock and starts no process: the shell around it ([`crate::explore`]) does.

use std::collections::BTreeSet;

use data::Targets;

use crate::{
    config::StudyConfig,
    desk::{Desk, Happening},
    helm::Helm,
    ledger::{Ledger, LedgerError},
    message::{Ask, Progress, Reply},
    trial::{Digest, Instant, WorkerName},
};

pub use crate::helm::EndReason;

/// How often workers may be restarted without any trial ending in between.
pub const RESTARTS_MAX: u32 = 5;

/// Who leads where there is only one master.
const HOLDER: &str = "this machine";

/// What happens to a master.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A worker asked something.
    Asked(WorkerName, Ask),
    /// A worker's process is gone.
    Left {
        /// Which.
        worker: WorkerName,
        /// Exit status and last words.
        message: String,
    },
    /// Time has passed.
    Tick,
    /// The user wants it to end.
    Interrupt,
}

/// What a master wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Answer a worker, or push news to it.
    Reply(WorkerName, Box<Reply>),
    /// Start a worker again.
    StartWorker(WorkerName),
    /// Write this to the log.
    Log(Happening),
    /// All is done: end.
    End(EndReason),
}

/// The state of a master.
#[derive(Debug)]
pub struct Master {
    desk: Desk,
    helm: Helm,
    restarts: u32,
}

impl Master {
    /// A master that takes a study up, at this time; leases of a dead predecessor are taken back.
    ///
    /// `targets` are those of the training rows: their number decides how long a trial is.
    ///
    /// # Errors
    /// If the ledger cannot be read or written.
    pub fn take_up(
        mut ledger: Box<dyn Ledger>,
        config: StudyConfig,
        targets: Targets,
        now: Instant,
    ) -> Result<Master, LedgerError> {
        ledger.release_all()?;
        ledger.explore_again()?;
        // Nobody else can lead: the study is locked.
        let term = ledger.lead(HOLDER, f64::INFINITY, now)?;
        let term = term.ok_or(LedgerError::Deposed)?;
        let helm = Helm::take_up(&mut *ledger, config.clone(), term, now)?;
        Ok(Master {
            desk: Desk::new(ledger, config, targets, HOLDER.to_string())?,
            helm,
            restarts: 0,
        })
    }

    /// The same master, told which weights are no longer there.
    #[must_use]
    pub fn without(self, weightless: BTreeSet<Digest>) -> Master {
        Master {
            desk: self.desk.without(weightless),
            ..self
        }
    }

    /// The ledger, to be read.
    pub fn ledger(&self) -> &dyn Ledger {
        self.desk.ledger()
    }

    /// How far the running trials are.
    pub fn progress(&self) -> impl Iterator<Item = &Progress> {
        self.desk.progress()
    }

    /// Whether the study is winding up.
    pub fn is_ending(&self) -> bool {
        self.helm.ending().is_some()
    }

    /// What to do now that this has happened.
    ///
    /// # Errors
    /// If the ledger cannot be read or written: then nothing may go on.
    pub fn step(&mut self, event: Event, now: Instant) -> Result<Vec<Action>, LedgerError> {
        let mut actions = Vec::new();
        match event {
            Event::Asked(worker, ask) => self.on_ask(worker, &ask, now, &mut actions)?,
            Event::Left { worker, message } => self.on_left(worker, message, now, &mut actions)?,
            Event::Tick => {}
            Event::Interrupt => self.end_for(EndReason::Interrupted, now)?,
        }
        let present = self.desk.present();
        self.helm.decide(self.desk.ledger_mut(), present, now)?;
        if self.is_ending() {
            self.wind_up(now, &mut actions)?;
        }
        Ok(actions)
    }

    fn on_ask(
        &mut self,
        worker: WorkerName,
        ask: &Ask,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Result<(), LedgerError> {
        let mut log = Vec::new();
        let reply = self.desk.answer(&worker, ask, now, &mut log)?;
        let has_ended = |happening: &Happening| {
            matches!(
                happening,
                Happening::Finished { .. } | Happening::Stopped { .. }
            )
        };
        if log.iter().any(has_ended) {
            self.restarts = 0;
        }
        actions.extend(log.into_iter().map(Action::Log));
        actions.push(Action::Reply(worker, Box::new(reply)));
        Ok(())
    }

    fn on_left(
        &mut self,
        worker: WorkerName,
        message: String,
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Result<(), LedgerError> {
        let trials = self.desk.leave(&worker, now)?;
        if self.is_ending() {
            return Ok(());
        }
        self.restarts += 1;
        if self.restarts > RESTARTS_MAX {
            let message = message.clone();
            self.end_for(EndReason::WorkersDie { message }, now)?;
        } else {
            actions.push(Action::StartWorker(worker.clone()));
        }
        actions.push(Action::Log(Happening::WorkerLeft {
            worker,
            trials,
            message,
        }));
        Ok(())
    }

    fn end_for(&mut self, reason: EndReason, now: Instant) -> Result<(), LedgerError> {
        self.helm.end_for(self.desk.ledger_mut(), reason, now)
    }

    /// Tells every worker to stop, once; ends when all have left.
    fn wind_up(&mut self, now: Instant, actions: &mut Vec<Action>) -> Result<(), LedgerError> {
        for (worker, reply) in self.desk.stops(now)? {
            actions.push(Action::Reply(worker, Box::new(reply)));
        }
        if self.desk.present().workers == 0 {
            self.helm.count_time(self.desk.ledger_mut(), now)?;
            actions.extend(self.helm.ending().cloned().map(Action::End));
        }
        Ok(())
    }
}
