//! Clients' keys: how they are made and kept.

mod book;
mod first;
mod secret;

pub use secrecy::SecretString;

pub use book::{KeyBook, KeyError, NewKey};
pub(crate) use first::FirstSecret;
pub use first::first_secret;
pub(crate) use secret::digest;
