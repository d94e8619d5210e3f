//! A file without what is no longer in it, and a copy put in the place of a database.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;

use super::backup::{partial, unwritten};
use super::connection::{Options, close};
use super::lock::{beside, lock};
use super::read::last_seq;
use super::tables;
use crate::{Backup, Compacted, StoreError};

/// Writes the whole file anew, without gaps, so that from then on it can give back room by itself. Nobody else may have it open; it needs as
/// much room again while it runs.
pub(crate) fn compact(options: &Options) -> Result<Compacted, StoreError> {
    if !options.path.exists() {
        return Err(StoreError::Missing(options.path.display().to_string()));
    }
    let _lock = lock(&options.path)?;
    let length = || std::fs::metadata(&options.path).map_or(0, |file| file.len());
    let before_bytes = length();
    let mut connection = options.first_writer()?;
    tables::migrate(&mut connection)?;
    // It takes force with the file that is written anew.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.execute_batch("VACUUM")?;
    close(connection);
    Ok(Compacted { before_bytes, after_bytes: length() })
}

/// Puts a copy of a database in the place of one, which must not be there. The copy stays as it is.
pub(crate) fn restore(options: &Options, from: &Path) -> Result<Backup, StoreError> {
    let (source, _) = Options::new(from).known_reader()?;
    let log_seq = last_seq(&source)?;
    let to = &options.path;
    let _lock = lock(to)?;
    if to.exists() {
        return Err(StoreError::Exists(to.display().to_string()));
    }
    for ending in ["-wal", "-shm"] {
        // What a database that was taken away has left would be read into the one that comes.
        match std::fs::remove_file(beside(to, ending)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(unwritten(&beside(to, ending), error)),
            _ => {}
        }
    }
    let partial = partial(to);
    let made = (|| {
        let file = OpenOptions::new().create(true).write(true).truncate(true).open(&partial);
        let file = file.map_err(|reason| unwritten(&partial, reason))?;
        let rights = std::fs::metadata(from).map_err(|reason| unwritten(from, reason))?.permissions();
        file.set_permissions(rights).map_err(|reason| unwritten(&partial, reason))?;
        let path = partial.to_str().ok_or_else(|| unwritten(&partial, ErrorKind::InvalidFilename.into()))?;
        // Through SQLite, so that what a copy made by other means has in a write-ahead log is in it, and a damaged one is found here.
        source.execute("VACUUM INTO ?1", [path])?;
        file.sync_all().and_then(|()| std::fs::rename(&partial, to)).map_err(|reason| unwritten(to, reason))?;
        Ok(Backup { bytes: file.metadata().map_or(0, |copy| copy.len()), log_seq })
    })();
    if made.is_err() {
        // What cannot be removed was not there, or the disk is in trouble: the first error says so.
        drop(std::fs::remove_file(&partial));
    }
    made
}
