//! Each provider: can it be reached, does it take the key, does it know the model. Asks for the list of models, which costs nothing.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use futures_util::future::join_all;
use http::{StatusCode, header};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use slarouter_config::{Config, EncoderConfig, Model};
use slarouter_core::Timestamp;
use slarouter_protocol::ModelProtocol;
use slarouter_protocol::messages;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::check::{ASK_TIMEOUT, Check, Dated};
use crate::clock::Clock;
use crate::upstream::{ANTHROPIC_VERSION, causes, client};

/// Longest list of models that is read.
const LONGEST: usize = 8 << 20;

/// One provider, asked once however many models it has.
struct Provider<'a> {
    base_url: &'a str,
    api_key: Option<&'a SecretString>,
    protocol: ModelProtocol,
}

/// What became of asking.
enum Listing {
    /// It lists these models.
    Listed(Vec<String>),
    /// It answered with this status, or with no list.
    Status(StatusCode),
    /// There was no answer: what was found, and how to mend it.
    Nothing(String, String),
}

#[derive(Deserialize)]
struct List {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
}

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
        (models.iter().map(|model| check(model, &answer)).collect::<Vec<_>>(), dated)
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
        found.push(judge("embeddings".to_owned(), &remote.base_url, &remote.model, remote.api_key.is_some(), &answer));
    }
    found.extend(config.models.iter().filter_map(price));
    (found, dates.into_iter().flatten().collect())
}

fn upstream(model: &Model) -> String {
    format!("upstream {}", model.name)
}

fn check(model: &Model, answer: &Listing) -> Check {
    judge(upstream(model), &model.base_url, &model.upstream_model, model.api_key.is_some(), answer)
}

fn judge(name: String, base_url: &str, wanted: &str, has_key: bool, answer: &Listing) -> Check {
    match answer {
        Listing::Listed(models) => {
            // Gemini's names have a folder before them.
            let known = models.iter().any(|model| model == wanted || model.strip_prefix("models/") == Some(wanted));
            if known || models.is_empty() {
                Check::ok(name, format!("{base_url} takes the key and knows {wanted}"))
            } else {
                let found = format!("{base_url} does not list {wanted:?} among its {} models", models.len());
                Check::warn(
                    name,
                    found,
                    "set models.upstream_model to a name of its own, or see that it is loaded there",
                )
            }
        }
        Listing::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) if has_key => {
            Check::fail(name, format!("{base_url} refuses the key"), "set models.api_key to a key that is valid there")
        }
        Listing::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Check::fail(name, format!("{base_url} wants a key"), "set models.api_key")
        }
        Listing::Status(status @ (StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)) => {
            let found = format!("{base_url} is there and has no list of models ({})", status.as_u16());
            Check::warn(name, found, "see that base_url ends where its documentation says, usually in /v1")
        }
        Listing::Status(StatusCode::TOO_MANY_REQUESTS) => {
            Check::warn(name, format!("{base_url} is over its limit (429)"), "see your quota there")
        }
        Listing::Status(status) if status.is_redirection() => {
            let mend = "set base_url to where it sends you: the gateway follows no redirects";
            Check::fail(name, format!("{base_url} sends elsewhere ({})", status.as_u16()), mend)
        }
        Listing::Status(status) if status.is_success() => {
            let found = format!("{base_url} answers with no list of models");
            Check::warn(name, found, "see that base_url is that of the API, usually ending in /v1")
        }
        Listing::Status(status) => {
            let (found, mend) = (format!("{base_url} answers {}", status.as_u16()), "see its logs or its status page");
            if status.is_server_error() { Check::fail(name, found, mend) } else { Check::warn(name, found, mend) }
        }
        Listing::Nothing(found, mend) => Check::fail(name, found, mend),
    }
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

impl Provider<'_> {
    async fn ask(&self, client: &reqwest::Client) -> (Listing, Option<Dated>) {
        let url = format!("{}/models", self.base_url.trim_end_matches('/'));
        let mut request = client.get(url);
        if let Some(key) = self.api_key {
            request = match self.protocol {
                ModelProtocol::Anthropic => request.header("x-api-key", key.expose_secret()),
                _ => request.bearer_auth(key.expose_secret()),
            };
        }
        if self.protocol == ModelProtocol::Anthropic {
            request = request.header(ANTHROPIC_VERSION, messages::VERSION);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return (self.why(&error).await, None),
        };
        let at = Clock::default().now();
        let host = Url::parse(self.base_url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let date = response.headers().get(header::DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok()?.duration_since(UNIX_EPOCH).ok());
        let dated = date.map(|date| Dated { host, said: Timestamp(date.as_millis() as u64), at });
        let status = response.status();
        if !status.is_success() {
            return (Listing::Status(status), dated);
        }
        let listed = list(response).await;
        let answer = listed.map_or(Listing::Status(status), |list| {
            Listing::Listed(list.data.into_iter().map(|entry| entry.id).collect())
        });
        (answer, dated)
    }

    /// Where on its way the call failed. The call itself knows of proxies; these questions are asked only after it has failed.
    async fn why(&self, error: &reqwest::Error) -> Listing {
        let base = self.base_url;
        let nothing = |found: String, mend: &str| Listing::Nothing(found, mend.to_owned());
        let Some((host, port)) =
            Url::parse(base).ok().and_then(|url| Some((url.host_str()?.to_owned(), url.port_or_known_default()?)))
        else {
            return nothing(format!("{base} is no address"), "mend base_url");
        };
        if !error.is_connect() {
            let what = if error.is_timeout() { "it is silent".to_owned() } else { causes(error) };
            return nothing(format!("{base} gives no answer: {what}"), "see that it speaks HTTP there, and its logs");
        }
        // A literal IPv6 address stands in brackets in a URL only.
        let name = host.trim_matches(['[', ']']);
        let addresses: Vec<_> = match timeout(ASK_TIMEOUT, lookup_host((name, port))).await {
            Ok(Ok(addresses)) => addresses.collect(),
            _ => Vec::new(),
        };
        if addresses.is_empty() {
            return nothing(format!("the name {host} is not known here"), "mend the host in base_url, or DNS");
        }
        match timeout(ASK_TIMEOUT, TcpStream::connect(&*addresses)).await {
            Ok(Ok(_)) => nothing(
                format!("{base}: something listens there, and the connection fails: {}", causes(error)),
                "see http or https in base_url, and that this system trusts the authority of its certificate",
            ),
            Ok(Err(refused)) => nothing(
                format!("nothing accepts connections at {host}:{port}: {refused}"),
                "start it, or mend the host and port of base_url, or the firewall",
            ),
            Err(_) => nothing(format!("{host}:{port} is silent"), "see the route and firewalls on the way there"),
        }
    }
}

/// `None` for what is no list, or too long a one.
async fn list(mut response: reqwest::Response) -> Option<List> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > LONGEST {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).ok()
}
