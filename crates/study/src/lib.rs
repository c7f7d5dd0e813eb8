//! Who does what, and what has happened: the study, its ledger, and the processes that explore it.
//!
//! Read in this order: [`trial`] (what a trial is), [`config`] (what will be done), [`ledger`] (what
//! has happened), [`message`] (what the roles say to each other), [`master`] and [`worker`] (what
//! they decide), [`explore`] and [`process`] (what carries the decisions out), [`open`] (making and
//! taking up a study), [`prepared`], `folding` and [`balance`] (what is decided about its data), `conversion`
//! (rows that do not fit into memory), [`baseline`] (trees to compare with), [`conclude`] (the winner and
//! its scores), [`model`] (what a user takes away), [`predictor`] (asking it), [`certificate`] (what an
//! exported model is proven to do), [`store`] (where
//! weights and data lie when nodes share them), [`clean`] (weights that nobody needs go), [`cluster`] (the
//! same on many machines), [`outside`] and [`launch`] (other programs, and the engines among them that start
//! nodes elsewhere).

pub mod artifact;
pub mod balance;
pub mod baseline;
pub mod certificate;
pub mod clean;
pub mod cluster;
pub mod conclude;
pub mod config;
mod conversion;
pub mod database;
pub mod desk;
pub mod explore;
mod file_system;
pub mod folder;
mod folding;
pub mod folds;
pub mod front;
mod helm;
mod judge;
mod latency;
pub mod launch;
pub mod ledger;
pub mod master;
pub mod message;
pub mod model;
pub mod open;
pub mod outside;
pub mod predictor;
pub mod prepared;
pub mod process;
pub mod recipe;
mod setup;
pub mod spool;
pub mod status;
pub mod store;
pub mod trial;
pub mod worker;

pub use artifact::replace_durably;
pub use latency::measured_latency;
