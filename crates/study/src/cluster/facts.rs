//! What the ledger of a study says about its nodes, for whoever places them.

use std::path::Path;

use thiserror::Error;

use crate::{
    cluster::invitation::{Invitation, InvitationError},
    config::StudyConfig,
    explore::now,
    launch::{Doubts, waiting::LedgerFacts},
    ledger::{LedgerError, Node, Postgres, Reading},
    message::Course,
};

/// Why the ledger could not be asked.
#[derive(Debug, Error)]
pub enum FactsError {
    /// The invitation.
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The study's configuration.
    #[error("the ledger's configuration is not one of this version")]
    Config(#[source] serde_json::Error),
}

/// Asks the ledger of the study of this invitation.
///
/// # Errors
/// If the invitation cannot be used, or the ledger cannot be reached.
pub fn ask(invitation: &Path) -> Result<LedgerFacts, FactsError> {
    let invitation = Invitation::read(invitation)?;
    let ledger = Postgres::admitted(&invitation.admission)?;
    let config = ledger.record()?.config;
    let config: StudyConfig = serde_json::from_str(&config).map_err(FactsError::Config)?;
    let standing = ledger.standing(now())?;
    let nodes = ledger.nodes()?;
    let is_heard = |node: &&Node| node.is_alive(ledger.lease_secs(), standing.at);
    let heard = nodes.iter().filter(is_heard);
    let running = heard.clone().map(|node| node.progress.len() as u64).sum();
    let silent = nodes
        .iter()
        .filter(|node| !node.has_left && !is_heard(node));
    let quarantined = nodes.iter().filter(|node| node.is_quarantined());
    Ok(LedgerFacts {
        has_ended: standing.course(config.budget.seconds) == Course::Stop,
        queued: ledger.claimable(now())?,
        running,
        nodes_heard: heard.count() as u64,
        doubts: Doubts {
            // Names that no launcher gives are of no use to one.
            quarantined: quarantined
                .filter_map(|node| node.host.parse().ok())
                .collect(),
            silent: silent
                .filter_map(|node| node.worker.0.parse().ok())
                .collect(),
        },
    })
}
