//! Kubernetes: nodes as indexes of Indexed Jobs, through `kubectl`.
//!
//! `kubectl` brings what clusters ask of their users: plugins that log in, proxies, contexts. Every start
//! makes one job with a number of its own; all of them carry the group as a label. An index is a place for a
//! node and nothing more: trials are not tied to it. Kubernetes itself replaces pods that fail or are
//! evicted; indexes that are done for good are replaced by the next [`reconcile`](super::reconcile).

mod listing;
mod manifest;

use std::{collections::BTreeSet, num::NonZeroU32, path::PathBuf};

use super::{
    DnsLabel, GroupName, LaunchError, Launcher, NodeCommand, NodeName, Placed, StopHow, Word,
    closed::Closed, hint_for,
};
use crate::outside::{Outside, OutsideError};
use listing::Listing;

/// Label by which everything of a group is found.
const GROUP_LABEL: &str = "lehr/group";

/// Name of the invitation in its secret.
const INVITATION_KEY: &str = "invitation.json";

/// Pods named in one command.
const PODS_MAX: usize = 200;

/// What `kubectl` says, and what to do then.
const HINTS: [(&str, &str); 8] = [
    (
        "connection to the server",
        "is the cluster reachable, and KUBECONFIG right? `kubectl cluster-info`",
    ),
    (
        "unable to connect",
        "is the cluster reachable, and KUBECONFIG right? `kubectl cluster-info`",
    ),
    ("unauthorized", "log in to the cluster again"),
    (
        "forbidden",
        "you need the right to get, create, patch and delete jobs and pods, and to create and replace secrets, in this namespace",
    ),
    (
        "namespaces",
        "`kubectl get namespaces` lists them; choose one with --namespace",
    ),
    (
        "exceeded quota",
        "`kubectl describe quota` shows what is left in this namespace",
    ),
    (
        "unknown field",
        "the cluster is older than 1.29, which has no backoff limit for each index",
    ),
    (
        "validation",
        "the cluster is older than 1.29, which has no backoff limit for each index",
    ),
];

/// What every pod is given. The names are checked by their types, the rest by [`Kubernetes::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubernetesOptions {
    /// Namespace; that of the user's context if none is named.
    pub namespace: Option<DnsLabel>,
    /// Image with lehr in it.
    pub image: String,
    /// The program in the image.
    pub program: String,
    /// Queue of Kueue that admits the jobs.
    pub queue: Option<DnsLabel>,
    /// Cores.
    pub cpus: NonZeroU32,
    /// Memory in MiB.
    pub memory_mib: NonZeroU32,
    /// GPUs.
    pub gpus: u32,
    /// What the cluster calls a GPU.
    pub gpu_resource: Word,
}

/// Nodes in a Kubernetes cluster.
#[derive(Clone, Debug)]
pub struct Kubernetes {
    group: GroupName,
    invitation: PathBuf,
    options: KubernetesOptions,
}

impl Kubernetes {
    /// A launcher for this group.
    ///
    /// # Errors
    /// If the image or the program are no words, or there is less memory than a node needs to start.
    pub fn new(
        group: GroupName,
        node: &NodeCommand,
        options: KubernetesOptions,
    ) -> Result<Kubernetes, LaunchError> {
        let is_word =
            |text: &str| !text.is_empty() && text.chars().all(|letter| letter.is_ascii_graphic());
        let refused = |value: &str, what, rule| LaunchError::Value {
            value: value.to_string(),
            what,
            rule,
        };
        if !is_word(&options.image) {
            let rule =
                "it must be a reference such as `registry.example.org/lehr:1`, without blanks";
            return Err(refused(&options.image, "the image", rule));
        }
        if !is_word(&options.program) {
            return Err(refused(
                &options.program,
                "the program",
                "it must be one word without blanks",
            ));
        }
        if options.memory_mib.get() < manifest::SHARED_MIB * 2 {
            let value = format!("{} MiB", options.memory_mib);
            return Err(refused(
                &value,
                "the memory of a node",
                "it must be 512 MiB or more",
            ));
        }
        Ok(Kubernetes {
            group,
            invitation: node.invitation().to_path_buf(),
            options,
        })
    }

    /// The manifest that would be sent to start so many.
    pub fn rehearsal(&self, count: NonZeroU32, avoided: &BTreeSet<NodeName>) -> String {
        let job = manifest::job(&self.group, 0, count, avoided, &self.options);
        format!("{job:#}\n")
    }

    /// Removes the secret with the invitation, once nobody needs it any more.
    ///
    /// # Errors
    /// If the cluster refuses.
    pub fn forget(&self) -> Result<(), LaunchError> {
        let deletion = self.kubectl(&[
            "delete",
            "secret",
            self.group.as_str(),
            "--ignore-not-found",
        ]);
        deletion
            .run()
            .map(|_| ())
            .map_err(failed("remove the secret with the invitation".to_string()))
    }

    fn kubectl(&self, arguments: &[&str]) -> Outside {
        kubectl(self.options.namespace.as_ref(), arguments)
    }

    fn list(&self) -> Result<Listing, LaunchError> {
        read(&self.group, self.options.namespace.as_ref())
    }

    /// Puts the invitation where the pods find it. It travels on standard input, never as an argument.
    fn write_secret(&self) -> Result<(), LaunchError> {
        let action = || "write the secret with the invitation".to_string();
        let file = format!("--from-file={INVITATION_KEY}={}", self.invitation.display());
        let name = self.group.as_str();
        let rendered = self
            .kubectl(&[
                "create",
                "secret",
                "generic",
                name,
                &file,
                "--dry-run=client",
                "--output=json",
            ])
            .run()
            .map_err(failed(action()))?;
        let labelled = manifest::labelled_secret(&rendered, &self.group);
        // What `kubectl` said is not shown: it is the secret.
        let secret = labelled.ok_or_else(|| LaunchError::Answer {
            line: "kubectl create secret --dry-run=client".to_string(),
            part: "(not shown)".to_string(),
            rule: "it is the manifest of a secret",
        })?;
        let created = self
            .kubectl(&["create", "--filename=-"])
            .input(secret.clone())
            .run();
        match created {
            Ok(_) => Ok(()),
            Err(error)
                if error.words().contains("AlreadyExists")
                    || error.words().contains("already exists") =>
            {
                let replaced = self
                    .kubectl(&["replace", "--filename=-"])
                    .input(secret)
                    .run();
                replaced.map(|_| ()).map_err(failed(action()))
            }
            Err(error) => Err(failed(action())(error)),
        }
    }

    fn delete_job(&self, job: &str) -> Result<(), LaunchError> {
        let deletion = self.kubectl(&[
            "delete",
            "job",
            job,
            "--ignore-not-found",
            "--cascade=background",
            "--wait=false",
        ]);
        deletion
            .run()
            .map(|_| ())
            .map_err(failed(format!("stop the job {job}")))
    }

    /// Keeps the indexes below this one.
    fn shrink(&self, job: &str, length: u32) -> Result<(), LaunchError> {
        let patch =
            format!("--patch={{\"spec\":{{\"completions\":{length},\"parallelism\":{length}}}}}");
        let patching = self.kubectl(&["patch", "job", job, "--type=merge", &patch]);
        patching
            .run()
            .map(|_| ())
            .map_err(failed(format!("shrink the job {job} to {length} nodes")))
    }

    fn delete_pods(&self, pods: &[String], how: StopHow) -> Result<(), LaunchError> {
        for pods in pods.chunks(PODS_MAX) {
            let mut command =
                self.kubectl(&["delete", "pod", "--ignore-not-found", "--wait=false"]);
            if how == StopHow::Now {
                // One second: without any, the machine is not asked whether the pod has really ended.
                command = command.arg("--grace-period=1");
            }
            let deletion = command.args(pods).run();
            deletion.map_err(failed(format!("stop {} pods", pods.len())))?;
        }
        Ok(())
    }
}

/// All nodes of a group that have not ended, oldest first.
///
/// # Errors
/// If the cluster does not answer, or says what is not understood.
pub fn list(group: &GroupName, namespace: Option<&DnsLabel>) -> Result<Vec<Placed>, LaunchError> {
    Ok(read(group, namespace)?.placed())
}

fn read(group: &GroupName, namespace: Option<&DnsLabel>) -> Result<Listing, LaunchError> {
    let label = format!("--selector={GROUP_LABEL}={group}");
    let command = kubectl(namespace, &["get", "jobs,pods", &label, "--output=json"]);
    let line = command.line();
    let answer = command
        .run()
        .map_err(failed(format!("list the jobs of {group}")))?;
    Listing::read(&line, &answer)
}

fn kubectl(namespace: Option<&DnsLabel>, arguments: &[&str]) -> Outside {
    let command = Outside::new("kubectl").args(arguments);
    match namespace {
        Some(namespace) => command.arg(format!("--namespace={namespace}")),
        None => command,
    }
}

fn failed(action: String) -> impl Fn(OutsideError) -> LaunchError {
    move |cause| {
        let other = match cause {
            OutsideError::Missing { .. } => "install kubectl, or set the PATH to where it is",
            OutsideError::TooSlow { .. } => {
                "the cluster does not answer: `kubectl cluster-info` says which one is asked"
            }
            _ => "what the cluster says is all that is known",
        };
        let hint = hint_for(&cause, &HINTS, other);
        LaunchError::Command {
            action: action.clone(),
            cause,
            hint,
        }
    }
}

impl Closed for Kubernetes {}

impl Launcher for Kubernetes {
    fn placed(&mut self) -> Result<Vec<Placed>, LaunchError> {
        Ok(self.list()?.placed())
    }

    fn start(
        &mut self,
        count: NonZeroU32,
        avoided: &BTreeSet<NodeName>,
    ) -> Result<(), LaunchError> {
        let number = self.list()?.next_number(&self.group);
        self.write_secret()?;
        let job = manifest::job(&self.group, number, count, avoided, &self.options);
        let creation = self
            .kubectl(&["create", "--filename=-"])
            .input(job.to_string());
        creation
            .run()
            .map(|_| ())
            .map_err(failed(format!("start {count} nodes in Kubernetes")))
    }

    /// A whole job is deleted, its last indexes by making it shorter, others by deleting their pods: a node
    /// that is told to leave ends with success, and its index is not filled again. An index in the middle that waits
    /// cannot be taken out: it holds no machine, and may go on waiting. A pod that is leaving may take the time that
    /// it was given; to be killed it is deleted once more, with hardly any.
    fn stop(&mut self, stopped: &[Placed], how: StopHow) -> Result<(), LaunchError> {
        let listing = self.list()?;
        let ids: BTreeSet<&str> = stopped.iter().map(|one| one.id.as_str()).collect();
        for job in listing.jobs() {
            let is_meant = |index: &u32| ids.contains(job.id(*index).as_str());
            let open = job.open();
            let ended: Vec<u32> = open.iter().copied().filter(is_meant).collect();
            let is_whole = !ended.is_empty() && ended.len() == open.len();
            if is_whole {
                self.delete_job(job.name())?;
            }
            if how == StopHow::Now {
                let pods = job.begun_pods(job.all().filter(is_meant));
                self.delete_pods(&pods, how)?;
            } else if let Some(first) = ended.first().copied()
                && !is_whole
            {
                let is_tail = open
                    .iter()
                    .all(|index| *index < first || ended.contains(index));
                match is_tail {
                    true => self.shrink(job.name(), first)?,
                    false => self.delete_pods(&job.begun_pods(ended), how)?,
                }
            }
        }
        Ok(())
    }
}
