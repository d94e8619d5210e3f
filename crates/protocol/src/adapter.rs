//! Between the protocol of a request and that of its model: bytes pass where they are one, and are translated where not.

use bytes::Bytes;
use http::StatusCode;

use crate::endpoint::{Endpoint, ModelProtocol, Protocol};
use crate::fault::Fault;
use crate::form::Envelope;
use crate::forms::{read_answer, reader, write_answer, writer};
use crate::pass::{Rewrite, Scanned, StreamOptions, StreamRewriter, TypedRewriter};
use crate::relay::Relay;
use crate::translate::Translator;
use crate::usage::Usage;

/// What lies between a client and the upstream that answers it.
#[derive(Clone, Copy, Debug)]
pub struct Adapter {
    /// The endpoint that the client asked.
    pub endpoint: Endpoint,
    /// What the model's provider speaks.
    pub upstream: ModelProtocol,
}

/// How an answer is to be written for the client.
#[derive(Debug)]
pub struct AnswerOptions {
    /// What the gateway puts around the answer.
    pub envelope: Envelope,
    /// Whether the client asked for the usage at the end of a chat stream.
    pub wants_usage: bool,
    /// Whether the client asked for the `slarouter` object in a stream.
    pub wants_metadata: bool,
}

/// An answer for the client.
#[derive(Debug)]
pub struct ClientAnswer {
    /// The body, in the client's protocol.
    pub body: Vec<u8>,
    /// What the upstream reported; `None` if nothing.
    pub usage: Option<Usage>,
    /// The upstream's own id.
    pub id: Option<String>,
    /// What the answer costs in USD, where that is known.
    pub cost: Option<f64>,
}

// === impl Adapter ===

impl Adapter {
    fn passes(self) -> bool {
        self.endpoint.passes(self.upstream)
    }

    /// What is wrong with an answer that came whole, if it cannot be read; `is_object`: whether it is a JSON object.
    pub fn fault(self, body: &[u8], is_object: bool) -> Option<String> {
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
    pub fn plain(
        self,
        body: &[u8],
        options: &AnswerOptions,
        close: impl FnOnce(Option<&Usage>) -> (Option<f64>, Option<Vec<u8>>),
    ) -> Result<ClientAnswer, String> {
        let envelope = &options.envelope;
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
        Ok(ClientAnswer { body: scanned.rewrite(&rewrite), usage, id, cost })
    }

    /// What takes a stream from the upstream to the client.
    pub fn stream(self, options: AnswerOptions) -> Box<dyn Relay> {
        let AnswerOptions { envelope, wants_usage, wants_metadata } = options;
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
    pub fn error(self, status: StatusCode, body: &Bytes) -> Bytes {
        let fault = Fault::read(body);
        // Google wraps errors in a list, of which OpenAI's SDKs make nothing.
        let shaped = self.passes() && !body.is_empty() && !body.trim_ascii_start().starts_with(b"[");
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
