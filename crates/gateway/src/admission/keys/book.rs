//! Making, listing, rotating and revoking the keys in the store.

use std::collections::HashMap;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slarouter_config::{Grants, check_name};
use slarouter_core::Timestamp;
use slarouter_store::{By, KeyChange, KeyRecord, Selection, Store, StoreError};
use utoipa::ToSchema;

use super::secret::{digest, generate, hint, random};
use crate::clock::Clock;

const DAY_MS: f64 = 86_400_000.0;
const MAX_DAYS: f64 = 36_500.0;
/// Live keys of one name: the one in use and the one that replaces it.
const MOST_LIVE: usize = 2;
/// How often keys are looked at anew that others change at the same time.
const TRIES: usize = 8;

/// A key to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Whose it is: 1 to 64 of `a-z`, `0-9`, `-`, `_`, and no other live key's.
    pub name: String,
    /// What it may do.
    pub grants: Grants,
    /// Days until it ends, above 0 and at most 36,500; never if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_days: Option<f64>,
}

/// Why the keys were not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The caller is at fault.
    #[error("{0}")]
    Invalid(String),
    /// There is no such key.
    #[error("there is no key {0:?}: list the keys to see their ids")]
    Unknown(String),
    /// Another key is in the way.
    #[error("{0}")]
    Taken(String),
    /// The store cannot be read or written.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// The system has no randomness to give.
    #[error("no random numbers from the system: {0}")]
    Random(#[from] getrandom::Error),
}

/// The keys in a store. One change at a time: in this process by a lock, and of several that share the store by the version of the keys.
#[derive(Clone)]
pub struct KeyBook {
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    /// Names that the configuration has given away.
    taken: Arc<[Arc<str>]>,
    changing: Arc<tokio::sync::Mutex<()>>,
}

impl KeyBook {
    /// The keys in this store; `taken` are the names of keys in the configuration.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, taken: Vec<Arc<str>>) -> Self {
        Self::with_clock(store, taken, Arc::new(Clock::default()))
    }

    pub(crate) fn with_clock(store: Arc<dyn Store>, taken: Vec<Arc<str>>, clock: Arc<Clock>) -> Self {
        Self { store, clock, taken: taken.into(), changing: Arc::default() }
    }

    /// The same keys, with other names taken.
    pub(crate) fn with_taken(&self, taken: Vec<Arc<str>>) -> Self {
        Self { taken: taken.into(), ..self.clone() }
    }

    pub(crate) async fn records(&self) -> Result<Vec<KeyRecord>, KeyError> {
        Ok(self.store.keys().await?)
    }

    /// All keys that there ever were, oldest first, without the keys themselves; with each what its account has spent.
    ///
    /// # Errors
    /// [`KeyError::Store`].
    pub async fn list(&self) -> Result<Vec<Value>, KeyError> {
        let now = self.clock.now();
        let month = self.store.calendar().await?.month(now).start;
        let (this_month, ever) = (self.spent(month).await?, self.spent(Timestamp(0)).await?);
        let list = self.records().await?.into_iter().map(|key| {
            let usd = |spent: &HashMap<Arc<str>, f64>| spent.get(key.name.as_str()).copied().unwrap_or_default();
            let mut shown = shown(&key, now);
            shown["spent_month_usd"] = usd(&this_month).into();
            shown["spent_usd"] = usd(&ever).into();
            shown
        });
        Ok(list.collect())
    }

    /// USD that each account has spent since then.
    async fn spent(&self, from: Timestamp) -> Result<HashMap<Arc<str>, f64>, StoreError> {
        let since = Selection { from, to: Timestamp(u64::MAX), ..Selection::default() };
        let rows = self.store.totals(since, &[By::Key]).await?;
        Ok(rows.into_iter().filter_map(|row| Some((row.names.first()?.clone(), row.totals.cost_usd()))).collect())
    }

    /// Makes a key. The answer holds it as `key`, this once.
    ///
    /// # Errors
    /// [`KeyError`]; then there is no new key.
    pub async fn create(&self, new: NewKey) -> Result<Value, KeyError> {
        check_name(&new.name, "a key's").map_err(KeyError::Invalid)?;
        new.grants.check().map_err(KeyError::Invalid)?;
        let now = self.clock.now();
        let expires = new.expires_days.map(|days| after(now, days, "expires_days")).transpose()?;
        let grants = serde_json::to_string(&new.grants).map_err(|error| KeyError::Invalid(error.to_string()))?;
        let create = |keys: &[KeyRecord]| -> Result<_, KeyError> {
            let live = keys.iter().any(|key| key.name == new.name && is_live(key, now));
            if live || self.taken.iter().any(|name| **name == *new.name) {
                let what = format!("there is a live key named {:?}: choose another name, or rotate that key", new.name);
                return Err(KeyError::Taken(what));
            }
            let (key, record) = make(new.name.clone(), grants.clone(), now, expires)?;
            let shown = shown_once(&record, &key, now);
            Ok((vec![KeyChange::Add(record)], shown))
        };
        self.change(create).await
    }

    /// Makes another key with the name, grants and account of this one, which ends after `grace_hours`.
    ///
    /// # Errors
    /// [`KeyError`]; then nothing has changed. [`KeyError::Taken`] if two keys of the name are live already.
    pub async fn rotate(&self, id: &str, grace_hours: f64) -> Result<Value, KeyError> {
        if !(0.0..=MAX_DAYS * 24.0).contains(&grace_hours) {
            return Err(KeyError::Invalid(format!("grace_hours must be from 0 to {}", MAX_DAYS * 24.0)));
        }
        let now = self.clock.now();
        let end = Timestamp(now.0 + (grace_hours / 24.0 * DAY_MS) as u64);
        let rotate = |keys: &[KeyRecord]| -> Result<_, KeyError> {
            let old = find(keys, id)?;
            if !is_live(old, now) {
                return Err(KeyError::Invalid(format!("the key {id} has ended: create a new one")));
            }
            if keys.iter().filter(|key| key.name == old.name && is_live(key, now)).count() >= MOST_LIVE {
                let what = format!("two keys named {:?} are live: revoke the older one first", old.name);
                return Err(KeyError::Taken(what));
            }
            // The new one lives as long as the old one was meant to.
            let lifetime = old.expires.map(|expires| Timestamp(now.0 + expires.0.saturating_sub(old.created.0)));
            let (key, record) = make(old.name.clone(), old.grants.clone(), now, lifetime)?;
            let end = old.expires.map_or(end, |expires| expires.min(end));
            let mut shown = shown_once(&record, &key, now);
            shown["replaces"] = json!({ "id": old.id, "expires_ms": end.0 });
            Ok((vec![KeyChange::Add(record), KeyChange::Expire(old.id.clone(), end)], shown))
        };
        self.change(rotate).await
    }

    /// Ends a key now. Once more changes nothing.
    ///
    /// # Errors
    /// [`KeyError`]; then nothing has changed.
    pub async fn revoke(&self, id: &str) -> Result<Value, KeyError> {
        let now = self.clock.now();
        let revoke = |keys: &[KeyRecord]| -> Result<_, KeyError> {
            let mut key = find(keys, id)?.clone();
            let mut changes = Vec::new();
            if key.revoked.is_none() {
                key.revoked = Some(now);
                changes.push(KeyChange::Revoke(key.id.clone(), now));
            }
            Ok((changes, shown(&key, now)))
        };
        self.change(revoke).await
    }

    /// Makes the changes that `decide` says by the keys as they are, once more if another process has changed them meanwhile.
    async fn change(
        &self,
        decide: impl Fn(&[KeyRecord]) -> Result<(Vec<KeyChange>, Value), KeyError> + Send,
    ) -> Result<Value, KeyError> {
        let _guard = self.changing.lock().await;
        let mut tries = TRIES;
        loop {
            // Before the keys: they may be newer, and are not older.
            let version = self.store.key_version().await?;
            let keys = self.records().await?;
            let (changes, answer) = decide(&keys)?;
            if changes.is_empty() {
                return Ok(answer);
            }
            match self.store.change_keys_as_of(version, changes).await {
                Err(StoreError::KeysChanged) if tries > 1 => tries -= 1,
                changed => return Ok(changed.map(|()| answer)?),
            }
        }
    }
}

fn find<'a>(keys: &'a [KeyRecord], id: &str) -> Result<&'a KeyRecord, KeyError> {
    keys.iter().find(|key| key.id == id).ok_or_else(|| KeyError::Unknown(id.to_owned()))
}

pub(crate) fn is_live(key: &KeyRecord, now: Timestamp) -> bool {
    key.revoked.is_none() && key.expires.is_none_or(|expires| now < expires)
}

fn after(now: Timestamp, days: f64, name: &str) -> Result<Timestamp, KeyError> {
    if !(days > 0.0 && days <= MAX_DAYS) {
        return Err(KeyError::Invalid(format!("{name} must be above 0 and at most {MAX_DAYS}, not {days}")));
    }
    Ok(Timestamp(now.0 + (days * DAY_MS) as u64))
}

fn make(
    name: String,
    grants: String,
    now: Timestamp,
    expires: Option<Timestamp>,
) -> Result<(SecretString, KeyRecord), KeyError> {
    let key = generate()?;
    let id = format!("key_{}", HEXLOWER.encode(&random::<8>()?));
    let (digest, hint) = (digest(key.expose_secret().as_bytes()), hint(&key));
    Ok((key, KeyRecord { id, name, digest, hint, grants, created: now, expires, revoked: None }))
}

fn shown(key: &KeyRecord, now: Timestamp) -> Value {
    let status = match (key.revoked, is_live(key, now)) {
        (Some(_), _) => "revoked",
        (None, true) => "live",
        (None, false) => "expired",
    };
    json!({
        "id": key.id, "object": "key", "name": key.name, "hint": key.hint, "status": status,
        "grants": serde_json::from_str::<Value>(&key.grants).unwrap_or_default(), "created_ms": key.created.0,
        "expires_ms": key.expires.map(|time| time.0), "revoked_ms": key.revoked.map(|time| time.0),
    })
}

fn shown_once(record: &KeyRecord, key: &SecretString, now: Timestamp) -> Value {
    let mut answer = shown(record, now);
    answer["key"] = key.expose_secret().into();
    answer
}
