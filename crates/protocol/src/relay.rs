//! What takes a streamed answer from the upstream to the client, whether it passes it on or translates it.

use crate::json::{Edit, Object};
use crate::sse::Event;
use crate::usage::Usage;

/// The longest event let through, in bytes. Images in base64 come in events of a few MiB.
pub const MAX_EVENT: usize = 16 << 20;

/// What begins the error of a stream in which the upstream reported one; its own words follow.
pub const REPORTED: &str = "the upstream reported an error";

/// The data of the event that ends a chat stream.
pub const DONE: &[u8] = b"[DONE]";

/// Says at the end of a stream what was not known at its start.
pub trait Finish {
    /// What this usage costs in USD; `None` if the price is unknown.
    fn cost(&self, usage: &Usage) -> Option<f64>;

    /// The `slarouter` object as raw JSON on one line, given the cost if it is known.
    fn metadata(&self, cost: Option<f64>) -> Option<Vec<u8>>;
}

/// How the upstream's stream ended.
#[derive(Debug)]
pub enum End {
    /// The connection was closed in order.
    Eof,
    /// The connection broke, for this reason.
    Error(String),
}

/// What is known of a stream at its end.
#[derive(Debug)]
pub struct StreamSummary {
    /// Whether the client has the whole answer.
    pub complete: bool,
    /// The last usage reported.
    pub usage: Option<Usage>,
    /// The upstream's own id.
    pub upstream_id: Option<String>,
    /// Whether any choice had a `finish_reason`.
    pub finish_reason_seen: bool,
    /// Whether the upstream sent `[DONE]`.
    pub done_seen: bool,
    /// What went wrong; also set if the connection broke between the end of the answer and `[DONE]`.
    pub error: Option<String>,
}

/// Takes a stream in pieces of any size; what it writes does not depend on where they were cut.
pub trait Relay: Send {
    /// Takes the next bytes and appends to `out` whatever can go to the client: whole events only.
    fn push(&mut self, chunk: &[u8], finish: &dyn Finish, out: &mut Vec<u8>);

    /// Ends the stream. An event that lacks nothing but its blank line still counts and is completed; less than that is
    /// left out.
    fn finish(self: Box<Self>, end: End, finish: &dyn Finish, out: &mut Vec<u8>) -> StreamSummary;
}

/// An event whose data is a JSON object.
#[derive(Clone, Copy)]
pub(crate) struct ObjectEvent<'a> {
    pub(crate) event: &'a Event<'a>,
    pub(crate) data: &'a [u8],
    /// The members of `data`.
    pub(crate) object: &'a Object,
}

impl<'a> ObjectEvent<'a> {
    /// The value of a member, as [`Object::get`] finds it.
    pub(crate) fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.object.get(self.data, name)
    }

    /// The value of a member that is not `null`.
    pub(crate) fn get_some(&self, name: &str) -> Option<&'a [u8]> {
        self.object.get_some(self.data, name)
    }

    /// Appends the event with its data edited; the data on one line, as nearly always, is not copied on the way.
    pub(crate) fn write(&self, edits: &[(&str, Edit<'_>)], out: &mut Vec<u8>) {
        let Self { event, data, object } = self;
        if let Some((before, after)) = event.frame() {
            out.extend_from_slice(before);
            object.splice(data, edits, out);
            out.extend_from_slice(after);
        } else {
            let mut edited = Vec::with_capacity(data.len() + 64);
            object.splice(data, edits, &mut edited);
            event.write(&edited, out);
        }
    }

    /// Appends the event as it came.
    pub(crate) fn pass(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.event.raw());
    }
}
