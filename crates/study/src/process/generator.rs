//! The first process of a slave node (R4): follows the pool and keeps a few candidates ready.
//!
//! It hears the news of all slaves' trials (R6), so its base models come from everybody's.

use std::{
    io::{self, BufReader},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use search::{BudgetFraction, Pool, PoolEntry, PoolError, Surrogate};

use crate::{
    message::{FromGenerator, GeneratorSetup, TellGenerator, receive, send},
    process::{end_with_parent, first_line},
    trial::{Candidate, HistoryRow},
};

/// A generator's state between two messages.
struct Generator {
    setup: GeneratorSetup,
    pool: Pool,
    surrogate: Surrogate,
    budget_used: f64,
    ready: u16,
    made: u64,
    exhausted: bool,
}

/// Runs a generator on standard input and output until its worker is gone.
///
/// # Errors
/// If its worker says something that is no message.
pub fn run() -> io::Result<()> {
    end_with_parent();
    let mut input = BufReader::new(io::stdin());
    let TellGenerator::Setup { setup } = first_line(&mut input)? else {
        return Err(io::Error::other("a generator hears its setup first"));
    };
    let (sender, messages) = channel();
    thread::spawn(move || {
        while let Ok(Some(message)) = receive::<TellGenerator>(&mut input) {
            if sender.send(message).is_err() {
                return;
            }
        }
    });
    let made = setup.proposals_made;
    let pool = Pool::default();
    Generator {
        setup: *setup,
        pool,
        surrogate: Surrogate::default(),
        budget_used: 0.0,
        ready: 0,
        made,
        exhausted: false,
    }
    .serve(&messages)
}

impl Generator {
    fn serve(&mut self, messages: &Receiver<TellGenerator>) -> io::Result<()> {
        loop {
            // Everything that was said is heard before the next candidate is made.
            let patience = match self.wants_more() {
                true => Duration::ZERO,
                false => Duration::from_secs(3600),
            };
            match messages.recv_timeout(patience) {
                Ok(message) => self.hear(message)?,
                Err(RecvTimeoutError::Timeout) if self.wants_more() => self.make_one()?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn wants_more(&self) -> bool {
        !self.exhausted && self.ready < self.setup.ahead
    }

    fn hear(&mut self, message: TellGenerator) -> io::Result<()> {
        match message {
            TellGenerator::Setup { .. } => {}
            TellGenerator::Taken => self.ready = self.ready.saturating_sub(1),
            TellGenerator::News {
                history,
                pending,
                budget_used,
            } => {
                self.budget_used = budget_used;
                for (_, model) in pending {
                    self.pool.add_pending(model.architecture, model.setting);
                }
                for row in history {
                    self.pool
                        .push(pool_entry(row))
                        .map_err(|error: PoolError| {
                            io::Error::other(format!("the history cannot be followed: {error}"))
                        })?;
                }
            }
        }
        Ok(())
    }

    fn make_one(&mut self) -> io::Result<()> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.setup.seed);
        rng.set_stream(self.made);
        self.made += 1;
        let used = BudgetFraction::clamped(self.budget_used);
        let said = match search::propose(
            &self.pool,
            &mut self.surrogate,
            used,
            &self.setup.task,
            &self.setup.settings,
            &mut rng,
        ) {
            Ok(proposal) => {
                let candidate = Candidate {
                    architecture: proposal.architecture,
                    setting: proposal.setting,
                    origin: proposal.origin,
                    promise: proposal.promise,
                    proposed_by: self.setup.worker.clone(),
                };
                self.pool
                    .add_pending(candidate.architecture.clone(), candidate.setting.clone());
                self.ready += 1;
                FromGenerator::Candidate {
                    candidate: Box::new(candidate),
                }
            }
            Err(error) => {
                self.exhausted = true;
                FromGenerator::Exhausted {
                    reason: error.to_string(),
                }
            }
        };
        send(&mut io::stdout().lock(), &said)
    }
}

fn pool_entry(row: HistoryRow) -> PoolEntry {
    let parent = row.candidate.parent();
    PoolEntry {
        trial: row.trial,
        sequence: row.sequence.0,
        architecture: row.candidate.architecture,
        setting: row.candidate.setting,
        outcome: row.outcome,
        parent,
    }
}
