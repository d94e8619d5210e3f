//! Keys of clients, what has been spent with them, and what is used up of their limits.

use std::fmt;
use std::sync::Arc;

use slarouter_core::Timestamp;

/// A client's key, without the key itself.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Its public id.
    pub id: String,
    /// Whose it is; two live keys of one name are one account.
    pub name: String,
    /// SHA-256 of the key.
    pub digest: [u8; 32],
    /// The first characters, to tell keys apart.
    pub hint: String,
    /// What it may do, as JSON.
    pub grants: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it does not work.
    pub expires: Option<Timestamp>,
    /// When it was taken back.
    pub revoked: Option<Timestamp>,
}

impl fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KeyRecord");
        shown.field("id", &self.id).field("name", &self.name).field("grants", &self.grants);
        shown.field("expires", &self.expires).field("revoked", &self.revoked).finish_non_exhaustive()
    }
}

/// A change to the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// A new key.
    Add(KeyRecord),
    /// The key of this id ends at that time.
    Expire(String, Timestamp),
    /// The key of this id ends now, at that time.
    Revoke(String, Timestamp),
}

/// What an account has spent on one day, reservations included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spending {
    /// The account.
    pub account: Arc<str>,
    /// Days from 1 January 1970 to the date, by the calendar of who spends ([`crate::Calendar::day_number`]).
    pub day: u64,
    /// 10⁻⁹ USD; negative where a reservation is given back.
    pub nano_usd: i64,
}

/// How much is used up of an account's limits per minute, each in seconds: after so many it has come back, if nothing more is used. Sixty are all
/// of a limit; more were used beyond it.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitUsage {
    /// The account.
    pub account: Arc<str>,
    /// Of requests per minute.
    pub requests_s: f64,
    /// Of tokens per minute.
    pub tokens_s: f64,
}

/// The gateways that share a log, and what they have used of limits per minute.
#[derive(Clone, Debug, PartialEq)]
pub struct Together {
    /// Gateways that were there within the last ten seconds: at least this one.
    pub gateways: u32,
    /// Of the accounts whose limits are not whole.
    pub usage: Vec<LimitUsage>,
}
