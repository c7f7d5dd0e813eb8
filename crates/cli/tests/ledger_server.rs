//! `lehr ledger`: a real PostgreSQL that belongs to its user: made, killed, started again with all its rows,
//! and closed to everybody without the password, TLS and the right certificate.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

mod engines;
#[path = "../../study/tests/servers/mod.rs"]
mod servers;

use std::{
    env, fs,
    net::{IpAddr, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use engines::{free_ports, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use servers::{as_user, asked, postgres_is_installed};
use tempfile::TempDir;

/// A server that is stopped when its test is over.
struct Server {
    place: TempDir,
    port: String,
}

impl Server {
    /// Room for a server, if PostgreSQL is installed.
    fn find() -> Option<Server> {
        if !postgres_is_installed() {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        // The owner of the server must be able to reach its folder.
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let port = free_ports(1).to_string();
        Some(Server { place, port })
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("l")
    }

    fn ledger(&self, command: &str, more: &[&str]) -> Output {
        let mut ledger = Command::new(env!("CARGO_BIN_EXE_lehr"));
        ledger.args(["ledger", command, "--dir"]).arg(self.folder());
        ledger.args(as_user().map(|user| format!("--as-user={user}")));
        ledger.args(more).output().unwrap()
    }

    /// Starts it; gives its address and what was said.
    fn up(&self, more: &[&str]) -> (String, String) {
        let output = self.ledger("up", more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        (
            String::from_utf8_lossy(&output.stdout).trim().to_string(),
            said,
        )
    }

    fn refused(&self, command: &str, more: &[&str], part: &str) {
        let output = self.ledger(command, more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(part), "{said}");
    }

    fn status(&self) -> Value {
        let output = self.ledger("status", &["--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ledger("down", &[]);
    }
}

#[test]
fn a_killed_server_comes_back_with_all_that_it_acknowledged() {
    let Some(server) = Server::find() else {
        return;
    };
    server.refused("down", &[], "there is no ledger server");
    let (address, said) = server.up(&["--port", &server.port]);
    assert!(said.contains("made and started"), "{said}");
    assert_eq!(server.up(&[]).0, address);
    assert!(server.up(&[]).1.contains("runs already"));
    asked(
        &address,
        "create table kept (n int); insert into kept values (7)",
    )
    .unwrap();
    for (setting, value) in [
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("password_encryption", "scram-sha-256"),
    ] {
        assert_eq!(
            asked(&address, &format!("show {setting}")).unwrap(),
            value,
            "{setting}"
        );
    }
    check_password(&server, &address);

    let process: i32 = server.status()["process"]
        .as_i64()
        .unwrap()
        .try_into()
        .unwrap();
    kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
    until("it is seen that it is gone", || {
        server.status()["answers"] == false
    });
    assert!(server.up(&[]).1.contains("started the ledger server"));
    assert_eq!(asked(&address, "select n from kept").unwrap(), "7");

    let other = free_ports(1).to_string();
    server.refused("up", &["--port", &other], "`lehr ledger down` first");
    assert!(server.ledger("down", &[]).status.success());
    assert!(
        server.ledger("down", &[]).status.success(),
        "one that does not run can be stopped"
    );
    assert_eq!(server.status()["process"], Value::Null);
    let (moved, _) = server.up(&["--port", &other]);
    assert!(moved.contains(&other), "{moved}");
    assert_eq!(asked(&moved, "select n from kept").unwrap(), "7");
}

/// The password is in a file that its owner alone can read, nowhere else, and needed.
fn check_password(server: &Server, address: &str) {
    let file = server.folder().join("password");
    let text = fs::read_to_string(&file).unwrap();
    let password = text.trim().rsplit(':').next().unwrap();
    assert!(password.len() >= 32);
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        fs::metadata(server.folder()).unwrap().permissions().mode() & 0o077,
        0
    );
    assert!(!address.contains(password));
    let log = fs::read_to_string(server.folder().join("log")).unwrap();
    assert!(!log.contains(password));
    let without = address.split('?').next().unwrap();
    let error = asked(without, "select 1").unwrap_err();
    assert!(error.contains("password"), "{error}");
    let wrong = server.place.path().join("wrong");
    fs::write(&wrong, "*:*:*:lehr:wrong\n").unwrap();
    fs::set_permissions(&wrong, fs::Permissions::from_mode(0o600)).unwrap();
    let error = asked(
        &format!("{without}?passfile={}", wrong.display()),
        "select 1",
    )
    .unwrap_err();
    assert!(error.contains("password authentication failed"), "{error}");
}

/// An address of this machine other than loopback.
fn own_address() -> Option<IpAddr> {
    // Nothing is sent: the system only says which of its addresses it would use.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn beyond_loopback_nothing_goes_without_tls_and_the_right_certificate() {
    let Some(server) = Server::find() else {
        return;
    };
    let Some(host) = own_address().map(|address| address.to_string()) else {
        eprintln!("skipped: this machine has no address but loopback");
        return;
    };
    let (address, _) = server.up(&["--port", &server.port, "--listen", &host]);
    assert!(
        address.contains("sslmode=verify-full") && address.contains(&host),
        "{address}"
    );
    let version = "select version from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(asked(&address, version).unwrap(), "TLSv1.3");

    let plain = address.replace("sslmode=verify-full", "sslmode=disable");
    let error = asked(&plain, "select 1").unwrap_err();
    assert!(error.contains("no encryption"), "{error}");
    let stranger = server.place.path().join("stranger.crt");
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=stranger",
            "-keyout",
            "/dev/null",
        ])
        .arg("-out")
        .arg(&stranger)
        .output()
        .unwrap();
    assert!(made.status.success());
    let (begin, _) = address.split_once("&sslrootcert=").unwrap();
    let error = asked(
        &format!("{begin}&sslrootcert={}", stranger.display()),
        "select 1",
    )
    .unwrap_err();
    assert!(error.contains("certificate verify failed"), "{error}");
    let elsewhere = address.replace(&format!("@{host}:"), "@elsewhere.example:");
    let error = asked(&format!("{elsewhere}&hostaddr={host}"), "select 1").unwrap_err();
    assert!(error.contains("elsewhere.example"), "{error}");

    // Kept for the next start, without being said again.
    server.ledger("down", &[]);
    assert_eq!(server.up(&[]).0, address);
    for key in ["authority.key", "server.key"] {
        let mode = fs::metadata(server.folder().join("tls").join(key))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
}

#[test]
fn without_openssl_it_stays_on_loopback() {
    let Some(server) = Server::find() else {
        return;
    };
    let few = server.place.path().join("bin");
    fs::create_dir(&few).unwrap();
    for program in ["setpriv", "id"] {
        let path = env::var_os("PATH").unwrap();
        let mut places = env::split_paths(&path).map(|folder| folder.join(program));
        if let Some(found) = places.find(|place| place.is_file()) {
            std::os::unix::fs::symlink(found, few.join(program)).unwrap();
        }
    }
    let mut ledger = Command::new(env!("CARGO_BIN_EXE_lehr"));
    ledger
        .args(["ledger", "up", "--listen", "10.0.0.7", "--dir"])
        .arg(server.folder())
        .env("PATH", &few);
    ledger.args(as_user().map(|user| format!("--as-user={user}")));
    let output = ledger.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if Path::new("/usr/lib/postgresql").is_dir() {
        assert!(
            said.contains("beyond loopback it uses TLS") && said.contains("openssl"),
            "{said}"
        );
    }
    assert!(!output.status.success());
    assert!(!server.folder().join("data").exists(), "nothing was made");
}

#[test]
fn what_cannot_own_or_hold_a_server_is_refused() {
    let Some(server) = Server::find() else {
        return;
    };
    let lehr = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_lehr"))
            .args(["ledger", "up", "--dir"])
            .arg(server.folder())
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    if as_user().is_some() {
        assert!(lehr(&[]).contains("PostgreSQL refuses to run as root"));
        assert!(lehr(&["--as-user", "root"]).contains("root by another name"));
        assert!(lehr(&["--as-user", "no-such-user"]).contains("there is no user `no-such-user`"));
    } else {
        assert!(lehr(&["--as-user", "nobody"]).contains("only root can"));
    }
    assert!(lehr(&["--listen", "0.0.0.0"]).contains("name the one address"));
    assert!(lehr(&["--port", "80"]).contains("80"));
    fs::create_dir(server.folder()).unwrap();
    fs::set_permissions(server.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    server.refused("up", &[], "others can enter it");
}
