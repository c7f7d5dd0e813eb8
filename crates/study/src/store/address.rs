//! Where a store lies, as people write it: a directory, a bucket, or a remote of rclone's own configuration.
//!
//! An address is shown in logs, job records and lists of processes, so it never holds a secret: keys come
//! from the environment, or from a file of which the address holds the path only.

use std::{fmt, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is no address of a store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{text}` is no address of a store: {problem}; give a directory, `s3://BUCKET/PREFIX`, \
     `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or `rclone:REMOTE:PATH`"
)]
pub struct AddressError {
    text: String,
    problem: String,
}

/// Whose buckets they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Amazon's S3, and all that speak its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

impl Service {
    const ALL: [Service; 3] = [Service::S3, Service::Gcs, Service::Azure];

    fn scheme(self) -> &'static str {
        match self {
            Service::S3 => "s3",
            Service::Gcs => "gs",
            Service::Azure => "az",
        }
    }
}

/// What an address may say beside the place; none of it is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Choice {
    /// The server, for S3 that is not Amazon's, and for tests.
    Endpoint,
    /// The region of an S3 bucket.
    Region,
    /// Which S3 it is, as rclone calls it: `AWS`, `Ceph`, `Minio`, `Other`.
    Provider,
    /// The storage account of an Azure container.
    Account,
    /// Path of a file with secrets, one `NAME=VALUE` a line, that only its owner can read.
    Credentials,
    /// Path of rclone's own configuration file.
    Config,
}

impl Choice {
    const ALL: [Choice; 6] = [
        Choice::Endpoint,
        Choice::Region,
        Choice::Provider,
        Choice::Account,
        Choice::Credentials,
        Choice::Config,
    ];

    fn name(self) -> &'static str {
        match self {
            Choice::Endpoint => "endpoint",
            Choice::Region => "region",
            Choice::Provider => "provider",
            Choice::Account => "account",
            Choice::Credentials => "credentials",
            Choice::Config => "config",
        }
    }
}

/// Choices of an address, each at most once, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices(Vec<(Choice, String)>);

impl Choices {
    /// What was chosen.
    pub fn get(&self, choice: Choice) -> Option<&str> {
        let mut pairs = self.0.iter();
        pairs
            .find(|(own, _)| *own == choice)
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (choice, value)) in self.0.iter().enumerate() {
            let mark = if index == 0 { '?' } else { '&' };
            write!(f, "{mark}{}={value}", choice.name())?;
        }
        Ok(())
    }
}

/// Where a store lies.
///
/// Printing and parsing are inverse. Names of buckets, prefixes and remotes are such that neither rclone nor
/// a shell takes any part of them for something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StoreAddress {
    /// A directory of this machine, or of a file system that all machines share.
    Directory(PathBuf),
    /// A bucket of a service.
    Bucket {
        /// Whose.
        service: Service,
        /// Its name.
        bucket: String,
        /// Where in it; empty for all of it.
        prefix: String,
        /// What else was said.
        choices: Choices,
    },
    /// A remote that rclone's own configuration describes.
    Remote {
        /// Its name there.
        remote: String,
        /// Where on it.
        path: String,
        /// What else was said.
        choices: Choices,
    },
}

impl StoreAddress {
    /// A place within this one, for one study or one kind of thing.
    ///
    /// # Errors
    /// If the name is not one plain word.
    pub fn within(&self, name: &str) -> Result<StoreAddress, AddressError> {
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(is_word) {
            return Err(AddressError {
                text: format!("{self} with {name}"),
                problem: format!("`{name}` is not one word of letters, digits, `-`, `_` and `.`"),
            });
        }
        let mut inner = self.clone();
        match &mut inner {
            StoreAddress::Directory(path) => path.push(name),
            StoreAddress::Bucket { prefix: path, .. } | StoreAddress::Remote { path, .. } => {
                *path = joined(path, name);
            }
        }
        Ok(inner)
    }

    /// What else the address says; a directory says nothing else.
    pub fn choices(&self) -> Option<&Choices> {
        match self {
            StoreAddress::Directory(_) => None,
            StoreAddress::Bucket { choices, .. } | StoreAddress::Remote { choices, .. } => {
                Some(choices)
            }
        }
    }
}

/// Two parts of a path, either of which may be empty.
pub(crate) fn joined(path: &str, name: &str) -> String {
    match path.is_empty() || name.is_empty() || path.ends_with('/') {
        true => format!("{path}{name}"),
        false => format!("{path}/{name}"),
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreAddress::Directory(path) => write!(f, "{}", path.display()),
            StoreAddress::Bucket {
                service,
                bucket,
                prefix,
                choices,
            } => {
                write!(f, "{}://{}", service.scheme(), joined(bucket, prefix))?;
                write!(f, "{choices}")
            }
            StoreAddress::Remote {
                remote,
                path,
                choices,
            } => write!(f, "rclone:{remote}:{path}{choices}"),
        }
    }
}

impl FromStr for StoreAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<StoreAddress, AddressError> {
        parse(text).map_err(|problem| AddressError {
            text: without_secrets(text),
            problem,
        })
    }
}

impl TryFrom<String> for StoreAddress {
    type Error = AddressError;

    fn try_from(text: String) -> Result<StoreAddress, AddressError> {
        text.parse()
    }
}

impl From<StoreAddress> for String {
    fn from(address: StoreAddress) -> String {
        address.to_string()
    }
}

/// The text as an error may show it: what was written behind `?`, or as a user's password, may be a secret.
fn without_secrets(text: &str) -> String {
    let place = text.split('?').next().unwrap_or_default();
    match (place.split_once("://"), place.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ if text.contains('?') => format!("{place}?…"),
        _ => place.to_string(),
    }
}

fn parse(text: &str) -> Result<StoreAddress, String> {
    if let Some(rest) = text.strip_prefix("rclone:") {
        return parse_remote(rest);
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return match text.is_empty() {
            true => Err("it is empty".to_string()),
            false => Ok(StoreAddress::Directory(PathBuf::from(text))),
        };
    };
    if scheme == "file" {
        return match rest.starts_with('/') {
            true => Ok(StoreAddress::Directory(PathBuf::from(rest))),
            false => Err(format!(
                "`file://` is followed by an absolute path, as in `file:///{rest}`"
            )),
        };
    }
    let known = Service::ALL.into_iter();
    let Some(service) = known.into_iter().find(|known| known.scheme() == scheme) else {
        return Err(format!("`{scheme}://` is not known"));
    };
    parse_bucket(service, rest)
}

fn parse_bucket(service: Service, rest: &str) -> Result<StoreAddress, String> {
    let (place, choices) = parse_choices(rest)?;
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let is_usual = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_.".contains(letter)
    };
    if bucket.is_empty() || !bucket.chars().all(is_usual) {
        return Err(
            "a bucket has a name of small letters, digits, `-`, `_` and `.`, and nothing before it"
                .to_string(),
        );
    }
    let fits = |choice: Choice| match choice {
        Choice::Endpoint | Choice::Credentials => true,
        Choice::Region | Choice::Provider => service == Service::S3,
        Choice::Account => service == Service::Azure,
        Choice::Config => false,
    };
    refuse_unfit(&choices, &fits)?;
    Ok(StoreAddress::Bucket {
        service,
        bucket: bucket.to_string(),
        prefix: parse_path(prefix)?,
        choices,
    })
}

fn parse_remote(rest: &str) -> Result<StoreAddress, String> {
    let (place, choices) = parse_choices(rest)?;
    let Some((remote, path)) = place.split_once(':') else {
        return Err("a remote's name and its path have `:` between them".to_string());
    };
    // rclone would take settings, keys among them, behind a comma of the name.
    let is_usual = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if remote.is_empty() || remote.starts_with('-') || !remote.chars().all(is_usual) {
        return Err("a remote has a name of letters, digits, `-`, `_` and `.`".to_string());
    }
    refuse_unfit(&choices, &|choice| {
        matches!(choice, Choice::Credentials | Choice::Config)
    })?;
    let is_absolute = path.starts_with('/');
    let path = parse_path(path.trim_start_matches('/'))?;
    Ok(StoreAddress::Remote {
        remote: remote.to_string(),
        path: match is_absolute {
            true => format!("/{path}"),
            false => path,
        },
        choices,
    })
}

fn parse_path(path: &str) -> Result<String, String> {
    let path = path.trim_end_matches('/');
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let is_usual = |letter: char| !letter.is_control() && !"\\*{}[]".contains(letter);
    if path.is_empty() || path.split('/').all(is_plain) && path.chars().all(is_usual) {
        return Ok(path.to_string());
    }
    Err(format!(
        "`{path}` has an empty part, `.`, `..` or one of `\\*{{}}[]`"
    ))
}

/// What stands before `?`, and the choices behind it.
fn parse_choices(rest: &str) -> Result<(&str, Choices), String> {
    let Some((place, query)) = rest.split_once('?') else {
        return Ok((rest, Choices::default()));
    };
    let mut choices = Choices::default();
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Some(choice) = Choice::ALL.into_iter().find(|known| known.name() == name) else {
            let known = Choice::ALL.map(Choice::name).join("`, `");
            return Err(format!(
                "`{name}` is not one of `{known}`; keys and passwords belong into the file that \
                 `credentials` names, or into the environment"
            ));
        };
        if value.is_empty() || choices.get(choice).is_some() {
            return Err(format!("`{name}` is given once, with a value"));
        }
        if choice == Choice::Endpoint {
            check_endpoint(value)?;
        }
        choices.0.push((choice, value.to_string()));
    }
    Ok((place, choices))
}

fn check_endpoint(value: &str) -> Result<(), String> {
    let is_web = value.starts_with("https://") || value.starts_with("http://");
    match is_web && !value.contains('@') {
        true => Ok(()),
        false => Err("`endpoint` is `https://HOST` or `http://HOST`, without a user".to_string()),
    }
}

fn refuse_unfit(choices: &Choices, fits: &dyn Fn(Choice) -> bool) -> Result<(), String> {
    match choices.0.iter().find(|(choice, _)| !fits(*choice)) {
        Some((choice, _)) => Err(format!("`{}` means nothing here", choice.name())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_same(text: &str) {
        let address: StoreAddress = text.parse().unwrap();
        assert_eq!(address.to_string(), text);
        let json = serde_json::to_string(&address).unwrap();
        assert_eq!(
            serde_json::from_str::<StoreAddress>(&json).unwrap(),
            address
        );
    }

    fn check_refused(text: &str, words: &str) {
        let error = text.parse::<StoreAddress>().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn an_address_is_printed_as_it_was_given() {
        check_same("/shared/lehr");
        check_same("artifacts");
        check_same("s3://bucket");
        check_same("s3://bucket/a/b?endpoint=http://127.0.0.1:9000&region=eu-1");
        check_same("gs://bucket/a?credentials=/etc/lehr/keys");
        check_same("az://container/a?account=ours");
        check_same("rclone:ours:lehr/a?config=/etc/rclone.conf");
        check_same("rclone:ours:");
        check_same("rclone:ours:/srv/lehr");
        let same = "file:///shared/lehr".parse::<StoreAddress>().unwrap();
        assert_eq!(same.to_string(), "/shared/lehr");
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        check_refused("", "it is empty");
        check_refused("ftp://host/a", "`ftp://` is not known");
        check_refused("file://shared", "as in `file:///shared`");
        check_refused("s3://", "a bucket has a name");
        check_refused("s3://Bucket/a", "small letters");
        check_refused("s3://bucket/../other", "`..`");
        check_refused("s3://bucket?account=a", "`account` means nothing here");
        check_refused("s3://bucket?endpoint=host", "`endpoint` is `https://HOST`");
        check_refused("s3://bucket?region=a&region=b", "`region` is given once");
        check_refused("rclone:ours", "`:` between them");
        check_refused("rclone:ours,key=value:a", "a remote has a name");
    }

    #[test]
    fn a_secret_in_an_address_is_refused_and_not_repeated() {
        for text in [
            "s3://bucket/a?secret_access_key=hunter",
            "s3://key:hunter@bucket/a",
            "s3://bucket/a?endpoint=https://key:hunter@host",
        ] {
            let error = text.parse::<StoreAddress>().unwrap_err().to_string();
            assert!(!error.contains("hunter"), "{error}");
        }
    }

    #[test]
    fn a_place_within_keeps_what_else_was_said() {
        let check = |text: &str, expected: &str| {
            let address: StoreAddress = text.parse().unwrap();
            assert_eq!(address.within("data").unwrap().to_string(), expected);
            assert!(address.within("../a").is_err());
            assert!(address.within("").is_err());
        };
        check("/shared", "/shared/data");
        check("s3://bucket?region=a", "s3://bucket/data?region=a");
        check("s3://bucket/a", "s3://bucket/a/data");
        check("rclone:ours:", "rclone:ours:data");
        check("rclone:ours:/a", "rclone:ours:/a/data");
    }
}
