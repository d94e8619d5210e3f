//! `[[keys]]` and `[tenants]`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use toml::Spanned;

use crate::grants::{Grants, Limits, Scope, check_name};
use crate::problems::Problems;
use crate::raw::{self, Text};
use crate::settings::{ClientKey, Model, Route, Server};
use crate::values::{Env, text};

const KEY_LENGTH: usize = 16;

/// A key that is long enough, as a header can hold it.
pub(super) fn secret(value: &Text, whose: &str, env: Env<'_>, problems: &mut Problems<'_>) -> Option<SecretString> {
    let key = text(value, env, problems)?;
    if key.len() < KEY_LENGTH {
        problems.add(Some(value.span()), format!("{whose} key must have at least {KEY_LENGTH} characters"));
    }
    Some(key.into())
}

/// Where a key stands in two places it has the rights of one of them, and nobody can tell of which.
const TWICE: &str = "this key stands in another place of the configuration too: give each use a key of its own";

/// Refuses keys that stand in two places.
pub(super) fn once<'a>(keys: impl Iterator<Item = (&'a SecretString, Range<usize>)>, problems: &mut Problems<'_>) {
    let mut seen = BTreeSet::new();
    for (key, place) in keys {
        if !seen.insert(key.expose_secret()) {
            problems.add(Some(place), TWICE);
        }
    }
}

pub(super) fn keys(
    raw: Vec<raw::Key>,
    models: &[Model],
    routes: &BTreeMap<Arc<str>, Route>,
    server: &Server,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Vec<ClientKey> {
    let mut keys: Vec<ClientKey> = Vec::new();
    for entry in raw {
        let Some(name) = text(&entry.name, env, problems) else { continue };
        if let Err(what) = check_name(&name, "a key's") {
            problems.add(Some(entry.name.span()), what);
        }
        if keys.iter().any(|other| *other.name == *name) {
            problems.add(Some(entry.name.span()), "another key has this name: give each one of its own");
        }
        let mut scopes = Vec::new();
        for word in entry.scopes.get_ref() {
            match Scope::parse(word.get_ref()) {
                Some(scope) => scopes.push(scope),
                None => problems.add(Some(word.span()), format!("a scope is {}", Scope::WORDS)),
            }
        }
        let limits = entry.limits.map(Spanned::into_inner).unwrap_or_default();
        let tenant = entry.tenant.as_ref().and_then(|tenant| text(tenant, env, problems));
        let names = entry.models.as_ref().map(Spanned::get_ref);
        let allowed = names.map(|names| may_ask(names, models, routes, env, problems));
        let grants = Grants { scopes, tenant, models: allowed, limits };
        if let Err(what) = grants.check() {
            problems.absent(Some(entry.scopes.span()), what);
        }
        if let Some(key) = secret(&entry.key, "a client", env, problems) {
            let mut others =
                server.api_keys.iter().chain(&server.admin_keys).chain(keys.iter().map(|other| &other.key));
            if others.any(|other| other.expose_secret() == key.expose_secret()) {
                problems.add(Some(entry.key.span()), TWICE);
            }
            keys.push(ClientKey { name: name.into(), key, grants });
        }
    }
    keys
}

/// The models and routes that a key may ask for.
fn may_ask(
    names: &[Text],
    models: &[Model],
    routes: &BTreeMap<Arc<str>, Route>,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Vec<String> {
    let mut allowed = Vec::with_capacity(names.len());
    for asked in names {
        let Some(value) = text(asked, env, problems) else { continue };
        let known = match value.strip_prefix("auto") {
            Some("") => true,
            Some(rest) if rest.starts_with(':') => routes.contains_key(&rest[1..]),
            _ => models.iter().any(|model| *model.name == *value),
        };
        if !known {
            problems.absent(Some(asked.span()), format!("there is no model or route {:?}", asked.get_ref()));
        }
        allowed.push(value);
    }
    allowed
}

pub(super) fn tenants(raw: BTreeMap<Text, Spanned<Limits>>, problems: &mut Problems<'_>) -> BTreeMap<String, Limits> {
    let mut tenants = BTreeMap::new();
    for (name, limits) in raw {
        let place = name.span();
        let checked = check_name(name.get_ref(), "a tenant's").and_then(|()| limits.get_ref().check());
        if let Err(what) = checked {
            problems.add(Some(place), what);
        }
        tenants.insert(name.into_inner(), limits.into_inner());
    }
    tenants
}
