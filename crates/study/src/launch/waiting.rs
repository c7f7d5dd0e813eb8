//! Why nothing runs: what engines say of those that wait, in words, with what to do about it.
//!
//! The words come from the documentation of Slurm's `squeue` (job reason codes) and from what Kubernetes
//! writes into the conditions of pods. What is not known is shown as the engine says it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Doubts, Placed, PlacedState};

/// What the ledger of a study says about its nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerFacts {
    /// Whether the study has ended.
    pub has_ended: bool,
    /// Trials that wait for a trainer.
    pub queued: u64,
    /// Trials that are being trained.
    pub running: u64,
    /// Nodes that were heard within the time of a lease.
    pub nodes_heard: u64,
    /// Those that an engine takes for alive and the ledger does not.
    pub doubts: Doubts,
}

/// One answer to the question why something waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How many nodes it is about.
    pub nodes: usize,
    /// What the engine, or the ledger, calls it.
    pub what: String,
    /// What that means.
    pub meaning: String,
    /// What to do.
    pub advice: String,
}

/// Reasons that engines give, what they mean, and what to do; the first that the reason begins with counts.
const REASONS: [(&str, &str, &str); 33] = [
    (
        "None",
        "the scheduler has not looked at it yet",
        "wait a few seconds",
    ),
    (
        "Resources",
        "it is next, and no machine is free that has what it asks for",
        "wait, or ask for less: --gpus-per-node, --cpus-per-node, --memory-mib-per-node, --time",
    ),
    (
        "Priority",
        "other jobs are before it",
        "wait; a short --time lets it slip into gaps",
    ),
    (
        "PartitionTimeLimit",
        "it asks for more time than its partition allows, so it never starts",
        "stop it, and start again with less --time or another --partition",
    ),
    (
        "PartitionNodeLimit",
        "it asks for more machines than its partition allows, so it never starts",
        "stop it, and start again with another --partition",
    ),
    (
        "PartitionConfig",
        "its partition does not allow what it asks for",
        "stop it, and start again with another --partition",
    ),
    (
        "PartitionDown",
        "its partition starts no jobs at present",
        "wait, or start again with another --partition",
    ),
    (
        "PartitionInactive",
        "its partition takes no jobs at present",
        "wait, or start again with another --partition",
    ),
    (
        "ReqNodeNotAvail",
        "machines that it needs are down, drained or reserved",
        "`sinfo -R` says why; wait, or start again with another --partition",
    ),
    (
        "ReservationDeleted",
        "its reservation was deleted, and Slurm holds it",
        "correct SBATCH_RESERVATION, or unset it; then `lehr launch` replaces it",
    ),
    (
        "ReservationInvalid",
        "it asks for a reservation that is not valid",
        "stop it, correct SBATCH_RESERVATION or unset it, and start again",
    ),
    (
        "Reservation",
        "it waits for its reservation to begin",
        "wait",
    ),
    (
        "NodeDown",
        "a machine that it needs is down",
        "`sinfo -R` says why; wait for the administrators",
    ),
    (
        "BadConstraints",
        "no machine can ever have what it asks for",
        "stop it, and start again without --constraint, or with less",
    ),
    (
        "InvalidAccount",
        "its account is not valid",
        "stop it, and start again with another --account",
    ),
    (
        "InvalidQOS",
        "its quality of service is not valid",
        "stop it, and start again with another --qos",
    ),
    ("Licenses", "it waits for a licence", "wait"),
    (
        "BeginTime",
        "its machine died, and Slurm holds it for two minutes",
        "nothing: `lehr launch --keep` replaces it",
    ),
    (
        "JobHeldUser",
        "you hold it back",
        "`scontrol release` its number",
    ),
    (
        "JobHeldAdmin",
        "an administrator holds it back",
        "ask the administrators",
    ),
    (
        "JobArrayTaskLimit",
        "so many elements of its array may not run at once",
        "wait",
    ),
    (
        "MaxGRESPerAccount",
        "your account has all the GPUs it may have",
        "wait for your other jobs, or ask the administrators",
    ),
    (
        "AssocGrp",
        "your account has used what it may use at once",
        "wait for your other jobs, or use another --account",
    ),
    (
        "AssocMax",
        "one of your limits is smaller than what it asks for",
        "ask for less, or use another --account",
    ),
    (
        "QOS",
        "a limit of its quality of service is reached",
        "wait for your other jobs, or use another --qos",
    ),
    (
        "launch",
        "it could not be started on its machine, and is held",
        "stop it, start again, and tell the administrators which machine it was",
    ),
    (
        "Unschedulable",
        "no machine of the cluster has what it asks for free",
        "wait for the cluster to grow, or ask for less: --gpus-per-node, --cpus-per-node, --memory-mib-per-node",
    ),
    (
        "Suspended",
        "the queue of the cluster has not admitted it yet",
        "`kubectl get workloads` shows the queue; wait, or choose another --queue",
    ),
    (
        "ImagePullBackOff",
        "the image cannot be fetched",
        "check --image, and that the cluster may fetch it",
    ),
    (
        "ErrImagePull",
        "the image cannot be fetched",
        "check --image, and that the cluster may fetch it",
    ),
    (
        "InvalidImageName",
        "the name of the image is wrong",
        "stop it, and start again with another --image",
    ),
    (
        "CreateContainerConfigError",
        "the secret with the invitation is not there",
        "start again: `lehr launch kubernetes` writes it",
    ),
    ("ContainerCreating", "its image is being fetched", "wait"),
];

/// Why what is placed does not run, as far as the engine and, if it was asked, the ledger know.
pub fn why(placed: &[Placed], ledger: Option<&LedgerFacts>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(facts) = ledger {
        findings.extend(of_ledger(placed, facts));
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for one in placed {
        if let PlacedState::Waiting { reason } | PlacedState::Held { reason } = &one.state {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    findings.extend(
        reasons
            .into_iter()
            .map(|(reason, nodes)| explained(reason, nodes)),
    );
    if placed.is_empty() && ledger.is_none_or(|facts| !facts.has_ended) {
        findings.push(finding(
            0,
            "nothing placed",
            "no node of this group is known to the engine",
            "start some: `lehr launch`; if some were started, they have ended, and their logs say why",
        ));
    }
    findings
}

fn of_ledger(placed: &[Placed], facts: &LedgerFacts) -> Vec<Finding> {
    let running = placed
        .iter()
        .filter(|one| matches!(one.state, PlacedState::Running { .. }));
    let running = running.count();
    let mut findings = Vec::new();
    if facts.has_ended {
        let what = "the study has ended";
        findings.push(finding(
            placed.len(),
            what,
            "there is nothing left to do",
            "stop what is left: `lehr launch --stop`",
        ));
    } else if facts.queued == 0 && facts.running == 0 && facts.nodes_heard > 0 {
        let what = "no trial waits";
        findings.push(finding(
            running,
            what,
            "the nodes are there and propose the next trials",
            "wait a few seconds",
        ));
    }
    if running > 0 && facts.nodes_heard == 0 && !facts.has_ended {
        let what = "no node is heard";
        findings.push(finding(
            running,
            what,
            "the engine says that nodes run, but none has reached the ledger",
            "read their logs; can that machine reach the ledger's address?",
        ));
    }
    if !facts.doubts.silent.is_empty() {
        let nodes = facts.doubts.silent.len();
        findings.push(finding(
            nodes,
            "silent",
            "nodes were heard once and are not any more",
            "nothing: `lehr launch --keep` replaces them",
        ));
    }
    if !facts.doubts.quarantined.is_empty() {
        let names: Vec<&str> = facts
            .doubts
            .quarantined
            .iter()
            .map(|node| node.as_str())
            .collect();
        let meaning = format!("trial after trial failed on {}", names.join(", "));
        findings.push(finding(
            names.len(),
            "quarantined",
            &meaning,
            "look at these machines; nothing more is placed there",
        ));
    }
    findings
}

fn explained(reason: &str, nodes: usize) -> Finding {
    let known = REASONS
        .iter()
        .find(|(begin, _, _)| reason.starts_with(begin));
    match known {
        Some((_, meaning, advice)) => finding(nodes, reason, meaning, advice),
        None => finding(
            nodes,
            reason,
            "the engine says no more",
            "see the documentation of the engine for this reason",
        ),
    }
}

fn finding(nodes: usize, what: &str, meaning: &str, advice: &str) -> Finding {
    Finding {
        nodes,
        what: what.to_string(),
        meaning: meaning.to_string(),
        advice: advice.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(number: u32, reason: &str) -> Placed {
        Placed {
            id: format!("7_{number}").parse().unwrap(),
            state: PlacedState::Waiting {
                reason: reason.to_string(),
            },
        }
    }

    fn running(number: u32) -> Placed {
        Placed {
            id: format!("7_{number}").parse().unwrap(),
            state: PlacedState::Running { node: None },
        }
    }

    #[test]
    fn equal_reasons_are_counted_and_put_into_words() {
        let placed = [
            waiting(0, "Priority"),
            waiting(1, "Priority"),
            waiting(2, "PartitionTimeLimit"),
        ];
        let findings = why(&placed, None);
        assert_eq!(findings.len(), 2);
        assert_eq!(
            (findings[1].nodes, findings[1].what.as_str()),
            (2, "Priority")
        );
        assert!(
            findings[0].meaning.contains("never starts") && findings[0].advice.contains("--time")
        );
    }

    #[test]
    fn an_unknown_reason_is_shown_as_it_is() {
        let findings = why(&[waiting(0, "PhaseOfTheMoon")], None);
        assert_eq!(findings[0].what, "PhaseOfTheMoon");
    }

    #[test]
    fn nothing_placed_is_an_answer_too() {
        assert_eq!(why(&[], None)[0].what, "nothing placed");
    }

    #[test]
    fn nodes_that_run_and_are_not_heard_are_told_by_the_ledger() {
        let facts = LedgerFacts {
            queued: 3,
            ..LedgerFacts::default()
        };
        let findings = why(&[running(0)], Some(&facts));
        assert_eq!(findings[0].what, "no node is heard");
        let heard = LedgerFacts {
            nodes_heard: 1,
            ..facts
        };
        assert_eq!(why(&[running(0)], Some(&heard)), []);
    }

    #[test]
    fn an_ended_study_explains_everything() {
        let facts = LedgerFacts {
            has_ended: true,
            ..LedgerFacts::default()
        };
        let findings = why(&[], Some(&facts));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].what, "the study has ended");
    }

    #[test]
    fn a_longer_reason_is_not_taken_for_the_shorter_one_it_begins_with() {
        for (begin, meaning, _) in REASONS {
            assert_eq!(
                explained(begin, 1).meaning,
                meaning,
                "{begin} is hidden by another reason"
            );
        }
    }
}
