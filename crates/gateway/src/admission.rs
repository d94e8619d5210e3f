//! Who may ask, and how much.

pub(crate) mod auth;
pub mod keys;
pub(crate) mod limits;
pub(crate) mod local;
pub(crate) mod logins;
pub(crate) mod room;
pub(crate) mod token;
