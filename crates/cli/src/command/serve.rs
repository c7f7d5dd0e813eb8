//! `lehr serve`: a model answers questions over HTTP until it is told to stop.

use std::{num::NonZeroUsize, thread};

use anyhow::Result;

use crate::{
    args::ServeArgs,
    command::{load_model, site},
    http::Challenge,
    serve::{Setup, serve},
};

pub(crate) fn run(args: &ServeArgs) -> Result<String> {
    let model = load_model(&args.model)?;
    let origin = model.card.origin();
    let token = site::token(args.listen, args.token_file.as_deref(), Challenge::Bearer)?;
    let asks = match &token {
        Some(_) => "clients must show the token",
        None => "no token is needed",
    };
    let threads = match args.threads {
        Some(threads) => threads,
        None => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    site::warn_of_plain_text(args.listen, "rows, answers");
    let setup = Setup {
        model,
        listen: args.listen,
        token,
        threads,
        body_bytes_max: (args.body_mib_max as usize) << 20,
    };
    let said =
        format!("serving the model of {origin} with {threads} thread(s), {asks}; Ctrl-C stops");
    serve(setup, |address| site::announce(address, &said))?;
    Ok(String::new())
}
