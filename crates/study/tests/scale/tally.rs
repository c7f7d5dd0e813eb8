//! What a simulated cluster came to: how busy its trainers and its ledger were, and what idle trainers waited for.

use std::collections::BTreeMap;

/// What a trainer that does not train waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// Its node is being started, joins, or has no first trial yet.
    Start,
    /// A claim is under way.
    Ledger,
    /// The generator makes a candidate.
    Candidate,
    /// The weights of a parent.
    Store,
    /// Nothing is under way: the node looks again after a while.
    Pause,
    /// Its trainer has died: what it had trained is lost.
    Death,
    /// The budget is spent.
    Tail,
}

impl Cause {
    pub(crate) const ALL: [Cause; 7] = [
        Cause::Start,
        Cause::Ledger,
        Cause::Candidate,
        Cause::Store,
        Cause::Pause,
        Cause::Death,
        Cause::Tail,
    ];
}

/// Seconds that the trainers of a node did not train, by what they waited for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Idle {
    seconds: BTreeMap<Cause, f64>,
}

impl Idle {
    /// So many seconds until now, of which those count as tail after which the budget was spent.
    pub(crate) fn add(&mut self, cause: Cause, seconds: f64, now: f64, spent_at: Option<f64>) {
        let late = spent_at.map_or(0.0, |at| (now - at).clamp(0.0, seconds));
        *self.seconds.entry(Cause::Tail).or_default() += late;
        *self.seconds.entry(cause).or_default() += seconds - late;
    }

    pub(crate) fn of(&self, cause: Cause) -> f64 {
        self.seconds.get(&cause).copied().unwrap_or(0.0)
    }
}

/// One simulated study.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tally {
    pub(crate) trainers: usize,
    pub(crate) nodes: usize,
    pub(crate) trials: u64,
    /// Mean seconds of a training.
    pub(crate) mean: f64,
    /// From the launcher's start to the last result.
    pub(crate) elapsed: f64,
    /// When the last trial of the budget was claimed.
    pub(crate) spent_at: f64,
    /// Share of the time that trainers train, from the first training of each until the budget was spent.
    pub(crate) steady: f64,
    /// The same from the launcher's start to the last result.
    pub(crate) whole: f64,
    /// Trainer seconds by cause, as a share of those from first training to the spent budget; of start and
    /// tail, as a share of all.
    pub(crate) idle: BTreeMap<Cause, f64>,
    /// Share of its cores that the ledger used until the budget was spent.
    pub(crate) ledger_busy: f64,
    /// Questions a second until then.
    pub(crate) questions: f64,
    /// How long questions waited for a core of the ledger once all nodes had joined, in seconds: median, 99 % and
    /// longest.
    pub(crate) waits: [f64; 3],
    /// Proposals that the study had already.
    pub(crate) duplicates: u64,
    /// Leases that ran out while the trial was trained.
    pub(crate) retaken: u64,
    /// Trials whose end is in the ledger.
    pub(crate) finished: u64,
}
