//! Stores by their URLs.

use std::sync::Arc;

use crate::sqlite::SqliteStore;
use crate::{Store, StoreError};

/// Opens a store: `sqlite://<path>`, made if it is not there. `queue` is how many entries may wait to be written.
///
/// # Errors
/// [`StoreError`] if the URL is unknown, another process uses the database, or it cannot be opened or is of a newer release.
pub async fn open_with_queue(url: &str, queue: usize) -> Result<Arc<dyn Store>, StoreError> {
    match url.strip_prefix("sqlite://") {
        // In memory, every connection would have a database of its own.
        Some(path) if !path.is_empty() && path != ":memory:" => Ok(Arc::new(SqliteStore::open(path, queue).await?)),
        _ => Err(StoreError::Url(url.to_owned())),
    }
}

/// Opens a store with the default queue of 65,536 entries; see [`open_with_queue`].
///
/// # Errors
/// As [`open_with_queue`].
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    open_with_queue(url, 65_536).await
}
