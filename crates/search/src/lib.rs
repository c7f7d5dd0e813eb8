//! Which model next: pure functions of the history pool and a seed.
//!
//! No clock, no thread, no file, no hash map: the same pool, budget fraction and random stream give
//! the same proposal. Read in this order: [`setting`], [`domain`] and [`space`] (hyperparameters),
//! [`fingerprint`] (what makes two trials the same), [`pool`] (the history of all slave nodes'
//! models), [`objectives`] (if more than the score counts), [`annealing`] (base models, and among them
//! the target base models), [`limits`] and [`chain`] (random morphs that stay within them), [`models`]
//! (what is searched at all), [`variants`] (children with settings of their own), [`parzen`] (another way
//! to these settings), [`surrogate`] (what the history says about models that were not trained) and
//! [`screen`] (which candidate is proposed), [`rungs`] (which trainings end early), [`origin`] (what a
//! trial remembers of all this), [`settings`], and [`propose`], which puts them together.

pub mod annealing;
pub mod chain;
pub mod domain;
pub mod fingerprint;
pub mod limits;
pub mod models;
mod normal;
pub mod objectives;
pub mod origin;
pub mod parzen;
pub mod pool;
mod propose;
pub mod rungs;
pub mod screen;
pub mod setting;
pub mod settings;
pub mod space;
pub mod surrogate;
pub mod variants;

pub use chain::Chain;
pub use domain::{Coordinate, Domain, DomainError, Scale};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use limits::Limits;
pub use models::{Models, Morphs, Task, Tokens};
pub use objectives::{Objective, UnknownObjective};
pub use origin::{Origin, Proposal, Restart};
pub use parzen::Parzen;
pub use pool::{Outcome, Pool, PoolEntry, PoolError, TrialId, standing};
pub use propose::{SearchError, propose, propose_among, propose_several};
pub use rungs::{Birth, Ladder, Look, Rule, Rung, Rungs, RungsError, Stage, Verdict};
pub use setting::{Setting, Value};
pub use settings::{BudgetFraction, Hyperparameters, SearchSettings, SettingsError, Strategy};
pub use space::{CROP, Parameter, Space, SpaceError, TaskHint};
pub use surrogate::{Promise, Surrogate};
