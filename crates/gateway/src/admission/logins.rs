//! Sessions of the dashboard: a key that was shown once, known again by a cookie.
//!
//! Kept here and not in a signed cookie, so that a logout ends one at once. They end with the process as well.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, header};
use slarouter_core::Timestamp;

use super::keys::digest;

/// How long a session lasts, in hours.
pub(crate) const HOURS: u64 = 12;
/// Sessions at a time; the one that ends first makes room.
const MOST: usize = 1_000;
const COOKIE: &str = "slarouter_session";

/// The sessions, by the digest of the secret in their cookies.
#[derive(Default)]
pub(crate) struct Logins {
    open: Mutex<HashMap<[u8; 32], Login>>,
}

struct Login {
    /// The digest of the key that was shown.
    key: [u8; 32],
    ends: Timestamp,
}

impl Logins {
    /// Begins a session for one who has shown this key; the value of the header that sets its cookie. `secure`: only over TLS.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub(crate) fn begin(&self, key: &[u8], secure: bool, now: Timestamp) -> Result<String, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let secret = BASE64URL_NOPAD.encode(&secret);
        let mut open = self.lock();
        open.retain(|_, login| login.ends > now);
        if open.len() >= MOST
            && let Some(oldest) = open.iter().min_by_key(|(_, login)| login.ends).map(|(digest, _)| *digest)
        {
            open.remove(&oldest);
        }
        let ends = Timestamp(now.0 + HOURS * 3_600_000);
        open.insert(digest(secret.as_bytes()), Login { key: digest(key), ends });
        Ok(cookie(&secret, HOURS * 3_600, secure))
    }

    /// The digest of the key that the session of this request was begun with.
    pub(crate) fn key_of(&self, headers: &HeaderMap, now: Timestamp) -> Option<[u8; 32]> {
        let secret = secret(headers)?;
        self.lock().get(&digest(secret.as_bytes())).filter(|login| login.ends > now).map(|login| login.key)
    }

    /// Ends the session of this request; the value of the header that takes its cookie away.
    pub(crate) fn end(&self, headers: &HeaderMap, secure: bool) -> String {
        if let Some(secret) = secret(headers) {
            self.lock().remove(&digest(secret.as_bytes()));
        }
        cookie("", 0, secure)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Login>> {
        // A panic cannot leave it half changed: each change is one call.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cookie(secret: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn secret(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(set: &str) -> HeaderMap {
        let pair = set.split(';').next().unwrap();
        [(header::COOKIE, format!("other=1; {pair}").parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn a_session_knows_its_key_until_it_ends() {
        let (logins, now) = (Logins::default(), Timestamp(1_000));
        let set = logins.begin(b"a key", true, now).unwrap();
        assert!(set.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure"), "{set}");
        let headers = sent(&set);
        let end = Timestamp(now.0 + HOURS * 3_600_000);
        assert_eq!(logins.key_of(&headers, now), Some(digest(b"a key")));
        assert_eq!(logins.key_of(&headers, end), None, "its time is over");
        assert_eq!(logins.key_of(&sent("slarouter_session=x"), now), None);
        assert_eq!(logins.key_of(&HeaderMap::new(), now), None);
        assert!(logins.end(&headers, false).contains("slarouter_session=; Path=/; Max-Age=0"));
        assert_eq!(logins.key_of(&headers, now), None);
    }

    #[test]
    fn too_many_sessions_push_out_the_oldest_and_no_two_are_alike() {
        let logins = Logins::default();
        let first = sent(&logins.begin(b"k", false, Timestamp(0)).unwrap());
        let second = sent(&logins.begin(b"k", false, Timestamp(1)).unwrap());
        assert_ne!(first, second);
        (2..=MOST as u64).for_each(|n| drop(logins.begin(b"k", false, Timestamp(n)).unwrap()));
        let now = Timestamp(2_000);
        assert!(logins.key_of(&first, now).is_none() && logins.key_of(&second, now).is_some());
        assert_eq!(logins.lock().len(), MOST);
    }
}
