//! What the tests of all protocols share.

use serde_json::Value;

use super::bridge::{read_request, write_request};
use super::{Protocol, Refusal};
use crate::config::{Model, ModelProtocol};

/// A model that its provider calls `up`.
pub(super) fn model(protocol: ModelProtocol) -> Model {
    Model {
        name: "m".into(),
        protocol,
        base_url: String::new(),
        upstream_model: "up".to_owned(),
        api_key: None,
        max_output_tokens: 4_096,
        prices: crate::price::PriceTable::new(crate::price::Prices::default(), Vec::new()),
        max_concurrency: None,
        health_check: None,
    }
}

/// What becomes of a request.
pub(super) fn translate(from: Protocol, to: ModelProtocol, body: &Value) -> Result<Value, Refusal> {
    let request = read_request(from, &body.to_string())?;
    Ok(serde_json::from_str(&write_request(&request, &model(to))?).unwrap())
}
