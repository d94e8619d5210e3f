//! Passes on the streams whose events say what they are: Anthropic's messages and OpenAI's responses.
//!
//! Events pass byte for byte, but for these edits:
//! - The message or response inside gets our `id`, and a `model` if it has none.
//! - The usage at the end gets its cost, and beside it goes the `slarouter` object, if asked for.
//!
//! A stream is whole at `message_stop`, `response.completed` or `response.incomplete`. One that stops before gets an error
//! event. An error event of the upstream's own passes as it is, and nothing follows it.

use crate::endpoint::Protocol;
use crate::fault::Fault;
use crate::json::{self, Edit, Object, WireError};
use crate::relay::{DONE, End, Finish, MAX_EVENT, ObjectEvent, REPORTED, Relay, StreamSummary};
use crate::sse::{Event, Splitter, TooLong};
use crate::usage::{Usage, with_cost};
use crate::{messages, responses};

/// Passes a stream on.
#[derive(Debug)]
pub struct TypedRewriter {
    splitter: Splitter,
    state: State,
}

#[derive(Debug)]
struct State {
    protocol: Protocol,
    /// The id and the model as JSON strings.
    id: String,
    model: String,
    usage: Option<Usage>,
    upstream_id: Option<String>,
    /// The next number of a responses event.
    number: u64,
    stop_seen: bool,
    done: bool,
    ended: bool,
    failure: Option<String>,
}

// === impl TypedRewriter ===

impl TypedRewriter {
    /// A rewriter for one stream of this protocol. `id` takes the place of the upstream's; `model_if_missing` goes in where the
    /// message or response names no model.
    pub fn new(protocol: Protocol, id: &str, model_if_missing: &str) -> Self {
        let state = State {
            protocol,
            id: json::quote(id),
            model: json::quote(model_if_missing),
            usage: None,
            upstream_id: None,
            number: 0,
            stop_seen: false,
            done: false,
            ended: false,
            failure: None,
        };
        Self { splitter: Splitter::new(MAX_EVENT), state }
    }

    fn drain(&mut self, whole: bool, finish: &dyn Finish, out: &mut Vec<u8>) {
        loop {
            match self.splitter.next_event() {
                Ok(Some(event)) => self.state.event(&event, whole, finish, out),
                Ok(None) => return,
                Err(TooLong) => {
                    let message = format!("the upstream sent an event over {MAX_EVENT} bytes");
                    return self.state.stop("stream_malformed", message, out);
                }
            }
        }
    }
}

impl Relay for TypedRewriter {
    fn push(&mut self, chunk: &[u8], finish: &dyn Finish, out: &mut Vec<u8>) {
        if self.state.ended {
            return;
        }
        self.splitter.feed(chunk);
        self.drain(true, finish, out);
    }

    fn finish(mut self: Box<Self>, end: End, finish: &dyn Finish, out: &mut Vec<u8>) -> StreamSummary {
        if !self.state.ended {
            self.splitter.close();
            self.drain(true, finish, out);
            if self.splitter.complete() {
                self.drain(false, finish, out);
            }
        }
        self.state.end(end, out)
    }
}

// === impl State ===

impl State {
    fn event(&mut self, event: &Event<'_>, whole: bool, finish: &dyn Finish, out: &mut Vec<u8>) {
        let Some(data) = event.data() else {
            if whole && !self.ended {
                out.extend_from_slice(event.raw());
            }
            return;
        };
        if self.ended {
            return;
        }
        if data.trim_ascii() == DONE {
            let message = "the upstream said it was done before the answer was finished";
            return self.stop("stream_truncated", message.to_owned(), out);
        }
        let object = match Object::scan(&data) {
            Ok(object) => object,
            Err(_) if !whole => return,
            Err(WireError::NotAnObject) => return out.extend_from_slice(event.raw()),
            Err(error) => {
                return self.stop("stream_malformed", format!("the upstream sent an event that is {error}"), out);
            }
        };
        let event = ObjectEvent { event, data: &data, object: &object };
        if let Some(number) = event.get("sequence_number").and_then(json::count) {
            self.number = number.saturating_add(1);
        }
        let kind = event.get("type").and_then(json::text).unwrap_or_default();
        match self.protocol {
            Protocol::Messages => self.message(&kind, event, finish, out),
            Protocol::Responses | Protocol::Chat => self.response(&kind, event, finish, out),
        }
    }

    fn message(&mut self, kind: &str, event: ObjectEvent<'_>, finish: &dyn Finish, out: &mut Vec<u8>) {
        match kind {
            "message_start" => {
                let Some(message) = event.get("message") else { return event.pass(out) };
                let inner = Object::scan(message).ok();
                let usage = inner.as_ref().and_then(|inner| inner.get(message, "usage"));
                self.usage = usage.and_then(messages::tokens).or(self.usage);
                match self.identified(message, &[]) {
                    Some(message) => event.write(&[("message", Edit::Set(&message))], out),
                    None => event.pass(out),
                }
            }
            "message_delta" => {
                let delta = event.get("delta");
                let reason = delta.and_then(|delta| Object::scan(delta).ok()?.get_some(delta, "stop_reason"));
                self.stop_seen |= reason.is_some();
                let usage = event.get_some("usage");
                self.usage = usage.and_then(|usage| messages::merge_tokens(self.usage, usage)).or(self.usage);
                let cost = self.usage.and_then(|usage| finish.cost(&usage));
                let priced = usage.zip(cost).and_then(|(usage, cost)| with_cost(usage, cost));
                let metadata = finish.metadata(cost);
                let mut edits = Vec::new();
                edits.extend(priced.as_deref().map(|usage| ("usage", Edit::Set(usage))));
                edits.extend(metadata.as_deref().map(|metadata| ("slarouter", Edit::Set(metadata))));
                event.write(&edits, out);
            }
            "error" => self.failed(event, out),
            _ => {
                event.pass(out);
                self.done |= kind == "message_stop";
                self.ended |= self.done;
            }
        }
    }

    fn response(&mut self, kind: &str, event: ObjectEvent<'_>, finish: &dyn Finish, out: &mut Vec<u8>) {
        if kind == "error" {
            return self.failed(event, out);
        }
        let last = matches!(kind, "response.completed" | "response.incomplete" | "response.failed");
        let Some(response) = event.get_some("response") else {
            if last {
                return self.stop("stream_malformed", format!("the upstream sent {kind} without its response"), out);
            }
            return event.pass(out);
        };
        let inner = Object::scan(response).ok();
        let usage = inner.as_ref().and_then(|inner| inner.get_some(response, "usage"));
        self.usage = usage.and_then(responses::tokens).or(self.usage);
        let cost = self.usage.filter(|_| last).and_then(|usage| finish.cost(&usage));
        let priced = usage.zip(cost).and_then(|(usage, cost)| with_cost(usage, cost));
        let metadata = if last { finish.metadata(cost) } else { None };
        let mut edits = Vec::new();
        edits.extend(priced.as_deref().map(|usage| ("usage", Edit::Set(usage))));
        edits.extend(metadata.as_deref().map(|metadata| ("slarouter", Edit::Set(metadata))));
        match self.identified(response, &edits) {
            Some(response) => event.write(&[("response", Edit::Set(&response))], out),
            None => event.pass(out),
        }
        if kind == "response.failed" {
            let fault = Fault::read(response).unwrap_or_default();
            self.failure = Some(format!("{REPORTED}: {}", fault.message));
        }
        self.stop_seen |= last;
        self.done |= last && self.failure.is_none();
        self.ended |= last;
    }

    /// The object with our id, and with more edits; `None` if it is no object.
    fn identified(&mut self, inner: &[u8], more: &[(&str, Edit<'_>)]) -> Option<Vec<u8>> {
        let object = Object::scan(inner).ok()?;
        if self.upstream_id.is_none() {
            self.upstream_id = object.get(inner, "id").and_then(json::text);
        }
        let mut edits = vec![("id", Edit::Set(self.id.as_bytes())), ("model", Edit::Default(self.model.as_bytes()))];
        edits.extend_from_slice(more);
        let mut out = Vec::with_capacity(inner.len() + 128);
        object.splice(inner, &edits, &mut out);
        Some(out)
    }

    /// The upstream reports an error of its own: nothing follows it.
    fn failed(&mut self, event: ObjectEvent<'_>, out: &mut Vec<u8>) {
        event.pass(out);
        let message = Fault::read(event.data).unwrap_or_default().message;
        self.failure = Some(format!("{REPORTED}: {message}"));
        self.ended = true;
    }

    fn stop(&mut self, code: &str, message: String, out: &mut Vec<u8>) {
        let fault = Fault::upstream(code, message);
        out.extend_from_slice(fault.write_event(self.protocol, self.number).as_bytes());
        self.failure = Some(fault.message);
        self.ended = true;
    }

    fn end(mut self, end: End, out: &mut Vec<u8>) -> StreamSummary {
        let error = match end {
            End::Error(error) => Some(format!("the upstream's stream broke off: {error}")),
            End::Eof => None,
        };
        if !self.ended {
            let message = "the upstream ended the stream before the answer was finished".to_owned();
            self.stop("stream_truncated", error.unwrap_or(message), out);
        } else if self.done {
            self.failure = error;
        }
        StreamSummary {
            complete: self.done,
            usage: self.usage,
            upstream_id: self.upstream_id,
            finish_reason_seen: self.stop_seen,
            done_seen: self.done,
            error: self.failure,
        }
    }
}

#[cfg(test)]
mod tests;
