//! `[[models]]`

use std::ops::Range;

use slarouter_protocol::ModelProtocol;

use super::{latency, prices};
use crate::price::PriceTable;
use crate::problems::Problems;
use crate::raw;
use crate::settings::Model;
use crate::values::{Env, api_key, base_url, count, printable, share, text};

const MOST_CONCURRENCY: usize = 1 << 20;

/// The model and its prior; `None` if it has no name to go by.
pub(super) fn model(
    raw: raw::Model,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Option<(Model, Option<f64>, Option<Range<usize>>)> {
    let name = text(&raw.name, env, problems);
    if let Some(name) = &name {
        if name.is_empty() || name == "auto" || name.starts_with("auto:") {
            problems.add(Some(raw.name.span()), "a model's name must not be empty, \"auto\", or begin with \"auto:\"");
        } else if !printable(name) {
            // It is sent in a header.
            problems.add(Some(raw.name.span()), "a model's name must be printable ASCII");
        }
    }
    let protocol = raw.protocol.as_ref().map_or(Some(ModelProtocol::default()), |word| {
        let protocol = ModelProtocol::parse(&text(word, env, problems)?);
        if protocol.is_none() {
            let what = "protocol must be openai-chat, openai-responses, anthropic or gemini-openai";
            problems.add(Some(word.span()), what);
        }
        protocol
    });
    let base_url = base_url(&raw.base_url, env, problems);
    let check = raw.health_check.zip(base_url.as_deref());
    let health_check = check.and_then(|(check, base_url)| latency::health_check(check, base_url, env, problems));
    let upstream_model = match &raw.upstream_model {
        Some(name) => text(name, env, problems),
        None => name.clone(),
    };
    let api_key = raw.api_key.as_ref().and_then(|key| api_key(key, env, problems));
    let price_place = raw.price.span();
    let prices = prices::table(raw.price, problems);
    let prior = raw.prior.map(|prior| share(Some(prior), 0.5, problems));
    let name = name?;
    let model = Model {
        protocol: protocol.unwrap_or_default(),
        base_url: base_url.unwrap_or_default(),
        upstream_model: upstream_model.unwrap_or_default(),
        api_key,
        health_check,
        max_concurrency: raw.max_concurrency.map(|most| {
            // Above what a semaphore can hold, a limit is none.
            usize::try_from(count(Some(most), 1, problems)).unwrap_or(usize::MAX).min(MOST_CONCURRENCY)
        }),
        max_output_tokens: count(raw.max_output_tokens, 4_096, problems),
        prices: prices.as_ref().ok().cloned().flatten().unwrap_or_else(|| PriceTable::unknown(&[])),
        name: name.into(),
    };
    Some((model, prior, prices.is_ok_and(|known| known.is_none()).then_some(price_place)))
}
