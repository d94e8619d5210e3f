//! A copy of a database that is in use.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::connection::Options;
use super::read::last_seq;
use crate::{Backup, StoreError};

/// Writes the database as it is at one moment to the file `to`, which must not exist. Nobody waits for it: the writer goes on beside the
/// copy. It takes time and room as the database is large, and no longer the more is written meanwhile.
///
/// The copy grows in `<to>.partial` and gets its name when it is whole and on the disk.
pub(crate) fn backup(options: &Options, to: &Path) -> Result<Backup, StoreError> {
    let (connection, _) = options.known_reader()?;
    // The name is taken at once, so that two backups to one file cannot both go on.
    match File::create_new(to) {
        Ok(claim) => drop(claim),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return Err(StoreError::Exists(to.display().to_string()));
        }
        Err(reason) => return Err(unwritten(to, reason)),
    }
    let partial = partial(to);
    let made = (|| {
        let database = std::fs::metadata(&options.path).map_err(|reason| unwritten(to, reason))?;
        let claimed = OpenOptions::new().create(true).write(true).truncate(true).open(&partial);
        let file = claimed.map_err(|reason| unwritten(&partial, reason))?;
        // Whoever may not read the database may not read its copy.
        file.set_permissions(database.permissions()).map_err(|reason| unwritten(&partial, reason))?;
        let path = partial.to_str().ok_or_else(|| unwritten(&partial, ErrorKind::InvalidFilename.into()))?;
        connection.execute("VACUUM INTO ?1", [path])?;
        file.sync_all().and_then(|()| std::fs::rename(&partial, to)).map_err(|reason| unwritten(to, reason))?;
        let copied = Options::new(to).reader()?;
        Ok(Backup { bytes: file.metadata().map_or(0, |copy| copy.len()), log_seq: last_seq(&copied)? })
    })();
    if made.is_err() {
        // What cannot be removed was not there, or the disk is in trouble: the first error says so.
        drop(std::fs::remove_file(&partial));
        drop(std::fs::remove_file(to));
    }
    made
}

pub(super) fn partial(to: &Path) -> PathBuf {
    let mut path = to.as_os_str().to_owned();
    path.push(".partial");
    PathBuf::from(path)
}

pub(super) fn unwritten(path: &Path, reason: std::io::Error) -> StoreError {
    StoreError::Copy { path: path.display().to_string(), reason }
}
