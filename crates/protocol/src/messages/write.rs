//! Writing messages requests and answers.

use super::report;
use crate::claude::Claude;
use crate::dropped::Dropped;
use crate::endpoint::Upstream;
use crate::form::{Choice, CommonAnswer, CommonRequest, Envelope, Field, Format, Part, Role, Source, Tool, Turn};
use crate::print::{Object, amend, list, texts};
use crate::seal::{is_ours, seal};

/// The least that Anthropic lets a model think, in tokens.
const LEAST_THINKING: u64 = 1_024;

/// What asks for JSON where the protocol has no member that does.
const JSON_ALONE: &str =
    "Answer with a single JSON object: nothing before it, nothing after it, and no code fence around it.";

/// Writes a request for this model, which [`crate::carries`] has let pass.
pub(crate) fn request(request: &CommonRequest, upstream: Upstream<'_>, dropped: &mut Dropped) -> String {
    let tier = request.tier.as_deref().is_some_and(|tier| tier != "auto" && tier != "default");
    let given = [
        (request.verbosity.is_some(), Field::Verbosity),
        (request.metadata.is_some(), Field::Metadata),
        (tier, Field::Tier),
    ];
    request.drop_given(&given, dropped);

    let (system, turns) = system(request);
    let mut messages = Vec::new();
    for turn in turns {
        messages.extend(self::turn(turn, dropped));
    }
    let claude = Claude::named(upstream.model);
    let thinking = thinking(request, request.effort_of(upstream, dropped), claude, dropped);
    let limit = upstream.max_output_tokens;
    let most = request.max_tokens.unwrap_or_else(|| limit.saturating_add(thinking.as_ref().map_or(0, |it| it.tokens)));
    let mut out = Object::new().text("model", upstream.model).count("max_tokens", most);
    if !system.is_empty() {
        out = out.raw("system", &list(&system));
    }
    out = out.raw("messages", &list(&messages));
    if !request.tools.is_empty() {
        out = out.raw("tools", &list(&request.tools.iter().map(tool).collect::<Vec<_>>()));
    }
    if let Some(choice) = choice(request) {
        out = out.raw("tool_choice", &choice);
    }
    out = if claude.is_sampled() && thinking.is_none() {
        sampling(request, out, dropped)
    } else {
        unsampled(request, out, dropped)
    };
    if !request.stop.is_empty() {
        out = out.raw("stop_sequences", &texts(&request.stop));
    }
    if request.format == Some(Format::Json) {
        dropped.note(request.name(Field::Format));
    }
    let effort = thinking.as_ref().and_then(|thinking| thinking.effort);
    if let Some(Thinking { tokens, effort }) = thinking {
        let thinking = match effort {
            Some(_) => Object::of("adaptive"),
            None => Object::of("enabled").count("budget_tokens", tokens),
        };
        out = out.raw("thinking", &thinking.end());
    }
    let format = request.format.as_ref().and_then(format);
    if effort.is_some() || format.is_some() {
        let output = Object::new().maybe_text("effort", effort).maybe_raw("format", format.as_deref());
        out = out.raw("output_config", &output.end());
    }
    if let Some(user) = &request.user {
        out = out.raw("metadata", &Object::new().text("user_id", user).end());
    }
    if request.stream {
        out = out.flag("stream", true);
    }
    out.end()
}

/// The format, if the protocol has one like it. It has a name and a strictness in OpenAI's protocols only.
fn format(format: &Format) -> Option<String> {
    match format {
        Format::Json => None,
        Format::Schema { schema, .. } => Some(Object::of("json_schema").raw("schema", schema).end()),
    }
}

/// How the next token is drawn. Temperatures end at 1 here.
fn sampling(request: &CommonRequest, out: Object, dropped: &mut Dropped) -> Object {
    let hot = number(&request.temperature).is_some_and(|temperature| temperature > 1.0);
    request.drop_given(&[(hot, Field::Temperature)], dropped);
    let temperature = if hot { Some("1") } else { request.temperature.as_deref() };
    out.maybe_raw("temperature", temperature)
        .maybe_raw("top_p", request.top_p.as_deref())
        .maybe_raw("top_k", request.top_k.as_deref())
}

/// Newer models, and all while they reason, draw the next token as they see fit.
fn unsampled(request: &CommonRequest, out: Object, dropped: &mut Dropped) -> Object {
    let other = |given: &Option<String>| number(given).is_some_and(|number| number != 1.0);
    let given = [
        (other(&request.temperature), Field::Temperature),
        (other(&request.top_p), Field::TopP),
        (request.top_k.is_some(), Field::TopK),
    ];
    request.drop_given(&given, dropped);
    out
}

fn number(given: &Option<String>) -> Option<f64> {
    given.as_ref()?.parse().ok()
}

/// The system prompt as blocks, and the turns after it.
fn system(request: &CommonRequest) -> (Vec<String>, &[Turn]) {
    let is_not = |turn: &Turn| !matches!(turn.role, Role::System | Role::Developer);
    let until = request.turns.iter().position(is_not).unwrap_or(request.turns.len());
    let (first, rest) = request.turns.split_at(until);
    let mut blocks = Vec::new();
    for turn in first {
        let texts = system_texts(turn).map(|text| Object::of("text").text("text", text).end());
        blocks.extend(cached(texts.collect(), turn));
    }
    if request.format == Some(Format::Json) {
        blocks.push(Object::of("text").text("text", JSON_ALONE).end());
    }
    (blocks, rest)
}

/// What a system message says.
fn system_texts(turn: &Turn) -> impl Iterator<Item = &str> {
    turn.parts.iter().filter_map(Part::as_text).filter(|text| !text.is_empty())
}

/// `None` for a turn that says nothing: Anthropic takes no empty blocks. A system message among the others is the user's here, in a mark of its
/// own.
fn turn(turn: &Turn, dropped: &mut Dropped) -> Option<String> {
    let is_system = matches!(turn.role, Role::System | Role::Developer);
    let blocks = if is_system {
        let marked = |text| Object::of("text").text("text", &format!("<system>\n{text}\n</system>")).end();
        system_texts(turn).map(marked).collect()
    } else {
        blocks(&turn.parts, &turn.place, dropped)
    };
    let role = if turn.role == Role::Assistant { "assistant" } else { "user" };
    if blocks.is_empty() && turn.role != Role::User {
        return None;
    }
    if is_system {
        dropped.note(&format!("{}.role", turn.place));
    }
    Some(Object::new().text("role", role).raw("content", &list(&cached(blocks, turn))).end())
}

/// The blocks of a turn, with its mark on the last.
fn cached(mut blocks: Vec<String>, turn: &Turn) -> Vec<String> {
    if let (Some(last), Some(mark)) = (blocks.last_mut(), &turn.cache) {
        amend(last, "cache_control", mark);
    }
    blocks
}

fn blocks(parts: &[Part], place: &str, dropped: &mut Dropped) -> Vec<String> {
    let mut blocks = Vec::new();
    for part in parts {
        blocks.push(match part {
            Part::Text(text) | Part::Refusal(text) if text.is_empty() => continue,
            Part::Text(text) | Part::Refusal(text) => Object::of("text").text("text", text).end(),
            // Anthropic takes back what it has sealed itself.
            Part::Reasoning { text, seal: Some(seal) } if !is_ours(seal) => {
                Object::of("thinking").text("thinking", text).text("signature", seal).end()
            }
            Part::Reasoning { .. } => continue,
            Part::Image(source) => Object::of("image").raw("source", &self::source(source)).end(),
            Part::File { name, source } => {
                Object::of("document").raw("source", &self::source(source)).maybe_text("title", name.as_deref()).end()
            }
            Part::Call { id, name, arguments } => {
                if input(arguments).is_none() {
                    dropped.note(&format!("{place}.arguments"));
                }
                call(id, name, arguments)
            }
            Part::Result { id, parts, failed } => {
                let mut out = Object::of("tool_result").text("tool_use_id", id);
                let content = self::blocks(parts, place, dropped);
                if !content.is_empty() {
                    out = out.raw("content", &list(&content));
                }
                if *failed { out.flag("is_error", true).end() } else { out.end() }
            }
        });
    }
    blocks
}

fn call(id: &str, name: &str, arguments: &str) -> String {
    let input = input(arguments).map_or_else(|| unreadable(arguments), str::to_owned);
    Object::of("tool_use").text("id", id).text("name", name).raw("input", &input).end()
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
    let printed = Object::new()
        .text("name", &tool.name)
        .maybe_text("description", tool.description.as_deref())
        .raw("input_schema", tool.schema.as_deref().unwrap_or(r#"{"type":"object","properties":{}}"#))
        .maybe_flag("strict", tool.strict.filter(|strict| *strict))
        .maybe_raw("cache_control", tool.cache.as_deref());
    printed.end()
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

/// How much a model is to reason.
struct Thinking {
    /// The tokens that it may take, or for an effort, will take at most as a rule.
    tokens: u64,
    /// The effort, for models that are steered by one.
    effort: Option<&'static str>,
}

/// How much the model is to reason, if it is to. With a budget, Anthropic wants reasoning to go before each call in the last turn of tools; where
/// that came from elsewhere, the turn is finished without. It is left out, too, beside a call that is forced, and where the answer may not be
/// long enough.
fn thinking(request: &CommonRequest, effort: Option<&str>, claude: Claude, dropped: &mut Dropped) -> Option<Thinking> {
    let word = effort?;
    let effort = claude.effort(word)?;
    let tokens = match word {
        "minimal" => LEAST_THINKING,
        "low" => 2_048,
        "medium" => 8_192,
        "high" => 16_384,
        _ => 32_768,
    };
    let amid_tools = request.turns.last().is_some_and(|turn| matches!(turn.parts[..], [Part::Result { .. }, ..]));
    let room = request.max_tokens.map_or(u64::MAX, |most| most.saturating_sub(1));
    let forced = matches!(request.choice, Some(Choice::Required | Choice::Named(_)));
    if forced || (!claude.is_adaptive() && (amid_tools || room < LEAST_THINKING)) {
        dropped.note(request.name(Field::Effort));
        return None;
    }
    Some(Thinking { tokens: tokens.min(room), effort: claude.is_adaptive().then_some(effort) })
}

/// Writes an answer.
pub(crate) fn answer(answer: &CommonAnswer, envelope: &Envelope) -> String {
    let mut blocks = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Text(text) | Part::Refusal(text) => blocks.push(Object::of("text").text("text", text).end()),
            Part::Reasoning { text, .. } => {
                let block = Object::of("thinking").text("thinking", text).text("signature", &seal(&envelope.model));
                blocks.push(block.end());
            }
            // What a model wrote need not be JSON.
            Part::Call { id, name, arguments } => blocks.push(call(id, name, arguments)),
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
