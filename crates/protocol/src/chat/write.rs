//! Writing chat requests and answers.

use std::borrow::Cow;

use super::report;
use crate::dropped::Dropped;
use crate::endpoint::{ModelProtocol, Upstream};
use crate::form::{Choice, CommonAnswer, CommonRequest, Envelope, Field, Format, Part, Role, Tool, Turn, failed_text};
use crate::print::{Object, list, texts};
use crate::seal::written_by;

/// What a tool's message says of images and files, which it cannot hold.
const IN_THE_NEXT: &str = "(see the next message of the user)";

/// Writes a request for this model, which [`crate::carries`] has let pass.
pub(crate) fn request(request: &CommonRequest, upstream: Upstream<'_>, dropped: &mut Dropped) -> String {
    let gemini = upstream.dialect == ModelProtocol::GeminiOpenai;
    request.drop_given(&[(request.top_k.is_some(), Field::TopK)], dropped);
    let mut messages = Vec::new();
    for turn in &request.turns {
        self::turn(turn, upstream.model, gemini, dropped, &mut messages);
    }
    let mut out = Object::new().text("model", upstream.model).raw("messages", &list(&messages));
    if !request.tools.is_empty() {
        let tools: Vec<_> = request.tools.iter().map(tool).collect();
        out = out.raw("tools", &list(&tools));
    }
    out = match &request.choice {
        None => out,
        Some(Choice::Auto) => out.text("tool_choice", "auto"),
        Some(Choice::None) => out.text("tool_choice", "none"),
        Some(Choice::Required) => out.text("tool_choice", "required"),
        Some(Choice::Named(name)) => {
            let function = Object::of("function").raw("function", &Object::new().text("name", name).end());
            out.raw("tool_choice", &function.end())
        }
    };
    let limit = if gemini { "max_tokens" } else { "max_completion_tokens" };
    out = out
        .maybe_flag("parallel_tool_calls", request.parallel)
        .maybe_count(limit, request.max_tokens)
        .maybe_raw("temperature", request.temperature.as_deref())
        .maybe_raw("top_p", request.top_p.as_deref());
    if !request.stop.is_empty() {
        out = out.raw("stop", &texts(&request.stop));
    }
    if let Some(format) = &request.format {
        out = out.raw("response_format", &self::format(format));
    }
    out = out
        .maybe_text("reasoning_effort", request.effort_of(upstream, dropped))
        .maybe_text("verbosity", request.verbosity.as_deref())
        .maybe_text("user", request.user.as_deref())
        .maybe_raw("metadata", request.metadata.as_deref())
        .maybe_text("prompt_cache_key", request.cache_key.as_deref())
        .maybe_text("service_tier", request.tier.as_deref());
    if request.stream {
        out = out.flag("stream", true).raw("stream_options", r#"{"include_usage":true}"#);
    }
    out.end()
}

fn turn(turn: &Turn, model: &str, gemini: bool, dropped: &mut Dropped, messages: &mut Vec<String>) {
    if turn.role == Role::Assistant {
        messages.extend(assistant(turn, model, gemini));
        return;
    }
    let role = match turn.role {
        Role::System => "system",
        Role::Developer if gemini => "system",
        Role::Developer => "developer",
        Role::User | Role::Assistant => "user",
    };
    let mut rest = Vec::new();
    for part in &turn.parts {
        match part {
            Part::Result { id, parts, failed } => {
                let shown: Vec<_> = parts.iter().filter(|part| !matches!(part, Part::Text(_))).collect();
                let content = result(parts, *failed, !shown.is_empty());
                let message = Object::new().text("role", "tool").text("tool_call_id", id).raw("content", &content);
                messages.push(message.end());
                if !shown.is_empty() {
                    dropped.note(&format!("{}.content", turn.place));
                    rest.push(self::text(&format!("What the tool returned for the call {id}:")));
                    rest.extend(shown.into_iter().filter_map(self::part));
                }
            }
            part => rest.extend(self::part(part)),
        }
    }
    let content = match &turn.parts[..] {
        [Part::Text(text)] => crate::json::quote(text),
        _ => list(&rest),
    };
    if !rest.is_empty() || turn.parts.is_empty() {
        messages.push(Object::new().text("role", role).raw("content", &content).end());
    }
}

fn text(text: &str) -> String {
    Object::of("text").text("text", text).end()
}

/// A part of what the user says; `None` for what no user says.
fn part(part: &Part) -> Option<String> {
    match part {
        Part::Text(text) => Some(self::text(text)),
        Part::Image(source) => {
            Some(Object::of("image_url").raw("image_url", &Object::new().text("url", &source.to_url()).end()).end())
        }
        Part::File { name, source } => {
            let file = Object::new().maybe_text("filename", name.as_deref()).text("file_data", &source.to_url());
            Some(Object::of("file").raw("file", &file.end()).end())
        }
        Part::Refusal(_) | Part::Reasoning { .. } | Part::Call { .. } | Part::Result { .. } => None,
    }
}

/// The content of a tool message, which is text alone; `more`: what else the tool returned follows in a message of the user's.
fn result(parts: &[Part], failed: bool, more: bool) -> String {
    let mut said: Vec<Cow<'_, str>> = parts.iter().filter_map(Part::as_text).map(Cow::Borrowed).collect();
    if more {
        said.push(IN_THE_NEXT.into());
    }
    if failed {
        let first = failed_text(said.first().map_or("", AsRef::as_ref));
        said.splice(..said.len().min(1), [first.into()]);
    }
    match &said[..] {
        [] => "\"\"".to_owned(),
        [one] => crate::json::quote(one),
        many => list(&many.iter().map(|text| self::text(text)).collect::<Vec<_>>()),
    }
}

/// What the assistant said; `None` if that is nothing, which some servers refuse. Beside calls, its reasoning goes back to the model that wrote it: some servers refuse calls without it.
fn assistant(turn: &Turn, model: &str, gemini: bool) -> Option<String> {
    let (mut said, mut refusals, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    let mut reasoning = String::new();
    for part in &turn.parts {
        match part {
            Part::Text(text) => said.push(text.as_str()),
            Part::Refusal(text) => refusals.push(text.as_str()),
            Part::Reasoning { text, seal } => {
                if seal.as_deref().and_then(written_by) == Some(model) {
                    reasoning.push_str(text);
                }
            }
            Part::Call { id, name, arguments } => calls.push(call(id, name, arguments, gemini)),
            Part::Image(_) | Part::File { .. } | Part::Result { .. } => {}
        }
    }
    if said.is_empty() && refusals.is_empty() && calls.is_empty() {
        return None;
    }
    let content = match &said[..] {
        [] => "null".to_owned(),
        [one] => crate::json::quote(one),
        many => list(&many.iter().map(|said| text(said)).collect::<Vec<_>>()),
    };
    let mut out = Object::new().text("role", "assistant").raw("content", &content);
    if !refusals.is_empty() {
        out = out.text("refusal", &refusals.concat());
    }
    if !calls.is_empty() {
        out = out.maybe_text("reasoning_content", Some(&*reasoning).filter(|text| !text.is_empty()));
        out = out.raw("tool_calls", &list(&calls));
    }
    Some(out.end())
}

fn call(id: &str, name: &str, arguments: &str, gemini: bool) -> String {
    let arguments = if arguments.is_empty() { "{}" } else { arguments };
    let function = Object::new().text("name", name).text("arguments", arguments).end();
    let out = Object::new().text("id", id).text("type", "function").raw("function", &function);
    if gemini {
        // Gemini checks a seal on calls in the history. This is Google's own word for calls that another model made.
        let google = r#"{"google":{"thought_signature":"skip_thought_signature_validator"}}"#;
        return out.raw("extra_content", google).end();
    }
    out.end()
}

fn tool(tool: &Tool) -> String {
    let function = Object::new()
        .text("name", &tool.name)
        .maybe_text("description", tool.description.as_deref())
        .maybe_raw("parameters", tool.schema.as_deref())
        .maybe_flag("strict", tool.strict);
    Object::of("function").raw("function", &function.end()).end()
}

fn format(format: &Format) -> String {
    match format {
        Format::Json => Object::of("json_object").end(),
        Format::Schema { name, description, schema, strict } => {
            let inner = Object::new()
                .text("name", name.as_deref().unwrap_or("answer"))
                .maybe_text("description", description.as_deref())
                .raw("schema", schema)
                .maybe_flag("strict", *strict);
            Object::of("json_schema").raw("json_schema", &inner.end()).end()
        }
    }
}

/// Writes an answer.
pub(crate) fn answer(answer: &CommonAnswer, envelope: &Envelope) -> String {
    let text = answer.joined(Part::as_text);
    let refusal = answer.joined(|part| if let Part::Refusal(text) = part { Some(text) } else { None });
    let reasoning = answer.joined(|part| match part {
        Part::Reasoning { text, .. } if !text.is_empty() => Some(text),
        _ => None,
    });
    let calls: Vec<String> = answer
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Call { id, name, arguments } => Some(call(id, name, arguments, false)),
            _ => None,
        })
        .collect();
    let mut message = Object::new()
        .text("role", "assistant")
        .text_or_null("content", text.as_deref())
        .maybe_text("reasoning_content", reasoning.as_deref())
        .text_or_null("refusal", refusal.as_deref());
    if !calls.is_empty() {
        message = message.raw("tool_calls", &list(&calls));
    }
    let choice = Object::new()
        .count("index", 0)
        .raw("message", &message.end())
        .null("logprobs")
        .text("finish_reason", report::finish_reason(&answer.stop));
    let usage = answer.usage.as_ref().map(report::write_usage);
    Object::new()
        .text("id", &envelope.id)
        .text("object", "chat.completion")
        .count("created", envelope.created)
        .text("model", answer.model.as_deref().unwrap_or(&envelope.model))
        .raw("choices", &list(&[choice.end()]))
        .maybe_raw("usage", usage.as_deref())
        .end()
}
