//! Files of a private server that are ours: its settings, who may connect, and the password.

use std::{
    fmt, fs,
    io::{self, Write},
    net::IpAddr,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{DatabaseError, PORT, Wish, certificate, programs::Owner};

/// One connection for each node, and some for people.
const CONNECTIONS_MAX: u32 = 1100;

/// Random bytes in the password.
const PASSWORD_BYTES: usize = 24;

/// What is ours in PostgreSQL's own file of settings.
const INCLUDED: &str = "lehr.conf";

/// A name or an address by which other machines reach this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host(String);

impl Host {
    /// As it stands in an address.
    pub(super) fn in_address(&self) -> String {
        match self.address() {
            Some(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.0.clone(),
        }
    }

    /// The address, if it is no name.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.0.parse().ok()
    }

    /// The name or the address itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Host {
    type Err = DatabaseError;

    fn from_str(text: &str) -> Result<Host, DatabaseError> {
        let refused = |rule| DatabaseError::Listen {
            host: text.escape_debug().to_string(),
            rule,
        };
        let address: Option<IpAddr> = text.parse().ok();
        if text == "*" || address.is_some_and(|address| address.is_unspecified()) {
            return Err(refused(
                "name the one address by which the nodes reach this machine",
            ));
        }
        if text == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return Err(refused(
                "it listens on loopback anyway; name what other machines call this one",
            ));
        }
        let known = |letter: char| letter.is_ascii_alphanumeric() || ".-".contains(letter);
        let is_name = text.len() <= 253
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.chars().all(known);
        match address.is_some() || is_name {
            true => Ok(Host(text.to_string())),
            false => Err(refused(
                "it is neither an address nor the name of a machine",
            )),
        }
    }
}

impl TryFrom<String> for Host {
    type Error = DatabaseError;

    fn try_from(text: String) -> Result<Host, DatabaseError> {
        text.parse()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> String {
        host.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a server was started with, kept for the next start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) port: u16,
    pub(super) listen: Option<Host>,
}

impl Settings {
    pub(super) fn decide(old: Option<&Settings>, wish: &Wish) -> Settings {
        let kept = old.and_then(|old| old.listen.clone());
        Settings {
            port: wish.port.or(old.map(|old| old.port)).unwrap_or(PORT),
            listen: wish.listen.clone().or(kept),
        }
    }

    pub(super) fn listens(&self) -> String {
        match &self.listen {
            Some(host) => format!("127.0.0.1, and with TLS only on {host}"),
            None => "127.0.0.1 only".to_string(),
        }
    }

    pub(super) fn read(folder: &Path) -> Result<Option<Settings>, DatabaseError> {
        let path = folder.join("settings.json");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(system("read", &path)(source)),
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| DatabaseError::Folder {
                folder: folder.to_path_buf(),
                rule: format!("its settings.json is not one of lehr's ({error})"),
            })
    }

    /// Writes them for the server and for the next start.
    pub(super) fn write(&self, folder: &Path, owner: &Owner) -> Result<(), DatabaseError> {
        let data = folder.join("data");
        write_owned(&data.join(INCLUDED), &self.for_server(folder), owner)?;
        write_owned(&data.join("pg_hba.conf"), &self.who_may_connect(), owner)?;
        let text = serde_json::to_string(self).expect("settings are plain values");
        write_owned(&folder.join("settings.json"), &text, owner)
    }

    fn for_server(&self, folder: &Path) -> String {
        let mut addresses = "127.0.0.1".to_string();
        let mut tls = "ssl = off\n".to_string();
        if let Some(host) = &self.listen {
            addresses += &format!(",{host}");
            tls = format!(
                "ssl = on\nssl_min_protocol_version = 'TLSv1.2'\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
                certificate::server(folder).display(),
                certificate::server_key(folder).display()
            );
        }
        format!(
            "# Written by `lehr ledger up` at every start.\n\
             port = {port}\n\
             listen_addresses = '{addresses}'\n\
             unix_socket_directories = '{folder}'\n\
             unix_socket_permissions = 0700\n\
             max_connections = {CONNECTIONS_MAX}\n\
             password_encryption = 'scram-sha-256'\n\
             {tls}\
             # What is acknowledged is on the disk.\n\
             fsync = on\n\
             full_page_writes = on\n\
             synchronous_commit = on\n\
             # A node whose machine died must not hold a connection for hours.\n\
             tcp_keepalives_idle = 30\n\
             tcp_keepalives_interval = 10\n\
             tcp_keepalives_count = 3\n\
             log_min_messages = warning\n\
             # Statements may hold passwords, also those that fail.\n\
             log_statement = 'none'\n\
             log_min_error_statement = panic\n",
            port = self.port,
            folder = folder.display(),
        )
    }

    fn who_may_connect(&self) -> String {
        let mut text = "# Written by `lehr ledger up` at every start.\n\
                        local all all scram-sha-256\n\
                        host all all 127.0.0.1/32 scram-sha-256\n"
            .to_string();
        if self.listen.is_some() {
            text += "hostssl all all 0.0.0.0/0 scram-sha-256\nhostssl all all ::/0 scram-sha-256\n";
        }
        text
    }
}

/// Makes PostgreSQL read our settings after its own.
pub(super) fn include_settings(data: &Path, owner: &Owner) -> Result<(), DatabaseError> {
    let path = data.join("postgresql.conf");
    let own = fs::read_to_string(&path).map_err(system("read", &path))?;
    write_owned(&path, &format!("{own}\ninclude '{INCLUDED}'\n"), owner)
}

/// The password in this file, which is made if it is not there, in the form that PostgreSQL's clients read.
pub(super) fn password(path: &Path, user: &str, owner: &Owner) -> Result<String, DatabaseError> {
    let begin = format!("*:*:*:{user}:");
    if let Ok(text) = fs::read_to_string(path)
        && let Some(password) = text.trim_end().strip_prefix(&begin)
    {
        return Ok(password.to_string());
    }
    let mut bytes = [0; PASSWORD_BYTES];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| system("draw a password for", path)(error.into()))?;
    let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    write_owned(path, &format!("{begin}{password}\n"), owner)?;
    Ok(password)
}

/// A folder that only its owner can enter.
pub(super) fn private_folder(path: &Path, owner: &Owner) -> Result<(), DatabaseError> {
    if path.is_dir() {
        let metadata = fs::metadata(path).map_err(system("read", path))?;
        return match metadata.permissions().mode() & 0o077 {
            0 => Ok(()),
            _ => Err(DatabaseError::Folder {
                folder: path.to_path_buf(),
                rule: "others can enter it: choose a new folder, or `chmod 700` it".to_string(),
            }),
        };
    }
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(system("make the folder", path))?;
    owner.give(path)
}

/// Writes a file that only its owner can read, as a whole or not at all.
pub(super) fn write_owned(path: &Path, text: &str, owner: &Owner) -> Result<(), DatabaseError> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let beside: PathBuf = path.with_file_name(name);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&beside).map_err(system("write", &beside))?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(system("write", &beside))?;
    owner.give(&beside)?;
    fs::rename(&beside, path).map_err(system("write", path))
}

fn system(action: &'static str, path: &Path) -> impl Fn(io::Error) -> DatabaseError {
    let path = path.to_path_buf();
    move |source| DatabaseError::System {
        action,
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_listens_on_one_address_that_others_can_reach() {
        for host in ["10.0.0.7", "ledger.example.org", "node-7", "2001:db8::1"] {
            assert!(host.parse::<Host>().is_ok(), "{host} is refused");
        }
        for host in [
            "*",
            "0.0.0.0",
            "::",
            "127.0.0.1",
            "localhost",
            "a b",
            "",
            "a'b",
            "-a",
        ] {
            assert!(host.parse::<Host>().is_err(), "{host} is taken");
        }
    }

    #[test]
    fn what_is_not_wished_stays_as_it_was() {
        let old = Settings {
            port: 7000,
            listen: "10.0.0.7".parse().ok(),
        };
        assert_eq!(Settings::decide(Some(&old), &Wish::default()), old);
        let wish = Wish {
            port: Some(7001),
            listen: None,
        };
        assert_eq!(Settings::decide(Some(&old), &wish).port, 7001);
        assert_eq!(Settings::decide(None, &Wish::default()).port, PORT);
    }

    #[test]
    fn beyond_loopback_nobody_connects_without_tls() {
        let far = Settings {
            port: 7000,
            listen: "10.0.0.7".parse().ok(),
        };
        let rules = far.who_may_connect();
        for line in rules.lines().filter(|line| line.starts_with("host ")) {
            assert!(line.contains("127.0.0.1/32"), "{line}");
        }
        assert!(rules.contains("hostssl all all 0.0.0.0/0 scram-sha-256"));
        let near = Settings {
            listen: None,
            ..far
        };
        assert!(!near.who_may_connect().contains("0.0.0.0"));
        assert!(
            near.for_server(Path::new("/a"))
                .contains("listen_addresses = '127.0.0.1'\n")
        );
    }

    #[test]
    fn a_password_is_drawn_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let first = password(&path, "lehr", &Owner::Caller).unwrap();
        assert_eq!(first.len(), 2 * PASSWORD_BYTES);
        assert_eq!(password(&path, "lehr", &Owner::Caller).unwrap(), first);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
