//! `models.takes`: what the operator says of a model, before what is known of it anyway.

use slarouter_protocol::dialect::Dialect;
use slarouter_protocol::needs::Need;
use toml::Spanned;

use crate::known;
use crate::problems::Problems;
use crate::raw::{self, Count, Text};
use crate::takes::{Takes, reads, writes};
use crate::values::{Env, count, text};

/// What the model of this name at this base URL can take.
pub(super) fn takes(
    raw: Option<raw::Takes>,
    (base_url, upstream_model): (&str, &str),
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Takes {
    let raw = raw.unwrap_or_default();
    let mut tokens = |given: Option<Count>| given.map(|given| count(Some(given), 1, problems));
    let (context_tokens, output_tokens) = (tokens(raw.context_tokens), tokens(raw.output_tokens));
    let input = kinds(raw.input, reads, "text, image, audio, file and video", env, problems);
    let output = kinds(raw.output, writes, "text, image and audio", env, problems);
    let dialect = Dialect { developer_role: raw.developer_role, max_completion_tokens: raw.max_completion_tokens };
    let said = Takes {
        context_tokens,
        output_tokens,
        input,
        output,
        tools: raw.tools,
        schema: raw.schema,
        reasoning: raw.reasoning,
        dialect,
    };
    said.or(known::takes(base_url, upstream_model))
}

fn kinds(
    written: Option<Spanned<Vec<Text>>>,
    read: fn(&str) -> Option<Option<Need>>,
    known: &str,
    env: Env<'_>,
    problems: &mut Problems<'_>,
) -> Option<Vec<Need>> {
    let mut kinds = Vec::new();
    for place in written?.into_inner() {
        match read(&text(&place, env, problems)?) {
            Some(kind) => kinds.extend(kind),
            None => problems.add(Some(place.span()), format!("a model can take {known}, each as a word")),
        }
    }
    Some(kinds)
}
