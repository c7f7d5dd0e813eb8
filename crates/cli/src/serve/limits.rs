//! How much of anything `lehr serve` takes, holds and waits for, beside what every site does (`http/limits.rs`);
//! `docs/serve.md` lists them for users.

use std::time::Duration;

/// How long a client may take for a whole body.
pub(super) const BODY_WAIT: Duration = Duration::from_secs(15);

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
