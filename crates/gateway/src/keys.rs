//! Clients' keys: what they may do, how they are made and kept.
//!
//! A key of ours is 256 random bits, so its plain SHA-256 is as good as the key is long: there is no dictionary to try, and
//! a slow password hash would only slow every request down. The key itself is shown once and stored nowhere.

mod book;
mod remote;

use std::fmt;

use secrecy::ExposeSecret;
pub use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

pub use book::{KeyBook, KeyError, NewKey};
pub use remote::{RemoteBook, RemoteError};

use crate::limits::Limits;

/// What keys begin with, for scanners that look for secrets in the wrong places.
const PREFIX: &str = "slr_";
const MAX_NAME: usize = 64;

/// What a key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// To ask for answers and decisions, and to report outcomes.
    Inference,
    /// To rate answers as a user.
    Feedback,
    /// To list the answers drawn for audit and to judge them.
    Audit,
    /// To make and revoke keys.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Inference, Self::Feedback, Self::Audit, Self::Admin];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Feedback => "feedback",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a key may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// Whose it is: `auto` then means the tenant's own route where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What `model` may say; anything but other tenants' routes if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// How much.
    #[serde(default, skip_serializing_if = "Limits::are_none")]
    pub limits: Limits,
}

impl Grants {
    /// # Errors
    /// What is wrong with them, as a sentence without its end.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.scopes.is_empty() {
            return Err("a key needs at least one scope: inference, feedback, audit or admin".to_owned());
        }
        if let Some(tenant) = &self.tenant {
            check_name(tenant, "a tenant's")?;
        }
        if self.models.as_ref().is_some_and(Vec::is_empty) {
            return Err("models must name at least one model or route; leave it out to allow all".to_owned());
        }
        self.limits.check()
    }
}

/// # Errors
/// What is wrong with the name.
pub(crate) fn check_name(name: &str, whose: &str) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(valid) {
        return Err(format!("{whose} name has from 1 to {MAX_NAME} lower-case letters, digits, - and _"));
    }
    Ok(())
}

/// SHA-256 of a key, by which it is stored and found.
pub(crate) fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// A fresh key, from the system's source of randomness.
///
/// # Errors
/// The system has none.
pub(crate) fn generate() -> Result<SecretString, getrandom::Error> {
    Ok(format!("{PREFIX}{}", hex(&random::<32>()?)).into())
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// As much of a key as may be shown: enough to tell two apart, and 32 of 256 bits.
fn hint(key: &SecretString) -> String {
    format!("{}…", &key.expose_secret()[..PREFIX.len() + 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_differ_and_show_little() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert_eq!(one.expose_secret().len(), 68);
        assert_eq!(hint(&one).chars().count(), 13);
        assert!(!format!("{one:?}").contains(&one.expose_secret()[4..]));
    }

    #[test]
    fn grants_are_checked() {
        let grants = |text: &str| serde_json::from_str::<Grants>(text).map_err(|e| e.to_string())?.check();
        assert_eq!(grants(r#"{"scopes":["inference"],"tenant":"a","models":["auto"]}"#), Ok(()));
        for wrong in [
            r#"{"scopes":[]}"#,
            r#"{"scopes":["root"]}"#,
            r#"{"scopes":["audit"],"tenant":"a/b"}"#,
            r#"{"scopes":["audit"],"models":[]}"#,
            r#"{"scopes":["audit"],"limits":{"usd_per_day":-1}}"#,
            r#"{"scopes":["audit"],"limits":{"requests_per_minute":0}}"#,
            r#"{"scopes":["audit"],"limit":{}}"#,
        ] {
            assert!(grants(wrong).is_err(), "{wrong}");
        }
    }
}
