//! What `kubectl get jobs,pods` says of a group, as nodes that are placed.
//!
//! An index that is neither completed nor failed is a node, with or without a pod at this moment: between
//! two pods of an index there is nothing to see, and counting pods would start too many. A pod that no index
//! needs any more is a node that is leaving: jobs are gone, or shorter, minutes before the last of their pods.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::launch::{GroupName, LaunchError, Placed, PlacedId, PlacedState};

const INDEX_ANNOTATION: &str = "batch.kubernetes.io/job-completion-index";

/// Labels by which a pod names its job; the second is that of clusters before 1.27.
const JOB_LABELS: [&str; 2] = ["batch.kubernetes.io/job-name", "job-name"];

/// Conditions after which a job starts no pods any more.
const ENDED: [&str; 4] = ["Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"];

#[derive(Debug, Deserialize)]
struct List {
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind")]
enum Item {
    Job(RawJob),
    Pod(RawPod),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    creation_timestamp: Option<String>,
    #[serde(default)]
    deletion_timestamp: Option<String>,
}

#[derive(Debug, Deserialize)]
struct RawJob {
    metadata: Metadata,
    spec: JobSpec,
    #[serde(default)]
    status: JobStatus,
}

#[derive(Debug, Deserialize)]
struct JobSpec {
    completions: u32,
    #[serde(default)]
    suspend: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobStatus {
    #[serde(default)]
    completed_indexes: String,
    #[serde(default)]
    failed_indexes: String,
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Deserialize)]
struct RawPod {
    metadata: Metadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    #[serde(default)]
    node_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodStatus {
    #[serde(default)]
    phase: String,
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Deserialize)]
struct ContainerStatus {
    #[serde(default)]
    state: ContainerState,
}

#[derive(Debug, Default, Deserialize)]
struct ContainerState {
    #[serde(default)]
    waiting: Option<WaitingContainer>,
}

#[derive(Debug, Deserialize)]
struct WaitingContainer {
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

/// The jobs of a group, oldest first.
#[derive(Debug)]
pub(super) struct Listing {
    jobs: Vec<Job>,
}

/// A job, and the pod that each of its open indexes has.
#[derive(Debug)]
pub(super) struct Job {
    name: String,
    indexes: BTreeMap<u32, (PlacedState, Option<String>)>,
}

impl Listing {
    pub(super) fn read(line: &str, answer: &str) -> Result<Listing, LaunchError> {
        let misread = |part: String, rule| LaunchError::Answer {
            line: line.to_string(),
            part,
            rule,
        };
        let list: List = serde_json::from_str(answer)
            .map_err(|error| misread(error.to_string(), "it is a list of jobs and pods as JSON"))?;
        let (mut raw, mut pods) = (Vec::new(), Vec::new());
        for item in list.items {
            match item {
                Item::Job(job) => raw.push(job),
                Item::Pod(pod) => pods.push(pod),
            }
        }
        let read = |job: RawJob| {
            let name = job.metadata.name.clone();
            Job::read(job, &pods).ok_or_else(|| misread(name, "indexes are numbers and ranges"))
        };
        let mut jobs = raw.into_iter().map(read).collect::<Result<Vec<Job>, _>>()?;
        add_leaving(&mut jobs, &pods);
        jobs.sort_by_key(|job| number_of(&job.name).unwrap_or(u32::MAX));
        Ok(Listing { jobs })
    }

    pub(super) fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    pub(super) fn placed(&self) -> Vec<Placed> {
        let of_job = |job: &Job| -> Vec<Placed> {
            let states = job.indexes.iter();
            let named = states.filter_map(|(index, (state, _))| {
                let id: PlacedId = job.id(*index).parse().ok()?;
                Some(Placed {
                    id,
                    state: state.clone(),
                })
            });
            named.collect()
        };
        self.jobs.iter().flat_map(of_job).collect()
    }

    /// A number that no job of the group has, also none that has ended.
    pub(super) fn next_number(&self, group: &GroupName) -> u32 {
        let prefix = format!("{group}-");
        let numbers = self
            .jobs
            .iter()
            .filter_map(|job| job.name.strip_prefix(&prefix)?.parse().ok());
        numbers.max().map_or(0, |last: u32| last.saturating_add(1))
    }
}

impl Job {
    fn read(raw: RawJob, pods: &[RawPod]) -> Option<Job> {
        let completed = indexes(&raw.status.completed_indexes)?;
        let failed = indexes(&raw.status.failed_indexes)?;
        let has_ended = raw.status.conditions.iter().any(|condition| {
            ENDED.contains(&condition.kind.as_str()) && condition.status == "True"
        });
        let is_leaving = raw.metadata.deletion_timestamp.is_some();
        let mut states = BTreeMap::new();
        for index in 0..if has_ended { 0 } else { raw.spec.completions } {
            let is_in = |ranges: &[(u32, u32)]| {
                ranges
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&index))
            };
            if is_in(&completed) || is_in(&failed) {
                continue;
            }
            let pod = newest_pod(&raw.metadata.name, index, pods);
            let state = match pod {
                _ if is_leaving => PlacedState::Ending,
                Some(pod) => pod.state(),
                None => PlacedState::Waiting {
                    reason: if raw.spec.suspend {
                        "Suspended"
                    } else {
                        "None"
                    }
                    .to_string(),
                },
            };
            states.insert(index, (state, pod.map(|pod| pod.metadata.name.clone())));
        }
        Some(Job {
            name: raw.metadata.name,
            indexes: states,
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn id(&self, index: u32) -> String {
        format!("{}/{index}", self.name)
    }

    /// Indexes that are not ending, in order.
    pub(super) fn open(&self) -> Vec<u32> {
        let open = self
            .indexes
            .iter()
            .filter(|(_, (state, _))| *state != PlacedState::Ending);
        open.map(|(index, _)| *index).collect()
    }

    /// All that have not ended, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> {
        self.indexes.keys().copied()
    }

    /// Those pods of these indexes that run or are leaving.
    pub(super) fn begun_pods(&self, indexes: impl IntoIterator<Item = u32>) -> Vec<String> {
        let begun = |index: u32| match self.indexes.get(&index) {
            Some((PlacedState::Running { .. } | PlacedState::Ending, pod)) => pod.clone(),
            _ => None,
        };
        indexes.into_iter().filter_map(begun).collect()
    }
}

fn number_of(job: &str) -> Option<u32> {
    job.rsplit_once('-')?.1.parse().ok()
}

/// Ranges of indexes as Kubernetes writes them: `0-2,5`.
fn indexes(text: &str) -> Option<Vec<(u32, u32)>> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Some((from.parse().ok()?, to.parse().ok()?))
        })
        .collect()
}

/// The pod of an index that has not ended; the newest, should there be two.
fn newest_pod<'a>(job: &str, index: u32, pods: &'a [RawPod]) -> Option<&'a RawPod> {
    let of_index = pods
        .iter()
        .filter(|pod| pod.place() == Some((job, index)) && !pod.has_ended());
    of_index.max_by_key(|pod| pod.metadata.creation_timestamp.clone())
}

/// Adds pods that have not ended, and that no index of these jobs has: their job is over, deleted or shorter than it
/// was.
fn add_leaving(jobs: &mut Vec<Job>, pods: &[RawPod]) {
    for pod in pods.iter().filter(|pod| !pod.has_ended()) {
        let Some((name, index)) = pod.place() else {
            continue;
        };
        let known = jobs.iter().position(|job| job.name == name);
        let place = known.unwrap_or(jobs.len());
        if known.is_none() {
            jobs.push(Job {
                name: name.to_string(),
                indexes: BTreeMap::new(),
            });
        }
        let leaving = (PlacedState::Ending, Some(pod.metadata.name.clone()));
        jobs[place].indexes.entry(index).or_insert(leaving);
    }
}

impl RawPod {
    /// The job and the index that it was made for.
    fn place(&self) -> Option<(&str, u32)> {
        let labels = &self.metadata.labels;
        let job = JOB_LABELS.iter().find_map(|label| labels.get(*label))?;
        let index = self.metadata.annotations.get(INDEX_ANNOTATION)?;
        Some((job.as_str(), index.parse().ok()?))
    }

    fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    fn state(&self) -> PlacedState {
        if self.metadata.deletion_timestamp.is_some() {
            return PlacedState::Ending;
        }
        match self.status.phase.as_str() {
            "Running" | "Unknown" => PlacedState::Running {
                node: self
                    .spec
                    .node_name
                    .as_deref()
                    .and_then(|node| node.parse().ok()),
            },
            _ => PlacedState::Waiting {
                reason: self.waits_for(),
            },
        }
    }

    fn waits_for(&self) -> String {
        let waiting = self
            .status
            .container_statuses
            .iter()
            .find_map(|status| status.state.waiting.as_ref());
        if let Some(container) = waiting {
            return joined(&container.reason, &container.message);
        }
        let unscheduled = self
            .status
            .conditions
            .iter()
            .find(|condition| condition.kind == "PodScheduled" && condition.status == "False");
        unscheduled.map_or("None".to_string(), |condition| {
            joined(&condition.reason, &condition.message)
        })
    }
}

fn joined(reason: &str, message: &str) -> String {
    match message.is_empty() {
        true => reason.to_string(),
        false => format!("{reason}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_indexes_are_read_as_kubernetes_writes_them() {
        assert_eq!(indexes(""), Some(vec![]));
        assert_eq!(indexes("0-2,5"), Some(vec![(0, 2), (5, 5)]));
        assert_eq!(indexes("a"), None);
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_command() {
        for answer in ["", "[]", "{\"items\":[{\"kind\":\"Job\"}]}"] {
            let error = Listing::read("kubectl get", answer).unwrap_err();
            assert!(error.to_string().contains("kubectl get"), "{error}");
        }
    }
}
