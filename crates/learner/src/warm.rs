//! What `slarouter train` has learnt from judged answers, for routes that know nothing yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use slarouter_core::policy::Believed;
use slarouter_core::{Knowledge, Learner, Policy, RouteSpec, StateError};

/// Which encoder a route's features come from. It stands in the log with each configuration, so that a replay knows what the
/// features of that time mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeaturesId {
    /// The encoder's name, as in `[features]`.
    pub encoder: String,
    /// Version of the encoder's vectors: those of different versions are not compared.
    pub version: u32,
    /// Length of the vectors.
    pub dim: usize,
}

/// The content of a file of `slarouter train`. It goes into the log with the route's configuration, so that the log alone says
/// what a route knows.
#[derive(Clone, Debug, PartialEq)]
pub struct WarmStart(pub(crate) Knowledge);

/// Why a file cannot be begun with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WarmStartError {
    /// It cannot be read.
    #[error("warm_start {file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is no file of `slarouter train`, or damaged.
    #[error("warm_start {file}: {source}: make it with `slarouter train`")]
    State {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: StateError,
    },
    /// It was made with another encoder.
    #[error("warm_start {file}: made for features of length {} and version {}, but the encoder has length {} and version {}: train again with this [features]", found.0, found.1, wanted.0, wanted.1)]
    Features {
        /// The file.
        file: PathBuf,
        /// Length and version of its features.
        found: (usize, u32),
        /// Length and version of the configured encoder's features.
        wanted: (usize, u32),
    },
}

/// The fallback of a new route with this configuration, and the mean satisfaction that is believed of it at most before the first label:
/// its prior, or the highest that is plausible by a warm start. `None` where neither says anything, and for a policy without a
/// fallback.
#[must_use]
pub fn first_belief(
    spec: &RouteSpec,
    features: &FeaturesId,
    warm_start: Option<&WarmStart>,
) -> Option<(Arc<str>, f64)> {
    let mut learner = Learner::new(spec.clone(), features.dim, features.version).ok()?;
    let begun = warm_start.is_some_and(|begin| learner.begin_with(&begin.0));
    let router = learner.router();
    let fallback = &router.zoo().models()[router.policy().fallback()?];
    let most = if begun { router.fallback_believed().map(Believed::upper) } else { fallback.prior };
    Some((fallback.name.clone(), most?))
}

impl WarmStart {
    /// Reads a file, for routes with these features.
    ///
    /// # Errors
    /// [`WarmStartError`]
    pub fn read(path: &Path, features: &FeaturesId) -> Result<Self, WarmStartError> {
        let bytes = std::fs::read(path).map_err(|source| WarmStartError::Read { file: path.into(), source })?;
        let knowledge =
            Knowledge::from_bytes(&bytes).map_err(|source| WarmStartError::State { file: path.into(), source })?;
        let wanted = (features.dim, features.version);
        if knowledge.features() != wanted {
            return Err(WarmStartError::Features { file: path.into(), found: knowledge.features(), wanted });
        }
        Ok(Self(knowledge))
    }
}

impl Serialize for WarmStart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.to_bytes().map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for WarmStart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Ok(Self(Knowledge::from_bytes(&bytes).map_err(serde::de::Error::custom)?))
    }
}
