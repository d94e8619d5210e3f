//! Reading and writing the stream of a responses answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::report::{incomplete, read_usage, stop, write_usage};
use super::tools;
use super::write::{item_id, message, output_text, reasoning, response, status, tool_call};
use crate::endpoint::Protocol;
use crate::fault::Fault;
use crate::form::{Block, Envelope, Event};
use crate::print::Object;
use crate::translate::{Key, Last, Order, Step};

/// Reads events.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    order: Order,
    /// Calls whose arguments came in pieces.
    in_pieces: Vec<u64>,
    whole: bool,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    output_index: Option<u64>,
    summary_index: Option<u64>,
    item: Option<Item>,
    delta: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Response<'a> {
    id: Option<String>,
    model: Option<String>,
    status: Option<String>,
    incomplete_details: Option<Details>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Details {
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    call_id: Option<String>,
    name: Option<String>,
}

// === impl Reader ===

impl crate::translate::Reader for Reader {
    fn event(&mut self, data: &str, out: &mut Vec<Event>) -> Result<Step, String> {
        let read: Data<'_> = match serde_json::from_str(data) {
            Ok(read) => read,
            Err(error) => return Fault::read(data.as_bytes()).map(Step::Failed).ok_or_else(|| error.to_string()),
        };
        let response = || -> Result<Response<'_>, String> {
            let raw = read.response.ok_or("an event without its response")?;
            serde_json::from_str(raw.get()).map_err(|error| error.to_string())
        };
        let index = read.output_index.unwrap_or(0);
        let delta = read.delta.as_deref().unwrap_or_default();
        match read.kind.as_deref().unwrap_or_default() {
            "response.created" => {
                let response = response()?;
                out.push(Event::Start { id: response.id, model: response.model });
            }
            "response.output_item.added" => {
                if let Some(item) = read.item.filter(|item| item.kind == "function_call") {
                    let name = item.name.ok_or("a call without a name")?;
                    self.order.call(index, item.call_id.unwrap_or_default(), name, out)?;
                }
            }
            "response.output_text.delta" => self.order.text(Key::Text, delta, out)?,
            "response.refusal.delta" => self.order.text(Key::Refusal, delta, out)?,
            "response.reasoning_summary_part.added" if read.summary_index.unwrap_or(0) > 0 => {
                self.order.text(Key::Reasoning, "\n\n", out)?;
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.order.text(Key::Reasoning, delta, out)?;
            }
            "response.function_call_arguments.delta" => {
                if !self.in_pieces.contains(&index) {
                    self.in_pieces.push(index);
                }
                self.order.arguments(index, delta, out)?;
            }
            // Some servers send arguments whole.
            "response.function_call_arguments.done" if !self.in_pieces.contains(&index) => {
                self.order.arguments(index, read.arguments.as_deref().unwrap_or_default(), out)?;
            }
            kind @ ("response.completed" | "response.incomplete") => {
                let response = response()?;
                let status = response.status.as_deref().unwrap_or(&kind["response.".len()..]);
                let reason = response.incomplete_details.and_then(|details| details.reason);
                out.push(Event::Stop(stop(status, reason.as_deref(), self.order.any_calls())));
                out.extend(response.usage.and_then(|raw| read_usage(raw.get())).map(Event::Usage));
                self.whole = true;
                return Ok(Step::Done);
            }
            "response.failed" => {
                let raw = read.response.map(RawValue::get).unwrap_or_default();
                return Ok(Step::Failed(Fault::read(raw.as_bytes()).unwrap_or_default()));
            }
            "error" => return Ok(Step::Failed(Fault::read(data.as_bytes()).unwrap_or_default())),
            _ => {}
        }
        Ok(Step::More)
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        self.order.close(out);
    }

    fn whole(&self) -> bool {
        self.whole
    }
}

/// Writes events.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    model: Option<String>,
    number: u64,
    /// The open block, the id of its item, and its text so far.
    open: Option<(Block, String, String)>,
    /// Items that are complete.
    output: Vec<String>,
}

// === impl Writer ===

impl Writer {
    fn push(&mut self, kind: &str, data: Object, out: &mut String) {
        let data = data.count("sequence_number", self.number);
        self.number += 1;
        out.push_str("event: ");
        out.push_str(kind);
        out.push_str("\ndata: ");
        out.push_str(&data.end());
        out.push_str("\n\n");
    }

    fn model<'a>(&'a self, envelope: &'a Envelope) -> &'a str {
        self.model.as_deref().unwrap_or(&envelope.model)
    }

    /// An event about a part of the open item.
    fn part(&self, kind: &str, item: &str) -> Object {
        Object::of(kind).text("item_id", item).count("output_index", self.output.len() as u64)
    }

    fn open(&mut self, block: &Block, envelope: &Envelope, out: &mut String) {
        let id = item_id(block, self.output.len(), envelope);
        let (item, part) = match block {
            Block::Text => (
                message(&id, "in_progress", &[]),
                Some(("response.content_part.added", "content_index", output_text(""))),
            ),
            Block::Refusal => {
                let part = Object::of("refusal").text("refusal", "").end();
                (message(&id, "in_progress", &[]), Some(("response.content_part.added", "content_index", part)))
            }
            Block::Reasoning => {
                let part = Object::of("summary_text").text("text", "").end();
                let added = ("response.reasoning_summary_part.added", "summary_index", part);
                (reasoning(&id, None, envelope), Some(added))
            }
            Block::Call { id: call, name } => (tool_call(&id, "in_progress", (call, name), "", envelope), None),
        };
        let kind = "response.output_item.added";
        let added = Object::of(kind).count("output_index", self.output.len() as u64).raw("item", &item);
        self.push(kind, added, out);
        if let Some((kind, index, part)) = part {
            let added = self.part(kind, &id).count(index, 0).raw("part", &part);
            self.push(kind, added, out);
        }
        self.open = Some((block.clone(), id, String::new()));
    }

    fn delta(&mut self, text: &str, envelope: &Envelope, out: &mut String) {
        let Some((block, id, so_far)) = &mut self.open else { return };
        so_far.push_str(text);
        // Its text is inside of the arguments, which are to be whole first.
        if matches!(block, Block::Call { name, .. } if envelope.takes_text(name)) {
            return;
        }
        let (kind, index) = match block {
            Block::Text => ("response.output_text.delta", Some("content_index")),
            Block::Refusal => ("response.refusal.delta", Some("content_index")),
            Block::Reasoning => ("response.reasoning_summary_text.delta", Some("summary_index")),
            Block::Call { .. } => ("response.function_call_arguments.delta", None),
        };
        let id = id.clone();
        let logprobs = matches!(block, Block::Text);
        let mut delta = self.part(kind, &id);
        if let Some(index) = index {
            delta = delta.count(index, 0);
        }
        delta = delta.text("delta", text);
        self.push(kind, if logprobs { delta.raw("logprobs", "[]") } else { delta }, out);
    }

    fn close(&mut self, envelope: &Envelope, out: &mut String) {
        let Some((block, id, text)) = self.open.take() else { return };
        let item = match &block {
            Block::Text | Block::Refusal => {
                let (kind, member, part) = match block {
                    Block::Text => ("response.output_text.done", "text", output_text(&text)),
                    _ => ("response.refusal.done", "refusal", Object::of("refusal").text("refusal", &text).end()),
                };
                let mut done = self.part(kind, &id).count("content_index", 0).text(member, &text);
                if member == "text" {
                    done = done.raw("logprobs", "[]");
                }
                self.push(kind, done, out);
                let kind = "response.content_part.done";
                let done = self.part(kind, &id).count("content_index", 0).raw("part", &part);
                self.push(kind, done, out);
                message(&id, "completed", &[part])
            }
            Block::Reasoning => {
                let kind = "response.reasoning_summary_text.done";
                let done = self.part(kind, &id).count("summary_index", 0).text("text", &text);
                self.push(kind, done, out);
                let kind = "response.reasoning_summary_part.done";
                let part = Object::of("summary_text").text("text", &text).end();
                let done = self.part(kind, &id).count("summary_index", 0).raw("part", &part);
                self.push(kind, done, out);
                reasoning(&id, Some(&text), envelope)
            }
            Block::Call { id: call, name } if envelope.takes_text(name) => {
                let input = tools::text(&text);
                for (kind, member) in [
                    ("response.custom_tool_call_input.delta", "delta"),
                    ("response.custom_tool_call_input.done", "input"),
                ] {
                    let event = self.part(kind, &id).text(member, &input);
                    self.push(kind, event, out);
                }
                tool_call(&id, "completed", (call, name), &text, envelope)
            }
            Block::Call { id: call, name } => {
                let kind = "response.function_call_arguments.done";
                let done = self.part(kind, &id).text("name", name).text("arguments", &text);
                self.push(kind, done, out);
                tool_call(&id, "completed", (call, name), &text, envelope)
            }
        };
        let kind = "response.output_item.done";
        let done = Object::of(kind).count("output_index", self.output.len() as u64).raw("item", &item);
        self.push(kind, done, out);
        self.output.push(item);
    }
}

impl crate::translate::Writer for Writer {
    fn event(&mut self, event: &Event, envelope: &Envelope, out: &mut String) {
        match event {
            Event::Start { model, .. } => {
                self.model = model.clone().filter(|model| !model.is_empty());
                for kind in ["response.created", "response.in_progress"] {
                    let response = response("in_progress", None, self.model(envelope), &[], None, envelope).end();
                    self.push(kind, Object::of(kind).raw("response", &response), out);
                }
            }
            Event::Open(block) => self.open(block, envelope, out),
            Event::Delta(text) => self.delta(text, envelope, out),
            Event::Close => self.close(envelope, out),
            Event::Usage(_) | Event::Stop(_) => {}
        }
    }

    fn end(&mut self, last: &Last<'_>, envelope: &Envelope, out: &mut String) {
        let usage = last.usage.map(|usage| last.priced(&write_usage(usage)));
        let why = incomplete(last.stop);
        let response = response(status(last.stop), why, self.model(envelope), &self.output, usage.as_deref(), envelope)
            .maybe_raw("slarouter", last.metadata)
            .end();
        let kind = if why.is_some() { "response.incomplete" } else { "response.completed" };
        self.push(kind, Object::of(kind).raw("response", &response), out);
    }

    fn fail(&mut self, fault: &Fault, out: &mut String) {
        out.push_str(&fault.write_event(Protocol::Responses, self.number));
    }
}
