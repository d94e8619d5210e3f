//! Messages that are kept, sealed: whoever has the database or a copy of it and not the key can read none of them.
//!
//! AES-256-GCM, a nonce of 96 random bits for each, bound to the id of its decision, so that none passes for another's.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use slarouter_core::DecisionId;

/// Before what is sealed; messages are JSON, which never begins so.
const SEALED: &str = "sealed:1:";

/// The keys of `store.prompt_keys`: with the first one is sealed, with each can be opened.
#[derive(Default)]
pub(crate) struct PromptKeys(Vec<PromptKey>);

struct PromptKey {
    /// By which sealed messages say with which key: the first 4 bytes of a digest, from which the key cannot be found.
    id: String,
    key: RandomizedNonceKey,
}

/// Why messages cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unopened {
    /// Another key is needed.
    #[error("the messages are sealed with the key {0}, which store.prompt_keys does not have")]
    Key(String),
    /// Not what was written, or of another decision.
    #[error("the messages are damaged: they do not open with the key {0} that they name")]
    Damaged(String),
}

impl PromptKeys {
    pub(crate) fn new(secrets: &[SecretString]) -> Self {
        let key = |secret: &SecretString| {
            let digest = |what: &str| -> [u8; 32] {
                let mut hash = Sha256::new();
                hash.update(what);
                hash.update(secret.expose_secret());
                hash.finalize().into()
            };
            let key = RandomizedNonceKey::new(&AES_256_GCM, &digest("slarouter prompts, key: ")).ok()?;
            Some(PromptKey { id: HEXLOWER.encode(&digest("slarouter prompts, name: ")[..4]), key })
        };
        Self(secrets.iter().filter_map(key).collect())
    }

    /// The names of the keys, the one that seals first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| &*key.id)
    }

    /// The messages of this decision as they are to be stored; `None` if they cannot be sealed, as where the system has no randomness: they are
    /// not kept then. Without a key they stay as they are.
    pub(crate) fn seal(&self, decision: DecisionId, messages: String) -> Option<String> {
        let Some(PromptKey { id, key }) = self.0.first() else { return Some(messages) };
        let mut bytes = messages.into_bytes();
        let Ok(nonce) = key.seal_in_place_append_tag(aad(decision), &mut bytes) else {
            tracing::error!("messages could not be sealed, and are not kept");
            return None;
        };
        let mut sealed = format!("{SEALED}{id}:");
        STANDARD_NO_PAD.encode_string([&nonce.as_ref()[..], &bytes].concat(), &mut sealed);
        Some(sealed)
    }

    /// The messages of this decision as they were; those that are not sealed as they are.
    ///
    /// # Errors
    /// [`Unopened`]
    pub(crate) fn open(&self, decision: DecisionId, stored: &str) -> Result<String, Unopened> {
        let Some((id, sealed)) = stored.strip_prefix(SEALED).and_then(|sealed| sealed.split_once(':')) else {
            return Ok(stored.to_owned());
        };
        let key = self.0.iter().find(|key| key.id == id).ok_or_else(|| Unopened::Key(id.to_owned()))?;
        opened(key, decision, sealed).ok_or_else(|| Unopened::Damaged(id.to_owned()))
    }
}

impl fmt::Debug for PromptKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

fn opened(PromptKey { key, .. }: &PromptKey, decision: DecisionId, sealed: &str) -> Option<String> {
    let mut bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
    let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let messages = key.open_in_place(nonce, aad(decision), sealed).ok()?;
    String::from_utf8(messages.to_vec()).ok()
}

fn aad(decision: DecisionId) -> Aad<[u8; 16]> {
    Aad::from(decision.0.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secrets: &[&str]) -> PromptKeys {
        PromptKeys::new(&secrets.iter().map(|secret| SecretString::from(*secret)).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_alone_also_after_a_rotation() {
        let (id, messages) = (DecisionId(7), "[{\"role\":\"user\",\"content\":\"h\u{e9}\"}]".to_owned());
        let (old, rotated, other) = (keys(&["old"]), keys(&["new", "old"]), keys(&["other"]));
        let sealed = old.seal(id, messages.clone()).unwrap();
        assert!(
            !sealed.contains("role") && sealed != old.seal(id, messages.clone()).unwrap(),
            "each has a nonce of its own"
        );
        assert_eq!(rotated.open(id, &sealed), Ok(messages.clone()));
        let name = old.names().next().unwrap().to_owned();
        assert_eq!(other.open(id, &sealed), Err(Unopened::Key(name.clone())));
        assert_eq!(old.open(DecisionId(8), &sealed), Err(Unopened::Damaged(name.clone())), "another's");
        for place in (SEALED.len() + name.len() + 1..sealed.len()).step_by(5) {
            let mut damaged = sealed.clone().into_bytes();
            damaged[place] = if damaged[place] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert_eq!(old.open(id, &damaged), Err(Unopened::Damaged(name.clone())), "{place}");
        }
        assert_eq!(old.open(id, &format!("sealed:1:{name}:")), Err(Unopened::Damaged(name)));
        assert_ne!(rotated.seal(id, messages.clone()).unwrap().split(':').nth(2), sealed.split(':').nth(2));
    }

    #[test]
    fn without_a_key_messages_are_kept_as_they_are_and_read_with_one() {
        let (id, none) = (DecisionId(7), PromptKeys::default());
        assert_eq!(none.seal(id, "[]".to_owned()).as_deref(), Some("[]"));
        assert_eq!(keys(&["some"]).open(id, "[]").as_deref(), Ok("[]"));
    }
}
