//! Saving a learner: magic, version, checksum, content.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::learner::SavedLearner;
use crate::policy::{FirstPolicy, SecondPolicy};
use crate::{AnyPolicy, Knowledge, Learner, StateError};

/// Version of the saved form. Once it is released, any change of the form needs a new one, and what was saved in the older ones
/// stays readable.
pub const STATE_VERSION: u16 = 3;

const MAGIC: [u8; 4] = *b"SLAR";
const HEADER: usize = 4 + 2 + 4;

impl Learner {
    /// The whole state. Loading it gives the same state bit for bit. O(size).
    ///
    /// # Errors
    /// [`StateError::Damaged`] if it cannot be serialised, which does not happen.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        seal(self)
    }

    /// The state that [`Learner::to_bytes`] saved.
    ///
    /// # Errors
    /// [`StateError`] if the bytes are not ours, damaged, or written by a newer release.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        match unseal(bytes)? {
            (1, content) => Ok(read::<SavedLearner<FirstPolicy>>(content)?.with(AnyPolicy::from)),
            (2, content) => Ok(read::<SavedLearner<SecondPolicy>>(content)?.with(AnyPolicy::from)),
            (_, content) => Ok(read::<Self>(content)?.complete()),
        }
    }
}

impl Knowledge {
    /// The same bytes whatever route it came from.
    ///
    /// # Errors
    /// [`StateError::Damaged`] if it cannot be serialised, which does not happen.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let predictor = self.predictor.by_name(&self.models);
        seal(&Self { features: self.features, models: Vec::new(), predictor, costs: self.costs.clone() })
    }

    /// What [`Knowledge::to_bytes`] saved.
    ///
    /// # Errors
    /// As [`Learner::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        // All versions have the same form.
        read(unseal(bytes)?.1)
    }
}

fn damaged(what: &str) -> StateError {
    StateError::Damaged(what.to_owned())
}

pub(crate) fn seal(state: &impl Serialize) -> Result<Vec<u8>, StateError> {
    let content = postcard::to_stdvec(state).map_err(|error| damaged(&error.to_string()))?;
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend(MAGIC);
    bytes.extend(STATE_VERSION.to_le_bytes());
    bytes.extend(checksum(STATE_VERSION, &content).to_le_bytes());
    bytes.extend(content);
    Ok(bytes)
}

/// Of the content, and from version 3 on of the version as well: the content of some policies is the same in all versions.
fn checksum(version: u16, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    if version > 2 {
        hasher.update(&version.to_le_bytes());
    }
    hasher.update(content);
    hasher.finalize()
}

/// The version and the content. The checksum catches torn and altered files; it is no defence against a forger, who could write the database anyway.
pub(crate) fn unseal(bytes: &[u8]) -> Result<(u16, &[u8]), StateError> {
    let Some((header, content)) = bytes.split_at_checked(HEADER) else { return Err(damaged("too short")) };
    if header[..4] != MAGIC {
        return Err(damaged("wrong magic"));
    }
    let found = u16::from_le_bytes([header[4], header[5]]);
    if found > STATE_VERSION {
        return Err(StateError::Version { found, supported: STATE_VERSION });
    }
    if found == 0 {
        return Err(damaged("there is no version 0"));
    }
    if header[6..] != checksum(found, content).to_le_bytes() {
        return Err(damaged("wrong checksum"));
    }
    Ok((found, content))
}

pub(crate) fn read<T: DeserializeOwned>(content: &[u8]) -> Result<T, StateError> {
    postcard::from_bytes(content).map_err(|error| damaged(&error.to_string()))
}
