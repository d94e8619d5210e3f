//! The reference states the defaults that hold: each of them, written out, changes nothing.

use slarouter_config::Config;
use toml::{Table, Value};

const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// Every table that has defaults, with what it needs to be one.
const BASE: &str = r#"
[server]
[store]
[upstream]
hedge = { quantile = 0.9 }
[feedback]
token_secret = "0123456789abcdef0123456789abcdef"
checks = { run = ["empty"] }
judge = { model = "m", usd_per_day = 5 }
[features]
encoder = "remote"
base_url = "http://h/v1"
model = "e"
dim = 8
[telemetry]
endpoint = "http://h:4318"
[[alerts]]
url = "http://h"
[[models]]
name = "m"
base_url = "http://h/v1"
price = { input = 1, output = 2 }
health_check = { path = "/health" }
[routes.default]
models = ["m"]
sla = { satisfaction = 0.9 }
[routes.paper]
models = ["m"]
sla = { satisfaction = 0.9 }
policy = "slarouter"
slarouter = {}
"#;

/// The value that the cell of a default states; `None` where it says what else counts, or that there is none.
fn stated(cell: &str) -> Option<Value> {
    let (first, rest) = cell.split_once(' ').unwrap_or((cell, ""));
    if !rest.is_empty() && !rest.starts_with('(') {
        return None;
    }
    if let Some(word) = first.strip_prefix('`').and_then(|word| word.strip_suffix('`')) {
        let literal = word.parse::<Value>().ok();
        return Some(literal.unwrap_or_else(|| Value::String(word.to_owned())));
    }
    first.parse().ok().filter(|value: &Value| value.is_integer() || value.is_float() || value.is_bool())
}

/// The rows of the reference: the table that a key stands in, the key, its default.
fn rows() -> Vec<(&'static str, &'static str, Value)> {
    let mut section = "";
    let mut rows = Vec::new();
    for line in REFERENCE.lines() {
        if let Some(heading) = line.strip_prefix("## ").or_else(|| line.strip_prefix("`[routes.<name>.")) {
            section = heading;
        }
        let Some((key, rest)) = line.strip_prefix("| `").and_then(|row| row.split_once("` | ")) else { continue };
        if let Some(value) = rest.split(" | ").next().and_then(stated) {
            rows.push((section, key, value));
        }
    }
    rows
}

/// The table that a section is about.
fn place<'a>(file: &'a mut Table, section: &str) -> &'a mut Value {
    let name = section.trim_matches(['`', '[', ']']);
    match name {
        "models" | "alerts" => &mut file[name][0],
        "routes.<name>" => &mut file["routes"]["default"],
        _ if section.starts_with("slarouter]") => &mut file["routes"]["paper"]["slarouter"],
        _ => &mut file[name],
    }
}

#[test]
fn defaults_are_those_of_the_reference() {
    let parse = |file: &Table| Config::parse(&file.to_string(), &|_| None).map(|config| format!("{config:?}"));
    let base: Table = BASE.parse().unwrap();
    let without = parse(&base).unwrap();
    let rows = rows();
    let keys: Vec<_> = rows.iter().map(|(_, key, _)| *key).collect();
    let mut tried = 0;
    for (section, key, value) in &rows {
        // One key stands for another, is of an encoder that this binary may lack, or is needed by the others.
        let refers =
            value.as_str().is_some_and(|word| keys.contains(&word) || word == "name" || word.starts_with("price."));
        if refers || [("`[features]`", "threads"), ("`[features]`", "encoder")].contains(&(*section, *key)) {
            continue;
        }
        let with = |value: Value| {
            let mut file = base.clone();
            let mut place = place(&mut file, section);
            let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
            for part in tables.split('.').filter(|part| !part.is_empty()) {
                place = &mut place[part];
            }
            place.as_table_mut().unwrap().insert(last.to_owned(), value);
            parse(&file)
        };
        assert!(with(value.clone()).unwrap() == without, "{section} {key} = {value} is not the default");
        // The comparison tells it from another value.
        let other = match value {
            Value::Integer(number) => Value::Integer(number + 1),
            Value::Float(number) => Value::Float(number * 0.5),
            Value::Boolean(word) => Value::Boolean(!word),
            _ => Value::String("?".to_owned()),
        };
        assert!(with(other).ok().as_ref() != Some(&without), "{section} {key} changes nothing");
        tried += 1;
    }
    assert!(tried > 50, "{tried} of {}", rows.len());
}
