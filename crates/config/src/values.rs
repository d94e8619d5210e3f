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

/// What the gateway puts behind a base URL, the longer of two with one end first.
const PATHS: [&str; 6] =
    ["/chat/completions", "/messages/count_tokens", "/completions", "/embeddings", "/messages", "/responses"];

pub(crate) fn base_url(value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let url = text(value, env, problems)?;
    if let Err(what) = check_url(&url) {
        problems.add(Some(value.span()), what);
    } else if let Some((base, path)) = without_path(&url) {
        // What came from a variable is not shown.
        let mend = if *value.get_ref() == url { format!("write {base:?}") } else { format!("leave {path} out") };
        problems.add(Some(value.span()), format!("base_url must end before {path}, which is put behind it: {mend}"));
    }
    Some(url)
}

/// The base of a URL that goes on to what is asked there, and that path.
fn without_path(url: &str) -> Option<(&str, &'static str)> {
    let url = url.trim_end_matches('/');
    PATHS.into_iter().find_map(|path| Some((url.strip_suffix(path)?, path)))
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
    let given = text(value, env, problems)?;
    let found = given.parse().map_err(|_| ()).or_else(|()| by_name(&given, env));
    found.map_err(|what: String| problems.add(Some(value.span()), what)).ok()
}

/// The address of a host's name and a port. Of several the first of IPv4 is taken, as what is listened on is one address.
///
/// # Errors
/// What is wrong with it.
fn by_name(text: &str, env: Env<'_>) -> Result<SocketAddr, String> {
    let form = || "not an address: write ip:port or name:port, as in 127.0.0.1:8080 or localhost:8080".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
    let port: u16 = port.parse().map_err(|_| form())?;
    // RFC 1123; the last label of a name is no number.
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        plain && !label.is_empty() && label.len() <= 63
    };
    let number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    if host.len() > 253 || !host.split('.').all(label) || host.rsplit('.').next().is_none_or(number) {
        return Err(form());
    }
    // RFC 6761: it always is this machine. Not every container has it in a file.
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    let found = env.addresses(host)?;
    let first = found.iter().find(|ip| ip.is_ipv4()).or(found.first());
    first.map(|ip| SocketAddr::new(*ip, port)).ok_or_else(|| "this name has no address".to_owned())
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
