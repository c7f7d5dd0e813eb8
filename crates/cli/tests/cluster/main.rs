//! Studies on nodes that share a real PostgreSQL, started by hand, by the master or by a real Slurm, and everything
//! that is done to them: nodes killed, frozen, preempted and cut off, the database, a node's daemon and the master
//! killed, the store away. Nothing may be lost, nothing counted twice.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.

#[path = "../engines/mod.rs"]
mod engines;
mod relay;
#[path = "../../../study/tests/servers/s3.rs"]
mod s3;
#[path = "../server/mod.rs"]
mod server;
#[path = "../../../study/tests/servers/mod.rs"]
mod servers;
mod site;

use std::{
    collections::BTreeSet, fs, os::unix::fs::PermissionsExt, process::Child, thread, time::Duration,
};

use relay::Relay;
use rustix::process::{Pid, Signal, kill_process};
use s3::{BUCKET, S3Server};
use server::Server;
use site::{Held, LEASE_SECS, PATIENCE, Site, files_below};
use study::{
    cluster::{invitation::LedgerPlace, share::weights_of},
    folder::StudyFolder,
    ledger::open_to_read,
    store::ObjectName,
    trial::TrialState,
};

/// How many trials the study may make.
const TRIALS: u64 = 40;

/// Sends a signal to a node that is there; returns which.
fn signal_a_node(site: &Site, signal: Signal) -> Pid {
    loop {
        assert!(site.begun.elapsed() < PATIENCE, "{}", site.said());
        // One that is listed may be gone a moment later.
        let told = |node: &Pid| kill_process(*node, signal).is_ok();
        if let Some(node) = site.nodes().into_iter().find(told) {
            return node;
        }
        thread::sleep(Duration::from_millis(100));
    }
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
    let mut master = Held(site.master(TRIALS, &["--workers", "0"]));
    site.until_made();
    let launcher = Held(site.launcher());
    site.until_ended(2);

    assert_nothing_listens(&site, &master.0);
    // A node is killed: its lease runs out, and the launcher replaces it.
    signal_a_node(&site, Signal::KILL);
    site.until_ended(5);
    // A node is frozen beyond its lease, and wakes up as a zombie, if its launcher has not replaced it.
    let frozen = signal_a_node(&site, Signal::STOP);
    thread::sleep(Duration::from_secs(LEASE_SECS + 2));
    let _ = kill_process(frozen, Signal::CONT);
    site.until_ended(10);
    // The database is killed while everybody works.
    site.database.kill();
    thread::sleep(Duration::from_secs(2));
    site.database.resume();
    site.until_ended(15);
    // The daemon of a node is killed; what runs there runs on.
    assert!(site.slurm().tool(&["node-kill", "2"]).status.success());
    site.until_ended(20);
    // A node is preempted: it gives its trial back and leaves.
    signal_a_node(&site, Signal::TERM);
    site.until_ended(24);
    // The master is killed; nodes work on, and another one takes over.
    drop(master);
    site.until_ended(27);
    master = Held(site.master(TRIALS, &["--workers", "0"]));

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
    let weights = weights_of(&folder).unwrap();
    let mut best = f64::NEG_INFINITY;
    for trial in &trials {
        match &trial.state {
            TrialState::Finished { result, .. } => {
                drop(weights.provide(&result.artifact).unwrap());
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
    let password = site.password();
    assert!(!site.said().contains(&password), "a password was said");
    assert!(
        !site.database.log().contains(&password),
        "the database has logged a password"
    );
    let Some(slurm) = &site.slurm else { return };
    let records = slurm.ask("scontrol", &["show", "jobs", "--details"]);
    assert!(
        !records.contains(&password),
        "Slurm's records hold a password"
    );
}

#[test]
fn a_dashboard_follows_a_study_on_a_cluster_through_the_death_of_its_database() {
    const BUDGET: u64 = 8;
    let Some(site) = Site::without_slurm() else {
        return;
    };
    let mut master = Held(site.master(BUDGET, &[]));
    site.until_made();
    site.until_ended(1);
    let dashboard = Server::dashboard(&site.path("study"), &[]);
    dashboard.until("/nodes", "1 at work, of 1 that ever came.");

    site.database.kill();
    let page = dashboard.until("/", "its ledger could not be read again");
    assert!(page.body.contains("trials have ended"), "{}", page.body);
    site.database.resume();
    site.until_over(&mut master.0);
    let page = dashboard.until("/", &format!("<b>{BUDGET}</b>"));
    assert!(
        !page.body.contains("could not be read again"),
        "{}",
        page.body
    );
    for address in ["/", "/nodes", "/trials", "/trials/1", "/status.json"] {
        let page = dashboard.get(address);
        assert_eq!(page.status, 200, "{address}: {}", page.body);
        assert!(
            !page.body.contains(&site.password()),
            "{address} shows the password"
        );
    }
}

#[test]
fn a_node_that_is_cut_off_works_on_and_reports_once_when_the_network_is_back() {
    const BUDGET: u64 = 8;
    let Some(site) = Site::without_slurm() else {
        return;
    };
    let mut master = Held(site.master(BUDGET, &["--workers", "0"]));
    site.until_made();
    let relay = Relay::to(site.database.port);
    let invitation = site.path("study/invitation.json");
    let text = fs::read_to_string(&invitation).unwrap();
    let far = site.path("far.json");
    fs::write(
        &far,
        text.replace(&site.database.port.to_string(), &relay.port.to_string()),
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

#[test]
fn weights_in_an_object_store_survive_its_absence_and_the_death_of_transfers() {
    const BUDGET: u64 = 10;
    let Some(mut server) = S3Server::start() else {
        return;
    };
    let Some(site) = Site::without_slurm() else {
        return;
    };
    // Its transfers take their time.
    let store = server.address(&format!("{BUCKET}/studies"), "RCLONE_BWLIMIT=100k");
    let more = ["--workers", "2", "--store", &store];
    let mut master = Held(site.master(BUDGET, &more));
    site.until_made();

    // Transfers are killed in the middle; they are made again.
    let mut killed = 0;
    while killed < 3 {
        assert!(site.begun.elapsed() < PATIENCE, "{}", site.said());
        for transfer in site.transfers() {
            killed += u32::from(kill_process(transfer, Signal::KILL).is_ok());
        }
        thread::sleep(Duration::from_millis(300));
    }
    site.until_ended(3);
    // The store goes away; results wait, leases are kept.
    server.do_it("stop");
    thread::sleep(Duration::from_secs(2 * LEASE_SECS));
    let before = site.counts();
    assert!(before.running > 0, "{before:?}");
    server.do_it("start");

    site.until_over(&mut master.0);
    check(&site, BUDGET);
    let trials = site.ledger().unwrap().trials().unwrap();
    assert!(trials.iter().all(|trial| trial.crashes == 0));
    check_clean(&site);
}

/// What nobody needs goes from the store when it is said so; the winner's weights stay.
fn check_clean(site: &Site) {
    let mut clean = site.lehr();
    clean.args(["clean", "--keep", "1", "--json"]);
    let output = clean.arg(site.path("study")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let cleaned: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(cleaned["removed"].as_u64().unwrap() > 0, "{cleaned}");
    let folder = StudyFolder::open(&site.path("study")).unwrap();
    let place = LedgerPlace::of(&folder).unwrap().unwrap();
    let left = place.store().unwrap().unwrap().list().unwrap();
    let best = site.ledger().unwrap().best().unwrap().unwrap();
    let best = ObjectName::weights(&best.result().unwrap().artifact);
    assert!(
        left.iter()
            .any(|object| object.object().as_ref() == Some(&best))
    );
    let weights = left
        .iter()
        .filter(|object| object.name.ends_with(".safetensors"));
    let kept = cleaned["kept"].as_u64().unwrap();
    assert!(weights.count() as u64 <= kept, "{cleaned}");
}
