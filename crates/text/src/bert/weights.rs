//! A BERT model's files.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::error::BertError;
use crate::wordpiece::WordPiece;

/// The fields of `config.json` that matter.
#[derive(Deserialize)]
struct Config {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    vocab_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "epsilon")]
    layer_norm_eps: f32,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "bert")]
    model_type: String,
}

/// The field of `tokenizer_config.json` that matters.
#[derive(Default, Deserialize)]
struct TokenizerConfig {
    do_lower_case: Option<bool>,
}

fn epsilon() -> f32 {
    1e-12
}

fn gelu() -> String {
    "gelu".to_owned()
}

fn bert() -> String {
    "bert".to_owned()
}

pub(super) struct Linear {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// `outputs` rows of `inputs`.
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

pub(super) struct Layer {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) mix: Linear,
    pub(super) mix_norm: Norm,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) down_norm: Norm,
}

pub(super) struct Model {
    pub(super) hidden: usize,
    pub(super) heads: usize,
    pub(super) epsilon: f32,
    /// Most tokens in a text.
    pub(super) longest: usize,
    pub(super) words: Vec<f32>,
    pub(super) positions: Vec<f32>,
    /// The first of the two kinds of segments.
    pub(super) kind: Vec<f32>,
    pub(super) embedding_norm: Norm,
    pub(super) layers: Vec<Layer>,
    pub(super) pieces: WordPiece,
    /// Hash of all that the vectors depend on.
    pub(super) hash: u64,
}

impl Model {
    pub(super) fn load(folder: &Path) -> Result<Self, BertError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| BertError::Read { path, source })
        };
        let (config_bytes, vocabulary, weights) =
            (read("config.json")?, read("vocab.txt")?, read("model.safetensors")?);
        let wrong = |file: &'static str, what: String| BertError::File { path: folder.join(file), what };
        let config: Config =
            serde_json::from_slice(&config_bytes).map_err(|error| wrong("config.json", error.to_string()))?;
        if config.model_type != "bert" || config.hidden_act != "gelu" {
            let what = format!("a {} model with {} is not supported", config.model_type, config.hidden_act);
            return Err(wrong("config.json", what));
        }
        if config.num_attention_heads == 0 || !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            return Err(wrong("config.json", "hidden_size is no multiple of num_attention_heads".to_owned()));
        }
        if config.max_position_embeddings < 3 {
            return Err(wrong("config.json", "max_position_embeddings must be at least 3".to_owned()));
        }
        // Older models come without this file; they are uncased.
        let tokenizer = std::fs::read(folder.join("tokenizer_config.json")).unwrap_or_default();
        let tokenizer: TokenizerConfig = serde_json::from_slice(&tokenizer).unwrap_or_default();
        if tokenizer.do_lower_case == Some(false) {
            let what = "the model is cased, which is not supported: take an uncased one".to_owned();
            return Err(wrong("tokenizer_config.json", what));
        }
        let text = std::str::from_utf8(&vocabulary).map_err(|error| wrong("vocab.txt", error.to_string()))?;
        let pieces =
            WordPiece::new(text.split_terminator('\n')).map_err(|error| wrong("vocab.txt", error.to_string()))?;
        if pieces.size() != config.vocab_size {
            let what = format!("{} tokens where config.json says {}", pieces.size(), config.vocab_size);
            return Err(wrong("vocab.txt", what));
        }
        let tensors =
            SafeTensors::deserialize(&weights).map_err(|error| wrong("model.safetensors", error.to_string()))?;
        let reader = Reader { tensors, wrong: &|what| wrong("model.safetensors", what) };
        let hash = [&config_bytes, &vocabulary, &weights]
            .iter()
            .fold(0_u64, |hash, bytes| hash.rotate_left(21) ^ rapidhash::v3::rapidhash_v3(bytes));
        reader.model(&config, pieces, hash)
    }
}

struct Reader<'a> {
    tensors: SafeTensors<'a>,
    wrong: &'a dyn Fn(String) -> BertError,
}

impl Reader<'_> {
    fn model(&self, config: &Config, pieces: WordPiece, hash: u64) -> Result<Model, BertError> {
        let hidden = config.hidden_size;
        let mut kind = self.floats("embeddings.token_type_embeddings.weight", None)?;
        if kind.len() < hidden {
            return Err((self.wrong)("embeddings.token_type_embeddings.weight is too small".to_owned()));
        }
        kind.truncate(hidden);
        Ok(Model {
            hidden,
            heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
            longest: config.max_position_embeddings,
            words: self.floats("embeddings.word_embeddings.weight", Some(&[config.vocab_size, hidden]))?,
            positions: self
                .floats("embeddings.position_embeddings.weight", Some(&[config.max_position_embeddings, hidden]))?,
            kind,
            embedding_norm: self.norm("embeddings.LayerNorm", hidden)?,
            layers: (0..config.num_hidden_layers).map(|layer| self.layer(layer, config)).collect::<Result<_, _>>()?,
            pieces,
            hash,
        })
    }

    fn layer(&self, layer: usize, config: &Config) -> Result<Layer, BertError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        Ok(Layer {
            query: self.linear(&name("attention.self.query"), hidden, hidden)?,
            key: self.linear(&name("attention.self.key"), hidden, hidden)?,
            value: self.linear(&name("attention.self.value"), hidden, hidden)?,
            mix: self.linear(&name("attention.output.dense"), hidden, hidden)?,
            mix_norm: self.norm(&name("attention.output.LayerNorm"), hidden)?,
            up: self.linear(&name("intermediate.dense"), hidden, inner)?,
            down: self.linear(&name("output.dense"), inner, hidden)?,
            down_norm: self.norm(&name("output.LayerNorm"), hidden)?,
        })
    }

    fn linear(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear, BertError> {
        let weight = self.floats(&format!("{name}.weight"), Some(&[outputs, inputs]))?;
        let bias = self.floats(&format!("{name}.bias"), Some(&[outputs]))?;
        Ok(Linear { inputs, outputs, weight, bias })
    }

    fn norm(&self, name: &str, size: usize) -> Result<Norm, BertError> {
        let part = |part: &str| self.floats(&format!("{name}.{part}"), Some(&[size]));
        Ok(Norm { weight: part("weight")?, bias: part("bias")? })
    }

    /// Some exports put `bert.` in front of all names.
    fn floats(&self, name: &str, shape: Option<&[usize]>) -> Result<Vec<f32>, BertError> {
        let tensor = self.tensors.tensor(name).or_else(|_| self.tensors.tensor(&format!("bert.{name}")));
        let tensor = tensor.map_err(|_| (self.wrong)(format!("there is no tensor {name}")))?;
        if let Some(shape) = shape.filter(|shape| *shape != tensor.shape()) {
            let what = format!("the tensor {name} has the shape {:?}, not {shape:?}", tensor.shape());
            return Err((self.wrong)(what));
        }
        if tensor.dtype() != Dtype::F32 {
            let what = format!("the tensor {name} holds {:?}: convert the model to F32", tensor.dtype());
            return Err((self.wrong)(what));
        }
        let values: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err((self.wrong)(format!("the tensor {name} has values that are no numbers")));
        }
        Ok(values)
    }
}
