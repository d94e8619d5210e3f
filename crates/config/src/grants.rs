//! What a key may do, and how much.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const MAX_NAME: usize = 64;
/// Beyond it a limit is none, and sums would overflow.
const MOST: u64 = 1_000_000_000_000;
const MOST_USD: f64 = 1e9;

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
    /// To see the metrics.
    View,
    /// To make and revoke keys, and to see the metrics.
    Admin,
}

/// Limits of a key or a tenant; none where left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute, of questions and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// USD per day of `server.time_zone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_day: Option<f64>,
    /// USD per calendar month of `server.time_zone`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_month: Option<f64>,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Inference, Self::Feedback, Self::Audit, Self::View, Self::Admin];
    /// Their words, for a message.
    pub const WORDS: &str = "inference, feedback, audit, view or admin";

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inference => "inference",
            Self::Feedback => "feedback",
            Self::Audit => "audit",
            Self::View => "view",
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
    /// Checks them.
    ///
    /// # Errors
    /// What is wrong with them, as a sentence without its end.
    pub fn check(&self) -> Result<(), String> {
        if self.scopes.is_empty() {
            return Err(format!("a key needs at least one scope: {}", Scope::WORDS));
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

/// Checks the name of a key or a tenant.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str, whose: &str) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(valid) {
        return Err(format!("{whose} name has from 1 to {MAX_NAME} lower-case letters, digits, - and _"));
    }
    Ok(())
}

impl Limits {
    /// Whether there is no limit.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }

    /// Checks them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in
            [("requests_per_minute", self.requests_per_minute), ("tokens_per_minute", self.tokens_per_minute)]
        {
            if value.is_some_and(|value| !(1..=MOST).contains(&value)) {
                return Err(format!("{name} must be from 1 to {MOST}; leave it out for no limit"));
            }
        }
        for (name, value) in [("usd_per_day", self.usd_per_day), ("usd_per_month", self.usd_per_month)] {
            if value.is_some_and(|value| !(0.0..=MOST_USD).contains(&value)) {
                return Err(format!("{name} must be from 0 to {MOST_USD} USD; leave it out for no budget"));
            }
        }
        Ok(())
    }

    /// Whether spending has to be remembered.
    #[must_use]
    pub fn has_budget(&self) -> bool {
        self.usd_per_day.is_some() || self.usd_per_month.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
