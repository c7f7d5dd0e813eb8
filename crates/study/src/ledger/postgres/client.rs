//! A session with PostgreSQL through its own client, `psql`: statements go down a pipe, rows come back.
//!
//! libpq brings encryption, every way of authenticating and failover with it, and none of its packages has
//! to be built here (docs/decisions/0020). A session that is silent for too long is killed, and the next
//! statement begins another.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::super::{LedgerAddress, LedgerError};

/// How long a statement may take, in seconds; connecting included.
const STATEMENT_SECS: u64 = 10;

/// How long a script may take that creates a study.
const SCRIPT_SECS: u64 = 60;

/// How many of psql's last lines of complaint are kept.
const LAST_LINES: usize = 5;

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
    process: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    last_words: Arc<Mutex<VecDeque<String>>>,
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
        if session.say(&asked).is_err() {
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
        let mut command = self.psql();
        command.args(["-q", "-1", "-v", "ON_ERROR_STOP=1", "-f", "-"]);
        let mut session = start(command)?;
        let sent = match session.stdin.take() {
            // Dropped at once: the end of the pipe is the end of the script.
            Some(mut stdin) => stdin.write_all(script.as_bytes()),
            None => Ok(()),
        };
        let deadline = Instant::now() + Duration::from_secs(SCRIPT_SECS);
        while Instant::now() < deadline {
            match session.process.try_wait() {
                Ok(Some(status)) if status.success() && sent.is_ok() => return Ok(()),
                Ok(None) => thread::sleep(Duration::from_millis(5)),
                // Its exit status is 2 if there is no connection, 3 if a statement failed.
                Ok(Some(status)) if status.code() == Some(3) => {
                    let message = last_words(&session.last_words);
                    return Err(LedgerError::Refused { action, message });
                }
                _ => break,
            }
        }
        let _ = session.process.kill();
        let _ = session.process.wait();
        let message = last_words(&session.last_words);
        Err(LedgerError::Unreachable { action, message })
    }

    fn connect(&self) -> Result<Session, LedgerError> {
        let mut command = self.psql();
        command.args(["-q", "-A", "-t", "-f", "-"]);
        start(command)
    }

    fn psql(&self) -> Command {
        let mut command = Command::new("psql");
        command
            .args(["-X", "-w", "-d", &self.address.connection()])
            .env("PGCLIENTENCODING", "UTF8")
            .env("PGAPPNAME", "lehr")
            .env("PGCONNECT_TIMEOUT", "5")
            .env(
                "PGOPTIONS",
                "-c standard_conforming_strings=on -c client_min_messages=warning",
            );
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
        command
    }
}

fn start(mut command: Command) -> Result<Session, LedgerError> {
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut process = spawned.map_err(|error| LedgerError::NoClient {
        message: error.to_string(),
    })?;
    let stdin = process.stdin.take();
    let stdout = process.stdout.take().expect("its standard output is piped");
    let stderr = process.stderr.take().expect("its standard error is piped");
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let words = Arc::new(Mutex::new(VecDeque::new()));
    let kept = Arc::clone(&words);
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Ok(mut lines) = kept.lock() {
                lines.push_back(line);
                if lines.len() > LAST_LINES {
                    lines.pop_front();
                }
            }
        }
    });
    Ok(Session {
        process,
        stdin,
        lines,
        last_words: words,
    })
}

fn last_words(kept: &Mutex<VecDeque<String>>) -> String {
    // What it says last may be a moment behind its end.
    thread::sleep(Duration::from_millis(20));
    let lines = kept.lock().map(|lines| lines.iter().cloned().collect());
    let lines: Vec<String> = lines.unwrap_or_default();
    match lines.is_empty() {
        true => "it said nothing".to_string(),
        false => lines.join(" / "),
    }
}

impl Session {
    fn say(&mut self, text: &str) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(text.as_bytes())?;
        stdin.flush()
    }

    /// Ends a session that cannot be trusted any more.
    fn unreachable(self, action: &'static str, seen: &str) -> LedgerError {
        let words = last_words(&self.last_words);
        let message = match seen.is_empty() {
            true => words,
            false => format!("{seen}; {words}"),
        };
        LedgerError::Unreachable { action, message }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended already; either way it must not stay.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A text as PostgreSQL writes constants; psql leaves what is between quotes alone.
pub(super) fn quoted(text: &str) -> String {
    // A NUL can be in no text of PostgreSQL, whatever a dying trainer said.
    let text = text.replace("\\u0000", "").replace('\0', "");
    format!("'{}'", text.replace('\'', "''"))
}
