//! Connections: accepted up to a number, served one request after the other, and given up when the other
//! side stalls.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use http_body_util::Full;
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::Watcher,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Sleep, sleep},
};

use super::{
    Site,
    limits::{ACCEPT_PAUSE, CONNECTIONS_MAX, HEAD_BYTES_MAX, HEAD_WAIT, WRITE_WAIT},
};

/// Accepts connections for ever; `watcher` lets each of them know when it is time to end.
pub(super) async fn accept<S: Site>(
    listener: TcpListener,
    site: Arc<S>,
    watcher: impl Fn() -> Watcher,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("nobody closes the semaphore");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                // As when no more files may be open: others have to end first.
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (site, watcher) = (Arc::clone(&site), watcher());
        tokio::spawn(async move {
            site.connected();
            serve(stream, &site, watcher).await;
            site.disconnected();
            drop(place);
        });
    }
}

async fn serve<S: Site>(stream: TcpStream, site: &Arc<S>, watcher: Watcher) {
    // Answers are small and whole: waiting for more to send would only delay them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(Arc::clone(site), request));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_header_size(HEAD_BYTES_MAX);
    let stream = TokioIo::new(Patient::new(stream));
    let connection = builder.serve_connection(stream, service);
    // What went wrong concerns this client alone, and it has gone or was told.
    let _ = watcher.watch(connection).await;
}

/// Answers one request, whatever it is, if it may come in.
async fn answer<S: Site>(
    site: Arc<S>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let reply = match site.door().refusal(&head, site.access(path)) {
        Some(refusal) => refusal,
        None => site.answer(&head, body).await,
    };
    site.answered(path, reply.status, began.elapsed());
    Ok(reply.into_response())
}

/// A connection that is given up if the other side takes nothing for too long.
struct Patient {
    stream: TcpStream,
    /// Runs while something waits to be taken.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Patient {
    fn new(stream: TcpStream) -> Patient {
        Patient {
            stream,
            stalled: None,
        }
    }

    /// What an attempt to write comes to: patience ends only if nothing is ever taken.
    fn patiently<T>(
        &mut self,
        attempt: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if attempt.is_ready() {
            self.stalled = None;
            return attempt;
        }
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(sleep(WRITE_WAIT)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.patiently(attempt, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let attempt = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.patiently(attempt, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
