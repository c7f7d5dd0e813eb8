//! A real S3 server of a test's own, gone with the test.
//!
//! Needs `rclone`, and a Python with `moto[server]` (`LEHR_PYTHON`, otherwise `python3`). Without them the test is
//! skipped and says so; with `LEHR_REQUIRE_S3` it fails, so that nothing is skipped in CI.

#![allow(dead_code)] // Each test program uses its own part of this.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use tempfile::TempDir;

pub(crate) const BUCKET: &str = "lehr-test";

/// Earlier versions of the server take the signatures of rclone for wrong.
const IMPORT: &str =
    "import moto, moto.server; assert tuple(map(int, moto.__version__.split('.'))) >= (5, 2, 5)";

/// A server that tests stop, and damage what it holds.
pub(crate) struct S3Server {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    said: serde_json::Value,
    /// For the files of the test.
    pub(crate) place: TempDir,
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl S3Server {
    /// `None` if the test is to be skipped.
    pub(crate) fn start() -> Option<S3Server> {
        let python = python()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/s3/server.py");
        let mut process = Command::new(python)
            .arg(script)
            .arg(BUCKET)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        Some(S3Server {
            process,
            input,
            output,
            said: serde_json::from_str(&line).unwrap(),
            place: tempfile::tempdir().unwrap(),
        })
    }

    /// `endpoint`, `access_key` or `secret_key`.
    pub(crate) fn said(&self, name: &str) -> &str {
        self.said[name].as_str().unwrap()
    }

    /// Says a command of `tools/s3/server.py`, and gives its answer.
    pub(crate) fn tell(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_string()
    }

    pub(crate) fn do_it(&mut self, command: &str) {
        assert_eq!(self.tell(command), "ok", "{command}");
    }

    /// The address of a bucket's prefix, with these lines beside the keys in its file with secrets.
    pub(crate) fn address(&self, place: &str, beside: &str) -> String {
        let keys = (self.said("access_key"), self.said("secret_key"));
        self.address_with(place, keys, beside)
    }

    /// The same with other keys.
    pub(crate) fn address_with(
        &self,
        place: &str,
        (access_key, secret_key): (&str, &str),
        beside: &str,
    ) -> String {
        let number = fs::read_dir(self.place.path()).unwrap().count();
        let path = self.place.path().join(format!("credentials-{number}"));
        let text = format!(
            "AWS_ACCESS_KEY_ID={access_key}\nAWS_SECRET_ACCESS_KEY={secret_key}\n\
             AWS_DEFAULT_REGION=us-east-1\n{beside}\n"
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let (endpoint, path) = (self.said("endpoint"), path.display());
        format!("s3://{place}?endpoint={endpoint}&credentials={path}")
    }
}

/// A Python that has the server, where there is rclone, too.
#[allow(clippy::print_stderr)] // A skipped test must be seen.
pub(crate) fn python() -> Option<String> {
    let python = env::var("LEHR_PYTHON").unwrap_or_else(|_| "python3".to_string());
    let works = |command: &mut Command| command.output().is_ok_and(|ran| ran.status.success());
    let has_moto = works(Command::new(&python).args(["-c", IMPORT]));
    let has_rclone = works(Command::new("rclone").arg("version"));
    if has_moto && has_rclone {
        return Some(python);
    }
    let lacking = format!("{python} with moto[server] >= 5.2.5: {has_moto}; rclone: {has_rclone}");
    let is_required = env::var_os("LEHR_REQUIRE_S3").is_some();
    assert!(!is_required, "LEHR_REQUIRE_S3 is set, but {lacking}");
    eprintln!("skipped: {lacking}; install both, or set LEHR_PYTHON");
    None
}
