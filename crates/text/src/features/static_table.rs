//! A table of token vectors, averaged.

use std::sync::{Arc, OnceLock};

use super::hashed::{HASHED, ngrams_into};
use super::{CONTEXT_WEIGHT, Encoder, SURFACE, normalise, surface_into};
use crate::Conversation;
use crate::wordpiece::{VocabularyError, WordPiece};

/// Made by `tools/distil`; where it comes from stands in `assets/README.md`.
static ASSET: &[u8] = include_bytes!("../../assets/static-v1.bin");
const MAGIC: &[u8] = b"SLRTEMB1";
/// Version of the table above.
const STATIC_VERSION: u32 = 101;
/// Version of the blend of the table above with n-grams.
const BLEND_VERSION: u32 = 201;
/// Dimensions of the embedding and of the n-grams in that blend.
const BLEND: (usize, usize) = (48, 48);
/// Tables from files get a version with this bit, the rest of it from their content.
const FROM_FILE: u32 = 1 << 30;
/// Widest table.
const WIDEST: usize = 512;

/// Static embedding: the vectors of all tokens, distilled from all-MiniLM-L6-v2 and weighted by rarity, averaged and
/// normalised to length 1, and the 32 surface statistics.
///
/// Some 10 µs per 1,000 characters; the table takes 2 MB in the binary and 1 MB of memory for its vocabulary. It is a
/// vocabulary of English; words of other languages fall into pieces of few letters.
#[derive(Clone, Debug)]
pub struct StaticEmbedding {
    table: Arc<Table>,
}

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Not such a file, or cut short.
    #[error("the embedding table is damaged ({0}): make it again with tools/distil")]
    Damaged(&'static str),
    /// Its vocabulary cannot be used.
    #[error("the embedding table: {0}")]
    Vocabulary(#[from] VocabularyError),
}

#[derive(Debug)]
struct Table {
    version: u32,
    dim: usize,
    pieces: WordPiece,
    scales: Vec<f32>,
    rows: Rows,
}

/// Signed bytes, `dim` to a row.
enum Rows {
    Built(&'static [u8]),
    Read(Vec<u8>),
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rows({} bytes)", self.bytes().len())
    }
}

impl Rows {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Built(bytes) => bytes,
            Self::Read(bytes) => bytes,
        }
    }
}

/// A table taken apart.
struct Parts<'a> {
    dim: usize,
    vocabulary: &'a str,
    scales: Vec<f32>,
    rows: &'a [u8],
}

impl StaticEmbedding {
    /// The table that comes with the program. The first call prepares it, in about 5 ms; later ones share it.
    ///
    /// # Errors
    /// Only if the program was built with a damaged table.
    pub fn new() -> Result<Self, TableError> {
        static TABLE: OnceLock<Arc<Table>> = OnceLock::new();
        if let Some(table) = TABLE.get() {
            return Ok(Self { table: table.clone() });
        }
        let parts = Parts::read(ASSET)?;
        let table = Table::new(STATIC_VERSION, &parts, Rows::Built(parts.rows))?;
        Ok(Self { table: TABLE.get_or_init(|| Arc::new(table)).clone() })
    }

    /// Another table in the same form, for example one of more dimensions. Its version follows from its content.
    ///
    /// # Errors
    /// [`TableError`] if it is not one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TableError> {
        let parts = Parts::read(bytes)?;
        let version = FROM_FILE | (rapidhash::v3::rapidhash_v3(bytes) as u32 >> 2);
        let table = Table::new(version, &parts, Rows::Read(parts.rows.to_vec()))?;
        Ok(Self { table: Arc::new(table) })
    }
}

impl StaticEmbedding {
    /// Writes the mean vector of prompt and context; returns the number of words of the prompt.
    fn mean_into(&self, conversation: &Conversation, mean: &mut [f32]) -> u32 {
        mean.fill(0.0);
        let words = self.table.average(&conversation.prompt, mean);
        if !conversation.context.is_empty() {
            let mut context = [0.0; WIDEST];
            let context = &mut context[..mean.len()];
            self.table.average(&conversation.context, context);
            mean.iter_mut().zip(context).for_each(|(to, from)| *to += CONTEXT_WEIGHT * *from);
            normalise(mean);
        }
        words
    }
}

/// Meaning and wording: a static embedding, hashed n-grams, each of length √½, and the 32 surface statistics.
///
/// The embedding puts synonyms together and loses order and marks; the n-grams see just these. Costs both.
#[derive(Clone, Debug)]
pub struct Blend {
    embedding: StaticEmbedding,
    width: usize,
    ngrams: usize,
    version: u32,
}

impl Blend {
    /// The first 48 dimensions of the table that comes with the program, and 48 of n-grams: 128 in all.
    ///
    /// # Errors
    /// As [`StaticEmbedding::new`].
    pub fn new() -> Result<Self, TableError> {
        Ok(Self { version: BLEND_VERSION, ..Self::of(StaticEmbedding::new()?, BLEND.0, BLEND.1) })
    }

    /// The first `width` dimensions of any table (they are its principal components), and n-grams hashed into `ngrams`
    /// dimensions. Numbers that are too large are reduced, to the table's width and to 96.
    #[must_use]
    pub fn of(embedding: StaticEmbedding, width: usize, ngrams: usize) -> Self {
        let (width, ngrams) = (width.clamp(1, embedding.table.dim), ngrams.clamp(1, HASHED));
        let parts = [u64::from(embedding.version()), width as u64, ngrams as u64];
        let mixed =
            parts.iter().fold(0_u64, |all, part| (all ^ part).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29));
        Self { embedding, width, ngrams, version: FROM_FILE | (mixed >> 34) as u32 }
    }
}

impl Encoder for Blend {
    fn name(&self) -> &str {
        "blend"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn dim(&self) -> usize {
        self.width + self.ngrams + SURFACE
    }

    fn encode(&self, conversation: &Conversation, out: &mut [f32]) {
        assert_eq!(out.len(), self.dim(), "the slice for the features has the wrong length");
        let (mean, rest) = out.split_at_mut(self.width);
        let (ngrams, surface) = rest.split_at_mut(self.ngrams);
        self.embedding.mean_into(conversation, mean);
        let words = ngrams_into(conversation, ngrams);
        mean.iter_mut().chain(ngrams).for_each(|value| *value *= std::f32::consts::FRAC_1_SQRT_2);
        surface_into(conversation, words, surface);
    }
}

impl<'a> Parts<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, TableError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(TableError::Damaged("it does not begin with SLRTEMB1"))?;
        let short = || TableError::Damaged("it is cut short");
        let (head, rest) = rest.split_at_checked(12).ok_or_else(short)?;
        let number = |at: usize| {
            let mut four = [0; 4];
            four.copy_from_slice(&head[at..at + 4]);
            u32::from_le_bytes(four) as usize
        };
        let (count, dim, text) = (number(0), number(4), number(8));
        if dim == 0 || dim > WIDEST {
            return Err(TableError::Damaged("its width is not between 1 and 512"));
        }
        let (text, rest) = rest.split_at_checked(text).ok_or_else(short)?;
        let (scales, rows) = count.checked_mul(4).and_then(|at| rest.split_at_checked(at)).ok_or_else(short)?;
        if Some(rows.len()) != count.checked_mul(dim) {
            return Err(TableError::Damaged("its length does not fit its head"));
        }
        let vocabulary = std::str::from_utf8(text).map_err(|_| TableError::Damaged("its vocabulary is not UTF-8"))?;
        if vocabulary.split_terminator('\n').count() != count {
            return Err(TableError::Damaged("it has not as many tokens as rows"));
        }
        let scales: Vec<f32> = scales.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        if scales.iter().any(|scale| !scale.is_finite() || scale.abs() > 1.0) {
            return Err(TableError::Damaged("a scale is not between -1 and 1"));
        }
        Ok(Self { dim, vocabulary, scales, rows })
    }
}

impl Table {
    fn new(version: u32, parts: &Parts<'_>, rows: Rows) -> Result<Self, TableError> {
        let pieces = WordPiece::new(parts.vocabulary.split_terminator('\n'))?;
        Ok(Self { version, dim: parts.dim, pieces, scales: parts.scales.clone(), rows })
    }

    /// Writes the first dimensions of the mean direction of the text; returns the number of words.
    fn average(&self, text: &str, out: &mut [f32]) -> u32 {
        let rows = self.rows.bytes();
        let words = self.pieces.each(text, |id| {
            let id = id as usize;
            let scale = self.scales[id];
            for (to, value) in out.iter_mut().zip(&rows[id * self.dim..(id + 1) * self.dim]) {
                *to += scale * f32::from(value.cast_signed());
            }
            true
        });
        normalise(out);
        words
    }
}

impl Encoder for StaticEmbedding {
    fn name(&self) -> &str {
        "static"
    }

    fn version(&self) -> u32 {
        self.table.version
    }

    fn dim(&self) -> usize {
        self.table.dim + SURFACE
    }

    fn encode(&self, conversation: &Conversation, out: &mut [f32]) {
        assert_eq!(out.len(), self.dim(), "the slice for the features has the wrong length");
        let (mean, surface) = out.split_at_mut(self.table.dim);
        let words = self.mean_into(conversation, mean);
        surface_into(conversation, words, surface);
    }
}
