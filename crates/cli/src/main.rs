//! The program `lehr`: arguments in, one command run, its text out.
//!
//! Standard output is for results, standard error for talk. Exit codes: 0 done, 1 it could not be
//! done, 2 the command line was wrong, 75 stopped but resumable, 78 (of a node) this machine should not be
//! used again.

mod answer;
mod args;
mod command;
mod dashboard;
mod http;
#[cfg(test)]
mod made_up;
mod progress;
mod report;
mod serve;
mod settings;
mod show;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use args::{BenchCommand, Cli, Command, ConfigCommand};
use clap::Parser;
use study::launch::MACHINE_UNFIT;

/// The study was stopped before its budget was used; the same command goes on.
const STOPPED_BUT_RESUMABLE: u8 = 75;

/// What a command leaves behind: text for standard output, and how it ended.
pub(crate) struct Outcome {
    pub(crate) text: String,
    pub(crate) ended: Ended,
}

/// How a command ended.
pub(crate) enum Ended {
    Done,
    Resumable,
    /// Something of what was asked for is missing; the text says what.
    Incomplete,
    /// This machine should not be asked again.
    Unfit,
}

impl From<String> for Outcome {
    fn from(text: String) -> Outcome {
        Outcome {
            text,
            ended: Ended::Done,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match run(cli.command) {
        Ok(outcome) => outcome,
        Err(error) => {
            tell(&format!("error: {}", show::chain(&error)));
            return ExitCode::FAILURE;
        }
    };
    // A reader that has seen enough, as `head`, is no failure.
    let _ = io::stdout().write_all(outcome.text.as_bytes());
    match outcome.ended {
        Ended::Done => ExitCode::SUCCESS,
        Ended::Incomplete => ExitCode::FAILURE,
        Ended::Resumable => ExitCode::from(STOPPED_BUT_RESUMABLE),
        Ended::Unfit => ExitCode::from(MACHINE_UNFIT),
    }
}

fn run(command: Command) -> anyhow::Result<Outcome> {
    train::check_level()?;
    match command {
        Command::Explore(args) => command::explore::run(&args),
        Command::Inspect(args) => command::inspect::run(&args).map(Outcome::from),
        Command::Status(args) => command::status::run(&args).map(Outcome::from),
        Command::Trials(args) => command::trials::run(&args).map(Outcome::from),
        Command::Best(args) => command::best::run(&args),
        Command::Explain(args) => command::explain::run(&args).map(Outcome::from),
        Command::Predict(args) => command::predict::run(&args).map(Outcome::from),
        Command::Dashboard(args) => command::dashboard::run(&args).map(Outcome::from),
        Command::Serve(args) => command::serve::run(&args).map(Outcome::from),
        Command::Export(args) => command::export::run(&args).map(Outcome::from),
        Command::Launch(command) => command::launch::run(&command),
        Command::Ledger(command) => command::ledger::run(&command).map(Outcome::from),
        Command::Clean(args) => command::clean::run(&args).map(Outcome::from),
        Command::Config(ConfigCommand::Schema) => {
            Ok(Outcome::from(show::pretty_json(&settings::schema())))
        }
        Command::Config(ConfigCommand::Render { path }) => {
            command::config::render(&path).map(Outcome::from)
        }
        Command::Bench(BenchCommand::Search(args)) => {
            command::bench::search(&args).map(Outcome::from)
        }
        Command::Bench(BenchCommand::Rungs(args)) => {
            command::bench::rungs(&args).map(Outcome::from)
        }
        Command::Doctor(args) => command::doctor::run(&args).map(Outcome::from),
        Command::Worker(args) => match &args.join {
            Some(invitation) => command::worker::join(&args, invitation),
            None => Ok(study::process::worker::run()
                .map(|()| String::new())?
                .into()),
        },
        Command::Generator => Ok(study::process::generator::run()
            .map(|()| String::new())?
            .into()),
        Command::Trainer => Ok(study::process::trainer::run()
            .map(|()| String::new())?
            .into()),
        Command::Baseline => Ok(study::process::baseline::run()
            .map(|()| String::new())?
            .into()),
    }
}

/// Talk, on standard error; if nobody can hear it, that is no reason to stop.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
