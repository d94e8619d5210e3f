//! Who uses a database.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::StoreError;

/// A claim on a database.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // To close the file is not enough: a child that the process has just forked has it too, until it becomes another program. If it fails,
        // closing it remains.
        let _ = self.0.unlock();
    }
}

/// Claims the database for this process, as long as the claim lives: the system takes it back however
/// the process ends. It lies on a file of its own, `<database>.lock`, which stays: opening and closing the database itself
/// once more would lose SQLite its own locks on it.
pub(super) fn lock(database: &Path) -> Result<Lock, StoreError> {
    let path = lock_path(database);
    let refuse = |source| StoreError::Lock { path: path.display().to_string(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(refuse)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_ends_although_the_file_is_open_elsewhere() {
        let folder = tempfile::TempDir::new().unwrap();
        let database = folder.path().join("log.db");
        let claim = lock(&database).unwrap();
        // As a child has it between fork and exec.
        let inherited = claim.0.try_clone().unwrap();
        assert!(matches!(lock(&database), Err(StoreError::InUse(_))));
        drop(claim);
        assert!(lock(&database).is_ok());
        drop(inherited);
    }
}
