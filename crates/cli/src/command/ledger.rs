//! `lehr ledger`: a private PostgreSQL as the ledger of a cluster, started, stopped and looked at.

use anyhow::Result;
use serde_json::json;
use study::database::{Database, Found, Stopped, Wish, typed};

use crate::{
    args::{LedgerCommand, LedgerPlaceArgs, LedgerStatusArgs, LedgerUpArgs},
    show, tell,
};

pub(crate) fn run(command: &LedgerCommand) -> Result<String> {
    match command {
        LedgerCommand::Up(args) => up(args),
        LedgerCommand::Down(args) => down(args),
        LedgerCommand::Status(args) => status(args),
    }
}

fn database(place: &LedgerPlaceArgs) -> Result<Database> {
    Ok(Database::at(&place.dir, place.as_user.as_deref())?)
}

fn up(args: &LedgerUpArgs) -> Result<String> {
    let database = database(&args.place)?;
    let wish = Wish {
        port: args.port,
        listen: args.listen.clone(),
    };
    let shown = args.place.dir.display();
    tell(&match database.up(&wish)? {
        Found::Made => format!("made and started a ledger server in {shown}"),
        Found::Started => format!("started the ledger server in {shown}"),
        Found::Running => format!("the ledger server in {shown} runs already"),
    });
    let standing = database.standing()?;
    tell(&format!("it listens on {}", standing.listens));
    tell("its password is in the file that the address names, which only its owner can read");
    tell(&format!(
        "use it: lehr explore DATA --ledger {}",
        typed(&standing.address)
    ));
    Ok(format!("{}\n", standing.address))
}

fn down(args: &LedgerPlaceArgs) -> Result<String> {
    let shown = args.dir.display();
    tell(&match database(args)?.down()? {
        Stopped::Now => {
            format!("stopped the ledger server in {shown}; `lehr ledger up` starts it again")
        }
        Stopped::Before => format!("the ledger server in {shown} did not run"),
    });
    Ok(String::new())
}

fn status(args: &LedgerStatusArgs) -> Result<String> {
    let standing = database(&args.place)?.standing()?;
    if args.json {
        return Ok(show::pretty_json(&json!({
            "process": standing.process,
            "answers": standing.answers,
            "listens": standing.listens,
            "address": standing.address,
        })));
    }
    let state = match (standing.process, standing.answers) {
        (Some(process), true) => format!("runs and answers (process {process})"),
        (Some(process), false) => format!("runs and does not answer (process {process})"),
        (None, _) => "is stopped; `lehr ledger up` starts it".to_string(),
    };
    Ok(format!(
        "server   {state}\nlistens  on {}\naddress  {}\n",
        standing.listens, standing.address
    ))
}
