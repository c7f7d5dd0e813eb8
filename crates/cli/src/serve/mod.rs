//! `lehr serve`: a model that answers over HTTP.
//!
//! Two kinds of threads share the work. A few carry bytes (`crate::http`, `routes`, `body`): they read requests
//! against every limit and never compute. The others compute (`queue`, `compute`): each has a network of its own,
//! takes the requests that wait, reads their rows and answers them together. `content` says what is asked and
//! answered in which form, `texts` and `openapi` describe the model, `metrics` counts.

mod body;
mod compute;
mod content;
mod limits;
mod metrics;
mod openapi;
mod queue;
mod routes;
mod texts;

use std::{
    net::SocketAddr,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::Result;
use study::model::Model;

use crate::http::{Access, Challenge, Door, Listening, Token};
use body::Room;
use limits::CARRIERS_MAX;
use metrics::Metrics;
use queue::Queue;
use texts::Texts;

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
    let listening = Listening::on(setup.listen)?;
    let access = match &setup.token {
        Some(_) => Access::Token,
        None => Access::Open,
    };
    let state = Arc::new(State {
        door: Door::new(setup.listen, setup.token, Challenge::Bearer),
        texts: Texts::new(&setup.model, access),
        room: Room::new(setup.body_bytes_max),
        queue: Queue::default(),
        metrics: Metrics::new(),
        stopping: AtomicBool::new(false),
    });
    let threads = compute::start(&state, &setup.model, setup.threads.get())?;
    let carriers = setup.threads.get().min(CARRIERS_MAX);
    let ended = listening.serve(&state, carriers, announce);
    state.queue.close();
    if ended.is_ok() {
        for thread in threads {
            // What a thread panicked with was told when it happened.
            let _ = thread.join();
        }
    }
    ended
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
