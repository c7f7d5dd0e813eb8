//! A store that is reached through `rclone`: one process for each transfer, within a time, its complaints read.
//!
//! Object stores show an object when all of it is there, so nothing is renamed. Relied upon is nothing more
//! than that: no conditional writes, no locks.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::Path,
    sync::atomic::AtomicBool,
    time::{Duration, SystemTime},
};

use chrono::DateTime;
use serde::Deserialize;

use super::{
    Listed, ObjectName, StoreAddress, StoreError, Stored, Trouble,
    address::{Service, joined},
    environment::{Environment, REMOTE},
    failed, unfinished,
};
use crate::outside::{Heard, Outside, OutsideError, how};

/// The program.
const PROGRAM: &str = "rclone";

/// A request without much data takes at most so long.
const SHORT: Duration = Duration::from_secs(60);

/// A list, or the removal of many objects, takes at most so long.
const LONG: Duration = Duration::from_secs(600);

/// A transfer that is slower than this on the whole is broken off.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;

/// An object that nobody has written for so long is written again when it is put: it may be about to be
/// collected, because no row names it yet.
const RENEWED_AFTER_SECONDS: f64 = 12.0 * 3_600.0;

/// How old an unfinished upload is before it is forgotten.
const BROKEN_AFTER: &str = "max-age=24h";

/// What is true of every call: no questions, few lines, one try (the next one is ours), and no longer waiting
/// for a server that says nothing.
const ALWAYS: [&str; 11] = [
    "--ask-password=false",
    "--log-level=NOTICE",
    "--stats=0",
    "--retries=1",
    "--low-level-retries=2",
    "--contimeout=10s",
    "--timeout=30s",
    "--use-server-modtime",
    "--multi-thread-streams=0",
    "--transfers=8",
    "--checkers=8",
];

/// Words of complaints that will be the same the next time.
const LASTING: [&str; 21] = [
    "AccessDenied",
    "AuthenticationFailed",
    "AuthorizationFailure",
    "BucketRegionError",
    "ContainerNotFound",
    "ExpiredToken",
    "Forbidden",
    "InvalidAccessKeyId",
    "InvalidBucketName",
    "InvalidToken",
    "NoCredentialProviders",
    "NoSuchBucket",
    "PermanentRedirect",
    "SignatureDoesNotMatch",
    "could not find default credentials",
    "couldn't find type of fs",
    "didn't find backend",
    "didn't find section in config file",
    "no EC2 IMDS role found",
    "no authentication method",
    "unknown flag",
];

#[derive(Clone, Debug)]
pub(super) struct Remote {
    address: StoreAddress,
    environment: Environment,
    /// What rclone calls the place.
    root: String,
}

/// An object as rclone lists it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    name: String,
    size: i64,
    mod_time: String,
    is_dir: bool,
}

impl Found {
    fn age_seconds(&self, now: SystemTime) -> f64 {
        // A store that does not say when is young: what is young is not collected.
        let Ok(written) = DateTime::parse_from_rfc3339(&self.mod_time) else {
            return 0.0;
        };
        let written = SystemTime::from(written);
        now.duration_since(written)
            .map_or(0.0, |age| age.as_secs_f64())
    }

    fn bytes(&self) -> u64 {
        u64::try_from(self.size).unwrap_or(0)
    }
}

impl Remote {
    pub(super) fn open(address: &StoreAddress) -> Result<Remote, StoreError> {
        let (environment, root) = match address {
            StoreAddress::Bucket {
                service,
                bucket,
                prefix,
                choices,
            } => (
                Environment::of_service(*service, choices)?,
                format!("{REMOTE}:{}", joined(bucket, prefix)),
            ),
            StoreAddress::Remote {
                remote,
                path,
                choices,
            } => (Environment::of_remote(choices)?, format!("{remote}:{path}")),
            StoreAddress::Directory(path) => (Environment::default(), path.display().to_string()),
        };
        Ok(Remote {
            address: address.clone(),
            environment,
            root,
        })
    }

    pub(super) fn put(
        &self,
        name: &ObjectName,
        file: &Path,
        bytes: u64,
        stop: &AtomicBool,
    ) -> Result<Stored, Trouble> {
        let found = self.find(name, stop)?;
        let is_there = found.is_some_and(|found| {
            found.bytes() == bytes && found.age_seconds(SystemTime::now()) < RENEWED_AFTER_SECONDS
        });
        if is_there {
            return Ok(Stored::There);
        }
        // Some remotes give an object the time of the file that it comes from; what is sent now is young.
        let _ = File::open(file).and_then(|file| file.set_modified(SystemTime::now()));
        let arguments = [
            "copyto".into(),
            "--ignore-times".into(),
            file.as_os_str().to_os_string(),
            self.place(&name.to_string()).into(),
        ];
        self.ask(&arguments, time_for(bytes), stop)?;
        Ok(Stored::Sent)
    }

    pub(super) fn get(
        &self,
        name: &ObjectName,
        part: &Path,
        stop: &AtomicBool,
    ) -> Result<(), Trouble> {
        // Asked first, because rclone copies what is not there without a word.
        let Some(found) = self.find(name, stop)? else {
            return Err(Trouble::Final(StoreError::Missing {
                name: name.clone(),
                store: self.address.to_string(),
            }));
        };
        let arguments = [
            "copyto".into(),
            "--ignore-times".into(),
            self.place(&name.to_string()).into(),
            part.as_os_str().to_os_string(),
        ];
        self.ask(&arguments, time_for(found.bytes()), stop)?;
        match part.is_file() {
            true => Ok(()),
            false => Err(Trouble::Passing(format!("{name} went while it was read"))),
        }
    }

    pub(super) fn size_of(
        &self,
        name: &ObjectName,
        stop: &AtomicBool,
    ) -> Result<Option<u64>, Trouble> {
        Ok(self.find(name, stop)?.map(|found| found.bytes()))
    }

    fn find(&self, name: &ObjectName, stop: &AtomicBool) -> Result<Option<Found>, Trouble> {
        let name = name.to_string();
        let arguments = ["lsjson".into(), "--stat".into(), self.place(&name).into()];
        let Some(output) = self.ask_for(&arguments, SHORT, stop)? else {
            return Ok(None);
        };
        // Some stores know no folders: what is not there is an empty one to them.
        let found: Option<Found> = self.read_json(&output)?;
        Ok(found.filter(|found| !found.is_dir && found.name == name))
    }

    pub(super) fn list(&self, stop: &AtomicBool) -> Result<Vec<Listed>, Trouble> {
        let arguments = [
            "lsjson".into(),
            "--files-only".into(),
            "--no-mimetype".into(),
            self.root.clone().into(),
        ];
        let Some(output) = self.ask_for(&arguments, LONG, stop)? else {
            return Ok(Vec::new());
        };
        let now = SystemTime::now();
        let found: Vec<Found> = self.read_json(&output)?;
        let ours = found
            .into_iter()
            .filter(|found| Listed::is_ours(&found.name));
        let listed = ours.map(|found| Listed {
            bytes: found.bytes(),
            age_seconds: found.age_seconds(now),
            name: found.name,
        });
        Ok(listed.collect())
    }

    /// Names go to rclone in a file, and no more than those may go: a filter that were misread would otherwise
    /// empty the store.
    pub(super) fn remove(&self, names: &[String], stop: &AtomicBool) -> Result<(), Trouble> {
        let list = unfinished(&std::env::temp_dir().join("lehr-names"));
        fs::write(&list, names.join("\n") + "\n").map_err(failed("written", &list))?;
        let arguments: [OsString; 5] = [
            "delete".into(),
            format!("--max-delete={}", names.len()).into(),
            "--files-from-raw".into(),
            list.clone().into(),
            self.root.clone().into(),
        ];
        let removed = self.ask_for(&arguments, LONG, stop);
        // A list of digests in the folder of temporary files harms nobody.
        let _ = fs::remove_file(&list);
        removed.map(|_| ())
    }

    pub(super) fn forget_broken_uploads(&self, stop: &AtomicBool) -> Result<(), Trouble> {
        let is_bucket = matches!(
            self.address,
            StoreAddress::Bucket {
                service: Service::S3,
                ..
            }
        );
        if !is_bucket {
            // The others forget them by themselves.
            return Ok(());
        }
        let arguments = [
            "backend".into(),
            "cleanup".into(),
            self.root.clone().into(),
            "-o".into(),
            BROKEN_AFTER.into(),
        ];
        self.ask(&arguments, SHORT, stop)
    }

    fn place(&self, name: &str) -> String {
        match self.root.ends_with(':') {
            true => format!("{}{name}", self.root),
            false => joined(&self.root, name),
        }
    }

    fn read_json<'a, T: Deserialize<'a>>(&self, output: &'a [u8]) -> Result<T, Trouble> {
        serde_json::from_slice(output).map_err(|source| {
            Trouble::Final(StoreError::Unreadable {
                what: format!("what rclone says of {}", self.address),
                source,
            })
        })
    }

    /// Runs rclone; `None` if it says that the place is not there, which is where nothing was put yet.
    fn ask_for(
        &self,
        arguments: &[OsString],
        limit: Duration,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<u8>>, Trouble> {
        let heard = self.run(arguments, limit, stop)?;
        let is_absent = matches!(heard.status.code(), Some(3 | 4));
        let complaint = String::from_utf8_lossy(&heard.complaints);
        match heard.status.success() {
            true => Ok(Some(heard.answer)),
            false if is_absent && !is_lasting(&complaint) => Ok(None),
            false => Err(self.trouble(&heard)),
        }
    }

    fn ask(
        &self,
        arguments: &[OsString],
        limit: Duration,
        stop: &AtomicBool,
    ) -> Result<(), Trouble> {
        let heard = self.run(arguments, limit, stop)?;
        match heard.status.success() {
            true => Ok(()),
            false => Err(self.trouble(&heard)),
        }
    }

    fn run(
        &self,
        arguments: &[OsString],
        limit: Duration,
        stop: &AtomicBool,
    ) -> Result<Heard, Trouble> {
        let command = Outside::new(PROGRAM).args(arguments).args(ALWAYS);
        let command = self.environment.given_to(command).limit(limit);
        let store = self.address.to_string();
        command.heard(stop).map_err(|error| match error {
            OutsideError::TooSlow { seconds, .. } => Trouble::Passing(format!(
                "rclone took longer than {seconds} s and was killed"
            )),
            OutsideError::Stopped { .. } => Trouble::Final(StoreError::Stopped { store }),
            OutsideError::Missing { .. } => Trouble::Final(StoreError::NoProgram {
                program: PROGRAM.to_string(),
                store,
                source: error,
            }),
            error => Trouble::Passing(error.to_string()),
        })
    }

    fn trouble(&self, heard: &Heard) -> Trouble {
        let complaint = String::from_utf8_lossy(&heard.complaints);
        let said = said(&complaint);
        match is_lasting(&complaint) {
            true => Trouble::Final(StoreError::Refused {
                store: self.address.to_string(),
                said,
            }),
            false if said.is_empty() => Trouble::Passing(format!("rclone {}", how(&heard.status))),
            false => Trouble::Passing(format!("rclone said: {said}")),
        }
    }
}

fn is_lasting(complaint: &str) -> bool {
    LASTING.iter().any(|words| complaint.contains(words))
}

/// How long a transfer of so much may take.
fn time_for(bytes: u64) -> Duration {
    SHORT + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN)
}

/// Letters of a complaint that are told; what is longer repeats itself.
const SAID_LETTERS_MAX: usize = 400;

/// The last of rclone's complaints, without the time that it puts before each, and with its cause.
fn said(complaint: &str) -> String {
    let lines: Vec<&str> = complaint.lines().map(str::trim).collect();
    let last = lines.iter().rposition(|line| is_dated(line)).unwrap_or(0);
    let is_stamp = |word: &&str| word.starts_with(|letter: char| letter.is_ascii_digit());
    // Numbers of requests are of use to nobody who reads this.
    let told = lines[last.min(lines.len())..]
        .iter()
        .filter(|line| !line.starts_with("status code:"));
    let words = told.flat_map(|line| line.split_whitespace().skip_while(is_stamp));
    let all = words.collect::<Vec<&str>>().join(" ");
    all.chars().take(SAID_LETTERS_MAX).collect()
}

/// Whether a line begins with rclone's time; what follows without belongs to the line before.
fn is_dated(line: &str) -> bool {
    line.get(4..5) == Some("/") && line.get(7..8) == Some("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_complaints_the_last_is_told_without_its_time() {
        let complaint = "2026/11/25 23:59:16 ERROR : small: Failed to copy: NoSuchBucket: The bucket\n\
             \tstatus code: 404, request id: BfiV\n\
             2026/11/25 23:59:16 Failed to copyto: NoSuchBucket: The specified bucket does not exist\n\
             \tstatus code: 404, request id: BfiV, host id: \n";
        assert_eq!(
            said(complaint),
            "Failed to copyto: NoSuchBucket: The specified bucket does not exist"
        );
        assert_eq!(said(""), "");
        assert_eq!(said("rclone: no\n"), "rclone: no");
        let refused =
            "2026/11/26 00:14:31 Failed to lsjson: send request failed\ncaused by: dial tcp\n";
        assert_eq!(
            said(refused),
            "Failed to lsjson: send request failed caused by: dial tcp"
        );
        assert!(is_lasting(complaint));
    }

    #[test]
    fn a_transfer_has_more_time_the_larger_it_is() {
        assert_eq!(time_for(0).as_secs(), 60);
        assert_eq!(time_for(1 << 30).as_secs(), 60 + 1024);
    }

    #[test]
    fn an_object_without_a_time_is_young() {
        let mut found = Found {
            name: String::new(),
            size: -1,
            mod_time: "yesterday".to_string(),
            is_dir: false,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        assert_eq!(found.age_seconds(now), 0.0);
        assert_eq!(found.bytes(), 0);
        found.mod_time = "1970-01-01T12:00:00Z".to_string();
        assert_eq!(found.age_seconds(now), 43_200.0);
    }
}
