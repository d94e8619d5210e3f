//! Features of requests, by whichever encoder is configured, without holding up anything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use slarouter_config::{Config, EncoderConfig, FeaturesConfig, Route};
use slarouter_core::{RouteSpec, Timestamp};
use slarouter_text::{Conversation, Encoder, LocalError, Worker, WorkerError};
use tokio::time::timeout;

use crate::embedding::{EmbeddingError, RemoteEncoder};
use crate::metrics::Metrics;
use crate::warm::{WarmStart, WarmStartError};

/// Conversations that may wait for a slow encoder; more are decided without features at once.
const QUEUE: usize = 256;

/// Which encoder a route's features come from. It stands in the log with each configuration, so that a replay knows what the
/// features of that time mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeaturesId {
    /// Its name.
    pub encoder: String,
    /// Version of the vectors.
    pub version: u32,
    /// Their length.
    pub dim: usize,
}

/// A route's configuration as the log holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LoggedRoute {
    #[serde(flatten)]
    pub(crate) spec: RouteSpec,
    /// Logs from before there was a choice have none.
    #[serde(default)]
    pub(crate) features: FeaturesId,
    /// What it begins with, if it knows nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warm_start: Option<WarmStart>,
    /// Models whose price stands for one that nobody knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unpriced: Vec<Arc<str>>,
}

/// Why a route cannot be written to the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogRouteError {
    #[error(transparent)]
    WarmStart(#[from] WarmStartError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl LoggedRoute {
    /// What the log is to hold of a route with these features and the prices in force. Reads the file of its warm start.
    pub(crate) fn of(
        config: &Config,
        route: &Route,
        features: &FeaturesId,
        at: Timestamp,
    ) -> Result<Self, LogRouteError> {
        let warm_start = route.warm_start.as_deref().map(|path| WarmStart::read(path, features)).transpose()?;
        let (spec, unpriced) = (config.spec_at(route, at), config.unpriced(route));
        Ok(Self { spec, features: features.clone(), warm_start, unpriced })
    }

    /// As the log holds it.
    pub(crate) fn json(&self) -> Result<String, LogRouteError> {
        Ok(serde_json::to_string(self)?)
    }
}

impl Default for FeaturesId {
    /// The encoder before there was a choice.
    fn default() -> Self {
        Self { encoder: "hashed".to_owned(), version: 2, dim: 128 }
    }
}

/// Why an encoder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// It cannot be loaded.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The system starts no thread for it.
    #[error("the encoder's threads: {0}")]
    Threads(#[from] std::io::Error),
    /// The HTTP client of a remote one cannot be made; likely the system's TLS roots.
    #[error("the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// Why a request has no features.
#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("the encoder took longer than timeout_s: give it more threads or more time, or take a lighter one")]
    Late,
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error(transparent)]
    Remote(#[from] EmbeddingError),
}

/// The configured encoder, ready for use.
pub(crate) struct Features {
    id: FeaturesId,
    kind: Kind,
    /// Whether the last request had none, so that the log says so once.
    failing: AtomicBool,
}

enum Kind {
    /// Microseconds: done on the spot.
    Fast(Arc<dyn Encoder>),
    Slow(Worker, Duration),
    Remote(RemoteEncoder),
}

/// Loads the configured encoder to see whether it can be used, and says which it is. A remote one is not called.
///
/// # Errors
/// [`EncoderError`]
pub fn identify(config: &FeaturesConfig) -> Result<FeaturesId, EncoderError> {
    Ok(Features::start(config)?.id)
}

impl Features {
    pub(crate) fn start(config: &FeaturesConfig) -> Result<Self, EncoderError> {
        let (name, version, dim, kind) = match &config.encoder {
            EncoderConfig::Remote(remote) => {
                // No redirects: the prompts go to the service of the configuration and no other.
                let client = reqwest::Client::builder()
                    .redirect(reqwest::redirect::Policy::none())
                    .user_agent(concat!("slarouter/", env!("CARGO_PKG_VERSION")))
                    .build()?;
                let encoder = RemoteEncoder::new(client, remote.clone());
                ("remote".to_owned(), encoder.version(), encoder.dim(), Kind::Remote(encoder))
            }
            EncoderConfig::Local(local) => {
                let encoder = local.load()?;
                let (name, version, dim) = (encoder.name().to_owned(), encoder.version(), encoder.dim());
                let kind = if local.is_slow() {
                    Kind::Slow(Worker::start(encoder, config.threads, QUEUE)?, config.timeout)
                } else {
                    Kind::Fast(encoder)
                };
                (name, version, dim, kind)
            }
        };
        Ok(Self { id: FeaturesId { encoder: name, version, dim }, kind, failing: AtomicBool::new(false) })
    }

    pub(crate) fn id(&self) -> &FeaturesId {
        &self.id
    }

    /// The features of a conversation; none if the encoder fails or takes too long, which is counted and said. With `free_only`
    /// a slow encoder is not asked.
    pub(crate) async fn of(&self, conversation: &Conversation, free_only: bool, metrics: &Metrics) -> Vec<f32> {
        let found = match &self.kind {
            Kind::Fast(encoder) => {
                let mut features = vec![0.0; self.id.dim];
                encoder.encode(conversation, &mut features);
                return features;
            }
            _ if free_only => return Vec::new(),
            Kind::Slow(worker, limit) => match worker.submit(conversation.clone()) {
                // One that is given up leaves the queue.
                Ok(pending) => match timeout(*limit, pending).await {
                    Ok(found) => found.map_err(Missing::from),
                    Err(_) => Err(Missing::Late),
                },
                Err(error) => Err(error.into()),
            },
            Kind::Remote(encoder) => encoder.encode(conversation).await.map_err(Missing::from),
        };
        match found {
            Ok(features) => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(encoder = self.id.encoder, "requests have features again");
                }
                features
            }
            Err(error) => {
                metrics.without_features(error.as_str());
                if self.failing.swap(true, Ordering::Relaxed) {
                    tracing::debug!(encoder = self.id.encoder, %error, "no features");
                } else {
                    tracing::warn!(encoder = self.id.encoder, %error, "no features: requests are taken for average ones");
                }
                Vec::new()
            }
        }
    }
}

impl Missing {
    /// For the metric.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Late | Self::Remote(EmbeddingError::Timeout(_)) => "timeout",
            Self::Worker(WorkerError::Busy(_)) => "busy",
            Self::Worker(_) => "stopped",
            Self::Remote(EmbeddingError::Unreachable(_)) => "unreachable",
            Self::Remote(EmbeddingError::Status(_)) => "status",
            Self::Remote(EmbeddingError::Malformed(_)) => "malformed",
            Self::Remote(EmbeddingError::Dimension { .. }) => "dimension",
            Self::Remote(EmbeddingError::Resting) => "resting",
        }
    }
}

#[cfg(test)]
mod tests {
    use slarouter_core::{Alpha, ModelSpec, PolicySpec, Price, Zoo};

    use super::*;

    #[test]
    fn a_logged_route_reads_back_also_from_before_there_was_a_choice() {
        let spec = RouteSpec {
            alpha: Alpha::new(0.9).unwrap(),
            zoo: Zoo::new(vec![ModelSpec::new("m", Price { input: 0.1, output: 1e6 })]).unwrap(),
            policy: PolicySpec::parse("certified").unwrap(),
            feedback_window_ms: u64::MAX,
            audit_rate: 0.0,
            rater_limit: 0,
            rater_share: 0.0,
            alone: false,
            failures_count: false,
        };
        let old: LoggedRoute = serde_json::from_str(&serde_json::to_string(&spec).unwrap()).unwrap();
        assert_eq!(
            old,
            LoggedRoute { spec: spec.clone(), features: FeaturesId::default(), warm_start: None, unpriced: vec![] }
        );
        let features = FeaturesId { encoder: "bert".to_owned(), version: u32::MAX, dim: 96 };
        let logged = LoggedRoute { spec: spec.clone(), features, warm_start: None, unpriced: vec!["m".into()] };
        let text = serde_json::to_string(&logged).unwrap();
        assert_eq!(serde_json::from_str::<LoggedRoute>(&text).unwrap(), logged);
        assert_eq!(serde_json::from_str::<RouteSpec>(&text).unwrap(), spec, "earlier releases read it too");
    }
}
