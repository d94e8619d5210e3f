//! Features of requests, by whichever encoder is configured, without holding up anything.

mod remote;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use slarouter_config::{EncoderConfig, FeaturesConfig};
use slarouter_core::half;
use slarouter_learner::FeaturesId;
use slarouter_text::{Conversation, Encoder, LocalError, Worker, WorkerError};
use tokio::time::timeout;

use crate::metrics::Metrics;
use crate::words::shown;
pub use remote::{EmbeddingError, RemoteEncoder};

/// Conversations that may wait for a slow encoder; more are decided without features at once.
const QUEUE: usize = 256;

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

    /// The features of a conversation, in half precision as the log holds them: what is decided from is what is learnt from, bit for
    /// bit. None if the encoder fails or takes too long, which is counted and said. With `free_only` a slow encoder is not asked.
    pub(crate) async fn of(&self, conversation: &Conversation, free_only: bool, metrics: &Metrics) -> Vec<f32> {
        let mut features = self.encoded(conversation, free_only, metrics).await;
        features.iter_mut().for_each(|x| *x = half::round(*x));
        features
    }

    async fn encoded(&self, conversation: &Conversation, free_only: bool, metrics: &Metrics) -> Vec<f32> {
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
                    tracing::debug!(encoder = self.id.encoder, error = shown(&error.to_string()), "no features");
                } else {
                    let error = error.to_string();
                    let error = shown(&error);
                    tracing::warn!(
                        encoder = self.id.encoder,
                        error,
                        "no features: requests are taken for average ones"
                    );
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
