//! `lehr explain --waiting`: why nothing runs, asked of every engine that is installed.

use anyhow::{Context, Result, bail};
use serde_json::json;
use study::{
    cluster::facts,
    launch::{
        GroupName, LaunchError, Placed, PlacedState, kubernetes, slurm,
        waiting::{Finding, LedgerFacts, why},
    },
};

use crate::{
    args::{EngineArg, WaitingArgs},
    show,
};

/// What one engine said.
struct Asked {
    engine: &'static str,
    placed: Vec<Placed>,
    findings: Vec<Finding>,
}

pub(crate) fn run(args: &WaitingArgs, is_json: bool) -> Result<String> {
    let group = group(args)?;
    let mut unasked = None;
    let facts = args.join.as_deref().and_then(|join| {
        let said = facts::ask(join);
        said.map_err(|error| unasked = Some(format!("ledger: {error}")))
            .ok()
    });
    let (asked, mut failures) = ask(args, &group, facts.as_ref());
    failures.extend(unasked);
    if asked.is_empty() {
        match failures.is_empty() {
            true => bail!(
                "neither Slurm's nor Kubernetes' commands are installed here: run this where they are"
            ),
            false => bail!("no engine could be asked: {}", failures.join("; ")),
        }
    }
    if is_json {
        let engines: Vec<_> = asked
            .iter()
            .map(|one| json!({ "engine": one.engine, "nodes": one.placed.len(), "findings": one.findings }))
            .collect();
        return Ok(show::pretty_json(&json!({
            "group": group,
            "engines": engines,
            "failures": failures,
        })));
    }
    let mut text: String = asked.iter().map(|one| shown(one, &group)).collect();
    for failure in failures {
        text += &format!("unasked  {failure}\n");
    }
    Ok(text)
}

fn group(args: &WaitingArgs) -> Result<GroupName> {
    if let Some(name) = &args.name {
        return Ok(name.clone());
    }
    let join = args.join.as_ref().context("--waiting needs --join FILE")?;
    let full = join
        .canonicalize()
        .with_context(|| format!("could not find the invitation {}", join.display()))?;
    Ok(GroupName::of_invitation(&full))
}

/// Asks those engines that are meant; one that is not installed says nothing.
fn ask(
    args: &WaitingArgs,
    group: &GroupName,
    facts: Option<&LedgerFacts>,
) -> (Vec<Asked>, Vec<String>) {
    let (mut asked, mut failures) = (Vec::new(), Vec::new());
    let mut note = |engine: &'static str, answer: Result<Vec<Placed>, LaunchError>| match answer {
        Ok(placed) => asked.push(Asked {
            engine,
            findings: why(&placed, facts),
            placed,
        }),
        Err(error) if error.is_engine_missing() && args.engine.is_none() => {}
        Err(error) => failures.push(format!("{engine}: {error}")),
    };
    if args.engine != Some(EngineArg::Kubernetes) {
        note("slurm", slurm::list(group));
    }
    if args.engine != Some(EngineArg::Slurm) {
        note(
            "kubernetes",
            kubernetes::list(group, args.namespace.as_ref()),
        );
    }
    (asked, failures)
}

fn shown(asked: &Asked, group: &GroupName) -> String {
    let running = asked.placed.iter().filter_map(|one| match &one.state {
        PlacedState::Running { node } => Some(node.as_ref().map_or("?", |node| node.as_str())),
        _ => None,
    });
    let running: Vec<&str> = running.collect();
    let place = match running.is_empty() {
        true => String::new(),
        false => format!(", {} running (on {})", running.len(), running.join(", ")),
    };
    let mut text = format!(
        "{}  {group}: {} placed{place}\n",
        asked.engine,
        asked.placed.len()
    );
    for finding in &asked.findings {
        let count = match finding.nodes {
            0 => String::new(),
            nodes => format!("{nodes} × "),
        };
        text += &format!(
            "  {count}{}: {}\n    do: {}\n",
            finding.what, finding.meaning, finding.advice
        );
    }
    text
}
