//! What the tests of all protocols share.

use serde_json::Value;

use crate::endpoint::{ModelProtocol, Protocol, Upstream};
use crate::fields::Refusal;
use crate::forms::{read_request, write_request};

/// A model that its provider calls `up`.
pub(crate) fn model(dialect: ModelProtocol) -> Upstream<'static> {
    Upstream { dialect, model: "up", max_output_tokens: 4_096 }
}

/// What becomes of a request.
pub(crate) fn translate(from: Protocol, to: ModelProtocol, body: &Value) -> Result<Value, Refusal> {
    let request = read_request(from, &body.to_string())?;
    Ok(serde_json::from_str(&write_request(&request, model(to))?).unwrap())
}
