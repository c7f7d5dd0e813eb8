//! A real S3 server, where one can be started.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const BUCKET: &str = "lehr-test";

pub(super) struct S3Server {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    said: serde_json::Value,
}

impl S3Server {
    /// `None` where it cannot be started; then the test is skipped and says so.
    #[allow(clippy::print_stderr)] // A skipped test must be seen.
    pub(super) fn start() -> Option<S3Server> {
        let python = env::var("LEHR_PYTHON").unwrap_or_else(|_| "python3".to_string());
        let works = |command: &mut Command| command.output().is_ok_and(|ran| ran.status.success());
        let has_moto = works(Command::new(&python).args(["-c", "import moto.server"]));
        if !has_moto || !works(Command::new("rclone").arg("version")) {
            let is_required = env::var_os("LEHR_REQUIRE_S3").is_some();
            assert!(
                !is_required,
                "LEHR_REQUIRE_S3 is set, but {python} has no moto, or there is no rclone"
            );
            eprintln!("skipped: no S3 server (moto) or no rclone");
            return None;
        }
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
        let said = serde_json::from_str(&line).unwrap();
        Some(S3Server {
            process,
            input,
            output,
            said,
        })
    }

    pub(super) fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ok", "{command}");
    }

    /// The address of a place in it, with the keys in this file, whose transfers take their time.
    pub(super) fn slow_address(&self, keys: &Path) -> String {
        let said = |name: &str| self.said[name].as_str().unwrap();
        let text = format!(
            "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\nAWS_DEFAULT_REGION=us-east-1\n\
             RCLONE_BWLIMIT=100k\n",
            said("access_key"),
            said("secret_key"),
        );
        fs::write(keys, text).unwrap();
        fs::set_permissions(keys, fs::Permissions::from_mode(0o600)).unwrap();
        let (endpoint, keys) = (said("endpoint"), keys.display());
        format!("s3://{BUCKET}/studies?endpoint={endpoint}&credentials={keys}")
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
