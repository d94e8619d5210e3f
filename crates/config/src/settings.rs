//! The settings of a gateway, all of which have been checked.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};
use slarouter_core::RouteSpec;
use slarouter_protocol::checks::Check;
use slarouter_protocol::{ModelProtocol, Upstream};
use slarouter_text::LocalEncoder;

use crate::grants::{Grants, Limits};
use crate::price::PriceTable;
use crate::takes::Takes;
use crate::webhook::Webhook;

/// Everything a gateway needs to know. Made by [`Config::parse`](crate::Config::parse); every value has been checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The listeners.
    pub server: Server,
    /// The database.
    pub store: StoreConfig,
    /// Calls to upstreams.
    pub upstream: UpstreamConfig,
    /// How long after a decision its feedback is learnt from.
    pub feedback_window_ms: u64,
    /// Ratings that one named rater may send per minute; 0 for no limit.
    pub rater_per_minute: u64,
    /// Names under which other products' scores are users' ratings; others mean something else.
    pub score_names: Vec<String>,
    /// Checks of answers that count as ratings.
    pub checks: Checks,
    /// The model that judges answers, if one does.
    pub judge: Option<Judge>,
    /// Feedback from browsers.
    pub browser: BrowserFeedback,
    /// What makes features of the requests.
    pub features: FeaturesConfig,
    /// Traces.
    pub telemetry: TelemetryConfig,
    /// Who is told of alerts.
    pub alerts: Vec<Webhook>,
    /// Keys of clients.
    pub keys: Vec<ClientKey>,
    /// Limits of tenants, by name.
    pub tenants: BTreeMap<String, Limits>,
    /// The models, in the order of the file.
    pub models: Vec<Model>,
    /// The routes by name.
    pub routes: BTreeMap<Arc<str>, Route>,
    /// What `auto` means.
    pub default_route: Arc<str>,
    /// Where it was read from, to be read again; `None` if it was no file.
    pub file: Option<PathBuf>,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct Server {
    /// Address of the public listener.
    pub listen: SocketAddr,
    /// Address of the operator's listener; without one, metrics are on the public one.
    pub admin_listen: Option<SocketAddr>,
    /// Keys that clients may use; none means that anybody may call.
    pub api_keys: Vec<SecretString>,
    /// Keys of administrators.
    pub admin_keys: Vec<SecretString>,
    /// Whether anybody may call while there are no keys, also on an address that others reach.
    pub allow_unauthenticated: bool,
    /// Whether metrics on the public listener need no key.
    pub allow_unauthenticated_metrics: bool,
    /// Certificates, for HTTPS.
    pub tls: Option<Tls>,
    /// Largest head of a request.
    pub max_header_bytes: usize,
    /// Largest request body.
    pub max_body_bytes: usize,
    /// Bytes of all bodies that are being read or answered.
    pub max_body_bytes_at_once: usize,
    /// Until the first byte of an answer, retries included.
    pub request_timeout: Duration,
    /// For a client to send its request's head: the first from its connecting on, later ones from their first byte on.
    pub header_timeout: Duration,
    /// For a client to send its request's body.
    pub body_timeout: Duration,
    /// How long a connection stays open without a request, or with an answer that nobody reads.
    pub idle_timeout: Duration,
    /// How long a client waits for the next piece of a stream until it hears that it is still under way.
    pub ping_interval: Duration,
    /// From `/readyz` saying no at shutdown until new connections are refused.
    pub shutdown_delay: Duration,
    /// For open requests to finish after that.
    pub shutdown_grace: Duration,
    /// Open connections; more wait.
    pub max_connections: usize,
    /// Open connections from one address; more are closed at once.
    pub max_connections_per_address: usize,
    /// Origins of the pages that may ask.
    pub cors_origins: Vec<String>,
    /// Seed of all draws.
    pub seed: u64,
    /// Whose days and months count in sums and reports.
    pub time_zone: TimeZone,
    /// How log lines are written; `None` for text on a terminal and JSON elsewhere.
    pub log_format: Option<LogFormat>,
}

/// `server.log_format`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// `server.tls`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, a PEM file.
    pub cert: PathBuf,
    /// Its private key, a PEM file.
    pub key: PathBuf,
    /// Authorities of client certificates, a PEM file; with it, clients must have one.
    pub client_ca: Option<PathBuf>,
}

/// Checks of answers without a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Those that are made; none by default.
    pub run: Vec<Check>,
    /// Whether answers that pass are rated too; else only those that fail.
    pub count_all: bool,
}

/// `[feedback.judge]`: a model that reads answers and says whether they satisfy.
#[derive(Clone, Debug, PartialEq)]
pub struct Judge {
    /// One of the models.
    pub model: Arc<str>,
    /// What it judges by.
    pub rubric: String,
    /// What its verdicts count as.
    pub counts_as: VerdictUse,
    /// What it may cost in a day of `server.time_zone`, in USD.
    pub usd_per_day: f64,
    /// From the question to its verdict, retries included.
    pub timeout: Duration,
    /// Verdicts that may be under way at once.
    pub max_concurrency: usize,
    /// Answers that may wait to be judged.
    pub queue: usize,
}

/// What a judge's verdicts count as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum VerdictUse {
    /// Predictions of what people will say: the certificate rests on people's labels and gets narrower. This share of the answers is judged.
    Prediction {
        /// From 0 to 1.
        rate: f64,
    },
    /// Audits: the judge reads what `feedback.audit_rate` draws, and the certificate rests on its word.
    Audit,
}

/// What `[feedback]` says of browsers.
#[derive(Clone, Debug, Default)]
pub struct BrowserFeedback {
    /// Signs tokens for single decisions; without it there are none.
    pub secret: Option<SecretString>,
    /// How long a token works.
    pub lifetime: Duration,
    /// Origins of the pages that may send feedback.
    pub origins: Vec<String>,
}

/// `[[keys]]`
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// Whose it is: its limits and budget are counted under this name.
    pub name: Arc<str>,
    /// The key.
    pub key: SecretString,
    /// What it may do.
    pub grants: Grants,
}

/// `[store]`
#[derive(Clone)]
pub struct StoreConfig {
    /// `sqlite://<path>`, or `postgres://…`, which may hold a password: it is shown by `slarouter_store::shown` alone.
    pub url: String,
    /// Whether prompts are stored.
    pub keep_prompts: bool,
    /// Events between two saved states.
    pub snapshot_every: u64,
    /// Entries that may wait to be written.
    pub queue: usize,
    /// Bytes of the file for what is logged and said while the database's server is away; 0 for none.
    pub spool_bytes: u64,
    /// With the first of them prompts are sealed; with each they are opened.
    pub prompt_keys: Vec<SecretString>,
    /// For how long what is kept.
    pub retention: RetentionConfig,
}

/// `[store.retention]`: for how long each kind is kept, in milliseconds; `None` for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Features and the figures of candidates that were not chosen.
    pub details_ms: Option<u64>,
    /// Decisions.
    pub decisions_ms: Option<u64>,
    /// How their requests ended.
    pub outcomes_ms: Option<u64>,
    /// What was said of them.
    pub feedback_ms: Option<u64>,
    /// Their messages.
    pub prompts_ms: Option<u64>,
    /// The sums that they are in.
    pub rollups_ms: Option<u64>,
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, keep_prompts, snapshot_every, queue, spool_bytes, prompt_keys: _, retention } = self;
        let mut shown = f.debug_struct("StoreConfig");
        shown.field("keep_prompts", keep_prompts).field("snapshot_every", snapshot_every).field("queue", queue);
        shown.field("spool_bytes", spool_bytes).field("retention", retention).finish_non_exhaustive()
    }
}

/// Where the keys of a configuration are: as much of it as the tools for keys need.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPlace {
    /// `store.url`, which may hold a password.
    pub url: String,
    /// Names that `[[keys]]` has given away.
    pub taken: Vec<Arc<str>>,
    /// `server.time_zone`
    pub time_zone: TimeZone,
}

impl fmt::Debug for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, taken, time_zone } = self;
        f.debug_struct("KeyPlace").field("taken", taken).field("time_zone", time_zone).finish_non_exhaustive()
    }
}

/// `[upstream]`
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// To make a connection.
    pub connect_timeout: Duration,
    /// Until the response headers.
    pub response_timeout: Duration,
    /// From the response headers to the first event of a stream.
    pub first_token_timeout: Duration,
    /// Between two pieces of a body.
    pub idle_timeout: Duration,
    /// Largest answer that is not streamed.
    pub max_response_bytes: usize,
    /// Longest stream of an answer.
    pub max_stream_bytes: usize,
    /// Calls per request, retries and reroutes together.
    pub max_attempts: u32,
    /// Retries of a call to the same model.
    pub retries: u32,
    /// Mean pause before the first retry; doubled for each further one.
    pub backoff: Duration,
    /// Retries of a model as a share of the requests to it.
    pub retry_budget: f64,
    /// How long an upstream that says `Retry-After` is left alone at most.
    pub retry_after_max: Duration,
    /// Failures in a row that open a model's circuit; 0 for no circuit breaker.
    pub breaker_failures: u32,
    /// Share of a model's last calls whose failure opens its circuit.
    pub breaker_rate: f64,
    /// How long a circuit stays open before it is tried again.
    pub breaker_open: Duration,
    /// How long a call waits for a place, where a model has `max_concurrency`.
    pub queue_timeout: Duration,
    /// Second calls beside slow ones; none if not given.
    pub hedge: Option<Hedge>,
}

/// `upstream.hedge`: when a call is slow, a second one runs beside it, and the first good answer counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hedge {
    /// A call is slow beyond this quantile of the model's recent times to the first event or, without streaming, to the answer.
    pub quantile: f64,
    /// Who is called.
    pub to: HedgeTo,
    /// A call is not slow before this.
    pub min: Duration,
}

/// Which model a second call goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeTo {
    /// The one that is slow.
    Same,
    /// The first that a failure would fall back to; the slow one where there is no other.
    Next,
}

/// `[features]`
#[derive(Clone, Debug)]
pub struct FeaturesConfig {
    /// Which encoder.
    pub encoder: EncoderConfig,
    /// What a request waits for its features at most, if they are slow.
    pub timeout: Duration,
    /// Of a slow encoder in this process.
    pub threads: usize,
}

/// Where features are made.
#[derive(Clone, Debug)]
pub enum EncoderConfig {
    /// In this process.
    Local(LocalEncoder),
    /// By a service.
    Remote(EmbeddingConfig),
}

/// Where the vectors come from.
#[derive(Clone, Debug)]
pub struct EmbeddingConfig {
    /// Up to and including `/v1`.
    pub base_url: String,
    /// The service's name of the model.
    pub model: String,
    /// The service's key.
    pub api_key: Option<SecretString>,
    /// Length of the service's vectors; an answer of another length is refused.
    pub dim: usize,
    /// Dimensions that vectors are projected to; heads learn from few labels, so 64 is plenty.
    pub width: usize,
    /// Bytes of a text that are sent at most; the rest is cut off.
    pub max_text_bytes: usize,
    /// For one call, from the request to the end of the answer. The request to be routed waits for so long at most.
    pub timeout: Duration,
}

/// `[telemetry]`
#[derive(Clone, Debug, Default)]
pub struct TelemetryConfig {
    /// Where traces go; nowhere if not given.
    pub export: Option<ExportConfig>,
    /// Whether upstreams are told of the trace that a call belongs to.
    pub propagate: bool,
}

/// Where traces go, and which.
#[derive(Clone, Debug)]
pub struct ExportConfig {
    /// URL that takes `POST` of OTLP traces.
    pub url: String,
    /// Sent with each of them.
    pub headers: Vec<(String, SecretString)>,
    /// Share of the traces that begin here; the SDK's own settings if not given.
    pub sample_ratio: Option<f64>,
    /// What this service is called.
    pub service_name: String,
    /// Spans that may wait.
    pub queue: usize,
    /// Spans in one request.
    pub batch: usize,
    /// How long a span waits for others.
    pub delay: Duration,
    /// For the collector to take a batch.
    pub timeout: Duration,
}

/// `[[models]]`
#[derive(Clone, Debug)]
pub struct Model {
    /// The operator's name for it.
    pub name: Arc<str>,
    /// What its provider speaks.
    pub protocol: ModelProtocol,
    /// Up to and including `/v1`.
    pub base_url: String,
    /// The provider's name for it.
    pub upstream_model: String,
    /// The provider's key.
    pub api_key: Option<SecretString>,
    /// Calls that may be under way at once; no limit if not given.
    pub max_concurrency: Option<usize>,
    /// Probes of its upstream.
    pub health_check: Option<HealthCheck>,
    /// Most tokens of an answer where the request does not say and the protocol wants to know, as Anthropic's does.
    pub max_output_tokens: u64,
    /// What it asks, over time.
    pub prices: PriceTable,
    /// What it can take.
    pub takes: Takes,
}

/// `models.health_check`: probes of the model's upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked, with GET.
    pub url: String,
    /// Mean time between two probes.
    pub interval: Duration,
    /// For the head of the answer.
    pub timeout: Duration,
    /// Failed probes in a row that open the circuit.
    pub unhealthy_after: u32,
    /// Passed probes in a row that close it.
    pub healthy_after: u32,
}

/// `[routes.<name>]`
#[derive(Clone, Debug)]
pub struct Route {
    /// What the core needs.
    pub spec: RouteSpec,
    /// A file of `slarouter train`, for a route that knows nothing yet.
    pub warm_start: Option<PathBuf>,
    /// Whether a conversation stays on its model.
    pub affinity: bool,
}

// === impl UpstreamConfig ===

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            // As long as the usual clients wait: a model that reasons may say nothing for minutes.
            response_timeout: Duration::from_secs(600),
            first_token_timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(300),
            max_response_bytes: 64 << 20,
            max_stream_bytes: 1 << 30,
            max_attempts: 3,
            retries: 1,
            backoff: Duration::from_millis(100),
            retry_budget: 0.2,
            retry_after_max: Duration::from_secs(60),
            breaker_failures: 5,
            breaker_rate: 0.5,
            breaker_open: Duration::from_secs(5),
            queue_timeout: Duration::from_millis(100),
            hedge: None,
        }
    }
}

// === impl Model ===

impl Model {
    /// What the writer of a request has to know of it.
    pub fn upstream(&self) -> Upstream<'_> {
        Upstream {
            dialect: self.protocol,
            model: &self.upstream_model,
            reasons: self.takes.reasoning != Some(false),
            max_output_tokens: self.max_output_tokens,
        }
    }

    /// Whether calls go to the same model at the same provider, with the same key, and its health is checked alike.
    #[must_use]
    pub fn is_asked_like(&self, other: &Self) -> bool {
        self.protocol == other.protocol
            && self.base_url == other.base_url
            && self.upstream_model == other.upstream_model
            && self.health_check == other.health_check
            && same_secret(self.api_key.as_ref(), other.api_key.as_ref())
    }
}

/// Whether both hold the same, or both nothing. Not for what a stranger sends: its time tells of both.
pub fn same_secret(one: Option<&SecretString>, other: Option<&SecretString>) -> bool {
    one.map(ExposeSecret::expose_secret) == other.map(ExposeSecret::expose_secret)
}
