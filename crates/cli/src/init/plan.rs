//! What was chosen, and the configuration that says it.

use std::net::SocketAddr;

use slarouter_core::Price;
use slarouter_core::policy::Window;

use super::providers::{OPENAI_CHAT, Provider};

/// A model of the route.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chosen {
    /// Its name in the configuration.
    pub(super) name: String,
    /// Its provider's name for it.
    pub(super) id: String,
    pub(super) provider: Provider,
    /// `None` if nobody has told.
    pub(super) price: Option<Price>,
}

/// All that the configuration says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) listen: SocketAddr,
    pub(super) admin_listen: SocketAddr,
    pub(super) models: Vec<Chosen>,
    /// The place of the fallback among the models.
    pub(super) fallback: usize,
    pub(super) alpha: f64,
    pub(super) window: Window,
}

// === impl Plan ===

impl Plan {
    /// The file.
    pub(super) fn text(&self) -> String {
        let mut text = String::from(
            "# Made by `slarouter init`. docs/configuration.md explains every key, and has more of them;\n\
             # `slarouter check` says what is wrong after a change.\n\n",
        );
        let server = [
            (
                format!("listen = \"{}\"", self.listen),
                "where clients ask; on any other address than a loopback one it needs keys",
            ),
            (format!("admin_listen = \"{}\"", self.admin_listen), "the dashboard, and /metrics"),
        ];
        table(&mut text, "[server]", "", &server);
        let store = (
            r#"url = "sqlite://slarouter.db""#.to_owned(),
            "decisions and ratings, from which it learns; made at the first start",
        );
        table(&mut text, "[store]", "", &[store]);
        for model in &self.models {
            table(&mut text, "[[models]]", "", &model.lines());
        }
        table(&mut text, "[routes.default]", "what clients ask for as model \"auto\"", &self.route());
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    fn route(&self) -> [(String, &'static str); 3] {
        let names: Vec<_> = self.models.iter().map(|model| quoted(&model.name)).collect();
        let (fallback, alpha, window) = (quoted(&self.models[self.fallback].name), self.alpha, self.window);
        [
            (format!("models = [{}]", names.join(", ")), "the models to choose from"),
            (format!("fallback = {fallback}"), "answers until ratings show that a cheaper one is good enough"),
            (
                format!("sla = {{ satisfaction = {alpha:?}, window = \"{window}\" }}"),
                "the share of answers that must satisfy, and of which answers",
            ),
        ]
    }

    /// Why little or nothing will be saved with this, if that can be seen beforehand.
    pub(super) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        let unknown: Vec<_> =
            self.models.iter().filter(|model| model.price.is_none()).map(|model| &*model.name).collect();
        if !unknown.is_empty() {
            doubts.push(format!(
                "the price of {} is unknown: it counts as dear as the most expensive of the others, so that nothing is saved by it. Write \
                 its price into the file once you know it (docs/prices.md)",
                unknown.join(", ")
            ));
        }
        let fallback = &self.models[self.fallback];
        if !self.models.iter().any(|model| self.is_cheaper(model, fallback)) {
            doubts.push(format!(
                "no model costs less than {}, so there is nothing to save. If the others run on a machine of yours, give each the price of \
                 what it takes of that machine",
                fallback.name
            ));
        }
        doubts
    }

    /// Whether a kind of tokens costs less; an unknown price is the highest of the known ones.
    fn is_cheaper(&self, model: &Chosen, than: &Chosen) -> bool {
        let known = |kind: fn(&Price) -> f64| self.models.iter().filter_map(|model| model.price.as_ref()).map(kind);
        let most = Price {
            input: known(|price| price.input).fold(0.0, f64::max),
            output: known(|price| price.output).fold(0.0, f64::max),
        };
        let (model, than) = (model.price.unwrap_or(most), than.price.unwrap_or(most));
        model.input < than.input || model.output < than.output
    }
}

// === impl Chosen ===

impl Chosen {
    fn lines(&self) -> Vec<(String, &'static str)> {
        let Provider { base_url, protocol, variable, .. } = &self.provider;
        let mut lines = vec![(format!("name = {}", quoted(&self.name)), "your name for it")];
        if self.id != self.name {
            lines.push((format!("upstream_model = {}", quoted(&self.id)), "the provider's"));
        }
        if *protocol != OPENAI_CHAT {
            lines.push((format!("protocol = \"{protocol}\""), ""));
        }
        lines.push((format!("base_url = {}", quoted(base_url)), ""));
        if let Some(variable) = variable {
            lines.push((format!("api_key = \"${{{variable}}}\""), "taken from the environment at the start"));
        }
        lines.push(match self.price {
            Some(Price { input, output }) => {
                (format!("price = {{ input = {input:?}, output = {output:?} }}"), "USD per million tokens")
            }
            None => ("price = \"unknown\"".to_owned(), "taken to be as dear as the most expensive of the others"),
        });
        lines
    }
}

/// A table with its keys, each with what it is for, in a column.
fn table(text: &mut String, head: &str, note: &str, lines: &[(String, &str)]) {
    let head = (head.to_owned(), note);
    let width = lines.iter().map(|(line, _)| line.len()).max().unwrap_or_default();
    for (line, note) in std::iter::once(&head).chain(lines) {
        match *note {
            "" => text.push_str(line),
            note => text.push_str(&format!("{line:width$}  # {note}")),
        }
        text.push('\n');
    }
    text.push('\n');
}

/// A string of TOML. Names are printable ASCII, for which Rust escapes as TOML does; `${` would be a variable.
fn quoted(text: &str) -> String {
    format!("{:?}", text.replace("${", "$${"))
}

#[cfg(test)]
mod tests {
    use slarouter_config::{Config, DEFAULT_WINDOW};
    use slarouter_core::Timestamp;

    use super::*;
    use crate::init::providers::providers;

    const FILE: &str = r##"# Made by `slarouter init`. docs/configuration.md explains every key, and has more of them;
# `slarouter check` says what is wrong after a change.

[server]
listen = "127.0.0.1:8080"        # where clients ask; on any other address than a loopback one it needs keys
admin_listen = "127.0.0.1:9090"  # the dashboard, and /metrics

[store]
url = "sqlite://slarouter.db"  # decisions and ratings, from which it learns; made at the first start

[[models]]
name = "gpt-4o-mini"                    # your name for it
base_url = "https://api.openai.com/v1"
api_key = "${OPENAI_API_KEY}"           # taken from the environment at the start
price = { input = 0.15, output = 0.6 }  # USD per million tokens

[[models]]
name = "anthropic/claude"                  # your name for it
upstream_model = "claude"                  # the provider's
protocol = "anthropic"
base_url = "https://api.anthropic.com/v1"
api_key = "${ANTHROPIC_API_KEY}"           # taken from the environment at the start
price = "unknown"                          # taken to be as dear as the most expensive of the others

[routes.default]                                         # what clients ask for as model "auto"
models = ["gpt-4o-mini", "anthropic/claude"]             # the models to choose from
fallback = "anthropic/claude"                            # answers until ratings show that a cheaper one is good enough
sla = { satisfaction = 0.9, window = "20000 requests" }  # the share of answers that must satisfy, and of which answers
"##;
    const KEYS: [&str; 2] = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"];

    fn env(name: &str) -> Option<String> {
        KEYS.contains(&name).then(|| "sk-secret".to_owned())
    }

    fn chosen(provider: &str, id: &str, price: Option<(f64, f64)>) -> Chosen {
        let provider = providers(&[], &env).into_iter().find(|found| found.name == provider).unwrap();
        let price = price.map(|(input, output)| Price { input, output });
        Chosen { name: id.to_owned(), id: id.to_owned(), provider, price }
    }

    fn plan(models: Vec<Chosen>, fallback: usize) -> Plan {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Plan { listen: at(8080), admin_listen: at(9090), models, fallback, alpha: 0.9, window: DEFAULT_WINDOW }
    }

    #[test]
    fn the_file_says_what_was_chosen_and_passes() {
        let small = chosen("openai", "gpt-4o-mini", Some((0.15, 0.6)));
        let large = Chosen { name: "anthropic/claude".to_owned(), ..chosen("anthropic", "claude", None) };
        let text = plan(vec![small, large], 1).text();
        assert_eq!(text, FILE);
        let config = Config::parse(&text, &env).unwrap();
        assert_eq!((config.models.len(), config.routes.len()), (2, 1));
        assert!(!text.contains("sk-secret"), "keys stay in the environment");
    }

    #[test]
    fn names_of_any_kind_survive_the_file() {
        let odd = ["a\"b\\c", "${HOME}", "$${x}", "'#=[]"];
        let models = odd.iter().map(|id| chosen("ollama", id, Some((0.0, 1e-7)))).collect();
        let config = Config::parse(&plan(models, 0).text(), &|_| None).unwrap();
        let names: Vec<_> = config.models.iter().map(|model| &*model.name).collect();
        assert_eq!(names, odd);
        assert_eq!(config.models[0].prices.at(Timestamp(0)).list(), Price { input: 0.0, output: 1e-7 });
    }

    #[test]
    fn what_cannot_save_is_said() {
        let known = |price| chosen("ollama", "a", Some(price));
        let unknown = || Chosen { name: "x".to_owned(), ..chosen("openai", "x", None) };
        for (models, fallback, said) in [
            (vec![known((0.1, 0.4)), known((1.0, 4.0))], 1, &[][..]),
            (vec![known((0.1, 0.4)), known((1.0, 4.0))], 0, &["no model costs less than a"][..]),
            (vec![known((0.0, 0.0)), known((0.0, 0.0))], 1, &["no model costs less"]),
            (vec![known((1.0, 4.0))], 0, &["no model costs less"]),
            (vec![known((2.0, 3.0)), known((1.0, 4.0))], 1, &[]),
            (vec![known((0.1, 0.4)), known((1.0, 4.0)), unknown()], 2, &["the price of x is unknown"]),
            (vec![known((0.1, 0.4)), unknown()], 1, &["the price of x is unknown", "no model costs less than x"]),
        ] {
            let doubts = plan(models.clone(), fallback).doubts();
            assert_eq!(doubts.len(), said.len(), "{models:?}: {doubts:?}");
            assert!(doubts.iter().zip(said).all(|(doubt, said)| doubt.starts_with(said)), "{doubts:?}");
        }
    }
}
