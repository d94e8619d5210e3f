//! Client keys from the configuration.

use http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::ApiError;

/// Digests of the keys that may call; none at all means that anybody may.
pub(crate) struct Keys(Vec<[u8; 32]>);

impl Keys {
    pub(crate) fn new(keys: &[SecretString]) -> Self {
        Self(keys.iter().map(|key| Sha256::digest(key.expose_secret().as_bytes()).into()).collect())
    }

    /// Checks the bearer token, or else the `x-api-key`. Compares digests in constant time, and all of them, so that timing tells nothing.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        // Where Anthropic's SDKs put it.
        let token = bearer.or_else(|| headers.get("x-api-key").map(|value| value.as_bytes()));
        let digest: [u8; 32] = Sha256::digest(token.unwrap_or_default()).into();
        let known = self.0.iter().fold(subtle::Choice::from(0), |found, key| found | key.ct_eq(&digest));
        if token.is_some() && bool::from(known) {
            return Ok(());
        }
        let message =
            "the gateway's API key is missing or wrong: send `Authorization: Bearer <key>`, or `x-api-key: <key>`";
        Err(ApiError::invalid("", "invalid_api_key", message).with_status(StatusCode::UNAUTHORIZED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_keys_pass() {
        let with = |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        let keys = Keys::new(&["one".to_owned().into(), "two".to_owned().into()]);
        assert!(keys.check(&with("Bearer two")).is_ok());
        for wrong in ["Bearer three", "Bearer ", "two", "Basic two"] {
            assert_eq!(keys.check(&with(wrong)).unwrap_err().status, StatusCode::UNAUTHORIZED, "{wrong}");
        }
        assert!(keys.check(&HeaderMap::from_iter([("x-api-key".parse().unwrap(), "two".parse().unwrap())])).is_ok());
        assert!(keys.check(&HeaderMap::new()).is_err());
        assert!(Keys::new(&[]).check(&HeaderMap::new()).is_ok());
    }
}
