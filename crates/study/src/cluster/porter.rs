//! Carries weights between a node and its store, so that no lease waits for a transfer: a result's weights before
//! the ledger hears of it, and a parent's weights before its child is trained.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender},
    },
    thread,
    time::Duration,
};

use crate::{
    message::{Answer, Ask, Reply},
    store::{InUse, NodeWeights, StoreError},
    trial::Slot,
};

/// Pause before the same transfer is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// Passes on results and paused trainings whose weights are where every node finds them. What is not when the
/// node leaves stays in its spool and its cache.
pub(crate) fn publish(
    weights: &NodeWeights,
    finishes: Receiver<Ask>,
    asks: &Sender<Ask>,
    leave: &AtomicBool,
) {
    for ask in finishes {
        let digest = match &ask {
            Ask::Finish { result, .. } => Some(&result.artifact),
            Ask::Checkpoint { checkpoint, .. } => Some(checkpoint),
            Ask::Release { checkpoint, .. } => checkpoint.as_ref(),
            _ => None,
        };
        let published =
            digest.is_none_or(|digest| persistently(leave, || weights.publish(digest)).is_some());
        match (published, &ask) {
            // A newer one has replaced it while the store was away.
            (false, Ask::Checkpoint { .. }) => continue,
            (false, _) => return,
            (true, _) => {}
        }
        if asks.send(ask).is_err() {
            return;
        }
    }
}

/// Passes on answers; one that gives out a child waits until the weights of its parent are here, and they stay
/// while the slot has it.
pub(crate) fn provide(
    weights: &NodeWeights,
    replies: Receiver<Reply>,
    answers: &Sender<Reply>,
    leave: &AtomicBool,
) {
    let mut held: BTreeMap<Slot, Vec<InUse>> = BTreeMap::new();
    for reply in replies {
        if let Answer::Work { slot, job } = &reply.answer {
            let parent = job.inheritance.as_ref().map(|from| &from.artifact);
            let needed = parent.into_iter().chain(&job.checkpoint);
            let provided = needed.map(|digest| persistently(leave, || weights.provide(digest)));
            held.insert(*slot, provided.flatten().collect());
        }
        if answers.send(reply).is_err() {
            return;
        }
    }
}

/// Tries again while the store is away, until the node leaves. `None` if it will never be: then whoever needs it
/// finds out.
fn persistently<T>(
    leave: &AtomicBool,
    mut carry: impl FnMut() -> Result<T, StoreError>,
) -> Option<T> {
    loop {
        match carry() {
            Ok(done) => return Some(done),
            Err(StoreError::Missing { .. }) => return None,
            Err(_) if leave.load(Ordering::Relaxed) => return None,
            Err(_) => thread::sleep(RETRY),
        }
    }
}
