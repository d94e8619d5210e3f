//! Clients' keys: how they are made and kept.

mod book;
mod secret;

pub use secrecy::SecretString;

pub use book::{KeyBook, KeyError, NewKey};
pub(crate) use secret::digest;
