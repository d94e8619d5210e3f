//! Stores by their URLs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sqlite::{Options, SqliteStore};
use crate::{Backup, Compacted, Store, StoreError};

/// The file of a store: `sqlite://<path>`.
pub(crate) fn path(url: &str) -> Result<&str, StoreError> {
    match url.strip_prefix("sqlite://") {
        // In memory, every connection would have a database of its own.
        Some(path) if !path.is_empty() && path != ":memory:" => Ok(path),
        _ => Err(StoreError::Url(url.to_owned())),
    }
}

/// The file beside that of the store with this URL whose name goes on with `ending`.
///
/// # Errors
/// [`StoreError::Url`].
pub fn beside(url: &str, ending: &str) -> Result<PathBuf, StoreError> {
    Ok(crate::sqlite::beside(Path::new(path(url)?), ending))
}

/// Opens a store: `sqlite://<path>`, made if it is not there. `queue` is how many entries may wait to be written.
///
/// # Errors
/// [`StoreError`] if the URL is unknown, another process uses the database, it is another program's or of a newer release, or it
/// cannot be opened.
pub async fn open_with_queue(url: &str, queue: usize) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(SqliteStore::open(path(url)?, queue).await?))
}

/// Opens a store with the default queue of 65,536 entries; see [`open_with_queue`].
///
/// # Errors
/// As [`open_with_queue`].
pub async fn open(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    open_with_queue(url, 65_536).await
}

/// Opens a store to read what is in it, whether or not a process has it open and writes to it. Every try to write fails with
/// [`StoreError::Closed`].
///
/// # Errors
/// [`StoreError::Missing`] if there is none, [`StoreError::Foreign`], [`StoreError::Newer`] and [`StoreError::Older`] if this release
/// cannot read it; others if it cannot be opened.
pub async fn open_to_read(url: &str) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(SqliteStore::read(path(url)?).await?))
}

/// Copies the store with this URL, whether or not a process has it open and writes to it, as it is at one moment, to the file `to`.
///
/// # Errors
/// [`StoreError::Missing`], [`StoreError::Foreign`] and [`StoreError::Newer`] if there is nothing to copy, [`StoreError::Exists`] if there
/// is a file `to`; others if it cannot be written. Nothing is left behind then.
pub async fn backup(url: &str, to: &Path) -> Result<Backup, StoreError> {
    let (options, to) = (Options::new(path(url)?), PathBuf::from(to));
    let copying = tokio::task::spawn_blocking(move || crate::sqlite::backup(&options, &to));
    // It ends early only by a panic, or with the runtime.
    copying.await.map_err(|_| StoreError::Closed)?
}

/// Writes the file of the store with this URL anew, without the room that what is gone has left. Needs as much room again while it runs.
///
/// # Errors
/// [`StoreError::InUse`] while a process has it open, [`StoreError::Missing`], [`StoreError::Foreign`] and [`StoreError::Newer`] if there is
/// nothing to write; others if it cannot be written: then it stays as it is.
pub async fn compact(url: &str) -> Result<Compacted, StoreError> {
    let options = Options::new(path(url)?);
    let compacting = tokio::task::spawn_blocking(move || crate::sqlite::compact(&options));
    // It ends early only by a panic, or with the runtime.
    compacting.await.map_err(|_| StoreError::Closed)?
}

/// Makes the store with this URL from a copy ([`backup`]), of this release or an older one.
///
/// # Errors
/// [`StoreError::Exists`] if there is a store, [`StoreError::InUse`] while a process waits for one there, [`StoreError::Missing`],
/// [`StoreError::Foreign`] and [`StoreError::Newer`] if the copy is none; others if it cannot be read or written. Nothing is left behind then.
pub async fn restore(url: &str, from: &Path) -> Result<Backup, StoreError> {
    let (options, from) = (Options::new(path(url)?), PathBuf::from(from));
    let copying = tokio::task::spawn_blocking(move || crate::sqlite::restore(&options, &from));
    // It ends early only by a panic, or with the runtime.
    copying.await.map_err(|_| StoreError::Closed)?
}
