//! Tools, of which this protocol has more kinds than the others.

use crate::dropped::Dropped;
use crate::fields::{Fields, Refusal};
use crate::form::{Choice, Disguise, Offer, Tool};
use crate::json::quote;
use crate::print::Object;

/// The member that holds the text of a tool that takes one, where it is a function.
const INPUT: &str = "input";

/// Reads an entry of the tools.
pub(super) fn tool(raw: &str, place: String, dropped: &mut Dropped) -> Result<Offer, Refusal> {
    let mut fields = Fields::parse(raw, place)?;
    let kind = fields.required("type")?;
    if kind != "namespace" {
        return one(&kind, fields, None, dropped);
    }
    let namespace = fields.required("name")?;
    fields.hints(&["description"]);
    let mut tools = Vec::new();
    for (raw, place) in fields.array("tools")? {
        let mut inner = Fields::parse(raw, place)?;
        let kind = inner.required("type")?;
        match one(&kind, inner, Some(&namespace), dropped)? {
            Offer::Tools(inner) => tools.extend(inner),
            Offer::Foreign(refusal) => dropped.note(&refusal.param),
        }
    }
    fields.drop_rest(dropped);
    Ok(Offer::Tools(tools))
}

/// Reads a tool of this kind.
fn one(kind: &str, mut fields: Fields<'_>, namespace: Option<&str>, dropped: &mut Dropped) -> Result<Offer, Refusal> {
    let takes_text = match kind {
        "function" => false,
        "custom" => true,
        other => return Ok(Offer::Foreign(Refusal::not_carried(fields.at("type"), other))),
    };
    let disguise = disguise(fields.required("name")?, namespace.map(str::to_owned), takes_text);
    let description = fields.text("description")?;
    let tool = if takes_text {
        let grammar = grammar(&mut fields)?;
        let description = [description, grammar].into_iter().flatten().collect::<Vec<_>>().join("\n\n");
        Tool {
            name: disguise.function.clone(),
            description: Some(description).filter(|text| !text.is_empty()),
            schema: Some(text_schema()),
            strict: None,
            cache: None,
            origin: Some(disguise),
        }
    } else {
        Tool {
            name: disguise.function.clone(),
            description,
            schema: fields.take("parameters").map(str::to_owned),
            strict: fields.flag("strict")?,
            cache: None,
            origin: disguise.namespace.is_some().then_some(disguise),
        }
    };
    fields.drop_rest(dropped);
    Ok(Offer::Tools(vec![tool]))
}

/// The function that a tool becomes.
fn disguise(name: String, namespace: Option<String>, takes_text: bool) -> Disguise {
    let function = match &namespace {
        Some(namespace) => format!("{}__{name}", namespace.trim_end_matches('_')),
        None => name.clone(),
    };
    Disguise { function, namespace, name, takes_text }
}

/// What a text has to look like, in words.
fn grammar(fields: &mut Fields<'_>) -> Result<Option<String>, Refusal> {
    let Some(mut format) = fields.object("format")? else { return Ok(None) };
    let (syntax, definition) = (format.text("syntax")?, format.text("definition")?);
    Ok(definition.map(|definition| {
        format!("`{INPUT}` has to match this grammar ({}):\n{definition}", syntax.as_deref().unwrap_or("lark"))
    }))
}

fn text_schema() -> String {
    let input = Object::of("string").end();
    let properties = Object::new().raw(INPUT, &input).end();
    let required = format!("[{}]", quote(INPUT));
    Object::of("object")
        .raw("properties", &properties)
        .raw("required", &required)
        .flag("additionalProperties", false)
        .end()
}

/// Reads which tool is to be called.
pub(super) fn choice(mut fields: Fields<'_>) -> Result<Choice, Refusal> {
    let kind = fields.required("type")?;
    if kind != "function" && kind != "custom" {
        return Err(Refusal::not_carried("tool_choice.type", &kind));
    }
    Ok(Choice::Named(function(&mut fields)?))
}

/// The function that a call of the history has become, by the members that name its tool.
pub(super) fn function(fields: &mut Fields<'_>) -> Result<String, Refusal> {
    Ok(disguise(fields.required("name")?, fields.text("namespace")?, false).function)
}

/// A text as the arguments of the function that its tool has become.
pub(super) fn arguments(text: &str) -> String {
    Object::new().text(INPUT, text).end()
}

/// The text in such arguments; arguments that a model has not written so are the text themselves.
pub(super) fn text(arguments: &str) -> String {
    let text = Fields::parse(arguments, "").ok().and_then(|mut fields| fields.text(INPUT).ok().flatten());
    text.unwrap_or_else(|| arguments.to_owned())
}
