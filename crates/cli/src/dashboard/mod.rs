//! `lehr dashboard`: how a study goes, in a browser, while it goes.
//!
//! `watch` reads the ledger, and only while somebody looks; `seen` is what it has read, `row` what is kept of a trial.
//! `overview`, `trials`, `trial`, `searched` and `nodes` are the pages, `page` is what they have in common, `charts`
//! what they draw beside the report's own charts, `query` what can be asked in an address, and `live.js` puts in what
//! has changed since.
//!
//! A dashboard only shows. Nothing on it changes a study, so that nobody who finds it can harm one.

mod charts;
mod nodes;
mod overview;
mod page;
mod query;
mod routes;
mod row;
mod searched;
mod seen;
mod trial;
mod trials;
mod watch;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use tokio::sync::Semaphore;

use crate::http::{Challenge, Door, Listening, Token};
use watch::Watch;

/// Threads that carry bytes; pages are made on others.
const CARRIERS: usize = 2;

/// Pages that are made at once; who asks for more waits. The machine may have better things to do.
const PAGES_AT_ONCE: usize = 4;

/// What will be done.
pub(crate) struct Setup {
    /// The study's folder.
    pub(crate) study: PathBuf,
    pub(crate) listen: SocketAddr,
    /// What browsers must show; nothing only if no other machine can reach `listen`.
    pub(crate) token: Option<Token>,
}

/// What all threads share.
struct State {
    door: Door,
    watch: Arc<Watch>,
    makers: Arc<Semaphore>,
}

/// Shows a study until SIGINT or SIGTERM. `announce` is told the address as soon as pages can be asked for.
///
/// # Errors
/// If the study cannot be read, the address cannot be listened on, or a stop took too long.
pub(crate) fn show(setup: Setup, announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let listening = Listening::on(setup.listen)?;
    let state = Arc::new(State {
        door: Door::new(setup.listen, setup.token, Challenge::Password),
        watch: Arc::new(opened(&setup.study)?),
        makers: Arc::new(Semaphore::new(PAGES_AT_ONCE)),
    });
    listening.serve(&state, CARRIERS, announce)
}

/// A study that can be read: a mistake in the path is said now, not to the first who asks.
fn opened(study: &Path) -> Result<Watch> {
    let watch = Watch::over(study);
    watch.look()?;
    Ok(watch)
}
