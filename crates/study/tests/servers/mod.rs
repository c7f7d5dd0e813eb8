//! A PostgreSQL server of a test's own: in a folder of its own, as an ordinary user, gone with the test.

use std::{
    fs::{self, Permissions},
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use study::ledger::LedgerAddress;
use tempfile::TempDir;

/// Who runs the server where the test runs as root, which PostgreSQL refuses: `nobody`.
const NOBODY: u32 = 65534;

pub(crate) struct PostgresServer {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl PostgresServer {
    /// A running server, or `None` where PostgreSQL is not installed; then the test is skipped and says so.
    pub(crate) fn start() -> Option<PostgresServer> {
        let Some(programs) = programs() else {
            let is_required = std::env::var_os("LEHR_REQUIRE_POSTGRES").is_some();
            assert!(
                !is_required,
                "PostgreSQL is required here and is not installed"
            );
            write_skipped();
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let port = free_port();
        let server = PostgresServer {
            folder,
            programs,
            port,
        };
        let data = server.data();
        server.run(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                "owner",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
            ],
        );
        let settings = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\n\
             max_connections = 100\nfsync = off\nlog_min_messages = warning\n",
            server.folder.path().display()
        );
        let file = Path::new(&data).join("postgresql.auto.conf");
        fs::write(file, settings).unwrap();
        let rules = "local all all trust\n\
                     host all owner 127.0.0.1/32 trust\n\
                     host all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(Path::new(&data).join("pg_hba.conf"), rules).unwrap();
        server.resume();
        Some(server)
    }

    /// Where its owner reaches it, without a password.
    pub(crate) fn address(&self) -> LedgerAddress {
        let address = format!("postgres://owner@127.0.0.1:{}/postgres", self.port);
        address.parse().unwrap()
    }

    /// Starts it where it is not running.
    pub(crate) fn resume(&self) {
        let data = self.data();
        let log = format!("{data}/log");
        self.run("pg_ctl", &["-D", &data, "-w", "-s", "-l", &log, "start"]);
    }

    /// Kills it without a warning.
    pub(crate) fn kill(&self) {
        let pids = fs::read_to_string(format!("{}/postmaster.pid", self.data())).unwrap();
        let pid = pids.lines().next().unwrap();
        let killed = Command::new("kill").args(["-9", pid]).status().unwrap();
        assert!(killed.success());
        let gone = Instant::now() + Duration::from_secs(10);
        while Path::new(&format!("/proc/{pid}")).exists() && Instant::now() < gone {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Runs a statement as its owner, and gives what it prints.
    pub(crate) fn query(&self, statement: &str) -> String {
        let address = self.address().to_string();
        let output = Command::new("psql")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                &address,
                "-c",
                statement,
            ])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let path = self.programs.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                let user = NOBODY.to_string();
                command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
                command.arg(path);
                command
            }
            false => Command::new(path),
        };
        let status = command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{program} {arguments:?}: {status}");
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let data = self.data();
        if Path::new(&format!("{data}/postmaster.pid")).exists() {
            self.run(
                "pg_ctl",
                &["-D", &data, "-m", "immediate", "-w", "-s", "stop"],
            );
        }
    }
}

#[allow(clippy::print_stderr)] // A skipped test must be seen.
fn write_skipped() {
    eprintln!("skipped: PostgreSQL is not installed");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Debian keeps the server's programs out of PATH.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    folders
        .filter(|folder| folder.join("pg_ctl").exists())
        .max()
}
