//! Rewrites a streamed answer on its way through, and ends it honestly.
//!
//! Events pass byte for byte, but for these edits:
//! - A chunk gets our `id`, a `model` if it has none, and its cost where it reports usage. A chunk is an object with `choices`
//!   or with usage; any other object has its `id` replaced if it has one, unless the event has a name of its own.
//! - The usage chunk is left out if the client did not ask for it.
//! - With metadata on, the last chunk gets the `slarouter` object. To know the last, each chunk from the first
//!   `finish_reason` on is held back until the next event.
//!
//! A stream is whole once every choice that it mentioned has a `finish_reason`. One that stops before, by `[DONE]`, by its
//! end, or by a fault, gets an error event and no `[DONE]`. An error event of the upstream's own passes as it is, and
//! nothing after it makes the stream whole again. After `[DONE]` nothing but comments passes.

use crate::json::{self, Edit, Object, WireError, each_element, each_member};
use crate::relay::{DONE, End, Finish, MAX_EVENT, ObjectEvent, REPORTED, Relay, StreamSummary};
use crate::sse::{Event, Splitter, TooLong};
use crate::usage::{Usage, with_cost};

/// What a stream is to become.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// Takes the place of the upstream's id.
    pub id: String,
    /// Goes into chunks that name no model.
    pub model_if_missing: String,
    /// Whether the client gets the usage chunk.
    pub client_wants_usage: bool,
    /// Whether the last chunk gets the `slarouter` object.
    pub metadata: bool,
}

/// Passes the stream of a chat answer on.
#[derive(Debug)]
pub struct StreamRewriter {
    splitter: Splitter,
    state: State,
}

#[derive(Debug)]
struct State {
    options: StreamOptions,
    /// The id and the model as JSON strings.
    id: String,
    model: String,
    usage: Option<Usage>,
    upstream_id: Option<String>,
    /// One bit per choice mentioned and per choice finished. OpenAI allows 128; any further ones share the last bit.
    seen: u128,
    finished: u128,
    held: Option<Held>,
    done: bool,
    /// What went wrong first.
    failure: Option<String>,
    /// Whether the stream has ended with an error of ours.
    stopped: bool,
}

/// A chunk that may be the last one.
#[derive(Debug)]
struct Held {
    /// The rewritten event.
    event: Vec<u8>,
    /// Bytes of a byte order mark at its start.
    skip: usize,
    /// What came after it and is no chunk.
    tail: Vec<u8>,
}

// === impl StreamRewriter ===

impl StreamRewriter {
    /// A rewriter for one stream.
    pub fn new(options: StreamOptions) -> Self {
        let state = State {
            id: json::quote(&options.id),
            model: json::quote(&options.model_if_missing),
            options,
            usage: None,
            upstream_id: None,
            seen: 0,
            finished: 0,
            held: None,
            done: false,
            failure: None,
            stopped: false,
        };
        Self { splitter: Splitter::new(MAX_EVENT), state }
    }

    /// Takes the next bytes and appends to `out` whatever can go to the client: whole events only.
    pub fn push(&mut self, chunk: &[u8], finish: &dyn Finish, out: &mut Vec<u8>) {
        if self.state.stopped {
            return;
        }
        out.reserve(chunk.len() + 64);
        self.splitter.feed(chunk);
        self.drain(true, finish, out);
    }

    /// Ends the stream. An event that lacks nothing but its blank line still counts and is completed; less than that is
    /// left out.
    pub fn finish(mut self, end: End, finish: &dyn Finish, out: &mut Vec<u8>) -> StreamSummary {
        self.splitter.close();
        self.drain(true, finish, out);
        if self.splitter.complete() {
            self.drain(false, finish, out);
        }
        self.state.end(end, finish, out)
    }

    fn drain(&mut self, whole: bool, finish: &dyn Finish, out: &mut Vec<u8>) {
        while !self.state.stopped {
            match self.splitter.next_event() {
                Ok(Some(event)) => self.state.event(&event, whole, finish, out),
                Ok(None) => return,
                Err(TooLong) if whole => {
                    self.state.stop(
                        "stream_malformed",
                        &format!("the upstream sent an event over {MAX_EVENT} bytes"),
                        out,
                    );
                }
                Err(TooLong) => return,
            }
        }
    }
}

impl Relay for StreamRewriter {
    fn push(&mut self, chunk: &[u8], finish: &dyn Finish, out: &mut Vec<u8>) {
        self.push(chunk, finish, out);
    }

    fn finish(self: Box<Self>, end: End, finish: &dyn Finish, out: &mut Vec<u8>) -> StreamSummary {
        (*self).finish(end, finish, out)
    }
}

// === impl State ===

impl State {
    fn event(&mut self, event: &Event<'_>, whole: bool, finish: &dyn Finish, out: &mut Vec<u8>) {
        let Some(data) = event.data() else {
            if whole {
                self.pass(event.raw(), out);
            }
            return;
        };
        if self.done {
            return;
        }
        if data.trim_ascii() == DONE {
            return self.done(event, finish, out);
        }
        let named = !matches!(event.name(), b"" | b"message");
        let failed = event.name() == b"error";
        let object = match Object::scan(&data) {
            Ok(object) => Some(object),
            Err(WireError::NotAnObject) => None,
            Err(_) if !whole => return,
            Err(_) if named => None,
            Err(error) => {
                return self.stop("stream_malformed", &format!("the upstream sent an event that is {error}"), out);
            }
        };
        let error = object.as_ref().and_then(|object| object.get_some(&data, "error"));
        if failed || error.is_some() {
            self.release(None, out);
            out.extend_from_slice(event.raw());
            let error = String::from_utf8_lossy(error.unwrap_or(&data)).into_owned();
            self.failure.get_or_insert_with(|| format!("{REPORTED}: {error}"));
            return;
        }
        match object {
            Some(object) => self.object(ObjectEvent { event, data: &data, object: &object }, named, finish, out),
            None => self.pass(event.raw(), out),
        }
    }

    /// Takes an event that is no error; `named`: it has a name of its own.
    fn object(&mut self, chunk: ObjectEvent<'_>, named: bool, finish: &dyn Finish, out: &mut Vec<u8>) {
        let choices = chunk.get("choices").filter(|choices| choices.starts_with(b"["));
        let raw_usage = chunk.get_some("usage");
        let usage = raw_usage.and_then(Usage::read);
        let id = chunk.get("id");
        if choices.is_none() && usage.is_none() {
            if named || id.is_none() {
                return self.pass(chunk.event.raw(), out);
            }
            let to = self.held.as_mut().map_or(out, |held| &mut held.tail);
            return chunk.write(&[("id", Edit::Set(self.id.as_bytes()))], to);
        }
        if self.upstream_id.is_none() {
            self.upstream_id = id.and_then(json::text).filter(|id| !id.is_empty());
        }
        self.usage = usage.or(self.usage);
        let empty = self.choices(choices.unwrap_or(b"[]"));
        if empty && usage.is_some() && !self.options.client_wants_usage {
            return;
        }
        let cost = usage.and_then(|usage| finish.cost(&usage));
        let priced = raw_usage.zip(cost).and_then(|(usage, cost)| with_cost(usage, cost));
        let edits = [
            ("id", Edit::Set(self.id.as_bytes())),
            ("model", Edit::Default(self.model.as_bytes())),
            ("usage", Edit::Set(priced.as_deref().unwrap_or_default())),
        ];
        let edits = if priced.is_some() { &edits[..] } else { &edits[..2] };
        if self.options.metadata && self.finished != 0 {
            let mut rewritten = Vec::with_capacity(chunk.event.raw().len() + 64);
            chunk.write(edits, &mut rewritten);
            self.release(None, out);
            self.held = Some(Held { event: rewritten, skip: chunk.event.skip(), tail: Vec::new() });
        } else {
            chunk.write(edits, out);
        }
    }

    /// Notes which choices a chunk mentions and which it finishes; whether there were none.
    fn choices(&mut self, choices: &[u8]) -> bool {
        let mut empty = true;
        // Faults cannot occur: the text around it has been checked. A choice that is no object counts as unfinished.
        let _ = each_element(choices, |choice| {
            let (mut index, mut finished) = (0, false);
            let _ = each_member(choice, |member| {
                let value = &choice[member.value.clone()];
                if member.is(choice, "index") {
                    index = json::count(value).unwrap_or(0);
                } else if member.is(choice, "finish_reason") {
                    // Some servers write "" for null.
                    finished = !matches!(value, b"null" | b"\"\"");
                }
            });
            let bit = 1 << index.min(127);
            self.seen |= bit;
            self.finished |= if finished { bit } else { 0 };
            empty = false;
        });
        empty
    }

    /// Whether every choice has come to its end.
    fn whole(&self) -> bool {
        self.seen != 0 && self.seen == self.finished
    }

    fn done(&mut self, event: &Event<'_>, finish: &dyn Finish, out: &mut Vec<u8>) {
        self.done = true;
        if self.failure.is_some() {
            return;
        }
        if !self.whole() {
            return self.stop("stream_truncated", "the upstream said it was done before the answer was finished", out);
        }
        self.release(Some(finish), out);
        out.extend_from_slice(event.raw());
    }

    fn end(mut self, end: End, finish: &dyn Finish, out: &mut Vec<u8>) -> StreamSummary {
        let complete = self.failure.is_none() && self.whole();
        if complete {
            self.release(Some(finish), out);
        }
        let message = match end {
            End::Error(error) => Some(format!("the upstream's stream broke off: {error}")),
            End::Eof => None,
        };
        if self.failure.is_some() {
            self.release(None, out);
        } else if !complete {
            let message = message.as_deref().unwrap_or("the upstream ended the stream before the answer was finished");
            self.stop("stream_truncated", message, out);
        } else if !self.done {
            self.failure = message;
        }
        StreamSummary {
            complete,
            usage: self.usage,
            upstream_id: self.upstream_id,
            finish_reason_seen: self.finished != 0,
            done_seen: self.done,
            error: self.failure,
        }
    }

    /// Passes on what is no chunk, in its place.
    fn pass(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        self.held.as_mut().map_or(out, |held| &mut held.tail).extend_from_slice(raw);
    }

    /// Lets the held chunk go, with the metadata if it was the last.
    fn release(&mut self, last: Option<&dyn Finish>, out: &mut Vec<u8>) {
        let Some(held) = self.held.take() else { return };
        let metadata = last.and_then(|finish| finish.metadata(self.usage.and_then(|usage| finish.cost(&usage))));
        let event = Event::parse(&held.event, held.skip);
        match (metadata, event.data()) {
            (Some(metadata), Some(data)) => match Object::scan(&data) {
                Ok(object) => {
                    let last = ObjectEvent { event: &event, data: &data, object: &object };
                    last.write(&[("slarouter", Edit::Set(&metadata))], out);
                }
                Err(_) => out.extend_from_slice(&held.event),
            },
            _ => out.extend_from_slice(&held.event),
        }
        out.extend_from_slice(&held.tail);
    }

    /// Ends the stream with an error event.
    fn stop(&mut self, code: &str, message: &str, out: &mut Vec<u8>) {
        self.release(None, out);
        if self.failure.is_none() {
            let message_json = json::quote(message);
            let error = format!(r#"{{"message":{message_json},"type":"upstream_error","param":null,"code":"{code}"}}"#);
            out.extend_from_slice(format!("data: {{\"error\":{error}}}\n\n").as_bytes());
            self.failure = Some(message.to_owned());
        }
        self.stopped = true;
    }
}

#[cfg(test)]
mod tests;
