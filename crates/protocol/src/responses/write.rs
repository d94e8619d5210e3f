//! Writing responses requests and answers.

use super::foreign::FOREIGN_REASONING;
use super::{report, tools};
use crate::dropped::Dropped;
use crate::endpoint::Upstream;
use crate::form::{
    Block, Choice, CommonAnswer, CommonRequest, Envelope, Field, Format, Part, Role, Source, Stop, Tool, Turn,
    failed_text,
};
use crate::json::quote;
use crate::print::{Object, list};
use crate::seal::seal;

/// Writes a request for this model, which [`crate::carries`] has let pass.
pub(crate) fn request(request: &CommonRequest, upstream: Upstream<'_>, dropped: &mut Dropped) -> String {
    request.drop_given(&[(request.top_k.is_some(), Field::TopK)], dropped);
    let mut items = Vec::new();
    for turn in &request.turns {
        self::turn(turn, &mut items);
    }
    let mut out = Object::new().text("model", upstream.model).raw("input", &list(&items));
    if !request.tools.is_empty() {
        out = out.raw("tools", &list(&request.tools.iter().map(tool).collect::<Vec<_>>()));
    }
    out = match &request.choice {
        None => out,
        Some(Choice::Auto) => out.text("tool_choice", "auto"),
        Some(Choice::None) => out.text("tool_choice", "none"),
        Some(Choice::Required) => out.text("tool_choice", "required"),
        Some(Choice::Named(name)) => out.raw("tool_choice", &Object::of("function").text("name", name).end()),
    };
    out = out
        .maybe_flag("parallel_tool_calls", request.parallel)
        .maybe_count("max_output_tokens", request.max_tokens)
        .maybe_raw("temperature", request.temperature.as_deref())
        .maybe_raw("top_p", request.top_p.as_deref());
    if request.format.is_some() || request.verbosity.is_some() {
        let format = request.format.as_ref().map(format);
        let text =
            Object::new().maybe_raw("format", format.as_deref()).maybe_text("verbosity", request.verbosity.as_deref());
        out = out.raw("text", &text.end());
    }
    let effort = request.effort_of(upstream, dropped);
    let summary = (request.show_reasoning && upstream.reasons).then_some("auto");
    if effort.is_some() || summary.is_some() {
        let reasoning = Object::new().maybe_text("effort", effort).maybe_text("summary", summary);
        out = out.raw("reasoning", &reasoning.end());
    }
    out = out
        .maybe_text("user", request.user.as_deref())
        .maybe_raw("metadata", request.metadata.as_deref())
        .maybe_text("prompt_cache_key", request.cache_key.as_deref())
        .maybe_text("service_tier", request.tier.as_deref())
        // The other protocols keep nothing either.
        .flag("store", false);
    if request.stream {
        out = out.flag("stream", true);
    }
    out.end()
}

fn turn(turn: &Turn, items: &mut Vec<String>) {
    let role = match turn.role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let mut said = Vec::new();
    let say = |said: &mut Vec<String>, items: &mut Vec<String>| {
        if !said.is_empty() {
            items.push(Object::new().text("role", role).raw("content", &list(&std::mem::take(said))).end());
        }
    };
    for part in &turn.parts {
        match part {
            Part::Call { id, name, arguments } => {
                say(&mut said, items);
                items.push(call(id, name, arguments).end());
            }
            Part::Result { id, parts, failed } => {
                say(&mut said, items);
                let output = result(parts, *failed);
                items.push(Object::of("function_call_output").text("call_id", id).raw("output", &output).end());
            }
            // Only its own model would take it back.
            Part::Reasoning { .. } => {}
            part => said.extend(self::part(part, turn.role == Role::Assistant)),
        }
    }
    if turn.parts.is_empty() && turn.role != Role::Assistant {
        items.push(Object::new().text("role", role).text("content", "").end());
    }
    say(&mut said, items);
}

fn call(id: &str, name: &str, arguments: &str) -> Object {
    let arguments = if arguments.is_empty() { "{}" } else { arguments };
    Object::of("function_call").text("call_id", id).text("name", name).text("arguments", arguments)
}

/// A part of a message, which is the assistant's (`ours`) or another's; `None` for what is an item of its own.
fn part(part: &Part, ours: bool) -> Option<String> {
    let printed = match part {
        Part::Text(text) => Object::of(if ours { "output_text" } else { "input_text" }).text("text", text),
        Part::Refusal(text) => Object::of("refusal").text("refusal", text),
        Part::Image(source) => Object::of("input_image").text("image_url", &source.to_url()).text("detail", "auto"),
        Part::File { name, source } => {
            let member = if matches!(source, Source::Url(_)) { "file_url" } else { "file_data" };
            Object::of("input_file").maybe_text("filename", name.as_deref()).text(member, &source.to_url())
        }
        Part::Reasoning { .. } | Part::Call { .. } | Part::Result { .. } => return None,
    };
    Some(printed.end())
}

fn result(parts: &[Part], failed: bool) -> String {
    match parts {
        [] if failed => quote(&failed_text("")),
        [] => "\"\"".to_owned(),
        [Part::Text(text)] if failed => quote(&failed_text(text)),
        [Part::Text(text)] => quote(text),
        many => {
            let mut printed = Vec::new();
            if failed {
                printed.push(Object::of("input_text").text("text", &failed_text("")).end());
            }
            printed.extend(many.iter().filter_map(|part| self::part(part, false)));
            list(&printed)
        }
    }
}

fn tool(tool: &Tool) -> String {
    Object::of("function")
        .text("name", &tool.name)
        .maybe_text("description", tool.description.as_deref())
        .raw("parameters", tool.schema.as_deref().unwrap_or(r#"{"type":"object","properties":{}}"#))
        // Said always: here, unlike elsewhere, the default is true.
        .flag("strict", tool.strict.unwrap_or(false))
        .end()
}

fn format(format: &Format) -> String {
    match format {
        Format::Json => Object::of("json_object").end(),
        Format::Schema { name, description, schema, strict } => Object::of("json_schema")
            .text("name", name.as_deref().unwrap_or("answer"))
            .maybe_text("description", description.as_deref())
            .raw("schema", schema)
            .maybe_flag("strict", *strict)
            .end(),
    }
}

/// Members of the request that an answer repeats, with what stands for those left out.
pub(crate) const ECHOED: [(&str, &str); 13] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("reasoning", "{\"effort\":null,\"summary\":null}"),
    ("temperature", "null"),
    ("text", "{\"format\":{\"type\":\"text\"}}"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
    ("user", "null"),
];

/// The response object as it stands: `status` is the protocol's word.
pub(crate) fn response(
    status: &str,
    incomplete: Option<&str>,
    model: &str,
    output: &[String],
    usage: Option<&str>,
    envelope: &Envelope,
) -> Object {
    let details = incomplete.map(|reason| Object::new().text("reason", reason).end());
    let mut out = Object::new()
        .text("id", &envelope.id)
        .text("object", "response")
        .count("created_at", envelope.created)
        .text("status", status)
        .null("error")
        .raw("incomplete_details", details.as_deref().unwrap_or("null"))
        .text("model", model)
        .raw("output", &list(output))
        .flag("store", false);
    for (name, default) in ECHOED {
        let given = envelope.echo.iter().find(|(known, _)| *known == name);
        out = out.raw(name, given.map_or(default, |(_, raw)| raw));
    }
    out.raw("usage", usage.unwrap_or("null"))
}

/// Writes an answer.
pub(crate) fn answer(answer: &CommonAnswer, envelope: &Envelope) -> String {
    let mut output: Vec<String> = Vec::new();
    let mut said: Vec<String> = Vec::new();
    let say = |said: &mut Vec<String>, output: &mut Vec<String>| {
        if !said.is_empty() {
            let id = item_id(&Block::Text, output.len(), envelope);
            output.push(message(&id, "completed", &std::mem::take(said)));
        }
    };
    for part in &answer.parts {
        match part {
            Part::Text(text) => said.push(output_text(text)),
            Part::Refusal(text) => said.push(Object::of("refusal").text("refusal", text).end()),
            Part::Reasoning { text, .. } => {
                say(&mut said, &mut output);
                output.push(reasoning(&item_id(&Block::Reasoning, output.len(), envelope), Some(text), envelope));
            }
            Part::Call { id, name, arguments } => {
                say(&mut said, &mut output);
                let block = Block::Call { id: id.clone(), name: name.clone() };
                let item = item_id(&block, output.len(), envelope);
                output.push(tool_call(&item, "completed", (id, name), arguments, envelope));
            }
            Part::Image(_) | Part::File { .. } | Part::Result { .. } => {}
        }
    }
    say(&mut said, &mut output);
    let usage = answer.usage.as_ref().map(report::write_usage);
    let model = answer.model.as_deref().unwrap_or(&envelope.model);
    let incomplete = report::incomplete(&answer.stop);
    response(status(&answer.stop), incomplete, model, &output, usage.as_deref(), envelope).end()
}

pub(crate) fn status(stop: &Stop) -> &'static str {
    if report::incomplete(stop).is_some() { "incomplete" } else { "completed" }
}

/// An id for an item of the answer, from the answer's own.
pub(crate) fn item_id(block: &Block, index: usize, envelope: &Envelope) -> String {
    let prefix = match block {
        Block::Text | Block::Refusal => "msg_",
        Block::Reasoning => FOREIGN_REASONING,
        Block::Call { name, .. } if envelope.takes_text(name) => "ctc_",
        Block::Call { .. } => "fc_",
    };
    format!("{prefix}{}_{index}", envelope.id.trim_start_matches("resp_"))
}

pub(crate) fn output_text(text: &str) -> String {
    Object::of("output_text").text("text", text).raw("annotations", "[]").raw("logprobs", "[]").end()
}

pub(crate) fn message(id: &str, status: &str, content: &[String]) -> String {
    Object::of("message")
        .text("id", id)
        .text("status", status)
        .text("role", "assistant")
        .raw("content", &list(content))
        .end()
}

/// Reasoning, complete once there is a text. It has a seal then, by which its model knows it again: some clients send nothing else back.
pub(crate) fn reasoning(id: &str, text: Option<&str>, envelope: &Envelope) -> String {
    let summary = text.map(|text| Object::of("summary_text").text("text", text).end());
    let seal = text.map(|_| seal(&envelope.model));
    Object::of("reasoning")
        .text("id", id)
        .raw("summary", &list(&summary.into_iter().collect::<Vec<_>>()))
        .maybe_text("encrypted_content", seal.as_deref())
        .text("status", if text.is_some() { "completed" } else { "in_progress" })
        .end()
}

/// A call, as one of the tool that the client has offered.
pub(crate) fn tool_call(
    item: &str,
    status: &str,
    (id, name): (&str, &str),
    arguments: &str,
    envelope: &Envelope,
) -> String {
    let disguise = envelope.disguise(name);
    let takes_text = envelope.takes_text(name);
    let out = Object::of(if takes_text { "custom_tool_call" } else { "function_call" })
        .text("id", item)
        .text("status", status)
        .text("call_id", id)
        .maybe_text("namespace", disguise.and_then(|disguise| disguise.namespace.as_deref()))
        .text("name", disguise.map_or(name, |disguise| &disguise.name));
    match takes_text {
        true if arguments.is_empty() => out.text("input", "").end(),
        true => out.text("input", &tools::text(arguments)).end(),
        false => out.text("arguments", arguments).end(),
    }
}
