//! A place with everything that the tests of a cluster start: database, Slurm, master, launcher, nodes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use study::{
    folder::StudyFolder,
    ledger::{Counts, Ledger, open_to_read},
};

use crate::{engines::SlurmCluster, servers::PostgresServer};

/// How long a silent node keeps its trials, in seconds.
pub(super) const LEASE_SECS: u64 = 4;

/// How long the study may take, whatever happens to it.
pub(super) const PATIENCE: Duration = Duration::from_secs(150);

/// Each of these tests wants the whole machine.
static TURN: Mutex<()> = Mutex::new(());

/// Everything that the test starts, in a folder of its own.
pub(super) struct Site {
    pub(super) slurm: Option<SlurmCluster>,
    pub(super) database: PostgresServer,
    pub(super) begun: Instant,
    /// Last, so that it is there until all have ended that write into it.
    place: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Site {
    pub(super) fn with_slurm() -> Option<Site> {
        let mut site = Site::without_slurm()?;
        site.slurm = Some(SlurmCluster::start(site.place.path())?);
        Some(site)
    }

    pub(super) fn without_slurm() -> Option<Site> {
        let database = PostgresServer::start()?;
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Site {
            database,
            slurm: None,
            begun: Instant::now(),
            place: tempfile::tempdir().unwrap(),
            _turn: turn,
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.place.path().canonicalize().unwrap().join(name)
    }

    pub(super) fn lehr(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lehr"));
        command.current_dir(self.place.path());
        if let Some(slurm) = &self.slurm {
            command.env("SLURM_CONF", slurm.configuration());
        }
        command
    }

    /// Starts a program whose words go into a file.
    pub(super) fn spawn(&self, name: &str, command: &mut Command) -> Child {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap();
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    pub(super) fn slurm(&self) -> &SlurmCluster {
        self.slurm.as_ref().unwrap()
    }

    /// A master of a study of so many trials, with these arguments behind.
    pub(super) fn master(&self, trials: u64, more: &[&str]) -> Child {
        let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits");
        let mut command = self.lehr();
        command.arg("explore").arg(digits);
        command.args(["--trials", &trials.to_string(), "--slots", "1"]);
        // One training a trial, so that its epochs are those of the trial.
        command.args(["--folds", "1"]);
        command.args([
            "--ledger",
            &self.database.address().to_string(),
            "--lease",
            &format!("{LEASE_SECS}s"),
        ]);
        command.args(more).arg("--out").arg(self.path("study"));
        self.spawn("master.log", &mut command)
    }

    pub(super) fn launcher(&self) -> Child {
        let mut command = self.lehr();
        command.args(["launch", "slurm", "--nodes", "3", "--keep", "--every", "1s"]);
        command.args(["--cpus-per-node", "1", "--gpus-per-node", "1"]);
        command
            .arg("--join")
            .arg(self.path("study/invitation.json"));
        self.spawn("launcher.log", &mut command)
    }

    pub(super) fn ledger(&self) -> Option<Box<dyn Ledger>> {
        let folder = StudyFolder::open(&self.path("study")).ok()?;
        open_to_read(&folder).ok()
    }

    pub(super) fn counts(&self) -> Counts {
        let counts = self.ledger().and_then(|ledger| ledger.counts().ok());
        counts.unwrap_or_default()
    }

    pub(super) fn until_made(&self) {
        while !self.path("study/invitation.json").exists() {
            assert!(self.begun.elapsed() < PATIENCE, "{}", self.said());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the master has ended, well.
    pub(super) fn until_over(&self, master: &mut Child) {
        let ended = loop {
            if let Some(status) = master.try_wait().unwrap() {
                break status;
            }
            assert!(self.begun.elapsed() < PATIENCE, "{}", self.said());
            self.assert_no_process_shows_the_password();
            thread::sleep(Duration::from_millis(200));
        };
        assert!(ended.success(), "{}", self.said());
    }

    /// What lets nodes in.
    pub(super) fn password(&self) -> String {
        let text = fs::read_to_string(self.path("study/invitation.json")).unwrap();
        let invitation: serde_json::Value = serde_json::from_str(&text).unwrap();
        invitation["admission"]["password"].as_str().unwrap().into()
    }

    /// No process of this machine has the password among its arguments, which anybody reads, and none but psql
    /// among its variables, which a job's record keeps and children inherit. Looked at again and again: most
    /// processes live for moments.
    fn assert_no_process_shows_the_password(&self) {
        if !self.path("study/invitation.json").exists() {
            return;
        }
        let password = self.password().into_bytes();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            for shown in ["cmdline", "environ"] {
                let text = fs::read(process.path().join(shown)).unwrap_or_default();
                let holds = text.windows(password.len()).any(|part| part == password);
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                let name = name.trim();
                assert!(
                    !holds || (name, shown) == ("psql", "environ"),
                    "the password is in the {shown} of {name}"
                );
            }
        }
    }

    /// Waits until so many trials have ended: then the next thing happens.
    pub(super) fn until_ended(&self, ended: u64) {
        while self.counts().ended() < ended {
            assert!(self.begun.elapsed() < PATIENCE, "{}", self.said());
            self.assert_no_process_shows_the_password();
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Processes of nodes of this study, by what their command lines say.
    pub(super) fn nodes(&self) -> Vec<Pid> {
        let invitation = self.path("study/invitation.json").display().to_string();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_node = |number: &i32| {
            let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
            words.get(1) == Some(&b"worker".as_slice()) && words.contains(&invitation.as_bytes())
        };
        numbers.filter(is_node).filter_map(Pid::from_raw).collect()
    }

    /// Running transfers of this study's weights.
    pub(super) fn transfers(&self) -> Vec<Pid> {
        let parents: Vec<i32> = self
            .nodes()
            .iter()
            .map(|node| node.as_raw_nonzero().get())
            .collect();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_transfer = |number: &i32| {
            // `number (name) state parent …`
            let status = fs::read_to_string(format!("/proc/{number}/stat")).unwrap_or_default();
            let words: Vec<&str> = status.split_whitespace().collect();
            let parent = words.get(3).and_then(|word| word.parse().ok());
            words.get(1) == Some(&"(rclone)") && parent.is_some_and(|it| parents.contains(&it))
        };
        numbers
            .filter(is_transfer)
            .filter_map(Pid::from_raw)
            .collect()
    }

    pub(super) fn said(&self) -> String {
        ["master.log", "launcher.log"]
            .map(|name| fs::read_to_string(self.path(name)).unwrap_or_default())
            .join("\n")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for node in self.nodes() {
            let _ = kill_process(node, Signal::CONT);
            let _ = kill_process(node, Signal::KILL);
        }
    }
}

/// A child of this test that does not outlive it.
pub(super) struct Held(pub(super) Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path, ending),
            false => vec![path],
        })
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect()
}
