//! Memory for the bodies of requests, of which there is so much for all of them.

use std::sync::Arc;

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::ApiError;

/// Bytes of a body that are taken whatever else is under way: feedback and short questions must get through.
pub(crate) const SMALL: usize = 64 << 10;
/// Room is counted in these.
const UNIT: usize = 1 << 10;

/// Room for the bodies of all requests at once, and for what is made of them.
pub(crate) struct Room {
    left: Arc<Semaphore>,
    /// All of it, in units.
    whole: usize,
}

/// A body's part of the room.
#[derive(Default)]
pub(crate) struct Share {
    bytes: usize,
    held: Option<OwnedSemaphorePermit>,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        let whole = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self { left: Arc::new(Semaphore::new(whole)), whole }
    }

    /// Room for `bytes` that are made of a request beside its body.
    ///
    /// # Errors
    /// [`full`]; 413 where there will never be so much.
    pub(crate) fn take(&self, bytes: usize) -> Result<Share, ApiError> {
        if units(bytes) > self.whole {
            let message = format!(
                "{bytes} bytes of memory would be needed to answer this request, more than all requests have \
                 (server.max_body_bytes_at_once): send fewer or longer parts, or less"
            );
            let error = ApiError::invalid("", "request_too_large", message);
            return Err(error.with_status(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let mut share = Share::default();
        self.grow(&mut share, bytes)?;
        Ok(share)
    }

    /// Makes the share as large as a body of `bytes`, which is no less than it was.
    ///
    /// # Errors
    /// [`full`]; the share stays as it was.
    pub(crate) fn grow(&self, share: &mut Share, bytes: usize) -> Result<(), ApiError> {
        let more = u32::try_from(units(bytes).saturating_sub(units(share.bytes))).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(());
        }
        let permit = self.left.clone().try_acquire_many_owned(more).map_err(|_| full())?;
        match &mut share.held {
            Some(held) => held.merge(permit),
            None => share.held = Some(permit),
        }
        share.bytes = bytes;
        Ok(())
    }

    /// Whether a body of so many bytes would find room now.
    pub(crate) fn has(&self, bytes: usize) -> bool {
        units(bytes) <= self.left.available_permits()
    }
}

/// What so many bytes take, in units.
fn units(bytes: usize) -> usize {
    bytes.saturating_sub(SMALL).div_ceil(UNIT)
}

/// What is said where there is no room.
pub(crate) fn full() -> ApiError {
    let message = "too many large bodies are under way at once (server.max_body_bytes_at_once): send it again later";
    ApiError::unavailable("busy", message)
}
