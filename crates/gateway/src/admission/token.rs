//! Tokens that let a browser rate one answer, and nothing else.
//!
//! `slrf_` and in hex: the decision's id (16 bytes), when it ends in seconds since 1970 (8 bytes), and the HMAC-SHA256 of both (32
//! bytes). Nothing is stored: whoever has the secret can check it, another process and a later start included.

use std::time::Duration;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use slarouter_config::BrowserFeedback;
use slarouter_core::{DecisionId, Timestamp};

pub(crate) const PREFIX: &str = "slrf_";
/// Keeps these apart from anything else that may once be signed with the same secret.
const PURPOSE: &[u8] = b"slarouter feedback token 1";
const SIGNED: usize = 24;
const LENGTH: usize = SIGNED + 32;

/// Makes and checks tokens.
pub(crate) struct Signer {
    mac: Hmac<Sha256>,
    lifetime: Duration,
}

/// Why a token does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the feedback token is not one of this gateway")]
    Forged,
    #[error("the feedback token has expired")]
    Expired,
}

impl Signer {
    /// As the configuration has it; `None` where there are to be no tokens.
    pub(crate) fn of(browser: &BrowserFeedback) -> Option<Self> {
        Self::new(browser.secret.as_ref()?, browser.lifetime)
    }

    /// `None` for a secret that no HMAC takes, which there is none of.
    pub(crate) fn new(secret: &SecretString, lifetime: Duration) -> Option<Self> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
        mac.update(PURPOSE);
        Some(Self { mac, lifetime })
    }

    /// The token for this decision.
    pub(crate) fn sign(&self, id: DecisionId, now: Timestamp) -> String {
        let mut bytes = [0; LENGTH];
        bytes[..16].copy_from_slice(&id.0.to_be_bytes());
        bytes[16..SIGNED].copy_from_slice(&(now.0 / 1_000 + self.lifetime.as_secs()).to_be_bytes());
        let mac = self.mac.clone().chain_update(&bytes[..SIGNED]).finalize().into_bytes();
        bytes[SIGNED..].copy_from_slice(&mac);
        format!("{PREFIX}{}", HEXLOWER.encode(&bytes))
    }

    /// The decision that this token is for. The signature is checked before anything else is read.
    pub(crate) fn check(&self, token: &[u8], now: Timestamp) -> Result<DecisionId, TokenError> {
        let hex = token.strip_prefix(PREFIX.as_bytes()).ok_or(TokenError::Forged)?;
        let bytes = HEXLOWER.decode(hex).ok().filter(|bytes| bytes.len() == LENGTH).ok_or(TokenError::Forged)?;
        let (signed, mac) = bytes.split_at(SIGNED);
        self.mac.clone().chain_update(signed).verify_slice(mac).map_err(|_| TokenError::Forged)?;
        let (id, ends) = signed.split_at(16);
        let (Ok(id), Ok(ends)) = (id.try_into(), ends.try_into()) else { return Err(TokenError::Forged) };
        if now.0 / 1_000 >= u64::from_be_bytes(ends) {
            return Err(TokenError::Expired);
        }
        Ok(DecisionId(u128::from_be_bytes(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn a_token_is_for_one_decision_and_a_time_and_cannot_be_changed() {
        let signer = |secret: &str| Signer::new(&secret.to_owned().into(), Duration::from_secs(60)).unwrap();
        let (ours, id) = (signer("one"), Clock::default().new_id());
        let token = ours.sign(id, Timestamp(5_000));
        assert_eq!(ours.check(token.as_bytes(), Timestamp(64_999)), Ok(id));
        assert_eq!(ours.check(token.as_bytes(), Timestamp(65_000)), Err(TokenError::Expired));
        assert_eq!(signer("two").check(token.as_bytes(), Timestamp(0)), Err(TokenError::Forged));
        for place in PREFIX.len()..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[place] = if forged[place] == b'0' { b'1' } else { b'0' };
            assert_eq!(ours.check(&forged, Timestamp(0)), Err(TokenError::Forged), "{place}");
        }
        for wrong in ["", "slrf_", &token[..token.len() - 1], &format!("{token}0"), &token.to_uppercase()] {
            assert_eq!(ours.check(wrong.as_bytes(), Timestamp(0)), Err(TokenError::Forged), "{wrong}");
        }
    }
}
