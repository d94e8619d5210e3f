//! The file as it is written: every key, nothing checked beyond its type. `docs/configuration.md` explains the keys.

mod price;
mod takes;

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::grants::Limits;
pub(crate) use price::{Price, Written};
pub(crate) use takes::Takes;

pub(crate) type Text = Spanned<String>;
pub(crate) type Number = Spanned<f64>;
pub(crate) type Count = Spanned<u64>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct File {
    #[serde(default)]
    pub(crate) server: Server,
    #[serde(default)]
    pub(crate) store: Store,
    #[serde(default)]
    pub(crate) upstream: Upstream,
    #[serde(default)]
    pub(crate) feedback: Feedback,
    #[serde(default)]
    pub(crate) features: Features,
    #[serde(default)]
    pub(crate) telemetry: Telemetry,
    #[serde(default)]
    pub(crate) alerts: Vec<Webhook>,
    #[serde(default)]
    pub(crate) keys: Vec<Key>,
    #[serde(default)]
    pub(crate) tenants: BTreeMap<Text, Spanned<Limits>>,
    #[serde(default)]
    pub(crate) models: Vec<Spanned<Model>>,
    #[serde(default)]
    pub(crate) routes: BTreeMap<Text, Spanned<Route>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Server {
    pub(crate) listen: Option<Text>,
    pub(crate) admin_listen: Option<Text>,
    #[serde(default)]
    pub(crate) api_keys: Vec<Text>,
    #[serde(default)]
    pub(crate) admin_keys: Vec<Text>,
    #[serde(default)]
    pub(crate) allow_unauthenticated: bool,
    #[serde(default)]
    pub(crate) allow_unauthenticated_metrics: bool,
    pub(crate) tls: Option<Tls>,
    pub(crate) max_body_bytes: Option<Count>,
    pub(crate) max_body_bytes_at_once: Option<Count>,
    pub(crate) max_header_bytes: Option<Count>,
    pub(crate) request_timeout_s: Option<Number>,
    pub(crate) header_timeout_s: Option<Number>,
    pub(crate) body_timeout_s: Option<Number>,
    pub(crate) idle_timeout_s: Option<Number>,
    pub(crate) ping_interval_s: Option<Number>,
    pub(crate) shutdown_delay_s: Option<Number>,
    pub(crate) shutdown_grace_s: Option<Number>,
    pub(crate) max_connections: Option<Count>,
    pub(crate) max_connections_per_address: Option<Count>,
    #[serde(default)]
    pub(crate) cors_origins: Vec<Text>,
    pub(crate) seed: Option<u64>,
    pub(crate) time_zone: Option<Text>,
    pub(crate) log_format: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Tls {
    pub(crate) cert: Text,
    pub(crate) key: Text,
    pub(crate) client_ca: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Key {
    pub(crate) name: Text,
    pub(crate) key: Text,
    pub(crate) scopes: Spanned<Vec<Text>>,
    pub(crate) tenant: Option<Text>,
    pub(crate) models: Option<Spanned<Vec<Text>>>,
    pub(crate) limits: Option<Spanned<Limits>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Store {
    pub(crate) url: Option<Text>,
    #[serde(default)]
    pub(crate) keep_prompts: bool,
    pub(crate) snapshot_every: Option<Count>,
    pub(crate) queue: Option<Count>,
    pub(crate) spool_bytes: Option<Count>,
    #[serde(default)]
    pub(crate) prompt_keys: Vec<Text>,
    #[serde(default)]
    pub(crate) retention: Retention,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Retention {
    pub(crate) details: Option<Text>,
    pub(crate) decisions: Option<Text>,
    pub(crate) outcomes: Option<Text>,
    pub(crate) feedback: Option<Text>,
    pub(crate) prompts: Option<Text>,
    pub(crate) rollups: Option<Text>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Upstream {
    pub(crate) connect_timeout_s: Option<Number>,
    pub(crate) response_timeout_s: Option<Number>,
    pub(crate) idle_timeout_s: Option<Number>,
    pub(crate) max_response_bytes: Option<Count>,
    pub(crate) max_stream_bytes: Option<Count>,
    pub(crate) max_attempts: Option<Count>,
    pub(crate) first_token_timeout_s: Option<Number>,
    pub(crate) retries: Option<u32>,
    pub(crate) backoff_s: Option<Number>,
    pub(crate) retry_budget: Option<Number>,
    pub(crate) retry_after_max_s: Option<Number>,
    pub(crate) breaker_failures: Option<u32>,
    pub(crate) breaker_rate: Option<Number>,
    pub(crate) breaker_open_s: Option<Number>,
    pub(crate) queue_timeout_s: Option<Number>,
    pub(crate) hedge: Option<Hedge>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Hedge {
    pub(crate) quantile: Number,
    pub(crate) to: Option<Text>,
    pub(crate) min_s: Option<Number>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Feedback {
    pub(crate) window_days: Option<Number>,
    pub(crate) audit_rate: Option<Number>,
    pub(crate) rater_limit: Option<u64>,
    pub(crate) rater_share: Option<Number>,
    pub(crate) rater_per_minute: Option<u64>,
    pub(crate) score_names: Option<Vec<String>>,
    pub(crate) checks: Option<Checks>,
    pub(crate) judge: Option<Judge>,
    #[serde(default)]
    pub(crate) failures_count: bool,
    pub(crate) token_secret: Option<Text>,
    pub(crate) token_lifetime_s: Option<Number>,
    #[serde(default)]
    pub(crate) cors_origins: Vec<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Checks {
    #[serde(default)]
    pub(crate) run: Vec<Text>,
    pub(crate) count: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Judge {
    pub(crate) model: Text,
    pub(crate) usd_per_day: Number,
    pub(crate) counts_as: Option<Text>,
    pub(crate) rate: Option<Number>,
    pub(crate) rubric: Option<Text>,
    pub(crate) timeout_s: Option<Number>,
    pub(crate) max_concurrency: Option<Count>,
    pub(crate) queue: Option<Count>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Features {
    pub(crate) encoder: Option<Text>,
    pub(crate) path: Option<Text>,
    pub(crate) threads: Option<Count>,
    pub(crate) base_url: Option<Text>,
    pub(crate) model: Option<Text>,
    pub(crate) api_key: Option<Text>,
    pub(crate) dim: Option<Count>,
    pub(crate) width: Option<Count>,
    pub(crate) max_text_bytes: Option<Count>,
    pub(crate) timeout_s: Option<Number>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Telemetry {
    pub(crate) endpoint: Option<Text>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<Text, Text>,
    pub(crate) sample_ratio: Option<Number>,
    pub(crate) service_name: Option<Text>,
    pub(crate) propagate: Option<bool>,
    pub(crate) queue: Option<Count>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Webhook {
    pub(crate) url: Text,
    pub(crate) shape: Option<Text>,
    pub(crate) secret: Option<Text>,
    pub(crate) repeat_hours: Option<Number>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Model {
    pub(crate) name: Text,
    pub(crate) protocol: Option<Text>,
    pub(crate) base_url: Text,
    pub(crate) upstream_model: Option<Text>,
    pub(crate) api_key: Option<Text>,
    pub(crate) max_output_tokens: Option<Count>,
    pub(crate) max_concurrency: Option<Count>,
    pub(crate) health_check: Option<HealthCheck>,
    pub(crate) price: Spanned<Written>,
    pub(crate) prior: Option<Number>,
    pub(crate) takes: Option<Takes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct HealthCheck {
    pub(crate) path: Text,
    pub(crate) interval_s: Option<Number>,
    pub(crate) timeout_s: Option<Number>,
    pub(crate) unhealthy_after: Option<Count>,
    pub(crate) healthy_after: Option<Count>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Route {
    pub(crate) models: Spanned<Vec<Text>>,
    pub(crate) fallback: Option<Text>,
    pub(crate) sla: Sla,
    pub(crate) policy: Option<Text>,
    pub(crate) exploration: Option<Number>,
    pub(crate) exploration_floor: Option<Number>,
    pub(crate) observe: Option<Spanned<bool>>,
    pub(crate) alone: Option<bool>,
    pub(crate) warm_start: Option<Text>,
    pub(crate) affinity: Option<Text>,
    pub(crate) slarouter: Option<Spanned<SlaRouter>>,
    #[serde(default)]
    pub(crate) tenants: BTreeMap<Text, Tenant>,
}

/// What differs from the route.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Tenant {
    pub(crate) models: Option<Spanned<Vec<Text>>>,
    pub(crate) fallback: Option<Text>,
    pub(crate) sla: Option<Sla>,
    pub(crate) policy: Option<Text>,
    pub(crate) exploration: Option<Number>,
    pub(crate) exploration_floor: Option<Number>,
    pub(crate) observe: Option<Spanned<bool>>,
    pub(crate) alone: Option<bool>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Sla {
    pub(crate) satisfaction: Number,
    pub(crate) assurance: Option<Number>,
    pub(crate) window: Option<Text>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct SlaRouter {
    pub(crate) v: Option<Number>,
    pub(crate) c: Option<Number>,
    pub(crate) learning_rate: Option<Number>,
    pub(crate) initial_queue: Option<Number>,
}
