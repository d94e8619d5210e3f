//! Reading messages requests and answers.

use super::report;
use crate::endpoint::Protocol;
use crate::fields::{Fields, NOT_CARRIED, Refusal, elements, string};
use crate::form::{Choice, CommonAnswer, CommonRequest, Format, Part, Role, Source, Tool, Turn};

/// Reads a request.
pub(crate) fn request(body: &str) -> Result<CommonRequest, Refusal> {
    let mut fields = Fields::parse(body, "")?;
    let mut request = CommonRequest::new(Protocol::Messages);
    fields.hints(&["model", "cache_control"]);
    fields.neutral("mcp_servers", &["[]"]);

    request.stream = fields.flag("stream")?.unwrap_or(false);
    if let Some(system) = fields.take("system") {
        let parts = content(system, "system", false)?;
        request.turns.push(Turn { role: Role::System, parts, place: "system".to_owned() });
    }
    for (raw, place) in fields.array("messages")? {
        request.turns.push(turn(raw, place)?);
    }
    for (raw, place) in fields.array("tools")? {
        request.tools.push(tool(raw, place)?);
    }
    if let Some(choice) = fields.object("tool_choice")? {
        self::choice(choice, &mut request)?;
    }
    let limit = fields.count("max_tokens")?;
    request.max_tokens = Some(limit.ok_or_else(|| Refusal::new("max_tokens", "is missing"))?);
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    for (raw, place) in fields.array("stop_sequences")? {
        let sequence = string(raw).ok_or_else(|| Refusal::new(place, "must be a string"))?;
        request.stop.push(sequence.into_owned());
    }
    if let Some(thinking) = fields.object("thinking")? {
        self::thinking(thinking, &mut request)?;
    }
    if let Some(output) = fields.object("output_config")? {
        self::output(output, &mut request)?;
    }
    if let Some(old) = fields.object("output_format")? {
        request.format = Some(format(old)?);
    }
    if let Some(mut metadata) = fields.object("metadata")? {
        request.user = metadata.text("user_id")?;
        metadata.done()?;
    }
    if let Some(tier) = fields.text("service_tier")? {
        request.tier = Some(if tier == "standard_only" { "default".to_owned() } else { tier });
    }
    fields.done()?;
    Ok(request)
}

/// A message.
fn turn(raw: &str, place: String) -> Result<Turn, Refusal> {
    let mut message = Fields::parse(raw, place.clone())?;
    let role = match message.required("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(Refusal::new(message.at("role"), "must be \"user\" or \"assistant\"")),
    };
    let at = message.at("content");
    let raw = message.take("content").ok_or_else(|| Refusal::new(at.clone(), "is missing"))?;
    let parts = content(raw, &at, false)?;
    message.done()?;
    Ok(Turn { role, parts, place })
}

/// How the answer is to be: how much thought goes into it, and its format.
fn output(mut output: Fields<'_>, request: &mut CommonRequest) -> Result<(), Refusal> {
    if let Some(effort) = output.text("effort")? {
        request.effort = Some(if effort == "max" { "xhigh".to_owned() } else { effort });
    }
    request.format = output.object("format")?.map(format).transpose()?;
    output.done()
}

/// Text, or blocks; `inner`: those of a tool's result, among which there are no turns of a conversation.
fn content(raw: &str, place: &str, inner: bool) -> Result<Vec<Part>, Refusal> {
    if let Some(text) = string(raw) {
        return Ok(vec![Part::Text(text.into_owned())]);
    }
    let blocks = elements(raw, place).map_err(|_| Refusal::new(place, "must be a string or an array of blocks"))?;
    let mut parts = Vec::new();
    for (raw, place) in blocks {
        parts.extend(block(raw, place, inner)?);
    }
    Ok(parts)
}

fn block(raw: &str, place: String, inner: bool) -> Result<Option<Part>, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    fields.hints(&["cache_control"]);
    let part = match fields.required("type")?.as_str() {
        "text" => {
            // Marks of where an earlier answer took its words from.
            fields.hints(&["citations"]);
            Part::Text(fields.required("text")?)
        }
        "image" => Part::Image(source(&mut fields)?),
        "document" => {
            fields.neutral("citations", &[r#"{"enabled":false}"#]);
            let (name, source) = (fields.text("title")?, source(&mut fields)?);
            Part::File { name, source }
        }
        "tool_use" | "tool_result" | "thinking" | "redacted_thinking" if inner => {
            return Err(Refusal::new(fields.at("type"), "cannot stand in a tool's result"));
        }
        "tool_use" => {
            fields.hints(&["caller"]);
            let input = fields.take("input").ok_or_else(|| Refusal::new(fields.at("input"), "is missing"))?;
            Part::Call { id: fields.required("id")?, name: fields.required("name")?, arguments: input.to_owned() }
        }
        "tool_result" => {
            let at = fields.at("content");
            let parts = fields.take("content").map_or(Ok(Vec::new()), |raw| content(raw, &at, true))?;
            let failed = fields.flag("is_error")?.unwrap_or(false);
            Part::Result { id: fields.required("tool_use_id")?, parts, failed }
        }
        "thinking" => {
            fields.hints(&["signature"]);
            Part::Reasoning(fields.required("thinking")?)
        }
        "redacted_thinking" => return Ok(None),
        _ => return Err(Refusal::new(fields.at("type"), NOT_CARRIED)),
    };
    fields.done()?;
    Ok(Some(part))
}

fn source(fields: &mut Fields<'_>) -> Result<Source, Refusal> {
    let mut source = fields.object("source")?.ok_or_else(|| Refusal::new(fields.at("source"), "is missing"))?;
    let read = match source.required("type")?.as_str() {
        "base64" => Source::Data { media: source.required("media_type")?, base64: source.required("data")? },
        "url" => Source::from_url(source.required("url")?, &source.at("url"))?,
        _ => return Err(Refusal::new(source.at("type"), NOT_CARRIED)),
    };
    source.done()?;
    Ok(read)
}

fn tool(raw: &str, place: String) -> Result<Tool, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    fields.hints(&["cache_control", "eager_input_streaming", "input_examples"]);
    fields.neutral("defer_loading", &["false"]);
    if fields.text("type")?.is_some_and(|kind| kind != "custom") {
        return Err(Refusal::new(fields.at("type"), NOT_CARRIED));
    }
    let tool = Tool {
        name: fields.required("name")?,
        description: fields.text("description")?,
        schema: fields.take("input_schema").map(str::to_owned),
        strict: fields.flag("strict")?,
    };
    fields.done()?;
    Ok(tool)
}

fn choice(mut fields: Fields<'_>, request: &mut CommonRequest) -> Result<(), Refusal> {
    request.choice = Some(match fields.required("type")?.as_str() {
        "auto" => Choice::Auto,
        "any" => Choice::Required,
        "none" => Choice::None,
        "tool" => Choice::Named(fields.required("name")?),
        _ => return Err(Refusal::new(fields.at("type"), "must be \"auto\", \"any\", \"tool\" or \"none\"")),
    });
    request.parallel = fields.flag("disable_parallel_tool_use")?.map(|disabled| !disabled);
    fields.done()
}

/// A budget of tokens becomes one of OpenAI's words; the limits are those of the writer, halfway.
fn thinking(mut fields: Fields<'_>, request: &mut CommonRequest) -> Result<(), Refusal> {
    fields.hints(&["display"]);
    match fields.required("type")?.as_str() {
        "enabled" => {
            let budget = fields.count("budget_tokens")?;
            let budget = budget.ok_or_else(|| Refusal::new(fields.at("budget_tokens"), "is missing"))?;
            let word = match budget {
                ..=2_048 => "low",
                2_049..=8_192 => "medium",
                _ => "high",
            };
            request.effort = Some(word.to_owned());
            request.show_reasoning = true;
        }
        "adaptive" => request.show_reasoning = true,
        "disabled" => {}
        _ => return Err(Refusal::new(fields.at("type"), "must be \"enabled\", \"adaptive\" or \"disabled\"")),
    }
    fields.done()
}

fn format(mut fields: Fields<'_>) -> Result<Format, Refusal> {
    if fields.required("type")? != "json_schema" {
        return Err(Refusal::new(fields.at("type"), NOT_CARRIED));
    }
    let schema = fields.take("schema").ok_or_else(|| Refusal::new(fields.at("schema"), "is missing"))?.to_owned();
    let name = fields.text("name")?.or_else(|| Some("answer".to_owned()));
    fields.done()?;
    // Anthropic holds to the schema always.
    Ok(Format::Schema { name, description: None, schema, strict: Some(true) })
}

/// Reads an answer. Blocks beyond the common form are left out: what was asked for cannot have called for them.
pub(crate) fn answer(body: &str) -> Result<CommonAnswer, Refusal> {
    let mut fields = Fields::parse(body, "")?;
    let content = fields.take("content").ok_or_else(|| Refusal::new("content", "is missing"))?;
    let mut parts = Vec::new();
    for (raw, place) in elements(content, "content")? {
        let mut block = Fields::parse(raw, place)?;
        match block.required("type")?.as_str() {
            "text" => parts.push(Part::Text(block.required("text")?)),
            "thinking" => parts.push(Part::Reasoning(block.required("thinking")?)),
            "tool_use" => {
                let arguments = block.take("input").unwrap_or("{}").to_owned();
                parts.push(Part::Call { id: block.required("id")?, name: block.required("name")?, arguments });
            }
            _ => {}
        }
    }
    let word = fields.text("stop_reason")?.unwrap_or_default();
    let sequence = fields.text("stop_sequence")?;
    Ok(CommonAnswer {
        id: fields.text("id")?,
        model: fields.text("model")?,
        parts,
        stop: report::stop(&word, sequence),
        usage: fields.take("usage").and_then(report::read_usage),
    })
}
