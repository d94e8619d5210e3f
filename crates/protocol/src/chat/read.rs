//! Reading chat requests and answers.

use super::report;
use crate::dropped::Dropped;
use crate::endpoint::Protocol;
use crate::fields::{Fields, Refusal, elements, string};
use crate::form::{Choice, CommonAnswer, CommonRequest, Format, Offer, Part, Role, Source, Tool, Turn};

/// The strongest penalty that counts as mild: up to here OpenAI's reference expects the same answer with fewer repetitions.
const MILD_PENALTY: f64 = 1.0;

/// Members of a request without which the answer would mean something else.
const ESSENTIAL: [&str; 7] =
    ["n", "logit_bias", "modalities", "audio", "functions", "function_call", "web_search_options"];

/// A part of a message, and Anthropic's mark, raw, that a cache is to keep all up to its end.
type Marked = (Part, Option<String>);

/// Reads a request.
pub(crate) fn request(body: &str) -> Result<CommonRequest, Refusal> {
    let mut fields = Fields::parse(body, "")?;
    let mut request = CommonRequest::new(Protocol::Chat);
    fields.hints(&["model", "stream_options", "prompt_cache_retention"]);
    // What these say holds anyway.
    fields.neutral("n", &["1"]);
    fields.neutral("store", &["false"]);
    fields.neutral("logprobs", &["false"]);
    fields.neutral("top_logprobs", &["0"]);
    penalty("frequency_penalty", &mut fields, &mut request.dropped)?;
    penalty("presence_penalty", &mut fields, &mut request.dropped)?;
    fields.neutral("logit_bias", &["{}"]);
    fields.neutral("modalities", &["[\"text\"]"]);

    request.stream = fields.flag("stream")?.unwrap_or(false);
    for (raw, place) in fields.array("messages")? {
        message(raw, place, &mut request)?;
    }
    let tools = fields.array("tools")?.into_iter();
    let tools = tools.map(|(raw, place)| tool(raw, place, &mut request.dropped)).collect::<Result<Vec<_>, _>>()?;
    request.offer(tools)?;
    request.choose(fields.take("tool_choice").map(choice).transpose()?)?;
    request.parallel = fields.flag("parallel_tool_calls")?;
    let (old, new) = (fields.count("max_tokens")?, fields.count("max_completion_tokens")?);
    request.max_tokens = new.or(old);
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    request.top_k = fields.number("top_k")?;
    request.stop = match fields.take("stop") {
        None => Vec::new(),
        Some(one) if one.starts_with('"') => string(one).into_iter().map(String::from).collect(),
        Some(many) => {
            serde_json::from_str(many).map_err(|_| Refusal::new("stop", "must be a string or an array of strings"))?
        }
    };
    if let Some(given) = fields.object("response_format")? {
        request.format = format(given, &mut request.dropped)?;
    }
    request.effort = fields.text("reasoning_effort")?;
    request.verbosity = fields.text("verbosity")?;
    request.read_caller(&mut fields)?;
    fields.refuse(&ESSENTIAL)?;
    fields.drop_rest(&mut request.dropped);
    Ok(request)
}

/// A penalty on repetitions, of which no other protocol has one: a mild one is left out.
fn penalty(name: &str, fields: &mut Fields<'_>, dropped: &mut Dropped) -> Result<(), Refusal> {
    fields.neutral(name, &["0", "0.0"]);
    match fields.number(name)? {
        Some(number) if number.parse().is_ok_and(|number: f64| number.abs() > MILD_PENALTY) => {
            return Err(Refusal::not_carried(name, &number));
        }
        Some(_) => dropped.note(name),
        None => {}
    }
    Ok(())
}

fn message(raw: &str, place: String, request: &mut CommonRequest) -> Result<(), Refusal> {
    let mut fields = Fields::parse(raw, place.clone())?;
    let role = fields.required("role")?;
    let content = fields.take("content");
    let content_place = fields.at("content");
    // Up to where a cache is to keep the conversation, in the words that LiteLLM and OpenRouter have for it.
    let cache = fields.take("cache_control").map(str::to_owned);
    let dropped = &mut request.dropped;
    let mut said = content.map_or(Ok(Vec::new()), |content| self::content(content, &content_place, dropped))?;
    let role = match role.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "tool" => {
            let id = fields.required("tool_call_id")?;
            fields.drop_rest(dropped);
            let cache = cache.or_else(|| said.last_mut().and_then(|(_, mark)| mark.take()));
            let parts = said.into_iter().map(|(part, _)| part).collect();
            request.join(Role::User, Part::Result { id, parts, failed: false }, place);
            if let (Some(turn), Some(_)) = (request.turns.last_mut(), &cache) {
                turn.cache = cache;
            }
            return Ok(());
        }
        "assistant" => {
            // Reasoning is what another answer was made with; nobody but its model takes it back, and without a seal not that either.
            fields.hints(&["reasoning_content", "reasoning", "annotations", "provider_specific_fields"]);
            said.splice(0..0, thinking(&mut fields)?.into_iter().map(unmarked));
            said.extend(fields.text("refusal")?.map(Part::Refusal).map(unmarked));
            for (raw, place) in fields.array("tool_calls")? {
                said.push(unmarked(call(raw, place, dropped)?));
            }
            fields.refuse(&["audio", "function_call"])?;
            Role::Assistant
        }
        _ => {
            let what = "must be \"system\", \"developer\", \"user\", \"assistant\" or \"tool\"";
            return Err(Refusal::new(fields.at("role"), what));
        }
    };
    fields.drop_rest(dropped);
    let mut turn = Turn::new(role, Vec::new(), place);
    for (part, mark) in said {
        // A turn has one mark, at its end: what comes after it is another turn of the same side.
        if turn.cache.is_some() && role != Role::Assistant {
            let next = Turn::new(role, Vec::new(), turn.place.clone());
            request.turns.push(std::mem::replace(&mut turn, next));
        }
        turn.parts.push(part);
        turn.cache = mark.or(turn.cache);
    }
    turn.cache = cache.or(turn.cache);
    request.turns.push(turn);
    Ok(())
}

fn unmarked(part: Part) -> Marked {
    (part, None)
}

/// Reasoning that a Claude has sealed, in the words that LiteLLM has for it.
fn thinking(fields: &mut Fields<'_>) -> Result<Vec<Part>, Refusal> {
    let mut parts = Vec::new();
    for (raw, place) in fields.array("thinking_blocks")? {
        let mut block = Fields::parse(raw, place)?;
        if block.text("type")?.as_deref() == Some("thinking") {
            parts.push(Part::Reasoning { text: block.required("thinking")?, seal: block.text("signature")? });
        }
    }
    Ok(parts)
}

/// Text, or an array of parts.
fn content(raw: &str, place: &str, dropped: &mut Dropped) -> Result<Vec<Marked>, Refusal> {
    if let Some(text) = string(raw) {
        return Ok(vec![unmarked(Part::Text(text.into_owned()))]);
    }
    let parts = elements(raw, place).map_err(|_| Refusal::new(place, "must be a string or an array of parts"))?;
    parts.into_iter().map(|(raw, place)| part(raw, place, dropped)).collect()
}

fn part(raw: &str, place: String, dropped: &mut Dropped) -> Result<Marked, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    let mark = fields.take("cache_control").map(str::to_owned);
    let kind = fields.required("type")?;
    let part = match kind.as_str() {
        "text" => Part::Text(fields.required("text")?),
        "refusal" => Part::Refusal(fields.required("refusal")?),
        "image_url" => {
            let mut image =
                fields.object("image_url")?.ok_or_else(|| Refusal::new(fields.at("image_url"), "is missing"))?;
            image.hints(&["detail"]);
            let source = Source::from_url(image.required("url")?, &image.at("url"))?;
            image.drop_rest(dropped);
            Part::Image(source)
        }
        "file" => {
            let mut file = fields.object("file")?.ok_or_else(|| Refusal::new(fields.at("file"), "is missing"))?;
            let name = file.text("filename")?;
            let data = file.text("file_data")?;
            let place = file.at("file_data");
            // A file that was uploaded before is known to one provider only.
            file.refuse(&["file_id"])?;
            file.drop_rest(dropped);
            Part::File { name, source: Source::from_url(data.unwrap_or_default(), &place)? }
        }
        _ => return Err(Refusal::not_carried(fields.at("type"), &kind)),
    };
    fields.drop_rest(dropped);
    Ok((part, mark))
}

fn call(raw: &str, place: String, dropped: &mut Dropped) -> Result<Part, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    // Gemini's seals, among others.
    fields.hints(&["index", "extra_content"]);
    function_only(&mut fields)?;
    let id = fields.required("id")?;
    let mut function = fields.object("function")?.ok_or_else(|| Refusal::new(fields.at("function"), "is missing"))?;
    let (name, arguments) = (function.required("name")?, function.text_or_raw("arguments").unwrap_or_default());
    function.drop_rest(dropped);
    fields.drop_rest(dropped);
    Ok(Part::Call { id, name, arguments })
}

fn tool(raw: &str, place: String, dropped: &mut Dropped) -> Result<Offer, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    if let Err(refusal) = function_only(&mut fields) {
        return Ok(Offer::Foreign(refusal));
    }
    let mut function = fields.object("function")?.ok_or_else(|| Refusal::new(fields.at("function"), "is missing"))?;
    let (outer, inner) = (fields.take("cache_control"), function.take("cache_control"));
    let tool = Tool {
        name: function.required("name")?,
        description: function.text("description")?,
        schema: function.take("parameters").map(str::to_owned),
        strict: function.flag("strict")?,
        cache: outer.or(inner).map(str::to_owned),
        origin: None,
    };
    function.drop_rest(dropped);
    fields.drop_rest(dropped);
    Ok(Offer::Tools(vec![tool]))
}

fn function_only(fields: &mut Fields<'_>) -> Result<(), Refusal> {
    match fields.text("type")?.as_deref() {
        None | Some("function") => Ok(()),
        Some(other) => Err(Refusal::not_carried(fields.at("type"), other)),
    }
}

fn choice(raw: &str) -> Result<Choice, Refusal> {
    match string(raw).as_deref() {
        Some("auto") => return Ok(Choice::Auto),
        Some("none") => return Ok(Choice::None),
        Some("required") => return Ok(Choice::Required),
        Some(_) => return Err(Refusal::new("tool_choice", "must be \"auto\", \"none\", \"required\" or a function")),
        None => {}
    }
    let mut fields = Fields::parse(raw, "tool_choice")?;
    function_only(&mut fields)?;
    let mut function = fields.object("function")?.ok_or_else(|| Refusal::new("tool_choice.function", "is missing"))?;
    Ok(Choice::Named(function.required("name")?))
}

fn format(mut fields: Fields<'_>, dropped: &mut Dropped) -> Result<Option<Format>, Refusal> {
    let kind = fields.required("type")?;
    let format = match kind.as_str() {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => {
            let mut inner =
                fields.object("json_schema")?.ok_or_else(|| Refusal::new(fields.at("json_schema"), "is missing"))?;
            let schema = inner.take("schema").ok_or_else(|| Refusal::new(inner.at("schema"), "is missing"))?.to_owned();
            let format = Format::Schema {
                name: inner.text("name")?,
                description: inner.text("description")?,
                schema,
                strict: inner.flag("strict")?,
            };
            inner.drop_rest(dropped);
            Some(format)
        }
        _ => return Err(Refusal::not_carried(fields.at("type"), &kind)),
    };
    fields.drop_rest(dropped);
    Ok(format)
}

/// The format that a `response_format` asks for; `None` for text, or for what is no format.
pub(crate) fn read_format(raw: &str) -> Option<Format> {
    format(Fields::parse(raw, "").ok()?, &mut Dropped::default()).ok()?
}

/// Reads an answer of one choice; of more, the first. What it says beyond the common form is left out.
pub(crate) fn answer(body: &str) -> Result<CommonAnswer, Refusal> {
    let mut fields = Fields::parse(body, "")?;
    let choices = fields.array("choices")?;
    let (raw, place) = choices.into_iter().next().ok_or_else(|| Refusal::new("choices", "is empty"))?;
    let mut choice = Fields::parse(raw, place)?;
    let mut message = choice.object("message")?.ok_or_else(|| Refusal::new(choice.at("message"), "is missing"))?;
    let mut parts = Vec::new();
    let reasoning = [message.text("reasoning_content")?, message.text("reasoning")?].into_iter().flatten().next();
    parts.extend(reasoning.filter(|text| !text.is_empty()).map(Part::reasoning));
    let place = message.at("content");
    match message.take("content") {
        None | Some("\"\"") => {}
        Some(raw) => match string(raw) {
            Some(text) => parts.push(Part::Text(text.into_owned())),
            None => {
                for (raw, place) in elements(raw, &place)? {
                    let mut part = Fields::parse(raw, place)?;
                    if part.text("type")?.as_deref() == Some("text") {
                        parts.push(Part::Text(part.required("text")?));
                    }
                }
            }
        },
    }
    parts.extend(message.text("refusal")?.filter(|text| !text.is_empty()).map(Part::Refusal));
    let calls = message.array("tool_calls")?;
    let any_calls = !calls.is_empty();
    for (index, (raw, place)) in calls.into_iter().enumerate() {
        let mut fields = Fields::parse(raw, place)?;
        let id = fields.text("id")?.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{index}"));
        let mut function =
            fields.object("function")?.ok_or_else(|| Refusal::new(fields.at("function"), "is missing"))?;
        let (name, arguments) = (function.required("name")?, function.text_or_raw("arguments").unwrap_or_default());
        parts.push(Part::Call { id, name, arguments });
    }
    let word = choice.text("finish_reason")?.unwrap_or_default();
    let sequence = choice.take("stop_reason").and_then(string).map(String::from);
    Ok(CommonAnswer {
        id: fields.text("id")?,
        model: fields.text("model")?,
        parts,
        stop: report::stop(&word, sequence).or_tools(any_calls),
        usage: fields.take("usage").and_then(report::read_usage),
    })
}
