//! `lehr serve`: a model answers questions over HTTP until it is told to stop.

use std::{
    io::{self, Write},
    net::SocketAddr,
    num::NonZeroUsize,
    thread,
};

use anyhow::{Context, Result};

use crate::{
    args::ServeArgs,
    command::load_model,
    serve::{Setup, Token, serve},
    tell,
};

pub(crate) fn run(args: &ServeArgs) -> Result<String> {
    let model = load_model(&args.model)?;
    let origin = model.card.origin();
    let token = token(args)?;
    let asks = match &token {
        Some(_) => "clients must show the token",
        None => "no token is needed",
    };
    let threads = match args.threads {
        Some(threads) => threads,
        None => thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    };
    if !args.listen.ip().is_loopback() {
        tell(
            "rows, answers and the token are sent unencrypted: let a proxy with TLS stand in front",
        );
    }
    let setup = Setup {
        model,
        listen: args.listen,
        token,
        threads,
        body_bytes_max: (args.body_mib_max as usize) << 20,
    };
    let announce = |address: SocketAddr| {
        tell(&format!(
            "serving the model of {origin} with {threads} thread(s), {asks}; Ctrl-C stops"
        ));
        // For programs that let the system choose the port.
        let _ = writeln!(io::stdout(), "http://{address}").and_then(|()| io::stdout().flush());
    };
    serve(setup, announce)?;
    Ok(String::new())
}

/// The token that is asked for: that of the file, a new one where others can reach the server, or none.
fn token(args: &ServeArgs) -> Result<Option<Token>> {
    if let Some(path) = &args.token_file {
        return Token::read(path).map(Some);
    }
    if args.listen.ip().is_loopback() {
        return Ok(None);
    }
    let (token, text) = Token::fresh().context("a token is needed on this address")?;
    tell(&format!(
        "others can reach {}, so clients must send `Authorization: Bearer {text}`",
        args.listen
    ));
    tell("this token is shown once and kept nowhere; --token-file FILE reads one that stays");
    Ok(Some(token))
}
