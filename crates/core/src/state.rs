//! Saving a learner: magic, version, checksum, content.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::policy::Certified;
use crate::{Account, Alpha, CostModel, Knowledge, Learner, PolicySpec, StateError, Zoo};

/// Version of the saved form that this release writes. Older ones stay readable for ever.
pub const STATE_VERSION: u16 = 4;

const MAGIC: [u8; 4] = *b"SLAR";
const HEADER: usize = 4 + 2 + 8;

/// How a route was described, first thing in the content, up to version 2: α, zoo, policy and feedback window.
type SpecBefore3 = (Alpha, Zoo, PolicySpec, u64);

impl<P: Serialize + DeserializeOwned> Learner<P> {
    /// The whole state. Loading it gives the same state bit for bit. O(size).
    ///
    /// # Errors
    /// [`StateError::Damaged`] if the policy refuses to be serialised; those of this crate never do.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        seal(self)
    }

    /// # Errors
    /// [`StateError`] if the bytes are not ours, damaged, or written by a newer release.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let (version, content) = open(bytes)?;
        let mut content = Cow::Borrowed(content);
        if version == 1 {
            // It ended before the ledger's list of what the heads were not taught: an empty one is a single 0.
            content.to_mut().push(0);
        }
        if version <= 2 {
            content = Cow::Owned(before_3(&content).map_err(|error| damaged(&error.to_string()))?);
        }
        if version <= 3 {
            content = Cow::Owned(before_4(&content).map_err(|error| damaged(&error.to_string()))?);
        }
        postcard::from_bytes(&content).map_err(|error| damaged(&error.to_string()))
    }
}

impl Knowledge {
    /// The same bytes whatever route it came from.
    ///
    /// # Errors
    /// Never, but for bugs.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let predictor = self.predictor.by_name(&self.models);
        seal(&Self { features: self.features, models: Vec::new(), predictor, costs: self.costs.clone() })
    }

    /// # Errors
    /// As [`Learner::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let (_, content) = open(bytes)?;
        postcard::from_bytes(content).map_err(|error| damaged(&error.to_string()))
    }
}

fn damaged(what: &str) -> StateError {
    StateError::Damaged(what.to_owned())
}

fn seal(state: &impl Serialize) -> Result<Vec<u8>, StateError> {
    let content = postcard::to_stdvec(state).map_err(|error| damaged(&error.to_string()))?;
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend(MAGIC);
    bytes.extend(STATE_VERSION.to_le_bytes());
    bytes.extend(checksum(&content).to_le_bytes());
    bytes.extend(content);
    Ok(bytes)
}

/// Version and content.
fn open(bytes: &[u8]) -> Result<(u16, &[u8]), StateError> {
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
    if header[6..] != checksum(content).to_le_bytes() {
        return Err(damaged("wrong checksum"));
    }
    Ok((found, content))
}

/// Content of version 2 in the form of version 3: a spec without audits and limit, and a ledger that ended before both.
fn before_3(content: &[u8]) -> postcard::Result<Vec<u8>> {
    let (_, rest): (SpecBefore3, _) = postcard::take_from_bytes(content)?;
    let spec = &content[..content.len() - rest.len()];
    // Audit rate 0.0, rater limit 0, neither alone nor counting failures; of the ledger two empty maps of audits, three zeros and
    // two empty maps of the limit.
    Ok([spec, &[0; 8 + 3], rest, &[0; 7]].concat())
}

/// Content of version 3 in the form of version 4: no rater is limited to a share, and `certified` knows of no drift.
fn before_4(content: &[u8]) -> postcard::Result<Vec<u8>> {
    /// The spec as far as the audit rate and the rater limit, behind which the share belongs.
    type Spec = (SpecBefore3, f64, u64);
    /// What lies between the limit and the policy: two flags, dimension and version of the features, costs, account; and which
    /// policy it is.
    type Between = (bool, bool, usize, u32, CostModel, Account, u32);
    const CERTIFIED: u32 = 2;
    let (_, rest): (Spec, _) = postcard::take_from_bytes(content)?;
    let spec = &content[..content.len() - rest.len()];
    let ((.., policy), behind): (Between, _) = postcard::take_from_bytes(rest)?;
    let (ledger, drift) = match policy {
        CERTIFIED => (Certified::before_4(behind)?, Certified::no_drift()?),
        _ => (behind, Vec::new()),
    };
    let router = &rest[..rest.len() - ledger.len()];
    // The share is 0.0; the ledger ended before what it counts: 0.0, an empty map, two zeros.
    Ok([spec, &[0; 8], router, &drift, ledger, &[0; 8 + 3]].concat())
}

/// FNV-1a: catches torn and altered files; no defence against a forger, who could write the database anyway.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
