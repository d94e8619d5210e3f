//! `[features]`: which encoder, and the keys that belong to it.

use std::path::PathBuf;
use std::time::Duration;

use slarouter_text::LocalEncoder;

use crate::problems::Problems;
use crate::raw::{self, Count, Text};
use crate::settings::{EmbeddingConfig, EncoderConfig, FeaturesConfig};
use crate::values::{Env, api_key, base_url, seconds, text};

/// Longest vector of a service.
const LONGEST: u64 = 65_536;
/// Most dimensions that vectors are projected to: a label costs their square.
const WIDEST: u64 = 512;
const WIDTH: usize = LocalEncoder::BERT_WIDTH;
const MOST_THREADS: u64 = 64;
const TIMEOUT_S: f64 = 0.3;

pub(super) fn features(raw: raw::Features, env: Env<'_>, problems: &mut Problems<'_>) -> FeaturesConfig {
    let name = raw.encoder.as_ref().map_or(Some("hashed".to_owned()), |name| text(name, env, problems));
    let name = name.unwrap_or_default();
    refuse_strangers(&raw, &name, problems);
    let place = raw.encoder.as_ref().map(Text::span);
    let timeout = seconds(raw.timeout_s.clone(), TIMEOUT_S, problems);
    let width = within(raw.width.clone(), WIDTH, WIDEST, problems);
    let threads = within(raw.threads.clone(), 1, MOST_THREADS, problems);
    let encoder = match &*name {
        "bert" => {
            if cfg!(not(feature = "bert")) {
                let what = "this binary is built without bert: build it with `--features bert`, or take hashed, static, \
                            blend or remote";
                problems.add(place.clone(), what);
            }
            if raw.path.is_none() {
                problems.absent(place, "encoder \"bert\" needs path, the folder of the model");
            }
            let folder = raw.path.as_ref().and_then(|path| text(path, env, problems)).unwrap_or_default();
            if folder.is_empty()
                && let Some(path) = &raw.path
            {
                problems.absent(Some(path.span()), "path must not be empty");
            }
            EncoderConfig::Local(LocalEncoder::Bert { folder: PathBuf::from(folder), width })
        }
        "remote" => EncoderConfig::Remote(remote(&raw, width, timeout, env, problems)),
        other => match LocalEncoder::parse(other) {
            Ok(local @ (LocalEncoder::Hashed | LocalEncoder::Static | LocalEncoder::Blend)) => {
                EncoderConfig::Local(local)
            }
            _ => {
                problems.absent(place, "unknown encoder: use hashed, static, blend, bert or remote");
                EncoderConfig::Local(LocalEncoder::Hashed)
            }
        },
    };
    FeaturesConfig { encoder, timeout, threads }
}

/// Keys of another encoder: whoever wrote them expects something that will not happen.
fn refuse_strangers(raw: &raw::Features, encoder: &str, problems: &mut Problems<'_>) {
    let span = |key: &Option<Text>| key.as_ref().map(Text::span);
    let count = |key: &Option<Count>| key.as_ref().map(Count::span);
    let keys = [
        ("path", span(&raw.path), &["bert"][..]),
        ("threads", count(&raw.threads), &["bert"]),
        ("base_url", span(&raw.base_url), &["remote"]),
        ("model", span(&raw.model), &["remote"]),
        ("api_key", span(&raw.api_key), &["remote"]),
        ("dim", count(&raw.dim), &["remote"]),
        ("width", count(&raw.width), &["bert", "remote"]),
        ("max_text_bytes", count(&raw.max_text_bytes), &["remote"]),
        ("timeout_s", raw.timeout_s.as_ref().map(raw::Number::span), &["bert", "remote"]),
    ];
    if !["hashed", "static", "blend", "bert", "remote"].contains(&encoder) {
        return;
    }
    for (key, place, owners) in keys {
        if place.is_some() && !owners.contains(&encoder) {
            let what = format!("{key} belongs to encoder {}, but the encoder is {encoder}", owners.join(" or "));
            problems.add(place, what);
        }
    }
}

fn remote(
    raw: &raw::Features,
    width: usize,
    timeout: Duration,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> EmbeddingConfig {
    let place = raw.encoder.as_ref().map(Text::span);
    for (key, given) in
        [("base_url", raw.base_url.is_some()), ("model", raw.model.is_some()), ("dim", raw.dim.is_some())]
    {
        if !given {
            problems.absent(place.clone(), format!("encoder \"remote\" needs {key}"));
        }
    }
    let model = raw.model.as_ref().and_then(|model| text(model, env, problems)).unwrap_or_default();
    if model.is_empty()
        && let Some(key) = &raw.model
    {
        problems.absent(Some(key.span()), "model must not be empty");
    }
    EmbeddingConfig {
        base_url: raw.base_url.as_ref().and_then(|url| base_url(url, env, problems)).unwrap_or_default(),
        model,
        api_key: raw.api_key.as_ref().and_then(|key| api_key(key, env, problems)),
        dim: within(raw.dim.clone(), 1, LONGEST, problems),
        width,
        max_text_bytes: within(raw.max_text_bytes.clone(), TEXT, 1 << 24, problems),
        timeout,
    }
}

/// Some 6,000 to 8,000 tokens, which the models of most services read.
const TEXT: usize = 24_000;

/// A count from 1 to `most`.
fn within(value: Option<Count>, default: usize, most: u64, problems: &mut Problems<'_>) -> usize {
    let Some(value) = value else { return default };
    if !(1..=most).contains(value.get_ref()) {
        problems.add(Some(value.span()), format!("must be from 1 to {most}, not {}", value.get_ref()));
        return default;
    }
    value.into_inner() as usize
}
