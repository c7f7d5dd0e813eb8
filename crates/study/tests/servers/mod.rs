//! A PostgreSQL server of a test's own, as `lehr ledger up` makes one, gone with the test.

#![allow(dead_code)] // Each test program uses its own part of this.

use std::{
    env,
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use study::{
    database::{Database, Wish},
    ledger::LedgerAddress,
};
use tempfile::TempDir;

pub(crate) struct PostgresServer {
    database: Database,
    pub(crate) port: u16,
    place: TempDir,
}

impl PostgresServer {
    /// A running server, or `None` where PostgreSQL is not installed; then the test is skipped and says so.
    pub(crate) fn start() -> Option<PostgresServer> {
        if !postgres_is_installed() {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        // The owner of the server must be able to reach its folder.
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let server = PostgresServer {
            database: Database::at(&place.path().join("pg"), as_user()).unwrap(),
            port: free_port(),
            place,
        };
        server.resume();
        // No test cuts the power.
        server.query("alter system set fsync = off");
        server.query("select pg_reload_conf()");
        Some(server)
    }

    /// Where its owner reaches it.
    pub(crate) fn address(&self) -> LedgerAddress {
        self.database.standing().unwrap().address.parse().unwrap()
    }

    /// Starts it where it is not running.
    pub(crate) fn resume(&self) {
        let port = Some(self.port);
        self.database.up(&Wish { port, listen: None }).unwrap();
    }

    /// Kills it without a warning.
    pub(crate) fn kill(&self) {
        let process = self.database.standing().unwrap().process.unwrap();
        let pid = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        let gone = Instant::now() + Duration::from_secs(10);
        while Path::new(&format!("/proc/{process}")).exists() && Instant::now() < gone {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// All that it has written down for people.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.place.path().join("pg/log")).unwrap_or_default()
    }

    /// Runs a statement as its owner, and gives what it prints.
    pub(crate) fn query(&self, statement: &str) -> String {
        asked(&self.address().to_string(), statement).unwrap()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // One that was killed is down.
        let _ = self.database.down();
    }
}

/// What a server at this address prints for a statement, or what it complains.
pub(crate) fn asked(address: &str, statement: &str) -> Result<String, String> {
    let output = Command::new("psql")
        .args(["-XqAtw", "-v", "ON_ERROR_STOP=1", address, "-c", statement])
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_string();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

/// Who runs the server where the test runs as root, which PostgreSQL refuses.
pub(crate) fn as_user() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("nobody")
}

/// Whether there is a server to start; if not, the test is skipped and says so, unless that is forbidden.
#[allow(clippy::print_stderr)] // A skipped test must be seen.
pub(crate) fn postgres_is_installed() -> bool {
    // Debian keeps the server's programs out of the PATH.
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = versions.flatten().map(|it| it.path().join("bin")).collect();
    folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let is_there = folders.iter().any(|folder| folder.join("initdb").is_file());
    if !is_there {
        let is_required = env::var_os("LEHR_REQUIRE_POSTGRES").is_some();
        assert!(
            !is_required,
            "PostgreSQL is required here and is not installed"
        );
        eprintln!("skipped: PostgreSQL is not installed");
    }
    is_there
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}
