//! Whose key is missing, in the words of who wrote the file.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Every key that must be there: what it belongs to, its name, and how it may be written.
pub(super) const REQUIRED: [(&str, &str, &str); 21] = [
    ("model", "name", "name = \"small\", what requests and routes call it"),
    ("model", "base_url", "base_url = \"https://api.openai.com/v1\""),
    ("model", "price", "price = { input = 0.15, output = 0.6 }, in USD per million tokens, or price = \"unknown\""),
    ("price", "input", "input = 0.15, in USD per million tokens"),
    ("price", "output", "output = 0.6, in USD per million tokens"),
    ("long", "above", "above = 200000, the tokens of a question beyond which these prices count"),
    ("long", "input", "input = 2.5, in USD per million tokens"),
    ("long", "output", "output = 15, in USD per million tokens"),
    ("health_check", "path", "path = \"/health\""),
    ("route", "models", "models = [\"small\", \"large\"], names of [[models]]"),
    ("route", "sla", "sla = { satisfaction = 0.9 }"),
    ("sla", "satisfaction", "satisfaction = 0.9, the share of answers that must satisfy"),
    ("key", "name", "name = \"web\", under which its limits are counted"),
    ("key", "key", "key = \"${WEB_KEY}\", of 16 characters at least"),
    ("key", "scopes", "scopes = [\"inference\", \"feedback\"]"),
    ("alert", "url", "url = \"${ALERT_URL}\", what takes alerts by POST"),
    ("tls", "cert", "cert = \"cert.pem\", the chain of certificates"),
    ("tls", "key", "key = \"key.pem\", the private key"),
    ("hedge", "quantile", "quantile = 0.95"),
    ("judge", "model", "model = \"large\", one of [[models]]"),
    ("judge", "usd_per_day", "usd_per_day = 5, what its verdicts may cost in a day"),
];

/// A step on the way to a table.
#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a str),
    /// An item of a list, with the name that it has itself.
    Item(Option<&'a str>),
}

/// Says that `key` is missing in the table at `at`; `None` for a key or a table that is not known here.
pub(super) fn told(table: &DeTable<'_>, at: &Range<usize>, key: &str) -> Option<String> {
    let mut found = Vec::new();
    walk(table, at, &mut Vec::new(), &mut found);
    // Tables within each other begin at one place where the outer one has no header of its own.
    found.iter().find_map(|(whose, kind)| {
        let (_, _, written) = REQUIRED.iter().find(|(held, name, _)| held == kind && *name == key)?;
        Some(format!("{whose} has no `{key}`: write {written}"))
    })
}

/// Finds the tables at `at`, the innermost first: in words, and what they are.
fn walk<'a>(table: &'a DeTable<'_>, at: &Range<usize>, path: &mut Vec<Step<'a>>, found: &mut Vec<(String, &'a str)>) {
    for (key, value) in table {
        path.push(Step::Key(key.get_ref()));
        visit(value.get_ref(), &value.span(), at, path, found);
        path.pop();
    }
}

fn visit<'a>(
    value: &'a DeValue<'_>,
    place: &Range<usize>,
    at: &Range<usize>,
    path: &mut Vec<Step<'a>>,
    found: &mut Vec<(String, &'a str)>,
) {
    match value {
        DeValue::Table(table) => {
            walk(table, at, path, found);
            if place == at {
                found.extend(words(path));
            }
        }
        DeValue::Array(items) => {
            for item in items.iter() {
                path.push(Step::Item(own_name(item.get_ref())));
                visit(item.get_ref(), &item.span(), at, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

fn own_name<'a>(value: &'a DeValue<'_>) -> Option<&'a str> {
    let DeValue::Table(table) = value else { return None };
    match table.get("name")?.get_ref() {
        DeValue::String(name) => Some(name),
        _ => None,
    }
}

fn words<'a>(path: &[Step<'a>]) -> Option<(String, &'a str)> {
    use Step::{Item, Key};
    let named = |what: &str, name: &Option<&str>| match name {
        Some(name) => format!("the {what} {name:?}"),
        None => format!("this {what}"),
    };
    let (whose, kind, rest) = match path {
        [Key("models"), Item(name), rest @ ..] => (named("model", name), "model", rest),
        [Key("keys"), Item(name), rest @ ..] => (named("key", name), "key", rest),
        [Key("alerts"), Item(name), rest @ ..] => (named("alert", name), "alert", rest),
        [Key("routes"), Key(route), Key("tenants"), Key(tenant), rest @ ..] => {
            (format!("the tenant {tenant:?} of the route {route:?}"), "tenant", rest)
        }
        [Key("routes"), Key(route), rest @ ..] => (format!("the route {route:?}"), "route", rest),
        [Key(section), Key(table)] => return Some((format!("{section}.{table}"), table)),
        _ => return None,
    };
    let key = |step: &Step<'a>| if let Key(key) = step { Some(*key) } else { None };
    match rest.iter().rev().find_map(key) {
        Some(inner) => Some((format!("the `{inner}` of {whose}"), inner)),
        None => rest.is_empty().then_some((whose, kind)),
    }
}
