//! What can be wrong with a model.

use std::path::PathBuf;

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BertError {
    /// A file cannot be read.
    #[error("{path}: {source}; the folder of a BERT model needs config.json, vocab.txt and model.safetensors")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file holds something else.
    #[error("{path}: {what}; if it should be right, copy the file again")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The projection makes no sense.
    #[error("cannot project {from} dimensions to {to}: give a number between 1 and {from}, or none")]
    Projection {
        /// The model's.
        from: usize,
        /// The wish.
        to: usize,
    },
}
