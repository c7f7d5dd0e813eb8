//! A private PostgreSQL for people without one: the real server, started from what is installed, as an
//! ordinary user, in a folder of its own.
//!
//! It is made for one purpose, to be the ledger of a cluster, and set up so that nothing is lost and nobody
//! listens in: writes reach the disk before they are acknowledged, pages have checksums, passwords are
//! proven and never sent (SCRAM), and beyond loopback there is no connection without TLS. lehr itself opens
//! no port; the server does, on loopback, or where it is told to.

mod certificate;
mod files;
mod programs;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;

use crate::{
    file_system::network_file_system,
    outside::{Outside, OutsideError, shell_word},
};

pub use files::Host;
use files::{Settings, private_folder, write_owned};
use programs::{Owner, Programs};

/// Port if none is chosen: not that of a server of the system's own.
pub const PORT: u16 = 25_432;

/// The only user of the server, its owner.
const USER: &str = "lehr";

/// How long the server may take to start: after a crash it reads its log first.
const START: Duration = Duration::from_secs(60);

/// How long `initdb` and a shutdown may take.
const SLOW: Duration = Duration::from_secs(120);

/// Sockets of Unix have paths of at most 107 letters, and PostgreSQL adds its own name.
const FOLDER_BYTES_MAX: usize = 85;

/// So much of the server's log is shown when it does not start.
const LOG_CHARS_MAX: usize = 1000;

/// Why the server cannot be used.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// PostgreSQL does not run as root.
    #[error(
        "PostgreSQL refuses to run as root: run this as an ordinary user, or name one with --as-user NAME"
    )]
    Root,
    /// Only root can become somebody else.
    #[error("only root can start a server as `{user}`: leave out --as-user")]
    NotRoot {
        /// Who was to own the server.
        user: String,
    },
    /// There is no such user.
    #[error("there is no user `{user}`: {cause}")]
    NoUser {
        /// Who was to own the server.
        user: String,
        /// What `id` said.
        cause: OutsideError,
    },
    /// A user that cannot own a server.
    #[error("`{user}` is root by another name: choose an ordinary user")]
    RootByName {
        /// Who was to own the server.
        user: String,
    },
    /// There is no PostgreSQL.
    #[error(
        "no PostgreSQL server {needed} is installed (looked in the PATH, /usr/lib/postgresql, \
         /usr/pgsql-* and what `pg_config --bindir` names): install the package `postgresql`, or use a \
         server that exists"
    )]
    NotInstalled {
        /// Which one.
        needed: String,
    },
    /// There is no server in the folder.
    #[error("there is no ledger server in {}: `lehr ledger up` makes one", .folder.display())]
    Absent {
        /// Which folder.
        folder: PathBuf,
    },
    /// A folder in which it cannot live.
    #[error("{} cannot be the folder of a ledger server: {rule}", .folder.display())]
    Folder {
        /// Which folder.
        folder: PathBuf,
        /// What it must be.
        rule: String,
    },
    /// It runs with other settings.
    #[error(
        "the ledger server in {} runs on port {port} and listens on {listens}: `lehr ledger down` first \
         to change that",
        .folder.display()
    )]
    OtherSettings {
        /// Which folder.
        folder: PathBuf,
        /// Its port.
        port: u16,
        /// Where it listens.
        listens: String,
    },
    /// An address that it cannot listen on.
    #[error("the server cannot listen on `{host}`: {rule}")]
    Listen {
        /// Where it was to listen.
        host: String,
        /// What it must be.
        rule: &'static str,
    },
    /// A command of PostgreSQL or OpenSSL.
    #[error("could not {action}: {cause}{}", the_log(.log))]
    Command {
        /// What was to be done.
        action: &'static str,
        /// What the command said.
        cause: OutsideError,
        /// What the server wrote into its log meanwhile.
        log: String,
    },
    /// It was started, and does not answer.
    #[error("the ledger server does not answer {seconds} s after its start{}", the_log(.log))]
    Silent {
        /// How long it was waited for.
        seconds: u64,
        /// What it wrote into its log.
        log: String,
    },
    /// The system said no.
    #[error("could not {action} {}", .path.display())]
    System {
        /// What was to be done.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn the_log(log: &str) -> String {
    match log.is_empty() {
        true => String::new(),
        false => format!("; its log says: {log}"),
    }
}

fn failed(action: &'static str) -> impl Fn(OutsideError) -> DatabaseError {
    move |cause| DatabaseError::Command {
        action,
        cause,
        log: String::new(),
    }
}

/// What is wished of a server; what is not given stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Its port.
    pub port: Option<u16>,
    /// The name or address, other than loopback, by which other machines reach it.
    pub listen: Option<Host>,
}

/// What `up` found or did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// There was none: it was made and started.
    Made,
    /// It did not run, and was started.
    Started,
    /// It ran already.
    Running,
}

/// What `down` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It ran until now.
    Now,
    /// It did not run.
    Before,
}

/// How it is with a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The number of its process, if it runs.
    pub process: Option<u32>,
    /// Whether it answers.
    pub answers: bool,
    /// Its address, as `--ledger` takes it; the password is not in it.
    pub address: String,
    /// Where it listens, beside the socket in its folder.
    pub listens: String,
}

/// A private server: its folder, and who owns it.
#[derive(Debug)]
pub struct Database {
    folder: PathBuf,
    owner: Owner,
}

impl Database {
    /// The server of this folder, whether there is one already or not.
    ///
    /// # Errors
    /// If it would have to run as root, or the folder's path is too long for a socket.
    pub fn at(folder: &Path, as_user: Option<&str>) -> Result<Database, DatabaseError> {
        let owner = Owner::find(as_user)?;
        let folder = std::path::absolute(folder).map_err(|source| DatabaseError::System {
            action: "find the folder",
            path: folder.to_path_buf(),
            source,
        })?;
        let refused = |rule: String| DatabaseError::Folder {
            folder: folder.clone(),
            rule,
        };
        let text = folder.to_str().unwrap_or_default();
        if text.is_empty()
            || text.contains(['\'', '\\', ',', '"'])
            || text.contains(char::is_control)
        {
            let rule = "its path has letters that PostgreSQL's settings cannot carry";
            return Err(refused(rule.to_string()));
        }
        if text.len() > FOLDER_BYTES_MAX {
            let rule = format!(
                "its path has {} letters, and a socket in it may have {FOLDER_BYTES_MAX}: choose a \
                 shorter --dir",
                text.len()
            );
            return Err(refused(rule));
        }
        Ok(Database { folder, owner })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn password_file(&self) -> PathBuf {
        self.folder.join("password")
    }

    /// Makes the server if there is none, starts it if it does not run, and says what was found.
    ///
    /// # Errors
    /// If its folder lies on a network file system, it cannot be made or started, or it runs with other settings
    /// than are wished.
    pub fn up(&self, wish: &Wish) -> Result<Found, DatabaseError> {
        self.check_is_local(network_file_system(&self.folder))?;
        private_folder(&self.folder, &self.owner)?;
        let _lock = self.lock()?;
        let old = Settings::read(&self.folder)?;
        let settings = Settings::decide(old.as_ref(), wish);
        let is_made = self.data().join("PG_VERSION").is_file();
        let programs = Programs::find(is_made.then(|| self.data()).as_deref())?;
        // It runs with the settings of its last start, whatever is wished now.
        let old = old.unwrap_or_else(|| settings.clone());
        if is_made && self.readiness(&programs, &old) != Readiness::Absent {
            if old != settings {
                return Err(DatabaseError::OtherSettings {
                    folder: self.folder.clone(),
                    port: old.port,
                    listens: old.listens(),
                });
            }
            self.wait(&programs, &settings, 0)?;
            return Ok(Found::Running);
        }
        if settings.listen.is_some() {
            certificate::ensure(&self.folder, &self.owner, &settings)?;
        }
        if !is_made {
            self.make(&programs)?;
        }
        settings.write(&self.folder, &self.owner)?;
        self.start(&programs, &settings)?;
        self.make_database(&programs, &settings)?;
        Ok(if is_made { Found::Started } else { Found::Made })
    }

    /// PostgreSQL keeps what it acknowledges where a disk does.
    fn check_is_local(&self, network: Option<&'static str>) -> Result<(), DatabaseError> {
        let Some(kind) = network else {
            return Ok(());
        };
        Err(DatabaseError::Folder {
            folder: self.folder.clone(),
            rule: format!(
                "it lies on a network file system ({kind}), where locks and `fsync` do not keep what PostgreSQL \
                 acknowledges: choose a --dir on a local disk; nodes reach the server by its address, not by \
                 its folder"
            ),
        })
    }

    /// Stops the server, as it stops for any other reason: nothing acknowledged is lost. Says whether it ran.
    ///
    /// # Errors
    /// If there is none, or it does not stop.
    pub fn down(&self) -> Result<Stopped, DatabaseError> {
        let programs = self.programs()?;
        if self.process(&programs).is_none() {
            return Ok(Stopped::Before);
        }
        self.run(programs.program("pg_ctl"))
            .args(["stop", "--mode=fast", "--wait", "--silent", "--pgdata"])
            .arg(self.data())
            .limit(SLOW)
            .run()
            .map_err(failed("stop the ledger server"))?;
        Ok(Stopped::Now)
    }

    /// How it is with the server.
    ///
    /// # Errors
    /// If there is none.
    pub fn standing(&self) -> Result<Standing, DatabaseError> {
        let programs = self.programs()?;
        let settings = Settings::read(&self.folder)?.ok_or_else(|| self.absent())?;
        Ok(Standing {
            process: self.process(&programs),
            answers: self.readiness(&programs, &settings) == Readiness::Ready,
            address: self.address(&settings),
            listens: settings.listens(),
        })
    }

    fn absent(&self) -> DatabaseError {
        DatabaseError::Absent {
            folder: self.folder.clone(),
        }
    }

    fn programs(&self) -> Result<Programs, DatabaseError> {
        match self.data().join("PG_VERSION").is_file() {
            true => Programs::find(Some(&self.data())),
            false => Err(self.absent()),
        }
    }

    /// Address of the ledger's database. The password stays in its file.
    fn address(&self, settings: &Settings) -> String {
        let host = settings
            .listen
            .as_ref()
            .map_or("127.0.0.1".to_string(), Host::in_address);
        let mut address = format!(
            "postgresql://{USER}@{host}:{}/{USER}?passfile={}",
            settings.port,
            percent_encoded(&self.password_file())
        );
        if settings.listen.is_some() {
            let root = percent_encoded(&certificate::root(&self.folder));
            address += &format!("&sslmode=verify-full&sslrootcert={root}");
        }
        address
    }

    /// Two at once would both make it.
    fn lock(&self) -> Result<File, DatabaseError> {
        let path = self.folder.join("lock");
        let lock = File::create(&path).map_err(|source| DatabaseError::System {
            action: "open",
            path: path.clone(),
            source,
        })?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(DatabaseError::Folder {
                folder: self.folder.clone(),
                rule: "another `lehr ledger up` is at work in it; wait until it is done"
                    .to_string(),
            }),
            Err(TryLockError::Error(source)) => Err(DatabaseError::System {
                action: "lock",
                path,
                source,
            }),
        }
    }

    /// A command of PostgreSQL, as the owner of the server.
    fn run(&self, program: PathBuf) -> Outside {
        self.owner
            .command(&program)
            .folder(&self.folder)
            // The home of whoever runs lehr may be closed to the owner.
            .variable("HOME", &self.folder)
            // Settings of another server that the user works with must not reach this one.
            .without("PG", &[])
    }

    /// Makes the files of a server: beside their place first, so that half of them are never taken for all.
    fn make(&self, programs: &Programs) -> Result<(), DatabaseError> {
        let password = files::password(&self.password_file(), USER, &self.owner)?;
        let part = self.folder.join("data.part");
        let given = self.folder.join("password.part");
        let system = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| DatabaseError::System {
                action,
                path,
                source,
            }
        };
        if part.exists() {
            fs::remove_dir_all(&part).map_err(system("remove", &part))?;
        }
        write_owned(&given, &format!("{password}\n"), &self.owner)?;
        let made = self
            .run(programs.program("initdb"))
            .args([
                "--username",
                USER,
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--no-locale",
            ])
            .args(["--data-checksums", "--no-instructions", "--pwfile"])
            .arg(&given)
            .arg("--pgdata")
            .arg(&part)
            .limit(SLOW)
            .run();
        fs::remove_file(&given).map_err(system("remove", &given))?;
        made.map_err(failed("make the files of the ledger server"))?;
        files::include_settings(&part, &self.owner)?;
        fs::rename(&part, self.data()).map_err(system("move", &part))
    }

    fn start(&self, programs: &Programs, settings: &Settings) -> Result<(), DatabaseError> {
        let log_begins = fs::metadata(self.log()).map_or(0, |metadata| metadata.len());
        let begin = Instant::now();
        loop {
            let started = self
                .run(programs.program("pg_ctl"))
                .args(["start", "--wait", "--silent", "--log"])
                .arg(self.log())
                .arg(format!("--timeout={}", START.as_secs()))
                .arg("--pgdata")
                .arg(self.data())
                .limit(START + Duration::from_secs(5))
                .run();
            let Err(cause) = started else {
                return self.wait(programs, settings, log_begins);
            };
            let log = self.log_since(log_begins);
            // Processes of a killed server need a moment to see that it is gone.
            let is_left_over = log.contains("shared memory block") || log.contains("lock file");
            if !is_left_over || begin.elapsed() > START {
                return Err(DatabaseError::Command {
                    action: "start the ledger server",
                    cause,
                    log,
                });
            }
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn wait(
        &self,
        programs: &Programs,
        settings: &Settings,
        log_begins: u64,
    ) -> Result<(), DatabaseError> {
        let begin = Instant::now();
        while self.readiness(programs, settings) != Readiness::Ready {
            if begin.elapsed() > START {
                return Err(DatabaseError::Silent {
                    seconds: START.as_secs(),
                    log: self.log_since(log_begins),
                });
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn make_database(&self, programs: &Programs, settings: &Settings) -> Result<(), DatabaseError> {
        // Through its socket, as the programs beside it do: TLS and names are for others.
        let address = format!(
            "postgresql://{USER}@/postgres?host={}&port={}&passfile={}",
            percent_encoded(&self.folder),
            settings.port,
            percent_encoded(&self.password_file())
        );
        let ask = |statement: &str| {
            self.run(programs.program("psql"))
                .args([
                    "--no-psqlrc",
                    "--quiet",
                    "--tuples-only",
                    "--no-align",
                    "--no-password",
                ])
                .arg(&address)
                .arg("--command")
                .arg(statement)
                .run()
                .map_err(failed("make the database of the ledger"))
        };
        let found = ask(&format!(
            "select 1 from pg_database where datname = '{USER}'"
        ))?;
        if found.trim().is_empty() {
            ask(&format!("create database {USER}"))?;
        }
        Ok(())
    }

    fn process(&self, programs: &Programs) -> Option<u32> {
        let told = self
            .run(programs.program("pg_ctl"))
            .args(["status", "--pgdata"])
            .arg(self.data())
            .run()
            .ok()?;
        told.split_once("PID: ")?.1.split(')').next()?.parse().ok()
    }

    /// Asked through the socket in its folder, where no other server can answer.
    fn readiness(&self, programs: &Programs, settings: &Settings) -> Readiness {
        let asked = self
            .run(programs.program("pg_isready"))
            .arg("--quiet")
            .arg("--host")
            .arg(&self.folder)
            .arg(format!("--port={}", settings.port))
            .run();
        match asked {
            Ok(_) => Readiness::Ready,
            Err(OutsideError::Failed { status, .. }) if status.code() == Some(1) => {
                Readiness::Starting
            }
            Err(_) => Readiness::Absent,
        }
    }

    fn log_since(&self, begin: u64) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let begin = usize::try_from(begin).unwrap_or(usize::MAX).min(log.len());
        let text = String::from_utf8_lossy(&log[begin..]).into_owned();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let text = lines.join(" / ");
        let surplus = text.chars().count().saturating_sub(LOG_CHARS_MAX);
        text.chars().skip(surplus).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    Ready,
    Starting,
    Absent,
}

/// A path inside of an address.
fn percent_encoded(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes
        .map(|byte| match plain(*byte) {
            true => char::from(*byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

/// The address as one types it behind `--ledger`.
pub fn typed(address: &str) -> String {
    shell_word(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_whose_sockets_would_have_too_long_names_is_refused() {
        let long = format!("/tmp/{}", "a".repeat(90));
        let user = rustix::process::geteuid().is_root().then_some("nobody");
        let error = Database::at(Path::new(&long), user).unwrap_err();
        assert!(error.to_string().contains("shorter --dir"), "{error}");
    }

    #[test]
    fn a_folder_on_a_network_file_system_is_refused_with_the_reason() {
        let user = rustix::process::geteuid().is_root().then_some("nobody");
        let database = Database::at(Path::new("/shared/ledger"), user).unwrap();
        database.check_is_local(None).unwrap();
        let error = database
            .check_is_local(Some("NFS"))
            .unwrap_err()
            .to_string();
        for part in ["/shared/ledger", "(NFS)", "`fsync`", "local disk"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_path_in_an_address_keeps_its_blanks() {
        assert_eq!(percent_encoded(Path::new("/a b/c?&")), "/a%20b/c%3F%26");
    }
}
