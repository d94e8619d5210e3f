//! Why a comparison cannot be made.

use std::path::PathBuf;

use slarouter_core::{DecideError, ObserveError, SpecError};

use crate::DataError;

/// Why a comparison cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// A data set is wrong.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The folder cannot be read.
    #[error("the data folder {folder} cannot be read: {reason}; name one with --data")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A data set that is not there.
    #[error("there is no data set {name:?} in {folder}: it has {present}")]
    NoSuchData {
        /// The name asked for.
        name: String,
        /// The folder.
        folder: PathBuf,
        /// What is there.
        present: String,
    },
    /// A number that makes no sense.
    #[error("{name} must be {range}, not {value}")]
    Number {
        /// What it is.
        name: &'static str,
        /// What is allowed.
        range: &'static str,
        /// What was given.
        value: f64,
    },
    /// An output file cannot be written, or kept results not read.
    #[error("{path}: {reason}; name another folder with --out")]
    Output {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// An empty list.
    #[error("there is nothing to compare: name at least one {0}")]
    Nothing(&'static str),
    /// A contender does not fit the data.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A policy refuses a request; a fault of ours.
    #[error(transparent)]
    Decide(#[from] DecideError),
    /// A learner refuses an outcome; a fault of ours.
    #[error(transparent)]
    Observe(#[from] ObserveError),
}
