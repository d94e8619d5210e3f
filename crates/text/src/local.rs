//! The encoders that run in this process, by name.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{Blend, Encoder, HashedNgrams, StaticEmbedding, TableError};

/// Which encoder; nothing is read before [`LocalEncoder::load`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocalEncoder {
    /// [`HashedNgrams`].
    #[default]
    Hashed,
    /// [`StaticEmbedding`], with the table that comes with the program.
    Static,
    /// [`Blend`] of the two.
    Blend,
    /// `Bert`, which only builds with the cargo feature `bert` have.
    Bert {
        /// Holds `config.json`, `vocab.txt` and `model.safetensors`.
        folder: PathBuf,
        /// Dimensions that vectors are projected to.
        width: usize,
    },
}

/// Why an encoder cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    /// There is none of this name.
    #[error("there is no encoder {0:?}: use hashed, static, blend or bert:<folder>")]
    Unknown(String),
    /// The table that comes with the program is damaged; a fault of ours.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The folder does not hold a model.
    #[cfg(feature = "bert")]
    #[error(transparent)]
    Bert(#[from] crate::BertError),
    /// This build leaves it out.
    #[error("this binary is built without bert: build it with `--features bert`, or take hashed, static or blend")]
    NotBuilt,
}

impl LocalEncoder {
    /// Dimensions that BERT's vectors are projected to unless told otherwise.
    pub const BERT_WIDTH: usize = 64;

    /// From `hashed`, `static`, `blend` or `bert:<folder>`.
    ///
    /// # Errors
    /// [`LocalError::Unknown`]
    pub fn parse(text: &str) -> Result<Self, LocalError> {
        match (text, text.strip_prefix("bert:")) {
            ("hashed", _) => Ok(Self::Hashed),
            ("static", _) => Ok(Self::Static),
            ("blend", _) => Ok(Self::Blend),
            (_, Some(folder)) if !folder.is_empty() => {
                Ok(Self::Bert { folder: folder.into(), width: Self::BERT_WIDTH })
            }
            _ => Err(LocalError::Unknown(text.to_owned())),
        }
    }

    /// Whether it takes milliseconds per prompt, so that it belongs behind a [`crate::Worker`].
    #[must_use]
    pub fn is_slow(&self) -> bool {
        matches!(self, Self::Bert { .. })
    }

    /// Makes it ready for use: some milliseconds, for BERT as long as reading its weights takes.
    ///
    /// # Errors
    /// [`LocalError`]
    pub fn load(&self) -> Result<Arc<dyn Encoder>, LocalError> {
        Ok(match self {
            Self::Hashed => Arc::new(HashedNgrams),
            Self::Static => Arc::new(StaticEmbedding::new()?),
            Self::Blend => Arc::new(Blend::new()?),
            #[cfg(feature = "bert")]
            Self::Bert { folder, width } => {
                let options = crate::BertOptions::projected(Some(*width));
                Arc::new(crate::Bert::load(folder, options)?)
            }
            #[cfg(not(feature = "bert"))]
            Self::Bert { .. } => return Err(LocalError::NotBuilt),
        })
    }
}

impl fmt::Display for LocalEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hashed => f.write_str("hashed"),
            Self::Static => f.write_str("static"),
            Self::Blend => f.write_str("blend"),
            Self::Bert { folder, .. } => write!(f, "bert:{}", folder.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_there_and_back() {
        for name in ["hashed", "static", "blend", "bert:/models/mini lm"] {
            assert_eq!(LocalEncoder::parse(name).unwrap().to_string(), name);
        }
        for name in ["", "Hashed", "bert", "bert:", "remote"] {
            let error = LocalEncoder::parse(name).unwrap_err().to_string();
            assert!(error.contains(&format!("{name:?}")), "{error}");
        }
    }

    #[test]
    fn no_two_have_the_same_version() {
        let versions: std::collections::BTreeSet<u32> = ["hashed", "static", "blend"]
            .map(|name| LocalEncoder::parse(name).unwrap().load().unwrap().version())
            .into();
        assert_eq!(versions.len(), 3);
    }

    #[test]
    fn a_folder_without_a_model_is_refused() {
        let nowhere = LocalEncoder::parse("bert:/no/such/folder").unwrap();
        let error = nowhere.load().unwrap_err().to_string();
        let expected = if cfg!(feature = "bert") { "model.safetensors" } else { "--features bert" };
        assert!(error.contains(expected), "{error}");
    }
}
