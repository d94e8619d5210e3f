//! `[[keys]]` and `[tenants]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::SecretString;
use toml::Spanned;

use super::raw::{self, Text};
use super::resolve::{Env, text};
use super::{ClientKey, Model, Problems, Route};
use crate::keys::{Grants, Scope, check_name};
use crate::limits::Limits;

const KEY_LENGTH: usize = 16;

/// A key that is long enough, as a header can hold it.
pub(super) fn secret(value: &Text, whose: &str, env: Env<'_>, problems: &mut Problems<'_>) -> Option<SecretString> {
    let key = text(value, env, problems)?;
    if key.len() < KEY_LENGTH {
        problems.add(Some(value.span()), format!("{whose} key must have at least {KEY_LENGTH} characters"));
    }
    Some(key.into())
}

pub(super) fn keys(
    raw: Vec<raw::Key>,
    models: &[Model],
    routes: &BTreeMap<Arc<str>, Route>,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Vec<ClientKey> {
    let mut keys: Vec<ClientKey> = Vec::new();
    for entry in raw {
        let name = entry.name.get_ref().as_str();
        if let Err(what) = check_name(name, "a key's") {
            problems.add(Some(entry.name.span()), what);
        }
        if keys.iter().any(|other| &*other.name == name) {
            problems.add(Some(entry.name.span()), "another key has this name: give each one of its own");
        }
        let mut scopes = Vec::new();
        for word in entry.scopes.get_ref() {
            match Scope::parse(word.get_ref()) {
                Some(scope) => scopes.push(scope),
                None => problems.add(Some(word.span()), "a scope is inference, feedback, audit or admin"),
            }
        }
        if let Some(names) = &entry.models {
            for asked in names.get_ref() {
                let known = match asked.get_ref().strip_prefix("auto") {
                    Some("") => true,
                    Some(rest) if rest.starts_with(':') => routes.contains_key(&rest[1..]),
                    _ => models.iter().any(|model| *model.name == **asked.get_ref()),
                };
                if !known {
                    problems.absent(Some(asked.span()), format!("there is no model or route {:?}", asked.get_ref()));
                }
            }
        }
        let limits = entry.limits.map(Spanned::into_inner).unwrap_or_default();
        let tenant = entry.tenant.as_ref().map(|tenant| tenant.get_ref().clone());
        let allowed = entry.models.map(|names| names.into_inner().into_iter().map(Spanned::into_inner).collect());
        let grants = Grants { scopes, tenant, models: allowed, limits };
        if let Err(what) = grants.check() {
            problems.absent(Some(entry.scopes.span()), what);
        }
        if let Some(key) = secret(&entry.key, "a client", env, problems) {
            keys.push(ClientKey { name: entry.name.into_inner().into(), key, grants });
        }
    }
    keys
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
