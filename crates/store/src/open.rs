//! Stores by their URLs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::postgres::{PostgresStore, Server, Share};
use crate::sqlite::{Options, SqliteStore};
use crate::{Backup, Compacted, Store, StoreError};

/// Where a store is.
pub(crate) enum Place<'a> {
    /// A file of SQLite's: `sqlite://<path>`.
    File(&'a str),
    /// A database of a PostgreSQL server: `postgres://…`.
    Server(&'a str),
}

impl<'a> Place<'a> {
    /// # Errors
    /// [`StoreError::Url`]
    pub(crate) fn of(url: &'a str) -> Result<Self, StoreError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Server(url));
        }
        match url.strip_prefix("sqlite://") {
            // In memory, every connection would have a database of its own.
            Some(path) if !path.is_empty() && path != ":memory:" => Ok(Self::File(path)),
            _ => Err(StoreError::Url(url.to_owned())),
        }
    }
}

/// A URL for people: without the password.
#[must_use]
pub fn shown(url: &str) -> String {
    match Place::of(url) {
        Ok(Place::Server(url)) => Server::new(url).map_or_else(|_| "postgres://…".to_owned(), |server| server.shown()),
        _ => url.to_owned(),
    }
}

/// The file beside the store with this URL whose name goes on with `ending`. Where the store is no file, it is in the folder of the
/// process's state: that which systemd names (`STATE_DIRECTORY`), or else the one that the process was started in.
///
/// # Errors
/// [`StoreError::Url`].
pub fn beside(url: &str, ending: &str) -> Result<PathBuf, StoreError> {
    match Place::of(url)? {
        Place::File(path) => Ok(crate::sqlite::beside(Path::new(path), ending)),
        Place::Server(url) => {
            let folder = std::env::var_os("STATE_DIRECTORY").map_or_else(PathBuf::new, PathBuf::from);
            Ok(folder.join(format!("{}{ending}", Server::new(url)?.database().replace('/', "_"))))
        }
    }
}

/// Opens a store: `sqlite://<path>`, made if it is not there, or `postgres://…`, whose tables are made if they are not. `queue` is how
/// many entries may wait to be written.
///
/// # Errors
/// [`StoreError`] if the URL is unknown, another process uses the database, it is another program's or of a newer release, or it
/// cannot be opened.
pub async fn open_with_queue(url: &str, queue: usize) -> Result<Arc<dyn Store>, StoreError> {
    Ok(match Place::of(url)? {
        Place::File(path) => Arc::new(SqliteStore::open(path, queue).await?),
        Place::Server(url) => Arc::new(PostgresStore::open(url, queue, Share::Alone).await?),
    })
}

/// Opens a store as one of several gateways, which may share a server's: see [`Store::role`]. A file has one process, as with [`open_with_queue`].
/// With a `spool`, what is logged and said while the server is away is kept in a file, as many bytes of it as stated.
///
/// # Errors
/// As [`open_with_queue`]; [`StoreError::Spool`].
pub async fn join(url: &str, queue: usize, spool: Option<(&Path, u64)>) -> Result<Arc<dyn Store>, StoreError> {
    let Place::Server(server) = Place::of(url)? else { return open_with_queue(url, queue).await };
    let spool = spool.map(|(path, room)| (path.to_owned(), room));
    Ok(Arc::new(PostgresStore::open(server, queue, Share::WithOthers { spool }).await?))
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
    Ok(match Place::of(url)? {
        Place::File(path) => Arc::new(SqliteStore::read(path).await?),
        Place::Server(url) => Arc::new(PostgresStore::read(url).await?),
    })
}

/// Copies the file of the store with this URL, whether or not a process has it open and writes to it, as it is at one moment, to the file `to`.
///
/// # Errors
/// [`StoreError::Missing`], [`StoreError::Foreign`] and [`StoreError::Newer`] if there is nothing to copy, [`StoreError::Exists`] if there
/// is a file `to`, [`StoreError::FilesOnly`] for a server's; others if it cannot be written. Nothing is left behind then.
pub async fn backup(url: &str, to: &Path) -> Result<Backup, StoreError> {
    let Place::File(path) = Place::of(url)? else {
        return Err(StoreError::FilesOnly(
            "a database of PostgreSQL is copied by its own means: `pg_dump --format=custom`, or docs/postgresql.md#backup",
        ));
    };
    let (options, to) = (Options::new(path), PathBuf::from(to));
    let copying = tokio::task::spawn_blocking(move || crate::sqlite::backup(&options, &to));
    // It ends early only by a panic, or with the runtime.
    copying.await.map_err(|_| StoreError::Closed)?
}

/// Writes the file of the store with this URL anew, without the room that what is gone has left. Needs as much room again while it runs.
///
/// # Errors
/// [`StoreError::InUse`] while a process has it open, [`StoreError::Missing`], [`StoreError::Foreign`] and [`StoreError::Newer`] if there is
/// nothing to write, [`StoreError::FilesOnly`] for a server's; others if it cannot be written: then it stays as it is.
pub async fn compact(url: &str) -> Result<Compacted, StoreError> {
    let Place::File(path) = Place::of(url)? else {
        return Err(StoreError::FilesOnly(
            "a server of PostgreSQL takes the room of what is gone back by itself (autovacuum); `VACUUM FULL` gives it to the file system",
        ));
    };
    let options = Options::new(path);
    let compacting = tokio::task::spawn_blocking(move || crate::sqlite::compact(&options));
    // It ends early only by a panic, or with the runtime.
    compacting.await.map_err(|_| StoreError::Closed)?
}

/// Makes the store with this URL from a copy ([`backup`]), of this release or an older one.
///
/// # Errors
/// [`StoreError::Exists`] if there is a store, [`StoreError::InUse`] while a process waits for one there, [`StoreError::Missing`],
/// [`StoreError::Foreign`] and [`StoreError::Newer`] if the copy is none, [`StoreError::FilesOnly`] for a server; others if it cannot be read or
/// written. Nothing is left behind then.
pub async fn restore(url: &str, from: &Path) -> Result<Backup, StoreError> {
    let Place::File(path) = Place::of(url)? else {
        return Err(StoreError::FilesOnly(
            "a database of PostgreSQL is brought back by its own means: `pg_restore`, or docs/postgresql.md#backup; a file of SQLite's is \
             restored to sqlite://<path> and then moved with `slarouter migrate`",
        ));
    };
    let (options, from) = (Options::new(path), PathBuf::from(from));
    let copying = tokio::task::spawn_blocking(move || crate::sqlite::restore(&options, &from));
    // It ends early only by a panic, or with the runtime.
    copying.await.map_err(|_| StoreError::Closed)?
}
