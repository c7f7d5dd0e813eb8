//! What lehr's search is worth: the method and its references on recorded tables.
//!
//! A recorded table says for every model of a small space how it was scored when somebody trained it, so
//! that a search over it takes seconds and can be repeated with many seeds. Read in this order: [`table`]
//! (tables and their models), [`searcher`] (lehr's method and what it is compared with), [`run`](mod@run)
//! (one search by simulated workers), [`curves`] (the same with trainings that end early), [`summary`]
//! (means over seeds).
//!
//! No clock: time here is the table's. The program that runs all this is `lehr bench search`.

pub mod curves;
pub mod run;
pub mod searcher;
pub mod summary;
pub mod table;

pub use curves::{Curves, Reached, reach};
pub use run::{Course, Plan, Step, run};
pub use searcher::{Searcher, SearcherKind};
pub use summary::{Effort, Mean, Regret, effort_to, mean_regret};
pub use table::{Marks, Table, TableError};
