//! Which models a provider lists. Asking for the list costs nothing.

use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::join_all;
use http::{StatusCode, header};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use slarouter_core::{Price, Timestamp};
use slarouter_protocol::{ModelProtocol, messages};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::check::{ASK_TIMEOUT, Check, Dated};
use crate::clock::Clock;
use crate::upstream::{ANTHROPIC_VERSION, causes, client};

/// Longest list of models that is read.
const LONGEST: usize = 8 << 20;

/// One provider, asked once however many models it has.
#[derive(Clone, Debug)]
pub struct Provider<'a> {
    /// As in the configuration.
    pub base_url: &'a str,
    /// As in the configuration.
    pub api_key: Option<&'a SecretString>,
    /// In which header the key is sent goes by it.
    pub protocol: ModelProtocol,
}

/// A model of a provider's list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedModel {
    /// The provider's name for it.
    pub id: String,
    /// Its price, where the list has it in the form of OpenRouter.
    pub price: Option<Price>,
}

/// What became of asking.
pub(super) enum Listing {
    /// It lists these models.
    Listed(Vec<ListedModel>),
    /// It answered with this status, or with no list.
    Status(StatusCode),
    /// There was no answer: what was found, and how to mend it.
    Nothing(String, String),
}

/// The models of each, or what was found in the place of a list. All are asked at once and have this long to answer; finding out why
/// there was no connection takes up to 10 s more.
pub async fn list_models(providers: &[Provider<'_>], deadline: Duration) -> Vec<Result<Vec<ListedModel>, String>> {
    let client = match client(deadline).timeout(deadline).build() {
        Ok(client) => client,
        Err(error) => return vec![Err(format!("no HTTP client: {}", causes(&error))); providers.len()],
    };
    let ask = async |provider: &Provider<'_>| match provider.ask(&client).await.0 {
        Listing::Listed(models) => Ok(models),
        answer => Err(provider.trouble(String::new(), &answer).found),
    };
    join_all(providers.iter().map(ask)).await
}

// === impl Provider ===

impl Provider<'_> {
    /// Asks for the list; with it comes what time it is there.
    pub(super) async fn ask(&self, client: &reqwest::Client) -> (Listing, Option<Dated>) {
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
        (list(response).await.map_or(Listing::Status(status), Listing::Listed), dated)
    }

    /// What it means that there is no list.
    pub(super) fn trouble(&self, name: String, answer: &Listing) -> Check {
        let base_url = self.base_url;
        let status = match answer {
            Listing::Listed(_) => return Check::ok(name, format!("{base_url} lists its models")),
            Listing::Nothing(found, mend) => return Check::fail(name, found, mend),
            Listing::Status(status) => *status,
        };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if self.api_key.is_some() => {
                let mend = "set models.api_key to a key that is valid there";
                Check::fail(name, format!("{base_url} refuses the key"), mend)
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Check::fail(name, format!("{base_url} wants a key"), "set models.api_key")
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                let found = format!("{base_url} is there and has no list of models ({})", status.as_u16());
                Check::warn(name, found, "see that base_url ends where its documentation says, usually in /v1")
            }
            StatusCode::TOO_MANY_REQUESTS => {
                Check::warn(name, format!("{base_url} is over its limit (429)"), "see your quota there")
            }
            status if status.is_redirection() => {
                let mend = "set base_url to where it sends you: the gateway follows no redirects";
                Check::fail(name, format!("{base_url} sends elsewhere ({})", status.as_u16()), mend)
            }
            status if status.is_success() => {
                let found = format!("{base_url} answers with no list of models");
                Check::warn(name, found, "see that base_url is that of the API, usually ending in /v1")
            }
            status => {
                let (found, mend) =
                    (format!("{base_url} answers {}", status.as_u16()), "see its logs or its status page");
                if status.is_server_error() { Check::fail(name, found, mend) } else { Check::warn(name, found, mend) }
            }
        }
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

/// OpenAI's form, and the bare array of Together.
#[derive(Deserialize)]
#[serde(untagged)]
enum List {
    Wrapped { data: Vec<Entry> },
    Bare(Vec<Entry>),
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    #[serde(default)]
    pricing: serde_json::Value,
}

/// `None` for what is no list, or too long a one.
async fn list(mut response: reqwest::Response) -> Option<Vec<ListedModel>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > LONGEST {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    let (List::Wrapped { data } | List::Bare(data)) = serde_json::from_slice(&body).ok()?;
    Some(data.into_iter().map(|Entry { id, pricing }| ListedModel { id, price: price(&pricing) }).collect())
}

/// OpenRouter's list has USD per token, as strings; below 0 stands for a price that goes by the model that will be chosen there.
fn price(pricing: &serde_json::Value) -> Option<Price> {
    let per_million = |kind: &str| {
        let per_token: f64 = pricing[kind].as_str()?.parse().ok()?;
        // To the millionth of a USD, as decimals do not survive a multiplication of floats.
        let rounded = (per_token * 1e12).round() / 1e6;
        (0.0..=1e6).contains(&rounded).then_some(rounded)
    };
    Some(Price { input: per_million("prompt")?, output: per_million("completion")? })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prices_of_a_list_are_those_of_openrouter_alone() {
        let usd = |input, output| Some(Price { input, output });
        for (pricing, expected) in [
            (json!({ "prompt": "0.00000015", "completion": "0.0000006" }), usd(0.15, 0.6)),
            (json!({ "prompt": "0", "completion": "0" }), usd(0.0, 0.0)),
            (json!({ "prompt": "-1", "completion": "-1" }), None),
            (json!({ "prompt": "NaN", "completion": "0" }), None),
            (json!({ "prompt": "0.9", "completion": "9" }), None),
            (json!({ "prompt": 0.15, "completion": 0.6 }), None),
            (json!({ "input": 0.15, "output": 0.6 }), None),
            (json!(null), None),
        ] {
            assert_eq!(price(&pricing), expected, "{pricing}");
        }
    }

    #[test]
    fn a_list_is_wrapped_or_bare() {
        for body in
            [r#"{"object": "list", "data": [{"id": "a", "pricing": 1}]}"#, r#"[{"id": "a", "object": "model"}]"#]
        {
            let (List::Wrapped { data } | List::Bare(data)) = serde_json::from_str(body).unwrap();
            assert_eq!(data.len(), 1, "{body}");
            assert_eq!(data[0].id, "a", "{body}");
        }
    }
}
