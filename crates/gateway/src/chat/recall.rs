//! Requests that refer to items of earlier answers by their ids.

use axum::body::Bytes;
use http::{HeaderMap, StatusCode};
use slarouter_protocol::responses::{TooLarge, put_in};
use slarouter_protocol::{Endpoint, Protocol};
use tokio::time::Instant;

use crate::admission::auth::token;
use crate::admission::keys::digest;
use crate::app::App;
use crate::error::ApiError;
use crate::sessions::Owner;

/// The body with the items themselves in the place of references to those that the caller got here, and whose items those of the answer will
/// be. Other protocols have nothing like it.
///
/// # Errors
/// 413 where that would be more than a body may have.
pub(super) fn whole(
    app: &App,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<(Bytes, Option<Owner>), ApiError> {
    if endpoint.protocol() != Protocol::Responses {
        return Ok((body, None));
    }
    let owner = digest(token(headers).unwrap_or_default());
    let (now, most) = (Instant::now(), app.config.server.max_body_bytes);
    match put_in(&body, most, |id| app.sessions.items.find(&owner, id, now)) {
        Ok(whole) => Ok((whole.map_or(body, Bytes::from), Some(owner))),
        Err(TooLarge) => {
            let message =
                format!("with the items that it refers to, the body has over {most} bytes (server.max_body_bytes)");
            let error = ApiError::invalid("input", "request_too_large", message);
            Err(error.with_status(StatusCode::PAYLOAD_TOO_LARGE))
        }
    }
}
