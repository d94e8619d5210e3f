//! What an answer says of itself: its model and why it ended. Read off the upstream's bytes beside their way to the client, and only
//! for a request that is traced.

use std::borrow::Cow;

use serde::Deserialize;
use slarouter_protocol::relay::MAX_EVENT;
use slarouter_protocol::sse::Splitter;

/// Longest word that goes into a span, and most of them: an upstream must not fill it.
const LONGEST: usize = 128;
const MOST: usize = 16;

/// Read so far.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    /// As the provider puts them.
    pub(super) reasons: Vec<String>,
    splitter: Option<Splitter>,
}

/// The members of the bodies and events of all three protocols that matter here.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    /// Anthropic's.
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    message: Option<Box<Body<'a>>>,
    /// Of OpenAI's responses.
    #[serde(borrow)]
    object: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    incomplete_details: Option<Incomplete<'a>>,
    #[serde(borrow)]
    response: Option<Box<Body<'a>>>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    stop_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Incomplete<'a> {
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
}

impl Said {
    /// Reads an answer that came whole.
    pub(super) fn whole(&mut self, body: &[u8]) {
        // What cannot be read says nothing.
        if let Ok(body) = serde_json::from_slice(body) {
            self.note(body);
        }
    }

    /// Reads the next bytes of a stream.
    pub(super) fn chunk(&mut self, bytes: &[u8]) {
        let mut splitter = self.splitter.take().unwrap_or_else(|| Splitter::new(MAX_EVENT));
        splitter.feed(bytes);
        while let Ok(Some(event)) = splitter.next_event() {
            if let Some(data) = event.data() {
                self.whole(&data);
            }
        }
        self.splitter = Some(splitter);
    }

    fn note(&mut self, body: Body<'_>) {
        for inner in [body.message, body.response].into_iter().flatten() {
            self.note(*inner);
        }
        if let Some(id) = body.id.filter(|id| self.id.is_none() && !id.is_empty()) {
            self.id = Some(short(&id));
        }
        if let Some(model) = body.model.filter(|model| !model.is_empty()) {
            self.model = Some(short(&model));
        }
        let choices = body.choices.into_iter().flatten().filter_map(|choice| choice.finish_reason);
        let stop = body.stop_reason.into_iter().chain(body.delta.and_then(|delta| delta.stop_reason));
        let response = body.object.is_some_and(|object| object == "response");
        let status = body.status.filter(|status| response && status != "in_progress" && status != "queued");
        let status = status.map(|status| body.incomplete_details.and_then(|why| why.reason).unwrap_or(status));
        let reasons = choices.chain(stop).chain(status).map(|reason| short(&reason));
        self.reasons.extend(reasons.take(MOST.saturating_sub(self.reasons.len())));
    }
}

fn short(word: &str) -> String {
    word.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str) -> (Option<String>, Vec<String>) {
        let mut whole = Said::default();
        whole.whole(body.as_bytes());
        (whole.model, whole.reasons)
    }

    #[test]
    fn answers_of_all_protocols_say_model_and_reason() {
        for (body, model, reasons) in [
            (
                r#"{"id":"a","model":"g","choices":[{"finish_reason":"stop"},{"finish_reason":"length"}]}"#,
                "g",
                &["stop", "length"][..],
            ),
            (r#"{"id":"a","model":"c","stop_reason":"end_turn","role":"assistant"}"#, "c", &["end_turn"]),
            (r#"{"object":"response","model":"o","status":"completed"}"#, "o", &["completed"]),
            (
                r#"{"object":"response","model":"o","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#,
                "o",
                &["max_output_tokens"],
            ),
            (r#"{"model":"e","data":[]}"#, "e", &[]),
        ] {
            assert_eq!(said(body), (Some(model.to_owned()), reasons.iter().map(|&r| r.to_owned()).collect()), "{body}");
        }
        for none in ["", "[]", "{}", "null", "{\"model\":5}", "{\"choices\":{}}"] {
            assert_eq!(said(none), (None, vec![]), "{none}");
        }
    }

    #[test]
    fn streams_say_the_same_whatever_pieces_they_come_in() {
        for (stream, model, reason) in [
            (
                "data: {\"id\":\"u\",\"model\":\"g\",\"choices\":[{\"finish_reason\":null}]}\n\n\
                 data: {\"model\":\"g\",\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
                "g",
                "stop",
            ),
            (
                "event: message_start\r\ndata: {\"message\":{\"id\":\"u\",\"model\":\"c\",\"stop_reason\":null}}\r\n\r\n\
                 data: {\"delta\":{\"text\":\"hi\"}}\r\n\r\ndata: {\"delta\":{\"stop_reason\":\"tool_use\"}}\r\n\r\n",
                "c",
                "tool_use",
            ),
            (
                "data: {\"response\":{\"id\":\"u\",\"object\":\"response\",\"model\":\"o\",\"status\":\"in_progress\"}}\n\n\
                 data: {\"delta\":\"hi\"}\n\n\
                 data: {\"response\":{\"id\":\"u\",\"object\":\"response\",\"model\":\"o\",\"status\":\"completed\"}}\n\n",
                "o",
                "completed",
            ),
        ] {
            for size in [1, 7, stream.len()] {
                let mut read = Said::default();
                stream.as_bytes().chunks(size).for_each(|bytes| read.chunk(bytes));
                let found = (read.id.as_deref(), read.model.as_deref(), read.reasons);
                assert_eq!(found, (Some("u"), Some(model), vec![reason.to_owned()]));
            }
        }
    }

    #[test]
    fn no_answer_fills_a_span() {
        let word = "x".repeat(10_000);
        let choice = format!("{{\"finish_reason\":\"{word}\"}}");
        let body = format!("{{\"model\":\"{word}\",\"choices\":[{}]}}", vec![choice; 100].join(","));
        let (model, reasons) = said(&body);
        assert_eq!((model.unwrap().len(), reasons.len(), reasons[0].len()), (LONGEST, MOST, LONGEST));
    }
}
