//! Who may enter a study in a database as one of its workers: the role, and its password, which is drawn when the
//! study is made.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{LedgerAddress, LedgerError, StudyName};

/// What a worker needs to enter a study.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The database, and the role by which workers enter.
    pub ledger: LedgerAddress,
    /// The study's name.
    pub study: StudyName,
    /// The role's password; absent where the database asks for none, or the environment knows it.
    pub password: Option<String>,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Admission({}, {})", self.ledger, self.study)
    }
}

/// A password that nobody guesses.
///
/// # Errors
/// If the system has no random numbers.
pub(super) fn random_password() -> Result<String, LedgerError> {
    let mut bytes = [0; 24];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(
        |error| LedgerError::Refused {
            action: "be created",
            message: format!("no random numbers: {error}"),
        },
    )?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
