//! `[server]` and `[store]`.

use std::net::SocketAddr;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::keys::{once, secret};
use super::origins::origins;
use super::retention::retention;
use crate::problems::Problems;
use crate::raw::{self, Count, Text};
use crate::settings::{LogFormat, Server, StoreConfig, Tls};
use crate::values::{Env, SECONDS, address, count, number, seconds, text};

/// Least length of a key for prompts: a shorter one could be tried out on one of them.
const PROMPT_KEY_LENGTH: usize = 32;

pub(crate) fn server(raw: raw::Server, env: Env<'_>, problems: &mut Problems<'_>) -> Server {
    let standard = SocketAddr::from(([127, 0, 0, 1], 8080));
    let listen = raw.listen.as_ref().map_or(Some(standard), |listen| address(listen, env, problems));
    let admin_listen = raw.admin_listen.as_ref().and_then(|admin| address(admin, env, problems));
    if let (Some(place), Some(admin)) = (&raw.admin_listen, admin_listen)
        && Some(admin) == listen
        && admin.port() != 0
    {
        problems.add(Some(place.span()), "admin_listen is the address of listen: choose another, or leave it out");
    }
    let mut keys = |keys: &[Text], whose| {
        let key = |key: &Text| secret(key, whose, env, problems);
        keys.iter().filter_map(key).collect::<Vec<_>>()
    };
    let api_keys = keys(&raw.api_keys, "a client");
    let admin_keys = keys(&raw.admin_keys, "an admin");
    let places = raw.api_keys.iter().chain(&raw.admin_keys).map(Text::span);
    // Where a key could not be read, they are not the keys of these places.
    if api_keys.len() + admin_keys.len() == raw.api_keys.len() + raw.admin_keys.len() {
        once(api_keys.iter().chain(&admin_keys).zip(places), problems);
    }
    let tls = raw.tls.as_ref().and_then(|tls| {
        Some(Tls {
            cert: text(&tls.cert, env, problems)?.into(),
            key: text(&tls.key, env, problems)?.into(),
            client_ca: tls.client_ca.as_ref().and_then(|path| text(path, env, problems)).map(Into::into),
        })
    });
    let log_format = raw.log_format.as_ref().and_then(|word| match text(word, env, problems).as_deref() {
        Some("json") => Some(LogFormat::Json),
        Some("text") => Some(LogFormat::Text),
        Some("auto") | None => None,
        Some(_) => {
            problems.add(Some(word.span()), "log_format must be \"auto\", \"json\" or \"text\"");
            None
        }
    });
    let max_body_bytes = count(raw.max_body_bytes, 16 << 20, problems);
    let place = raw.max_body_bytes_at_once.as_ref().map(|value| value.span());
    let max_body_bytes_at_once = count(raw.max_body_bytes_at_once, max_body_bytes.max(256 << 20), problems);
    if max_body_bytes_at_once < max_body_bytes {
        problems
            .add(place, "max_body_bytes_at_once must not be below max_body_bytes: such bodies would never be taken");
    }
    let max_connections = count(raw.max_connections, 10_000, problems);
    // One address alone does not keep all others out.
    let max_connections_per_address =
        count(raw.max_connections_per_address, max_connections.div_ceil(2), problems) as usize;
    Server {
        tls,
        max_header_bytes: header_bytes(raw.max_header_bytes, problems),
        listen: listen.unwrap_or(standard),
        admin_listen,
        api_keys,
        admin_keys,
        allow_unauthenticated: raw.allow_unauthenticated,
        allow_unauthenticated_metrics: raw.allow_unauthenticated_metrics,
        max_body_bytes: max_body_bytes as usize,
        max_body_bytes_at_once: max_body_bytes_at_once as usize,
        request_timeout: seconds(raw.request_timeout_s, 600.0, problems),
        header_timeout: seconds(raw.header_timeout_s, 10.0, problems),
        body_timeout: seconds(raw.body_timeout_s, 120.0, problems),
        idle_timeout: seconds(raw.idle_timeout_s, 120.0, problems),
        ping_interval: seconds(raw.ping_interval_s, 15.0, problems),
        shutdown_delay: Duration::from_secs_f64(number(
            raw.shutdown_delay_s,
            0.0,
            |value| (0.0..=*SECONDS.end()).contains(&value),
            "a time from 0 to 100000000 seconds",
            problems,
        )),
        shutdown_grace: seconds(raw.shutdown_grace_s, 30.0, problems),
        max_connections: max_connections as usize,
        max_connections_per_address,
        cors_origins: origins(&raw.cors_origins, env, problems),
        seed: raw.seed.unwrap_or(0),
        time_zone: time_zone(raw.time_zone.as_ref(), env, problems),
        log_format,
    }
}

/// UTC if none is named.
pub(crate) fn time_zone(name: Option<&Text>, env: Env<'_>, problems: &mut Problems<'_>) -> TimeZone {
    let Some(name) = name else { return TimeZone::UTC };
    let found = text(name, env, problems).map(|name| TimeZone::get(&name));
    found.and_then(Result::ok).unwrap_or_else(|| {
        problems.add(Some(name.span()), "time_zone must be a name of the IANA's, as in \"Europe/Berlin\" or \"UTC\"");
        TimeZone::UTC
    })
}

/// hyper takes no less than 8 KiB, and HTTP/2 no more than 32 bits.
/// 0 is a value of its own: no file.
fn spool_bytes(value: Option<Count>, problems: &mut Problems<'_>) -> u64 {
    if value.as_ref().is_some_and(|value| *value.get_ref() == 0) { 0 } else { count(value, 256 << 20, problems) }
}

fn header_bytes(value: Option<Count>, problems: &mut Problems<'_>) -> usize {
    let place = value.as_ref().map(|value| value.span());
    let bytes = count(value, 64 << 10, problems);
    if !(8 << 10..=16 << 20).contains(&bytes) {
        problems.add(place, "max_header_bytes must be from 8192 to 16777216");
    }
    bytes as usize
}

/// `window_ms`: for how long ratings are taken.
pub(crate) fn store(raw: raw::Store, window_ms: u64, env: Env<'_>, problems: &mut Problems<'_>) -> StoreConfig {
    let mut url = "sqlite://slarouter.db".to_owned();
    if let Some(place) = &raw.url
        && let Some(given) = text(place, env, problems)
    {
        // What the store itself would refuse at the start; in memory nothing would outlive the process.
        let is_file = given.strip_prefix("sqlite://").is_some_and(|path| !path.is_empty() && path != ":memory:");
        let is_server = given.starts_with("postgres://") || given.starts_with("postgresql://");
        if !is_file && !is_server {
            let what = "url must be sqlite://<path of a file>, or postgres://<user>:<password>@<host>/<database>";
            problems.add(Some(place.span()), what);
        }
        url = given;
    }
    let prompt_key = |place: &Text| {
        let key = text(place, env, problems)?;
        if key.len() < PROMPT_KEY_LENGTH {
            let what = format!(
                "a prompt key must have at least {PROMPT_KEY_LENGTH} characters, as `openssl rand -hex 32` makes them"
            );
            problems.add(Some(place.span()), what);
        }
        Some(key.into())
    };
    let prompt_keys = raw.prompt_keys.iter().filter_map(prompt_key).collect();
    StoreConfig {
        url,
        keep_prompts: raw.keep_prompts,
        snapshot_every: count(raw.snapshot_every, 10_000, problems),
        queue: count(raw.queue, 65_536, problems) as usize,
        spool_bytes: spool_bytes(raw.spool_bytes, problems),
        prompt_keys,
        retention: retention(raw.retention, window_ms, env, problems),
    }
}
