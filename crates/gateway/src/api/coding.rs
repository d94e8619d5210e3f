//! Bodies that clients send compressed: `Content-Encoding`.
//!
//! They are decoded at one go, on the thread that has read them. So there are never more decoders, with a window of some MiB each, than
//! the runtime has threads, and what comes out is bounded like any other body.

use std::io::{self, Read};

use axum::body::Bytes;
use brotli_decompressor::Decompressor;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, StatusCode, header};

use crate::admission::room::{Room, Share};
use crate::error::ApiError;

/// What is taken, as `Accept-Encoding` says it.
pub(super) const TAKEN: &str = "gzip, zstd, deflate, br";
/// Codings that lie upon each other; nobody means more.
const MOST_CODINGS: usize = 3;
/// The largest window that `zstd` may ask for, as a power of two: 8 MiB (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;
/// Bytes that are decoded at a time.
const PIECE: usize = 16 << 10;

/// One way to code a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Brotli,
    Deflate,
    Gzip,
    Zstd,
}

impl Coding {
    fn parse(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "br" => Some(Self::Brotli),
            "deflate" => Some(Self::Deflate),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    fn decoder<'a>(self, coded: &'a [u8]) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Brotli if has_large_window(coded) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its window is too large"));
            }
            Self::Brotli => Box::new(Decompressor::new(coded, PIECE)),
            // RFC 9110 means zlib by it, and some clients send it bare.
            Self::Deflate if is_zlib(coded) => Box::new(ZlibDecoder::new(coded)),
            Self::Deflate => Box::new(DeflateDecoder::new(coded)),
            Self::Gzip => Box::new(MultiGzDecoder::new(coded)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(coded)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// Whether the bytes begin as those of brotli's large windows, up to 1 GiB, which RFC 7932 does not know.
fn has_large_window(coded: &[u8]) -> bool {
    coded.first().is_some_and(|first| first & 0x7f == 0x11)
}

/// Whether the bytes begin as zlib's do (RFC 1950, 2.2).
fn is_zlib(coded: &[u8]) -> bool {
    matches!(coded, [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0)
}

/// How the body is coded, in the order in which that was done.
///
/// # Errors
/// 415 for a coding that is not taken, and for too many of them.
pub(super) fn of(headers: &HeaderMap) -> Result<Vec<Coding>, ApiError> {
    let refuse = |what: &str| {
        let message = format!("the body's Content-Encoding {what}: send it plain, or as one of {TAKEN}");
        ApiError::invalid("", "unsupported_encoding", message).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    };
    let mut codings = Vec::new();
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let words = value.to_str().map_err(|_| refuse("is no text"))?.split(',').map(str::trim);
        for word in words.filter(|word| !word.is_empty() && !word.eq_ignore_ascii_case("identity")) {
            codings.push(Coding::parse(word).ok_or_else(|| refuse(&format!("{word:?} is not taken")))?);
        }
    }
    if codings.len() > MOST_CODINGS { Err(refuse("has too many layers")) } else { Ok(codings) }
}

/// What is said of a body over the limit, coded or not.
pub(super) fn too_large(most: usize) -> ApiError {
    let error = ApiError::invalid("", "request_too_large", format!("the body is over {most} bytes"));
    error.with_status(StatusCode::PAYLOAD_TOO_LARGE)
}

/// The body as it was before it was coded, each layer of it of at most `most` bytes. The share grows to hold what is decoded beside what
/// it is decoded from.
///
/// # Errors
/// 413 for more than `most`, 503 where there is no room, 400 for what is not coded as it says.
pub(crate) fn decode(
    codings: &[Coding],
    coded: Bytes,
    most: usize,
    room: &Room,
    share: &mut Share,
) -> Result<Bytes, ApiError> {
    let mut body = coded;
    for coding in codings.iter().rev() {
        let broken = |error: io::Error| {
            let message = format!("the body is not the {coding:?} that its Content-Encoding says: {error}");
            ApiError::invalid("", "invalid_encoding", message)
        };
        let mut decoder = coding.decoder(&body).map_err(broken)?;
        let (mut whole, mut piece) = (Vec::new(), vec![0; PIECE]);
        loop {
            let read = decoder.read(&mut piece).map_err(broken)?;
            if read == 0 {
                break;
            }
            if whole.len() + read > most {
                return Err(too_large(most));
            }
            room.grow(share, body.len() + whole.len() + read)?;
            whole.extend_from_slice(&piece[..read]);
        }
        drop(decoder);
        body = whole.into();
    }
    Ok(body)
}
