//! Why there is no export.

use std::io;
use std::path::{Path, PathBuf};

use slarouter_store::StoreError;

/// Why there is no export. Nothing of it is left then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder is there. Whoever asks has to name another one, or to remove it.
    #[error("{} is there already: name a folder that is not", .0.display())]
    Exists(PathBuf),
    /// It has no name that a folder can have.
    #[error("{} is no name of a new folder", .0.display())]
    Name(PathBuf),
    /// The log ends before the event up to which it was to be exported.
    #[error("the log ends at event {committed}, before {until}: it is another one, or older")]
    Until {
        /// The event that was asked for.
        until: u64,
        /// The last one of the log.
        committed: u64,
    },
    /// A file or folder cannot be written: the disk is full, or the folder may not be written.
    #[error("{} cannot be written: {reason}", .path.display())]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
}

impl ExportError {
    /// For `map_err` of what is written to this path.
    pub(crate) fn write(path: &Path) -> impl Fn(io::Error) -> Self {
        move |reason| Self::Write { path: path.to_owned(), reason }
    }
}
