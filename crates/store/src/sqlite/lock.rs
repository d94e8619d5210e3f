//! Who uses a database.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// Claims the database for this process, as long as the file returned stays open: the system takes the claim back however
/// the process ends. It lies on a file of its own, `<database>.lock`, which stays: opening and closing the database itself
/// once more would lose SQLite its own locks on it.
pub(super) fn lock(database: &Path) -> Result<File, StoreError> {
    let path = lock_path(database);
    let refuse = |source| StoreError::Lock { path: path.display().to_string(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(refuse)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(database.display().to_string())),
        Err(TryLockError::Error(source)) => Err(refuse(source)),
    }
}

/// The file that says who uses the database.
pub(crate) fn lock_path(database: &Path) -> PathBuf {
    beside(database, ".lock")
}

/// The file beside the database whose name goes on with this.
pub(crate) fn beside(database: &Path, ending: &str) -> PathBuf {
    let resolved = database.canonicalize().unwrap_or_else(|_| database.to_owned());
    let mut path = resolved.into_os_string();
    path.push(ending);
    PathBuf::from(path)
}
