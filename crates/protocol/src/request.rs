//! A request: what the gateway must know of it, and the bytes that go upstream.

use std::ops::Range;
use std::sync::OnceLock;

use bytes::Bytes;

use crate::endpoint::{Endpoint, Protocol, Upstream};
use crate::fields::Refusal;
use crate::json::{self, Edit, Object, WireError, splice};
use crate::outline::{Outline, outline};
use crate::print::one_line;
use crate::{form, forms, messages, responses};

/// More answers or tokens than this nobody means; infinitely many times none would be no number, and no limit.
const MOST: f64 = 1e9;

/// A request that can be routed. Whatever else is in it is the upstream's to judge.
#[derive(Debug)]
pub struct Request {
    endpoint: Endpoint,
    body: String,
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
        let body = String::from_utf8(body.into()).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            RequestError::syntax(error.as_bytes(), offset, "bytes that are not UTF-8")
        })?;
        let bytes = body.as_bytes();
        let object = Object::scan(bytes).map_err(|error| match error {
            WireError::Syntax { offset, what } => RequestError::syntax(bytes, offset, what),
            WireError::TooDeep { offset } => RequestError::syntax(bytes, offset, "nested too deep"),
            WireError::NotAnObject => RequestError::NotAnObject,
        })?;

        let model = object.get(bytes, "model").ok_or(RequestError::Missing("model"))?;
        let model = json::text(model).ok_or(RequestError::WrongType { param: "model", expected: "a string" })?;
        let name = endpoint.question();
        let question = object.find(bytes, name).ok_or(RequestError::Missing(name))?;
        // Any other question may be a text, and what it may hold is the upstream's to judge.
        let is_list = name == "messages";
        match bytes[question.clone()].strip_prefix(b"[") {
            None if is_list => return Err(RequestError::WrongType { param: name, expected: "an array" }),
            Some(inside) if inside.trim_ascii_start() == b"]" => return Err(RequestError::Empty(name)),
            _ => {}
        }
        let stream = flag(object.get(bytes, "stream"), "stream")?;
        let include_usage = match object.get_some(bytes, "stream_options") {
            Some(options) if stream && endpoint.protocol() == Protocol::Chat => {
                let wrong = RequestError::WrongType { param: "stream_options", expected: "an object" };
                let inner = Object::scan(options).map_err(|_| wrong)?;
                flag(inner.get(options, "include_usage"), "stream_options.include_usage")?
            }
            _ => false,
        };
        let tools = object.find(bytes, "tools").filter(|tools| &bytes[tools.clone()] != b"null");
        Ok(Self { endpoint, model, stream, include_usage, question, tools, object, body, form: OnceLock::new() })
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

    /// The endpoint that it was sent to.
    pub fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    /// What features and token estimates are made from.
    pub fn outline(&self) -> Outline<'_> {
        let preface = match self.endpoint {
            Endpoint::Messages => self.member("system"),
            Endpoint::Responses => self.member("instructions"),
            Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings => None,
        };
        let tools = self.tools.clone().map(|tools| &self.body[tools]);
        outline(self.endpoint, &self.body[self.question.clone()], preface, tools)
    }

    /// A member that is not null, as written.
    pub fn member(&self, name: &str) -> Option<&str> {
        self.object.find(self.body.as_bytes(), name).map(|at| &self.body[at]).filter(|raw| *raw != "null")
    }

    /// What an answer of this request's protocol repeats of it.
    pub fn echo(&self) -> Vec<(&'static str, String)> {
        if self.endpoint != Endpoint::Responses {
            return Vec::new();
        }
        let names = responses::ECHOED.iter().map(|(name, _)| *name);
        names.filter_map(|name| Some((name, one_line(self.member(name)?)))).collect()
    }

    /// The body for this model: the client's bytes with another model, where it speaks the request's protocol.
    ///
    /// # Errors
    /// What its protocol cannot carry.
    pub fn upstream_body(&self, upstream: Upstream<'_>) -> Result<Vec<u8>, Refusal> {
        if self.endpoint.passes(upstream.dialect) {
            return Ok(self.passed_body(upstream.model));
        }
        let form = self.form.get_or_init(|| forms::read_request(self.endpoint.protocol(), &self.body));
        let form = form.as_ref().map_err(Refusal::clone)?;
        forms::write_request(form, upstream).map(String::into_bytes)
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
            Endpoint::Responses => (most(&["max_output_tokens"]), None),
        };
        AnswerLength::UpTo { answers: answers.unwrap_or(1.0).max(1.0), tokens }
    }

    /// The client's bytes with another model, and with the usage asked for if the answer is a stream: its cost is known
    /// only from there. Reasoning that was translated from another protocol goes out again.
    fn passed_body(&self, upstream_model: &str) -> Vec<u8> {
        let body = self.body.as_bytes();
        let model = json::quote(upstream_model);
        let mut edits = vec![("model", Edit::Set(model.as_bytes()))];
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
            Endpoint::Responses => responses::without_foreign_reasoning(question),
            Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings => None,
        };
        edits.extend(own.as_ref().map(|own| (self.endpoint.question(), Edit::Set(own.as_bytes()))));
        let mut out = Vec::with_capacity(body.len() + model.len() + 64);
        self.object.splice(body, &edits, &mut out);
        out
    }
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
            Self::NotJson { .. } | Self::NotAnObject => "",
            Self::Missing(param) | Self::Empty(param) | Self::WrongType { param, .. } => param,
        }
    }

    /// The kind of fault, as OpenAI's `code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "invalid_json",
            Self::NotAnObject | Self::WrongType { .. } => "invalid_type",
            Self::Missing(_) => "missing_required_parameter",
            Self::Empty(_) => "empty_array",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Request, RequestError> {
        Request::parse(Endpoint::Chat, Bytes::copy_from_slice(body.as_bytes()))
    }

    fn messages(request: &Request) -> String {
        request.outline().messages.into_owned()
    }

    fn upstream(body: &str) -> String {
        String::from_utf8(parse(body).unwrap().passed_body("gpt \"x\"")).unwrap()
    }

    #[test]
    fn reads_what_routing_needs() {
        let request = parse(
            r#"{"tools": [ {"type":"function"} ],"stream":true,"model":"auto:\u0063hat","messages" : [{"role":"user"}],
            "stream_options":{"include_usage":true},"seed":1.0}"#,
        )
        .unwrap();
        assert_eq!(request.model(), "auto:chat");
        assert_eq!(messages(&request), r#"[{"role":"user"}]"#);
        assert_eq!(request.outline().tools, Some(r#"[ {"type":"function"} ]"#));
        assert!(request.stream() && request.include_usage());
    }

    #[test]
    fn null_is_as_left_out() {
        let request =
            parse(r#"{"model":"m","messages":[1],"stream":null,"tools":null,"stream_options":null}"#).unwrap();
        assert_eq!((request.stream(), request.include_usage(), request.outline().tools), (false, false, None));
    }

    #[test]
    fn changes_only_the_model() {
        let body = "{ \"messages\":[ 1.0 ],\"model\" : \"auto\",\n\t\"temperature\": 1e0,\"x\":\"\\u00e9\", \"stream\":false }\n";
        assert_eq!(upstream(body), body.replace("\"auto\"", r#""gpt \"x\"""#));
    }

    #[test]
    fn asks_streams_for_their_usage() {
        let base = r#"{"model":"m","messages":[1],"stream":true"#;
        let with = r#"{"model":"gpt \"x\"","messages":[1],"stream":true,"stream_options":"#;
        assert_eq!(upstream(&format!("{base}}}")), format!(r#"{with}{{"include_usage":true}}}}"#));
        for (options, expected) in [
            ("null", r#"{"include_usage":true}"#),
            ("{ }", r#"{"include_usage":true }"#),
            (r#"{"include_usage": false, "a":1.0}"#, r#"{"include_usage": true, "a":1.0}"#),
            (r#"{"a" :[1]}"#, r#"{"a" :[1],"include_usage":true}"#),
        ] {
            let body = format!(r#"{base},"stream_options":{options} }}"#);
            assert_eq!(upstream(&body), format!("{with}{expected} }}"));
        }
    }

    #[test]
    fn the_last_of_two_counts_and_both_are_replaced() {
        let body = r#"{"model":"a","messages":[],"model":"b","messages":[2]}"#;
        assert_eq!(parse(body).unwrap().model(), "b");
        assert_eq!(messages(&parse(body).unwrap()), "[2]");
        assert_eq!(upstream(body).matches("gpt").count(), 2);
    }

    #[test]
    fn faults_are_named() {
        let cases = [
            ("[]", "", "invalid_type", "the body must be a JSON object"),
            ("", "", "invalid_json", "the body is not JSON: it ends too early at byte 0 (line 1, column 1)"),
            ("{}", "model", "missing_required_parameter", "`model` is missing"),
            (r#"{"model":7}"#, "model", "invalid_type", "`model` must be a string"),
            (r#"{"model":null}"#, "model", "invalid_type", "`model` must be a string"),
            (r#"{"model":"m"}"#, "messages", "missing_required_parameter", "`messages` is missing"),
            (r#"{"model":"m","messages":{}}"#, "messages", "invalid_type", "`messages` must be an array"),
            (r#"{"model":"m","messages":[ ]}"#, "messages", "empty_array", "`messages` must not be empty"),
            (r#"{"model":"m","messages":[1],"stream":1}"#, "stream", "invalid_type", "`stream` must be a boolean"),
            (
                r#"{"model":"m","messages":[1],"stream":true,"stream_options":[]}"#,
                "stream_options",
                "invalid_type",
                "`stream_options` must be an object",
            ),
            (
                "{\"model\": \"m\",\n \"messages\": [}",
                "",
                "invalid_json",
                "the body is not JSON: expected a value at byte 29 (line 2, column 15)",
            ),
        ];
        for (body, param, code, message) in cases {
            let error = parse(body).unwrap_err();
            assert_eq!((error.param(), error.code(), error.to_string().as_str()), (param, code, message), "{body}");
        }
        let error = Request::parse(Endpoint::Chat, Bytes::from_static(b"{\"model\":\"\xff\"}")).unwrap_err();
        assert_eq!(error.to_string(), "the body is not JSON: bytes that are not UTF-8 at byte 10 (line 1, column 11)");
    }

    #[test]
    fn the_longest_word_of_the_client_counts() {
        for (endpoint, members, answers, tokens) in [
            (Endpoint::Chat, "", 1.0, None),
            (Endpoint::Chat, r#","max_tokens":5"#, 1.0, Some(5.0)),
            (Endpoint::Chat, r#","max_tokens":5,"max_completion_tokens":70,"n":3"#, 3.0, Some(70.0)),
            (Endpoint::Chat, r#","max_tokens":1e3,"n":0"#, 1.0, Some(1_000.0)),
            (Endpoint::Chat, r#","max_tokens":0,"n":1e999"#, 1e9, Some(0.0)),
            (Endpoint::Chat, r#","max_tokens":null"#, 1.0, None),
            (Endpoint::Chat, r#","max_tokens":-1"#, 1.0, None),
            (Endpoint::Messages, r#","max_tokens":9"#, 1.0, Some(9.0)),
            (Endpoint::Responses, r#","max_output_tokens":8,"max_tokens":99"#, 1.0, Some(8.0)),
        ] {
            let question = endpoint.question();
            let body = format!(r#"{{"model":"m","{question}":[{{"role":"user","content":"x"}}]{members}}}"#);
            let request = Request::parse(endpoint, body.into()).unwrap();
            assert_eq!(request.answer_length(), AnswerLength::UpTo { answers, tokens }, "{members}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            if let Ok(request) = Request::parse(Endpoint::Chat, bytes.into()) {
                request.passed_body("m");
            }
        }

        #[test]
        fn arbitrary_members_never_panic(model in "\\PC{0,9}", messages in "\\PC{0,9}", options in "\\PC{0,9}") {
            let body = format!(r#"{{"model":{model},"messages":[{messages}],"stream":true,"stream_options":{options}}}"#);
            if let Ok(request) = parse(&body) {
                request.passed_body("m");
            }
        }
    }
}
