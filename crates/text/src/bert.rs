//! BERT-type encoders from a folder of weights, on the CPU.

use std::fmt;
use std::path::Path;

use crate::features::{Encoder, Projection, SURFACE, projected_features_into};
use crate::{Conversation, RecentVectors};
pub use error::BertError;
use weights::Model;

mod error;
mod forward;
mod weights;

/// Versions of such encoders have this bit, the rest comes from their weights.
const FROM_WEIGHTS: u32 = 1 << 31;
/// Tokens of a text that are looked at; all-MiniLM-L6-v2 was trained on 128 and its makers cut at 256.
const LONGEST: usize = 256;
/// Tokens that go through together: enough to keep the multiplications busy, few enough to stay in the cache.
const TOGETHER: usize = 1_024;

/// How to use a model.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BertOptions {
    /// Dimensions that the sentence vector is projected to, at random but always in the same way; `None` keeps all. Few
    /// labels go further with fewer dimensions: 64 by default.
    pub project: Option<usize>,
    /// Texts whose vectors are remembered, at most.
    pub cache: usize,
}

impl Default for BertOptions {
    fn default() -> Self {
        Self { project: Some(64), cache: 4_096 }
    }
}

impl BertOptions {
    /// The default, with `project`.
    #[must_use]
    pub fn projected(project: Option<usize>) -> Self {
        Self { project, ..Self::default() }
    }
}

/// A sentence encoder: the mean of the last layer of a BERT model over at most 256 tokens, projected and normalised to length
/// 1, and the 32 surface statistics.
///
/// Costs milliseconds per prompt, so call it on a thread that may block: see [`crate::Worker`]. Vectors of recent
/// texts are remembered. Sums are done in the order that is fastest on the machine at hand, so the last bits may differ
/// between machines.
pub struct Bert {
    model: Model,
    projection: Projection,
    width: usize,
    version: u32,
    recent: RecentVectors,
}

impl fmt::Debug for Bert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bert").field("version", &self.version).field("width", &self.width).finish_non_exhaustive()
    }
}

impl Bert {
    /// Reads `config.json`, `vocab.txt` and `model.safetensors` (F32, names as in Hugging Face's BERT) of a folder.
    ///
    /// # Errors
    /// [`BertError`] with the file and what to do.
    pub fn load(folder: &Path, options: BertOptions) -> Result<Self, BertError> {
        let model = Model::load(folder)?;
        let hidden = model.hidden;
        if let Some(to) = options.project.filter(|to| *to == 0 || *to > hidden) {
            return Err(BertError::Projection { from: hidden, to });
        }
        let width = options.project.unwrap_or(hidden);
        let hash = model.hash ^ (width as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Ok(Self {
            projection: Projection::to(options.project),
            width,
            version: FROM_WEIGHTS | ((hash >> 33) as u32),
            recent: RecentVectors::new(options.cache),
            model,
        })
    }

    /// Vectors of texts, [`Encoder::dim`] less the surface statistics long.
    #[must_use]
    pub fn embed(&self, texts: &[&str]) -> Vec<Vec<f32>> {
        let mut found: Vec<Option<Vec<f32>>> = texts.iter().map(|text| self.recent.find(text)).collect();
        let missing: Vec<usize> = (0..texts.len()).filter(|i| found[*i].is_none()).collect();
        let limit = LONGEST.min(self.model.longest);
        let mut batch: Vec<usize> = Vec::new();
        let mut ids: Vec<Vec<u32>> = Vec::new();
        for (count, i) in missing.iter().enumerate() {
            ids.push(self.model.pieces.encode(texts[*i], limit));
            batch.push(*i);
            if count + 1 == missing.len() || ids.iter().map(Vec::len).sum::<usize>() + limit > TOGETHER {
                let vectors = forward::embed(&self.model, &ids);
                for (i, vector) in batch.drain(..).zip(vectors) {
                    let vector = self.projection.apply(&vector);
                    self.recent.insert(texts[i], vector.clone());
                    found[i] = Some(vector);
                }
                ids.clear();
            }
        }
        found.into_iter().map(Option::unwrap_or_default).collect()
    }
}

impl Encoder for Bert {
    fn name(&self) -> &str {
        "bert"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn dim(&self) -> usize {
        self.width + SURFACE
    }

    fn encode(&self, conversation: &Conversation, out: &mut [f32]) {
        self.encode_batch(&[conversation], out);
    }

    fn encode_batch(&self, conversations: &[&Conversation], out: &mut [f32]) {
        assert_eq!(out.len(), conversations.len() * self.dim(), "the slice for the features has the wrong length");
        let with_context = conversations.iter().filter(|conversation| !conversation.context.is_empty());
        let texts: Vec<&str> = conversations
            .iter()
            .map(|conversation| conversation.prompt.as_str())
            .chain(with_context.map(|conversation| conversation.context.as_str()))
            .collect();
        let vectors = self.embed(&texts);
        let (prompts, contexts) = vectors.split_at(conversations.len());
        let mut contexts = contexts.iter();
        for ((out, conversation), vector) in out.chunks_exact_mut(self.dim()).zip(conversations).zip(prompts) {
            let context = if conversation.context.is_empty() { None } else { contexts.next() };
            projected_features_into(conversation, vector, context.map(Vec::as_slice), out);
        }
    }
}
