//! Bodies that come compressed, and refusals of providers.

use bytes::Bytes;
use http::StatusCode;
use slarouter_protocol::dialect::{Dialect, Wording};
use slarouter_protocol::objection::Objection;

use crate::admission::room::{Room, Share};
use crate::api::coding::{Coding, decode};

/// What a body may grow to.
const MOST: usize = 64 << 10;

/// A compressed body: the first byte says by which two codings, the rest is the body. Whatever it holds, no more comes out than may.
pub(super) fn coding(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let all = [Coding::Gzip, Coding::Zstd, Coding::Deflate, Coding::Brotli];
    let outer = all[usize::from(*first) % 4];
    let inner = all.get(usize::from(*first) / 4 % 8).copied();
    let codings: Vec<_> = inner.into_iter().chain([outer]).collect();
    let (room, mut share) = (Room::new(4 * MOST), Share::default());
    match decode(&codings, Bytes::copy_from_slice(body), MOST, &room, &mut share) {
        Ok(decoded) => assert!(decoded.len() <= MOST),
        Err(error) => assert!(matches!(error.status.as_u16(), 400 | 413 | 503) && !error.message.is_empty()),
    }
    drop(share);
    assert!(room.has(4 * MOST), "room is lost");
}

/// A refusal: the first byte says its status and in which words requests go out, the rest is its body, or that of a request.
pub(super) fn refusal(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let status = [400, 404, 413, 415, 422, 429, 500, 503][usize::from(*first) % 8];
    if let Some(objection) = StatusCode::from_u16(status).ok().and_then(|status| Objection::read(status, body)) {
        assert!(status < 429 && !objection.word().is_empty());
    }
    let flag = |bit: u8| (first & (1 << bit) != 0).then_some(first & (1 << (bit + 1)) != 0);
    let dialect = Dialect { developer_role: flag(3), max_completion_tokens: flag(5) };
    let wording = Wording { dialect, longest: Some(7) };
    let once = wording.put(body.to_vec());
    assert_eq!(wording.put(once.clone()), once, "what is in the server's words stays as it is");
    if serde_json::from_slice::<serde_json::Value>(body).is_ok() {
        assert!(serde_json::from_slice::<serde_json::Value>(&once).is_ok());
    }
}
