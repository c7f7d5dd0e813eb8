//! Nodes in a real Slurm: started, found by name, replaced when they die, avoided where they fail, stopped.
//!
//! The cluster has three nodes on this machine, and an accounting database that does not exist. The tests
//! are skipped, visibly, where Slurm is not installed.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

mod engines;

use std::{
    env,
    num::NonZeroU32,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use engines::{Nodes, SECRET, SlurmCluster, is_inside, run_inside, until};
use rustix::process::{Pid, Signal, kill_process};
use study::launch::{
    Doubts, Launcher, NodeCommand, NodeName, Placed, PlacedState, StopHow,
    reconcile::{Step, alive, carry_out, reconcile},
    slurm::{Slurm, SlurmOptions},
    waiting::why,
};
use tempfile::TempDir;

fn place() -> TempDir {
    tempfile::tempdir().expect("a folder for the test")
}

/// Runs the test of this name inside of a cluster; says whether it is time to do what it says.
fn inside(test: &str) -> bool {
    if !is_inside() {
        let place = place();
        if let Some(cluster) = SlurmCluster::start(place.path()) {
            let configuration = cluster.configuration();
            // A secret in the environment of whoever launches must not follow the nodes.
            let variables = [
                ("SLURM_CONF", configuration.as_str()),
                ("SECRET_OF_THE_SHELL", SECRET),
                ("SBATCH_EXPORT", "ALL"),
                ("SQUEUE_STATES", "COMPLETED"),
                ("SLURM_PLACE_OF_TEST", place.path().to_str().unwrap()),
            ];
            run_inside(test, &variables);
        }
    }
    is_inside()
}

fn slurm(nodes: &Nodes, name: &str, change: impl FnOnce(&mut SlurmOptions)) -> Slurm {
    let node = NodeCommand::new(&nodes.program(), &nodes.invitation()).unwrap();
    let mut options = SlurmOptions {
        gpus: 1,
        cpus: NonZeroU32::new(1),
        memory_mib: NonZeroU32::new(100),
        logs: nodes.folder.clone(),
        ..SlurmOptions::default()
    };
    change(&mut options);
    Slurm::new(name.parse().unwrap(), node, options).unwrap()
}

fn running(placed: &[Placed]) -> Vec<(Placed, NodeName)> {
    let at = |one: &Placed| match &one.state {
        PlacedState::Running { node: Some(node) } => Some((one.clone(), node.clone())),
        _ => None,
    };
    placed.iter().filter_map(at).collect()
}

fn until_run(launcher: &mut Slurm, count: usize) -> Vec<(Placed, NodeName)> {
    let mut found = Vec::new();
    until(&format!("{count} nodes run"), || {
        found = running(&launcher.placed().unwrap());
        found.len() == count
    });
    found
}

/// Brings the number of nodes to the wanted one.
fn step(launcher: &mut Slurm, wanted: u32, doubts: &Doubts) -> Step {
    let placed = launcher.placed().unwrap();
    let step = reconcile(wanted, &placed, doubts);
    carry_out(launcher, &step, doubts).unwrap();
    step
}

#[test]
fn what_dies_is_replaced_and_what_is_silent_is_replaced_elsewhere() {
    if !inside("what_dies_is_replaced_and_what_is_silent_is_replaced_elsewhere") {
        return;
    }
    let place = place();
    let nodes = Nodes::in_folder(place.path());
    let mut launcher = slurm(&nodes, "lehr-test", |_| {});
    assert_eq!(launcher.placed().unwrap(), []);
    let none = Doubts::default();
    assert_eq!(step(&mut launcher, 3, &none).start, 3);
    assert_eq!(
        step(&mut launcher, 3, &none),
        Step::default(),
        "waiting ones are counted"
    );
    until_run(&mut launcher, 3);
    until("all have begun", || nodes.events().len() == 3);
    let begun = &nodes.events()[0];
    assert!(begun.contains("began with worker --join /"), "{begun}");

    // One dies by itself: Slurm does not start it again, the next step does.
    nodes.kill(nodes.processes()[0]);
    until("the dead one is gone", || {
        alive(&launcher.placed().unwrap(), &none) == 2
    });
    assert_eq!(step(&mut launcher, 3, &none).start, 1);
    let before = until_run(&mut launcher, 3);

    // The daemon of a machine dies: Slurm says for half a minute that all is well, the ledger knows better.
    let (_, lost) = before[0].clone();
    let cluster = SlurmTool::here();
    cluster.run(&["node-kill", lost.as_str().trim_start_matches('n')]);
    let on_lost = before.iter().filter(|(_, node)| *node == lost);
    let doubts = Doubts {
        quarantined: [lost.clone()].into(),
        silent: on_lost.map(|(one, _)| one.id.clone()).collect(),
    };
    let done = step(&mut launcher, 3, &doubts);
    assert!(
        done.start > 0 && done.stops.len() == doubts.silent.len(),
        "{done:?}"
    );
    let mut after = Vec::new();
    until("three run elsewhere", || {
        after = running(&launcher.placed().unwrap());
        after.retain(|(_, node)| *node != lost);
        after.len() == 3
    });
    assert_eq!(
        step(&mut launcher, 3, &doubts),
        Step::default(),
        "{after:?}"
    );

    check_surplus_leaves(&mut launcher, &nodes, &doubts, &after);
    let rest = launcher.placed().unwrap();
    launcher.stop(&rest, StopHow::Now).unwrap();
    launcher
        .stop(&rest, StopHow::Gracefully)
        .expect("one that is gone is no error");
    cluster.run(&["node-start", lost.as_str().trim_start_matches('n')]);
    check_no_secret(&nodes);
}

/// Of three nodes two are told to leave, and do.
fn check_surplus_leaves(
    launcher: &mut Slurm,
    nodes: &Nodes,
    doubts: &Doubts,
    running: &[(Placed, NodeName)],
) {
    // One that has not begun yet could not say that it left.
    let has_begun = |one: &Placed| {
        let begin = format!("{} ", one.id);
        nodes.events().iter().any(|event| event.starts_with(&begin))
    };
    until("all have begun", || {
        running.iter().all(|(one, _)| has_begun(one))
    });
    let leaving = step(launcher, 1, doubts);
    assert_eq!(leaving.stops.len(), 2);
    until("two have left", || {
        // One that has only just been started may not hear the first time; whoever looks again tells it again.
        step(launcher, 1, doubts);
        alive(&launcher.placed().unwrap(), doubts) == 1
    });
    let left = nodes
        .events()
        .iter()
        .filter(|event| event.ends_with("left"))
        .count();
    assert_eq!(left, 2, "{:?}", nodes.events());
}

/// The cluster that this test runs inside of.
struct SlurmTool {
    place: String,
}

impl SlurmTool {
    fn here() -> SlurmTool {
        SlurmTool {
            place: env::var("SLURM_PLACE_OF_TEST").unwrap() + "/slurm",
        }
    }

    fn run(&self, arguments: &[&str]) {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/cluster/slurm.sh");
        let status = Command::new(tool)
            .args(arguments)
            .env("SLURM_PLACE", &self.place)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{arguments:?}");
    }
}

fn check_no_secret(nodes: &Nodes) {
    let environments = nodes.environments();
    assert!(environments.contains("CUDA_VISIBLE_DEVICES=") && environments.contains("HOME="));
    assert!(environments.contains("LEHR_NODE=n"), "{environments}");
    assert!(!environments.contains(SECRET), "{environments}");
    let ask = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let records = ask("scontrol", &["show", "job", "--details"]);
    assert!(
        records.contains("lehr-test") && !records.contains(SECRET),
        "{records}"
    );
    let scripts = Path::new(&env::var("SLURM_PLACE_OF_TEST").unwrap()).join("slurm/state");
    let found = ask(
        "grep",
        &["-r", "-l", "-a", SECRET, scripts.to_str().unwrap()],
    );
    assert_eq!(found, "", "Slurm keeps the secret in its files");
}

#[test]
fn slurm_says_why_nodes_wait_and_it_is_put_into_words() {
    if !inside("slurm_says_why_nodes_wait_and_it_is_put_into_words") {
        return;
    }
    let place = place();
    let nodes = Nodes::in_folder(place.path());
    let none = Doubts::default();
    let mut many = slurm(&nodes, "lehr-many", |_| {});
    step(&mut many, 9, &none);
    until_run(&mut many, 6);
    let mut long = slurm(&nodes, "lehr-long", |options| {
        options.partition = Some("short".parse().unwrap());
        options.time = Some(Duration::from_secs(3600));
    });
    step(&mut long, 1, &none);
    let reasons = |launcher: &mut Slurm| -> Vec<String> {
        let findings = why(&launcher.placed().unwrap(), None);
        findings.into_iter().map(|finding| finding.what).collect()
    };
    until("the scheduler has looked", || {
        let said = reasons(&mut many);
        said.contains(&"Resources".to_string()) && !said.contains(&"None".to_string())
    });
    until("the time limit is noticed", || {
        reasons(&mut long) == ["PartitionTimeLimit"]
    });
    let findings = why(&long.placed().unwrap(), None);
    assert!(findings[0].meaning.contains("never starts"), "{findings:?}");

    // Those that wait leave first; those of another name stay.
    let left = step(&mut many, 6, &none);
    assert!(
        left.stops
            .iter()
            .all(|(one, _)| matches!(one.state, PlacedState::Waiting { .. }))
    );
    until("the waiting ones are gone", || {
        many.placed().unwrap().len() == 6
    });
    assert_eq!(long.placed().unwrap().len(), 1);
    let rest = many.placed().unwrap();
    many.stop(&rest, StopHow::Now).unwrap();
}

/// The program, as a user of this cluster would run it.
struct User<'a> {
    cluster: &'a SlurmCluster,
    nodes: &'a Nodes,
}

impl User<'_> {
    fn lehr(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lehr"));
        command
            .args(arguments.split(' '))
            .arg("--join")
            .arg(self.nodes.invitation())
            .env("SLURM_CONF", self.cluster.configuration());
        command
    }

    fn launch(&self, arguments: &str) -> Command {
        let small = "launch slurm --gpus-per-node 1 --memory-mib-per-node 100";
        let mut command = self.lehr(&format!("{small} {arguments}"));
        command.arg("--program").arg(self.nodes.program());
        command
    }
}

fn said(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_command_completes_keeps_explains_and_stops() {
    let place = place();
    let Some(cluster) = SlurmCluster::start(place.path()) else {
        return;
    };
    let nodes = Nodes::in_folder(place.path());
    let user = User {
        cluster: &cluster,
        nodes: &nodes,
    };
    assert!(said(user.launch("--nodes 2")).contains("2 started"));
    assert!(said(user.launch("--nodes 2")).contains("0 started"));
    until("both have begun", || nodes.events().len() == 2);

    let mut keeper = user
        .launch("--nodes 3 --keep --every 1s")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the third has begun", || nodes.events().len() == 3);
    nodes.kill(nodes.processes()[0]);
    until("the dead one is replaced", || nodes.events().len() == 4);
    let process = Pid::from_raw(keeper.id().try_into().unwrap()).unwrap();
    kill_process(process, Signal::INT).unwrap();
    let status = keeper.wait().unwrap();
    assert_eq!(status.code(), Some(75), "nodes and study go on");

    let explain = "explain --waiting --engine slurm";
    let explained = said(user.lehr(explain));
    assert!(
        explained.contains("3 placed, 3 running (on n1"),
        "{explained}"
    );
    let stopped = said(user.launch("--stop"));
    assert!(
        stopped.contains("3 nodes were there; 0 of them had to be killed"),
        "{stopped}"
    );
    assert_eq!(nodes.processes(), Vec::<i32>::new());
    let explained = said(user.lehr(&format!("{explain} --json")));
    assert!(explained.contains("nothing placed"), "{explained}");
    assert_eq!(cluster.ask("squeue", &["--noheader"]), "");
}
