//! Errors, in each protocol's shape.

use http::StatusCode;
use serde_json::{Value, json};

use crate::endpoint::Protocol;

/// What an error says, whichever protocol says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// What went wrong, in words for people.
    pub message: String,
    /// The kind of error, in the words of the protocol that it came in.
    pub kind: Option<String>,
    /// What exactly it is, for programs.
    pub code: Option<String>,
    /// The member of the request that is at fault.
    pub param: Option<String>,
    /// The HTTP status that the error's own text names, which may be another one than that of the answer.
    pub status: Option<StatusCode>,
}

// === impl Fault ===

impl Fault {
    /// A fault of the upstream's that the gateway found.
    pub fn upstream(code: &str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            kind: Some("upstream_error".to_owned()),
            code: Some(code.to_owned()),
            ..Self::default()
        }
    }

    /// Reads a body or an event in any of the shapes in use, Google's list of one included. `None` if it is no error.
    pub fn read(body: &[u8]) -> Option<Self> {
        let mut value: Value = serde_json::from_slice(body).ok()?;
        if let Value::Array(items) = &mut value {
            value = items.first_mut()?.take();
        }
        let flat = value["type"] == "error" && value["message"].is_string();
        let error = match value.get("error") {
            Some(Value::Null) | None if flat => &value,
            Some(Value::Null) | None => return None,
            Some(error) => error,
        };
        if let Value::String(message) = error {
            return Some(Self { message: message.clone(), ..Self::default() });
        }
        let word = |name: &str| match &error[name] {
            Value::String(word) if !word.is_empty() => Some(word.clone()),
            _ => None,
        };
        let number = error["code"].as_u64().and_then(|code| StatusCode::from_u16(code.try_into().ok()?).ok());
        let kind = word("type").filter(|_| !flat);
        let code = word("code").or_else(|| word("status"));
        Some(Self {
            message: word("message").unwrap_or_else(|| error.to_string()),
            status: number
                .filter(|status| status.is_client_error() || status.is_server_error())
                .or_else(|| status_of(kind.as_deref())),
            kind,
            code,
            param: word("param"),
        })
    }

    /// Writes it as the body of an answer with this status.
    pub fn write(&self, protocol: Protocol, status: StatusCode) -> String {
        match protocol {
            Protocol::Chat | Protocol::Responses => {
                let kind = self.kind.as_deref().unwrap_or_else(|| openai_kind(status));
                json!({ "error": {
                    "message": self.message, "type": kind, "param": self.param, "code": self.code,
                } })
                .to_string()
            }
            Protocol::Messages => {
                // OpenAI says `invalid_request_error` of wrong keys and unknown models too.
                let own = self
                    .kind
                    .as_deref()
                    .filter(|kind| *kind != "invalid_request_error" && status_of(Some(kind)).is_some());
                let kind = own.unwrap_or_else(|| anthropic_kind(status));
                json!({ "type": "error", "error": { "type": kind, "message": self.message } }).to_string()
            }
        }
    }

    /// Writes it as the last event of a stream; `number` is that of a responses event.
    pub fn write_event(&self, protocol: Protocol, number: u64) -> String {
        let status = self.status.unwrap_or(StatusCode::BAD_GATEWAY);
        match protocol {
            Protocol::Chat => format!("data: {}\n\n", self.write(protocol, status)),
            Protocol::Messages => format!("event: error\ndata: {}\n\n", self.write(protocol, status)),
            Protocol::Responses => {
                // The flat members are those of the reference; the inner object is what makes SDKs raise.
                let kind = self.kind.as_deref().unwrap_or_else(|| openai_kind(status));
                let error = json!({ "message": self.message, "type": kind, "param": self.param, "code": self.code });
                let event = json!({
                    "type": "error", "code": self.code, "message": self.message, "param": self.param,
                    "sequence_number": number, "error": error,
                });
                format!("event: error\ndata: {event}\n\n")
            }
        }
    }
}

fn openai_kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

/// What Anthropic calls errors, by their status.
const KINDS: [(u16, &str); 9] = [
    (400, "invalid_request_error"),
    (401, "authentication_error"),
    (402, "billing_error"),
    (403, "permission_error"),
    (404, "not_found_error"),
    (413, "request_too_large"),
    (429, "rate_limit_error"),
    (504, "timeout_error"),
    (529, "overloaded_error"),
];

/// Anthropic's word for an error with this status.
pub fn anthropic_kind(status: StatusCode) -> &'static str {
    let found = KINDS.iter().find(|(known, _)| *known == status.as_u16());
    found.map_or(if status.is_client_error() { "invalid_request_error" } else { "api_error" }, |(_, kind)| kind)
}

/// The status that an error's type stands for.
fn status_of(kind: Option<&str>) -> Option<StatusCode> {
    let kind = kind?;
    let found = KINDS.iter().find(|(_, known)| *known == kind).map(|(status, _)| *status);
    StatusCode::from_u16(found.or((kind == "api_error").then_some(500))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_read() {
        let fault =
            |message: &str, kind: Option<&str>, code: Option<&str>, param: Option<&str>, status: Option<u16>| {
                let owned = |word: Option<&str>| word.map(str::to_owned);
                Some(Fault {
                    message: message.to_owned(),
                    kind: owned(kind),
                    code: owned(code),
                    param: owned(param),
                    status: status.and_then(|status| StatusCode::from_u16(status).ok()),
                })
            };
        for (body, expected) in [
            (
                r#"{"error":{"message":"m","type":"requests","param":"p","code":"rate_limit_exceeded"}}"#,
                fault("m", Some("requests"), Some("rate_limit_exceeded"), Some("p"), None),
            ),
            (
                r#"{"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"r"}"#,
                fault("m", Some("overloaded_error"), None, None, Some(529)),
            ),
            (
                r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
                fault("m", None, Some("INVALID_ARGUMENT"), None, Some(400)),
            ),
            (
                r#"{"type":"error","code":"c","message":"m","param":null,"sequence_number":3}"#,
                fault("m", None, Some("c"), None, None),
            ),
            (r#"{"error":"m"}"#, fault("m", None, None, None, None)),
            (r#"{"error":{"code":503}}"#, fault(r#"{"code":503}"#, None, None, None, Some(503))),
            (r#"{"error":null,"id":"x"}"#, None),
            ("{}", None),
            ("[]", None),
            ("<html>", None),
        ] {
            assert_eq!(Fault::read(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn every_shape_is_written() {
        let fault = Fault { message: "m\"".into(), code: Some("c".into()), ..Fault::default() };
        let written = |protocol, status| -> Value {
            serde_json::from_str(&fault.write(protocol, StatusCode::from_u16(status).unwrap())).unwrap()
        };
        let openai = json!({ "error": { "message": "m\"", "type": "rate_limit_error", "param": null, "code": "c" } });
        assert_eq!(written(Protocol::Chat, 429), openai);
        assert_eq!(written(Protocol::Responses, 429), openai);
        for (status, kind) in
            [(429, "rate_limit_error"), (500, "api_error"), (502, "api_error"), (422, "invalid_request_error")]
        {
            let expected = json!({ "type": "error", "error": { "type": kind, "message": "m\"" } });
            assert_eq!(written(Protocol::Messages, status), expected);
        }
        for protocol in [Protocol::Chat, Protocol::Responses, Protocol::Messages] {
            let event = fault.write_event(protocol, 7);
            let data = event.split_once("data: ").unwrap().1;
            assert_eq!(Fault::read(data.as_bytes()).unwrap().message, "m\"", "{event}");
            assert!(event.ends_with("\n\n") && event.lines().count() <= 3, "{event}");
        }
    }
}
