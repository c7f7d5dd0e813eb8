//! A study on many machines: a master that decides, nodes that work, and a ledger in a database between them.
//!
//! [`lead`] and [`link`] are step functions without I/O: what a master decides at each look at the ledger, and
//! when a node asks the ledger what. [`node`] and [`explore`] carry them out with processes, pipes and clocks.
//! Nothing listens: nodes and master reach the database, and the database is all they share beside files.

pub(crate) mod explore;
pub mod facts;
pub mod invitation;
pub mod lead;
pub mod link;
pub mod node;
pub(crate) mod porter;
pub mod share;
pub(crate) mod sweeper;
