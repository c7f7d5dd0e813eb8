//! `lehr status`: how a study stands, from its ledger alone.

use anyhow::Result;
use study::status::Status;

use crate::{args::StudyArgs, command::read_study, show};

pub(crate) fn run(args: &StudyArgs) -> Result<String> {
    let study = read_study(&args.study)?;
    let status = Status::read(&*study.ledger, &study.config)?;
    Ok(match args.json {
        true => show::pretty_json(&status),
        false => text(&status),
    })
}

fn text(status: &Status) -> String {
    let counts = status.counts;
    let mut text = format!(
        "trials   {} finished, {} stopped early, {} failed, {} running, {} waiting\n",
        counts.finished, counts.stopped, counts.failed, counts.running, counts.queued
    );
    match status.best {
        Some((trial, value)) => {
            text += &format!("best     {} (trial {trial})\n", show::significant(value));
        }
        None => text += "best     none yet\n",
    }
    text += &format!(
        "budget   {:.0} % used, {} of exploring\n",
        status.budget_used * 100.0,
        show::seconds(status.spent_seconds)
    );
    if let Some(busy) = status.busy {
        text += &format!(
            "trainers {:.1} % busy: {} slot(s), {} between the first trial and the last\n",
            busy.share * 100.0,
            busy.slots,
            show::seconds(busy.span_seconds)
        );
    }
    for (kind, count) in &status.failures {
        text += &format!("failed   {count} × {kind}\n");
    }
    text
}
