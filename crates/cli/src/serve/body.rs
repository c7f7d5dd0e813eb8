//! The body of a request, read against a size, a time and the room that all bodies share.

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::{
    HeaderMap, StatusCode,
    body::{Body as _, Incoming},
    header,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::limits::{BODIES_BYTES_MAX, BODY_WAIT, REFUSED_BYTES_READ, REFUSED_READ_WAIT};
use crate::http::Reply;

/// A whole body, and its share of the room.
pub(super) struct Body {
    bytes: Vec<u8>,
    _share: Option<OwnedSemaphorePermit>,
}

impl Body {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[cfg(test)]
    pub(super) fn for_test(bytes: Vec<u8>) -> Body {
        Body {
            bytes,
            _share: None,
        }
    }
}

/// Room for bodies.
pub(super) struct Room {
    body_bytes_max: usize,
    /// One permit for each byte.
    free: Arc<Semaphore>,
}

impl Room {
    pub(super) fn new(body_bytes_max: usize) -> Room {
        let all = BODIES_BYTES_MAX.max(2 * body_bytes_max);
        Room {
            body_bytes_max,
            free: Arc::new(Semaphore::new(all)),
        }
    }

    /// Reads a body to its end.
    ///
    /// # Errors
    /// The answer, if it is too large or too slow, or there is no room for it at the moment.
    pub(super) async fn read(
        &self,
        headers: &HeaderMap,
        mut incoming: Incoming,
    ) -> Result<Body, Reply> {
        let announced = incoming.size_hint().lower();
        if announced > self.body_bytes_max as u64 {
            // Who asks before sending hears the answer; others must be heard out first.
            if !headers.contains_key(header::EXPECT) {
                read_and_forget(incoming).await;
            }
            return Err(self.too_large(&format!("{announced} bytes")));
        }
        let whole = self.collect(announced as usize, &mut incoming);
        match timeout(BODY_WAIT, whole).await {
            Ok(Ok(body)) => Ok(body),
            Ok(Err(Unread::TooLarge)) => {
                read_and_forget(incoming).await;
                Err(self.too_large("more"))
            }
            Ok(Err(Unread::NoRoom)) => Err(Reply::overloaded(
                "too many large requests are under way: come again in a moment",
            )
            .closing()),
            Ok(Err(Unread::Broken(error))) => {
                let message = format!("the body broke off or is malformed: {error}");
                Err(Reply::problem(StatusCode::BAD_REQUEST, message).closing())
            }
            Err(_) => {
                let seconds = BODY_WAIT.as_secs();
                let message = format!("the body did not arrive within {seconds} s");
                Err(Reply::problem(StatusCode::REQUEST_TIMEOUT, message).closing())
            }
        }
    }

    async fn collect(&self, announced: usize, incoming: &mut Incoming) -> Result<Body, Unread> {
        let mut body = Body {
            bytes: Vec::new(),
            _share: None,
        };
        while let Some(frame) = incoming.frame().await {
            let Ok(data) = frame.map_err(Unread::Broken)?.into_data() else {
                continue;
            };
            if body.len() + data.len() > self.body_bytes_max {
                return Err(Unread::TooLarge);
            }
            let share = u32::try_from(data.len()).map_err(|_| Unread::TooLarge)?;
            let share = Arc::clone(&self.free).try_acquire_many_owned(share);
            let share = share.map_err(|_| Unread::NoRoom)?;
            match &mut body._share {
                Some(own) => own.merge(share),
                none => *none = Some(share),
            }
            if body.bytes.is_empty() {
                // A body in one piece is copied once; a longer one grows as it arrives.
                body.bytes
                    .reserve_exact(data.len().max(announced.min(1 << 16)));
            }
            body.bytes.extend_from_slice(&data);
        }
        Ok(body)
    }

    fn too_large(&self, found: &str) -> Reply {
        let most = self.body_bytes_max;
        let message = format!(
            "the body has {found}, where {most} bytes are allowed: send fewer rows at once"
        );
        Reply::problem(StatusCode::PAYLOAD_TOO_LARGE, message).closing()
    }
}

/// Why a body is not there.
enum Unread {
    TooLarge,
    NoRoom,
    Broken(hyper::Error),
}

/// Reads on for a while, so that the client is done sending when it is refused.
async fn read_and_forget(mut incoming: Incoming) {
    let reading = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = incoming.frame().await {
            bytes += frame.data_ref().map_or(0, |data| data.len());
            if bytes > REFUSED_BYTES_READ {
                break;
            }
        }
    };
    // Whether it ended or not, the refusal is sent now.
    let _ = timeout(REFUSED_READ_WAIT, reading).await;
}
