//! Requests that wait to be computed: bounded, and shared out among the threads that are idle.
//!
//! Nobody waits for company: a thread takes what is there when it looks, so that requests are computed
//! together only if they had to wait anyway.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard},
};

use tokio::sync::oneshot;

use super::{
    body::Body,
    content::{BodyKind, Form},
    limits::{BATCH_BYTES_MAX, BATCH_REQUESTS_MAX, QUEUE_MAX},
};
use crate::http::Reply;

/// A request that waits.
pub(super) struct Question {
    pub(super) body: Body,
    pub(super) kind: BodyKind,
    pub(super) form: Form,
    pub(super) answer: oneshot::Sender<Reply>,
}

#[derive(Default)]
struct Waiting {
    questions: VecDeque<Question>,
    /// Threads that wait for a question.
    idle: usize,
    is_closed: bool,
}

/// The requests that wait.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no lock holder panics")
    }

    /// Puts a request behind the others; gives it back if there is no room.
    pub(super) fn push(&self, question: Question) -> Result<(), Question> {
        let mut waiting = self.lock();
        if waiting.is_closed || waiting.questions.len() == QUEUE_MAX {
            return Err(question);
        }
        waiting.questions.push_back(question);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().questions.len()
    }

    /// The requests that one thread computes together; waits for the first. Nothing if the queue is closed
    /// and empty.
    pub(super) fn take(&self) -> Option<Vec<Question>> {
        let mut waiting = self.lock();
        while waiting.questions.is_empty() {
            if waiting.is_closed {
                return None;
            }
            waiting.idle += 1;
            waiting = self.arrived.wait(waiting).expect("no lock holder panics");
            waiting.idle -= 1;
        }
        let share = waiting.questions.len().div_ceil(waiting.idle + 1);
        let mut taken: Vec<Question> = Vec::new();
        let mut bytes = 0;
        while taken.len() < share.min(BATCH_REQUESTS_MAX) {
            let next = waiting.questions.front().map(|next| next.body.len());
            let Some(more) =
                next.filter(|more| taken.is_empty() || bytes + more <= BATCH_BYTES_MAX)
            else {
                break;
            };
            bytes += more;
            taken.extend(waiting.questions.pop_front());
        }
        Some(taken)
    }

    /// Lets every thread end as soon as nothing waits.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.arrived.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(bytes: usize) -> Question {
        Question {
            body: Body::for_test(vec![0; bytes]),
            kind: BodyKind::Json,
            form: Form::Json,
            answer: oneshot::channel().0,
        }
    }

    fn queue(sizes: &[usize]) -> Queue {
        let queue = Queue::default();
        for size in sizes {
            assert!(queue.push(question(*size)).is_ok());
        }
        queue
    }

    fn sizes(taken: Option<Vec<Question>>) -> Vec<usize> {
        let taken = taken.into_iter().flatten();
        taken.map(|question| question.body.len()).collect()
    }

    #[test]
    fn what_waits_is_computed_together_up_to_the_limits() {
        let small = queue(&[1, 2, 3]);
        assert_eq!(sizes(small.take()), [1, 2, 3]);
        let large = queue(&[BATCH_BYTES_MAX + 1, 1, BATCH_BYTES_MAX, 5]);
        assert_eq!(sizes(large.take()), [BATCH_BYTES_MAX + 1]);
        assert_eq!(sizes(large.take()), [1]);
        assert_eq!(sizes(large.take()), [BATCH_BYTES_MAX]);
        let many = queue(&[1; 100]);
        assert_eq!(sizes(many.take()).len(), BATCH_REQUESTS_MAX);
    }

    #[test]
    fn idle_threads_share_what_waits() {
        let shared = queue(&[1; 9]);
        shared.lock().idle = 2;
        assert_eq!(sizes(shared.take()).len(), 3);
    }

    #[test]
    fn a_full_queue_refuses_and_a_closed_one_is_emptied_first() {
        let full = queue(&[1; QUEUE_MAX]);
        assert!(full.push(question(1)).is_err());
        assert_eq!(full.len(), QUEUE_MAX);
        let closed = queue(&[4]);
        closed.close();
        assert!(closed.push(question(1)).is_err());
        assert_eq!(sizes(closed.take()), [4]);
        assert!(closed.take().is_none());
    }
}
