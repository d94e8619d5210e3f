//! Where models are to be had: hosted providers by their variables in the environment, local servers by their ports.

use std::time::Duration;

use slarouter_config::ModelProtocol;
use slarouter_gateway::doctor::{self, ListedModel};
use slarouter_gateway::keys::SecretString;

/// A list that takes longer is not waited for: its models may be named all the same.
const DEADLINE: Duration = Duration::from_secs(4);

/// The provider's name, the variable of its key, its protocol and base URL. None of them was asked: `doctor` finds out whether one answers.
const HOSTED: [(&str, &str, &str, &str); 9] = [
    ("openai", "OPENAI_API_KEY", OPENAI_CHAT, "https://api.openai.com/v1"),
    ("anthropic", "ANTHROPIC_API_KEY", "anthropic", "https://api.anthropic.com/v1"),
    ("gemini", "GEMINI_API_KEY", "gemini-openai", "https://generativelanguage.googleapis.com/v1beta/openai"),
    ("openrouter", "OPENROUTER_API_KEY", OPENAI_CHAT, "https://openrouter.ai/api/v1"),
    ("groq", "GROQ_API_KEY", OPENAI_CHAT, "https://api.groq.com/openai/v1"),
    ("mistral", "MISTRAL_API_KEY", OPENAI_CHAT, "https://api.mistral.ai/v1"),
    ("deepseek", "DEEPSEEK_API_KEY", OPENAI_CHAT, "https://api.deepseek.com"),
    ("together", "TOGETHER_API_KEY", OPENAI_CHAT, "https://api.together.xyz/v1"),
    ("xai", "XAI_API_KEY", OPENAI_CHAT, "https://api.x.ai/v1"),
];
/// Servers that people run themselves, and the port that each takes by default.
const LOCAL: [(&str, u16); 4] = [("ollama", 11434), ("vllm", 8000), ("lmstudio", 1234), ("llamacpp", 8080)];
/// The protocol that a model has where the configuration does not say.
pub(super) const OPENAI_CHAT: &str = "openai-chat";

/// A place with models.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) base_url: String,
    /// The configuration's word for it.
    pub(super) protocol: &'static str,
    /// The variable that has its key.
    pub(super) variable: Option<String>,
    /// On this machine, so that nobody sends a bill.
    pub(super) local: bool,
    /// Whether it may not be there: it was guessed by its port.
    guessed: bool,
}

/// A provider and what it lists; or why it does not, in which case its models have to be named.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) provider: Provider,
    pub(super) listed: Result<Vec<ListedModel>, String>,
}

// === impl Provider ===

impl Provider {
    /// The same, named by the user and so no guess.
    pub(super) fn certain(self) -> Self {
        Self { guessed: false, ..self }
    }
}

/// All that may be there: those of `servers` (names and base URLs), those whose variable is set, and the usual ports.
pub(super) fn providers(servers: &[(String, String)], env: &dyn Fn(&str) -> Option<String>) -> Vec<Provider> {
    let set = |variable: String| env(&variable).filter(|key| !key.is_empty()).map(|_| variable);
    let own = servers.iter().map(|(name, base_url)| Provider {
        name: name.clone(),
        base_url: base_url.clone(),
        protocol: OPENAI_CHAT,
        variable: set(format!("{}_API_KEY", name.to_ascii_uppercase().replace('-', "_"))),
        local: is_loopback(base_url),
        guessed: false,
    });
    let hosted = HOSTED.into_iter().filter_map(|(name, variable, protocol, base_url)| {
        let variable = Some(set(variable.to_owned())?);
        // As OpenAI's own SDKs read it; other providers' variables of this kind are without /v1.
        let elsewhere = env("OPENAI_BASE_URL").filter(|url| name == "openai" && url.starts_with("http"));
        Some(Provider {
            name: name.into(),
            base_url: elsewhere.unwrap_or_else(|| base_url.into()),
            protocol,
            variable,
            local: false,
            guessed: false,
        })
    });
    let local = LOCAL.into_iter().map(|(name, port)| Provider {
        name: name.to_owned(),
        base_url: format!("http://127.0.0.1:{port}/v1"),
        protocol: OPENAI_CHAT,
        variable: None,
        local: true,
        guessed: true,
    });
    let all: Vec<Provider> = own.chain(hosted).chain(local).collect();
    // What is named by the user stands first, and takes the place of a guess.
    let first = |provider: &Provider| all.iter().position(|other| other.name == provider.name);
    (0..)
        .zip(&all)
        .filter(|(place, provider)| first(provider) == Some(*place))
        .map(|(_, found)| found.clone())
        .collect()
}

/// Asks all of them at once for their lists. Those that were guessed and are not there are left out, and so is a gateway of this kind.
pub(super) async fn look(providers: Vec<Provider>, env: &dyn Fn(&str) -> Option<String>) -> Vec<Found> {
    let key = |provider: &Provider| Some(SecretString::from(env(provider.variable.as_deref()?)?));
    let keys: Vec<Option<SecretString>> = providers.iter().map(key).collect();
    let asked: Vec<_> = providers
        .iter()
        .zip(&keys)
        .map(|(provider, key)| doctor::Provider {
            base_url: &provider.base_url,
            api_key: key.as_ref(),
            protocol: ModelProtocol::parse(provider.protocol).unwrap_or_default(),
        })
        .collect();
    let lists = doctor::list_models(&asked, DEADLINE).await;
    let found = providers.into_iter().zip(lists).map(|(provider, list)| Found { provider, listed: list.map(usable) });
    found.filter(is_there).collect()
}

fn is_there(found: &Found) -> bool {
    let listed = found.listed.as_deref();
    // A route of a gateway like this one is not a model.
    !(found.provider.guessed && listed.map_or(true, |models| models.iter().any(|model| model.id == "auto")))
}

/// The models whose names the configuration can have, each once, without the folder that Gemini puts before each.
fn usable(models: Vec<ListedModel>) -> Vec<ListedModel> {
    let printable = |model: &ListedModel| !model.id.is_empty() && model.id.bytes().all(|byte| byte.is_ascii_graphic());
    let named = |model: ListedModel| match model.id.strip_prefix("models/") {
        Some(id) => ListedModel { id: id.to_owned(), ..model },
        None => model,
    };
    let mut once: Vec<ListedModel> = Vec::new();
    for model in models.into_iter().map(named).filter(printable) {
        if !once.iter().any(|other| other.id == model.id) {
            once.push(model);
        }
    }
    once
}

/// Whether the URL's host is this machine.
fn is_loopback(base_url: &str) -> bool {
    let authority = base_url.split_once("://").map_or(base_url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|host| authority.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')))
}

/// Where providers are looked for, for those who have none.
pub(super) fn places() -> String {
    let variables: Vec<_> = HOSTED.iter().map(|(_, variable, ..)| *variable).collect();
    let ports: Vec<_> = LOCAL.iter().map(|(name, port)| format!("{port} ({name})")).collect();
    format!("set one of {}, or start a server on port {} of this machine", variables.join(", "), ports.join(", "))
}

/// The variable that a hosted provider needs.
pub(super) fn variable_of(name: &str) -> Option<&'static str> {
    HOSTED.iter().find(|(hosted, ..)| *hosted == name).map(|(_, variable, ..)| *variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(ids: &[&str]) -> Result<Vec<ListedModel>, String> {
        Ok(ids.iter().map(|id| ListedModel { id: (*id).to_owned(), price: None }).collect())
    }

    #[test]
    fn hosted_providers_are_those_whose_variable_is_set() {
        let env = |name: &str| match name {
            "MISTRAL_API_KEY" | "MY_LAB_API_KEY" => Some("sk".to_owned()),
            "OPENAI_API_KEY" => Some(String::new()),
            _ => None,
        };
        let at = |name: &str| match name {
            "OPENAI_API_KEY" => Some("sk".to_owned()),
            "OPENAI_BASE_URL" => Some("http://127.0.0.1:7/v1".to_owned()),
            _ => None,
        };
        let openai = providers(&[], &at).remove(0);
        assert_eq!(
            (&*openai.base_url, openai.local),
            ("http://127.0.0.1:7/v1", false),
            "a proxy's prices are the provider's"
        );
        let own =
            [("my-lab".to_owned(), "http://10.0.0.5:8000/v1".to_owned()), ("vllm".into(), "http://[::1]:9/v1".into())];
        let found = providers(&own, &env);
        let names: Vec<_> = found.iter().map(|provider| (&*provider.name, provider.local)).collect();
        assert_eq!(
            names,
            [
                ("my-lab", false),
                ("vllm", true),
                ("mistral", false),
                ("ollama", true),
                ("lmstudio", true),
                ("llamacpp", true)
            ]
        );
        assert_eq!(found[0].variable.as_deref(), Some("MY_LAB_API_KEY"));
        assert_eq!((&*found[1].base_url, found[1].guessed), ("http://[::1]:9/v1", false), "the user's own wins");
    }

    #[test]
    fn every_hosted_provider_speaks_a_protocol_of_the_configuration() {
        for (name, variable, protocol, base_url) in HOSTED {
            assert!(ModelProtocol::parse(protocol).is_some() && base_url.starts_with("https://"), "{name}");
            assert_eq!(variable, format!("{}_API_KEY", name.to_ascii_uppercase()));
        }
    }

    #[test]
    fn loopback_is_this_machine_and_nothing_that_looks_like_it() {
        for (url, expected) in [
            ("http://127.0.0.1:8000/v1", true),
            ("http://localhost/v1", true),
            ("http://[::1]:8000/v1", true),
            ("https://localhost.example/v1", false),
            ("https://127.0.0.1.example:8000/v1", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }

    #[test]
    fn what_is_guessed_and_not_there_is_left_out_and_so_is_a_gateway() {
        let provider = |guessed| Provider { guessed, ..providers(&[], &|_| None).remove(0) };
        let found = |guessed, listed| is_there(&Found { provider: provider(guessed), listed });
        assert!(found(true, listed(&["llama"])));
        assert!(!found(true, Err("nothing accepts connections".to_owned())));
        assert!(!found(true, listed(&["auto", "small"])), "our own gateway may listen on that port");
        assert!(found(false, Err("refuses the key".to_owned())) && found(false, listed(&["auto"])));
    }

    #[test]
    fn names_that_no_configuration_can_have_are_left_out() {
        let models = usable(
            listed(&["models/gemini-x", "gemini-x", "a b", "", "\u{1b}[2J", "größe", "a\"b", "models/"]).unwrap(),
        );
        let ids: Vec<_> = models.iter().map(|model| &*model.id).collect();
        assert_eq!(ids, ["gemini-x", "a\"b"]);
    }
}
