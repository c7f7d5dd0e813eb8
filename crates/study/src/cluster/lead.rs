//! What the master of a cluster decides at each look at the ledger.
//!
//! A step function without I/O of its own. A master has no state that matters: any process may become it when
//! the one before has not been heard of for a while, and nodes work on without one.

use std::collections::BTreeMap;

use crate::{
    config::StudyConfig,
    desk::{Happening, Rank},
    helm::{EndReason, Helm, Present},
    ledger::{Ledger, LedgerError, Node, Term},
    message::Progress,
    trial::{Instant, Sequence, Trial, TrialState, WorkerName},
};

/// How long a master is waited for that is not heard of, in seconds.
pub const LEADER_SECS: f64 = 20.0;

/// A process that is master, or would be.
#[derive(Debug)]
pub struct Lead {
    holder: String,
    config: StudyConfig,
    helm: Option<Helm>,
    told: Sequence,
    best: Option<f64>,
    nodes: BTreeMap<WorkerName, Node>,
}

/// What a look at the ledger came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// Whether this process is the master.
    pub is_leading: bool,
    /// What happened since the last look, for the log.
    pub happened: Vec<Happening>,
    /// How far the running trials are.
    pub running: Vec<Progress>,
    /// Workers that are there.
    pub alive: Vec<Node>,
    /// Why the study has ended, when it has: nobody works at it any more.
    pub end: Option<EndReason>,
}

impl Lead {
    /// A process of this name, unique among all that may lead.
    pub fn new(holder: String, config: StudyConfig) -> Lead {
        Lead {
            holder,
            config,
            helm: None,
            told: Sequence(0),
            best: None,
            nodes: BTreeMap::new(),
        }
    }

    /// Looks at the ledger and decides, if this process leads.
    ///
    /// # Errors
    /// If the ledger cannot be read or written; the next look makes up for it.
    pub fn look(&mut self, ledger: &mut dyn Ledger, now: Instant) -> Result<Seen, LedgerError> {
        let Some(term) = ledger.lead(&self.holder, LEADER_SECS, now)? else {
            self.helm = None;
            return Ok(Seen::default());
        };
        let seen = self.look_as_leader(ledger, term, now);
        self.or_step_down(seen)
    }

    /// What is refused because another one leads by now is no error: that one has decided, or will.
    fn or_step_down<T: Default>(&mut self, done: Result<T, LedgerError>) -> Result<T, LedgerError> {
        match done {
            Err(LedgerError::Deposed) => {
                self.helm = None;
                Ok(T::default())
            }
            done => done,
        }
    }

    fn look_as_leader(
        &mut self,
        ledger: &mut dyn Ledger,
        term: Term,
        now: Instant,
    ) -> Result<Seen, LedgerError> {
        let at = ledger.standing(now)?.at;
        if self.helm.as_ref().map(Helm::term) != Some(term) {
            let helm = Helm::take_up(ledger, self.config.clone(), term, at)?;
            self.pass_over_the_past(ledger)?;
            self.helm = Some(helm);
        }
        let nodes = ledger.nodes()?;
        let lease_secs = ledger.lease_secs();
        let alive: Vec<Node> = nodes
            .iter()
            .filter(|node| node.is_alive(lease_secs, at))
            .cloned()
            .collect();
        let present = Present {
            workers: alive.len(),
            exhausted: alive.iter().filter(|node| node.is_exhausted).count(),
            slots: alive.iter().map(|node| u32::from(node.slots)).sum(),
        };
        let helm = self.helm.as_mut().expect("it was made above");
        helm.decide(ledger, present, at)?;
        let ending = helm.ending().cloned();
        let mut happened = self.follow(ledger)?;
        happened.extend(self.departures(nodes, lease_secs, at));
        let end = ending.filter(|_| alive.is_empty());
        if end.is_some() {
            ledger.count_time(term, at)?;
        }
        Ok(Seen {
            is_leading: true,
            happened,
            running: alive
                .iter()
                .flat_map(|node| node.progress.clone())
                .collect(),
            alive,
            end,
        })
    }

    /// Why the study ends, if this process knows that it does.
    pub fn ending(&self) -> Option<&EndReason> {
        self.helm.as_ref().and_then(Helm::ending)
    }

    /// The user wants the study to end.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn interrupt(&mut self, ledger: &mut dyn Ledger, now: Instant) -> Result<(), LedgerError> {
        self.end_for(ledger, EndReason::Interrupted, now)
    }

    /// Nodes cannot be kept alive: the study ends.
    ///
    /// # Errors
    /// If the ledger cannot be written.
    pub fn give_up(
        &mut self,
        ledger: &mut dyn Ledger,
        message: String,
        now: Instant,
    ) -> Result<(), LedgerError> {
        self.end_for(ledger, EndReason::WorkersDie { message }, now)
    }

    fn end_for(
        &mut self,
        ledger: &mut dyn Ledger,
        reason: EndReason,
        now: Instant,
    ) -> Result<(), LedgerError> {
        let Some(helm) = &mut self.helm else {
            return Ok(());
        };
        let done = helm.end_for(ledger, reason, now);
        self.or_step_down(done)
    }

    /// What has ended before this process leads was said by the one that led then.
    fn pass_over_the_past(&mut self, ledger: &dyn Ledger) -> Result<(), LedgerError> {
        // The history has no gaps: as many trials have ended as it has places.
        let last = Sequence(ledger.ended_count()?);
        let best = ledger.best()?;
        self.told = self.told.max(last);
        self.best = best.and_then(|best| best.result().map(|result| result.score));
        Ok(())
    }

    /// What trials have come to since the last look.
    fn follow(&mut self, ledger: &dyn Ledger) -> Result<Vec<Happening>, LedgerError> {
        let mut happened = Vec::new();
        loop {
            let ended = ledger.ended(self.told)?;
            let Some(last) = ended.last().and_then(Trial::sequence) else {
                return Ok(happened);
            };
            self.told = last;
            for trial in ended {
                happened.extend(self.happening(&trial));
            }
        }
    }

    fn happening(&mut self, trial: &Trial) -> Option<Happening> {
        let id = trial.id;
        Some(match &trial.state {
            TrialState::Finished { result, .. } => {
                let is_best = self.best.is_none_or(|best| result.score > best);
                if is_best {
                    self.best = Some(result.score);
                }
                Happening::Finished {
                    trial: id,
                    score: result.score,
                    best: if is_best { Rank::Best } else { Rank::Behind },
                }
            }
            TrialState::Stopped { stop, .. } => Happening::Stopped {
                trial: id,
                epochs: stop.curve.len() as u32,
                planned: stop.recipe.epochs.get(),
            },
            TrialState::Failed { reason, .. } => Happening::Failed {
                trial: id,
                reason: reason.clone(),
            },
            TrialState::Queued | TrialState::Running { .. } => return None,
        })
    }

    /// Nodes that have come or gone since the last look.
    fn departures(&mut self, nodes: Vec<Node>, lease_secs: f64, at: Instant) -> Vec<Happening> {
        let mut happened = Vec::new();
        for node in nodes {
            let worker = node.worker.clone();
            let is_there = node.is_alive(lease_secs, at);
            let was_there = self.nodes.contains_key(&worker);
            if is_there && !was_there {
                let host = node.host.clone();
                happened.push(Happening::WorkerJoined {
                    worker: worker.clone(),
                    host,
                });
            }
            if !is_there && was_there {
                let message = match (node.has_left, node.is_quarantined()) {
                    (_, true) => "its trainers died one after the other".to_string(),
                    (true, false) => "it said goodbye".to_string(),
                    (false, false) => format!("not heard of for {lease_secs:.0} s"),
                };
                happened.push(Happening::WorkerLeft {
                    worker: worker.clone(),
                    trials: node.progress.len(),
                    message,
                });
            }
            match is_there {
                true => self.nodes.insert(worker, node),
                false => self.nodes.remove(&worker),
            };
        }
        happened
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::node::tests::{candidate, ledger, result, worker},
        explore::now,
        ledger::{ClaimKey, Ending, Operations, Sqlite},
        prepared::tests::config_of,
        trial::Slot,
    };

    /// Another trial ends well.
    fn end_one(ledger: &mut Sqlite, number: u64) {
        ledger
            .propose(&candidate(8 + number as u32), now())
            .unwrap();
        let key = ClaimKey {
            slot: Slot(0),
            incarnation: 1,
            number,
        };
        let claim = ledger.claim(&worker(), key, now()).unwrap().unwrap();
        let ending = Ending::Finished(Box::new(result(number)));
        ledger.finish(claim.lease, &ending, now()).unwrap();
    }

    #[test]
    fn a_master_says_what_has_ended_since_it_leads_and_nothing_again() {
        let mut ledger = ledger();
        end_one(&mut ledger, 1);
        let mut lead = Lead::new("new".to_string(), config_of("rows.csv".into()));
        let seen = lead.look(&mut ledger, now()).unwrap();
        assert_eq!((seen.is_leading, seen.happened), (true, Vec::new()));
        end_one(&mut ledger, 2);
        let happened = lead.look(&mut ledger, now()).unwrap().happened;
        let said = |happening: &Happening| match happening {
            Happening::Finished { trial, best, .. } => (trial.0, *best),
            other => panic!("{other:?}"),
        };
        // As good as the one before is not better.
        let said: Vec<_> = happened.iter().map(said).collect();
        assert_eq!(said, [(2, Rank::Behind)]);
    }
}
