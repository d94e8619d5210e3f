//! Keys that are read at the start only.

use slarouter_config::{
    Config, EncoderConfig, ExportConfig, FeaturesConfig, Server, StoreConfig, TelemetryConfig, same_secret,
};

/// The names of those that differ. The structs are taken apart whole, so that a new key has to say whether it is one of them.
pub(super) fn changed(old: &Config, new: &Config) -> Vec<&'static str> {
    let Server {
        listen,
        admin_listen,
        tls,
        max_connections,
        max_body_bytes_at_once,
        log_format,
        time_zone,
        api_keys: _,
        admin_keys: _,
        allow_unauthenticated: _,
        allow_unauthenticated_metrics: _,
        max_header_bytes: _,
        max_body_bytes: _,
        request_timeout: _,
        header_timeout: _,
        body_timeout: _,
        idle_timeout: _,
        ping_interval: _,
        cors_origins: _,
        max_connections_per_address: _,
        shutdown_delay: _,
        shutdown_grace: _,
        seed: _,
    } = &old.server;
    let StoreConfig { url, snapshot_every, queue, spool_bytes, keep_prompts: _, prompt_keys: _, retention: _ } =
        &old.store;
    let (server, store) = (&new.server, &new.store);
    [
        ("server.listen", *listen != server.listen),
        ("server.admin_listen", *admin_listen != server.admin_listen),
        ("server.tls", *tls != server.tls),
        ("server.max_connections", *max_connections != server.max_connections),
        ("server.max_body_bytes_at_once", *max_body_bytes_at_once != server.max_body_bytes_at_once),
        ("server.log_format", *log_format != server.log_format),
        ("server.time_zone", *time_zone != server.time_zone),
        ("store.url", *url != store.url),
        ("store.snapshot_every", *snapshot_every != store.snapshot_every),
        ("store.queue", *queue != store.queue),
        ("store.spool_bytes", *spool_bytes != store.spool_bytes),
        ("[telemetry]", !same_telemetry(&old.telemetry, &new.telemetry)),
        ("[features]", !same_features(&old.features, &new.features)),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

/// Whether traces go to the same place in the same way.
fn same_telemetry(old: &TelemetryConfig, new: &TelemetryConfig) -> bool {
    let plain = |config: &TelemetryConfig| {
        let export = config.export.as_ref()?;
        let ExportConfig { url, headers, sample_ratio, service_name, queue, batch, delay, timeout } = export;
        let names: Vec<_> = headers.iter().map(|(name, _)| name.clone()).collect();
        Some((url.clone(), names, *sample_ratio, service_name.clone(), *queue, *batch, *delay, *timeout))
    };
    let secrets = |config: &TelemetryConfig| -> Vec<_> {
        config.export.iter().flat_map(|export| export.headers.iter().map(|(_, secret)| secret.clone())).collect()
    };
    let pairs = secrets(old).into_iter().zip(secrets(new));
    // The tracer of the start knows whether to propagate.
    old.propagate == new.propagate
        && plain(old) == plain(new)
        && pairs.into_iter().all(|(old, new)| same_secret(Some(&old), Some(&new)))
}

fn same_features(old: &FeaturesConfig, new: &FeaturesConfig) -> bool {
    let FeaturesConfig { encoder, timeout, threads } = old;
    let encoder = match (encoder, &new.encoder) {
        (EncoderConfig::Local(old), EncoderConfig::Local(new)) => old == new,
        (EncoderConfig::Remote(old), EncoderConfig::Remote(new)) => {
            let plain = |remote: &slarouter_config::EmbeddingConfig| {
                (
                    remote.base_url.clone(),
                    remote.model.clone(),
                    remote.dim,
                    remote.width,
                    remote.max_text_bytes,
                    remote.timeout,
                )
            };
            plain(old) == plain(new) && same_secret(old.api_key.as_ref(), new.api_key.as_ref())
        }
        _ => false,
    };
    encoder && *timeout == new.timeout && *threads == new.threads
}
