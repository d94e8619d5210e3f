//! The tokenizer of BERT's uncased vocabularies.
//!
//! Clean, fold, split at white space and marks, then cut each word into the longest pieces that the vocabulary has, from its
//! start on (Devlin et al. 2019; Wu et al. 2016). Gives the ids that Hugging Face's `tokenizers` gives; a fixture
//! made with it is in the tests.

use std::fmt;
use std::sync::LazyLock;

use unicode_normalization::char::decompose_canonical;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Longer words are unknown: part of the original's definition.
const LONGEST_WORD: usize = 100;
/// Starting values of the hash, for pieces that begin a word and for those that go on with one.
const BEGIN: u64 = 0xcbf2_9ce4_8422_2325;
const GO_ON: u64 = 0x9ae1_6a3b_2f90_404f;

/// A vocabulary, hashed for look-up.
pub struct WordPiece {
    /// Open addressing; a hash of 0 is an empty slot.
    slots: Vec<(u64, u32)>,
    size: usize,
    /// Bytes of the longest piece.
    longest: usize,
    unknown: u32,
    start: u32,
    end: u32,
}

/// Why a vocabulary cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyError {
    /// A token that every BERT vocabulary has is not there.
    #[error("the vocabulary has no token {0}: it must be that of a BERT model, one token a line, as in its vocab.txt")]
    Missing(&'static str),
    /// The same token twice.
    #[error("token {0} of the vocabulary is there twice: the file is damaged, copy it again")]
    Twice(usize),
}

/// Room that tokenising needs, kept between calls to save allocations.
#[derive(Debug, Default)]
struct Scratch {
    word: Vec<u8>,
    pieces: Vec<u32>,
    /// Of all beginnings of what is left of the word.
    hashes: Vec<u64>,
}

impl fmt::Debug for WordPiece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordPiece").field("size", &self.size).finish_non_exhaustive()
    }
}

impl WordPiece {
    /// Reads a vocabulary, its tokens in the order of their ids.
    ///
    /// # Errors
    /// [`VocabularyError`] if it is not one of BERT's.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Self, VocabularyError> {
        let tokens: Vec<&str> = tokens.into_iter().collect();
        let mut made = Self {
            slots: vec![(0, 0); (tokens.len() * 2).next_power_of_two().max(16)],
            size: tokens.len(),
            longest: 0,
            unknown: 0,
            start: 0,
            end: 0,
        };
        for (id, token) in tokens.iter().enumerate() {
            let (text, basis) = token.strip_prefix("##").map_or((*token, BEGIN), |rest| (rest, GO_ON));
            let hash = finish(text.bytes().fold(basis, step));
            if text.is_empty() {
                continue;
            }
            let slot = made.slot(hash);
            if made.slots[slot].0 != 0 {
                return Err(VocabularyError::Twice(id));
            }
            made.slots[slot] = (hash, id as u32);
            made.longest = made.longest.max(text.len());
        }
        let find = |token: &'static str| {
            tokens.iter().position(|known| *known == token).ok_or(VocabularyError::Missing(token))
        };
        (made.unknown, made.start, made.end) = (find("[UNK]")? as u32, find("[CLS]")? as u32, find("[SEP]")? as u32);
        Ok(made)
    }

    /// Number of tokens in the vocabulary.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Ids of a text for an encoder: `[CLS]`, at most `limit - 2` tokens, `[SEP]`.
    #[must_use]
    pub fn encode(&self, text: &str, limit: usize) -> Vec<u32> {
        let mut ids = vec![self.start];
        let room = limit.saturating_sub(1).max(1);
        self.each(text, |id| {
            ids.push(id);
            ids.len() < room
        });
        ids.truncate(room);
        ids.push(self.end);
        ids
    }

    /// Calls `token` with every id until it returns false; returns the number of words and marks seen.
    pub(crate) fn each(&self, text: &str, mut token: impl FnMut(u32) -> bool) -> u32 {
        let mut scratch = Scratch::default();
        let mut words = 0;
        let mut go_on = true;
        let mut end = |scratch: &mut Scratch| {
            if !scratch.word.is_empty() {
                words += 1;
                self.cut(scratch);
                scratch.word.clear();
                go_on = go_on && scratch.pieces.iter().all(|id| token(*id));
            }
            go_on
        };
        let bytes = text.as_bytes();
        let mut at = 0;
        let mut open = true;
        while open && let Some(&byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'a'..=b'z' | b'0'..=b'9' => scratch.word.push(byte),
                b'A'..=b'Z' => scratch.word.push(byte | 0x20),
                b' ' | b'\t' | b'\n' | b'\r' => open = end(&mut scratch),
                b'!'..=b'~' => {
                    end(&mut scratch);
                    scratch.word.push(byte);
                    open = end(&mut scratch);
                }
                0x80.. => {
                    let character = text[at - 1..].chars().next().unwrap_or_default();
                    at += character.len_utf8() - 1;
                    fold(character, &mut |seen| match seen {
                        Seen::Space => {
                            end(&mut scratch);
                        }
                        Seen::Alone(character) => {
                            end(&mut scratch);
                            push(&mut scratch.word, character);
                            end(&mut scratch);
                        }
                        Seen::Letter(character) => push(&mut scratch.word, character),
                    });
                }
                // Control characters are taken out, not cut at.
                _ => {}
            }
        }
        end(&mut scratch);
        words
    }

    /// Cuts the word into pieces.
    fn cut(&self, scratch: &mut Scratch) {
        let Scratch { word, pieces, hashes } = scratch;
        pieces.clear();
        if word.len() > LONGEST_WORD && characters(word) > LONGEST_WORD {
            pieces.push(self.unknown);
            return;
        }
        let mut from = 0;
        while from < word.len() {
            let rest = &word[from..];
            let reach = rest.len().min(self.longest);
            let basis = if from == 0 { BEGIN } else { GO_ON };
            hashes.clear();
            hashes.extend(rest[..reach].iter().scan(basis, |hash, byte| {
                *hash = step(*hash, *byte);
                Some(*hash)
            }));
            let whole = |length: usize| rest.get(length).is_none_or(|next| *next & 0xc0 != 0x80);
            let longest = (1..=reach)
                .rev()
                .filter(|length| whole(*length))
                .find_map(|length| Some((length, self.find(finish(hashes[length - 1]))?)));
            let Some((length, id)) = longest else {
                pieces.clear();
                pieces.push(self.unknown);
                return;
            };
            pieces.push(id);
            from += length;
        }
    }

    fn find(&self, hash: u64) -> Option<u32> {
        let (found, id) = self.slots[self.slot(hash)];
        (found != 0).then_some(id)
    }

    /// Where the hash is, or the empty slot where it would be. At most half of the slots are taken.
    fn slot(&self, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while self.slots[slot].0 != 0 && self.slots[slot].0 != hash {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

/// FNV-1a: short words, and every beginning of a word is hashed on the way.
fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
}

/// FNV's low bits are weak. Never 0.
fn finish(hash: u64) -> u64 {
    (hash ^ (hash >> 32)).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(32) | 1 << 63
}

fn characters(word: &[u8]) -> usize {
    word.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

fn push(word: &mut Vec<u8>, character: char) {
    word.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

enum Seen {
    Space,
    /// A word of its own: a mark, or a Chinese character.
    Alone(char),
    Letter(char),
}

/// What a character that is not ASCII is to the tokenizer; nothing if it is dropped.
fn fold(character: char, seen: &mut impl FnMut(Seen)) {
    if is_chinese(character) {
        return seen(Seen::Alone(character));
    }
    match FOLDED.get(character as usize).copied().unwrap_or(Folded::Long) {
        Folded::Dropped => {}
        Folded::Space => seen(Seen::Space),
        Folded::Mark => seen(Seen::Alone(character)),
        Folded::Letter(lower) => seen(Seen::Letter(lower)),
        Folded::Long => fold_slowly(character, seen),
    }
}

#[derive(Clone, Copy)]
enum Folded {
    Dropped,
    Space,
    Mark,
    Letter(char),
    /// Anything else.
    Long,
}

/// The categories of Unicode are looked up by bisection, so the scripts below U+3100 are prepared once, in some 2 ms and 100 kB.
static FOLDED: LazyLock<Vec<Folded>> = LazyLock::new(|| {
    let folded = |code: u32| {
        let Some(character) = char::from_u32(code) else { return Folded::Long };
        let mut result = Folded::Dropped;
        fold_slowly(character, &mut |seen| {
            result = match (result, seen) {
                (Folded::Dropped, Seen::Space) => Folded::Space,
                (Folded::Dropped, Seen::Alone(same)) if same == character => Folded::Mark,
                (Folded::Dropped, Seen::Letter(lower)) => Folded::Letter(lower),
                _ => Folded::Long,
            }
        });
        result
    };
    (0..0x3100).map(folded).collect()
});

fn fold_slowly(character: char, seen: &mut impl FnMut(Seen)) {
    let category = character.general_category();
    let dropped = matches!(
        category,
        GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse | GeneralCategory::Surrogate
    );
    if dropped || character == '\u{fffd}' {
        return;
    }
    if character.is_whitespace() {
        return seen(Seen::Space);
    }
    decompose_canonical(character, |part| {
        if part.general_category() == GeneralCategory::NonspacingMark {
            return;
        }
        for lower in part.to_lowercase() {
            if lower.is_ascii_punctuation() || lower.general_category_group() == GeneralCategoryGroup::Punctuation {
                seen(Seen::Alone(lower));
            } else {
                seen(Seen::Letter(lower));
            }
        }
    });
}

/// The blocks that BERT's own code takes as Chinese.
fn is_chinese(character: char) -> bool {
    matches!(
        character,
        '\u{4e00}'..='\u{9fff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{20000}'..='\u{2a6df}'
            | '\u{2a700}'..='\u{2b73f}'
            | '\u{2b740}'..='\u{2b81f}'
            | '\u{2b820}'..='\u{2ceaf}'
            | '\u{f900}'..='\u{faff}'
            | '\u{2f800}'..='\u{2fa1f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_vocabulary() {
        let tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "a", "ff", "!", "able", "中"];
        let pieces = WordPiece::new(tokens).unwrap();
        let ids = |text| pieces.encode(text, 16);
        assert_eq!(ids("Unaffable able!"), [2, 4, 5, 6, 10, 9, 3]);
        assert_eq!(ids("unaffably a"), [2, 1, 7, 3], "a word that cannot be cut to its end is unknown as a whole");
        assert_eq!(ids("中中 ÁBLE\u{301}"), [2, 11, 11, 10, 3]);
        assert_eq!(pieces.encode("a a a a", 4), [2, 7, 7, 3]);
        let long = "ab".repeat(40);
        let tokens = ["[UNK]", "[CLS]", "[SEP]", &long];
        assert_eq!(WordPiece::new(tokens).unwrap().encode(&long, 16), [1, 3, 2], "pieces may be of any length");
        assert_eq!(ids(""), [2, 3]);
        assert!(matches!(WordPiece::new(["[UNK]", "[CLS]"]), Err(VocabularyError::Missing("[SEP]"))));
        assert!(matches!(WordPiece::new(["a", "a"]), Err(VocabularyError::Twice(1))));
    }
}
