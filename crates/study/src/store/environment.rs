//! What `rclone` is told through its environment: which service, which keys. Never through its arguments, which
//! everybody on the machine can read.

use std::{
    collections::BTreeMap,
    env, fmt, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{
    StoreError,
    address::{Choice, Choices, Service},
    failed,
};
use crate::outside::Outside;

/// Name of the remote that lehr describes.
pub(super) const REMOTE: &str = "LEHR";

/// A file with secrets is a page of text at most.
const CREDENTIALS_BYTES_MAX: u64 = 64 << 10;

/// What names in a file with secrets begin with; nothing else of the environment is changed by it.
const PREFIXES: [&str; 4] = ["AWS_", "AZURE_", "GOOGLE_", "RCLONE_"];

/// Bits of a file's mode that let others than its owner do something.
const OTHERS: u32 = 0o077;

/// Variables for `rclone`, beside those that lehr itself has.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    /// Names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Environment {
    /// For a bucket of a service.
    pub(super) fn of_service(
        service: Service,
        choices: &Choices,
    ) -> Result<Environment, StoreError> {
        let mut environment = Environment::with_credentials(choices)?;
        // Nobody's remotes: the address says it all.
        environment.set("RCLONE_CONFIG", "/dev/null");
        match service {
            Service::S3 => environment.describe_bucket(choices),
            Service::Gcs => {
                environment.describe("TYPE", "google cloud storage");
                environment.describe("ENV_AUTH", "true");
                environment.describe("NO_CHECK_BUCKET", "true");
                // Access is the bucket's business; an object has no list of its own.
                environment.describe("BUCKET_POLICY_ONLY", "true");
            }
            Service::Azure => environment.describe_container(choices),
        }
        if let Some(endpoint) = choices.get(Choice::Endpoint) {
            environment.describe("ENDPOINT", endpoint);
        }
        Ok(environment)
    }

    /// For a remote of rclone's own configuration.
    pub(super) fn of_remote(choices: &Choices) -> Result<Environment, StoreError> {
        let mut environment = Environment::with_credentials(choices)?;
        if let Some(path) = choices.get(Choice::Config) {
            environment.set("RCLONE_CONFIG", path);
        }
        Ok(environment)
    }

    fn with_credentials(choices: &Choices) -> Result<Environment, StoreError> {
        let Some(path) = choices.get(Choice::Credentials) else {
            return Ok(Environment::default());
        };
        read_credentials(&PathBuf::from(path)).map(Environment)
    }

    fn describe_bucket(&mut self, choices: &Choices) {
        let provider = match (choices.get(Choice::Provider), choices.get(Choice::Endpoint)) {
            (Some(provider), _) => provider.to_string(),
            (None, Some(_)) => "Other".to_string(),
            (None, None) => "AWS".to_string(),
        };
        let region = choices.get(Choice::Region).map(str::to_string);
        let region = region
            .or_else(|| self.value("AWS_REGION"))
            .or_else(|| self.value("AWS_DEFAULT_REGION"));
        self.describe("TYPE", "s3");
        self.describe("PROVIDER", &provider);
        self.describe("ENV_AUTH", "true");
        // A key that may write objects is often not allowed to ask for buckets, or to make them.
        self.describe("NO_CHECK_BUCKET", "true");
        // Parts of 16 MiB, four at a time: a transfer takes some 100 MiB of memory at most.
        self.describe("UPLOAD_CUTOFF", "16M");
        self.describe("CHUNK_SIZE", "16M");
        if let Some(region) = region {
            self.describe("REGION", &region);
        }
    }

    fn describe_container(&mut self, choices: &Choices) {
        let account = choices.get(Choice::Account).map(str::to_string);
        let account = account.or_else(|| self.value("AZURE_STORAGE_ACCOUNT"));
        self.describe("TYPE", "azureblob");
        if let Some(account) = account {
            self.describe("ACCOUNT", &account);
        }
        match self.value("AZURE_STORAGE_KEY") {
            Some(key) => self.describe("KEY", &key),
            None => self.describe("ENV_AUTH", "true"),
        }
    }

    /// Something about the remote; what the file with secrets says of it goes first.
    fn describe(&mut self, what: &str, value: &str) {
        let name = format!("RCLONE_CONFIG_{REMOTE}_{what}");
        self.0.entry(name).or_insert_with(|| value.to_string());
    }

    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_string(), value.to_string());
    }

    /// A variable as `rclone` will see it.
    fn value(&self, name: &str) -> Option<String> {
        let own = self.0.get(name).cloned();
        own.or_else(|| env::var(name).ok())
            .filter(|value| !value.is_empty())
    }

    /// The command with all this.
    pub(super) fn given_to(&self, command: Outside) -> Outside {
        // rclone hands this one to a library that cannot use it with rclone's connections, and then refuses to
        // start at all; its own variable means the same.
        let (theirs, own) = ("AWS_CA_BUNDLE", "RCLONE_CA_CERT");
        let given = self.0.iter().filter(|(name, _)| *name != theirs);
        let command = given.fold(command.without(theirs, &[]), |command, (name, value)| {
            command.variable(name, value)
        });
        match (self.value(theirs), self.value(own)) {
            (Some(bundle), None) => command.variable(own, bundle),
            _ => command,
        }
    }
}

/// Lines `NAME=VALUE` of a file that only its owner can read.
fn read_credentials(path: &Path) -> Result<BTreeMap<String, String>, StoreError> {
    let refused = |problem: String| StoreError::Credentials {
        path: path.to_path_buf(),
        problem,
    };
    let read = failed("read", path);
    let metadata = fs::metadata(path).map_err(&read)?;
    let mode = metadata.permissions().mode();
    if mode & OTHERS != 0 {
        let mode = mode & 0o777;
        return Err(refused(format!(
            "can be used by others (mode {mode:o}): `chmod 600` it"
        )));
    }
    if metadata.len() > CREDENTIALS_BYTES_MAX {
        return Err(refused(format!(
            "has {} bytes; {CREDENTIALS_BYTES_MAX} are the most",
            metadata.len()
        )));
    }
    let text = fs::read_to_string(path).map_err(&read)?;
    let mut variables = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_known = |name: &&str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        let pair = line
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()));
        // The line is not repeated: it may hold a secret.
        let Some((name, value)) = pair.filter(|(name, _)| is_known(name)) else {
            return Err(refused(format!(
                "has in line {} no `NAME=VALUE` with a name that begins with {}",
                index + 1,
                PREFIXES.join(", ")
            )));
        };
        variables.insert(name.to_string(), value.to_string());
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreAddress;

    fn environment(address: &str) -> Environment {
        match address.parse().unwrap() {
            StoreAddress::Bucket {
                service, choices, ..
            } => Environment::of_service(service, &choices).unwrap(),
            other => panic!("{other} is no bucket"),
        }
    }

    fn written(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    #[test]
    fn a_service_is_described_in_variables() {
        let own = environment("s3://bucket?endpoint=http://127.0.0.1:9000&region=here");
        let value = |what: &str| own.0.get(&format!("RCLONE_CONFIG_LEHR_{what}")).cloned();
        assert_eq!(value("TYPE").as_deref(), Some("s3"));
        assert_eq!(value("PROVIDER").as_deref(), Some("Other"));
        assert_eq!(value("ENDPOINT").as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(value("REGION").as_deref(), Some("here"));
        let google = environment("gs://bucket");
        assert_eq!(google.0["RCLONE_CONFIG_LEHR_TYPE"], "google cloud storage");
        let azure = environment("az://container?account=ours");
        assert_eq!(azure.0["RCLONE_CONFIG_LEHR_ACCOUNT"], "ours");
    }

    #[test]
    fn secrets_come_from_a_file_of_the_owner_and_are_not_shown() {
        let file = written(
            "# ours\nAWS_ACCESS_KEY_ID = key\n\nAWS_SECRET_ACCESS_KEY=hunter\n",
            0o600,
        );
        let own = environment(&format!(
            "s3://bucket?credentials={}",
            file.path().display()
        ));
        assert_eq!(own.0["AWS_SECRET_ACCESS_KEY"], "hunter");
        assert_eq!(own.0["AWS_ACCESS_KEY_ID"], "key");
        assert!(!format!("{own:?}").contains("hunter"), "{own:?}");
    }

    fn check_refused(text: &str, mode: u32, words: &str) {
        let file = written(text, mode);
        let error = read_credentials(file.path()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!error.contains("hunter"), "{error}");
    }

    #[test]
    fn a_file_that_others_can_read_or_that_says_something_else_is_refused() {
        check_refused("AWS_SECRET_ACCESS_KEY=hunter", 0o644, "chmod 600");
        check_refused("secret hunter", 0o600, "has in line 1 no `NAME=VALUE`");
        check_refused("\nPATH=hunter", 0o600, "has in line 2");
    }
}
