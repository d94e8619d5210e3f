//! Bodies of requests: how much, how long, and how much of them at once.

use axum::body::{Body, Bytes};
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use tokio::time::timeout;

use super::coding::{self, too_large};
use crate::admission::room::{Room, Share, full};
use crate::app::App;
use crate::error::ApiError;

/// Memory that is set aside on the word of a client about the length of its body, before any of it is here.
const BELIEVED: usize = 1 << 20;
/// The same in units of what is here. To grow step by step leaves holes behind that are as large as the body.
const STEP: usize = 8;

/// Reads a body whole and decodes it, within the limits of the configuration. Its room is held for as long as the share is.
///
/// # Errors
/// 413 for one that is too large, 408 for one that takes too long, 503 where there is no room, 415 for one in a coding that is not
/// taken, 400 for one that breaks off or is not coded as it says.
pub(crate) async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<(Bytes, Share), ApiError> {
    if body.is_end_stream() {
        return Ok(Default::default());
    }
    let codings = coding::of(headers)?;
    let (limit, most) = (app.config.server.body_timeout, app.config.server.max_body_bytes);
    let (body, mut share) = timeout(limit, collect(&app.room, most, body)).await.unwrap_or_else(|_| {
        let message = format!("the body did not come within {} s (server.body_timeout_s)", limit.as_secs_f64());
        Err(ApiError::invalid("", "body_timeout", message).with_status(StatusCode::REQUEST_TIMEOUT))
    })?;
    let body = coding::decode(&codings, body, most, &app.room, &mut share)?;
    Ok((body, share))
}

async fn collect(room: &Room, most: usize, body: Body) -> Result<(Bytes, Share), ApiError> {
    let said = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if said.is_some_and(|length| length > most) {
        return Err(too_large(most));
    }
    // Better now than when half of it is here; but only what is here takes room.
    let mut refused = said.is_some_and(|length| !room.has(length));
    let (mut share, mut whole) = (Share::default(), Vec::new());
    let (mut first, mut read) = (None::<Bytes>, 0);
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece =
            piece.map_err(|error| ApiError::invalid("", "body_broken", format!("the body broke off: {error}")))?;
        let length = read + piece.len();
        if length > most {
            return Err(too_large(most));
        }
        if !refused && room.grow(&mut share, length).is_err() {
            refused = true;
            (share, whole, first) = Default::default();
        }
        read = length;
        if refused {
            // Read to its end and forgotten: a client that is still sending sees a reset in place of an early answer.
            continue;
        }
        match first.take() {
            // What comes in one piece is not copied.
            None if whole.is_empty() => first = Some(piece),
            begun => {
                if whole.capacity() < length {
                    let believed = BELIEVED.max(STEP * length);
                    whole.reserve_exact(said.unwrap_or(2 * length).clamp(length, believed) - whole.len());
                }
                whole.extend_from_slice(&begun.unwrap_or_default());
                whole.extend_from_slice(&piece);
            }
        }
    }
    if refused {
        return Err(full());
    }
    Ok((first.unwrap_or_else(|| whole.into()), share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::room::SMALL;

    fn pieces(count: usize, bytes: usize) -> Body {
        let piece = move |n: usize| Ok::<_, std::convert::Infallible>(Bytes::from(vec![n as u8; bytes]));
        Body::from_stream(futures_util::stream::iter((0..count).map(piece)))
    }

    #[tokio::test]
    async fn large_bodies_share_the_room_and_small_ones_need_none() {
        let room = Room::new(1 << 20);
        let most = 16 << 20;
        let (first, share) = collect(&room, most, pieces(15, 64 << 10)).await.unwrap();
        assert_eq!((first.len(), first[0], first[first.len() - 1]), (15 << 16, 0, 14));
        for body in [pieces(4, 64 << 10), Body::from(vec![0; 256 << 10])] {
            let error = collect(&room, most, body).await.map(|_| ()).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code, error.retry_after), (503, "busy", Some(1)));
        }
        let (small, _) = collect(&room, most, Body::from("x".repeat(SMALL))).await.unwrap();
        assert_eq!(small.len(), SMALL);
        drop(share);
        assert!(collect(&room, most, pieces(4, 64 << 10)).await.is_ok());
        assert!(room.has((1 << 20) + SMALL), "all of it is given back, by the refused ones too");
    }

    #[tokio::test]
    async fn what_is_over_the_limit_is_refused_whether_it_says_so_or_not() {
        let room = Room::new(1 << 20);
        assert_eq!(collect(&room, 100, Body::from("x".repeat(100))).await.unwrap().0.len(), 100);
        for body in [Body::from("x".repeat(101)), pieces(101, 1), pieces(1, 101)] {
            let error = collect(&room, 100, body).await.map(|_| ()).unwrap_err();
            assert_eq!((error.status.as_u16(), error.code), (413, "request_too_large"));
        }
    }
}
