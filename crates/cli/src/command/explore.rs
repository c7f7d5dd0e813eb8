//! `lehr explore`: makes a study or takes it up, explores it, and shows the winner.

use std::{
    env,
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context, Result, bail};
use study::{
    cluster::invitation::LedgerPlace,
    conclude::conclude,
    config::StudyConfig,
    explore::{Snapshot, explore},
    folder::StudyFolder,
    ledger::open_to_read,
    master::EndReason,
    open::{Opened, open},
    prepared::PreparedFiles,
    replace_durably,
};

use crate::{
    Ended, Outcome,
    args::ExploreArgs,
    command::{Reading, best},
    progress::Progress,
    settings, tell,
};

pub(crate) fn run(args: &ExploreArgs) -> Result<Outcome> {
    let told = settings::decide(args)?;
    let asked = told.config.clone();
    let (study, opened) = open(told.config, &told.out, told.place.as_ref())?;
    let (folder, config) = (study.folder.clone(), study.config.clone());
    write_config(&folder, &config, &asked)?;
    greet(&folder, opened)?;
    let interrupt = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupt))
            .context("could not listen for Ctrl-C")?;
    }
    let program = env::current_exe().context("could not find the program itself")?;
    let mut progress = Progress::new(&config);
    let mut failures = Vec::new();
    let end = explore(study, &program, &interrupt, &mut |snapshot: &Snapshot| {
        failures.extend(progress.show(snapshot));
    });
    progress.finish();
    // Even if exploring broke off, what was found is shown.
    let study = Reading {
        ledger: open_to_read(&folder)?,
        folder,
        config,
    };
    let concluded = conclude(&study.folder, &study.config, &*study.ledger)?;
    let end = end?;
    let Some((conclusion, model)) = concluded else {
        return nothing_found(&study.folder, &end, &failures);
    };
    tell(&said_at_the_end(&end));
    let outcome = best::deliver(&study, &conclusion, &model, args.json)?;
    Ok(match end {
        EndReason::Interrupted => Outcome {
            ended: Ended::Resumable,
            ..outcome
        },
        _ => outcome,
    })
}

/// Writes what is done into the study, where `lehr explore STUDY` reads it again. Of a study that is taken up, too:
/// it may have another budget now, or have been made by a process that ended before this.
fn write_config(folder: &StudyFolder, config: &StudyConfig, asked: &StudyConfig) -> Result<()> {
    let place = LedgerPlace::of(folder)?;
    // A study knows its data by the paths that it was made with, which may begin at another folder. What was asked
    // for now are the same data.
    let config = StudyConfig {
        data: asked.data.clone(),
        test: asked.test.clone(),
        validation: asked.validation.clone(),
        ..config.clone()
    };
    let rendered = settings::render(&config, place.as_ref())?;
    replace_durably(&folder.config(), rendered.as_bytes())
        .context("could not write lehr.toml into the study")
}

fn greet(folder: &StudyFolder, opened: Opened) -> Result<()> {
    let described = PreparedFiles::at(&folder.prepared()).read_described()?;
    let shown = folder.root().display();
    if opened == Opened::TakenUp {
        tell(&format!("taking up the study in {shown}"));
        return Ok(());
    }
    let place = LedgerPlace::of(folder)?;
    tell(&format!("data    {}", described.data));
    for notice in &described.notices {
        tell(&format!("        {notice}"));
    }
    tell(&format!("study   {shown}"));
    if let Some(place) = place {
        let invitation = folder.invitation();
        tell(&format!("ledger  {} as {}", place.ledger, place.study));
        tell(&format!(
            "nodes   lehr worker --join {}",
            invitation.display()
        ));
    }
    Ok(())
}

fn nothing_found(folder: &StudyFolder, end: &EndReason, failures: &[String]) -> Result<Outcome> {
    if *end == EndReason::Interrupted {
        tell("stopped before any trial ended; the same command goes on");
        return Ok(Outcome {
            text: String::new(),
            ended: Ended::Resumable,
        });
    }
    let last = failures
        .last()
        .map_or(String::new(), |failure| format!("; the last: {failure}"));
    bail!(
        "no trial of the study in {} got a score ({} failed{last}): give it more time or memory, \
         or look at `lehr trials {}`",
        folder.root().display(),
        failures.len(),
        folder.root().display(),
    )
}

/// Why a study has ended, in words.
pub(crate) fn said_at_the_end(end: &EndReason) -> String {
    match end {
        EndReason::Time => "the time is used up".to_string(),
        EndReason::Trials => "all trials are done".to_string(),
        EndReason::Interrupted => "stopped; the same command goes on".to_string(),
        EndReason::Exhausted => "nothing new was found to try".to_string(),
        EndReason::WorkersDie { message } => {
            format!("workers die as soon as they are started: {message}")
        }
    }
}
