//! Reading responses requests and answers.

use super::foreign::reference;
use super::{report, tools};
use crate::dropped::Dropped;
use crate::endpoint::Protocol;
use crate::fields::{Fields, Refusal, elements, string};
use crate::form::{Choice, CommonAnswer, CommonRequest, Format, Part, Role, Source, Turn};
use crate::seal::is_ours;

/// Members of a request without which the answer would mean something else.
const ESSENTIAL: [&str; 3] = ["background", "conversation", "prompt"];

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
    fields.refuse(&ESSENTIAL)?;
    if fields.take("previous_response_id").is_some() {
        let what = "names an answer that is kept by one provider only: send the whole conversation as `input`";
        return Err(Refusal::new("previous_response_id", what));
    }

    request.stream = fields.flag("stream")?.unwrap_or(false);
    if let Some(text) = fields.text("instructions")? {
        let turn = Turn::new(Role::System, vec![Part::Text(text)], "instructions");
        request.turns.push(turn);
    }
    let input = fields.take("input").ok_or_else(|| Refusal::new("input", "is missing"))?;
    if let Some(text) = string(input) {
        let parts = vec![Part::Text(text.into_owned())];
        request.turns.push(Turn::new(Role::User, parts, "input"));
    } else {
        let items = elements(input, "input").map_err(|_| Refusal::new("input", "must be a string or an array"))?;
        for (raw, place) in items {
            item(raw, place, &mut request)?;
        }
    }
    let tools = fields.array("tools")?.into_iter();
    let tools =
        tools.map(|(raw, place)| tools::tool(raw, place, &mut request.dropped)).collect::<Result<Vec<_>, _>>()?;
    request.offer(tools)?;
    request.choose(fields.take("tool_choice").map(choice).transpose()?)?;
    request.parallel = fields.flag("parallel_tool_calls")?;
    request.max_tokens = fields.count("max_output_tokens")?;
    request.temperature = fields.number("temperature")?;
    request.top_p = fields.number("top_p")?;
    if let Some(mut text) = fields.object("text")? {
        if let Some(given) = text.object("format")? {
            request.format = format(given, &mut request.dropped)?;
        }
        request.verbosity = text.text("verbosity")?;
        text.drop_rest(&mut request.dropped);
    }
    if let Some(mut reasoning) = fields.object("reasoning")? {
        request.effort = reasoning.text("effort")?;
        let summary = [reasoning.text("summary")?, reasoning.text("generate_summary")?];
        request.show_reasoning = summary.iter().any(Option::is_some);
        reasoning.drop_rest(&mut request.dropped);
    }
    request.read_caller(&mut fields)?;
    fields.drop_rest(&mut request.dropped);
    Ok(request)
}

fn item(raw: &str, place: String, request: &mut CommonRequest) -> Result<(), Refusal> {
    let mut fields = Fields::parse(raw, place.clone())?;
    let kind = fields.text("type")?;
    // What an earlier answer said of its items.
    fields.hints(&["id", "status", "phase"]);
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
            let parts = content(raw, &at, &mut request.dropped)?;
            if role == Role::Assistant {
                for part in parts {
                    request.join(role, part, place.clone());
                }
            } else {
                request.turns.push(Turn::new(role, parts, place));
            }
        }
        Some("function_call") => {
            let (id, name) = (fields.required("call_id")?, tools::function(&mut fields)?);
            let missing = Refusal::new(fields.at("arguments"), "is missing");
            let call = Part::Call { id, name, arguments: fields.text_or_raw("arguments").ok_or(missing)? };
            request.join(Role::Assistant, call, place);
        }
        Some("custom_tool_call") => {
            let (id, name) = (fields.required("call_id")?, tools::function(&mut fields)?);
            let call = Part::Call { id, name, arguments: tools::arguments(&fields.required("input")?) };
            request.join(Role::Assistant, call, place);
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            // What its call says already.
            fields.hints(&["name", "namespace"]);
            let at = fields.at("output");
            let raw = fields.take("output").ok_or_else(|| Refusal::new(at.clone(), "is missing"))?;
            let parts = content(raw, &at, &mut request.dropped)?;
            let result = Part::Result { id: fields.required("call_id")?, parts, failed: false };
            request.join(Role::User, result, place);
        }
        Some("reasoning") => {
            let seal = fields.text("encrypted_content")?.filter(|seal| is_ours(seal));
            let text = reasoning(&mut fields)?;
            if let (Some(text), Some(_)) = (text, &seal) {
                request.join(Role::Assistant, Part::Reasoning { text, seal }, place);
            }
        }
        // The search is over, and the answer after it says what it found.
        Some("web_search_call") => {
            request.dropped.note(&place);
            return Ok(());
        }
        Some("item_reference") => return Err(reference(place)),
        Some(kind) => return Err(Refusal::not_carried(fields.at("type"), kind)),
    }
    fields.drop_rest(&mut request.dropped);
    Ok(())
}

fn content(raw: &str, place: &str, dropped: &mut Dropped) -> Result<Vec<Part>, Refusal> {
    if let Some(text) = string(raw) {
        return Ok(vec![Part::Text(text.into_owned())]);
    }
    let parts = elements(raw, place).map_err(|_| Refusal::new(place, "must be a string or an array of parts"))?;
    parts.into_iter().map(|(raw, place)| part(raw, place, dropped)).collect()
}

fn part(raw: &str, place: String, dropped: &mut Dropped) -> Result<Part, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    let kind = fields.required("type")?;
    let part = match kind.as_str() {
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
                    fields.refuse(&["file_id"])?;
                    return Err(Refusal::new(fields.at("file_data"), "is missing"));
                }
            };
            Part::File { name, source }
        }
        _ => return Err(Refusal::not_carried(fields.at("type"), &kind)),
    };
    fields.drop_rest(dropped);
    Ok(part)
}

fn choice(raw: &str) -> Result<Choice, Refusal> {
    match string(raw).as_deref() {
        Some("auto") => return Ok(Choice::Auto),
        Some("none") => return Ok(Choice::None),
        Some("required") => return Ok(Choice::Required),
        Some(_) => return Err(Refusal::new("tool_choice", "must be \"auto\", \"none\", \"required\" or a function")),
        None => {}
    }
    tools::choice(Fields::parse(raw, "tool_choice")?)
}

/// The format that a member `text` asks for; `None` for text, or for what is no format.
pub(crate) fn read_format(raw: &str) -> Option<Format> {
    let given = Fields::parse(raw, "").ok()?.object("format").ok()??;
    format(given, &mut Dropped::default()).ok()?
}

fn format(mut fields: Fields<'_>, dropped: &mut Dropped) -> Result<Option<Format>, Refusal> {
    let kind = fields.required("type")?;
    let format = match kind.as_str() {
        "text" => None,
        "json_object" => Some(Format::Json),
        "json_schema" => {
            let schema =
                fields.take("schema").ok_or_else(|| Refusal::new(fields.at("schema"), "is missing"))?.to_owned();
            let (name, description) = (fields.text("name")?, fields.text("description")?);
            Some(Format::Schema { name, description, schema, strict: fields.flag("strict")? })
        }
        _ => return Err(Refusal::not_carried(fields.at("type"), &kind)),
    };
    fields.drop_rest(dropped);
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
            "reasoning" => parts.extend(reasoning(&mut item)?.map(Part::reasoning)),
            "function_call" => {
                let (id, name) = (item.required("call_id")?, item.required("name")?);
                parts.push(Part::Call { id, name, arguments: item.text_or_raw("arguments").unwrap_or_default() });
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
