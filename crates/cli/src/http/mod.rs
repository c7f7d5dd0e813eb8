//! Between a socket and a site: `lehr serve` and `lehr dashboard` say what is answered, all else is here.
//!
//! `connection` accepts, and gives up those who stall; `door` decides who may ask, by the `token`; `reply` is what
//! goes back; `limits` says how much of anything.
//!
//! This is the only place in lehr that opens a socket, and it only listens: nothing is ever connected to.

mod connection;
mod door;
mod limits;
mod reply;
mod token;

use std::{
    future::poll_fn,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use hyper::{StatusCode, body::Incoming, http::request::Parts};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

pub(crate) use door::{Access, Door};
pub(crate) use reply::{CSV, HTML, JSON, PROMETHEUS, Reply, TEXT};
pub(crate) use token::{Challenge, Token};

use crate::tell;
use limits::STOP_WAIT;

/// Something that answers requests.
pub(crate) trait Site: Send + Sync + 'static {
    /// Who may ask.
    fn door(&self) -> &Door;

    /// Whether anybody may ask for this path.
    fn access(&self, path: &str) -> Access;

    /// Answers a request that was let in.
    fn answer(&self, head: &Parts, body: Incoming) -> impl Future<Output = Reply> + Send;

    /// A request for this path was answered or refused.
    fn answered(&self, _path: &str, _status: StatusCode, _took: Duration) {}

    /// A connection begins.
    fn connected(&self) {}

    /// It has ended.
    fn disconnected(&self) {}

    /// No more connections are accepted, and those that are open end.
    fn stopping(&self) {}
}

/// An address that is listened on already, though nobody is answered yet.
pub(crate) struct Listening {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listening {
    /// # Errors
    /// If the address cannot be listened on.
    pub(crate) fn on(address: SocketAddr) -> Result<Listening> {
        let listener = TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .with_context(|| format!("could not listen on {address}"))?;
        let address = listener.local_addr().context("could not listen")?;
        Ok(Listening { listener, address })
    }

    /// Answers with so many threads until SIGINT or SIGTERM, then finishes what is under way. `announce` is told the
    /// address as soon as questions are taken.
    ///
    /// # Errors
    /// If threads cannot be started, or a stop took too long.
    pub(crate) fn serve<S: Site>(
        self,
        site: &Arc<S>,
        threads: usize,
        announce: impl FnOnce(SocketAddr),
    ) -> Result<()> {
        let carriers = runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("lehr-carry")
            .enable_all()
            .build()
            .context("could not start threads")?;
        let address = self.address;
        let ended = carriers.block_on(carry(self.listener, site, || announce(address)));
        carriers.shutdown_background();
        ended
    }
}

/// Carries requests and answers until it is time to stop.
async fn carry<S: Site>(
    listener: TcpListener,
    site: &Arc<S>,
    announce: impl FnOnce(),
) -> Result<()> {
    let mut signals = Signals::listen()?;
    let listener = tokio::net::TcpListener::from_std(listener).context("could not listen")?;
    let connections = Arc::new(GracefulShutdown::new());
    let accepting = {
        let connections = Arc::clone(&connections);
        let accept = connection::accept(listener, Arc::clone(site), move || connections.watcher());
        tokio::spawn(accept)
    };
    announce();
    signals.next().await;
    site.stopping();
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
