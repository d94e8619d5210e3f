//! The file as it is written: every key, nothing checked beyond its type. `docs/configuration.md` explains the keys.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::prices::{Date, Written};
use crate::limits::Limits;

pub(super) type Text = Spanned<String>;
pub(super) type Number = Spanned<f64>;
pub(super) type Count = Spanned<u64>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct File {
    #[serde(default)]
    pub(super) server: Server,
    #[serde(default)]
    pub(super) store: Store,
    #[serde(default)]
    pub(super) upstream: Upstream,
    #[serde(default)]
    pub(super) feedback: Feedback,
    #[serde(default)]
    pub(super) features: Features,
    #[serde(default)]
    pub(super) telemetry: Telemetry,
    #[serde(default)]
    pub(super) keys: Vec<Key>,
    #[serde(default)]
    pub(super) tenants: BTreeMap<Text, Spanned<Limits>>,
    #[serde(default)]
    pub(super) models: Vec<Spanned<Model>>,
    #[serde(default)]
    pub(super) routes: BTreeMap<Text, Spanned<Route>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Server {
    pub(super) listen: Option<Text>,
    pub(super) admin_listen: Option<Text>,
    #[serde(default)]
    pub(super) api_keys: Vec<Text>,
    #[serde(default)]
    pub(super) admin_keys: Vec<Text>,
    #[serde(default)]
    pub(super) allow_unauthenticated: bool,
    pub(super) tls: Option<Tls>,
    pub(super) max_body_bytes: Option<Count>,
    pub(super) max_header_bytes: Option<Count>,
    pub(super) request_timeout_s: Option<Number>,
    pub(super) header_timeout_s: Option<Number>,
    pub(super) shutdown_delay_s: Option<Number>,
    pub(super) shutdown_grace_s: Option<Number>,
    pub(super) max_connections: Option<Count>,
    pub(super) seed: Option<u64>,
    pub(super) log_format: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Tls {
    pub(super) cert: Text,
    pub(super) key: Text,
    pub(super) client_ca: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Key {
    pub(super) name: Text,
    pub(super) key: Text,
    pub(super) scopes: Spanned<Vec<Text>>,
    pub(super) tenant: Option<Text>,
    pub(super) models: Option<Spanned<Vec<Text>>>,
    pub(super) limits: Option<Spanned<Limits>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Store {
    pub(super) url: Option<Text>,
    #[serde(default)]
    pub(super) keep_prompts: bool,
    pub(super) snapshot_every: Option<Count>,
    pub(super) queue: Option<Count>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Upstream {
    pub(super) connect_timeout_s: Option<Number>,
    pub(super) response_timeout_s: Option<Number>,
    pub(super) idle_timeout_s: Option<Number>,
    pub(super) max_response_bytes: Option<Count>,
    pub(super) max_stream_bytes: Option<Count>,
    pub(super) max_attempts: Option<Count>,
    pub(super) first_token_timeout_s: Option<Number>,
    pub(super) retries: Option<u32>,
    pub(super) backoff_s: Option<Number>,
    pub(super) retry_budget: Option<Number>,
    pub(super) retry_after_max_s: Option<Number>,
    pub(super) breaker_failures: Option<u32>,
    pub(super) breaker_rate: Option<Number>,
    pub(super) breaker_open_s: Option<Number>,
    pub(super) queue_timeout_s: Option<Number>,
    pub(super) hedge: Option<Hedge>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Hedge {
    pub(super) quantile: Number,
    pub(super) to: Option<Text>,
    pub(super) min_s: Option<Number>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Feedback {
    pub(super) window_days: Option<Number>,
    pub(super) audit_rate: Option<Number>,
    pub(super) rater_limit: Option<u64>,
    pub(super) rater_share: Option<Number>,
    #[serde(default)]
    pub(super) failures_count: bool,
    pub(super) token_secret: Option<Text>,
    pub(super) token_lifetime_s: Option<Number>,
    #[serde(default)]
    pub(super) cors_origins: Vec<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Features {
    pub(super) encoder: Option<Text>,
    pub(super) path: Option<Text>,
    pub(super) threads: Option<Count>,
    pub(super) base_url: Option<Text>,
    pub(super) model: Option<Text>,
    pub(super) api_key: Option<Text>,
    pub(super) dim: Option<Count>,
    pub(super) width: Option<Count>,
    pub(super) timeout_s: Option<Number>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Telemetry {
    pub(super) endpoint: Option<Text>,
    #[serde(default)]
    pub(super) headers: BTreeMap<Text, Text>,
    pub(super) sample_ratio: Option<Number>,
    pub(super) service_name: Option<Text>,
    pub(super) propagate: Option<bool>,
    pub(super) queue: Option<Count>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Model {
    pub(super) name: Text,
    pub(super) protocol: Option<Text>,
    pub(super) base_url: Text,
    pub(super) upstream_model: Option<Text>,
    pub(super) api_key: Option<Text>,
    pub(super) max_output_tokens: Option<Count>,
    pub(super) max_concurrency: Option<Count>,
    pub(super) health_check: Option<HealthCheck>,
    pub(super) price: Spanned<Written>,
    pub(super) prior: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct HealthCheck {
    pub(super) path: Text,
    pub(super) interval_s: Option<Number>,
    pub(super) timeout_s: Option<Number>,
    pub(super) unhealthy_after: Option<Count>,
    pub(super) healthy_after: Option<Count>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Price {
    pub(super) input: f64,
    pub(super) output: f64,
    pub(super) cached_input: Option<f64>,
    pub(super) cache_write: Option<f64>,
    pub(super) cache_write_1h: Option<f64>,
    pub(super) reasoning: Option<f64>,
    pub(super) audio_input: Option<f64>,
    pub(super) audio_output: Option<f64>,
    pub(super) from: Option<Spanned<Date>>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Route {
    pub(super) models: Spanned<Vec<Text>>,
    pub(super) fallback: Option<Text>,
    pub(super) sla: Sla,
    pub(super) policy: Option<Text>,
    pub(super) exploration: Option<Number>,
    pub(super) alone: Option<bool>,
    pub(super) warm_start: Option<Text>,
    pub(super) affinity: Option<Text>,
    pub(super) slarouter: Option<Spanned<SlaRouter>>,
    #[serde(default)]
    pub(super) tenants: BTreeMap<Text, Tenant>,
}

/// What differs from the route.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Tenant {
    pub(super) models: Option<Spanned<Vec<Text>>>,
    pub(super) fallback: Option<Text>,
    pub(super) sla: Option<Sla>,
    pub(super) policy: Option<Text>,
    pub(super) exploration: Option<Number>,
    pub(super) alone: Option<bool>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct Sla {
    pub(super) satisfaction: Number,
    pub(super) assurance: Option<Number>,
    pub(super) window: Option<Text>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(super) struct SlaRouter {
    pub(super) v: Option<Number>,
    pub(super) c: Option<Number>,
    pub(super) learning_rate: Option<Number>,
    pub(super) initial_queue: Option<Number>,
}
