//! The certificate by which nodes know the server: an authority of its own, and a certificate for one host.
//!
//! Made with `openssl`; without it the server stays on loopback. The authority's certificate is what nodes
//! are given; its key stays in the folder, for the day when the server gets another name.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    DatabaseError, failed,
    files::{Host, Settings, private_folder, write_owned},
    programs::Owner,
};
use crate::outside::{Outside, OutsideError};

/// Ten years: a study ends before.
const DAYS: &str = "3650";

fn folder_of(folder: &Path) -> PathBuf {
    folder.join("tls")
}

/// The authority's certificate, which nodes are given.
pub(super) fn root(folder: &Path) -> PathBuf {
    folder_of(folder).join("authority.crt")
}

/// The server's certificate.
pub(super) fn server(folder: &Path) -> PathBuf {
    folder_of(folder).join("server.crt")
}

/// The server's key.
pub(super) fn server_key(folder: &Path) -> PathBuf {
    folder_of(folder).join("server.key")
}

/// Makes what is missing: the authority once, the server's certificate for every new host.
pub(super) fn ensure(
    folder: &Path,
    owner: &Owner,
    settings: &Settings,
) -> Result<(), DatabaseError> {
    let Some(host) = &settings.listen else {
        return Ok(());
    };
    let place = folder_of(folder);
    private_folder(&place, owner)?;
    let certified = place.join("host");
    let is_for_host = fs::read_to_string(&certified).is_ok_and(|known| known == host.as_str());
    if is_for_host && server(folder).is_file() && server_key(folder).is_file() {
        return Ok(());
    }
    let configuration = place.join("openssl.cnf");
    write_owned(&configuration, &configuration_for(host), owner)?;
    let maker = Maker {
        place: &place,
        owner,
        host,
    };
    if !root(folder).is_file() {
        maker.make_authority()?;
    }
    maker.make_server()?;
    // Last, so that a certificate that was broken off is made anew.
    write_owned(&certified, host.as_str(), owner)
}

/// All that `openssl` is to know. Its own configuration differs from system to system.
fn configuration_for(host: &Host) -> String {
    let name = match host.address() {
        Some(address) => format!("IP:{address}"),
        None => format!("DNS:{host}"),
    };
    format!(
        "[req]\n\
         distinguished_name = name\n\
         prompt = no\n\
         [name]\n\
         CN = lehr ledger\n\
         [authority]\n\
         basicConstraints = critical, CA:TRUE\n\
         keyUsage = critical, keyCertSign, cRLSign\n\
         subjectKeyIdentifier = hash\n\
         [server]\n\
         basicConstraints = critical, CA:FALSE\n\
         keyUsage = critical, digitalSignature\n\
         extendedKeyUsage = serverAuth\n\
         subjectAltName = {name}, DNS:localhost, IP:127.0.0.1\n"
    )
}

struct Maker<'a> {
    place: &'a Path,
    owner: &'a Owner,
    host: &'a Host,
}

impl Maker<'_> {
    fn make_authority(&self) -> Result<(), DatabaseError> {
        self.make_key("authority.key")?;
        self.openssl(&[
            "req",
            "-x509",
            "-new",
            "-sha256",
            "-extensions",
            "authority",
            "-config",
            "openssl.cnf",
        ])
        .args([
            "-days",
            DAYS,
            "-key",
            "authority.key",
            "-out",
            "authority.crt.new",
        ])
        .run()
        .map_err(|cause| self.failed("make an authority for certificates", cause))?;
        self.put("authority.crt")
    }

    fn make_server(&self) -> Result<(), DatabaseError> {
        self.make_key("server.key")?;
        self.openssl(&["req", "-new", "-sha256", "-config", "openssl.cnf"])
            .args(["-key", "server.key", "-out", "server.csr"])
            .run()
            .map_err(|cause| self.failed("ask for a certificate", cause))?;
        self.openssl(&[
            "x509",
            "-req",
            "-sha256",
            "-days",
            DAYS,
            "-in",
            "server.csr",
        ])
        .args([
            "-CA",
            "authority.crt",
            "-CAkey",
            "authority.key",
            "-CAcreateserial",
        ])
        .args([
            "-extfile",
            "openssl.cnf",
            "-extensions",
            "server",
            "-out",
            "server.crt.new",
        ])
        .run()
        .map_err(|cause| self.failed("make the server's certificate", cause))?;
        self.put("server.crt")
    }

    /// The key is written by `openssl` itself, as the owner, into a folder that nobody else can enter.
    fn make_key(&self, name: &str) -> Result<(), DatabaseError> {
        let fresh = format!("{name}.part");
        self.openssl(&[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ])
        .args(["-out", &fresh])
        .run()
        .map_err(|cause| self.failed("make a key", cause))?;
        let path = self.place.join(&fresh);
        let text = fs::read_to_string(&path).map_err(|source| DatabaseError::System {
            action: "read",
            path: path.clone(),
            source,
        })?;
        // Written once more with the mode that PostgreSQL asks of a key.
        write_owned(&self.place.join(name), &text, self.owner)?;
        fs::remove_file(&path).map_err(|source| DatabaseError::System {
            action: "remove",
            path,
            source,
        })
    }

    fn put(&self, name: &str) -> Result<(), DatabaseError> {
        let path = self.place.join(name);
        fs::rename(self.place.join(format!("{name}.new")), &path).map_err(|source| {
            DatabaseError::System {
                action: "move",
                path,
                source,
            }
        })
    }

    fn openssl(&self, arguments: &[&str]) -> Outside {
        self.owner
            .command(Path::new("openssl"))
            .args(arguments)
            .folder(self.place)
    }

    fn failed(&self, action: &'static str, cause: OutsideError) -> DatabaseError {
        let is_missing = match &cause {
            OutsideError::Missing { program } => program == "openssl",
            other => other.words().contains("openssl: No such file"),
        };
        match is_missing {
            true => DatabaseError::Listen {
                host: self.host.to_string(),
                rule: "beyond loopback it uses TLS, and `openssl`, which makes the certificate, is not \
                       installed; install it, or leave out --listen",
            },
            false => failed(action)(cause),
        }
    }
}
