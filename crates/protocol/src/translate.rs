//! Streams from one protocol to another: events in, events out, and an honest end.

mod order;

pub(crate) use order::{Key, Order};

use crate::fault::Fault;
use crate::form::{Envelope, Event, Stop};
use crate::relay::{DONE, End, Finish, MAX_EVENT, REPORTED, Relay, StreamSummary};
use crate::sse::{Event as Sse, Splitter, TooLong};
use crate::usage::{Usage, with_cost};

/// What an event of the upstream's came to.
#[derive(Debug)]
pub(crate) enum Step {
    /// The stream goes on.
    More,
    /// The answer is whole, and nothing that counts comes after.
    Done,
    /// The upstream says that it failed.
    Failed(Fault),
}

/// Reads one protocol's events.
pub(crate) trait Reader: Send {
    /// Takes the data of one event and appends what it says.
    ///
    /// # Errors
    /// What makes no sense.
    fn event(&mut self, data: &str, out: &mut Vec<Event>) -> Result<Step, String>;

    /// Closes what is still open, at the end of the answer.
    fn close(&mut self, out: &mut Vec<Event>);

    /// Whether the answer is whole, should nothing more come.
    fn whole(&self) -> bool;
}

/// Writes one protocol's events.
pub(crate) trait Writer: Send {
    fn event(&mut self, event: &Event, envelope: &Envelope, out: &mut String);

    /// Ends a whole answer.
    fn end(&mut self, last: &Last<'_>, envelope: &Envelope, out: &mut String);

    /// Ends an answer that is not whole with an error, in a way that no client takes for a good end.
    fn fail(&mut self, fault: &Fault, out: &mut String);
}

/// What is known when an answer has ended.
#[derive(Debug)]
pub(crate) struct Last<'a> {
    pub(crate) stop: &'a Stop,
    pub(crate) usage: Option<&'a Usage>,
    /// USD.
    pub(crate) cost: Option<f64>,
    /// The `slarouter` object, raw.
    pub(crate) metadata: Option<&'a str>,
}

/// Takes a stream in pieces of any size; what it writes does not depend on where they were cut.
pub(crate) struct Translator {
    splitter: Splitter,
    state: State,
}

struct State {
    reader: Box<dyn Reader>,
    writer: Box<dyn Writer>,
    envelope: Envelope,
    started: bool,
    stop: Option<Stop>,
    usage: Option<Usage>,
    upstream_id: Option<String>,
    failure: Option<String>,
    ended: bool,
    complete: bool,
}

// === impl Last ===

impl Last<'_> {
    /// A printed `usage` object with the cost in it.
    pub(crate) fn priced(&self, usage: &str) -> String {
        let priced = self.cost.and_then(|cost| with_cost(usage.as_bytes(), cost));
        priced.and_then(|priced| String::from_utf8(priced).ok()).unwrap_or_else(|| usage.to_owned())
    }
}

// === impl Translator ===

impl Translator {
    pub(crate) fn new(reader: Box<dyn Reader>, writer: Box<dyn Writer>, envelope: Envelope) -> Self {
        let state = State {
            reader,
            writer,
            envelope,
            started: false,
            stop: None,
            usage: None,
            upstream_id: None,
            failure: None,
            ended: false,
            complete: false,
        };
        Self { splitter: Splitter::new(MAX_EVENT), state }
    }

    fn drain(&mut self, whole: bool, finish: &dyn Finish, out: &mut String) {
        while !self.state.ended {
            match self.splitter.next_event() {
                Ok(Some(event)) => self.state.event(&event, whole, finish, out),
                Ok(None) => return,
                Err(TooLong) => {
                    let message = format!("the upstream sent an event over {MAX_EVENT} bytes");
                    self.state.fail(&Fault::upstream("stream_malformed", message), out);
                }
            }
        }
    }
}

impl Relay for Translator {
    fn push(&mut self, chunk: &[u8], finish: &dyn Finish, out: &mut Vec<u8>) {
        let mut text = String::new();
        self.splitter.feed(chunk);
        self.drain(true, finish, &mut text);
        out.extend_from_slice(text.as_bytes());
    }

    fn finish(mut self: Box<Self>, end: End, finish: &dyn Finish, out: &mut Vec<u8>) -> StreamSummary {
        let mut text = String::new();
        self.splitter.close();
        self.drain(true, finish, &mut text);
        if self.splitter.complete() {
            self.drain(false, finish, &mut text);
        }
        let summary = self.state.finish(end, finish, &mut text);
        out.extend_from_slice(text.as_bytes());
        summary
    }
}

// === impl State ===

impl State {
    fn event(&mut self, event: &Sse<'_>, whole: bool, finish: &dyn Finish, out: &mut String) {
        let Some(data) = event.data() else {
            // Comments keep connections alive.
            if whole && event.raw().starts_with(b":") {
                out.push_str(&String::from_utf8_lossy(event.raw()));
            }
            return;
        };
        if data.trim_ascii() == DONE {
            return if self.reader.whole() {
                self.end(finish, out);
            } else {
                let message = "the upstream said it was done before the answer was finished";
                self.fail(&Fault::upstream("stream_truncated", message), out);
            };
        }
        let data = String::from_utf8_lossy(&data);
        let mut events = Vec::new();
        let step = match self.reader.event(&data, &mut events) {
            Ok(step) => step,
            // Less than a whole event is left out.
            Err(_) if !whole => return,
            Err(what) => {
                let fault = Fault::upstream(
                    "stream_malformed",
                    format!("the upstream sent an event that makes no sense: {what}"),
                );
                return self.fail(&fault, out);
            }
        };
        self.write(&events, out);
        match step {
            Step::More => {}
            Step::Done => self.end(finish, out),
            Step::Failed(fault) => {
                self.failure = Some(format!("{REPORTED}: {}", fault.message));
                self.fail(&fault, out);
            }
        }
    }

    fn write(&mut self, events: &[Event], out: &mut String) {
        for event in events {
            // Some servers begin with the answer itself, or begin twice; the client's protocol has one beginning.
            let starts = matches!(event, Event::Start { .. });
            if starts && std::mem::replace(&mut self.started, true) {
                continue;
            }
            if !starts && !std::mem::replace(&mut self.started, true) {
                self.writer.event(&Event::Start { id: None, model: None }, &self.envelope, out);
            }
            match event {
                Event::Start { id, .. } => self.upstream_id = id.clone().filter(|id| !id.is_empty()),
                Event::Usage(usage) => self.usage = Some(*usage),
                Event::Stop(stop) => self.stop = Some(stop.clone()),
                _ => {}
            }
            self.writer.event(event, &self.envelope, out);
        }
    }

    fn end(&mut self, finish: &dyn Finish, out: &mut String) {
        let mut events = Vec::new();
        self.reader.close(&mut events);
        if !self.started {
            events.insert(0, Event::Start { id: None, model: None });
        }
        self.write(&events, out);
        let cost = self.usage.and_then(|usage| finish.cost(&usage));
        let metadata = finish.metadata(cost).and_then(|metadata| String::from_utf8(metadata).ok());
        let stop = self.stop.clone().unwrap_or(Stop::End);
        let last = Last { stop: &stop, usage: self.usage.as_ref(), cost, metadata: metadata.as_deref() };
        self.writer.end(&last, &self.envelope, out);
        self.ended = true;
        self.complete = true;
    }

    fn fail(&mut self, fault: &Fault, out: &mut String) {
        self.failure.get_or_insert_with(|| fault.message.clone());
        self.writer.fail(fault, out);
        self.ended = true;
    }

    fn finish(mut self, end: End, finish: &dyn Finish, out: &mut String) -> StreamSummary {
        let done = self.complete;
        let error = match end {
            End::Error(error) => Some(format!("the upstream's stream broke off: {error}")),
            End::Eof => None,
        };
        if !self.ended && self.reader.whole() {
            self.end(finish, out);
            self.failure = error;
        } else if !self.ended {
            let message = "the upstream ended the stream before the answer was finished";
            self.fail(&Fault::upstream("stream_truncated", error.unwrap_or_else(|| message.to_owned())), out);
        }
        StreamSummary {
            complete: self.complete,
            usage: self.usage,
            upstream_id: self.upstream_id,
            finish_reason_seen: self.stop.is_some(),
            done_seen: done,
            error: self.failure,
        }
    }
}

#[cfg(test)]
mod tests;
