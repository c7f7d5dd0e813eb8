//! `lehr serve`: a model that answers over HTTP.
//!
//! Two kinds of threads share the work. A few carry bytes (`connection`, `routes`, `body`): they read
//! requests against every limit in `limits` and never compute. The others compute (`queue`, `compute`):
//! each has a network of its own, takes the requests that wait, reads their rows and answers them
//! together. `door` decides who may ask, `content` what is asked and answered in which form, `texts` and
//! `openapi` describe the model, `metrics` counts.
//!
//! This is the only place in lehr that opens a socket, and it only listens: nothing is ever connected to.

mod body;
mod compute;
mod connection;
mod content;
mod door;
mod limits;
mod metrics;
mod openapi;
mod queue;
mod reply;
mod routes;
mod texts;
mod token;

use std::{
    future::poll_fn,
    net::{SocketAddr, TcpListener},
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use anyhow::{Context, Result, bail};
use hyper_util::server::graceful::GracefulShutdown;
use study::model::Model;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

pub(crate) use token::Token;

use crate::tell;
use body::Room;
use door::Door;
use limits::{CARRIERS_MAX, STOP_WAIT};
use metrics::Metrics;
use queue::Queue;
use texts::{Access, Texts};

/// What will be done.
pub(crate) struct Setup {
    pub(crate) model: Model,
    pub(crate) listen: SocketAddr,
    /// What clients must show; nothing only if no other machine can reach `listen`.
    pub(crate) token: Option<Token>,
    /// Threads that compute.
    pub(crate) threads: NonZeroUsize,
    pub(crate) body_bytes_max: usize,
}

/// What all threads of a server share.
struct State {
    door: Door,
    texts: Texts,
    room: Room,
    queue: Queue,
    metrics: Metrics,
    stopping: AtomicBool,
}

impl State {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Serves until SIGINT or SIGTERM, then finishes what is under way. `announce` is told the address as
/// soon as questions are taken.
///
/// # Errors
/// If the address cannot be listened on, the model cannot be run, or a stop took too long.
pub(crate) fn serve(setup: Setup, announce: impl FnOnce(SocketAddr)) -> Result<()> {
    let listener = TcpListener::bind(setup.listen)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .with_context(|| format!("could not listen on {}", setup.listen))?;
    let address = listener.local_addr().context("could not listen")?;
    let door = Door::new(setup.listen, setup.token);
    let access = match door.asks_for_token() {
        true => Access::Token,
        false => Access::Open,
    };
    let state = Arc::new(State {
        door,
        texts: Texts::new(&setup.model, access),
        room: Room::new(setup.body_bytes_max),
        queue: Queue::default(),
        metrics: Metrics::new(),
        stopping: AtomicBool::new(false),
    });
    let threads = compute::start(&state, &setup.model, setup.threads.get())?;
    let carriers = runtime::Builder::new_multi_thread()
        .worker_threads(setup.threads.get().min(CARRIERS_MAX))
        .thread_name("lehr-carry")
        .enable_all()
        .build()
        .context("could not start threads")?;
    let ended = carriers.block_on(carry(listener, &state, || announce(address)));
    state.queue.close();
    if ended.is_ok() {
        for thread in threads {
            // What a thread panicked with was told when it happened.
            let _ = thread.join();
        }
    }
    carriers.shutdown_background();
    ended
}

/// Carries requests and answers until it is time to stop.
async fn carry(listener: TcpListener, state: &Arc<State>, announce: impl FnOnce()) -> Result<()> {
    let mut signals = Signals::listen()?;
    let listener = tokio::net::TcpListener::from_std(listener).context("could not listen")?;
    let connections = Arc::new(GracefulShutdown::new());
    let accepting = {
        let connections = Arc::clone(&connections);
        let accept = connection::accept(listener, Arc::clone(state), move || connections.watcher());
        tokio::spawn(accept)
    };
    announce();
    signals.next().await;
    state.stopping.store(true, Ordering::Relaxed);
    tell("stopping: what is under way is finished; once more stops at once");
    accepting.abort();
    // It has ended when its copy of the connections is gone.
    let _ = accepting.await;
    let connections = Arc::into_inner(connections).expect("only the accepting task had a copy");
    tokio::spawn(async move {
        signals.next().await;
        tell("stopped at once; what was under way is lost");
        std::process::exit(1);
    });
    match timeout(STOP_WAIT, connections.shutdown()).await {
        Ok(()) => Ok(()),
        Err(_) => bail!(
            "not all connections ended within {} s; they were cut",
            STOP_WAIT.as_secs()
        ),
    }
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Signals> {
        let listen = |kind| signal(kind).context("could not listen for Ctrl-C");
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        poll_fn(|context| match self.interrupt.poll_recv(context) {
            Poll::Pending => self.terminate.poll_recv(context).map(|_| ()),
            Poll::Ready(_) => Poll::Ready(()),
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use data::Preprocessor;
    use serde_json::{Value, json};

    /// What a model of so many columns of numbers knows of its data; they are called `c0`, `c1` and so on.
    pub(super) fn of_columns(count: usize) -> Preprocessor {
        let column = |place: usize| {
            json!({
                "name": format!("c{place}"), "kind": "numeric", "fill": 0.0,
                "missing_indicator": "absent", "shift": 0.0, "scale": 1.0,
            })
        };
        let columns: Vec<Value> = (0..count).map(column).collect();
        let written = json!({
            "format": 1,
            "inputs": { "columns": columns },
            "task": { "kind": "classification", "classes": ["a", "b"] },
        });
        serde_json::from_value(written).unwrap()
    }
}
