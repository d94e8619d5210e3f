//! The bytes between client and upstream: read where the gateway must know them, changed where the contract says so, and
//! otherwise passed on as they came. Nothing here does I/O.

pub(crate) mod json;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod sse;
pub(crate) mod stream;
pub(crate) mod typed;
