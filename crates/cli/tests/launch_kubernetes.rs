//! Nodes in Kubernetes, as far as that can be seen without a cluster: manifests against the schemas of three
//! versions, and the launcher against a stand-in for `kubectl` that answers from written transcripts.
//!
//! With KUBECONFIG set, the last test starts and stops a node in that cluster.

#![allow(clippy::unwrap_used)] // A test that cannot set its scene has failed.
#![allow(clippy::print_stderr)] // A test that is skipped says so.

mod engines;
#[path = "studies/python.rs"]
mod python;
mod studies;

use std::{
    env, fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::Command,
};

use engines::{Nodes, SECRET, is_inside, run_inside, until, write_program};
use serde_json::{Value, json};
use study::launch::{
    Launcher, NodeCommand, Placed, PlacedState, StopHow,
    kubernetes::{Kubernetes, KubernetesOptions},
};

/// Answers what stands in `answer.json`, keeps what it hears, and complains as `complaint` says. What stands in
/// `deleted.json` is the answer once a job is deleted, what stands in `killed.json` once pods are given hardly any
/// time, and what stands in `left.json` from the second answer on after a job is deleted.
const KUBECTL: &str = r#"#!/bin/bash
here=$(dirname "$0")
echo "$*" >> "$here/lines"
case "$*" in
"get jobs,pods "*)
    cat "$here/answer.json"
    if [ -e "$here/left.json" ] && grep -q '^delete job' "$here/lines"; then
        mv "$here/left.json" "$here/answer.json"
    fi ;;
"delete job "*) if [ -e "$here/deleted.json" ]; then mv "$here/deleted.json" "$here/answer.json"; fi ;;
"delete pod "*--grace-period=1*)
    if [ -e "$here/killed.json" ]; then mv "$here/killed.json" "$here/answer.json"; fi ;;
"create secret generic "*)
    for argument; do case $argument in --from-file=*) file=${argument#*=*=} ;; esac; done
    printf '{"kind":"Secret","apiVersion":"v1","metadata":{"name":"%s","creationTimestamp":null},' "$4"
    printf '"data":{"invitation.json":"%s"}}' "$(base64 -w0 "$file")" ;;
"create --filename=-"* | "replace --filename=-"*)
    heard=$(cat)
    if [[ $1 = create && $heard = *'"kind":"Secret"'* && -e $here/secret-exists ]]; then
        echo 'Error from server (AlreadyExists): secrets "lehr-test" already exists' >&2
        exit 1
    fi
    if [ -e "$here/complaint" ]; then cat "$here/complaint" >&2; exit 1; fi
    printf '%s\n' "$heard" >> "$here/heard" ;;
esac
"#;

struct Standin {
    folder: PathBuf,
    nodes: Nodes,
}

/// Runs the test of this name with a stand-in for `kubectl`; gives it to the test that runs inside.
fn with_standin(test: &str) -> Option<Standin> {
    if is_inside() {
        let folder = PathBuf::from(env::var("FOLDER_OF_TEST").unwrap());
        let nodes = Nodes::in_folder(&folder);
        let standin = Standin { folder, nodes };
        standin.answer(&[]);
        return Some(standin);
    }
    let place = tempfile::tempdir().unwrap();
    write_program(&place.path().join("kubectl"), KUBECTL);
    let folder = place.path().to_str().unwrap();
    let path = format!("{folder}:{}", env::var("PATH").unwrap());
    run_inside(test, &[("PATH", &path), ("FOLDER_OF_TEST", folder)]);
    None
}

impl Standin {
    fn answer(&self, items: &[Value]) {
        self.answer_in("answer.json", items);
    }

    fn answer_in(&self, name: &str, items: &[Value]) {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        fs::write(self.folder.join(name), list.to_string()).unwrap();
    }

    fn lines(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("lines")).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    /// What was sent as manifests.
    fn heard(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.join("heard")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn launcher(&self) -> Kubernetes {
        launcher(&self.nodes, |_| {})
    }
}

fn launcher(nodes: &Nodes, change: impl FnOnce(&mut KubernetesOptions)) -> Kubernetes {
    let node = NodeCommand::new(Path::new("/bin/sh"), &nodes.invitation()).unwrap();
    let mut options = KubernetesOptions {
        namespace: Some("research".parse().unwrap()),
        image: "registry.example.org/lehr:1".to_string(),
        program: "lehr".to_string(),
        queue: None,
        cpus: NonZeroU32::new(4).unwrap(),
        memory_mib: NonZeroU32::new(8192).unwrap(),
        gpus: 1,
        gpu_resource: "nvidia.com/gpu".parse().unwrap(),
    };
    change(&mut options);
    Kubernetes::new("lehr-test".parse().unwrap(), &node, options).unwrap()
}

fn count(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn job(number: u32, completions: u32, status: Value) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": format!("lehr-test-{number}"), "labels": { "lehr/group": "lehr-test" } },
        "spec": { "completions": completions, "parallelism": completions, "suspend": false },
        "status": status,
    })
}

fn pod(number: u32, index: u32, phase: &str, more: Value) -> Value {
    let mut status = json!({ "phase": phase });
    if let Some(more) = more.as_object() {
        status.as_object_mut().unwrap().extend(more.clone());
    }
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("lehr-test-{number}-{index}-abcde"),
            "labels": { "batch.kubernetes.io/job-name": format!("lehr-test-{number}") },
            "annotations": { "batch.kubernetes.io/job-completion-index": index.to_string() },
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": { "nodeName": format!("gpu-{index}") },
        "status": status,
    })
}

#[test]
fn a_start_sends_the_invitation_as_a_secret_and_a_job_with_a_new_number() {
    let Some(standin) =
        with_standin("a_start_sends_the_invitation_as_a_secret_and_a_job_with_a_new_number")
    else {
        return;
    };
    standin.answer(&[job(6, 2, json!({ "completedIndexes": "0,1" }))]);
    let avoided = ["gpu-3".parse().unwrap(), "gpu-5".parse().unwrap()].into();
    standin.launcher().start(count(3), &avoided).unwrap();
    let heard = standin.heard();
    assert_eq!(heard[0]["kind"], "Secret");
    assert_eq!(heard[0]["metadata"]["labels"]["lehr/group"], "lehr-test");
    assert_eq!(heard[1]["metadata"]["name"], "lehr-test-7");
    let spec = &heard[1]["spec"];
    assert_eq!(
        (&spec["completions"], &spec["parallelism"]),
        (&json!(3), &json!(3))
    );
    let affinity = &spec["template"]["spec"]["affinity"].to_string();
    assert!(
        affinity.contains("gpu-3") && affinity.contains("gpu-5"),
        "{affinity}"
    );
    let lines = standin.lines().join("\n");
    assert!(
        !lines.contains(SECRET) && !heard[1].to_string().contains(SECRET),
        "{lines}"
    );
    assert!(
        standin
            .lines()
            .iter()
            .all(|line| line.contains("--namespace=research")),
        "{lines}"
    );

    // A secret that is there is replaced: the password may be a new one.
    fs::write(standin.folder.join("secret-exists"), "").unwrap();
    standin
        .launcher()
        .start(count(1), &Default::default())
        .unwrap();
    assert!(
        standin
            .lines()
            .iter()
            .any(|line| line.starts_with("replace --filename=-"))
    );
    assert_eq!(standin.heard()[2]["kind"], "Secret");
}

#[test]
fn every_index_that_is_not_done_is_a_node_with_or_without_a_pod() {
    let Some(standin) =
        with_standin("every_index_that_is_not_done_is_a_node_with_or_without_a_pod")
    else {
        return;
    };
    let unschedulable = json!({ "conditions": [{ "type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/4 nodes are available: 4 Insufficient nvidia.com/gpu." }] });
    let no_image = json!({ "containerStatuses": [{ "name": "node",
        "state": { "waiting": { "reason": "ImagePullBackOff", "message": "back-off" } } }] });
    let mut leaving = pod(10, 3, "Running", json!({}));
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut deleted = job(11, 1, json!({}));
    deleted["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut suspended = job(12, 1, json!({}));
    suspended["spec"]["suspend"] = json!(true);
    let complete = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
    standin.answer(&[
        suspended,
        deleted,
        job(9, 4, complete),
        job(
            10,
            8,
            json!({ "completedIndexes": "0", "failedIndexes": "6-7" }),
        ),
        pod(10, 0, "Succeeded", json!({})),
        pod(10, 1, "Running", json!({})),
        pod(10, 2, "Pending", unschedulable),
        leaving,
        pod(10, 4, "Failed", json!({})),
        pod(10, 5, "Pending", no_image),
    ]);
    let placed = standin.launcher().placed().unwrap();
    let shown: Vec<String> = placed
        .iter()
        .map(|one| match &one.state {
            PlacedState::Running { node } => {
                format!("{} runs on {}", one.id, node.as_ref().unwrap())
            }
            PlacedState::Waiting { reason } => format!("{} waits: {reason}", one.id),
            PlacedState::Held { reason } => format!("{} is held: {reason}", one.id),
            PlacedState::Ending => format!("{} ends", one.id),
        })
        .collect();
    let expected = [
        "lehr-test-10/1 runs on gpu-1",
        "lehr-test-10/2 waits: Unschedulable: 0/4 nodes are available: 4 Insufficient nvidia.com/gpu.",
        "lehr-test-10/3 ends",
        "lehr-test-10/4 waits: None",
        "lehr-test-10/5 waits: ImagePullBackOff: back-off",
        "lehr-test-11/0 ends",
        "lehr-test-12/0 waits: Suspended",
    ];
    assert_eq!(shown, expected);
}

/// A pod that was told to leave.
fn leaving(number: u32, index: u32) -> Value {
    let mut pod = pod(number, index, "Running", json!({}));
    pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    pod
}

#[test]
fn pods_that_no_index_needs_any_more_are_leaving_until_they_have_ended() {
    let Some(standin) =
        with_standin("pods_that_no_index_needs_any_more_are_leaving_until_they_have_ended")
    else {
        return;
    };
    let failed = json!({ "conditions": [{ "type": "FailureTarget", "status": "True" }] });
    standin.answer(&[
        // The first job was longer, the second has failed, and two more are deleted.
        job(2, 1, json!({})),
        pod(2, 0, "Running", json!({})),
        leaving(2, 1),
        job(3, 1, failed),
        leaving(3, 0),
        leaving(5, 0),
        pod(5, 1, "Running", json!({})),
        pod(5, 2, "Succeeded", json!({})),
        pod(7, 0, "Failed", json!({})),
    ]);
    let placed = standin.launcher().placed().unwrap();
    let running = PlacedState::Running {
        node: Some("gpu-0".parse().unwrap()),
    };
    let expected = [
        ("lehr-test-2/0", running),
        ("lehr-test-2/1", PlacedState::Ending),
        ("lehr-test-3/0", PlacedState::Ending),
        ("lehr-test-5/0", PlacedState::Ending),
        ("lehr-test-5/1", PlacedState::Ending),
    ];
    let expected = expected.map(|(id, state)| Placed {
        id: id.parse().unwrap(),
        state,
    });
    assert_eq!(placed, expected);
    // The number of a job is not given again while its pods are there.
    let mut launcher = standin.launcher();
    launcher.start(count(1), &Default::default()).unwrap();
    assert_eq!(standin.heard()[1]["metadata"]["name"], "lehr-test-6");
}

/// `lehr launch kubernetes --stop`; what it printed, and what `kubectl` was told beside listing.
fn stopped(standin: &Standin, grace: &str) -> (String, Vec<String>) {
    let output = Command::new(env!("CARGO_BIN_EXE_lehr"))
        .args(["launch", "kubernetes", "--image", "lehr:1"])
        .args(["--name", "lehr-test", "--stop", "--grace", grace])
        .arg("--join")
        .arg(standin.nodes.invitation())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let told = standin.lines().into_iter();
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        told.filter(|line| !line.starts_with("get")).collect(),
    )
}

const DELETE: &str = "delete job lehr-test-0 --ignore-not-found --cascade=background --wait=false";
const FORGET: &str = "delete secret lehr-test --ignore-not-found";

#[test]
fn a_stop_waits_for_pods_that_outlive_their_job_before_it_takes_their_secret() {
    let Some(standin) =
        with_standin("a_stop_waits_for_pods_that_outlive_their_job_before_it_takes_their_secret")
    else {
        return;
    };
    let running = |index| pod(0, index, "Running", json!({}));
    standin.answer(&[job(0, 2, json!({})), running(0), running(1)]);
    standin.answer_in("deleted.json", &[leaving(0, 0), leaving(0, 1)]);
    standin.answer_in("left.json", &[]);
    let (said, told) = stopped(&standin, "1m");
    assert_eq!(
        said,
        "lehr-test: 2 nodes were there; 0 of them had to be killed\n"
    );
    assert_eq!(told, [DELETE, FORGET]);
    let lines = standin.lines();
    let looks = lines.iter().skip_while(|line| *line != DELETE);
    let looks = looks.filter(|line| line.starts_with("get")).count();
    assert_eq!(looks, 2, "the first finds them, the second does not");
}

#[test]
fn a_stop_kills_pods_that_take_longer_than_their_grace() {
    let Some(standin) = with_standin("a_stop_kills_pods_that_take_longer_than_their_grace") else {
        return;
    };
    let running = |index| pod(0, index, "Running", json!({}));
    standin.answer(&[job(0, 2, json!({})), running(0), running(1)]);
    // One of the two has left, the other stays.
    standin.answer_in("deleted.json", &[leaving(0, 1)]);
    standin.answer_in("killed.json", &[]);
    let (said, told) = stopped(&standin, "1s");
    assert_eq!(
        said,
        "lehr-test: 2 nodes were there; 1 of them had to be killed\n"
    );
    let kill = "delete pod --ignore-not-found --wait=false --grace-period=1 lehr-test-0-1-abcde";
    assert_eq!(told, [DELETE, kill, FORGET]);
}

/// What is sent to stop some indexes of a job of four that all run, except for one.
fn stops(standin: &Standin, waiting: Option<u32>, stopped: &[u32], how: StopHow) -> Vec<String> {
    let pods = (0..4)
        .filter(|index| waiting != Some(*index))
        .map(|index| pod(0, index, "Running", json!({})));
    standin.answer(&[vec![job(0, 4, json!({}))], pods.collect()].concat());
    let _ = fs::remove_file(standin.folder.join("lines"));
    let mut launcher = standin.launcher();
    let is_stopped = |one: &Placed| {
        stopped
            .iter()
            .any(|index| one.id.as_str() == format!("lehr-test-0/{index}"))
    };
    let placed: Vec<Placed> = launcher
        .placed()
        .unwrap()
        .into_iter()
        .filter(is_stopped)
        .collect();
    assert_eq!(placed.len(), stopped.len());
    launcher.stop(&placed, how).unwrap();
    let lines = standin
        .lines()
        .into_iter()
        .filter(|line| !line.starts_with("get"));
    lines
        .map(|line| line.replace(" --namespace=research", ""))
        .collect()
}

#[test]
fn jobs_are_deleted_shortened_or_lose_pods_as_fits() {
    let Some(standin) = with_standin("jobs_are_deleted_shortened_or_lose_pods_as_fits") else {
        return;
    };
    let graceful = StopHow::Gracefully;
    assert_eq!(stops(&standin, None, &[0, 1, 2, 3], graceful), [DELETE]);
    let patch =
        r#"patch job lehr-test-0 --type=merge --patch={"spec":{"completions":2,"parallelism":2}}"#;
    assert_eq!(stops(&standin, None, &[2, 3], graceful), [patch]);
    let pods = "delete pod --ignore-not-found --wait=false lehr-test-0-1-abcde";
    assert_eq!(stops(&standin, None, &[1], graceful), [pods]);
    let now = "delete pod --ignore-not-found --wait=false --grace-period=1 lehr-test-0-3-abcde";
    assert_eq!(stops(&standin, None, &[3], StopHow::Now), [now]);
    let names = "lehr-test-0-0-abcde lehr-test-0-1-abcde lehr-test-0-2-abcde lehr-test-0-3-abcde";
    assert_eq!(
        stops(&standin, None, &[0, 1, 2, 3], StopHow::Now),
        [DELETE, now.replace("lehr-test-0-3-abcde", names).as_str()],
        "pods of a job that is deleted have two minutes, if nobody says otherwise"
    );
    let nothing: [&str; 0] = [];
    assert_eq!(
        stops(&standin, Some(1), &[1], graceful),
        nothing,
        "it waits between others, which must not end with it"
    );
    let both = stops(&standin, Some(1), &[1, 2], graceful);
    assert_eq!(both, [pods.replace("-1-", "-2-")]);
    assert_eq!(stops(&standin, None, &[], graceful), Vec::<String>::new());
}

#[test]
fn a_refusal_says_what_the_cluster_says_and_what_to_do() {
    let Some(standin) = with_standin("a_refusal_says_what_the_cluster_says_and_what_to_do") else {
        return;
    };
    let complaint =
        "Error from server (Forbidden): jobs.batch is forbidden: User \"ada\" cannot create";
    fs::write(standin.folder.join("complaint"), complaint).unwrap();
    let error = standin
        .launcher()
        .start(count(1), &Default::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("User \"ada\" cannot create") && error.contains("you need the right"),
        "{error}"
    );
    assert!(!error.contains(SECRET), "{error}");
}

#[test]
fn manifests_are_valid_by_the_strict_schemas_of_three_versions() {
    let Some(python) =
        python::python_with("kubernetes_validate", "LEHR_REQUIRE_KUBERNETES_VALIDATE")
    else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let nodes = Nodes::in_folder(place.path());
    let plain = launcher(&nodes, |options| {
        options.gpus = 0;
        options.namespace = None;
    });
    let full = launcher(&nodes, |options| {
        options.queue = Some("gpus".parse().unwrap())
    });
    let avoided = ["gpu-3".parse().unwrap(), "gpu-5".parse().unwrap()].into();
    let texts = [
        plain.rehearsal(count(1), &Default::default()),
        full.rehearsal(count(64), &avoided),
    ];
    // One that is wrong must be found out, or the check is worth nothing.
    let broken = texts[1].replace("podReplacementPolicy", "podReplacementPolicyy");
    let script = "import json, sys, kubernetes_validate as check\n\
                  for version in ['1.35', '1.36', '1.37']:\n    \
                  check.validate(json.load(open(sys.argv[1])), version, strict=True)\n";
    let is_valid = |text: &str| {
        let path = place.path().join("manifest.json");
        fs::write(&path, text).unwrap();
        let output = Command::new(&python)
            .args(["-c", script])
            .arg(&path)
            .output()
            .unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for text in &texts {
        let (valid, said) = is_valid(text);
        assert!(valid, "{said}\n{text}");
    }
    let (valid, said) = is_valid(&broken);
    assert!(!valid && said.contains("podReplacementPolicyy"), "{said}");
}

#[test]
fn a_real_cluster_starts_and_stops_a_node() {
    if env::var_os("KUBECONFIG").is_none() {
        eprintln!("skipped: KUBECONFIG names no cluster");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let nodes = Nodes::in_folder(place.path());
    let mut launcher = launcher(&nodes, |options| {
        options.namespace = None;
        options.gpus = 0;
        options.cpus = count(1);
        options.memory_mib = count(512);
        // It does not know `worker --join`, and fails again and again: enough to see it come and go.
        options.image = "registry.k8s.io/pause:3.10".to_string();
        options.program = "/pause".to_string();
    });
    launcher.start(count(2), &Default::default()).unwrap();
    until("both are listed", || launcher.placed().unwrap().len() == 2);
    let placed = launcher.placed().unwrap();
    launcher.stop(&placed[1..], StopHow::Gracefully).unwrap();
    until("one is listed", || {
        let placed = launcher.placed().unwrap();
        placed
            .iter()
            .filter(|one| one.state != PlacedState::Ending)
            .count()
            == 1
    });
    let placed = launcher.placed().unwrap();
    launcher.stop(&placed, StopHow::Gracefully).unwrap();
    until("none is listed", || {
        let placed = launcher.placed().unwrap();
        placed.iter().all(|one| one.state == PlacedState::Ending)
    });
    launcher.forget().unwrap();
}
