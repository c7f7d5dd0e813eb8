//! Where a ledger on PostgreSQL is, and what a study is called there.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest name of a study: PostgreSQL cuts names at 63 bytes, and ours have a prefix.
const NAME_CHARACTERS_MAX: usize = 40;

/// Why an address or a name cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Not an address of PostgreSQL.
    #[error("`{given}` is no address of a ledger: give `postgres://USER@HOST:PORT/DATABASE`")]
    Scheme {
        /// What was given.
        given: String,
    },
    /// It holds a password, which everybody on the machine can read in the list of processes.
    #[error(
        "the ledger's address holds a password, which every user of this machine could read: put it into \
         ~/.pgpass or the environment variable PGPASSWORD"
    )]
    Password,
    /// Passwords and results would cross the network for all to read.
    #[error(
        "the ledger on {host} would be spoken to with sslmode={mode}: across a network it must be \
         verify-full (with sslrootcert=FILE), or go through a tunnel to 127.0.0.1"
    )]
    Plaintext {
        /// Which machine.
        host: String,
        /// What was asked for.
        mode: String,
    },
    /// A name that cannot name a schema.
    #[error(
        "`{given}` cannot name a study in a database: use up to {NAME_CHARACTERS_MAX} small letters, \
         digits and `_`, a letter first"
    )]
    Name {
        /// What was given.
        given: String,
    },
}

/// A database of PostgreSQL, as libpq understands it, without any password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LedgerAddress(String);

impl LedgerAddress {
    /// The same database, entered as another role.
    #[must_use]
    pub fn entered_as(&self, role: &str) -> LedgerAddress {
        let (scheme, _, place) = parts(&self.0).expect("an address has all parts");
        let (place, options) = place.split_once('?').unwrap_or((place, ""));
        // Where the owner's password lies is nobody else's business.
        let kept: Vec<&str> = options
            .split('&')
            .filter(|option| !option.is_empty() && !option.starts_with("passfile="))
            .collect();
        let mark = if kept.is_empty() { "" } else { "?" };
        LedgerAddress(format!("{scheme}://{role}@{place}{mark}{}", kept.join("&")))
    }

    /// What libpq is given; encrypted and verified wherever it leaves this machine.
    pub(super) fn connection(&self) -> String {
        let (_, _, place) = parts(&self.0).expect("an address has all parts");
        let is_decided = option(place, "sslmode").is_some() || is_local(host(place));
        let mark = if place.contains('?') { '&' } else { '?' };
        match is_decided {
            true => self.0.clone(),
            false => format!("{}{mark}sslmode=verify-full", self.0),
        }
    }
}

/// Scheme, role and the rest of `scheme://role@place`.
fn parts(address: &str) -> Option<(&str, Option<&str>, &str)> {
    let (scheme, rest) = address.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    Some(match rest[..end].rfind('@') {
        Some(at) => (scheme, Some(&rest[..at]), &rest[at + 1..]),
        None => (scheme, None, rest),
    })
}

/// The machine in `host:port/database?options`; a directory for a socket, or nothing, is this one.
fn host(place: &str) -> &str {
    if let Some(host) = option(place, "host") {
        return host;
    }
    let machine = &place[..place.find(['/', '?']).unwrap_or(place.len())];
    match machine.strip_prefix('[') {
        Some(six) => six.split(']').next().unwrap_or_default(),
        None => machine.split(':').next().unwrap_or_default(),
    }
}

fn option<'a>(place: &'a str, name: &str) -> Option<&'a str> {
    let (_, options) = place.split_once('?')?;
    let values = options.split('&').filter_map(|pair| pair.split_once('='));
    values
        .into_iter()
        .find_map(|(key, value)| (key == name).then_some(value))
}

fn is_local(host: &str) -> bool {
    matches!(host, "" | "localhost" | "127.0.0.1" | "::1")
        || host.starts_with('/')
        || host.starts_with("%2F")
        || host.starts_with("%2f")
}

impl FromStr for LedgerAddress {
    type Err = AddressError;

    fn from_str(given: &str) -> Result<LedgerAddress, AddressError> {
        let known =
            parts(given).filter(|(scheme, ..)| matches!(*scheme, "postgres" | "postgresql"));
        let Some((_, role, place)) = known else {
            // What is no address may hold a password all the same.
            let given = given.split('@').next_back().unwrap_or_default().to_string();
            return Err(AddressError::Scheme { given });
        };
        if role.is_some_and(|role| role.contains(':')) || option(place, "password").is_some() {
            return Err(AddressError::Password);
        }
        let host = host(place);
        match option(place, "sslmode") {
            Some(mode) if mode != "verify-full" && !is_local(host) => {
                Err(AddressError::Plaintext {
                    host: host.to_string(),
                    mode: mode.to_string(),
                })
            }
            _ => Ok(LedgerAddress(given.to_string())),
        }
    }
}

impl TryFrom<String> for LedgerAddress {
    type Error = AddressError;

    fn try_from(given: String) -> Result<LedgerAddress, AddressError> {
        given.parse()
    }
}

impl From<LedgerAddress> for String {
    fn from(address: LedgerAddress) -> String {
        address.0
    }
}

impl fmt::Display for LedgerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a study is called in a database: each has a schema of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StudyName(String);

impl StudyName {
    /// The schema that holds its tables; also the role by which its workers enter.
    pub(super) fn schema(&self) -> String {
        format!("lehr_{}", self.0)
    }
}

impl FromStr for StudyName {
    type Err = AddressError;

    fn from_str(given: &str) -> Result<StudyName, AddressError> {
        let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_name = given.starts_with(|c: char| c.is_ascii_lowercase())
            && given.len() <= NAME_CHARACTERS_MAX
            && given.chars().all(is_known);
        match is_name {
            true => Ok(StudyName(given.to_string())),
            false => Err(AddressError::Name {
                given: given.to_string(),
            }),
        }
    }
}

impl TryFrom<String> for StudyName {
    type Error = AddressError;

    fn try_from(given: String) -> Result<StudyName, AddressError> {
        given.parse()
    }
}

impl From<StudyName> for String {
    fn from(name: StudyName) -> String {
        name.0
    }
}

impl fmt::Display for StudyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(address: &str) -> Result<String, AddressError> {
        address.parse::<LedgerAddress>().map(|a| a.connection())
    }

    #[test]
    fn whatever_leaves_this_machine_is_encrypted_and_verified() {
        let far = connection("postgres://me@db.lab:5432/work?connect_timeout=3").unwrap();
        assert_eq!(
            far,
            "postgres://me@db.lab:5432/work?connect_timeout=3&sslmode=verify-full"
        );
        let near = "postgres://me@[::1]:5432/work";
        assert_eq!(connection(near).unwrap(), near);
        let socket = "postgresql:///work?host=/run/postgresql";
        assert_eq!(connection(socket).unwrap(), socket);
        for mode in ["disable", "prefer", "require", "verify-ca"] {
            let error = connection(&format!("postgres://db.lab/work?sslmode={mode}")).unwrap_err();
            assert!(matches!(error, AddressError::Plaintext { .. }), "{error}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        for address in [
            "postgres://me:secret@db.lab/work",
            "postgres://me@db.lab/work?password=secret",
            "mysql://me:secret@db.lab/work",
        ] {
            let error = connection(address).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn workers_enter_the_same_database_as_another_role() {
        let entered = |address: &str| {
            let address: LedgerAddress = address.parse().unwrap();
            address.entered_as("lehr_digits").to_string()
        };
        assert_eq!(
            entered("postgres://me@db.lab:5432/work?passfile=/keys/pgpass"),
            "postgres://lehr_digits@db.lab:5432/work"
        );
        assert_eq!(
            entered("postgres://db.lab/work?passfile=/x&sslrootcert=/ca.pem"),
            "postgres://lehr_digits@db.lab/work?sslrootcert=/ca.pem"
        );
    }

    #[test]
    fn a_name_is_never_more_than_a_name() {
        assert!("digits_2".parse::<StudyName>().is_ok());
        for bad in ["", "Digits", "9x", "a-b", "a\"; drop", &"x".repeat(41)] {
            assert!(bad.parse::<StudyName>().is_err(), "{bad}");
        }
    }
}
