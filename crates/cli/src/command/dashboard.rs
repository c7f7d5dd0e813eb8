//! `lehr dashboard`: how a study goes, in a browser, until told to stop.

use anyhow::Result;

use crate::{
    args::DashboardArgs,
    command::site,
    dashboard::{Setup, show},
    http::Challenge,
};

pub(crate) fn run(args: &DashboardArgs) -> Result<String> {
    let token = site::token(args.listen, args.token_file.as_deref(), Challenge::Password)?;
    let asks = match &token {
        Some(_) => "a browser must show the token",
        None => "no token is needed",
    };
    site::warn_of_plain_text(args.listen, "pages");
    let said = format!(
        "showing the study in {}, {asks}; Ctrl-C stops",
        args.study.display()
    );
    let setup = Setup {
        study: args.study.clone(),
        listen: args.listen,
        token,
    };
    show(setup, |address| site::announce(address, &said))?;
    Ok(String::new())
}
