//! Who calls, and what they may do.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use http::{HeaderMap, StatusCode, header};
use secrecy::ExposeSecret;
use slarouter_config::{Config, Grants, Limits, Scope};
use slarouter_core::{DecisionId, Timestamp};
use slarouter_store::{Calendar, KeyRecord, Payer};

use crate::admission::keys::{FirstSecret, digest};
use crate::admission::limits::{Meter, Meters};
use crate::error::ApiError;

/// What keys of `server.api_keys` may do; a gateway without keys lets everybody audit and see the metrics too.
const CLIENT: [Scope; 2] = [Scope::Inference, Scope::Feedback];
const ANYBODY: [Scope; 4] = [Scope::Inference, Scope::Feedback, Scope::Audit, Scope::View];

/// Where a connection comes from.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// One who has shown a key, or needs none.
pub(crate) struct Caller {
    scopes: Vec<Scope>,
    /// The name of the key; those of `server.api_keys` have none.
    pub(crate) key: Option<Arc<str>>,
    pub(crate) tenant: Option<String>,
    models: Option<Vec<String>>,
    pub(crate) meters: Vec<Arc<Meter>>,
    expires: Option<Timestamp>,
    /// The one decision that it may rate, shown by a token.
    pub(crate) decision: Option<DecisionId>,
}

/// The keys as they stand, by digest. What a comparison's time tells is of digests, which nobody can steer; the map's own hash has a
/// random key.
struct Ring {
    callers: HashMap<[u8; 32], Arc<Caller>>,
    anybody: Option<Arc<Caller>>,
    /// There is no key of any kind, and never was.
    fresh: bool,
    /// Nor has the operator said that anybody may call.
    local_only: bool,
}

/// All keys, of configuration and store.
pub(crate) struct Auth {
    ring: ArcSwap<Ring>,
    pub(crate) meters: Meters,
    /// What the first key is made with; gone as soon as there is one.
    first: Mutex<Option<FirstSecret>>,
}

impl Auth {
    pub(crate) fn new(config: &Config, stored: &[KeyRecord], now: Timestamp) -> Self {
        let meters = Meters::new(Calendar::new(config.server.time_zone.clone()));
        let ring = Ring::new(config, stored, &meters, now);
        Self { ring: ArcSwap::from_pointee(ring), meters, first: Mutex::default() }
    }

    /// Takes this for the first key, until there is one.
    pub(crate) fn begin_with(&self, secret: FirstSecret) {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(secret);
    }

    /// Takes the changed keys of the store into force, for requests that come from now on.
    pub(crate) fn reload(&self, config: &Config, stored: &[KeyRecord], now: Timestamp) {
        let ring = Ring::new(config, stored, &self.meters, now);
        if !ring.fresh {
            self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        self.ring.store(Arc::new(ring));
    }

    /// Whether with these keys anybody might ask.
    pub(crate) fn opens(config: &Config, stored: &[KeyRecord]) -> bool {
        openness(config, stored).open
    }

    /// Whether anybody may ask.
    pub(crate) fn is_open(&self) -> bool {
        self.ring.load().anybody.is_some()
    }

    /// Whether there never was a key.
    pub(crate) fn is_fresh(&self) -> bool {
        self.ring.load().fresh
    }

    /// Whether the caller has the secret that the first key is made with.
    pub(crate) fn may_begin(&self, headers: &HeaderMap) -> bool {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.as_ref().zip(token(headers)).is_some_and(|(first, token)| first.is(token))
    }

    /// Whether there never was a key and the operator has not said that anybody may call, so that only programs of this machine may.
    pub(crate) fn is_local_only(&self) -> bool {
        self.ring.load().local_only
    }

    /// The caller, if the key may be used for any of this; with no scopes for any use.
    ///
    /// # Errors
    /// 401 without a known key, 403 with one that may not.
    pub(crate) fn check(&self, headers: &HeaderMap, scopes: &[Scope], now: Timestamp) -> Result<Arc<Caller>, ApiError> {
        let ring = self.ring.load();
        let caller = match &ring.anybody {
            // A key that is known all the same brings its tenant and limits.
            Some(anybody) => token(headers).and_then(|token| ring.find(token)).unwrap_or_else(|| anybody.clone()),
            None => token(headers).and_then(|token| ring.find(token)).ok_or_else(|| {
                unauthorized("the gateway's API key is missing or wrong: send `Authorization: Bearer <key>`, or `x-api-key: <key>`")
            })?,
        };
        allowed(caller, scopes, now)
    }

    /// The same for one who has shown the key with this digest before.
    ///
    /// # Errors
    /// As [`Auth::check`].
    pub(crate) fn check_digest(
        &self,
        digest: &[u8; 32],
        scopes: &[Scope],
        now: Timestamp,
    ) -> Result<Arc<Caller>, ApiError> {
        let caller = self.ring.load().callers.get(digest).cloned();
        allowed(caller.ok_or_else(|| unauthorized("this is no key of the gateway's"))?, scopes, now)
    }
}

/// The caller, unless its time is over or it may do none of this.
fn allowed(caller: Arc<Caller>, scopes: &[Scope], now: Timestamp) -> Result<Arc<Caller>, ApiError> {
    if caller.expires.is_some_and(|expires| now >= expires) {
        return Err(unauthorized("the gateway's API key has expired: ask your operator for another one"));
    }
    if !scopes.is_empty() && !scopes.iter().any(|scope| caller.has(*scope)) {
        let scopes: Vec<_> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
        let message = format!("this needs a key with the scope {}", scopes.join(" or "));
        return Err(ApiError::invalid("", "insufficient_scope", message).with_status(StatusCode::FORBIDDEN));
    }
    Ok(caller)
}

struct Openness {
    fresh: bool,
    open: bool,
}

fn openness(config: &Config, stored: &[KeyRecord]) -> Openness {
    let server = &config.server;
    let clients = !server.api_keys.is_empty() || !config.keys.is_empty() || !stored.is_empty();
    let fresh = !clients && server.admin_keys.is_empty();
    Openness { fresh, open: fresh || (!clients && server.allow_unauthenticated) }
}

impl Ring {
    fn new(config: &Config, stored: &[KeyRecord], meters: &Meters, now: Timestamp) -> Self {
        let server = &config.server;
        let mut callers = HashMap::new();
        let mut add = |digest: [u8; 32], caller: Caller| {
            callers.insert(digest, Arc::new(caller));
        };
        for key in &server.api_keys {
            add(digest(key.expose_secret().as_bytes()), Caller::plain(&CLIENT));
        }
        for key in &server.admin_keys {
            add(digest(key.expose_secret().as_bytes()), Caller::plain(&[Scope::Admin]));
        }
        let tenant_limits = |tenant: &str| config.tenants.get(tenant).copied().unwrap_or_default();
        for key in &config.keys {
            let caller = Caller::new(&key.name, key.grants.clone(), None, meters, &tenant_limits, now);
            add(digest(key.key.expose_secret().as_bytes()), caller);
        }
        for key in stored.iter().filter(|key| key.revoked.is_none()) {
            match serde_json::from_str::<Grants>(&key.grants) {
                Ok(grants) => add(key.digest, Caller::new(&key.name, grants, key.expires, meters, &tenant_limits, now)),
                // Only if somebody has edited the database, or gone back to an older release.
                Err(error) => tracing::error!(key = key.id, %error, "a key's grants cannot be read: it does not work"),
            }
        }
        let Openness { fresh, open } = openness(config, stored);
        let local_only = fresh && !server.allow_unauthenticated;
        Self { callers, anybody: open.then(|| Arc::new(Caller::plain(&ANYBODY))), fresh, local_only }
    }

    fn find(&self, token: &[u8]) -> Option<Arc<Caller>> {
        self.callers.get(&digest(token)).cloned()
    }
}

impl Caller {
    fn plain(scopes: &[Scope]) -> Self {
        Self {
            scopes: scopes.to_vec(),
            key: None,
            tenant: None,
            models: None,
            meters: Vec::new(),
            expires: None,
            decision: None,
        }
    }

    /// One who has a token for this decision.
    pub(crate) fn rater_of(decision: DecisionId) -> Self {
        Self { decision: Some(decision), ..Self::plain(&[Scope::Feedback]) }
    }

    /// The gateway itself, which pays under this name and within this meter.
    pub(crate) fn of_gateway(name: &str, meter: Arc<Meter>) -> Self {
        Self { key: Some(name.into()), meters: vec![meter], ..Self::plain(&[Scope::Inference]) }
    }

    fn new(
        name: &str,
        grants: Grants,
        expires: Option<Timestamp>,
        meters: &Meters,
        tenant_limits: &dyn Fn(&str) -> Limits,
        now: Timestamp,
    ) -> Self {
        let Grants { scopes, tenant, models, limits } = grants;
        let accounts = [Some((format!("key:{name}"), limits))]
            .into_iter()
            .chain([tenant.as_ref().map(|tenant| (format!("tenant:{tenant}"), tenant_limits(tenant)))]);
        let limited = accounts.flatten().filter(|(_, limits)| !limits.are_none());
        let meters = limited.map(|(account, limits)| meters.of(account, limits, now)).collect();
        Self { scopes, key: Some(name.into()), tenant, models, meters, expires, decision: None }
    }

    /// Who is billed for a request to this route: a tenant's own route is the tenant's, whoever asks.
    pub(crate) fn payer(&self, route: &str) -> Payer {
        let tenant = self.tenant.as_deref().or_else(|| Some(route.split_once('/')?.1));
        Payer { key: self.key.clone(), tenant: tenant.map(Arc::from) }
    }

    /// One that may ask for everything, to look names up with.
    pub(crate) fn unlimited() -> Self {
        Self::plain(&[])
    }

    /// Whether it has this scope.
    pub(crate) fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// Whether it may ask for this name. `auto` and the name of the default route are one.
    pub(crate) fn may_ask(&self, name: &str, default_route: &str) -> bool {
        let is_default = |name: &str| name == "auto" || name.strip_prefix("auto:") == Some(default_route);
        let same = |allowed: &String| allowed == name || (is_default(allowed) && is_default(name));
        // A tenant's own route is its route under another name.
        let route = self.tenant.as_ref().and_then(|tenant| name.strip_suffix(tenant.as_str())?.strip_suffix('/'));
        self.models.as_ref().is_none_or(|models| {
            models.iter().any(same)
                || route.is_some_and(|route| {
                    models.iter().any(|allowed| allowed == route || (is_default(allowed) && is_default(route)))
                })
        })
    }

    /// Whether the answers of this route are the caller's to judge if it knows their ids: those of another tenant's routes are not.
    pub(crate) fn reaches(&self, route: &str) -> bool {
        let Some(tenant) = &self.tenant else { return true };
        route.split_once('/').is_none_or(|(_, other)| other == tenant)
    }

    /// The route that the caller means by this one; `None` if it is another tenant's.
    pub(crate) fn route(&self, config: &Config, route: &str) -> Option<Arc<str>> {
        let named = || config.routes.get_key_value(route).map(|(name, _)| name.clone());
        let Some(tenant) = &self.tenant else { return named() };
        match route.split_once('/') {
            Some((_, other)) => named().filter(|_| other == tenant),
            None => config
                .routes
                .get_key_value(format!("{route}/{tenant}").as_str())
                .map(|(name, _)| name.clone())
                .or_else(named),
        }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Caller");
        shown.field("scopes", &self.scopes).field("tenant", &self.tenant).field("models", &self.models);
        shown.finish_non_exhaustive()
    }
}

/// The bearer token, or else the `x-api-key`, or the `api-key`.
pub(crate) fn token(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    // Where Anthropic's SDKs put it, and where those for Azure do.
    let plain = ["x-api-key", "api-key"].into_iter().find_map(|name| headers.get(name));
    bearer.or_else(|| plain.map(|value| value.as_bytes()))
}

/// The credentials of the scheme `Bearer`, whose case does not matter and which one or more spaces follow (RFC 9110, 11.4).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let space = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = value.split_at(space);
    scheme.eq_ignore_ascii_case(b"bearer").then(|| rest.trim_ascii())
}

pub(crate) fn unauthorized(message: &str) -> ApiError {
    ApiError::invalid("", "invalid_api_key", message).with_status(StatusCode::UNAUTHORIZED)
}

#[cfg(test)]
mod tests;
