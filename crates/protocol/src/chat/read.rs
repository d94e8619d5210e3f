//! Reading chat requests and answers.

use super::report;
use crate::endpoint::Protocol;
use crate::fields::{Fields, NOT_CARRIED, Refusal, elements, string};
use crate::form::{Choice, CommonAnswer, CommonRequest, Format, Part, Role, Source, Tool, Turn};

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
    fields.neutral("frequency_penalty", &["0", "0.0"]);
    fields.neutral("presence_penalty", &["0", "0.0"]);
    fields.neutral("logit_bias", &["{}"]);
    fields.neutral("modalities", &["[\"text\"]"]);

    request.stream = fields.flag("stream")?.unwrap_or(false);
    for (raw, place) in fields.array("messages")? {
        message(raw, place, &mut request)?;
    }
    for (raw, place) in fields.array("tools")? {
        request.tools.push(tool(raw, place)?);
    }
    request.choice = fields.take("tool_choice").map(choice).transpose()?;
    request.parallel = fields.flag("parallel_tool_calls")?;
    let (old, new) = (fields.count("max_tokens")?, fields.count("max_completion_tokens")?);
    request.max_tokens = new.or(old);
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    request.stop = match fields.take("stop") {
        None => Vec::new(),
        Some(one) if one.starts_with('"') => string(one).into_iter().map(String::from).collect(),
        Some(many) => {
            serde_json::from_str(many).map_err(|_| Refusal::new("stop", "must be a string or an array of strings"))?
        }
    };
    request.format = fields.object("response_format")?.map(format).transpose()?.flatten();
    request.effort = fields.text("reasoning_effort")?;
    request.verbosity = fields.text("verbosity")?;
    request.read_caller(&mut fields)?;
    fields.done()?;
    Ok(request)
}

fn message(raw: &str, place: String, request: &mut CommonRequest) -> Result<(), Refusal> {
    let mut fields = Fields::parse(raw, place.clone())?;
    let role = fields.required("role")?;
    let content = fields.take("content");
    let content_place = fields.at("content");
    let mut parts = content.map_or(Ok(Vec::new()), |content| self::content(content, &content_place))?;
    let role = match role.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "tool" => {
            let id = fields.required("tool_call_id")?;
            fields.done()?;
            request.join(Role::User, Part::Result { id, parts, failed: false }, place);
            return Ok(());
        }
        "assistant" => {
            // Reasoning is what another answer was made with; nobody but its model takes it back.
            fields.hints(&["reasoning_content", "reasoning", "annotations", "provider_specific_fields"]);
            parts.extend(fields.text("refusal")?.map(Part::Refusal));
            for (raw, place) in fields.array("tool_calls")? {
                parts.push(call(raw, place)?);
            }
            Role::Assistant
        }
        _ => {
            let what = "must be \"system\", \"developer\", \"user\", \"assistant\" or \"tool\"";
            return Err(Refusal::new(fields.at("role"), what));
        }
    };
    fields.done()?;
    request.turns.push(Turn { role, parts, place });
    Ok(())
}

/// Text, or an array of parts.
fn content(raw: &str, place: &str) -> Result<Vec<Part>, Refusal> {
    if let Some(text) = string(raw) {
        return Ok(vec![Part::Text(text.into_owned())]);
    }
    let parts = elements(raw, place).map_err(|_| Refusal::new(place, "must be a string or an array of parts"))?;
    parts.into_iter().map(|(raw, place)| part(raw, place)).collect()
}

fn part(raw: &str, place: String) -> Result<Part, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    fields.hints(&["cache_control"]);
    let kind = fields.required("type")?;
    let part = match kind.as_str() {
        "text" => Part::Text(fields.required("text")?),
        "refusal" => Part::Refusal(fields.required("refusal")?),
        "image_url" => {
            let mut image =
                fields.object("image_url")?.ok_or_else(|| Refusal::new(fields.at("image_url"), "is missing"))?;
            image.hints(&["detail"]);
            let source = Source::from_url(image.required("url")?, &image.at("url"))?;
            image.done()?;
            Part::Image(source)
        }
        "file" => {
            let mut file = fields.object("file")?.ok_or_else(|| Refusal::new(fields.at("file"), "is missing"))?;
            let name = file.text("filename")?;
            let data = file.text("file_data")?;
            let place = file.at("file_data");
            // A file that was uploaded before is known to one provider only.
            file.done()?;
            Part::File { name, source: Source::from_url(data.unwrap_or_default(), &place)? }
        }
        _ => return Err(Refusal::new(fields.at("type"), NOT_CARRIED)),
    };
    fields.done()?;
    Ok(part)
}

fn call(raw: &str, place: String) -> Result<Part, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    // Gemini's seals, among others.
    fields.hints(&["index", "extra_content"]);
    function_only(&mut fields)?;
    let id = fields.required("id")?;
    let mut function = fields.object("function")?.ok_or_else(|| Refusal::new(fields.at("function"), "is missing"))?;
    let (name, arguments) = (function.required("name")?, function.text("arguments")?.unwrap_or_default());
    function.done()?;
    fields.done()?;
    Ok(Part::Call { id, name, arguments })
}

fn tool(raw: &str, place: String) -> Result<Tool, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    function_only(&mut fields)?;
    fields.hints(&["cache_control"]);
    let mut function = fields.object("function")?.ok_or_else(|| Refusal::new(fields.at("function"), "is missing"))?;
    let tool = Tool {
        name: function.required("name")?,
        description: function.text("description")?,
        schema: function.take("parameters").map(str::to_owned),
        strict: function.flag("strict")?,
    };
    function.done()?;
    fields.done()?;
    Ok(tool)
}

fn function_only(fields: &mut Fields<'_>) -> Result<(), Refusal> {
    match fields.text("type")?.as_deref() {
        None | Some("function") => Ok(()),
        Some(_) => Err(Refusal::new(fields.at("type"), NOT_CARRIED)),
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
    let name = function.required("name")?;
    function.done()?;
    fields.done()?;
    Ok(Choice::Named(name))
}

fn format(mut fields: Fields<'_>) -> Result<Option<Format>, Refusal> {
    let format = match fields.required("type")?.as_str() {
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
            inner.done()?;
            Some(format)
        }
        _ => return Err(Refusal::new(fields.at("type"), NOT_CARRIED)),
    };
    fields.done()?;
    Ok(format)
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
    parts.extend(reasoning.filter(|text| !text.is_empty()).map(Part::Reasoning));
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
        let (name, arguments) = (function.required("name")?, function.text("arguments")?.unwrap_or_default());
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
