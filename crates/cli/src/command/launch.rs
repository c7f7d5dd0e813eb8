//! `lehr launch`: as many nodes as are wanted, in an engine that starts them elsewhere.
//!
//! Whoever runs this again, on this machine or another, finds the same nodes and completes them.

use std::{
    env, fs,
    num::NonZeroU32,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use study::{
    cluster::facts,
    launch::{
        GroupName, Launcher, NodeCommand, Placed, PlacedState, StopHow,
        command::UserCommands,
        kubernetes::{Kubernetes, KubernetesOptions},
        reconcile::{Patience, Step, alive, carry_out, reconcile},
        slurm::{Slurm, SlurmOptions},
        waiting::LedgerFacts,
    },
};

use crate::{
    Ended, Outcome,
    args::{LaunchCommand, LaunchCommandArgs, LaunchKubernetesArgs, LaunchSlurmArgs, NodesArgs},
    tell,
};

/// An engine that does not answer is asked again so often in a row.
const FAILURES_MAX: u32 = 20;

/// How often those that were told to leave are looked at, and an interrupt is noticed.
const GLANCE: Duration = Duration::from_millis(500);

/// Those that do not leave are told again so often: one that was only just started may not have heard.
const AGAIN: Duration = Duration::from_secs(5);

/// After a kill, an engine may take so long to take it in.
const KILLED: Duration = Duration::from_secs(15);

pub(crate) fn run(command: &LaunchCommand) -> Result<Outcome> {
    match command {
        LaunchCommand::Slurm(args) => slurm(args),
        LaunchCommand::Kubernetes(args) => kubernetes(args),
        LaunchCommand::Command(args) => user_commands(args),
    }
}

fn slurm(args: &LaunchSlurmArgs) -> Result<Outcome> {
    let node = node(&args.nodes, args.program.as_deref())?;
    let logs = match &args.logs {
        Some(logs) => std::path::absolute(logs).context("could not find the folder for logs")?,
        None => node.invitation().with_file_name("logs"),
    };
    let options = SlurmOptions {
        partition: args.partition.clone(),
        account: args.account.clone(),
        qos: args.qos.clone(),
        constraint: args.constraint.clone(),
        time: args.time,
        cpus: args.cpus_per_node,
        gpus: args.gpus_per_node,
        memory_mib: args.memory_mib_per_node,
        logs: logs.clone(),
    };
    let group = group(&args.nodes, &node);
    let mut launcher = Slurm::new(group.clone(), node, options)?;
    if args.nodes.dry_run {
        return Ok(launcher
            .rehearsal(wanted(&args.nodes)?, &Default::default())
            .into());
    }
    if !args.nodes.stop {
        // Slurm throws away what a job prints if its folder is not there.
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&logs);
        made.with_context(|| format!("could not make the folder {}", logs.display()))?;
    }
    let logs = format!("the logs of the nodes are in {}", logs.display());
    tend(&mut launcher, &group, &args.nodes, &logs)
}

fn kubernetes(args: &LaunchKubernetesArgs) -> Result<Outcome> {
    let node = node(&args.nodes, None)?;
    let options = KubernetesOptions {
        namespace: args.namespace.clone(),
        image: args.image.clone(),
        program: args.program.clone(),
        queue: args.queue.clone(),
        cpus: args.cpus_per_node,
        memory_mib: args.memory_mib_per_node,
        gpus: args.gpus_per_node,
        gpu_resource: args.gpu_resource.clone(),
    };
    let group = group(&args.nodes, &node);
    let mut launcher = Kubernetes::new(group.clone(), &node, options)?;
    if args.nodes.dry_run {
        return Ok(launcher
            .rehearsal(wanted(&args.nodes)?, &Default::default())
            .into());
    }
    let logs = format!("`kubectl logs --selector=lehr/group={group}` shows what they print");
    let outcome = tend(&mut launcher, &group, &args.nodes, &logs)?;
    if args.nodes.stop {
        launcher.forget()?;
    }
    Ok(outcome)
}

fn user_commands(args: &LaunchCommandArgs) -> Result<Outcome> {
    let node = node(&args.nodes, args.program.as_deref())?;
    let shown = args.recipe.display();
    let text = fs::read_to_string(&args.recipe)
        .with_context(|| format!("could not read the recipe {shown}"))?;
    let recipe = toml::from_str(&text).with_context(|| {
        format!("{shown} is no recipe: it needs `start`, `list` and `stop`, and may have `seconds`")
    })?;
    let group = group(&args.nodes, &node);
    let mut launcher = UserCommands::new(group.clone(), node, recipe)?;
    if args.nodes.dry_run {
        return Ok(launcher
            .rehearsal(wanted(&args.nodes)?, &Default::default())
            .into());
    }
    tend(
        &mut launcher,
        &group,
        &args.nodes,
        "the engine of the recipe knows where the logs of the nodes are",
    )
}

fn node(args: &NodesArgs, program: Option<&Path>) -> Result<NodeCommand> {
    let program: PathBuf = match program {
        Some(program) => program.to_path_buf(),
        None => env::current_exe().context("could not find this program's own file")?,
    };
    Ok(NodeCommand::new(&program, &args.join)?)
}

fn group(args: &NodesArgs, node: &NodeCommand) -> GroupName {
    let told = || GroupName::of_invitation(node.invitation());
    args.name.clone().unwrap_or_else(told)
}

fn wanted(args: &NodesArgs) -> Result<NonZeroU32> {
    let nodes = args.nodes.and_then(NonZeroU32::new);
    nodes.context("--nodes must say how many nodes there shall be")
}

/// What a study's ledger says about its nodes. Nodes are started without it, too: it may be out of reach from
/// where this runs, or away for a while.
fn ask_ledger(join: &Path) -> Option<LedgerFacts> {
    let said = facts::ask(join).map_err(anyhow::Error::from);
    said.inspect_err(|error| tell(&format!("the ledger was not asked: {error:#}")))
        .ok()
}

fn tend(
    launcher: &mut dyn Launcher,
    group: &GroupName,
    args: &NodesArgs,
    logs: &str,
) -> Result<Outcome> {
    if args.stop {
        return stop(launcher, group, args.grace);
    }
    let wanted = wanted(args)?.get();
    let facts = ask_ledger(&args.join);
    let first = look(launcher, wanted, facts.as_ref())?;
    tell(logs);
    let text = first.shown(group, wanted);
    if !args.keep {
        return Ok(text.into());
    }
    tell(text.trim_end());
    keep(launcher, wanted, args, logs, &first)
}

/// What was found at a look, and what was done about it.
struct Look {
    placed: Vec<Placed>,
    alive: usize,
    step: Step,
}

impl Look {
    fn shown(&self, group: &GroupName, wanted: u32) -> String {
        let count = |matches: fn(&PlacedState) -> bool| {
            self.placed.iter().filter(|one| matches(&one.state)).count()
        };
        let running = count(|state| matches!(state, PlacedState::Running { .. }));
        let waiting = count(|state| matches!(state, PlacedState::Waiting { .. }));
        format!(
            "{group}: {wanted} wanted; {running} ran and {waiting} waited; {} started, {} stopped\n",
            self.step.start,
            self.step.stops.len()
        )
    }
}

fn look(launcher: &mut dyn Launcher, wanted: u32, facts: Option<&LedgerFacts>) -> Result<Look> {
    let doubts = facts.map(|facts| facts.doubts.clone()).unwrap_or_default();
    let placed = launcher.placed()?;
    let step = reconcile(wanted, &placed, &doubts);
    carry_out(launcher, &step, &doubts)?;
    Ok(Look {
        alive: alive(&placed, &doubts),
        placed,
        step,
    })
}

/// Looks again and again, until the study ends, nothing that is started stays, or somebody interrupts.
fn keep(
    launcher: &mut dyn Launcher,
    wanted: u32,
    args: &NodesArgs,
    logs: &str,
    first: &Look,
) -> Result<Outcome> {
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupt))
            .context("could not listen for interrupts")?;
    }
    let mut patience = Patience::default();
    patience.note(first.alive, first.step.start);
    let mut failures = 0;
    loop {
        if wait(patience.pause(args.every), &interrupt) {
            tell("no longer looking; the nodes stay until their study ends or `--stop`");
            return Ok(Outcome {
                text: String::new(),
                ended: Ended::Resumable,
            });
        }
        let facts = ask_ledger(&args.join);
        if facts.as_ref().is_some_and(|facts| facts.has_ended) {
            return Ok("the study has ended; its nodes leave by themselves\n"
                .to_string()
                .into());
        }
        match look(launcher, wanted, facts.as_ref()) {
            Ok(look) => {
                failures = 0;
                patience.note(look.alive, look.step.start);
                if look.step != Step::default() {
                    let (start, stops) = (look.step.start, look.step.stops.len());
                    tell(&format!(
                        "{} of {wanted} nodes were alive; {start} started, {stops} stopped",
                        look.alive
                    ));
                }
            }
            Err(error) => {
                failures += 1;
                tell(&format!("{error:#}"));
                if failures >= FAILURES_MAX {
                    return Err(
                        error.context(format!("the engine failed {failures} times in a row"))
                    );
                }
            }
        }
        if patience.is_exhausted() {
            bail!("nodes end as soon as they are started: {logs}");
        }
    }
}

/// Waits; says whether somebody interrupted.
fn wait(time: Duration, interrupt: &AtomicBool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < time {
        if interrupt.load(Ordering::Relaxed) {
            return true;
        }
        thread::sleep(GLANCE.min(time.saturating_sub(begin.elapsed())));
    }
    interrupt.load(Ordering::Relaxed)
}

fn stop(launcher: &mut dyn Launcher, group: &GroupName, grace: Duration) -> Result<Outcome> {
    let found = launcher.placed()?;
    if found.is_empty() {
        return Ok(format!("{group}: no node is placed\n").into());
    }
    let (count, seconds) = (found.len(), grace.as_secs());
    tell(&format!(
        "{count} nodes are told to leave; those that are still there after {seconds} s are killed"
    ));
    let mut left = end(launcher, StopHow::Gracefully, grace)?;
    let killed = left.len();
    if killed > 0 {
        left = end(launcher, StopHow::Now, KILLED)?;
    }
    if !left.is_empty() {
        let ids: Vec<&str> = left.iter().map(|one| one.id.as_str()).collect();
        bail!(
            "{} of {count} nodes do not end, although they were killed: {}",
            ids.len(),
            ids.join(", ")
        );
    }
    Ok(format!("{group}: {count} nodes were there; {killed} of them had to be killed\n").into())
}

/// Stops all; gives those that are still there after this time. One that is leaving is still there: it may be
/// writing what it has. It has heard that it shall leave, but not that it is killed.
fn end(launcher: &mut dyn Launcher, how: StopHow, time: Duration) -> Result<Vec<Placed>> {
    let begin = Instant::now();
    let mut told: Option<Instant> = None;
    loop {
        let left = launcher.placed()?;
        if left.is_empty() || told.is_some() && begin.elapsed() >= time {
            return Ok(left);
        }
        if told.is_none_or(|told| told.elapsed() >= AGAIN) {
            let hears = |one: &&Placed| how == StopHow::Now || one.state != PlacedState::Ending;
            let stopped: Vec<Placed> = left.iter().filter(hears).cloned().collect();
            if !stopped.is_empty() {
                launcher.stop(&stopped, how)?;
            }
            told = Some(Instant::now());
        }
        thread::sleep(GLANCE.min(time));
    }
}
