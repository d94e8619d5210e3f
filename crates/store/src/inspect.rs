//! A database from outside: read, never written, whether or not a process has it open.

use std::fs::{File, TryLockError};
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension};
use slarouter_core::Timestamp;

use crate::open::Place;
use crate::sqlite::{Options, lock_path, newest, snapshots, version};
use crate::{Content, Inspection, StoreError};

const LATEST: &str = "SELECT latest FROM (SELECT coalesce((SELECT time FROM decisions ORDER BY seq DESC LIMIT 1), \
     (SELECT time FROM archive ORDER BY seq DESC LIMIT 1)) AS latest) WHERE latest IS NOT NULL";

/// Looks at the store with this URL. Holds the lock of a file for an instant if nobody has it: a gateway that starts just then is refused.
///
/// # Errors
/// [`StoreError::Url`], [`StoreError::Unreachable`], [`StoreError::Foreign`] if the database is another program's, and [`StoreError::Database`] if the file is no
/// database or cannot be read.
pub async fn inspect(url: &str) -> Result<Inspection, StoreError> {
    let Place::File(path) = Place::of(url)? else { return crate::postgres::inspect(url).await };
    let path = PathBuf::from(path);
    let in_use = match File::open(lock_path(&path)) {
        Ok(file) => match file.try_lock() {
            Ok(()) => {
                // If it fails, the lock goes when the file is closed.
                let _ = file.unlock();
                false
            }
            Err(refused) => matches!(refused, TryLockError::WouldBlock),
        },
        Err(_) => false,
    };
    let newest = newest();
    let place = path.display().to_string();
    let Ok(file) = std::fs::metadata(&path) else {
        return Ok(Inspection { place, path: Some(path), in_use, newest, content: None, server: None });
    };
    let options = Options::new(&path);
    let reading = tokio::task::spawn_blocking(move || content(&options.reader()?, file.len(), newest));
    // It ends early only by a panic, or with the runtime.
    let content = reading.await.map_err(|_| StoreError::Closed)??;
    Ok(Inspection { place, path: Some(path), in_use, newest, content: Some(content), server: None })
}

fn content(connection: &Connection, bytes: u64, newest: i64) -> Result<Content, StoreError> {
    let number = |query: &str| connection.query_row(query, [], |row| row.get::<_, i64>(0)).optional();
    let version = version(connection)?;
    let mut content = Content {
        bytes,
        version,
        latest: None,
        has_keys: false,
        snapshots: Vec::new(),
        gateways: Vec::new(),
        waiting: 0,
    };
    if content.version == newest {
        let latest = number(LATEST)?;
        content.latest = latest.map(|time| Timestamp(time.max(0) as u64));
        content.has_keys = number("SELECT 1 FROM api_keys LIMIT 1")?.is_some();
        content.snapshots = snapshots(connection, u64::MAX)?;
    }
    Ok(content)
}
