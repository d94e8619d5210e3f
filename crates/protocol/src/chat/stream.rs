//! Reading and writing the stream of a chat answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::report::{finish_reason, read_usage, stop, write_usage};
use crate::endpoint::Protocol;
use crate::fault::Fault;
use crate::fields::string;
use crate::form::{Block, Envelope, Event};
use crate::print::{Object, list};
use crate::translate::{Key, Last, Order, Step};

/// Reads chunks.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    started: bool,
    order: Order,
    finished: bool,
    /// Calls seen, for servers that number none of them.
    calls: u64,
    /// Where pieces of the call go whose index another call had before.
    moved: Option<u64>,
}

/// Calls that come without an index of their own are counted from here.
const UNNUMBERED: u64 = 1 << 32;

#[derive(Deserialize)]
struct Chunk<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(default, borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    finish_reason: Option<String>,
    stop_reason: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    content: Option<serde_json::Value>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    refusal: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    index: Option<u64>,
    id: Option<String>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    name: Option<String>,
    /// A string, or the object itself.
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

// === impl Reader ===

impl crate::translate::Reader for Reader {
    fn event(&mut self, data: &str, out: &mut Vec<Event>) -> Result<Step, String> {
        let chunk: Chunk<'_> = match serde_json::from_str(data) {
            Ok(chunk) => chunk,
            Err(error) => return Fault::read(data.as_bytes()).map(Step::Failed).ok_or_else(|| error.to_string()),
        };
        if chunk.error.is_some() {
            let fault = Fault::read(data.as_bytes());
            return Ok(fault.map_or(Step::More, Step::Failed));
        }
        if !self.started && (chunk.choices.is_some() || chunk.id.is_some()) {
            self.started = true;
            out.push(Event::Start { id: chunk.id, model: chunk.model });
        }
        for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index.unwrap_or(0) == 0) {
            self.choice(choice, out)?;
        }
        if let Some(usage) = chunk.usage.and_then(|usage| read_usage(usage.get())) {
            out.push(Event::Usage(usage));
        }
        Ok(Step::More)
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        self.order.close(out);
    }

    fn whole(&self) -> bool {
        self.finished
    }
}

impl Reader {
    fn choice(&mut self, choice: Choice<'_>, out: &mut Vec<Event>) -> Result<(), String> {
        if let Some(delta) = choice.delta {
            let reasoning = delta.reasoning_content.or(delta.reasoning);
            self.order.text(Key::Reasoning, reasoning.as_deref().unwrap_or_default(), out)?;
            match &delta.content {
                None | Some(serde_json::Value::Null) => {}
                Some(serde_json::Value::String(text)) => self.order.text(Key::Text, text, out)?,
                // Mistral's reasoning models send parts.
                Some(parts) => {
                    for part in parts.as_array().ok_or("content that is neither text nor parts")? {
                        self.order.text(Key::Text, part["text"].as_str().unwrap_or_default(), out)?;
                    }
                }
            }
            self.order.text(Key::Refusal, delta.refusal.as_deref().unwrap_or_default(), out)?;
            for call in delta.tool_calls.into_iter().flatten() {
                self.call(call, out)?;
            }
        }
        // Some servers write "" for null.
        if let Some(word) = choice.finish_reason.filter(|word| !word.is_empty()) {
            self.finished = true;
            let sequence = choice.stop_reason.and_then(|reason| reason.as_str().map(str::to_owned));
            out.push(Event::Stop(stop(&word, sequence).or_tools(self.order.any_calls())));
        }
        Ok(())
    }

    fn call(&mut self, call: Call<'_>, out: &mut Vec<Event>) -> Result<(), String> {
        let Function { name, arguments } = call.function.unwrap_or(Function { name: None, arguments: None });
        let named = name.filter(|name| !name.is_empty());
        let id = call.id.filter(|id| !id.is_empty());
        // Some servers send calls whole, without an index or all with the same one, and some repeat the name in each piece.
        let known = call.index.and_then(|index| self.order.call_id(index));
        let begins = named.is_some()
            && match (known, &id) {
                (Some(known), Some(id)) => known != id,
                (Some(_), None) => call.index.is_some_and(|index| self.order.is_whole(index)),
                (None, _) => true,
            };
        let index = match (call.index, begins) {
            (Some(index), true) if known.is_none() => index,
            (Some(index), false) => self.moved.unwrap_or(index),
            (_, true) => UNNUMBERED + self.calls,
            (None, false) => UNNUMBERED + self.calls.saturating_sub(1),
        };
        if let Some(name) = named.filter(|_| begins) {
            self.moved = (call.index.is_some() && call.index != Some(index)).then_some(index);
            self.calls += 1;
            let id = id.unwrap_or_else(|| format!("call_{}", self.calls - 1));
            self.order.call(index, id, name, out)?;
        }
        let arguments = arguments.map(RawValue::get).filter(|raw| *raw != "null").unwrap_or_default();
        let text = string(arguments);
        self.order.arguments(index, text.as_deref().unwrap_or(arguments), out)
    }
}

/// Writes chunks.
#[derive(Debug)]
pub(crate) struct Writer {
    wants_usage: bool,
    model: Option<String>,
    open: Option<Block>,
    calls: u64,
}

// === impl Writer ===

impl Writer {
    /// `wants_usage`: whether the client asked for the usage at the end.
    pub(crate) fn new(wants_usage: bool) -> Self {
        Self { wants_usage, model: None, open: None, calls: 0 }
    }

    fn chunk(&self, envelope: &Envelope, choices: &str) -> Object {
        Object::new()
            .text("id", &envelope.id)
            .text("object", "chat.completion.chunk")
            .count("created", envelope.created)
            .text("model", self.model.as_deref().unwrap_or(&envelope.model))
            .raw("choices", choices)
    }

    fn delta(&self, envelope: &Envelope, delta: &str, finish: Option<&str>) -> Object {
        let choice =
            Object::new().count("index", 0).raw("delta", delta).null("logprobs").text_or_null("finish_reason", finish);
        self.chunk(envelope, &list(&[choice.end()]))
    }

    fn send(&self, envelope: &Envelope, delta: &str, out: &mut String) {
        let chunk = self.delta(envelope, delta, None);
        // As OpenAI does once usage was asked for.
        let chunk = if self.wants_usage { chunk.null("usage") } else { chunk };
        push(&chunk.end(), out);
    }
}

fn push(data: &str, out: &mut String) {
    out.push_str("data: ");
    out.push_str(data);
    out.push_str("\n\n");
}

impl crate::translate::Writer for Writer {
    fn event(&mut self, event: &Event, envelope: &Envelope, out: &mut String) {
        match event {
            Event::Start { model, .. } => {
                self.model = model.clone().filter(|model| !model.is_empty());
                // An empty text would be a text, which an answer of calls alone does not have.
                self.send(envelope, r#"{"role":"assistant","content":null,"refusal":null}"#, out);
            }
            Event::Open(block) => {
                if let Block::Call { id, name } = block {
                    let function = Object::new().text("name", name).text("arguments", "").end();
                    let call = Object::new().count("index", self.calls).text("id", id).text("type", "function");
                    let delta = Object::new().raw("tool_calls", &list(&[call.raw("function", &function).end()]));
                    self.send(envelope, &delta.end(), out);
                }
                self.open = Some(block.clone());
            }
            Event::Delta(text) => {
                let delta = match &self.open {
                    Some(Block::Text) | None => Object::new().text("content", text),
                    Some(Block::Reasoning) => Object::new().text("reasoning_content", text),
                    Some(Block::Refusal) => Object::new().text("refusal", text),
                    Some(Block::Call { .. }) => {
                        let function = Object::new().text("arguments", text).end();
                        let call = Object::new().count("index", self.calls).raw("function", &function);
                        Object::new().raw("tool_calls", &list(&[call.end()]))
                    }
                };
                self.send(envelope, &delta.end(), out);
            }
            Event::Close => {
                if let Some(Block::Call { .. }) = self.open.take() {
                    self.calls += 1;
                }
            }
            Event::Usage(_) | Event::Stop(_) => {}
        }
    }

    fn end(&mut self, last: &Last<'_>, envelope: &Envelope, out: &mut String) {
        let usage = last.usage.filter(|_| self.wants_usage).map(|usage| last.priced(&write_usage(usage)));
        let mut finish = self.delta(envelope, "{}", Some(finish_reason(last.stop)));
        match usage {
            None => push(&finish.maybe_raw("slarouter", last.metadata).end(), out),
            Some(usage) => {
                finish = finish.null("usage");
                push(&finish.end(), out);
                let chunk = self.chunk(envelope, "[]").raw("usage", &usage).maybe_raw("slarouter", last.metadata);
                push(&chunk.end(), out);
            }
        }
        push("[DONE]", out);
    }

    fn fail(&mut self, fault: &Fault, out: &mut String) {
        out.push_str(&fault.write_event(Protocol::Chat, 0));
    }
}
