//! A session with PostgreSQL through its own client, `psql`: statements go down a pipe, rows come back.
//!
//! libpq brings encryption, every way of authenticating and failover with it, and none of its packages has
//! to be built here (docs/decisions/0020). A session that is silent for too long is killed, and the next
//! statement begins another.

use std::{
    io::{BufRead, BufReader, Write},
    process::ChildStdin,
    sync::{
        atomic::AtomicBool,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::super::{LedgerAddress, LedgerError};
use crate::outside::{Outside, OutsideError, Running, last_words};

/// How long a statement may take, in seconds; connecting included.
const STATEMENT_SECS: u64 = 10;

/// How long a script may take that creates a study.
const SCRIPT_SECS: u64 = 60;

/// The state in which PostgreSQL says that all went well.
const SUCCESS: &str = "00000";

/// Classes of states that pass: connection lost, resources short, conflict with others, shutting down.
const PASSING: [&str; 4] = ["08", "53", "40", "57"];

/// Where to connect, and the session if there is one.
#[derive(Debug)]
pub(super) struct Client {
    address: LedgerAddress,
    password: Option<String>,
    session: Option<Session>,
    statements: u64,
}

/// A running psql.
#[derive(Debug)]
struct Session {
    process: Running,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Client {
    pub(super) fn new(address: LedgerAddress, password: Option<String>) -> Client {
        Client {
            address,
            password,
            session: None,
            statements: 0,
        }
    }

    /// The rows of a statement, one line each.
    ///
    /// # Errors
    /// If PostgreSQL says no, or nothing within [`STATEMENT_SECS`]: then it may have been done or not.
    pub(super) fn rows(
        &mut self,
        action: &'static str,
        statement: &str,
    ) -> Result<Vec<String>, LedgerError> {
        self.statements += 1;
        let (begin, end) = (
            format!("lehr-begin-{}", self.statements),
            format!("lehr-end-{}", self.statements),
        );
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect()?,
        };
        // The message of an error may have any form, so it comes last.
        let asked =
            format!("\\echo {begin}\n{statement};\n\\echo {end} :SQLSTATE :LAST_ERROR_MESSAGE\n");
        if session.stdin.write_all(asked.as_bytes()).is_err() {
            return Err(session.unreachable(action, "the connection was lost"));
        }
        let deadline = Instant::now() + Duration::from_secs(STATEMENT_SECS);
        let mut rows = None;
        loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = session.lines.recv_timeout(patience) else {
                return Err(session.unreachable(action, "nothing was heard of it in time"));
            };
            if line == begin {
                rows = Some(Vec::new());
            } else if let (Some(verdict), Some(_)) = (line.strip_prefix(&end), &rows) {
                let verdict = verdict.trim_start();
                let (state, message) = verdict.split_once(' ').unwrap_or((verdict, ""));
                if state == SUCCESS {
                    self.session = Some(session);
                    return Ok(rows.unwrap_or_default());
                }
                if PASSING.iter().any(|class| state.starts_with(class)) {
                    return Err(session.unreachable(action, message));
                }
                self.session = Some(session);
                let message = message.to_string();
                return Err(LedgerError::Refused { action, message });
            } else if let Some(rows) = &mut rows {
                rows.push(line);
            }
        }
    }

    /// Runs a script in one transaction: all of it, or nothing.
    ///
    /// # Errors
    /// If PostgreSQL cannot be reached, or refuses a part of it.
    pub(super) fn run_script(
        &mut self,
        action: &'static str,
        script: &str,
    ) -> Result<(), LedgerError> {
        let command = self
            .psql()
            .args(["-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        let command = command
            .input(script)
            .limit(Duration::from_secs(SCRIPT_SECS));
        let message = match command.heard(&AtomicBool::new(false)) {
            Ok(heard) if heard.status.success() => return Ok(()),
            Ok(heard) => {
                let message = told(last_words(&heard.complaints));
                // Its exit status is 2 if there is no connection, 3 if a statement failed.
                if heard.status.code() == Some(3) {
                    return Err(LedgerError::Refused { action, message });
                }
                message
            }
            Err(OutsideError::TooSlow { words, .. }) => told(words),
            Err(error) => return Err(no_client(error)),
        };
        Err(LedgerError::Unreachable { action, message })
    }

    fn connect(&self) -> Result<Session, LedgerError> {
        let command = self.psql().args(["-q", "-A", "-t", "-f", "-"]);
        let mut process = command.start().map_err(no_client)?;
        let (stdin, stdout) = process.pipes();
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Session {
            process,
            stdin,
            lines,
        })
    }

    fn psql(&self) -> Outside {
        let options = "-c standard_conforming_strings=on -c client_min_messages=warning";
        let command = Outside::new("psql")
            .args(["-X", "-w", "-d", &self.address.connection()])
            .variable("PGCLIENTENCODING", "UTF8")
            .variable("PGAPPNAME", "lehr")
            .variable("PGCONNECT_TIMEOUT", "5")
            .variable("PGOPTIONS", options);
        match &self.password {
            Some(password) => command.variable("PGPASSWORD", password),
            None => command,
        }
    }
}

fn no_client(error: OutsideError) -> LedgerError {
    LedgerError::NoClient {
        message: error.to_string(),
    }
}

fn told(words: String) -> String {
    match words.is_empty() {
        true => "it said nothing".to_string(),
        false => words,
    }
}

impl Session {
    /// Ends a session that cannot be trusted any more.
    fn unreachable(mut self, action: &'static str, seen: &str) -> LedgerError {
        let words = told(self.process.end());
        let message = match seen.is_empty() {
            true => words,
            false => format!("{seen}; {words}"),
        };
        LedgerError::Unreachable { action, message }
    }
}

/// A text as PostgreSQL writes constants; psql leaves what is between quotes alone.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
