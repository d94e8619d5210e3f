//! Writing messages requests and answers.

use super::foreign::FOREIGN_SEAL;
use super::report;
use crate::fields::{NOT_CARRIED, Refusal};
use crate::form::{Choice, CommonAnswer, CommonRequest, Envelope, Field, Format, Part, Role, Source, Tool, Turn};
use crate::print::{Object, list, texts};

/// The least that Anthropic lets a model think, in tokens.
const LEAST_THINKING: u64 = 1_024;

/// Writes a request to `model`. `limit`: the most tokens of an answer if the request does not say, as Anthropic wants to know.
pub(crate) fn request(request: &CommonRequest, model: &str, limit: u64) -> Result<String, Refusal> {
    request.last_is_not_the_assistants()?;
    for (given, field) in [(&request.verbosity, Field::Verbosity), (&request.metadata, Field::Metadata)] {
        if given.is_some() {
            return Err(request.refuse(field));
        }
    }
    if request.tier.as_deref().is_some_and(|tier| tier != "auto" && tier != "default") {
        return Err(request.refuse(Field::Tier));
    }
    let beyond = |number: &String| number.parse().is_ok_and(|number: f64| number > 1.0);
    if request.temperature.as_ref().is_some_and(beyond) {
        return Err(Refusal::new("temperature", "is over 1, which is the most that the model's protocol can carry"));
    }

    let (system, turns) = system(&request.turns)?;
    let turns: Vec<_> = turns.iter().map(turn).collect::<Result<_, _>>()?;
    let turns: Vec<_> = turns.into_iter().flatten().collect();
    let thinking = thinking(request)?;
    let most = request.max_tokens.unwrap_or_else(|| limit.saturating_add(thinking.unwrap_or(0)));
    let mut out = Object::new().text("model", model).count("max_tokens", most);
    if !system.is_empty() {
        out = out.raw("system", &list(&system));
    }
    out = out.raw("messages", &list(&turns));
    if !request.tools.is_empty() {
        out = out.raw("tools", &list(&request.tools.iter().map(tool).collect::<Vec<_>>()));
    }
    if let Some(choice) = choice(request) {
        out = out.raw("tool_choice", &choice);
    }
    out = out.maybe_raw("temperature", request.temperature.as_deref()).maybe_raw("top_p", request.top_p.as_deref());
    if !request.stop.is_empty() {
        out = out.raw("stop_sequences", &texts(&request.stop));
    }
    if let Some(budget) = thinking {
        out = out.raw("thinking", &Object::of("enabled").count("budget_tokens", budget).end());
    }
    match &request.format {
        None => {}
        Some(Format::Json) => return Err(request.refuse(Field::Format)),
        // It has a name and a strictness in OpenAI's protocols only.
        Some(Format::Schema { schema, .. }) => {
            let format = Object::of("json_schema").raw("schema", schema).end();
            out = out.raw("output_config", &Object::new().raw("format", &format).end());
        }
    }
    if let Some(user) = &request.user {
        out = out.raw("metadata", &Object::new().text("user_id", user).end());
    }
    if request.stream {
        out = out.flag("stream", true);
    }
    Ok(out.end())
}

/// The system prompt as blocks, and the turns after it. In a later place there is no system prompt.
fn system(turns: &[Turn]) -> Result<(Vec<String>, &[Turn]), Refusal> {
    let is_system = |turn: &Turn| matches!(turn.role, Role::System | Role::Developer);
    let until = turns.iter().position(|turn| !is_system(turn)).unwrap_or(turns.len());
    let (first, rest) = turns.split_at(until);
    if let Some(late) = rest.iter().find(|turn| is_system(turn)) {
        let what =
            "is a system message after the first message of another role, which the model's protocol cannot carry";
        return Err(Refusal::new(late.place.clone(), what));
    }
    let mut blocks = Vec::new();
    for turn in first {
        for part in &turn.parts {
            match part {
                Part::Text(text) if text.is_empty() => {}
                Part::Text(text) => blocks.push(Object::of("text").text("text", text).end()),
                _ => return Err(Refusal::new(turn.place.clone(), NOT_CARRIED)),
            }
        }
    }
    Ok((blocks, rest))
}

/// `None` for a turn that says nothing: Anthropic takes no empty blocks.
fn turn(turn: &Turn) -> Result<Option<String>, Refusal> {
    let role = if turn.role == Role::Assistant { "assistant" } else { "user" };
    let blocks = blocks(&turn.parts, &turn.place)?;
    if blocks.is_empty() && turn.role == Role::Assistant {
        return Ok(None);
    }
    Ok(Some(Object::new().text("role", role).raw("content", &list(&blocks)).end()))
}

fn blocks(parts: &[Part], place: &str) -> Result<Vec<String>, Refusal> {
    let mut blocks = Vec::new();
    for part in parts {
        blocks.push(match part {
            Part::Text(text) | Part::Refusal(text) if text.is_empty() => continue,
            Part::Text(text) | Part::Refusal(text) => Object::of("text").text("text", text).end(),
            // Only its own model would take it back.
            Part::Reasoning(_) => continue,
            Part::Image(source) => Object::of("image").raw("source", &self::source(source)).end(),
            Part::File { name, source } => {
                Object::of("document").raw("source", &self::source(source)).maybe_text("title", name.as_deref()).end()
            }
            Part::Call { id, name, arguments } => {
                let input = input(arguments).ok_or_else(|| {
                    let what = format!("calls {name:?} with arguments that are no JSON object");
                    Refusal::new(place, what)
                })?;
                Object::of("tool_use").text("id", id).text("name", name).raw("input", input).end()
            }
            Part::Result { id, parts, failed } => {
                let mut out = Object::of("tool_result").text("tool_use_id", id);
                let content = self::blocks(parts, place)?;
                if !content.is_empty() {
                    out = out.raw("content", &list(&content));
                }
                if *failed { out.flag("is_error", true).end() } else { out.end() }
            }
        });
    }
    Ok(blocks)
}

/// Arguments as an object; none are an empty one.
fn input(arguments: &str) -> Option<&str> {
    let trimmed = arguments.trim();
    if trimmed.is_empty() {
        return Some("{}");
    }
    let sound = trimmed.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(trimmed).is_ok();
    sound.then_some(trimmed)
}

fn source(source: &Source) -> String {
    match source {
        Source::Url(url) => Object::of("url").text("url", url).end(),
        Source::Data { media, base64 } => Object::of("base64").text("media_type", media).text("data", base64).end(),
    }
}

fn tool(tool: &Tool) -> String {
    Object::new()
        .text("name", &tool.name)
        .maybe_text("description", tool.description.as_deref())
        .raw("input_schema", tool.schema.as_deref().unwrap_or(r#"{"type":"object","properties":{}}"#))
        .maybe_flag("strict", tool.strict.filter(|strict| *strict))
        .end()
}

fn choice(request: &CommonRequest) -> Option<String> {
    let one_at_a_time = request.parallel == Some(false) && !request.tools.is_empty();
    let choice = match &request.choice {
        None if one_at_a_time => Object::of("auto"),
        None => return None,
        Some(Choice::None) => return Some(Object::of("none").end()),
        Some(Choice::Auto) => Object::of("auto"),
        Some(Choice::Required) => Object::of("any"),
        Some(Choice::Named(name)) => Object::of("tool").text("name", name),
    };
    Some(if one_at_a_time { choice.flag("disable_parallel_tool_use", true).end() } else { choice.end() })
}

/// The tokens to think with, for a model that is to reason. Anthropic wants reasoning to go before each call in the last
/// turn of tools; where that came from elsewhere, the turn is finished without.
fn thinking(request: &CommonRequest) -> Result<Option<u64>, Refusal> {
    let Some(effort) = request.effort.as_deref() else { return Ok(None) };
    let budget = match effort {
        "none" => return Ok(None),
        "minimal" => LEAST_THINKING,
        "low" => 2_048,
        "medium" => 8_192,
        "high" => 16_384,
        "xhigh" => 32_768,
        _ => return Err(request.refuse(Field::Effort)),
    };
    let amid_tools = request.turns.last().is_some_and(|turn| matches!(turn.parts[..], [Part::Result { .. }, ..]));
    if amid_tools {
        return Ok(None);
    }
    let room = request.max_tokens.map_or(u64::MAX, |most| most.saturating_sub(1));
    if room < LEAST_THINKING {
        let what = format!("asks for reasoning, for which the most tokens of the answer must be over {LEAST_THINKING}");
        return Err(Refusal {
            message: format!("`{}` {what}", request.refuse(Field::Effort).param),
            ..request.refuse(Field::Effort)
        });
    }
    // Anthropic's models take neither beside their reasoning.
    if request.temperature.as_ref().is_some_and(|number| number.parse() != Ok(1.0)) {
        return Err(Refusal::new(
            "temperature",
            "must be 1 or left out for a model of this protocol that is to reason",
        ));
    }
    if matches!(request.choice, Some(Choice::Required | Choice::Named(_))) {
        return Err(Refusal::new("tool_choice", "cannot force a call on a model of this protocol that is to reason"));
    }
    Ok(Some(budget.min(room)))
}

/// Writes an answer.
pub(crate) fn answer(answer: &CommonAnswer, envelope: &Envelope) -> String {
    let mut blocks = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Text(text) | Part::Refusal(text) => blocks.push(Object::of("text").text("text", text).end()),
            Part::Reasoning(text) => {
                let block = Object::of("thinking").text("thinking", text).text("signature", FOREIGN_SEAL);
                blocks.push(block.end());
            }
            Part::Call { id, name, arguments } => {
                // What a model wrote need not be JSON.
                let input = input(arguments).map_or_else(|| unreadable(arguments), str::to_owned);
                blocks.push(Object::of("tool_use").text("id", id).text("name", name).raw("input", &input).end());
            }
            Part::Image(_) | Part::File { .. } | Part::Result { .. } => {}
        }
    }
    let refused = answer.parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    let (reason, sequence) = if refused { ("refusal", None) } else { report::stop_reason(&answer.stop) };
    let usage = answer.usage.unwrap_or_default();
    Object::new()
        .text("id", &envelope.id)
        .text("type", "message")
        .text("role", "assistant")
        .text("model", answer.model.as_deref().unwrap_or(&envelope.model))
        .raw("content", &list(&blocks))
        .text("stop_reason", reason)
        .text_or_null("stop_sequence", sequence)
        .raw("usage", &report::write_usage(&usage))
        .end()
}

/// Arguments that are no object, so that the client sees what the model wrote.
fn unreadable(arguments: &str) -> String {
    Object::new().text("_invalid_json", arguments).end()
}
