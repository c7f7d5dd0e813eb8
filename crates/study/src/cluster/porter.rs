//! Carries weights between a node and its store, so that no lease waits for a transfer: a result's weights before
//! the ledger hears of it, and a parent's weights before its child is trained.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender},
    },
    thread,
    time::Duration,
};

use search::TrialId;

use super::node::{Tell, Waiting};
use crate::{
    message::{Answer, Ask, Reply},
    process::checkpoints::CHECKPOINTS_KEPT,
    store::{InUse, NodeWeights, StoreError},
    trial::{Digest, Slot},
};

/// Pause before the same transfer is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Of so many trainings: more than run on one machine. Those that were stopped are among them.
const TRAININGS_MAX: usize = 256;

/// Checkpoints that this node has stored, and that are to leave the store again.
#[derive(Debug, Default)]
struct Stored {
    checkpoints: BTreeMap<TrialId, VecDeque<Digest>>,
    /// Of trainings that have ended: they leave when the ledger has had time to hear of it.
    spent: VecDeque<Digest>,
}

impl Stored {
    /// Something is in the store; gives what nobody will ask for any more.
    fn note(&mut self, ask: &Ask) -> VecDeque<Digest> {
        let mut old = std::mem::take(&mut self.spent);
        match ask {
            Ask::Checkpoint { lease, checkpoint } => {
                let kept = self.checkpoints.entry(lease.trial).or_default();
                kept.push_back(checkpoint.clone());
                let many = kept.len().saturating_sub(CHECKPOINTS_KEPT);
                old.extend(kept.drain(..many));
            }
            Ask::Finish { lease, .. } => {
                self.spent = self.checkpoints.remove(&lease.trial).unwrap_or_default();
            }
            // Another node goes on with it.
            Ask::Release { lease, .. } => {
                self.checkpoints.remove(&lease.trial);
            }
            _ => {}
        }
        if self.checkpoints.len() > TRAININGS_MAX {
            // The oldest trial has the lowest number.
            old.extend(self.checkpoints.pop_first().into_iter().flat_map(|it| it.1));
        }
        old
    }
}

/// Who carries for a node.
pub(super) struct Porter<'a> {
    pub(super) weights: &'a NodeWeights,
    pub(super) leave: &'a AtomicBool,
    /// Set when a result stays in the spool that the ledger has not heard of.
    pub(super) unsaid: &'a AtomicBool,
    pub(super) tell: Tell<'a>,
}

impl Porter<'_> {
    /// Passes on results and paused trainings whose weights are where every node finds them. What is not when the
    /// node leaves stays in its spool and its cache.
    pub(super) fn publish(&self, finishes: Receiver<Ask>, asks: &Sender<Ask>) {
        let mut stored = Stored::default();
        for ask in finishes {
            let published = ask
                .stored()
                .is_none_or(|digest| self.persistently(|| self.weights.publish(digest)).is_ok());
            let old = match (published, &ask) {
                // A newer one has replaced it while the store was away.
                (false, Ask::Checkpoint { .. }) => continue,
                (false, _) => {
                    self.unsaid.store(true, Ordering::Relaxed);
                    match self.leave.load(Ordering::Relaxed) {
                        // The others it still gives back, as far as they can be stored.
                        true => continue,
                        // It has lost what it has computed, and cannot go on.
                        false => return,
                    }
                }
                (true, _) => stored.note(&ask),
            };
            if asks.send(ask).is_err() {
                return;
            }
            old.iter().for_each(|old| self.weights.withdraw(old));
        }
    }

    /// Passes on answers; one that gives out a child waits until the weights of its parent are here, and they stay
    /// while the slot has it. A child whose parent's weights no store has any more goes back, to be given out as one
    /// that inherits nothing: only the desk knows what else that changes.
    pub(super) fn provide(&self, replies: Receiver<Reply>, answers: &Sender<Reply>) {
        let mut held: BTreeMap<Slot, Vec<InUse>> = BTreeMap::new();
        for mut reply in replies {
            if let Answer::Work { slot, job } = &reply.answer {
                let (slot, lease) = (*slot, job.lease);
                let provided = |digest: &Digest| self.persistently(|| self.weights.provide(digest));
                let inherited = job.inheritance.as_ref().map(|from| &from.artifact);
                let parent = inherited.map(provided);
                // A checkpoint that is lost is not gone on from: the training begins anew.
                let paused = job.checkpoint.as_ref().map(provided);
                if let (Some(weights), Some(Err(StoreError::Missing { .. }))) = (inherited, &parent)
                {
                    let weights = weights.clone();
                    reply.answer = Answer::Weightless {
                        slot,
                        lease,
                        weights,
                    };
                }
                let here = parent.into_iter().chain(paused);
                held.insert(slot, here.flatten().collect());
            }
            if answers.send(reply).is_err() {
                return;
            }
        }
    }

    /// Tries again while the store is away, and says why, until the node leaves or has left, or it is known that it
    /// will never be.
    fn persistently<T>(
        &self,
        mut carry: impl FnMut() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut waiting = Waiting::silent(self.tell);
        loop {
            let carried = carry();
            match &carried {
                Ok(_) | Err(StoreError::Missing { .. } | StoreError::Stopped { .. }) => {
                    return carried;
                }
                Err(_) if self.leave.load(Ordering::Relaxed) => return carried,
                Err(error) => waiting.say(error),
            }
            thread::sleep(RETRY);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        sync::{Mutex, mpsc::channel},
    };

    use search::TrialId;

    use super::*;
    use crate::{
        cluster::node::tests::result,
        desk::Happening,
        message::{Course, News},
        store::ObjectName,
        trial::{Inheritance, Job, Lease, LeaseEpoch, tests::job},
    };

    fn work(slot: u16, parent: &Digest) -> Reply {
        let lease = Lease {
            trial: TrialId(2),
            epoch: LeaseEpoch(1),
        };
        let job = Job {
            inheritance: Some(Inheritance {
                parent: TrialId(1),
                architecture: "in 4 | dense 2".parse().unwrap(),
                artifact: parent.clone(),
                morphs: Vec::new(),
                is_shrunk: true,
            }),
            ..job(lease, "in 4 | dense 2")
        };
        Reply {
            answer: Answer::Work {
                slot: Slot(slot),
                job: Box::new(job),
            },
            news: News {
                history: Vec::new(),
                pending: Vec::new(),
                budget_used: 0.1,
                queued: 0,
                course: Course::Explore,
            },
        }
    }

    fn of<'a>(
        weights: &'a NodeWeights,
        leave: &'a AtomicBool,
        unsaid: &'a AtomicBool,
        tell: Tell<'a>,
    ) -> Porter<'a> {
        Porter {
            weights,
            leave,
            unsaid,
            tell,
        }
    }

    #[test]
    fn what_stays_behind_when_a_node_leaves_and_why_a_store_is_waited_for_is_said() {
        let weights = NodeWeights::InPlace(".".into());
        let (leave, unsaid) = (AtomicBool::new(false), AtomicBool::new(false));
        let said = Mutex::new(Vec::new());
        let tell = |happening: &Happening| said.lock().unwrap().push(happening.clone());
        let store = || "s3://ours/lehr".to_string();
        let mut tried = 0;
        let carried = of(&weights, &leave, &unsaid, &tell).persistently::<()>(|| {
            tried += 1;
            match tried {
                1 => Err(StoreError::Refused {
                    store: store(),
                    said: "the key may not write".to_string(),
                }),
                _ => Err(StoreError::Stopped { store: store() }),
            }
        });
        assert!(carried.is_err());
        let said = said.into_inner().unwrap();
        assert!(
            matches!(&said[..], [Happening::Waiting { reason }] if reason.contains("may not write")),
            "{said:?}"
        );

        // Its weights are nowhere: it cannot be told.
        let lease = Lease {
            trial: TrialId(7),
            epoch: LeaseEpoch(1),
        };
        let (finishes, waiting) = channel();
        let (asks, _passed) = channel();
        let result = Box::new(result(7));
        finishes.send(Ask::Finish { lease, result }).unwrap();
        drop(finishes);
        of(&weights, &leave, &unsaid, &|_| {}).publish(waiting, &asks);
        assert!(unsaid.load(Ordering::Relaxed));
    }

    #[test]
    fn a_node_that_leaves_gives_back_what_it_can_whatever_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        let there = Digest::of(b"there");
        let file = ObjectName::weights(&there).to_string();
        fs::write(folder.path().join(file), b"there").unwrap();
        let weights = NodeWeights::InPlace(folder.path().to_path_buf());
        let (leave, unsaid) = (AtomicBool::new(true), AtomicBool::new(false));
        let lease = |number| Lease {
            trial: TrialId(number),
            epoch: LeaseEpoch(1),
        };
        let (finishes, waiting) = channel();
        let (asks, passed) = channel();
        let lost = Ask::Finish {
            lease: lease(7),
            result: Box::new(result(7)),
        };
        let paused = Ask::Release {
            lease: lease(8),
            crash: None,
            checkpoint: Some(there),
        };
        finishes.send(lost).unwrap();
        finishes.send(paused.clone()).unwrap();
        drop(finishes);
        of(&weights, &leave, &unsaid, &|_| {}).publish(waiting, &asks);
        assert!(unsaid.load(Ordering::Relaxed));
        let passed: Vec<Ask> = passed.try_iter().collect();
        assert_eq!(passed, [paused]);
    }

    #[test]
    fn of_the_checkpoints_of_a_training_the_last_two_stay_in_the_store_until_it_has_ended() {
        let lease = Lease {
            trial: TrialId(7),
            epoch: LeaseEpoch(1),
        };
        let mut stored = Stored::default();
        let mut gone = Vec::new();
        let digests: Vec<Digest> = (0u8..4).map(|number| Digest::of(&[number])).collect();
        for checkpoint in &digests {
            let checkpoint = checkpoint.clone();
            let ask = Ask::Checkpoint { lease, checkpoint };
            gone.extend(stored.note(&ask));
        }
        assert_eq!(gone, digests[..2]);
        // Given back with the newest one: whoever goes on needs it.
        let mut given_back = Stored::default();
        let checkpoint = digests[0].clone();
        let release = Ask::Release {
            lease,
            crash: None,
            checkpoint: Some(checkpoint.clone()),
        };
        assert!(
            given_back
                .note(&Ask::Checkpoint { lease, checkpoint })
                .is_empty()
        );
        assert!(given_back.note(&release).is_empty());
        assert!(given_back.checkpoints.is_empty() && given_back.spent.is_empty());
    }

    #[test]
    fn a_checkpoint_that_is_gone_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let there = Digest::of(b"there");
        let file = ObjectName::weights(&there).to_string();
        fs::write(folder.path().join(file), b"there").unwrap();
        let weights = NodeWeights::InPlace(folder.path().to_path_buf());
        let (finishes, waiting) = channel();
        let (asks, passed) = channel();
        let lease = Lease {
            trial: TrialId(7),
            epoch: LeaseEpoch(1),
        };
        for checkpoint in [Digest::of(b"replaced"), there.clone()] {
            finishes
                .send(Ask::Checkpoint { lease, checkpoint })
                .unwrap();
        }
        drop(finishes);
        let no = AtomicBool::new(false);
        of(&weights, &no, &no, &|_| {}).publish(waiting, &asks);
        let checkpoint = there;
        let passed: Vec<Ask> = passed.try_iter().collect();
        assert_eq!(passed, [Ask::Checkpoint { lease, checkpoint }]);
    }

    #[test]
    fn a_child_of_weights_that_were_swept_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let (there, gone) = (Digest::of(b"there"), Digest::of(b"gone"));
        let file = ObjectName::weights(&there).to_string();
        fs::write(folder.path().join(file), b"there").unwrap();
        let weights = NodeWeights::InPlace(folder.path().to_path_buf());
        let (replies, waiting) = channel();
        let (answers, passed) = channel();
        replies.send(work(0, &there)).unwrap();
        replies.send(work(1, &gone)).unwrap();
        drop(replies);
        let no = AtomicBool::new(false);
        of(&weights, &no, &no, &|_| {}).provide(waiting, &answers);
        let passed: Vec<Answer> = passed.try_iter().map(|reply| reply.answer).collect();
        assert!(matches!(&passed[0], Answer::Work { job, .. } if job.inheritance.is_some()));
        let back = Answer::Weightless {
            slot: Slot(1),
            lease: Lease {
                trial: TrialId(2),
                epoch: LeaseEpoch(1),
            },
            weights: gone,
        };
        assert_eq!(passed[1..], [back]);
    }

    #[test]
    fn a_transfer_that_was_stopped_is_not_tried_again() {
        let (mut tried, no) = (0, AtomicBool::new(false));
        let weights = NodeWeights::InPlace(".".into());
        let carried = of(&weights, &no, &no, &|_| {}).persistently::<()>(|| {
            tried += 1;
            let store = "s3://ours/lehr".to_string();
            Err(StoreError::Stopped { store })
        });
        assert!(carried.is_err());
        assert_eq!(tried, 1);
    }
}
