//! How much of anything `lehr serve` takes, holds and waits for; `docs/serve.md` lists them for users.

use std::time::Duration;

/// Connections at once; more wait in the system's queue. Half of the 1024 files that a process may
/// usually have open.
pub(super) const CONNECTIONS_MAX: usize = 512;

/// Bytes of a request's head.
pub(super) const HEAD_BYTES_MAX: usize = 16 << 10;

/// How long a connection may take for the head of a request, or be idle between two.
pub(super) const HEAD_WAIT: Duration = Duration::from_secs(10);

/// How long a client may take for a whole body.
pub(super) const BODY_WAIT: Duration = Duration::from_secs(15);

/// How long a client may take none of the answer.
pub(super) const WRITE_WAIT: Duration = Duration::from_secs(15);

/// Bytes of all bodies that are held at once, unless two of the largest are more.
pub(super) const BODIES_BYTES_MAX: usize = 256 << 20;

/// Bytes of a body that is too large, and how long they are read, so that a client that sends before it
/// listens hears why it is refused.
pub(super) const REFUSED_BYTES_READ: usize = 64 << 20;
pub(super) const REFUSED_READ_WAIT: Duration = Duration::from_secs(2);

/// Pixels of an image before it is made smaller: a photograph of a good camera.
pub(super) const IMAGE_PIXELS_MAX: u64 = 32_000_000;

/// Requests that wait to be computed; more are refused.
pub(super) const QUEUE_MAX: usize = 256;

/// How long a request may wait for its answer.
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// When those who were refused may come again, in seconds.
pub(super) const RETRY_AFTER_SECS: u32 = 1;

/// Requests that are computed together.
pub(super) const BATCH_REQUESTS_MAX: usize = 64;

/// Bytes of the bodies that are computed together, unless the first is larger: one large request must
/// not make many small ones wait.
pub(super) const BATCH_BYTES_MAX: usize = 1 << 20;

/// Bad rows that an answer in JSON lists, and one in CSV names in its head.
pub(super) const BAD_ROWS_LISTED: usize = 1_000;
pub(super) const BAD_ROWS_IN_HEAD: usize = 10;

/// Threads that carry bytes; they hardly compute.
pub(super) const CARRIERS_MAX: usize = 4;

/// How long a stop waits for what is under way.
pub(super) const STOP_WAIT: Duration = Duration::from_secs(30);

/// How long nothing is accepted after the system refused to, as when no more files may be opened.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
