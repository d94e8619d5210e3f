//! A request: what the gateway must know of it, and the bytes that go upstream.

mod reasoning;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::dialect::{self, Wording};
use crate::dropped::Dropped;
use crate::endpoint::{Endpoint, ModelProtocol, Protocol, Upstream};
use crate::fields::Refusal;
use crate::json::{self, Edit, Object, Pieces, WireError, splice};
use crate::outline::{Outline, outline};
use crate::print::one_line;
use crate::{carries, form, forms, messages, responses};

/// More answers or tokens than this nobody means; infinitely many times none would be no number, and no limit.
const MOST: f64 = 1e9;
/// Members of a request: providers know a few dozen, and each takes more memory here than it may have bytes.
const MOST_MEMBERS: usize = 256;
/// Memory that one value of a request takes at most beside its text, while it is looked at.
const BYTES_PER_VALUE: usize = 128;

/// A request that can be routed. Whatever else is in it is the upstream's to judge.
#[derive(Debug)]
pub struct Request {
    endpoint: Endpoint,
    body: Arc<String>,
    object: Object,
    model: String,
    stream: bool,
    include_usage: bool,
    /// The member that the model is asked with.
    question: Range<usize>,
    tools: Option<Range<usize>>,
    /// The request in the common form, made when a model of another protocol is at hand.
    form: OnceLock<Result<form::CommonRequest, Refusal>>,
}

/// How long the client lets the answer be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AnswerLength {
    /// There is none: an embedding, or a decision alone.
    None,
    /// So many answers of at most so many tokens each; as the model has it where the client does not say.
    UpTo {
        /// How many answers, from 1.
        answers: f64,
        /// Tokens of each; `None` where the client does not say.
        tokens: Option<f64>,
    },
}

/// Members by which the gateway routes, counts and bills.
const READ: [&str; 8] =
    ["model", "stream", "stream_options", "tools", "n", "max_tokens", "max_completion_tokens", "max_output_tokens"];

/// Why a request cannot be routed. The text says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Cut off, or not written by a JSON library.
    #[error("the body is not JSON: {what} at byte {offset} (line {line}, column {column})")]
    NotJson {
        /// Bytes before the fault.
        offset: usize,
        /// The line of the fault, from 1.
        line: usize,
        /// The place of the fault in its line: bytes, from 1.
        column: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// JSON, but for example an array.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// It has very many members.
    #[error("the body has more than {MOST_MEMBERS} members")]
    TooManyMembers,
    /// Who reads the first and who reads the last of two would not read the same request.
    #[error("{0:?} stands twice in the body, and which one counts differs from server to server: send it once")]
    Ambiguous(String),
    /// Some servers read a member in any case of letters, and the gateway would not see what they see.
    #[error("{sent:?} has to be written {meant:?}: some servers read it in any case of letters, and others do not")]
    Miscased {
        /// As it stands in the body.
        sent: String,
        /// The member that it is but for its case.
        meant: &'static str,
    },
    /// A member is missing.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member is of another type.
    #[error("`{param}` must be {expected}")]
    WrongType {
        /// The member.
        param: &'static str,
        /// What it should be, with its article.
        expected: &'static str,
    },
    /// The question is an empty list.
    #[error("`{0}` must not be empty")]
    Empty(&'static str),
}

// === impl Request ===

impl Request {
    /// Reads a body in one pass; the bytes are not copied if no one else holds them.
    pub fn parse(endpoint: Endpoint, body: Bytes) -> Result<Self, RequestError> {
        let mut body = Vec::from(body);
        json::mend_surrogates(&mut body);
        let body = String::from_utf8(body).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            RequestError::syntax(error.as_bytes(), offset, "bytes that are not UTF-8")
        })?;
        let bytes = body.as_bytes();
        let object = Object::scan_up_to(bytes, MOST_MEMBERS).map_err(|error| match error {
            WireError::Syntax { offset, what } => RequestError::syntax(bytes, offset, what),
            WireError::TooDeep { offset } => RequestError::syntax(bytes, offset, "nested too deep"),
            WireError::NotAnObject => RequestError::NotAnObject,
            WireError::TooMany { .. } => RequestError::TooManyMembers,
        })?;
        if let Some(name) = object.ambiguous(bytes) {
            return Err(RequestError::Ambiguous(name));
        }
        if let Some((sent, meant)) =
            object.miscased(bytes, &READ).or_else(|| object.miscased(bytes, &[endpoint.question()]))
        {
            return Err(RequestError::Miscased { sent, meant });
        }

        let model = object.get(bytes, "model").ok_or(RequestError::Missing("model"))?;
        let model = json::text(model).ok_or(RequestError::WrongType { param: "model", expected: "a string" })?;
        let name = endpoint.question();
        let question = match object.find(bytes, name) {
            Some(question) => question,
            // It may all be in a prompt that the provider keeps.
            None if endpoint == Endpoint::Responses && object.get_some(bytes, "prompt").is_some() => 0..0,
            None => return Err(RequestError::Missing(name)),
        };
        // Any other question may be a text, and what it may hold is the upstream's to judge.
        let is_list = name == "messages";
        match bytes[question.clone()].strip_prefix(b"[") {
            None if is_list => return Err(RequestError::WrongType { param: name, expected: "an array" }),
            Some(inside) if inside.trim_ascii_start() == b"]" => return Err(RequestError::Empty(name)),
            _ => {}
        }
        let stream = flag(object.get(bytes, "stream"), "stream")? && endpoint.streams();
        let include_usage = match object.get_some(bytes, "stream_options") {
            Some(options) if stream && endpoint.protocol() == Protocol::Chat => {
                let wrong = RequestError::WrongType { param: "stream_options", expected: "an object" };
                let inner = Object::scan(options).map_err(|_| wrong)?;
                flag(inner.get(options, "include_usage"), "stream_options.include_usage")?
            }
            _ => false,
        };
        let tools = object.find(bytes, "tools").filter(|tools| &bytes[tools.clone()] != b"null");
        let (body, form) = (Arc::new(body), OnceLock::new());
        Ok(Self { endpoint, model, stream, include_usage, question, tools, object, body, form })
    }

    /// The model or route asked for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether the answer is to come as a stream.
    pub fn stream(&self) -> bool {
        self.stream
    }

    /// Whether the client asked for the usage at the end of a stream.
    pub fn include_usage(&self) -> bool {
        self.include_usage
    }

    /// Bytes of its body.
    pub fn size(&self) -> usize {
        self.body.len()
    }

    /// Memory in bytes that it may take beside its body while it is answered, by models of other protocols too if it is `translated`.
    #[must_use]
    pub fn working_bytes(&self, translated: bool) -> usize {
        // The outline is made in two; a common form is one, and what is written from that another. None of the former outlives the decision.
        let copies = if translated || self.endpoint != Endpoint::Chat { 2 } else { 0 };
        working_bytes(&self.object, self.body.len(), copies)
    }

    /// Whether it leaves the length of the answer to the model.
    pub fn asks_no_length(&self) -> bool {
        matches!(self.answer_length(), AnswerLength::None | AnswerLength::UpTo { tokens: None, .. })
    }

    /// The endpoint that it was sent to.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// What features and token estimates are made from.
    pub fn outline(&self) -> Outline<'_> {
        let preface = match self.endpoint {
            Endpoint::Messages => self.member("system"),
            Endpoint::Responses | Endpoint::Compact => self.member("instructions"),
            Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings => None,
        };
        let tools = self.tools.clone().map(|tools| &self.body[tools]);
        outline(self.endpoint, &self.body[self.question.clone()], preface, tools)
    }

    /// A member that is not null, as written.
    pub fn member(&self, name: &str) -> Option<&str> {
        self.object.find(self.body.as_bytes(), name).map(|at| &self.body[at]).filter(|raw| *raw != "null")
    }

    /// What one provider keeps, and only that provider can look up.
    ///
    /// # Errors
    /// Where it stands, and how to do without.
    pub fn is_self_contained(&self) -> Result<(), Refusal> {
        if self.endpoint.protocol() != Protocol::Responses {
            return Ok(());
        }
        let kept =
            ["previous_response_id", "conversation", "prompt"].into_iter().find(|name| self.member(name).is_some());
        match kept {
            Some(name) => {
                let what = "names what one provider keeps, so that no other model could answer: send the whole conversation \
                            as `input`, or name the model, with the provider's own id (`x-slarouter-upstream-id`)";
                Err(Refusal::new(name, what))
            }
            None => responses::without_references(&self.body[self.question.clone()]),
        }
    }

    /// What an answer of this request's protocol repeats of it.
    pub fn echo(&self) -> Vec<(&'static str, String)> {
        if self.endpoint != Endpoint::Responses {
            return Vec::new();
        }
        let names = responses::ECHOED.iter().map(|(name, _)| *name);
        names.filter_map(|name| Some((name, one_line(self.member(name)?)))).collect()
    }

    /// Tools that models of other protocols know as functions.
    pub fn disguises(&self) -> Vec<form::Disguise> {
        let form = self.form.get().and_then(|form| form.as_ref().ok());
        form.map_or_else(Vec::new, |form| form.tools.iter().filter_map(|tool| tool.origin.clone()).collect())
    }

    /// The body for this model, and what it lacks: the client's bytes with another model, where it speaks the request's protocol.
    ///
    /// # Errors
    /// What its protocol cannot carry.
    pub fn upstream_body(&self, upstream: Upstream<'_>) -> Result<(Pieces, Dropped), Refusal> {
        self.worded_body(upstream, Wording::default())
    }

    /// [`Self::upstream_body`] for a server of chats, in the words that it knows.
    ///
    /// # Errors
    /// What its protocol cannot carry.
    pub fn worded_body(&self, upstream: Upstream<'_>, wording: Wording) -> Result<(Pieces, Dropped), Refusal> {
        let is_chat = self.endpoint.routes() && upstream.dialect.wire() == Protocol::Chat;
        let wording = if is_chat { wording } else { Wording::default() };
        if self.endpoint.passes(upstream.dialect) {
            return Ok(self.passed_body(upstream, wording));
        }
        let (body, dropped) = forms::write_request(self.form()?, upstream)?;
        let body = body.into_bytes();
        Ok((if is_chat { wording.put(body) } else { body }.into(), dropped))
    }

    /// Whether there is a body for models that speak this. Nothing is written to find out, so that it takes little time after the first.
    ///
    /// # Errors
    /// What their protocol cannot carry.
    pub fn fits(&self, upstream: ModelProtocol) -> Result<(), Refusal> {
        if self.endpoint.passes(upstream) { Ok(()) } else { carries::check(self.form()?, upstream.wire()) }
    }

    fn form(&self) -> Result<&form::CommonRequest, Refusal> {
        let form = self.form.get_or_init(|| forms::read_request(self.endpoint.protocol(), &self.body));
        form.as_ref().map_err(Refusal::clone)
    }

    /// How long the client lets the answer be: the longest of what it says, as upstreams differ in which name they read.
    pub fn answer_length(&self) -> AnswerLength {
        let number = |name: &str| {
            let number = self.member(name)?.parse::<f64>().ok()?;
            (number >= 0.0).then_some(number.min(MOST))
        };
        let most = |names: &[&'static str]| names.iter().filter_map(|name| number(name)).reduce(f64::max);
        let (tokens, answers) = match self.endpoint {
            Endpoint::Embeddings => return AnswerLength::None,
            Endpoint::Chat => (most(&["max_tokens", "max_completion_tokens"]), most(&["n"])),
            Endpoint::Completions => (most(&["max_tokens"]), most(&["n", "best_of"])),
            Endpoint::Messages => (most(&["max_tokens"]), None),
            Endpoint::Responses | Endpoint::Compact => (most(&["max_output_tokens"]), None),
        };
        AnswerLength::UpTo { answers: answers.unwrap_or(1.0).max(1.0), tokens }
    }

    /// The client's bytes with another model, and with the usage asked for if the answer is a stream: its cost is known
    /// only from there. Reasoning that was translated from another protocol goes out again, and so does a wish for reasoning where the model
    /// cannot be told of it.
    fn passed_body(&self, upstream: Upstream<'_>, wording: Wording) -> (Pieces, Dropped) {
        let body = self.body.as_bytes();
        let model = json::quote(upstream.model);
        let mut edits = vec![("model", Edit::Set(model.as_bytes()))];
        let mut dropped = Dropped::default();
        let wishes = if upstream.reasons {
            Vec::new()
        } else {
            reasoning::wishes(self.endpoint.protocol(), |name| self.member(name))
        };
        for reasoning::Wish { member, place, without } in &wishes {
            dropped.note(place);
            edits.push((*member, without.as_deref().map_or(Edit::Remove, Edit::Set)));
        }
        let (options, own);
        if self.stream && self.endpoint.protocol() == Protocol::Chat {
            let given = self.object.get(body, "stream_options");
            let given = given.and_then(|options| splice(options, &[("include_usage", Edit::Set(b"true"))]).ok());
            options = given.unwrap_or_else(|| br#"{"include_usage":true}"#.to_vec());
            edits.push(("stream_options", Edit::Set(&options)));
        }
        let question = &self.body[self.question.clone()];
        own = match self.endpoint {
            Endpoint::Messages => messages::without_foreign_reasoning(question),
            Endpoint::Responses | Endpoint::Compact => responses::without_foreign_reasoning(question),
            Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings => None,
        };
        edits.extend(own.as_ref().map(|own| (self.endpoint.question(), Edit::Set(own.as_bytes()))));
        let changes = wording.changes(&self.object, body);
        edits.extend(dialect::edits(&changes));
        (self.object.splice_shared(&Bytes::from_owner(Shared(self.body.clone())), &edits), dropped)
    }
}

/// The text of a request, which is given back when the last one who reads it is done.
struct Shared(Arc<String>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Memory in bytes that is taken beside a body of this length, with this object in it, for so many copies of it and while its values are
/// looked at one by one.
#[must_use]
pub fn working_bytes(object: &Object, length: usize, copies: usize) -> usize {
    copies * length + object.values() * BYTES_PER_VALUE
}

/// A boolean that may be left out or null.
fn flag(raw: Option<&[u8]>, param: &'static str) -> Result<bool, RequestError> {
    match raw {
        None | Some(b"null" | b"false") => Ok(false),
        Some(b"true") => Ok(true),
        Some(_) => Err(RequestError::WrongType { param, expected: "a boolean" }),
    }
}

// === impl RequestError ===

impl RequestError {
    fn syntax(body: &[u8], offset: usize, what: &'static str) -> Self {
        let before = &body[..offset];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        Self::NotJson { offset, line, column, what }
    }

    /// The member at fault, as OpenAI's `param`; empty if it is the body.
    pub fn param(&self) -> &'static str {
        match self {
            Self::NotJson { .. } | Self::NotAnObject | Self::TooManyMembers | Self::Ambiguous(_) => "",
            Self::Miscased { meant, .. } => meant,
            Self::Missing(param) | Self::Empty(param) | Self::WrongType { param, .. } => param,
        }
    }

    /// The kind of fault, as OpenAI's `code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "invalid_json",
            Self::NotAnObject | Self::WrongType { .. } => "invalid_type",
            Self::TooManyMembers => "too_many_members",
            Self::Ambiguous(_) => "duplicate_member",
            Self::Miscased { .. } => "miscased_member",
            Self::Missing(_) => "missing_required_parameter",
            Self::Empty(_) => "empty_array",
        }
    }
}

#[cfg(test)]
mod tests;
