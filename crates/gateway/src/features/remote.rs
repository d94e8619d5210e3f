//! Features from a service's sentence vectors: an OpenAI-compatible `/v1/embeddings`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use http::{StatusCode, header};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use slarouter_config::EmbeddingConfig;
use slarouter_text::{Conversation, Projection, RecentVectors, projected_features_into};
use tokio::time::{Instant, timeout};

use crate::upstream::causes;
use crate::words::cut;

/// Surface statistics that follow the vector.
const SURFACE: usize = 32;
/// Failures in a row after which the service is left alone for a while.
const MOST_FAILURES: u32 = 5;
/// For how long the service is left alone then.
const REST: Duration = Duration::from_secs(10);
/// Texts whose vectors are remembered, at most.
const REMEMBERED: usize = 4_096;
/// Bytes of an answer that are read at most: two vectors of 4,096 numbers, written at length.
const LONGEST_ANSWER: usize = 512 * 1024;

/// Asks a service for sentence vectors and makes features of them.
///
/// The vectors of the last 4,096 texts are remembered. After five failures in a row the service is not asked for ten seconds.
pub struct RemoteEncoder {
    client: reqwest::Client,
    config: EmbeddingConfig,
    version: u32,
    recent: RecentVectors,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    rest_until: Option<Instant>,
}

/// Why there is no vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddingError {
    /// It did not answer in time.
    #[error("no answer from the embedding service within {0:?}: raise the timeout, or take a local encoder")]
    Timeout(Duration),
    /// It cannot be reached, or the connection broke.
    #[error("the embedding service cannot be reached: {0}; check its base_url")]
    Unreachable(String),
    /// It says no.
    #[error("the embedding service answers {0}: check model and api_key")]
    Status(StatusCode),
    /// What it sends is no vector.
    #[error("the embedding service sends no vectors: {0}; its API must be OpenAI's")]
    Malformed(String),
    /// Its vectors have another length: likely another model.
    #[error("the embedding service sends vectors of {got} numbers, not {expected}: check model and dim")]
    Dimension {
        /// The length of the configuration.
        expected: usize,
        /// The length that was sent.
        got: usize,
    },
    /// It has failed too often of late.
    #[error("the embedding service has failed {MOST_FAILURES} times in a row and is left alone for {} s", REST.as_secs())]
    Resting,
}

#[derive(Serialize)]
struct Ask<'a> {
    model: &'a str,
    input: Vec<&'a str>,
    encoding_format: &'static str,
}

#[derive(Deserialize)]
struct Embeddings {
    data: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    index: usize,
    embedding: Vec<f32>,
}

impl RemoteEncoder {
    /// Calls go through `client`, whose connections are kept.
    #[must_use]
    pub fn new(client: reqwest::Client, config: EmbeddingConfig) -> Self {
        let digest = Sha256::digest(format!("{}\n{}\n{}", config.model, config.dim, config.width));
        let version = digest.iter().take(4).fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
        // The upper half is for encoders whose weights come from outside: see `Encoder::version`.
        let recent = RecentVectors::new(REMEMBERED);
        Self { client, config, version: version | 1 << 31, recent, health: Mutex::default() }
    }

    /// Version of the features: it follows from the model's name, the length of its vectors, and the width.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Length of the features.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.config.width + SURFACE
    }

    /// The features of a conversation, [`RemoteEncoder::dim`] finite values, within the timeout.
    ///
    /// # Errors
    /// [`EmbeddingError`]: why there are none.
    pub async fn encode(&self, conversation: &Conversation) -> Result<Vec<f32>, EmbeddingError> {
        // Services refuse what is longer than their model reads, or take long over it.
        let taken = |text| cut(text, self.config.max_text_bytes);
        let (prompt, context) = (taken(conversation.prompt()), taken(conversation.context()));
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        // Services refuse empty texts.
        for text in [prompt, context].into_iter().filter(|text| !text.trim().is_empty()) {
            match self.recent.find(text) {
                Some(vector) => known.push((text, vector)),
                None => unknown.push(text),
            }
        }
        if !unknown.is_empty() {
            if self.rests() {
                return Err(EmbeddingError::Resting);
            }
            let limit = self.config.timeout;
            let answer = timeout(limit, self.ask(unknown.clone())).await.unwrap_or(Err(EmbeddingError::Timeout(limit)));
            match &answer {
                // The text is at fault, not the service: who asks must not be able to take it away from all others.
                Err(EmbeddingError::Status(status)) if matches!(status.as_u16(), 400 | 413 | 414 | 422) => {}
                _ => self.note(answer.is_ok()),
            }
            for (text, vector) in unknown.into_iter().zip(answer?) {
                let vector = Projection::to(Some(self.config.width)).apply(&vector);
                self.recent.insert(text, vector.clone());
                known.push((text, vector));
            }
        }
        let vector = |text: &str| known.iter().find(|(known, _)| *known == text).map(|(_, vector)| &**vector);
        let neutral = vec![0.0; self.config.width];
        let mut features = vec![0.0; self.dim()];
        projected_features_into(conversation, vector(prompt).unwrap_or(&neutral), vector(context), &mut features);
        Ok(features)
    }

    /// One vector for each text, in their order.
    async fn ask(&self, input: Vec<&str>) -> Result<Vec<Vec<f32>>, EmbeddingError> {
        let wanted = input.len();
        let ask = Ask { model: &self.config.model, input, encoding_format: "float" };
        let body = serde_json::to_vec(&ask).map_err(|error| EmbeddingError::Malformed(error.to_string()))?;
        let url = format!("{}/embeddings", self.config.base_url.trim_end_matches('/'));
        let mut request = self.client.post(url).header(header::CONTENT_TYPE, "application/json").body(body);
        if let Some(key) = &self.config.api_key {
            request = request.bearer_auth(key.expose_secret());
        }
        let unreachable = |error: reqwest::Error| EmbeddingError::Unreachable(causes(&error));
        let response = request.send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(EmbeddingError::Status(response.status()));
        }
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(unreachable)?);
            if body.len() > LONGEST_ANSWER {
                return Err(EmbeddingError::Malformed(format!("the answer is over {LONGEST_ANSWER} bytes")));
            }
        }
        let mut answer: Embeddings =
            serde_json::from_slice(&body).map_err(|error| EmbeddingError::Malformed(error.to_string()))?;
        answer.data.sort_by_key(|vector| vector.index);
        let fits = answer.data.len() == wanted
            && answer.data.iter().enumerate().all(|(place, vector)| vector.index == place)
            && answer.data.iter().all(|vector| usable(&vector.embedding));
        if !fits {
            return Err(EmbeddingError::Malformed(format!("not {wanted} vectors of finite numbers")));
        }
        let dim = self.config.dim;
        if let Some(got) = answer.data.iter().map(|vector| vector.embedding.len()).find(|got| *got != dim) {
            return Err(EmbeddingError::Dimension { expected: dim, got });
        }
        Ok(answer.data.into_iter().map(|vector| vector.embedding).collect())
    }

    fn rests(&self) -> bool {
        let health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.rest_until.is_some_and(|until| Instant::now() < until)
    }

    fn note(&self, well: bool) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if well {
            *health = Health::default();
            return;
        }
        health.failures += 1;
        if health.failures >= MOST_FAILURES {
            // One more failure after the rest is enough for the next.
            health.rest_until = Some(Instant::now() + REST);
        }
    }
}

/// Numbers so large that their squares overflow would not survive the scaling to length 1.
fn usable(vector: &[f32]) -> bool {
    vector.iter().all(|value| value.abs() < 1e9)
}

#[cfg(test)]
mod tests;
