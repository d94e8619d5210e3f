//! From text to the raw file, past every mistake of shape: unknown keys, wrong types, missing keys.

mod missing;

use std::ops::Range;

use serde::Deserialize;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use crate::problems::Problems;
use crate::raw;
use crate::spelling::{refused_name, suggestion};

/// What was cut out: the place of the table it was in (`None` for an item of an array), and its key.
struct Cut {
    table: Option<Range<usize>>,
    key: String,
}

/// Reads as much as can be read. Serde stops at the first mistake, so what is mistaken is cut out of the parsed text and
/// the rest is read again; O(mistakes · size). `None` if the text is no TOML.
pub(crate) fn read(text: &str, problems: &mut Problems<'_>) -> Option<raw::File> {
    // The parser goes on after a mistake of syntax, and what it then finds is mostly the same mistake again.
    let (mut table, errors) = DeTable::parse_recoverable(text);
    if let Some(first) = errors.iter().min_by_key(|error| error.span().map(|span| span.start)) {
        problems.add(first.span(), plain(first.message()));
        return None;
    }
    let mut cuts: Vec<Cut> = Vec::new();
    loop {
        let error = match raw::File::deserialize(Deserializer::from(table.clone())) {
            Ok(raw) => return Some(raw),
            Err(error) => error,
        };
        let (message, span) = (error.message(), error.span());
        let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        // A key that was there with a wrong value is not missing as well.
        let own_doing = missing.is_some_and(|key| cuts.iter().any(|cut| cut.table == span && cut.key == key));
        if !own_doing {
            let whose = missing.zip(span.as_ref()).and_then(|(key, at)| missing::told(table.get_ref(), at, key));
            problems.add(span.clone(), whose.or_else(|| unknown(message)).unwrap_or_else(|| plain(message)));
        }
        if !message.starts_with("unknown field") {
            problems.incomplete = true;
        }
        let whole = table.span();
        cuts.push(span.and_then(|span| cut(table.get_mut(), &whole, &span))?);
    }
}

/// Takes out the innermost entry whose key or value is at `at`.
fn cut(table: &mut DeTable<'_>, place: &Range<usize>, at: &Range<usize>) -> Option<Cut> {
    for (_, value) in table.iter_mut() {
        let place = value.span();
        if let Some(cut) = cut_inside(value.get_mut(), &place, at) {
            return Some(cut);
        }
    }
    let (key, _) = table.iter().find(|(key, value)| key.span() == *at || value.span() == *at)?;
    let key = key.clone();
    table.remove(&key);
    Some(Cut { table: Some(place.clone()), key: key.into_inner().into_owned() })
}

fn cut_inside(value: &mut DeValue<'_>, place: &Range<usize>, at: &Range<usize>) -> Option<Cut> {
    match value {
        DeValue::Table(table) => cut(table, place, at),
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                let place = item.span();
                if let Some(cut) = cut_inside(item.get_mut(), &place, at) {
                    return Some(cut);
                }
            }
            let kept: DeArray<'_> = items.iter().filter(|item| item.span() != *at).cloned().collect();
            if kept.len() == items.len() {
                return None;
            }
            *items = kept;
            Some(Cut { table: None, key: String::new() })
        }
        _ => None,
    }
}

/// Of a key that is none, what was meant, or else which ones there are.
fn unknown(message: &str) -> Option<String> {
    let (key, known) = refused_name(message)?;
    Some(format!("unknown key `{}`: {}", key.replace('\n', "; "), suggestion(key, &known)))
}

/// The parser's words without Rust's types, on one line, and without a string that may be a key in the wrong place.
fn plain(message: &str) -> String {
    let mut message = message.replace('\n', "; ");
    if let Some((_, expected)) =
        message.strip_prefix("invalid type: string \"").and_then(|rest| rest.rsplit_once("\", "))
    {
        message = format!("invalid type: a string, {expected}");
    }
    message
        .replace("expected f64", "expected a number")
        .replace("expected u64", "expected a whole number that is not negative")
        .replace("expected a sequence", "expected a list")
}
