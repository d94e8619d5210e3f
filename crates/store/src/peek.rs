//! The log from outside: read beside whoever writes it.

use std::path::PathBuf;

use crate::sqlite::{Options, events_after};
use crate::{Event, StoreError};

/// The next events after `seq` in the store with this URL, at most `limit`. Its tables must be of this release's version, as
/// [`inspect`](crate::inspect) tells.
///
/// # Errors
/// [`StoreError::Url`], and others if the log cannot be read.
pub async fn peek(url: &str, seq: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
    let path = url.strip_prefix("sqlite://").map(PathBuf::from).ok_or_else(|| StoreError::Url(url.to_owned()))?;
    let reading = tokio::task::spawn_blocking(move || events_after(&mut Options::new(&path).reader()?, seq, limit));
    // It ends early only by a panic, or with the runtime.
    reading.await.map_err(|_| StoreError::Closed)?
}
