//! What a check finds.

use std::time::Duration;

use serde::Serialize;
use slarouter_core::Timestamp;

/// Time that a check may take.
pub(super) const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It will not work.
    Fail,
}

/// One thing that was looked at. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it; nothing if all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Check {
    /// All is well.
    pub fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Ok, found: found.into(), mend: None }
    }

    /// It works.
    pub fn warn(name: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Warn, found: found.into(), mend: Some(mend.into()) }
    }

    /// It does not.
    pub fn fail(name: impl Into<String>, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { name: name.into(), level: Level::Fail, found: found.into(), mend: Some(mend.into()) }
    }
}

/// What time another machine says it is.
#[derive(Clone, Debug)]
pub(super) struct Dated {
    pub(super) host: String,
    pub(super) said: Timestamp,
    /// By our clock.
    pub(super) at: Timestamp,
}
