//! The keys themselves, which are shown once and stored nowhere.
//!
//! A key of ours is 256 random bits, so its plain SHA-256 is as good as the key is long: there is no dictionary to try, and
//! a slow password hash would only slow every request down. The key itself is shown once and stored nowhere.

use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// What keys begin with, for scanners that look for secrets in the wrong places.
const PREFIX: &str = "slr_";

/// SHA-256 of a key, by which it is stored and found.
pub(crate) fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// A fresh key, from the system's source of randomness.
///
/// # Errors
/// The system has none.
pub(crate) fn generate() -> Result<SecretString, getrandom::Error> {
    Ok(format!("{PREFIX}{}", HEXLOWER.encode(&random::<32>()?)).into())
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// As much of a key as may be shown: enough to tell two apart, and 32 of 256 bits.
pub(super) fn hint(key: &SecretString) -> String {
    format!("{}…", &key.expose_secret()[..PREFIX.len() + 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_differ_and_show_little() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert_eq!(one.expose_secret().len(), 68);
        assert_eq!(hint(&one).chars().count(), 13);
        assert!(!format!("{one:?}").contains(&one.expose_secret()[4..]));
    }
}
