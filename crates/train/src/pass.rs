//! What a network is compiled for, and what kind of pass is made over a batch.

/// What a network is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Forward, backward, optimizer.
    Train,
    /// Forward only: less memory.
    Infer,
}

/// What kind of pass is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As a finished model: running statistics, no dropout.
    Eval,
    /// Batch norm by the batch's own statistics, no dropout, running statistics untouched.
    BatchStatistics,
    /// As in training: batch statistics that the running ones follow, dropout from this seed.
    Train {
        /// Which values are dropped.
        seed: u64,
    },
}
