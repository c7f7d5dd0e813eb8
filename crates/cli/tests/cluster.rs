//! A study on a real Slurm of three nodes with a real PostgreSQL, and everything that a cluster does to it: nodes
//! killed, frozen and preempted, the database, a node's daemon and the master killed. Nothing may be lost, nothing
//! counted twice.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod engines;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use engines::{SlurmCluster, free_ports, installed};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use study::{
    artifact::ArtifactStore,
    folder::StudyFolder,
    ledger::{Counts, Ledger, open_to_read},
    trial::TrialState,
};

/// How many trials the study may make.
const TRIALS: u64 = 40;

/// How long a silent node keeps its trials, in seconds.
const LEASE_SECS: u64 = 4;

/// How long the study may take, whatever happens to it.
const PATIENCE: Duration = Duration::from_secs(150);

/// Everything that the test starts, in a folder of its own.
struct Site {
    slurm: SlurmCluster,
    port: u16,
    address: String,
    begun: Instant,
    /// Last, so that it is there until all have ended that write into it.
    place: tempfile::TempDir,
}

impl Site {
    fn start() -> Option<Site> {
        let place = tempfile::tempdir().unwrap();
        // The owner of the database must be able to reach its folder.
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if !installed(&["psql"], "LEHR_REQUIRE_POSTGRES") {
            return None;
        }
        let slurm = SlurmCluster::start(place.path())?;
        let mut site = Site {
            port: free_ports(1) + 7,
            place,
            slurm,
            address: String::new(),
            begun: Instant::now(),
        };
        site.address = site.ledger_up();
        Some(site)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().canonicalize().unwrap().join(name)
    }

    fn lehr(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lehr"));
        command
            .current_dir(self.place.path())
            .env("SLURM_CONF", self.slurm.configuration());
        command
    }

    /// Starts the database where it does not run; gives its address.
    fn ledger_up(&self) -> String {
        let mut command = self.lehr();
        command.args(["ledger", "up", "--dir"]).arg(self.path("pg"));
        command.args(["--port", &self.port.to_string()]);
        if geteuid().is_root() {
            command.args(["--as-user", "nobody"]);
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    /// Starts a program whose words go into a file.
    fn spawn(&self, name: &str, command: &mut Command) -> Child {
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

    fn master(&self) -> Child {
        let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits");
        let mut command = self.lehr();
        command.arg("explore").arg(digits);
        command.args([
            "--trials",
            &TRIALS.to_string(),
            "--workers",
            "0",
            "--slots",
            "1",
        ]);
        command.args([
            "--ledger",
            &self.address,
            "--lease",
            &format!("{LEASE_SECS}s"),
        ]);
        command.arg("--out").arg(self.path("study"));
        self.spawn("master.log", &mut command)
    }

    fn launcher(&self) -> Child {
        let mut command = self.lehr();
        command.args(["launch", "slurm", "--nodes", "3", "--keep", "--every", "1s"]);
        command.args(["--cpus-per-node", "1", "--gpus-per-node", "1"]);
        command
            .arg("--join")
            .arg(self.path("study/invitation.json"));
        self.spawn("launcher.log", &mut command)
    }

    fn ledger(&self) -> Option<Box<dyn Ledger>> {
        let folder = StudyFolder::open(&self.path("study")).ok()?;
        open_to_read(&folder).ok()
    }

    fn counts(&self) -> Counts {
        let counts = self.ledger().and_then(|ledger| ledger.counts().ok());
        counts.unwrap_or_default()
    }

    /// Waits until so many trials have ended: then the next thing happens.
    fn until_ended(&self, ended: u64) {
        while self.counts().ended() < ended {
            assert!(self.begun.elapsed() < PATIENCE, "{}", self.said());
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Processes of nodes of this study, by what their command lines say.
    fn nodes(&self) -> Vec<Pid> {
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

    fn said(&self) -> String {
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
        let mut down = self.lehr();
        down.args(["ledger", "down", "--dir"]).arg(self.path("pg"));
        if geteuid().is_root() {
            down.args(["--as-user", "nobody"]);
        }
        let _ = down.output();
    }
}

/// A child of this test that does not outlive it.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn kill(process: Pid, signal: Signal) {
    kill_process(process, signal).unwrap();
}

#[test]
fn whatever_a_cluster_does_every_trial_of_the_budget_is_finished_exactly_once() {
    let Some(site) = Site::start() else { return };
    let mut master = Held(site.master());
    while !site.path("study/invitation.json").exists() {
        assert!(site.begun.elapsed() < PATIENCE, "{}", site.said());
        thread::sleep(Duration::from_millis(100));
    }
    let launcher = Held(site.launcher());
    site.until_ended(2);

    // A node is killed: its lease runs out, and the launcher replaces it.
    kill(site.nodes()[0], Signal::KILL);
    site.until_ended(5);
    // A node is frozen beyond its lease, and wakes up as a zombie.
    let frozen = site.nodes()[0];
    kill(frozen, Signal::STOP);
    thread::sleep(Duration::from_secs(LEASE_SECS + 2));
    kill(frozen, Signal::CONT);
    site.until_ended(10);
    // The database is killed while everybody works.
    let pids = fs::read_to_string(site.path("pg/data/postmaster.pid")).unwrap();
    let postmaster = pids.lines().next().unwrap().parse().unwrap();
    kill(Pid::from_raw(postmaster).unwrap(), Signal::KILL);
    thread::sleep(Duration::from_secs(2));
    assert_eq!(site.ledger_up(), site.address);
    site.until_ended(15);
    // The daemon of a node is killed; what runs there runs on.
    assert!(site.slurm.tool(&["node-kill", "2"]).status.success());
    site.until_ended(20);
    // A node is preempted: it gives its trial back and leaves.
    kill(site.nodes()[0], Signal::TERM);
    site.until_ended(24);
    // The master is killed; nodes work on, and another one takes over.
    drop(master);
    site.until_ended(27);
    master = Held(site.master());

    let ended = loop {
        if let Some(status) = master.0.try_wait().unwrap() {
            break status;
        }
        assert!(site.begun.elapsed() < PATIENCE, "{}", site.said());
        thread::sleep(Duration::from_millis(200));
    };
    assert!(ended.success(), "{}", site.said());
    drop(launcher);
    check(&site);
}

/// All trials of the budget have ended, each once; nothing that the ledger names is missing; the best is the best.
fn check(site: &Site) {
    let folder = StudyFolder::open(&site.path("study")).unwrap();
    let ledger = open_to_read(&folder).unwrap();
    let counts = ledger.counts().unwrap();
    assert_eq!(
        (counts.ended(), counts.under_way()),
        (TRIALS, 0),
        "{counts:?}"
    );
    let trials = ledger.trials().unwrap();
    let places: BTreeSet<u64> = trials.iter().map(|t| t.sequence().unwrap().0).collect();
    assert_eq!(places, (1..=TRIALS).collect());
    let artifacts = ArtifactStore::at(&folder.artifacts());
    let mut best = f64::NEG_INFINITY;
    for trial in &trials {
        match &trial.state {
            TrialState::Finished { result, .. } => {
                artifacts.get(&result.artifact).unwrap();
                best = best.max(result.score);
            }
            TrialState::Stopped { .. } => {}
            other => panic!("trial {}: {other:?}", trial.id),
        }
    }
    let shown = ledger.best().unwrap().unwrap();
    assert_eq!(shown.result().map(|result| result.score), Some(best));
    assert!(folder.best().join("model.onnx").is_file());
    // No node found anything to complain about but being gone.
    let secret = fs::read_to_string(folder.invitation()).unwrap();
    let secret: serde_json::Value = serde_json::from_str(&secret).unwrap();
    let password = secret["admission"]["password"].as_str().unwrap();
    assert!(!site.said().contains(password), "a password was said");
    assert!(site.begun.elapsed() < PATIENCE);
}
