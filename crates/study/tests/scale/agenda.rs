//! What will happen when in a simulated cluster: a queue of events, in the order of their times and, at the same
//! moment, in the order in which they were written down.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use study::{
    message::{Ask, Reply},
    trial::Slot,
};

/// Something that happens to one party.
#[derive(Debug)]
pub(crate) enum What {
    /// An engine starts the node.
    Start,
    /// What was asked is at the ledger.
    Arrive,
    /// A core of the ledger is free again.
    Served,
    /// The node has joined.
    Joined,
    /// An answer is back.
    Heard(Box<Reply>),
    /// The same, and the weights that it needs are on the node.
    Provided(Box<Reply>),
    /// The weights of a result are in the store.
    Published(Box<Ask>),
    /// Time to look whether something is due; void if another such time was set since.
    Wake(u64),
    /// The generator has made so many candidates.
    Generated(u16),
    /// A training has come to the end of an epoch; void as below.
    Epoch(Slot, u64, u32),
    /// Time to keep a training on the way; void as below.
    Kept(Slot, u64),
    /// A training is over; void if the slot has begun another one since.
    Trained(Slot, u64),
}

#[derive(Debug)]
struct Entry {
    at: f64,
    number: u64,
    party: usize,
    what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        let times = self.at.total_cmp(&other.at);
        times.then(self.number.cmp(&other.number))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Agenda {
    entries: BinaryHeap<Reverse<Entry>>,
    written: u64,
}

impl Agenda {
    pub(crate) fn note(&mut self, at: f64, party: usize, what: What) {
        self.written += 1;
        self.entries.push(Reverse(Entry {
            at,
            number: self.written,
            party,
            what,
        }));
    }

    /// What happens next: when, to whom.
    pub(crate) fn next(&mut self) -> Option<(f64, usize, What)> {
        let Reverse(entry) = self.entries.pop()?;
        Some((entry.at, entry.party, entry.what))
    }
}
