//! Between the protocol of a request and that of its model: bytes pass where they are one, and are translated where not.

use bytes::Bytes;
use http::StatusCode;

use super::fault::Fault;
use super::form::{Answer, Envelope, Request};
use super::stream::{Reader, Translator, Writer};
use super::{Endpoint, Protocol, Refusal, chat, messages, responses};
use crate::config::{Model, ModelProtocol};
use crate::wire::response::{Rewrite, Scanned, Usage};
use crate::wire::stream::{Relay, StreamOptions, StreamRewriter};
use crate::wire::typed::TypedRewriter;

/// What lies between a client and the upstream that answers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bridge {
    pub(crate) endpoint: Endpoint,
    pub(crate) upstream: ModelProtocol,
}

/// How an answer is to be written for the client.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) envelope: Envelope,
    /// Whether the client asked for the usage at the end of a chat stream.
    pub(crate) wants_usage: bool,
    pub(crate) wants_metadata: bool,
}

/// An answer for the client.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) body: Vec<u8>,
    pub(crate) usage: Option<Usage>,
    /// The upstream's own id.
    pub(crate) id: Option<String>,
    /// USD, where that is known.
    pub(crate) cost: Option<f64>,
}

/// Reads a request of this protocol into the common form.
///
/// # Errors
/// What of it no other protocol carries.
pub(crate) fn read_request(protocol: Protocol, body: &str) -> Result<Request, Refusal> {
    match protocol {
        Protocol::Chat => chat::read_request(body),
        Protocol::Responses => responses::read_request(body),
        Protocol::Messages => messages::read_request(body),
    }
}

/// Writes a request for this model.
///
/// # Errors
/// What of it the model's protocol does not carry.
pub(crate) fn write_request(request: &Request, model: &Model) -> Result<String, Refusal> {
    match model.protocol.wire() {
        Protocol::Chat => chat::write_request(request, &model.upstream_model, model.protocol),
        Protocol::Responses => responses::write_request(request, &model.upstream_model),
        Protocol::Messages => messages::write_request(request, &model.upstream_model, model.max_output_tokens),
    }
}

fn read_answer(protocol: Protocol, body: &str) -> Result<Answer, Refusal> {
    match protocol {
        Protocol::Chat => chat::read_answer(body),
        Protocol::Responses => responses::read_answer(body),
        Protocol::Messages => messages::read_answer(body),
    }
}

fn write_answer(protocol: Protocol, answer: &Answer, envelope: &Envelope) -> String {
    match protocol {
        Protocol::Chat => chat::write_answer(answer, envelope),
        Protocol::Responses => responses::write_answer(answer, envelope),
        Protocol::Messages => messages::write_answer(answer, envelope),
    }
}

fn reader(protocol: Protocol) -> Box<dyn Reader> {
    match protocol {
        Protocol::Chat => Box::<chat::Reader>::default(),
        Protocol::Responses => Box::<responses::Reader>::default(),
        Protocol::Messages => Box::<messages::Reader>::default(),
    }
}

fn writer(protocol: Protocol, wants_usage: bool) -> Box<dyn Writer> {
    match protocol {
        Protocol::Chat => Box::new(chat::Writer::new(wants_usage)),
        Protocol::Responses => Box::<responses::Writer>::default(),
        Protocol::Messages => Box::<messages::Writer>::default(),
    }
}

// === impl Bridge ===

impl Bridge {
    fn passes(self) -> bool {
        self.endpoint.passes(self.upstream)
    }

    /// What is wrong with an answer that came whole, if it cannot be read; `is_object`: whether it is a JSON object.
    pub(crate) fn fault(self, body: &[u8], is_object: bool) -> Option<String> {
        if self.passes() {
            return (!is_object).then(|| "the answer is no JSON object".to_owned());
        }
        match std::str::from_utf8(body) {
            Ok(text) => read_answer(self.upstream.wire(), text).err().map(|refusal| format!("in the answer {refusal}")),
            Err(error) => Some(error.to_string()),
        }
    }

    /// The client's body of an answer that came whole. `close` gives the cost and the metadata of a usage.
    ///
    /// # Errors
    /// Why it is no answer.
    pub(crate) fn plain(
        self,
        body: &[u8],
        terms: &Terms,
        close: impl FnOnce(Option<&Usage>) -> (Option<f64>, Option<Vec<u8>>),
    ) -> Result<Written, String> {
        let envelope = &terms.envelope;
        let (translated, usage, id);
        let scanned = if self.passes() {
            let scanned = Scanned::of(body).map_err(|error| error.to_string())?;
            let facts = scanned.facts(self.upstream.wire());
            (usage, id) = (facts.usage, facts.id);
            scanned
        } else {
            let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
            let answer = read_answer(self.upstream.wire(), text).map_err(|error| error.to_string())?;
            (usage, id) = (answer.usage, answer.id.clone());
            translated = write_answer(self.endpoint.protocol(), &answer, envelope).into_bytes();
            Scanned::of(&translated).map_err(|error| error.to_string())?
        };
        let (cost, metadata) = close(usage.as_ref());
        let rewrite = Rewrite {
            // An embedding has no id, and gets none.
            id: (self.endpoint != Endpoint::Embeddings).then_some(envelope.id.as_str()),
            model_if_missing: &envelope.model,
            cost: cost.filter(|_| usage.is_some()),
            metadata: metadata.as_deref(),
        };
        Ok(Written { body: scanned.rewrite(&rewrite), usage, id, cost })
    }

    /// What takes a stream from the upstream to the client.
    pub(crate) fn stream(self, terms: Terms) -> Box<dyn Relay> {
        let Terms { envelope, wants_usage, wants_metadata } = terms;
        let protocol = self.endpoint.protocol();
        if !self.passes() {
            return Box::new(Translator::new(reader(self.upstream.wire()), writer(protocol, wants_usage), envelope));
        }
        match protocol {
            Protocol::Chat => Box::new(StreamRewriter::new(StreamOptions {
                id: envelope.id,
                model_if_missing: envelope.model,
                client_wants_usage: wants_usage,
                metadata: wants_metadata,
            })),
            Protocol::Responses | Protocol::Messages => {
                Box::new(TypedRewriter::new(protocol, &envelope.id, &envelope.model))
            }
        }
    }

    /// The client's body of an error that the upstream sent; the upstream's own bytes where they have the right shape.
    pub(crate) fn error(self, status: StatusCode, body: &Bytes) -> Bytes {
        let fault = Fault::read(body);
        // Google wraps errors in a list, of which OpenAI's SDKs make nothing.
        let shaped = self.passes() && !body.trim_ascii_start().starts_with(b"[");
        match fault {
            _ if shaped => body.clone(),
            Some(fault) => fault.write(self.endpoint.protocol(), status).into(),
            None => {
                let message = format!("the upstream answered {status} without saying why");
                let fault = Fault { message, ..Fault::default() };
                fault.write(self.endpoint.protocol(), status).into()
            }
        }
    }
}

/// The tokens of a raw `usage` object of this protocol.
pub(crate) fn tokens(protocol: Protocol, usage: &[u8]) -> Option<Usage> {
    match protocol {
        Protocol::Chat => Usage::read(usage),
        Protocol::Responses => responses::tokens(usage),
        Protocol::Messages => messages::tokens(usage),
    }
}
