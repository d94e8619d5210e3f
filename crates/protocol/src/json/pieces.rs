//! An edited text that shares its long runs with the text it was made from.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem::take;
use std::ops::Range;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A run of so many bytes is shared; to copy a shorter one costs less.
const SHARED: usize = 16 << 10;

/// What an edited text is put together in.
pub trait Sink {
    /// Goes on with what lies here in the text that is edited.
    fn keep(&mut self, json: &[u8], range: Range<usize>);
    /// Goes on with what is new.
    fn add(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn keep(&mut self, json: &[u8], range: Range<usize>) {
        self.extend_from_slice(&json[range]);
    }

    fn add(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A text in pieces. To clone it copies no text.
#[derive(Clone, Debug, Default)]
pub struct Pieces(
    /// None is empty.
    VecDeque<Bytes>,
);

/// Puts pieces together.
pub(super) struct Splicing<'a> {
    source: &'a Bytes,
    whole: VecDeque<Bytes>,
    /// What comes after them, in bytes of its own.
    last: Vec<u8>,
}

// === impl Pieces ===

impl Pieces {
    /// The whole text in one piece, which is copied if there are more.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        self.copy_to_bytes(self.remaining())
    }
}

impl From<Vec<u8>> for Pieces {
    fn from(text: Vec<u8>) -> Self {
        Self(Some(text).filter(|text| !text.is_empty()).map(Bytes::from).into_iter().collect())
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| &piece[..])
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let filled = slices.iter_mut().zip(&self.0).map(|(slice, piece)| *slice = IoSlice::new(piece));
        filled.count()
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(piece) = self.0.front_mut() {
            if count < piece.len() {
                return piece.advance(count);
            }
            count -= piece.len();
            self.0.pop_front();
        }
        assert_eq!(count, 0, "no further than to the end");
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        match self.0.front_mut() {
            Some(piece) if length < piece.len() => piece.split_to(length),
            Some(piece) if length == piece.len() => self.0.pop_front().unwrap_or_default(),
            _ => {
                let mut copied = BytesMut::with_capacity(length);
                copied.put(self.take(length));
                copied.freeze()
            }
        }
    }
}

// === impl Splicing ===

impl<'a> Splicing<'a> {
    /// An edited text of this one.
    pub(super) fn of(source: &'a Bytes) -> Self {
        // A short one is of one piece, of about this length.
        let length = if source.len() < SHARED { source.len() + 128 } else { 0 };
        Self { source, whole: VecDeque::new(), last: Vec::with_capacity(length) }
    }

    pub(super) fn end(mut self) -> Pieces {
        self.cut();
        Pieces(self.whole)
    }

    /// What has been copied so far becomes a piece.
    fn cut(&mut self) {
        if !self.last.is_empty() {
            self.whole.push_back(take(&mut self.last).into());
        }
    }
}

impl Sink for Splicing<'_> {
    fn keep(&mut self, json: &[u8], range: Range<usize>) {
        if range.len() < SHARED {
            return self.add(&json[range]);
        }
        self.cut();
        self.whole.push_back(self.source.slice(range));
    }

    fn add(&mut self, bytes: &[u8]) {
        self.last.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Edit, Object};
    use super::*;

    fn object(long: usize) -> Bytes {
        format!(r#"{{"a":"{}","b":1,"c":"{}"}}"#, "x".repeat(long), "y".repeat(long)).into()
    }

    #[test]
    fn long_runs_are_shared_and_short_ones_are_one_piece() {
        for (long, pieces, of_the_source) in [(9, 1, 0), (2 * SHARED, 4, 2)] {
            let source = object(long);
            let edited = Object::scan(&source).unwrap().splice_shared(&source, &[("b", Edit::Set(b"22"))]);
            assert_eq!(edited.0.len(), pieces, "{long}");
            let within = source.as_ptr_range();
            let shared = edited.0.iter().filter(|piece| within.contains(&piece.as_ptr())).count();
            assert_eq!(shared, of_the_source, "{long}: all but what is new or short");
            let expected = String::from_utf8(source.to_vec()).unwrap().replace("\"b\":1", "\"b\":22");
            assert_eq!((edited.remaining(), edited.into_bytes()), (expected.len(), expected.into()));
        }
    }

    #[test]
    fn it_is_read_from_any_place_to_any_other() {
        let whole: Vec<u8> = (0..=9).collect();
        let pieces = || Pieces([&whole[..3], &whole[3..4], &whole[4..]].map(Bytes::copy_from_slice).into());
        for (from, to) in (0..=10).flat_map(|from| (from..=10).map(move |to| (from, to))) {
            let mut rest = pieces();
            rest.advance(from);
            assert_eq!(rest.copy_to_bytes(to - from), &whole[from..to]);
            assert_eq!((rest.remaining(), rest.chunk().is_empty()), (10 - to, to == 10), "{from} to {to}");
        }
        let rest = pieces();
        let mut slices = [IoSlice::new(&[]); 2];
        assert_eq!(rest.chunks_vectored(&mut slices), 2);
        assert_eq!((&*slices[0], &*slices[1]), (&whole[..3], &whole[3..4]));
        assert_eq!(Pieces::from(Vec::new()).into_bytes(), Bytes::new());
    }
}
