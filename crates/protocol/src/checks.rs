//! What can be said of an answer without a model: that there is one, that it is no refusal, that the arguments of calls can be read,
//! and that it has the form that the request asked for.

mod schema;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::endpoint::{ModelProtocol, Protocol};
use crate::form::{Block, CommonAnswer, Event, Format, Part, Stop};
use crate::forms::{read_answer, reader};
use crate::relay::{DONE, MAX_EVENT};
use crate::request::Request;
use crate::sse::Splitter;
use crate::translate::Step;
use crate::{chat, messages, responses};

/// Something that an answer can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It says nothing and calls nothing.
    Empty,
    /// Its protocol marks it as a refusal, or as kept back by a filter. What it says in words is not read.
    Refusal,
    /// The arguments of a call are no JSON object.
    Tools,
    /// The request asked for JSON, and it is none; or for JSON of a schema that it does not keep.
    Format,
}

/// The form that a request wants its answer in, as it is written there.
#[derive(Clone, Debug)]
pub struct Wanted {
    protocol: Protocol,
    format: Option<String>,
}

/// An answer as its upstream wrote it, in the pieces that it came in.
#[derive(Clone, Debug)]
pub struct Written {
    /// What the upstream speaks.
    pub upstream: ModelProtocol,
    /// Whether it came as a stream.
    pub streamed: bool,
    /// Its bytes.
    pub pieces: Vec<Bytes>,
}

// === impl Check ===

impl Check {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Empty, Self::Refusal, Self::Tools, Self::Format];

    /// Its name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Refusal => "refusal",
            Self::Tools => "tools",
            Self::Format => "format",
        }
    }

    fn fails(self, answer: &CommonAnswer, wanted: Option<&Format>) -> bool {
        let any = |of: fn(&Part) -> bool| answer.parts.iter().any(of);
        match self {
            Self::Empty => !any(says),
            Self::Refusal => answer.stop == Stop::Filter || any(|part| matches!(part, Part::Refusal(_))),
            Self::Tools => any(|part| matches!(part, Part::Call { arguments, .. } if !are_arguments(arguments))),
            // A call is an answer in another form, which the request allowed by offering tools.
            Self::Format if any(|part| matches!(part, Part::Call { .. })) => false,
            Self::Format => wanted.is_some_and(|format| !has_form(answer, format)),
        }
    }
}

// === impl Wanted ===

impl Wanted {
    /// What this request wants. Copies no more of it than the member that says so.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let protocol = request.endpoint().protocol();
        let member = match protocol {
            Protocol::Chat => request.member("response_format"),
            Protocol::Responses => request.member("text"),
            Protocol::Messages => request.member("output_config"),
        };
        Self { protocol, format: member.map(str::to_owned) }
    }

    fn format(&self) -> Option<Format> {
        let raw = self.format.as_deref()?;
        match self.protocol {
            Protocol::Chat => chat::read_format(raw),
            Protocol::Responses => responses::read_format(raw),
            Protocol::Messages => messages::read_format(raw),
        }
    }
}

/// Those of `checks` that a whole answer fails; `None` if it cannot be read.
#[must_use]
pub fn failed(checks: &[Check], wanted: &Wanted, written: &Written) -> Option<Vec<Check>> {
    let answer = whole(written)?;
    let format = wanted.format();
    Some(checks.iter().copied().filter(|check| check.fails(&answer, format.as_ref())).collect())
}

/// What an answer says and does, as a text for who reads it; `None` if it cannot be read. Reasoning is no part of the answer.
#[must_use]
pub fn said(written: &Written) -> Option<String> {
    let part = |part: &Part| match part {
        Part::Text(text) | Part::Refusal(text) => Some(text.clone()),
        Part::Call { name, arguments, .. } => Some(format!("[calls {name} with {arguments}]")),
        Part::Image(_) => Some("[an image]".to_owned()),
        Part::File { .. } => Some("[a file]".to_owned()),
        Part::Reasoning { .. } | Part::Result { .. } => None,
    };
    let parts: Vec<_> = whole(written)?.parts.iter().filter_map(part).filter(|text| !text.is_empty()).collect();
    Some(parts.join("\n"))
}

fn whole(written: &Written) -> Option<CommonAnswer> {
    if written.streamed { put_together(written) } else { read(written) }
}

fn read(written: &Written) -> Option<CommonAnswer> {
    let body = written.pieces.concat();
    read_answer(written.upstream.wire(), std::str::from_utf8(&body).ok()?).ok()
}

/// The answer that a stream tells of, step by step.
fn put_together(written: &Written) -> Option<CommonAnswer> {
    let mut splitter = Splitter::new(MAX_EVENT);
    written.pieces.iter().for_each(|piece| splitter.feed(piece));
    splitter.close();
    let (mut reader, mut events) = (reader(written.upstream.wire()), Vec::new());
    while let Some(event) = splitter.next_event().ok()? {
        let Some(data) = event.data() else { continue };
        if data.trim_ascii() == DONE {
            break;
        }
        match reader.event(std::str::from_utf8(&data).ok()?, &mut events).ok()? {
            Step::More => {}
            Step::Done => break,
            Step::Failed(_) => return None,
        }
    }
    reader.close(&mut events);
    let mut answer = CommonAnswer { id: None, model: None, parts: Vec::new(), stop: Stop::End, usage: None };
    for event in events {
        match event {
            Event::Open(block) => answer.parts.push(opened(block)),
            Event::Delta(more) => append(answer.parts.last_mut()?, &more),
            Event::Stop(stop) => answer.stop = stop,
            Event::Start { .. } | Event::Close | Event::Usage(_) => {}
        }
    }
    Some(answer)
}

fn opened(block: Block) -> Part {
    match block {
        Block::Text => Part::Text(String::new()),
        Block::Reasoning => Part::reasoning(""),
        Block::Refusal => Part::Refusal(String::new()),
        Block::Call { id, name } => Part::Call { id, name, arguments: String::new() },
    }
}

fn append(part: &mut Part, more: &str) {
    match part {
        Part::Text(text) | Part::Refusal(text) | Part::Reasoning { text, .. } => text.push_str(more),
        Part::Call { arguments, .. } => arguments.push_str(more),
        Part::Image(_) | Part::File { .. } | Part::Result { .. } => {}
    }
}

/// Whether a part says or does anything: reasoning alone is no answer.
fn says(part: &Part) -> bool {
    match part {
        Part::Text(text) | Part::Refusal(text) => !text.trim().is_empty(),
        Part::Reasoning { .. } => false,
        Part::Image(_) | Part::File { .. } | Part::Call { .. } | Part::Result { .. } => true,
    }
}

/// Without any, some servers leave them out.
fn are_arguments(text: &str) -> bool {
    text.trim().is_empty() || serde_json::from_str::<Map<String, Value>>(text).is_ok()
}

fn has_form(answer: &CommonAnswer, format: &Format) -> bool {
    let text = answer.joined(Part::as_text).unwrap_or_default();
    match (format, serde_json::from_str::<Value>(&text)) {
        (_, Err(_)) => false,
        (Format::Json, Ok(value)) => value.is_object(),
        // A schema that is none is the request's fault.
        (Format::Schema { schema, .. }, Ok(_)) if schema.len() > schema::LONGEST => true,
        (Format::Schema { schema, .. }, Ok(value)) => {
            serde_json::from_str(schema).map_or(true, |schema| schema::keeps(&schema, &value))
        }
    }
}

#[cfg(test)]
mod tests;
