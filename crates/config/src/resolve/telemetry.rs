//! `[telemetry]`, and the OTEL_* variables that stand in for it.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::problems::Problems;
use crate::raw::{self, Text};
use crate::settings::{ExportConfig, TelemetryConfig};
use crate::values::{Env, count, number, text};

const PATH: &str = "/v1/traces";
const SERVICE: &str = "slarouter";
const QUEUE: u64 = 2_048;
const BATCH: u64 = 512;
const DELAY_MS: u64 = 5_000;
const TIMEOUT_MS: u64 = 10_000;

pub(super) fn telemetry(raw: raw::Telemetry, env: Env<'_>, problems: &mut Problems<'_>) -> TelemetryConfig {
    let propagate = raw.propagate.unwrap_or(true);
    let share = |share: f64| (0.0..=1.0).contains(&share);
    let sample_ratio = raw.sample_ratio.map(|ratio| number(Some(ratio), 1.0, share, "from 0 to 1", problems));
    let headers = raw.headers.iter().filter_map(|(name, value)| header(name, value, env, problems)).collect();
    let service_name = raw.service_name.as_ref().and_then(|name| text(name, env, problems));
    let queue = count(raw.queue.clone(), variable(env, "OTEL_BSP_MAX_QUEUE_SIZE", QUEUE), problems);
    let Some(url) = url(raw.endpoint.as_ref(), env, problems) else {
        return TelemetryConfig { export: None, propagate };
    };
    let ms = |name, otherwise| Duration::from_millis(variable(env, name, otherwise));
    let service_name = service_name.or_else(|| env.variable("OTEL_SERVICE_NAME")).filter(|name| !name.is_empty());
    let timeout = ms("OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT_MS).as_millis() as u64;
    let queue = usize::try_from(queue).unwrap_or(usize::MAX).min(1 << 20);
    let batch = usize::try_from(variable(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH)).unwrap_or(queue);
    let export = ExportConfig {
        url,
        headers,
        sample_ratio,
        service_name: service_name.unwrap_or_else(|| SERVICE.to_owned()),
        queue,
        batch: batch.min(queue),
        delay: ms("OTEL_BSP_SCHEDULE_DELAY", DELAY_MS),
        timeout: ms("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", timeout),
    };
    TelemetryConfig { export: Some(export), propagate }
}

/// A positive number from the environment; what is none is not looked at, as OpenTelemetry wants it.
fn variable(env: Env<'_>, name: &str, otherwise: u64) -> u64 {
    let value = env.variable(name).and_then(|value| value.trim().parse().ok());
    value.filter(|value| (1..=1 << 40).contains(value)).unwrap_or(otherwise)
}

/// Where traces go; `None` if nowhere.
fn url(endpoint: Option<&Text>, env: Env<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let is = |name: &str, value: &str| env.variable(name).is_some_and(|held| held.trim().eq_ignore_ascii_case(value));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    let filled = |name: &str| env.variable(name).filter(|value| !value.trim().is_empty());
    let (url, name, place) = if let Some(endpoint) = endpoint {
        (below(&text(endpoint, env, problems)?), "endpoint", Some(endpoint.span()))
    } else if let Some(url) = filled("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") {
        (url, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", None)
    } else {
        (below(&filled("OTEL_EXPORTER_OTLP_ENDPOINT")?), "OTEL_EXPORTER_OTLP_ENDPOINT", None)
    };
    let form = "must be http(s)://host[:port][/path] of a collector that takes OTLP over HTTP";
    let what = match Url::parse(&url) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "must hold no user or password: it is shown; use headers"
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => return Some(url.into()),
        _ => form,
    };
    problems.add(place, format!("{name} {what}"));
    None
}

/// The path of traces below a collector's base URL.
fn below(base: &str) -> String {
    let base = base.trim().trim_end_matches('/');
    if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") }
}

fn header(name: &Text, value: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<(String, SecretString)> {
    let filled = text(value, env, problems)?;
    if name.get_ref().parse::<http::HeaderName>().is_err() || filled.parse::<http::HeaderValue>().is_err() {
        problems.add(Some(name.span()), "no header: a name of letters, digits and -, and a value of printable ASCII");
        return None;
    }
    Some((name.get_ref().clone(), filled.into()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::settings::{Config, TelemetryConfig};

    fn parse(keys: &str, env: &[(&str, &str)]) -> Result<TelemetryConfig, String> {
        let text = format!(
            "[telemetry]\n{keys}\n[[models]]\nname = \"m\"\nbase_url = \"http://h/v1\"\nprice = {{ input = 1, output = 1 }}\n\
             [routes.default]\nmodels = [\"m\"]\nsla = {{ satisfaction = 0.9 }}\n"
        );
        let find = |name: &str| env.iter().find(|(held, _)| *held == name).map(|(_, value)| (*value).to_owned());
        Config::parse(&text, &find).map(|config| config.telemetry).map_err(|errors| errors.to_string())
    }

    #[test]
    fn file_and_variables_say_where_traces_go() {
        let url = |keys: &str, env: &[(&str, &str)]| parse(keys, env).unwrap().export.map(|export| export.url);
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4318/");
        let exact = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://env:1/here");
        for (keys, env, expected) in [
            ("", &[][..], None),
            ("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], None),
            ("endpoint = \"http://file:4318\"", &[], Some("http://file:4318/v1/traces")),
            ("endpoint = \"https://file/otlp/v1/traces/\"", &[], Some("https://file/otlp/v1/traces")),
            ("endpoint = \"http://file:4318\"", &[base, exact], Some("http://file:4318/v1/traces")),
            ("", &[base], Some("http://env:4318/v1/traces")),
            ("", &[base, exact], Some("http://env:1/here")),
            ("", &[base, ("OTEL_SDK_DISABLED", "true")], None),
            ("", &[base, ("OTEL_TRACES_EXPORTER", "none")], None),
        ] {
            assert_eq!(url(keys, env).as_deref(), expected, "{keys} {env:?}");
        }
    }

    #[test]
    fn settings_have_defaults_and_limits() {
        let endpoint = "endpoint = \"http://h:4318\"";
        let export = |env: &[(&str, &str)]| parse(endpoint, env).unwrap().export.unwrap();
        let plain = export(&[]);
        assert_eq!(
            (&*plain.service_name, plain.queue, plain.batch, plain.sample_ratio),
            ("slarouter", 2_048, 512, None)
        );
        assert_eq!((plain.delay, plain.timeout), (Duration::from_secs(5), Duration::from_secs(10)));
        let told = export(&[
            ("OTEL_SERVICE_NAME", "router"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ]);
        assert_eq!((&*told.service_name, told.queue, told.batch), ("router", 100, 100));
        assert_eq!((told.delay, told.timeout), (Duration::from_millis(20), Duration::from_secs(10)));
        for (keys, expected) in [
            ("endpoint = \"h:4318\"", "slarouter.toml:2:12: endpoint must be http(s)"),
            ("endpoint = \"http://me:word@h\"", "slarouter.toml:2:12: endpoint must hold no user or password"),
            ("sample_ratio = 1.1", "slarouter.toml:2:16: must be from 0 to 1, not 1.1"),
            ("sample_ratio = nan", "slarouter.toml:2:16: must be from 0 to 1"),
            ("queue = 0", "slarouter.toml:2:9: must be from 1"),
            ("headers = { \"a b\" = \"x\" }", "slarouter.toml:2:13: no header"),
            ("headers = { a = \"x\\ny\" }", "slarouter.toml:2:13: no header"),
            ("propagate = 1", "slarouter.toml:2:13: invalid type"),
        ] {
            let found = parse(keys, &[]).unwrap_err();
            assert!(found.starts_with(expected) && !found.contains("me:word"), "{keys}: {found}");
        }
        let bad = parse("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector")]).unwrap_err();
        assert!(bad.contains("OTEL_EXPORTER_OTLP_ENDPOINT must be http(s)"), "{bad}");
        let secret = parse(&format!("{endpoint}\nheaders = {{ a = \"sesame\" }}"), &[]).unwrap();
        assert!(!format!("{secret:?}").contains("sesame"));
    }
}
