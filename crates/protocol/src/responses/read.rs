//! Reading responses requests and answers.

use super::report;
use crate::endpoint::Protocol;
use crate::fields::{Fields, NOT_CARRIED, Refusal, elements, string};
use crate::form::{Choice, CommonAnswer, CommonRequest, Format, Part, Role, Source, Tool, Turn};

/// Reads a request.
pub(crate) fn request(body: &str) -> Result<CommonRequest, Refusal> {
    let mut fields = Fields::parse(body, "")?;
    let mut request = CommonRequest::new(Protocol::Responses);
    fields.hints(&["model", "stream_options", "prompt_cache_retention"]);
    fields.neutral("store", &["false"]);
    fields.neutral("background", &["false"]);
    fields.neutral("truncation", &["\"disabled\""]);
    fields.neutral("top_logprobs", &["0"]);
    // Sealed reasoning comes from OpenAI's models alone: where there is none, there is none to send.
    fields.neutral("include", &["[]", r#"["reasoning.encrypted_content"]"#]);
    if fields.take("previous_response_id").is_some() {
        let what = "names an answer that is kept by one provider only: send the whole conversation as `input`";
        return Err(Refusal::new("previous_response_id", what));
    }

    request.stream = fields.flag("stream")?.unwrap_or(false);
    if let Some(text) = fields.text("instructions")? {
        let turn = Turn { role: Role::System, parts: vec![Part::Text(text)], place: "instructions".to_owned() };
        request.turns.push(turn);
    }
    let input = fields.take("input").ok_or_else(|| Refusal::new("input", "is missing"))?;
    if let Some(text) = string(input) {
        let parts = vec![Part::Text(text.into_owned())];
        request.turns.push(Turn { role: Role::User, parts, place: "input".to_owned() });
    } else {
        let items = elements(input, "input").map_err(|_| Refusal::new("input", "must be a string or an array"))?;
        for (raw, place) in items {
            item(raw, place, &mut request)?;
        }
    }
    for (raw, place) in fields.array("tools")? {
        request.tools.push(tool(raw, place)?);
    }
    request.choice = fields.take("tool_choice").map(choice).transpose()?;
    request.parallel = fields.flag("parallel_tool_calls")?;
    request.max_tokens = fields.count("max_output_tokens")?;
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    if let Some(mut text) = fields.object("text")? {
        request.format = text.object("format")?.map(format).transpose()?.flatten();
        request.verbosity = text.text("verbosity")?;
        text.done()?;
    }
    if let Some(mut reasoning) = fields.object("reasoning")? {
        request.effort = reasoning.text("effort")?;
        let summary = [reasoning.text("summary")?, reasoning.text("generate_summary")?];
        request.show_reasoning = summary.iter().any(Option::is_some);
        reasoning.done()?;
    }
    request.read_caller(&mut fields)?;
    fields.done()?;
    Ok(request)
}

fn item(raw: &str, place: String, request: &mut CommonRequest) -> Result<(), Refusal> {
    let mut fields = Fields::parse(raw, place.clone())?;
    let kind = fields.text("type")?;
    // What an earlier answer said of its items.
    if kind.as_deref() != Some("item_reference") {
        fields.hints(&["id", "status", "phase"]);
    }
    match kind.as_deref() {
        None | Some("message") => {
            let role = match fields.required("role")?.as_str() {
                "system" => Role::System,
                "developer" => Role::Developer,
                "user" => Role::User,
                "assistant" => Role::Assistant,
                _ => return Err(Refusal::new(fields.at("role"), "must be system, developer, user or assistant")),
            };
            let at = fields.at("content");
            let raw = fields.take("content").ok_or_else(|| Refusal::new(at.clone(), "is missing"))?;
            let parts = content(raw, &at)?;
            if role == Role::Assistant {
                for part in parts {
                    request.join(role, part, place.clone());
                }
            } else {
                request.turns.push(Turn { role, parts, place });
            }
        }
        Some("function_call") => {
            let (id, name) = (fields.required("call_id")?, fields.required("name")?);
            let call = Part::Call { id, name, arguments: fields.required("arguments")? };
            request.join(Role::Assistant, call, place);
        }
        Some("function_call_output") => {
            let at = fields.at("output");
            let raw = fields.take("output").ok_or_else(|| Refusal::new(at.clone(), "is missing"))?;
            let result = Part::Result { id: fields.required("call_id")?, parts: content(raw, &at)?, failed: false };
            request.join(Role::User, result, place);
        }
        Some("reasoning") => {
            fields.hints(&["summary", "content", "encrypted_content"]);
        }
        Some(_) => return Err(Refusal::new(fields.at("type"), NOT_CARRIED)),
    }
    fields.done()
}

fn content(raw: &str, place: &str) -> Result<Vec<Part>, Refusal> {
    if let Some(text) = string(raw) {
        return Ok(vec![Part::Text(text.into_owned())]);
    }
    let parts = elements(raw, place).map_err(|_| Refusal::new(place, "must be a string or an array of parts"))?;
    parts.into_iter().map(|(raw, place)| part(raw, place)).collect()
}

fn part(raw: &str, place: String) -> Result<Part, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    let part = match fields.required("type")?.as_str() {
        "input_text" => Part::Text(fields.required("text")?),
        "output_text" => {
            fields.hints(&["annotations", "logprobs"]);
            Part::Text(fields.required("text")?)
        }
        "refusal" => Part::Refusal(fields.required("refusal")?),
        "input_image" => {
            fields.hints(&["detail"]);
            Part::Image(Source::from_url(fields.required("image_url")?, &fields.at("image_url"))?)
        }
        "input_file" => {
            fields.hints(&["detail"]);
            let name = fields.text("filename")?;
            let source = match (fields.text("file_data")?, fields.text("file_url")?) {
                (Some(data), _) => Source::from_url(data, &fields.at("file_data"))?,
                (None, Some(url)) => Source::from_url(url, &fields.at("file_url"))?,
                // Named by an id: known to one provider only.
                (None, None) => {
                    fields.done()?;
                    return Err(Refusal::new("input", "has a file without data"));
                }
            };
            Part::File { name, source }
        }
        _ => return Err(Refusal::new(fields.at("type"), NOT_CARRIED)),
    };
    fields.done()?;
    Ok(part)
}

fn tool(raw: &str, place: String) -> Result<Tool, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    if fields.required("type")? != "function" {
        return Err(Refusal::new(fields.at("type"), NOT_CARRIED));
    }
    let tool = Tool {
        name: fields.required("name")?,
        description: fields.text("description")?,
        schema: fields.take("parameters").map(str::to_owned),
        strict: fields.flag("strict")?,
    };
    fields.done()?;
    Ok(tool)
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
    if fields.required("type")? != "function" {
        return Err(Refusal::new("tool_choice.type", NOT_CARRIED));
    }
    let name = fields.required("name")?;
    fields.done()?;
    Ok(Choice::Named(name))
}

fn format(mut fields: Fields<'_>) -> Result<Option<Format>, Refusal> {
    let format = match fields.required("type")?.as_str() {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => {
            let schema =
                fields.take("schema").ok_or_else(|| Refusal::new(fields.at("schema"), "is missing"))?.to_owned();
            let (name, description) = (fields.text("name")?, fields.text("description")?);
            Some(Format::Schema { name, description, schema, strict: fields.flag("strict")? })
        }
        _ => return Err(Refusal::new(fields.at("type"), NOT_CARRIED)),
    };
    fields.done()?;
    Ok(format)
}

/// Reads an answer. Items beyond the common form are left out: what was asked for cannot have called for them.
pub(crate) fn answer(body: &str) -> Result<CommonAnswer, Refusal> {
    let mut fields = Fields::parse(body, "")?;
    let output = fields.take("output").ok_or_else(|| Refusal::new("output", "is missing"))?;
    let mut parts = Vec::new();
    for (raw, place) in elements(output, "output")? {
        let mut item = Fields::parse(raw, place)?;
        match item.required("type")?.as_str() {
            "message" => {
                for (raw, place) in item.array("content")? {
                    let mut content = Fields::parse(raw, place)?;
                    match content.required("type")?.as_str() {
                        "output_text" => parts.push(Part::Text(content.required("text")?)),
                        "refusal" => parts.push(Part::Refusal(content.required("refusal")?)),
                        _ => {}
                    }
                }
            }
            "reasoning" => parts.extend(reasoning(&mut item)?.map(Part::Reasoning)),
            "function_call" => {
                let (id, name) = (item.required("call_id")?, item.required("name")?);
                parts.push(Part::Call { id, name, arguments: item.text("arguments")?.unwrap_or_default() });
            }
            _ => {}
        }
    }
    let any_calls = parts.iter().any(|part| matches!(part, Part::Call { .. }));
    let status = fields.text("status")?.unwrap_or_default();
    let reason = match fields.object("incomplete_details")? {
        Some(mut details) => details.text("reason")?,
        None => None,
    };
    Ok(CommonAnswer {
        id: fields.text("id")?,
        model: fields.text("model")?,
        parts,
        stop: report::stop(&status, reason.as_deref(), any_calls),
        usage: fields.take("usage").and_then(report::read_usage),
    })
}

/// The text of a reasoning item: what it says in full, or else its summary.
fn reasoning(item: &mut Fields<'_>) -> Result<Option<String>, Refusal> {
    let mut texts: [Vec<String>; 2] = Default::default();
    for (name, texts) in ["content", "summary"].into_iter().zip(&mut texts) {
        for (raw, place) in item.array(name)? {
            texts.push(Fields::parse(raw, place)?.text("text")?.unwrap_or_default());
        }
    }
    let [full, summary] = texts.map(|texts| texts.join("\n\n"));
    Ok([full, summary].into_iter().find(|text| !text.is_empty()))
}
