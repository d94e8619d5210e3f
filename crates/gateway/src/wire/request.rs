//! A chat request: what the gateway must know of it, and the bytes that go upstream.

use std::ops::Range;

use bytes::Bytes;

use super::json::{self, Edit, Object, WireError, splice};

/// A chat request that can be routed. Whatever else is in it is the upstream's to judge.
#[derive(Debug)]
pub(crate) struct ChatRequest {
    body: String,
    object: Object,
    model: String,
    stream: bool,
    include_usage: bool,
    messages: Range<usize>,
    tools: Option<Range<usize>>,
}

/// Why a request cannot be routed. The text says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    /// Cut off, or not written by a JSON library.
    #[error("the body is not JSON: {what} at byte {offset} (line {line}, column {column})")]
    NotJson {
        /// Bytes before the fault.
        offset: usize,
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// JSON, but for example an array.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// No such member.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A member of another type.
    #[error("`{param}` must be {expected}")]
    WrongType {
        /// The member.
        param: &'static str,
        /// What it should be, with its article.
        expected: &'static str,
    },
    /// `messages` without a message.
    #[error("`messages` must not be empty")]
    NoMessages,
}

// === impl ChatRequest ===

impl ChatRequest {
    /// Reads a body in one pass; the bytes are not copied if no one else holds them.
    pub(crate) fn parse(body: Bytes) -> Result<Self, RequestError> {
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
        let messages = object.find(bytes, "messages").ok_or(RequestError::Missing("messages"))?;
        match bytes[messages.clone()].strip_prefix(b"[") {
            None => return Err(RequestError::WrongType { param: "messages", expected: "an array" }),
            Some(inside) if inside.trim_ascii_start() == b"]" => return Err(RequestError::NoMessages),
            Some(_) => {}
        }
        let stream = flag(object.get(bytes, "stream"), "stream")?;
        let include_usage = match object.get_some(bytes, "stream_options") {
            Some(options) if stream => {
                let wrong = RequestError::WrongType { param: "stream_options", expected: "an object" };
                let inner = Object::scan(options).map_err(|_| wrong)?;
                flag(inner.get(options, "include_usage"), "stream_options.include_usage")?
            }
            _ => false,
        };
        let tools = object.find(bytes, "tools").filter(|tools| &bytes[tools.clone()] != b"null");
        Ok(Self { model, stream, include_usage, messages, tools, object, body })
    }

    /// The model or route asked for.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Whether the answer is to come as a stream.
    pub(crate) fn stream(&self) -> bool {
        self.stream
    }

    /// Whether the client asked for the usage at the end of a stream.
    pub(crate) fn include_usage(&self) -> bool {
        self.include_usage
    }

    /// The array of messages, as written.
    pub(crate) fn messages(&self) -> &str {
        &self.body[self.messages.clone()]
    }

    /// The tool definitions, as written.
    pub(crate) fn tools(&self) -> Option<&str> {
        self.tools.clone().map(|tools| &self.body[tools])
    }

    /// The client's bytes with another model, and with the usage asked for if the answer is a stream: its cost is known
    /// only from there.
    pub(crate) fn upstream_body(&self, upstream_model: &str) -> Vec<u8> {
        let body = self.body.as_bytes();
        let model = json::quote(upstream_model);
        let options = self.object.get(body, "stream_options");
        let options = options.and_then(|options| splice(options, &[("include_usage", Edit::Set(b"true"))]).ok());
        let options = options.as_deref().unwrap_or(br#"{"include_usage":true}"#);
        let edits = [("model", Edit::Set(model.as_bytes())), ("stream_options", Edit::Set(options))];
        let mut out = Vec::with_capacity(body.len() + model.len() + options.len() + 20);
        self.object.splice(body, if self.stream { &edits } else { &edits[..1] }, &mut out);
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
    pub(crate) fn param(&self) -> &'static str {
        match self {
            Self::NotJson { .. } | Self::NotAnObject => "",
            Self::Missing(param) | Self::WrongType { param, .. } => param,
            Self::NoMessages => "messages",
        }
    }

    /// The kind of fault, as OpenAI's `code`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "invalid_json",
            Self::NotAnObject | Self::WrongType { .. } => "invalid_type",
            Self::Missing(_) => "missing_required_parameter",
            Self::NoMessages => "empty_array",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<ChatRequest, RequestError> {
        ChatRequest::parse(Bytes::copy_from_slice(body.as_bytes()))
    }

    fn upstream(body: &str) -> String {
        String::from_utf8(parse(body).unwrap().upstream_body("gpt \"x\"")).unwrap()
    }

    #[test]
    fn reads_what_routing_needs() {
        let request = parse(
            r#"{"tools": [ {"type":"function"} ],"stream":true,"model":"auto:\u0063hat","messages" : [{"role":"user"}],
            "stream_options":{"include_usage":true},"seed":1.0}"#,
        )
        .unwrap();
        assert_eq!(request.model(), "auto:chat");
        assert_eq!(request.messages(), r#"[{"role":"user"}]"#);
        assert_eq!(request.tools(), Some(r#"[ {"type":"function"} ]"#));
        assert!(request.stream() && request.include_usage());
    }

    #[test]
    fn null_is_as_left_out() {
        let request =
            parse(r#"{"model":"m","messages":[1],"stream":null,"tools":null,"stream_options":null}"#).unwrap();
        assert_eq!((request.stream(), request.include_usage(), request.tools()), (false, false, None));
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
        assert_eq!(parse(body).unwrap().messages(), "[2]");
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
        let error = ChatRequest::parse(Bytes::from_static(b"{\"model\":\"\xff\"}")).unwrap_err();
        assert_eq!(error.to_string(), "the body is not JSON: bytes that are not UTF-8 at byte 10 (line 1, column 11)");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            if let Ok(request) = ChatRequest::parse(bytes.into()) {
                request.upstream_body("m");
            }
        }

        #[test]
        fn arbitrary_members_never_panic(model in "\\PC{0,9}", messages in "\\PC{0,9}", options in "\\PC{0,9}") {
            let body = format!(r#"{{"model":{model},"messages":[{messages}],"stream":true,"stream_options":{options}}}"#);
            if let Ok(request) = parse(&body) {
                request.upstream_body("m");
            }
        }
    }
}
