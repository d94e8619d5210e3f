//! Reading and writing the stream of a messages answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::report::{merge, read_usage, stop, stop_reason, write_usage};
use crate::endpoint::Protocol;
use crate::fault::Fault;
use crate::form::{Block, Envelope, Event};
use crate::print::Object;
use crate::seal::seal;
use crate::translate::{Key, Last, Order, Step};
use crate::usage::Usage;

/// Reads events.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    order: Order,
    usage: Option<Usage>,
    whole: bool,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    index: Option<u64>,
    #[serde(borrow)]
    content_block: Option<Content<'a>>,
    delta: Option<Delta>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Content<'a> {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    thinking: Option<String>,
    id: Option<String>,
    name: Option<String>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta {
    text: Option<String>,
    thinking: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

// === impl Reader ===

impl Reader {
    /// Later reports say only what has changed.
    fn usage(&mut self, raw: Option<&RawValue>, out: &mut Vec<Event>) {
        let Some(new) = raw.and_then(|raw| read_usage(raw.get())) else { return };
        let usage = merge(self.usage, new);
        self.usage = Some(usage);
        out.push(Event::Usage(usage));
    }
}

impl crate::translate::Reader for Reader {
    fn event(&mut self, data: &str, out: &mut Vec<Event>) -> Result<Step, String> {
        let read: Data<'_> = serde_json::from_str(data).map_err(|error| error.to_string())?;
        let index = read.index.unwrap_or(0);
        match read.kind.as_deref().unwrap_or_default() {
            "message_start" => {
                let raw = read.message.ok_or("a start without a message")?;
                let message: Message<'_> = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
                out.push(Event::Start { id: message.id, model: message.model });
                self.usage(message.usage, out);
            }
            "content_block_start" => {
                let block = read.content_block.ok_or("a block that is not there")?;
                match block.kind.as_str() {
                    "text" => self.order.text(Key::Text, block.text.as_deref().unwrap_or_default(), out)?,
                    "thinking" => {
                        self.order.text(Key::Reasoning, block.thinking.as_deref().unwrap_or_default(), out)?
                    }
                    "tool_use" => {
                        let (id, name) = (block.id.unwrap_or_default(), block.name.ok_or("a call without a name")?);
                        self.order.call(index, id, name, out)?;
                        let input = block.input.map(RawValue::get).filter(|input| input.len() > 2);
                        self.order.arguments(index, input.unwrap_or_default(), out)?;
                    }
                    _ => {}
                }
            }
            "content_block_delta" => {
                let delta = read.delta.ok_or("a delta that is not there")?;
                self.order.text(Key::Text, delta.text.as_deref().unwrap_or_default(), out)?;
                self.order.text(Key::Reasoning, delta.thinking.as_deref().unwrap_or_default(), out)?;
                self.order.arguments(index, delta.partial_json.as_deref().unwrap_or_default(), out)?;
            }
            "message_delta" => {
                let delta = read.delta.ok_or("a delta that is not there")?;
                if let Some(reason) = delta.stop_reason {
                    out.push(Event::Stop(stop(&reason, delta.stop_sequence)));
                }
                self.usage(read.usage, out);
            }
            "message_stop" => {
                self.whole = true;
                return Ok(Step::Done);
            }
            "error" => return Ok(Step::Failed(Fault::read(data.as_bytes()).unwrap_or_default())),
            // Pings, the ends of blocks, and whatever comes to be added.
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
    open: Option<Block>,
    blocks: u64,
    refused: bool,
}

fn push(kind: &str, data: Object, out: &mut String) {
    out.push_str("event: ");
    out.push_str(kind);
    out.push_str("\ndata: ");
    out.push_str(&data.end());
    out.push_str("\n\n");
}

impl crate::translate::Writer for Writer {
    fn event(&mut self, event: &Event, envelope: &Envelope, out: &mut String) {
        match event {
            Event::Start { model, .. } => {
                let model = model.as_deref().filter(|model| !model.is_empty()).unwrap_or(&envelope.model);
                let message = Object::new()
                    .text("id", &envelope.id)
                    .text("type", "message")
                    .text("role", "assistant")
                    .text("model", model)
                    .raw("content", "[]")
                    .null("stop_reason")
                    .null("stop_sequence")
                    // Not known yet; the end says it.
                    .raw("usage", &write_usage(&Usage::default()));
                push("message_start", Object::of("message_start").raw("message", &message.end()), out);
            }
            Event::Open(block) => {
                let content = match block {
                    Block::Text | Block::Refusal => Object::of("text").text("text", ""),
                    Block::Reasoning => Object::of("thinking").text("thinking", "").text("signature", ""),
                    Block::Call { id, name } => {
                        Object::of("tool_use").text("id", id).text("name", name).raw("input", "{}")
                    }
                };
                self.refused |= *block == Block::Refusal;
                self.open = Some(block.clone());
                let start = Object::of("content_block_start").count("index", self.blocks);
                push("content_block_start", start.raw("content_block", &content.end()), out);
            }
            Event::Delta(text) => {
                let delta = match &self.open {
                    Some(Block::Reasoning) => Object::of("thinking_delta").text("thinking", text),
                    Some(Block::Call { .. }) => Object::of("input_json_delta").text("partial_json", text),
                    _ => Object::of("text_delta").text("text", text),
                };
                self.delta(delta, out);
            }
            Event::Close => {
                if self.open.take() == Some(Block::Reasoning) {
                    self.delta(Object::of("signature_delta").text("signature", &seal(&envelope.model)), out);
                }
                push("content_block_stop", Object::of("content_block_stop").count("index", self.blocks), out);
                self.blocks += 1;
            }
            Event::Usage(_) | Event::Stop(_) => {}
        }
    }

    fn end(&mut self, last: &Last<'_>, _: &Envelope, out: &mut String) {
        let (reason, sequence) = if self.refused { ("refusal", None) } else { stop_reason(last.stop) };
        let delta = Object::new().text("stop_reason", reason).text_or_null("stop_sequence", sequence).end();
        let usage = last.priced(&write_usage(&last.usage.copied().unwrap_or_default()));
        let end = Object::of("message_delta").raw("delta", &delta).raw("usage", &usage);
        push("message_delta", end.maybe_raw("slarouter", last.metadata), out);
        push("message_stop", Object::of("message_stop"), out);
    }

    fn fail(&mut self, fault: &Fault, out: &mut String) {
        out.push_str(&fault.write_event(Protocol::Messages, 0));
    }
}

impl Writer {
    fn delta(&self, delta: Object, out: &mut String) {
        let event = Object::of("content_block_delta").count("index", self.blocks).raw("delta", &delta.end());
        push("content_block_delta", event, out);
    }
}
