//! What is known of the usual models and servers: `data/models.toml`, part of the program.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use slarouter_protocol::dialect::Dialect;
use url::Url;

use crate::takes::{Takes, reads, writes};

const DATA: &str = include_str!("../data/models.toml");

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    /// When all of it was looked up last, as `YYYY-MM-DD`.
    #[cfg_attr(not(test), expect(dead_code, reason = "for those who keep the file"))]
    as_of: String,
    /// Where that stands, by the names that entries refer to.
    #[cfg_attr(not(test), expect(dead_code, reason = "for those who keep the file"))]
    sources: BTreeMap<String, String>,
    servers: Vec<Server>,
    models: Vec<Model>,
}

/// A server, or all below a domain, that knows some words of OpenAI's and not others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    host: String,
    developer_role: Option<bool>,
    max_completion_tokens: Option<bool>,
    #[cfg_attr(not(test), expect(dead_code, reason = "for those who keep the file"))]
    source: String,
}

/// Models of these names, and their versions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    names: Vec<String>,
    /// The server that they are known at, if what others run under the name may differ.
    host: Option<String>,
    context_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input: Option<Vec<String>>,
    output: Option<Vec<String>>,
    tools: Option<bool>,
    schema: Option<bool>,
    reasoning: Option<bool>,
    #[cfg_attr(not(test), expect(dead_code, reason = "for those who keep the file"))]
    source: String,
}

static KNOWN: LazyLock<Data> = LazyLock::new(|| toml::from_str(DATA).unwrap_or_default());

/// What is known of the provider's model at this base URL.
pub(crate) fn takes(base_url: &str, upstream_model: &str) -> Takes {
    let host =
        Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_ascii_lowercase)).unwrap_or_default();
    let is_at = |place: &str| host == place || host.strip_suffix(place).is_some_and(|rest| rest.ends_with('.'));
    let name = upstream_model.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let here = KNOWN.models.iter().filter(|model| model.host.as_deref().is_none_or(is_at));
    let fits =
        here.flat_map(|model| model.names.iter().filter(|held| is_version(&name, held)).map(move |held| (held, model)));
    let model = fits.max_by_key(|(held, _)| held.len()).map(|(_, model)| model.takes()).unwrap_or_default();
    let server = KNOWN.servers.iter().find(|server| is_at(&server.host));
    let dialect = server.map(|server| Dialect {
        developer_role: server.developer_role,
        max_completion_tokens: server.max_completion_tokens,
    });
    Takes { dialect: dialect.unwrap_or_default(), ..model }
}

/// Whether a name is this one, or that of a version of it.
fn is_version(name: &str, of: &str) -> bool {
    name.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '@', ':']))
}

impl Model {
    fn takes(&self) -> Takes {
        let all = |words: &Option<Vec<String>>, read: fn(&str) -> Option<Option<slarouter_protocol::needs::Need>>| {
            words.as_ref().map(|words| words.iter().filter_map(|word| read(word).flatten()).collect())
        };
        Takes {
            context_tokens: self.context_tokens,
            output_tokens: self.output_tokens,
            input: all(&self.input, reads),
            output: all(&self.output, writes),
            tools: self.tools,
            schema: self.schema,
            reasoning: self.reasoning,
            dialect: Dialect::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use slarouter_protocol::needs::Need;

    use super::*;

    #[test]
    fn the_file_has_its_form() {
        let data: Data = toml::from_str(DATA).unwrap();
        let as_of: toml::value::Datetime = data.as_of.parse().unwrap();
        assert!(as_of.time.is_none() && as_of.date.unwrap().year >= 2026, "{}", data.as_of);
        let words = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
        let mut names = Vec::new();
        for model in &data.models {
            let who = &model.names;
            assert!(data.sources.contains_key(&model.source), "{who:?} names no source of the file");
            assert!(words(&model.input).iter().all(|word| reads(word).is_some()), "{who:?}");
            assert!(words(&model.output).iter().all(|word| writes(word).is_some()), "{who:?}");
            assert!(model.context_tokens.is_none_or(|tokens| (1_024..=20_000_000).contains(&tokens)), "{who:?}");
            assert!(model.output_tokens.is_none_or(|most| most <= model.context_tokens.unwrap_or(most)), "{who:?}");
            for name in who {
                assert!(!name.is_empty() && *name == name.to_ascii_lowercase() && !name.contains('/'), "{name}");
                names.push((name.clone(), model.host.clone()));
            }
        }
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "a name stands there twice");
        assert!(data.servers.iter().all(|server| data.sources.contains_key(&server.source)));
        let used = |name: &String| {
            data.models.iter().any(|model| model.source == *name)
                || data.servers.iter().any(|server| server.source == *name)
        };
        assert!(data.sources.iter().all(|(name, url)| url.starts_with("https://") && used(name)));
    }

    #[test]
    fn a_version_is_known_by_the_longest_name_that_it_goes_on_from() {
        let context = |model: &str| takes("https://api.openai.com/v1", model).context_tokens;
        assert_eq!(context("gpt-4o-2024-08-06"), Some(128_000));
        assert_eq!(context("openai/GPT-4o"), Some(128_000));
        assert_eq!(context("gpt-4.1-mini"), Some(1_047_576));
        let reasoning = ["gpt-4.1-mini", "gpt-5-mini"].map(|model| takes("https://h/v1", model).reasoning);
        assert_eq!(reasoning, [Some(false), None]);
        assert_eq!((context("gpt-4omega"), context("a-new-one")), (None, None));
        let small = takes("http://localhost:8000/v1", "claude-haiku-4-5-20251001");
        assert_eq!(small.lacks(&[Need::Audio, Need::Image]), Some(Need::Audio));
    }

    #[test]
    fn what_servers_call_things_goes_by_their_host() {
        let newer = |url: &str| takes(url, "x").dialect.max_completion_tokens;
        assert_eq!(newer("https://api.openai.com/v1"), Some(true));
        assert_eq!(newer("https://eu.api.openai.com/v1"), Some(true));
        assert_eq!(newer("https://api.mistral.ai/v1"), Some(false));
        assert_eq!(newer("https://api.mistral.ai.example/v1"), None);
        assert_eq!(newer("http://127.0.0.1:8000/v1"), None);
        // Others run models of the same name with other limits.
        assert_eq!(takes("https://api.deepseek.com", "deepseek-v4-pro").context_tokens, Some(1_000_000));
        assert_eq!(takes("http://127.0.0.1:8000/v1", "deepseek-v4-pro").context_tokens, None);
    }
}
