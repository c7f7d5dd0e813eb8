//! Engines for the tests: a real Slurm on this machine, stand-ins for commands, a node that does nothing.

#![allow(dead_code)] // Each test program uses its own part of this.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// What the invitations of the tests hold, and nobody but a node may read.
pub(crate) const SECRET: &str = "hush-4711-hush";

/// A node that does nothing until it is told to leave. It writes down what it was given.
const NODE: &str = r#"#!/bin/bash
here=$(dirname "$0")
trap 'echo "$LEHR_PLACED left" >> "$here/events"; exit 0' TERM
echo $$ > "$here/pid.$$"
env > "$here/env.${LEHR_PLACED//\//-}"
echo "$LEHR_PLACED $LEHR_NODE began with $*" >> "$here/events"
for _ in $(seq 600); do sleep 0.2 & wait $!; done
"#;

/// The repository that these tests are in.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether programs are installed. If not, the test is skipped, unless a variable forbids that.
pub(crate) fn installed(programs: &[&str], required: &str) -> bool {
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let is_there = |program: &&&str| {
        path.split(':')
            .any(|folder| Path::new(folder).join(program).is_file())
    };
    let missing: Vec<&&str> = programs
        .iter()
        .filter(|program| !is_there(program))
        .collect();
    if missing.is_empty() {
        return true;
    }
    assert!(
        env::var_os(required).is_none(),
        "{missing:?} are missing, which {required} requires"
    );
    eprintln!("skipped: {missing:?} are not installed");
    false
}

/// The first of some ports that nobody uses. Each process has a reach of its own, and gives none out twice.
pub(crate) fn free_ports(count: u16) -> u16 {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let begin = 20_000 + u16::try_from(std::process::id() % 600).unwrap() * 20;
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let given = GIVEN.fetch_add(count, Ordering::SeqCst);
        assert!(given < 2000, "no ports are free");
        let first = begin + given;
        if (first..first + count).all(is_free) {
            return first;
        }
    }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "still not so after 20 s: {what}"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// A file that can be run.
pub(crate) fn write_program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs the test of this name again in a process of its own, where these variables are set.
pub(crate) fn run_inside(test: &str, variables: &[(&str, &str)]) {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("LEHR_TEST_INSIDE", "1")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// Whether this process was started by [`run_inside`].
pub(crate) fn is_inside() -> bool {
    env::var_os("LEHR_TEST_INSIDE").is_some()
}

/// An invitation and the program of a node, in a folder.
pub(crate) struct Nodes {
    pub(crate) folder: PathBuf,
}

impl Nodes {
    pub(crate) fn in_folder(folder: &Path) -> Nodes {
        let folder = folder.canonicalize().unwrap();
        write_program(&folder.join("node"), NODE);
        let invitation = folder.join("invitation.json");
        fs::write(&invitation, format!("{{\"password\":\"{SECRET}\"}}")).unwrap();
        fs::set_permissions(&invitation, fs::Permissions::from_mode(0o600)).unwrap();
        Nodes { folder }
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.folder.join("node")
    }

    pub(crate) fn invitation(&self) -> PathBuf {
        self.folder.join("invitation.json")
    }

    /// What nodes have written down.
    pub(crate) fn events(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("events")).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    /// What the nodes were given in their environment.
    pub(crate) fn environments(&self) -> String {
        let files = fs::read_dir(&self.folder).unwrap().flatten();
        let files = files.filter(|file| file.file_name().to_string_lossy().starts_with("env."));
        files
            .map(|file| fs::read_to_string(file.path()).unwrap())
            .collect()
    }

    /// Numbers of the processes of nodes that are still there.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let files = fs::read_dir(&self.folder).unwrap().flatten();
        let numbers = files.filter_map(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.strip_prefix("pid.")?.parse::<i32>().ok()
        });
        numbers.filter(|number| self.is_ours(*number)).collect()
    }

    fn is_ours(&self, process: i32) -> bool {
        let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let program = self.program();
        String::from_utf8_lossy(&command).contains(program.to_str().unwrap())
    }

    pub(crate) fn kill(&self, process: i32) {
        assert!(self.is_ours(process));
        kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        // The death of an engine leaves nodes behind.
        for process in self.processes() {
            if let Some(pid) = Pid::from_raw(process) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// A real Slurm of three nodes with two pretended GPUs each.
pub(crate) struct SlurmCluster {
    place: PathBuf,
    port: u16,
}

impl SlurmCluster {
    /// Starts one in this folder, if Slurm is installed.
    pub(crate) fn start(folder: &Path) -> Option<SlurmCluster> {
        if !installed(
            &["sbatch", "slurmctld", "slurmd", "munged"],
            "LEHR_REQUIRE_SLURM",
        ) {
            return None;
        }
        let cluster = SlurmCluster {
            place: folder.join("slurm"),
            port: free_ports(4),
        };
        let output = cluster.tool(&["start"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(cluster)
    }

    pub(crate) fn configuration(&self) -> String {
        self.place.join("slurm.conf").to_str().unwrap().to_string()
    }

    /// Runs a command of `tools/cluster/slurm.sh`.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Output {
        // To a file: daemons would hold a pipe open.
        let said = self.place.with_extension("said");
        let file = fs::File::create(&said).unwrap();
        let mut output = Command::new(repository().join("tools/cluster/slurm.sh"))
            .args(arguments)
            .env("SLURM_PLACE", &self.place)
            .env("SLURM_PORT", self.port.to_string())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .output()
            .unwrap();
        output.stderr = fs::read(&said).unwrap();
        output
    }

    /// A command of Slurm's.
    pub(crate) fn ask(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program)
            .args(arguments)
            .env("SLURM_CONF", self.configuration())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for SlurmCluster {
    fn drop(&mut self) {
        self.tool(&["stop"]);
    }
}
