//! Slurm: nodes as elements of job arrays, through `sbatch`, `squeue`, `sinfo` and `scancel`.
//!
//! Jobs are found by name with `squeue`. `sacct` is never asked: it needs a database that many clusters lack,
//! and gives the state of another job once numbers are used again. What decides is said on the command line,
//! because variables such as `SBATCH_EXPORT` overrule what stands in a script.

use std::{
    collections::BTreeSet,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    GRACE_SECONDS, GroupName, LaunchError, Launcher, NODE_VARIABLE, NodeCommand, NodeName,
    PLACED_VARIABLE, Placed, PlacedId, PlacedState, StopHow, Word, closed::Closed, hint_for,
    printable,
};
use crate::outside::{Outside, OutsideError};

/// Elements of one array: what Slurm allows if nobody changed it (`MaxArraySize` is 1001).
const ARRAY_LENGTH_MAX: u32 = 1000;

/// Jobs named in one command.
const IDS_MAX: usize = 500;

/// Variables that a node needs to find its tools, its home and its language. No others are sent, because
/// Slurm keeps what is sent in the record of the job.
const EXPORTED: &str = "HOME,USER,LOGNAME,PATH,LANG,LC_ALL";

/// Variables of `sbatch` that a site may set for its users, and that decide nothing of ours.
const SITE_VARIABLES: [&str; 5] = [
    "SBATCH_ACCOUNT",
    "SBATCH_PARTITION",
    "SBATCH_QOS",
    "SBATCH_CONSTRAINT",
    "SBATCH_RESERVATION",
];

/// What commands of Slurm say, and what to do then.
const HINTS: [(&str, &str); 10] = [
    ("partition", "`sinfo -s` lists the partitions"),
    (
        "account",
        "`sacctmgr show associations user=$USER` lists your accounts; choose one with --account",
    ),
    (
        "qos",
        "`sacctmgr show qos` lists the qualities of service; choose another --qos",
    ),
    (
        "feature",
        "`sinfo -o '%n %f'` lists the features of nodes; choose another --constraint",
    ),
    (
        "reservation",
        "`scontrol show reservation` lists the reservations; correct SBATCH_RESERVATION, or unset it",
    ),
    (
        "node configuration is not available",
        "no node has what is asked for: `sinfo -o '%n %c %m %G'` shows what they have",
    ),
    (
        "gres",
        "no node has such GPUs: `sinfo -o '%n %G'` shows what they have",
    ),
    (
        "time limit",
        "ask for less --time; `sinfo -o '%P %l'` shows the limit of each partition",
    ),
    (
        "unable to contact slurm controller",
        "the controller is away: `scontrol ping` says when it is back",
    ),
    (
        "configuration source",
        "this machine belongs to no Slurm cluster: run this on a login node, or set SLURM_CONF",
    ),
];

/// What every node is given. [`Slurm::new`] refuses what Slurm could not use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlurmOptions {
    /// Partition; Slurm's default if none is named.
    pub partition: Option<Word>,
    /// Account that pays.
    pub account: Option<Word>,
    /// Quality of service.
    pub qos: Option<Word>,
    /// Features that a node must have.
    pub constraint: Option<Word>,
    /// Time limit of a node; the partition's if there is none.
    pub time: Option<Duration>,
    /// Cores.
    pub cpus: Option<NonZeroU32>,
    /// GPUs.
    pub gpus: u32,
    /// Memory in MiB.
    pub memory_mib: Option<NonZeroU32>,
    /// Folder for what nodes print, on every machine the same.
    pub logs: PathBuf,
}

/// Nodes in a Slurm cluster.
#[derive(Clone, Debug)]
pub struct Slurm {
    group: GroupName,
    node: NodeCommand,
    options: SlurmOptions,
}

impl Slurm {
    /// A launcher for this group.
    ///
    /// # Errors
    /// If a path cannot be written into a script, or the time limit leaves no time beside the grace time.
    pub fn new(
        group: GroupName,
        node: NodeCommand,
        options: SlurmOptions,
    ) -> Result<Slurm, LaunchError> {
        let logs = printable(options.logs.clone())?;
        // In names of files Slurm replaces what follows a `%`.
        if logs.to_string_lossy().contains(['%', '\\']) || !logs.is_absolute() {
            return Err(LaunchError::Value {
                value: logs.display().to_string(),
                what: "the folder for what nodes print",
                rule: "it must be a full path without `%` and `\\`",
            });
        }
        let grace = Duration::from_secs(u64::from(GRACE_SECONDS));
        if let Some(time) = options.time.filter(|time| *time < 2 * grace) {
            return Err(LaunchError::Value {
                value: format!("{} s", time.as_secs()),
                what: "the time limit of a node",
                rule: "it must be 240 s or more: a node is told to leave 120 s before its end",
            });
        }
        Ok(Slurm {
            group,
            node,
            options,
        })
    }

    /// What would be typed to start so many: `sbatch`, its options, and the script.
    pub fn rehearsal(&self, count: NonZeroU32, avoided: &BTreeSet<NodeName>) -> String {
        let arrays = array_lengths(count);
        let submitted = arrays.iter().map(|length| {
            let command = self.submission(*length, avoided);
            format!("{command} <<'END'\n{}END\n", self.script())
        });
        submitted.collect::<Vec<_>>().concat()
    }

    /// What a job runs. The program replaces the shell, so that it is the one that hears signals.
    fn script(&self) -> String {
        format!(
            "#!/bin/sh\n\
             # A node of the group {group}; it ends by itself when its study does.\n\
             {NODE_VARIABLE}=${{SLURMD_NODENAME:-$(hostname)}}\n\
             {PLACED_VARIABLE}=${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}\n\
             export {NODE_VARIABLE} {PLACED_VARIABLE}\n\
             exec {line}\n",
            group = self.group,
            line = self.node.line()
        )
    }

    fn submission(&self, length: u32, avoided: &BTreeSet<NodeName>) -> Outside {
        let folder = self.node.invitation().parent().unwrap_or(Path::new("/"));
        let options = &self.options;
        let mut arguments = vec![
            "--parsable".to_string(),
            format!("--job-name={}", self.group),
            format!("--array=0-{}", length - 1),
            "--nodes=1".to_string(),
            "--ntasks=1".to_string(),
            "--requeue".to_string(),
            "--open-mode=append".to_string(),
            format!("--chdir={}", folder.display()),
            format!("--output={}/%x-%A_%a.log", options.logs.display()),
            format!("--signal=B:TERM@{GRACE_SECONDS}"),
            format!("--export={EXPORTED}"),
        ];
        let named = [
            ("partition", &options.partition),
            ("account", &options.account),
            ("qos", &options.qos),
            ("constraint", &options.constraint),
        ];
        for (name, value) in named {
            arguments.extend(value.iter().map(|value| format!("--{name}={value}")));
        }
        // Slurm counts in minutes; a limit that is rounded up loses nobody a second.
        let minutes = options.time.map(|time| time.as_secs().div_ceil(60));
        arguments.extend(minutes.map(|minutes| format!("--time={minutes}")));
        arguments.extend(options.cpus.map(|cpus| format!("--cpus-per-task={cpus}")));
        arguments.extend(options.memory_mib.map(|mib| format!("--mem={mib}M")));
        if options.gpus > 0 {
            arguments.push(format!("--gres=gpu:{}", options.gpus));
        }
        if !avoided.is_empty() {
            let names: Vec<&str> = avoided.iter().map(NodeName::as_str).collect();
            arguments.push(format!("--exclude={}", names.join(",")));
        }
        Outside::new("sbatch")
            .args(arguments)
            .without("SBATCH_", &SITE_VARIABLES)
            // From within a job, what describes that job must not describe the next one.
            .without("SLURM_", &["SLURM_CONF"])
    }

    fn cancel(&self, ids: &[&PlacedId], signal: &[&str]) -> Result<(), LaunchError> {
        for ids in ids.chunks(IDS_MAX) {
            let cancelled = Outside::new("scancel")
                .arg("--quiet")
                .args(signal)
                .args(ids.iter().map(|id| id.as_str()))
                .without("SCANCEL_", &[])
                .without("SLURM_", &["SLURM_CONF"])
                .run();
            let Err(cause) = cancelled else { continue };
            // It complains of jobs that are gone, which is all that was wanted.
            let is_there = |one: &Placed| ids.iter().any(|id| **id == one.id);
            let is_missing = matches!(cause, OutsideError::Missing { .. });
            if is_missing || list(&self.group)?.iter().any(is_there) {
                return Err(failed(
                    format!("stop {} nodes with Slurm", ids.len()),
                    cause,
                ));
            }
        }
        Ok(())
    }
}

/// All jobs of a group that have not ended, oldest first.
///
/// # Errors
/// If `squeue` does not answer, or says what is not understood.
pub fn list(group: &GroupName) -> Result<Vec<Placed>, LaunchError> {
    let listing = Outside::new("squeue")
        .args(["--noheader", "--array", "--all"])
        .arg(format!("--user={}", rustix::process::geteuid().as_raw()))
        .arg(format!("--name={group}"))
        .args(["-o", "%i|%T|%N|%r"])
        // A filter of the user's own would hide what is placed, and more would be started.
        .without("SQUEUE_", &[])
        .without("SLURM_", &["SLURM_CONF"]);
    let line = listing.line();
    let action = || format!("list the jobs of {group}");
    let answer = listing.run().map_err(|cause| failed(action(), cause))?;
    read_listing(&line, &answer)
}

fn failed(action: String, cause: OutsideError) -> LaunchError {
    let other = match cause {
        OutsideError::Missing { .. } => {
            "run this on a login node of the cluster, or install Slurm's commands"
        }
        OutsideError::TooSlow { .. } => {
            "the controller is busy or away: try again, and ask `scontrol ping`"
        }
        _ => "what Slurm says is all that is known",
    };
    let hint = hint_for(&cause, &HINTS, other);
    LaunchError::Command {
        action,
        cause,
        hint,
    }
}

/// How many elements each array has.
fn array_lengths(count: NonZeroU32) -> Vec<u32> {
    let (full, rest) = (
        count.get() / ARRAY_LENGTH_MAX,
        count.get() % ARRAY_LENGTH_MAX,
    );
    let lengths = (0..full).map(|_| ARRAY_LENGTH_MAX);
    lengths.chain((rest > 0).then_some(rest)).collect()
}

fn read_listing(line: &str, answer: &str) -> Result<Vec<Placed>, LaunchError> {
    let lines = answer.lines().filter(|text| !text.trim().is_empty());
    let mut placed: Vec<Placed> = lines
        .filter_map(|text| read_job(line, text).transpose())
        .collect::<Result<_, _>>()?;
    placed.sort_by_key(|one| numbers(&one.id));
    Ok(placed)
}

/// Number of the job and of the element in its array.
fn numbers(id: &PlacedId) -> (u64, u64) {
    let (job, element) = id.as_str().split_once('_').unwrap_or((id.as_str(), "0"));
    let number = |text: &str| text.parse().unwrap_or(u64::MAX);
    (number(job), number(element))
}

/// A job that has not ended; a node that was told to leave is one that runs until it has left.
fn read_job(line: &str, text: &str) -> Result<Option<Placed>, LaunchError> {
    let misread = |rule| LaunchError::Answer {
        line: line.to_string(),
        part: text.to_string(),
        rule,
    };
    let fields: Vec<&str> = text.splitn(4, '|').map(str::trim).collect();
    let [id, state, node, reason] = fields[..] else {
        return Err(misread("a line has a job's number, state, node and reason"));
    };
    let reason = reason.to_string();
    let state = match state {
        // A job that is put back into the queue after its machine died waits two minutes more.
        "PENDING" if is_held(&reason) => PlacedState::Held { reason },
        // Nobody but an administrator lets one go on whose reservation was deleted.
        "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "RESV_DEL_HOLD" | "SPECIAL_EXIT" => {
            PlacedState::Held { reason }
        }
        // One that Slurm is about to queue again before all others, or to end: the next look knows.
        "PENDING" | "EXPEDITING" => PlacedState::Waiting { reason },
        "CONFIGURING" | "RUNNING" | "RESIZING" | "SIGNALING" | "STOPPED" | "SUSPENDED" => {
            PlacedState::Running {
                node: node.parse().ok(),
            }
        }
        // Slurm ends whatever is left of these and clears away behind them, for a machine that is down as long as
        // it is down: nobody can hurry it, and whoever waited for it might wait for ever.
        "BOOT_FAIL" | "CANCELLED" | "COMPLETED" | "COMPLETING" | "DEADLINE" | "FAILED"
        | "NODE_FAIL" | "OUT_OF_MEMORY" | "PREEMPTED" | "REVOKED" | "STAGE_OUT" | "TIMEOUT" => {
            return Ok(None);
        }
        _ => return Err(misread("the state is none that Slurm 22 to 25 know")),
    };
    let id = id
        .parse()
        .map_err(|_| misread("a line begins with a job's number"))?;
    Ok(Some(Placed { id, state }))
}

/// Those of these machines that Slurm knows by this name. Nodes that another engine or somebody by hand has started are
/// in the same ledger, and `sbatch` refuses to start anything where it is told of a machine that is none of its own.
fn known(avoided: &BTreeSet<NodeName>) -> Result<BTreeSet<NodeName>, LaunchError> {
    if avoided.is_empty() {
        return Ok(BTreeSet::new());
    }
    let listing = Outside::new("sinfo").args(["--noheader", "--all", "--Node", "-o", "%N"]);
    // A filter of the user's own would hide machines, and nodes would be placed on them again.
    let listing = listing
        .without("SINFO_", &[])
        .without("SLURM_", &["SLURM_CONF"]);
    let action = "list the machines of the cluster".to_string();
    let answer = listing.run().map_err(|cause| failed(action, cause))?;
    Ok(named_in(&answer, avoided))
}

/// Those of these machines that stand in a list with a name in each line.
fn named_in(list: &str, machines: &BTreeSet<NodeName>) -> BTreeSet<NodeName> {
    let names: BTreeSet<&str> = list.lines().map(str::trim).collect();
    let is_named = |machine: &&NodeName| names.contains(machine.as_str());
    machines.iter().filter(is_named).cloned().collect()
}

fn is_held(reason: &str) -> bool {
    matches!(reason, "BeginTime")
        || reason.to_ascii_lowercase().contains("requeued held")
        || reason.to_ascii_lowercase().contains("requeued_held")
}

impl Closed for Slurm {}

impl Launcher for Slurm {
    fn placed(&mut self) -> Result<Vec<Placed>, LaunchError> {
        list(&self.group)
    }

    fn start(
        &mut self,
        count: NonZeroU32,
        avoided: &BTreeSet<NodeName>,
    ) -> Result<(), LaunchError> {
        let avoided = known(avoided)?;
        for length in array_lengths(count) {
            let submitted = self.submission(length, &avoided).input(self.script()).run();
            let action = || format!("start {length} nodes with Slurm");
            submitted.map_err(|cause| failed(action(), cause))?;
        }
        Ok(())
    }

    fn stop(&mut self, stopped: &[Placed], how: StopHow) -> Result<(), LaunchError> {
        let is_asked = |one: &&Placed| {
            how == StopHow::Gracefully && matches!(one.state, PlacedState::Running { .. })
        };
        let (asked, ended): (Vec<&Placed>, Vec<&Placed>) = stopped.iter().partition(is_asked);
        let ids = |some: Vec<&'_ Placed>| some.into_iter().map(|one| one.id.clone()).collect();
        let (asked, ended): (Vec<PlacedId>, Vec<PlacedId>) = (ids(asked), ids(ended));
        // Only the program itself is told; a plain cancel would kill it after the cluster's own short wait.
        self.cancel(
            &asked.iter().collect::<Vec<_>>(),
            &["--batch", "--signal=TERM"],
        )?;
        self.cancel(&ended.iter().collect::<Vec<_>>(), &[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::tests::invitation;

    fn slurm(folder: &Path, change: impl FnOnce(&mut SlurmOptions)) -> Result<Slurm, LaunchError> {
        let node = NodeCommand::new(Path::new("/bin/true"), &invitation(folder)).unwrap();
        let mut options = SlurmOptions {
            logs: "/shared/logs".into(),
            ..SlurmOptions::default()
        };
        change(&mut options);
        Slurm::new("lehr-moons".parse().unwrap(), node, options)
    }

    fn count(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    #[test]
    fn a_rehearsal_shows_every_option_and_nothing_of_the_invitation() {
        let folder = tempfile::tempdir().unwrap();
        let slurm = slurm(folder.path(), |options| {
            options.partition = Some("gpu".parse().unwrap());
            options.time = Some(Duration::from_secs(3601));
            options.cpus = NonZeroU32::new(8);
            options.gpus = 2;
            options.memory_mib = NonZeroU32::new(4096);
        });
        let avoided = ["n2".parse().unwrap(), "n7".parse().unwrap()].into();
        let text = slurm.unwrap().rehearsal(count(4), &avoided);
        for part in [
            "--job-name=lehr-moons",
            "--array=0-3",
            "--requeue",
            "--partition=gpu",
            "--time=61",
            "--cpus-per-task=8",
            "--gres=gpu:2",
            "--mem=4096M",
            "--exclude=n2,n7",
            "--signal=B:TERM@120",
            "--export=HOME,",
            "/invitation.json",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
        assert!(!text.contains("hush") && !text.contains("ALL,"), "{text}");
    }

    #[test]
    fn many_nodes_are_several_arrays_that_every_cluster_takes() {
        assert_eq!(array_lengths(count(1)), [1]);
        assert_eq!(array_lengths(count(1000)), [1000]);
        assert_eq!(array_lengths(count(2001)), [1000, 1000, 1]);
    }

    #[test]
    fn a_time_limit_that_leaves_no_time_to_work_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let short = |options: &mut SlurmOptions| options.time = Some(Duration::from_secs(200));
        let error = slurm(folder.path(), short).unwrap_err();
        assert!(error.to_string().contains("240 s"), "{error}");
    }

    #[test]
    fn a_folder_whose_name_slurm_would_change_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        for logs in ["/logs/%j", "logs", "/a\nb"] {
            let error = slurm(folder.path(), |options| options.logs = logs.into());
            assert!(error.is_err(), "{logs:?} is taken");
        }
    }

    #[test]
    fn a_listing_is_read_into_states_oldest_first_without_what_has_ended() {
        let answer = "12_10|PENDING||Priority\n12_2|RUNNING|n1|None\n9_0|COMPLETING|n3|None\n\
                      12_3|PENDING||BeginTime\n13_0|PENDING||launch failed requeued held\n\
                      13_1|RESV_DEL_HOLD||ReservationDeleted\n13_2|EXPEDITING||None\n";
        let placed = read_listing("squeue", answer).unwrap();
        let shown: Vec<String> = placed
            .iter()
            .map(|one| format!("{} {:?}", one.id, one.state))
            .collect();
        assert_eq!(
            shown,
            [
                "12_2 Running { node: Some(NodeName(\"n1\")) }",
                "12_3 Held { reason: \"BeginTime\" }",
                "12_10 Waiting { reason: \"Priority\" }",
                "13_0 Held { reason: \"launch failed requeued held\" }",
                "13_1 Held { reason: \"ReservationDeleted\" }",
                "13_2 Waiting { reason: \"None\" }",
            ]
        );
    }

    #[test]
    fn only_machines_that_slurm_names_itself_are_left_out() {
        let avoided = ["n2", "laptop", "n7.site.org"].into_iter();
        let avoided: BTreeSet<NodeName> = avoided.map(|name| name.parse().unwrap()).collect();
        let named = named_in("n1\nn2 \nn7\nn2\n", &avoided);
        let named: Vec<&str> = named.iter().map(NodeName::as_str).collect();
        assert_eq!(named, ["n2"]);
        assert!(known(&BTreeSet::new()).unwrap().is_empty());
    }

    #[test]
    fn an_answer_that_is_not_understood_stops_the_launcher() {
        for answer in [
            "12_1|RUNNING\n",
            "12_1|FLYING|n1|None\n",
            "|RUNNING|n1|None\n",
        ] {
            let error = read_listing("squeue -h", answer).unwrap_err();
            assert!(error.to_string().contains("squeue -h"), "{error}");
        }
    }
}
