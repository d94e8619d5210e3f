//! Single values: variables filled in, limits held.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::problems::Problems;
use crate::raw::{Count, Number, Text};
use crate::substitute::{Sources, substitute};

/// Timers take no less than a millisecond and, so that sums cannot overflow, no more than three years.
pub(crate) const SECONDS: RangeInclusive<f64> = 1e-3..=1e8;
/// A byte at least, a tebibyte at most: beyond it a limit is none, and the runtime's own counters overflow.
const COUNTS: RangeInclusive<u64> = 1..=1 << 40;

pub(crate) type Env<'a> = &'a dyn Sources;

pub(crate) fn check_name(name: &Text, whose: &str, problems: &mut Problems<'_>) {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if name.get_ref().is_empty() || !name.get_ref().chars().all(valid) {
        problems.add(Some(name.span()), format!("{whose} name has lower-case letters, digits, - and _ only"));
    }
}

pub(crate) fn base_url(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let url = text(value, env, problems)?;
    if let Err(what) = check_url(&url) {
        problems.add(Some(value.span()), what);
    }
    Some(url)
}

pub(crate) fn api_key(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<SecretString> {
    let key = text(value, env, problems)?;
    if key.is_empty() || !printable(&key) {
        problems.add(Some(value.span()), "api_key must be printable ASCII, not empty; leave it out if there is none");
    }
    Some(key.into())
}

/// # Errors
/// What is wrong with it.
fn check_url(text: &str) -> Result<(), &'static str> {
    let form = "base_url must be http(s)://host[:port]/path, usually ending in /v1";
    let url = Url::parse(text).map_err(|_| form)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("base_url must hold no user or password: it is shown in logs; use api_key");
    }
    let whole = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    if whole { Ok(()) } else { Err(form) }
}

pub(crate) fn printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The string with its variables filled in; `None` if that failed.
pub(crate) fn text(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<String> {
    substitute(value.get_ref(), env).map_err(|what| problems.add(Some(value.span()), what)).ok()
}

pub(crate) fn address(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<SocketAddr> {
    let address = text(value, env, problems)?.parse();
    address.map_err(|_| problems.add(Some(value.span()), "not an address: write ip:port, as in 127.0.0.1:8080")).ok()
}

pub(crate) fn count(value: Option<Count>, default: u64, problems: &mut Problems<'_>) -> u64 {
    let Some(value) = value else { return default };
    if !COUNTS.contains(value.get_ref()) {
        let what = format!("must be from {} to {}, not {}", COUNTS.start(), COUNTS.end(), value.get_ref());
        problems.add(Some(value.span()), what);
        return default;
    }
    value.into_inner()
}

pub(crate) fn seconds(value: Option<Number>, default: f64, problems: &mut Problems<'_>) -> Duration {
    let must = "a time from 0.001 to 100000000 seconds";
    Duration::from_secs_f64(number(value, default, |value| SECONDS.contains(&value), must, problems))
}

pub(crate) fn share(value: Option<Number>, default: f64, problems: &mut Problems<'_>) -> f64 {
    number(value, default, |value| value > 0.0 && value < 1.0, "strictly between 0 and 1", problems)
}

pub(crate) fn number(
    value: Option<Number>,
    default: f64,
    sound: impl Fn(f64) -> bool,
    must: &str,
    problems: &mut Problems<'_>,
) -> f64 {
    let Some(value) = value else { return default };
    if !sound(*value.get_ref()) {
        problems.add(Some(value.span()), format!("must be {must}, not {}", value.get_ref()));
        return default;
    }
    value.into_inner()
}
