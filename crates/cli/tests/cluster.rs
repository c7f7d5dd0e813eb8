//! A study on a real Slurm of three nodes with a real PostgreSQL, and everything that a cluster does to it: nodes
//! killed, frozen and preempted, the database, a node's daemon and the master killed. Nothing may be lost, nothing
//! counted twice.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod engines;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
    slurm: Option<SlurmCluster>,
    port: u16,
    address: String,
    begun: Instant,
    /// Last, so that it is there until all have ended that write into it.
    place: tempfile::TempDir,
}

impl Site {
    fn with_slurm() -> Option<Site> {
        let mut site = Site::without_slurm()?;
        site.slurm = Some(SlurmCluster::start(site.place.path())?);
        Some(site)
    }

    fn without_slurm() -> Option<Site> {
        if !installed(&["psql"], "LEHR_REQUIRE_POSTGRES") {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        // The owner of the database must be able to reach its folder.
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut site = Site {
            // Slurm, in the same process, takes the first ones.
            port: free_ports(8) + 7,
            place,
            slurm: None,
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
        command.current_dir(self.place.path());
        if let Some(slurm) = &self.slurm {
            command.env("SLURM_CONF", slurm.configuration());
        }
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

    fn slurm(&self) -> &SlurmCluster {
        self.slurm.as_ref().unwrap()
    }

    fn master(&self, trials: u64) -> Child {
        let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits");
        let mut command = self.lehr();
        command.arg("explore").arg(digits);
        command.args([
            "--trials",
            &trials.to_string(),
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

    fn until_made(&self) {
        while !self.path("study/invitation.json").exists() {
            assert!(self.begun.elapsed() < PATIENCE, "{}", self.said());
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Waits until the master has ended, well.
    fn until_over(&self, master: &mut Child) {
        let ended = loop {
            if let Some(status) = master.try_wait().unwrap() {
                break status;
            }
            assert!(self.begun.elapsed() < PATIENCE, "{}", self.said());
            thread::sleep(Duration::from_millis(200));
        };
        assert!(ended.success(), "{}", self.said());
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

/// Neither the master nor a node waits for anybody to connect.
fn assert_nothing_listens(site: &Site, master: &Child) {
    const LISTENS: &str = "0A";
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap());
    let rows = tables.iter().flat_map(|table| table.lines());
    let words = rows.map(|row| row.split_whitespace().collect::<Vec<&str>>());
    let listening = words.filter(|words| words.get(3) == Some(&LISTENS));
    let sockets: BTreeSet<String> = listening
        .map(|words| format!("socket:[{}]", words[9]))
        .collect();
    assert!(!sockets.is_empty(), "the database listens");
    let ours = site
        .nodes()
        .into_iter()
        .map(|pid| pid.as_raw_nonzero().get());
    for process in ours.chain([i32::try_from(master.id()).unwrap()]) {
        let files = fs::read_dir(format!("/proc/{process}/fd"))
            .unwrap()
            .flatten();
        for target in files.filter_map(|file| fs::read_link(file.path()).ok()) {
            let target = target.display().to_string();
            assert!(!sockets.contains(&target), "process {process} listens");
        }
    }
}

#[test]
fn whatever_a_cluster_does_every_trial_of_the_budget_is_finished_exactly_once() {
    let Some(site) = Site::with_slurm() else {
        return;
    };
    let mut master = Held(site.master(TRIALS));
    site.until_made();
    let launcher = Held(site.launcher());
    site.until_ended(2);

    assert_nothing_listens(&site, &master.0);
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
    assert!(site.slurm().tool(&["node-kill", "2"]).status.success());
    site.until_ended(20);
    // A node is preempted: it gives its trial back and leaves.
    kill(site.nodes()[0], Signal::TERM);
    site.until_ended(24);
    // The master is killed; nodes work on, and another one takes over.
    drop(master);
    site.until_ended(27);
    master = Held(site.master(TRIALS));

    site.until_over(&mut master.0);
    drop(launcher);
    check(&site, TRIALS);
}

/// All trials of the budget have ended, each once; nothing that the ledger names is missing; the best is the best.
fn check(site: &Site, budget: u64) {
    let folder = StudyFolder::open(&site.path("study")).unwrap();
    let ledger = open_to_read(&folder).unwrap();
    let counts = ledger.counts().unwrap();
    assert_eq!(
        (counts.ended(), counts.under_way()),
        (budget, 0),
        "{counts:?}"
    );
    let trials = ledger.trials().unwrap();
    let places: BTreeSet<u64> = trials.iter().map(|t| t.sequence().unwrap().0).collect();
    assert_eq!(places, (1..=budget).collect());
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
    let log = fs::read_to_string(site.path("pg/log")).unwrap_or_default();
    assert!(
        !log.contains(password),
        "the database has logged a password"
    );
    let Some(slurm) = &site.slurm else { return };
    let records = slurm.ask("scontrol", &["show", "jobs", "--details"]);
    assert!(
        !records.contains(password),
        "Slurm's records hold a password"
    );
}

/// Carries bytes between a node and the database, until it is cut: then they go nowhere, and nobody is told.
struct Relay {
    port: u16,
    is_cut: Arc<AtomicBool>,
}

impl Relay {
    fn to(port: u16) -> Relay {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let relay = Relay {
            port: listener.local_addr().unwrap().port(),
            is_cut: Arc::default(),
        };
        let is_cut = Arc::clone(&relay.is_cut);
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                let (back, forth) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                for (from, to) in [(near, forth), (far, back)] {
                    let is_cut = Arc::clone(&is_cut);
                    thread::spawn(move || carry(from, to, &is_cut));
                }
            }
        });
        relay
    }

    fn cut(&self, is_cut: bool) {
        self.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

/// A connection that has met a cut stays silent for ever, as one behind a dead switch.
fn carry(mut from: TcpStream, mut to: TcpStream, is_cut: &AtomicBool) {
    let mut bytes = [0; 65536];
    loop {
        match from.read(&mut bytes) {
            Ok(0) | Err(_) => {
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
            Ok(_) if is_cut.load(Ordering::SeqCst) => thread::sleep(PATIENCE),
            Ok(count) => {
                if to.write_all(&bytes[..count]).is_err() {
                    return;
                }
            }
        }
    }
}

#[test]
fn a_node_that_is_cut_off_works_on_and_reports_once_when_the_network_is_back() {
    const BUDGET: u64 = 8;
    let Some(site) = Site::without_slurm() else {
        return;
    };
    let mut master = Held(site.master(BUDGET));
    site.until_made();
    let relay = Relay::to(site.port);
    let invitation = site.path("study/invitation.json");
    let text = fs::read_to_string(&invitation).unwrap();
    let far = site.path("far.json");
    fs::write(
        &far,
        text.replace(&site.port.to_string(), &relay.port.to_string()),
    )
    .unwrap();
    fs::set_permissions(&far, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = site.lehr();
    command
        .args(["worker", "--slots", "1", "--name", "far", "--join"])
        .arg(&far);
    command.arg("--scratch").arg(site.path("scratch"));
    let _node = Held(site.spawn("node.log", &mut command));
    site.until_ended(3);

    relay.cut(true);
    let spool = site.path("scratch");
    let is_spooled = || !files_below(&spool, "json").is_empty();
    while !is_spooled() {
        assert!(
            site.begun.elapsed() < PATIENCE,
            "nothing was computed while cut off"
        );
        thread::sleep(Duration::from_millis(50));
    }
    let before = site.counts().ended();
    // Longer than a lease, so that it is known to be lost.
    thread::sleep(Duration::from_secs(LEASE_SECS + 1));
    assert_eq!(site.counts().ended(), before, "the network was not cut");
    relay.cut(false);

    site.until_over(&mut master.0);
    check(&site, BUDGET);
    assert!(!is_spooled(), "a result is still on its way");
    let trials = site.ledger().unwrap().trials().unwrap();
    assert!(trials.iter().all(|trial| trial.crashes == 0));
}

fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
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
