//! What is sent to Kubernetes: the job of some nodes, and the secret with their invitation.
//!
//! Pods run without root, without the right to write outside of their scratch, and without a token of the
//! cluster. A pod is never replaced before it has ended, an eviction costs no retry, and the index of a node
//! whose trainers die one after the other (status 78) is not filled again.

use std::{collections::BTreeSet, num::NonZeroU32};

use serde_json::{Value, json};

use super::{GROUP_LABEL, INVITATION_KEY, KubernetesOptions};
use crate::launch::{
    GRACE_SECONDS, GroupName, MACHINE_UNFIT, NODE_VARIABLE, NodeName, PLACED_VARIABLE,
};

/// Memory for what processes of a pod share, in MiB; it counts as memory of the pod.
pub(super) const SHARED_MIB: u32 = 256;

/// How often an index may fail before it is given up.
const FAILURES_MAX: u32 = 20;

/// A job that has ended can be looked at for so long.
const KEPT_SECONDS: u32 = 3600;

/// Neither root nor anybody else of the image.
const USER: u32 = 10_001;

/// Folder in which the invitation lies.
const INVITATION_FOLDER: &str = "/etc/lehr";

/// Starts the node with an invitation that it alone can read: whatever mode is asked for, the files of a secret
/// are readable by a group too. The copy stays in memory.
const START: &str = "umask 077 && cp \"$1\" /dev/shm/invitation.json && \
                     exec \"$0\" worker --join /dev/shm/invitation.json";

/// The only folder that a node may write.
const SCRATCH: &str = "/scratch";

/// The job with this number.
pub(super) fn job(
    group: &GroupName,
    number: u32,
    count: NonZeroU32,
    avoided: &BTreeSet<NodeName>,
    options: &KubernetesOptions,
) -> Value {
    let name = format!("{group}-{number}");
    let mut labels =
        json!({ "app.kubernetes.io/name": "lehr-worker", GROUP_LABEL: group.as_str() });
    let pod_labels = labels.clone();
    if let Some(queue) = &options.queue {
        labels["kueue.x-k8s.io/queue-name"] = json!(queue.as_str());
    }
    let mut metadata = json!({ "name": name, "labels": labels });
    if let Some(namespace) = &options.namespace {
        metadata["namespace"] = json!(namespace.as_str());
    }
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            "completionMode": "Indexed",
            "completions": count,
            "parallelism": count,
            "backoffLimitPerIndex": FAILURES_MAX,
            "podReplacementPolicy": "Failed",
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "podFailurePolicy": { "rules": [
                {
                    "action": "Ignore",
                    "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }],
                },
                {
                    "action": "FailIndex",
                    "onExitCodes": {
                        "containerName": "node",
                        "operator": "In",
                        "values": [MACHINE_UNFIT],
                    },
                },
            ] },
            "template": {
                "metadata": { "labels": pod_labels },
                "spec": pod(group, &name, avoided, options),
            },
        },
    })
}

fn pod(
    group: &GroupName,
    job: &str,
    avoided: &BTreeSet<NodeName>,
    options: &KubernetesOptions,
) -> Value {
    let mut pod = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [container(job, options)],
        "volumes": [
            // Readable by the group of the pod's user and by nobody else.
            { "name": "invitation", "secret": { "secretName": group.as_str(), "defaultMode": 0o440 } },
            { "name": "scratch", "emptyDir": {} },
            {
                "name": "shared",
                "emptyDir": { "medium": "Memory", "sizeLimit": format!("{SHARED_MIB}Mi") },
            },
        ],
    });
    if options.gpus > 0 {
        // Machines with GPUs are often kept free of everything that does not name them.
        pod["tolerations"] = json!([{
            "key": options.gpu_resource.as_str(),
            "operator": "Exists",
            "effect": "NoSchedule",
        }]);
    }
    if !avoided.is_empty() {
        let not_there = |node: &NodeName| json!({ "key": "metadata.name", "operator": "NotIn", "values": [node.as_str()] });
        let terms: Vec<Value> = avoided.iter().map(not_there).collect();
        pod["affinity"] = json!({ "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{ "matchFields": terms }],
            },
        } });
    }
    pod
}

fn container(job: &str, options: &KubernetesOptions) -> Value {
    let memory = format!("{}Mi", options.memory_mib);
    let mut limits = json!({ "memory": memory });
    if options.gpus > 0 {
        limits[options.gpu_resource.as_str()] = json!(options.gpus.to_string());
    }
    let field = |path: &str| json!({ "fieldRef": { "fieldPath": path } });
    let index = field("metadata.annotations['batch.kubernetes.io/job-completion-index']");
    json!({
        "name": "node",
        "image": options.image,
        "command": ["/bin/sh", "-c", START],
        "args": [options.program, format!("{INVITATION_FOLDER}/{INVITATION_KEY}")],
        "workingDir": SCRATCH,
        "env": [
            { "name": NODE_VARIABLE, "valueFrom": field("spec.nodeName") },
            { "name": "LEHR_INDEX", "valueFrom": index },
            { "name": PLACED_VARIABLE, "value": format!("{job}/$(LEHR_INDEX)") },
            { "name": "HOME", "value": SCRATCH },
            { "name": "TMPDIR", "value": SCRATCH },
        ],
        "resources": {
            "requests": { "cpu": options.cpus.to_string(), "memory": memory },
            "limits": limits,
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        },
        "volumeMounts": [
            { "name": "invitation", "mountPath": INVITATION_FOLDER, "readOnly": true },
            { "name": "scratch", "mountPath": SCRATCH },
            { "name": "shared", "mountPath": "/dev/shm" },
        ],
    })
}

/// The manifest of a secret with the label of its group, if that is what it is.
pub(super) fn labelled_secret(rendered: &str, group: &GroupName) -> Option<String> {
    let mut secret: Value = serde_json::from_str(rendered).ok()?;
    let has_invitation = secret["kind"] == "Secret" && secret["data"][INVITATION_KEY].is_string();
    if !has_invitation {
        return None;
    }
    secret["metadata"]["labels"] = json!({ GROUP_LABEL: group.as_str() });
    Some(secret.to_string())
}
