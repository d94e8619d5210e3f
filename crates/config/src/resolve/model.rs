//! `[[models]]`

use std::ops::Range;
use std::sync::Arc;

use slarouter_core::{ModelSpec, Price, Timestamp};
use slarouter_protocol::ModelProtocol;
use toml::Spanned;

use super::{latency, prices, takes};
use crate::price::PriceTable;
use crate::problems::Problems;
use crate::raw::{self, Text};
use crate::settings::Model;
use crate::values::{Env, api_key, base_url, count, printable, share, text};

const MOST_CONCURRENCY: usize = 1 << 20;

/// All models.
pub(super) struct Zoo {
    /// In the order of the file.
    pub(super) models: Vec<Model>,
    /// The same as the core has them.
    pub(super) specs: Vec<ModelSpec>,
    /// Models whose price nobody knows.
    pub(super) unpriced: Vec<Arc<str>>,
}

pub(super) fn models(raw: Vec<Spanned<raw::Model>>, env: Env<'_>, problems: &mut Problems<'_>) -> Zoo {
    if raw.is_empty() {
        problems.absent(None, "there is no model: add at least one [[models]]");
    }
    let mut zoo = Zoo { models: Vec::new(), specs: Vec::new(), unpriced: Vec::new() };
    let mut without_price = Vec::new();
    for entry in raw {
        let entry = entry.into_inner();
        let place = entry.name.span();
        let Some((model, prior, unknown)) = model(entry, env, problems) else {
            problems.incomplete = true;
            continue;
        };
        if zoo.specs.iter().any(|other| other.name == model.name) {
            problems.add(Some(place), "another model has this name: give each one of its own");
            continue;
        }
        without_price.extend(unknown);
        zoo.specs.push(ModelSpec { name: model.name.clone(), price: Price::default(), prior });
        zoo.models.push(model);
    }
    price(&mut zoo, without_price.first(), problems);
    zoo
}

/// Puts the prices of the others in the place of unknown ones, the first of which is written at `unknown`.
fn price(zoo: &mut Zoo, unknown: Option<&Range<usize>>, problems: &mut Problems<'_>) {
    let known: Vec<_> = zoo.models.iter().map(|model| model.prices.clone()).filter(PriceTable::is_known).collect();
    if known.is_empty()
        && let Some(place) = unknown
    {
        let what = "no model has a known price, so that there is none to take for it: give the price of one at least, 0 if it \
                    costs nothing";
        problems.absent(Some(place.clone()), what);
    }
    for (model, spec) in zoo.models.iter_mut().zip(&mut zoo.specs) {
        if !model.prices.is_known() {
            model.prices = PriceTable::unknown(&known);
            zoo.unpriced.push(model.name.clone());
        }
        spec.price = model.prices.at(Timestamp(0)).list();
    }
}

/// The model and its prior; `None` if it has no name to go by.
fn model(
    raw: raw::Model,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Option<(Model, Option<f64>, Option<Range<usize>>)> {
    let own_name = name(&raw.name, env, problems);
    let spoken = raw.protocol.as_ref().map_or(Some(ModelProtocol::default()), |word| protocol(word, env, problems));
    let url = base_url(&raw.base_url, env, problems);
    let check = raw.health_check.zip(url.as_deref());
    let health_check = check.and_then(|(check, base_url)| latency::health_check(check, base_url, env, problems));
    let upstream_model = match &raw.upstream_model {
        Some(name) => text(name, env, problems),
        None => own_name.clone(),
    };
    let key = raw.api_key.as_ref().and_then(|key| api_key(key, env, problems));
    let price_place = raw.price.span();
    let prices = prices::table(raw.price, problems);
    let prior = raw.prior.map(|prior| share(Some(prior), 0.5, problems));
    let (url, upstream_model) = (url.unwrap_or_default(), upstream_model.unwrap_or_default());
    let takes = takes::takes(raw.takes, (&url, &upstream_model), env, problems);
    let own_name = own_name?;
    let model = Model {
        protocol: spoken.unwrap_or_default(),
        takes,
        base_url: url,
        upstream_model,
        api_key: key,
        health_check,
        max_concurrency: raw.max_concurrency.map(|most| {
            // Above what a semaphore can hold, a limit is none.
            usize::try_from(count(Some(most), 1, problems)).unwrap_or(usize::MAX).min(MOST_CONCURRENCY)
        }),
        max_output_tokens: count(raw.max_output_tokens, 4_096, problems),
        prices: prices.as_ref().ok().cloned().flatten().unwrap_or_else(|| PriceTable::unknown(&[])),
        name: own_name.into(),
    };
    Some((model, prior, prices.is_ok_and(|known| known.is_none()).then_some(price_place)))
}

fn name(written: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let name = text(written, env, problems)?;
    if name.is_empty() || name == "auto" || name.starts_with("auto:") {
        problems.add(Some(written.span()), "a model's name must not be empty, \"auto\", or begin with \"auto:\"");
    } else if !printable(&name) {
        // It is sent in a header.
        problems.add(Some(written.span()), "a model's name must be printable ASCII");
    }
    Some(name)
}

fn protocol(word: &Text, env: Env<'_>, problems: &mut Problems<'_>) -> Option<ModelProtocol> {
    let protocol = ModelProtocol::parse(&text(word, env, problems)?);
    if protocol.is_none() {
        problems.add(Some(word.span()), "protocol must be openai-chat, openai-responses, anthropic or gemini-openai");
    }
    protocol
}
