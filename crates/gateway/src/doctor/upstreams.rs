//! Each provider: can it be reached, does it take the key, does it know the model.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use secrecy::ExposeSecret;
use slarouter_config::{Config, EncoderConfig, Model};
use slarouter_protocol::ModelProtocol;

use super::check::{ASK_TIMEOUT, Check, Dated};
use super::listing::{Listing, Provider};
use crate::clock::Clock;
use crate::upstream::{causes, client};

/// A check per model, and the clocks of the providers.
pub(super) async fn checks(config: &Config) -> (Vec<Check>, Vec<Dated>) {
    let mut providers: BTreeMap<_, Vec<&Model>> = BTreeMap::new();
    for model in &config.models {
        let key = model.api_key.as_ref().map(ExposeSecret::expose_secret);
        providers.entry((&model.base_url, key, model.protocol as u8)).or_default().push(model);
    }
    let client = match client(config.upstream.connect_timeout).timeout(ASK_TIMEOUT).build() {
        Ok(client) => client,
        Err(error) => {
            let mend = "see that the system has certificates of authorities (package ca-certificates)";
            return (vec![Check::fail("upstreams", format!("no HTTP client: {}", causes(&error)), mend)], Vec::new());
        }
    };
    let ask = async |models: &Vec<&Model>| {
        let first = models[0];
        let provider =
            Provider { base_url: &first.base_url, api_key: first.api_key.as_ref(), protocol: first.protocol };
        let (answer, dated) = provider.ask(&client).await;
        let check = |model: &&Model| judge(upstream(model), &provider, &model.upstream_model, &answer);
        (models.iter().map(check).collect::<Vec<_>>(), dated)
    };
    let answers = join_all(providers.values().map(ask)).await;
    let (found, dates): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
    let mut found: Vec<Check> = found.into_iter().flatten().collect();
    // In the order of the file.
    let place = |check: &Check| config.models.iter().position(|model| check.name == upstream(model));
    found.sort_by_key(place);
    if let EncoderConfig::Remote(remote) = &config.features.encoder {
        let provider = Provider {
            base_url: &remote.base_url,
            api_key: remote.api_key.as_ref(),
            protocol: ModelProtocol::OpenaiChat,
        };
        let (answer, _) = provider.ask(&client).await;
        found.push(judge("embeddings".to_owned(), &provider, &remote.model, &answer));
    }
    found.extend(config.models.iter().filter_map(price));
    (found, dates.into_iter().flatten().collect())
}

fn upstream(model: &Model) -> String {
    format!("upstream {}", model.name)
}

fn judge(name: String, provider: &Provider<'_>, wanted: &str, answer: &Listing) -> Check {
    let Listing::Listed(models) = answer else { return provider.trouble(name, answer) };
    let base_url = provider.base_url;
    // Gemini's names have a folder before them.
    let known = models.iter().any(|model| model.id == wanted || model.id.strip_prefix("models/") == Some(wanted));
    if known || models.is_empty() {
        return Check::ok(name, format!("{base_url} takes the key and knows {wanted}"));
    }
    let found = format!("{base_url} does not list {wanted:?} among its {} models", models.len());
    Check::warn(name, found, "set models.upstream_model to a name of its own, or see that it is loaded there")
}

/// Nothing to say of a price that is one.
fn price(model: &Model) -> Option<Check> {
    if !model.prices.is_known() {
        let found = "unknown: it is taken to be as dear as the most expensive, and answers carry no cost";
        return Some(Check::warn(format!("price {}", model.name), found, "set models.price once it is known"));
    }
    let price = model.prices.at(Clock::default().now()).list();
    let free = price.input == 0.0 && price.output == 0.0;
    free.then(|| {
        let found = "0: it counts as free, and will be preferred wherever it satisfies";
        Check::warn(
            format!("price {}", model.name),
            found,
            "set models.price to what the machine costs, if it is not free",
        )
    })
}
