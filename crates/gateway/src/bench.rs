//! What the crate's benches reach in for. No part of the interface: it may change or go at any time.

use crate::wire::response::Usage;
use crate::wire::stream::{Finish, StreamOptions, StreamRewriter};

/// A streamed answer on its way through, as a client gets it who asked for nothing special.
#[derive(Debug)]
pub struct Stream(StreamRewriter);

struct Nothing;

impl Finish for Nothing {
    fn cost(&self, _: &Usage) -> Option<f64> {
        None
    }

    fn metadata(&self, _: Option<f64>) -> Option<Vec<u8>> {
        None
    }
}

impl Stream {
    /// A stream of which nothing has come yet.
    #[must_use]
    pub fn begin() -> Self {
        Self(StreamRewriter::new(StreamOptions {
            id: "chatcmpl-01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
            model_if_missing: "model".to_owned(),
            client_wants_usage: false,
            metadata: false,
        }))
    }

    /// Appends to `out` what becomes of the upstream's bytes.
    pub fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.0.push(bytes, &Nothing, out);
    }
}
