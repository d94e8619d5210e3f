//! Reading messages requests and answers.

use super::report;
use crate::dropped::Dropped;
use crate::endpoint::Protocol;
use crate::fields::{Fields, Refusal, elements, string};
use crate::form::{Choice, CommonAnswer, CommonRequest, Format, Offer, Part, Role, Source, Tool, Turn};
use crate::outline::BILLING;

/// Members of a request without which the answer would mean something else.
const ESSENTIAL: [&str; 2] = ["mcp_servers", "container"];

/// Reads a request.
pub(crate) fn request(body: &str) -> Result<CommonRequest, Refusal> {
    let mut fields = Fields::parse(body, "")?;
    let mut request = CommonRequest::new(Protocol::Messages);
    fields.hints(&["model", "cache_control"]);
    fields.neutral("mcp_servers", &["[]"]);

    request.stream = fields.flag("stream")?.unwrap_or(false);
    if let Some(system) = fields.take("system") {
        let mut parts = content(system, "system", false, &mut request.dropped)?;
        // Another one in each request, it would keep other providers from reading their cache.
        parts.retain(|part| !matches!(part, Part::Text(text) if text.starts_with(BILLING)));
        request.turns.push(Turn::new(Role::System, parts, "system"));
    }
    for (raw, place) in fields.array("messages")? {
        request.turns.push(turn(raw, place, &mut request.dropped)?);
    }
    let tools = fields.array("tools")?.into_iter();
    let tools = tools.map(|(raw, place)| tool(raw, place, &mut request.dropped)).collect::<Result<Vec<_>, _>>()?;
    request.offer(tools)?;
    if let Some(choice) = fields.object("tool_choice")? {
        self::choice(choice, &mut request)?;
    }
    let limit = fields.count("max_tokens")?;
    request.max_tokens = Some(limit.ok_or_else(|| Refusal::new("max_tokens", "is missing"))?);
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    request.top_k = fields.number("top_k")?;
    for (raw, place) in fields.array("stop_sequences")? {
        let sequence = string(raw).ok_or_else(|| Refusal::new(place, "must be a string"))?;
        request.stop.push(sequence.into_owned());
    }
    if let Some(thinking) = fields.object("thinking")? {
        self::thinking(thinking, &mut request)?;
    }
    // After the thinking, as it says how much of that there is to be.
    if let Some(output) = fields.object("output_config")? {
        self::output(output, &mut request)?;
    }
    if let Some(old) = fields.object("output_format")? {
        request.format = Some(format(old, &mut request.dropped)?);
    }
    if let Some(mut metadata) = fields.object("metadata")? {
        request.user = metadata.text("user_id")?;
        metadata.drop_rest(&mut request.dropped);
    }
    if let Some(tier) = fields.text("service_tier")? {
        request.tier = Some(if tier == "standard_only" { "default".to_owned() } else { tier });
    }
    fields.refuse(&ESSENTIAL)?;
    fields.drop_rest(&mut request.dropped);
    Ok(request)
}

/// A message.
fn turn(raw: &str, place: String, dropped: &mut Dropped) -> Result<Turn, Refusal> {
    let mut message = Fields::parse(raw, place.clone())?;
    let role = match message.required("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(Refusal::new(message.at("role"), "must be \"user\" or \"assistant\"")),
    };
    let at = message.at("content");
    let raw = message.take("content").ok_or_else(|| Refusal::new(at.clone(), "is missing"))?;
    let parts = content(raw, &at, false, dropped)?;
    message.drop_rest(dropped);
    Ok(Turn::new(role, parts, place))
}

/// How the answer is to be: how much thought goes into it, and its format.
fn output(mut output: Fields<'_>, request: &mut CommonRequest) -> Result<(), Refusal> {
    if let Some(effort) = output.text("effort")? {
        request.effort = Some(if effort == "max" { "xhigh".to_owned() } else { effort });
    }
    if let Some(given) = output.object("format")? {
        request.format = Some(format(given, &mut request.dropped)?);
    }
    output.drop_rest(&mut request.dropped);
    Ok(())
}

/// Text, or blocks; `inner`: those of a tool's result, among which there are no turns of a conversation.
fn content(raw: &str, place: &str, inner: bool, dropped: &mut Dropped) -> Result<Vec<Part>, Refusal> {
    if let Some(text) = string(raw) {
        return Ok(vec![Part::Text(text.into_owned())]);
    }
    let blocks = elements(raw, place).map_err(|_| Refusal::new(place, "must be a string or an array of blocks"))?;
    let mut parts = Vec::new();
    for (raw, place) in blocks {
        parts.extend(block(raw, place, inner, dropped)?);
    }
    Ok(parts)
}

fn block(raw: &str, place: String, inner: bool, dropped: &mut Dropped) -> Result<Option<Part>, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    fields.hints(&["cache_control"]);
    let kind = fields.required("type")?;
    let part = match kind.as_str() {
        "text" => {
            // Marks of where an earlier answer took its words from.
            fields.hints(&["citations"]);
            Part::Text(fields.required("text")?)
        }
        "image" => Part::Image(source(&mut fields, dropped)?),
        "document" => {
            fields.neutral("citations", &[r#"{"enabled":false}"#]);
            let (name, source) = (fields.text("title")?, source(&mut fields, dropped)?);
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
            let parts = fields.take("content").map_or(Ok(Vec::new()), |raw| content(raw, &at, true, dropped))?;
            let failed = fields.flag("is_error")?.unwrap_or(false);
            Part::Result { id: fields.required("tool_use_id")?, parts, failed }
        }
        "thinking" => {
            let seal = fields.text("signature")?;
            Part::Reasoning { text: fields.required("thinking")?, seal }
        }
        "redacted_thinking" => return Ok(None),
        // The result of a search among tools: the tool that it names is one of the request's from here on.
        "tool_reference" if inner => Part::Text(fields.required("tool_name")?),
        _ => return Err(Refusal::not_carried(fields.at("type"), &kind)),
    };
    fields.drop_rest(dropped);
    Ok(Some(part))
}

fn source(fields: &mut Fields<'_>, dropped: &mut Dropped) -> Result<Source, Refusal> {
    let mut source = fields.object("source")?.ok_or_else(|| Refusal::new(fields.at("source"), "is missing"))?;
    let kind = source.required("type")?;
    let read = match kind.as_str() {
        "base64" => Source::Data { media: source.required("media_type")?, base64: source.required("data")? },
        "url" => Source::from_url(source.required("url")?, &source.at("url"))?,
        _ => return Err(Refusal::not_carried(source.at("type"), &kind)),
    };
    source.drop_rest(dropped);
    Ok(read)
}

fn tool(raw: &str, place: String, dropped: &mut Dropped) -> Result<Offer, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    fields.hints(&["cache_control", "eager_input_streaming", "input_examples"]);
    fields.neutral("defer_loading", &["false"]);
    if let Some(kind) = fields.text("type")?.filter(|kind| kind != "custom") {
        return Ok(Offer::Foreign(Refusal::not_carried(fields.at("type"), &kind)));
    }
    let tool = Tool {
        name: fields.required("name")?,
        description: fields.text("description")?,
        schema: fields.take("input_schema").map(str::to_owned),
        strict: fields.flag("strict")?,
        cache: None,
        origin: None,
    };
    fields.drop_rest(dropped);
    Ok(Offer::Tools(vec![tool]))
}

fn choice(mut fields: Fields<'_>, request: &mut CommonRequest) -> Result<(), Refusal> {
    request.choose(Some(match fields.required("type")?.as_str() {
        "auto" => Choice::Auto,
        "any" => Choice::Required,
        "none" => Choice::None,
        "tool" => Choice::Named(fields.required("name")?),
        _ => return Err(Refusal::new(fields.at("type"), "must be \"auto\", \"any\", \"tool\" or \"none\"")),
    }))?;
    request.parallel = fields.flag("disable_parallel_tool_use")?.map(|disabled| !disabled);
    fields.drop_rest(&mut request.dropped);
    Ok(())
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
        // What is the case at Anthropic's where no effort is named beside it.
        "adaptive" => {
            request.effort = Some("high".to_owned());
            request.show_reasoning = true;
        }
        "disabled" => {}
        _ => return Err(Refusal::new(fields.at("type"), "must be \"enabled\", \"adaptive\" or \"disabled\"")),
    }
    fields.drop_rest(&mut request.dropped);
    Ok(())
}

/// The format that an `output_config` asks for; `None` for what is no format.
pub(crate) fn read_format(raw: &str) -> Option<Format> {
    let given = Fields::parse(raw, "").ok()?.object("format").ok()??;
    format(given, &mut Dropped::default()).ok()
}

fn format(mut fields: Fields<'_>, dropped: &mut Dropped) -> Result<Format, Refusal> {
    let kind = fields.required("type")?;
    if kind != "json_schema" {
        return Err(Refusal::not_carried(fields.at("type"), &kind));
    }
    let schema = fields.take("schema").ok_or_else(|| Refusal::new(fields.at("schema"), "is missing"))?.to_owned();
    let name = fields.text("name")?.or_else(|| Some("answer".to_owned()));
    fields.drop_rest(dropped);
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
            "thinking" => parts.push(Part::reasoning(block.required("thinking")?)),
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
