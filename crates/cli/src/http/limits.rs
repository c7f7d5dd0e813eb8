//! How much of anything a site takes, holds and waits for, whatever it answers.

use std::time::Duration;

/// Connections at once; more wait in the system's queue. Half of the 1024 files that a process may
/// usually have open.
pub(super) const CONNECTIONS_MAX: usize = 512;

/// Bytes of a request's head.
pub(super) const HEAD_BYTES_MAX: usize = 16 << 10;

/// How long a connection may take for the head of a request, or be idle between two.
pub(super) const HEAD_WAIT: Duration = Duration::from_secs(10);

/// How long a client may take none of the answer.
pub(super) const WRITE_WAIT: Duration = Duration::from_secs(15);

/// When those who were refused may come again, in seconds.
pub(super) const RETRY_AFTER_SECS: u32 = 1;

/// How long a stop waits for what is under way.
pub(super) const STOP_WAIT: Duration = Duration::from_secs(30);

/// How long nothing is accepted after the system refused to, as when no more files may be opened.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
