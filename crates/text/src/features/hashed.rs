//! Hashed word n-grams.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::{CONTEXT_WEIGHT, DIM, Encoder, SURFACE, VERSION, normalise, surface_into};
use crate::Conversation;

/// Dimensions that n-grams are hashed into; the rest are surface statistics.
pub(super) const HASHED: usize = DIM - SURFACE;
/// Seeds of the hash: part of the version.
static SECRETS: RapidSecrets = RapidSecrets::seed_cpp(0x51A0_07E5_0000_0002);
/// What a system prompt says and what a user says are different evidence, so their words fall into different slots.
const CONTEXT_SALT: u64 = 0x9E37_79B9_7F4A_7C15;
/// Bytes of a word that are looked at.
const WORD: usize = 32;

/// The default encoder: signed hashing of word 1- and 2-grams straight into 96 dimensions, normalised to length 1, and 32
/// surface statistics in \[0, 1\]. No vocabulary, no download.
///
/// Case is folded in all scripts, digits count as digits, and in scripts without spaces (Chinese, Japanese kana, Thai, Lao,
/// Khmer, Burmese, Tibetan) every character is a word, so that pairs of them are counted. Accents matter, and text is not
/// normalised: `é` as one character and as two are different words.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashedNgrams;

impl Encoder for HashedNgrams {
    fn name(&self) -> &str {
        "hashed"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn encode(&self, conversation: &Conversation, out: &mut [f32]) {
        assert_eq!(out.len(), DIM, "the slice for the features has the wrong length");
        let (hashed, surface) = out.split_at_mut(HASHED);
        let words = ngrams_into(conversation, hashed);
        surface_into(conversation, words, surface);
    }
}

/// Writes the n-grams of a conversation hashed into `out`, at most [`HASHED`] slots, with length 1; returns the number of
/// words of the prompt.
pub(super) fn ngrams_into(conversation: &Conversation, out: &mut [f32]) -> u32 {
    out.fill(0.0);
    let words = NGrams::hash(&conversation.prompt, 0, out);
    normalise(out);
    if !conversation.context.is_empty() {
        let mut context = [0.0; HASHED];
        let context = &mut context[..out.len()];
        NGrams::hash(&conversation.context, CONTEXT_SALT, context);
        normalise(context);
        out.iter_mut().zip(context).for_each(|(to, from)| *to += CONTEXT_WEIGHT * *from);
        normalise(out);
    }
    words
}

/// The word being read and the hash of the one before.
struct NGrams<'a> {
    out: &'a mut [f32],
    salt: u64,
    word: [u8; WORD],
    length: usize,
    previous: u64,
    words: u32,
}

impl<'a> NGrams<'a> {
    /// Adds every word and pair of words; returns the number of words.
    fn hash(text: &str, salt: u64, out: &'a mut [f32]) -> u32 {
        let mut grams = Self { out, salt, word: [0; WORD], length: 0, previous: 0, words: 0 };
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if byte >= 0x80 {
                let character = text[at..].chars().next().unwrap_or_default();
                grams.foreign(character);
                at += character.len_utf8();
                continue;
            }
            at += 1;
            match byte {
                b'a'..=b'z' => grams.push(byte),
                b'A'..=b'Z' => grams.push(byte | 0x20),
                b'0'..=b'9' => grams.digit(),
                _ => {
                    grams.end();
                    // Marks are words too: code and mathematics live by them.
                    if !byte.is_ascii_whitespace() {
                        grams.add_word(&[byte]);
                    }
                }
            }
        }
        grams.end();
        grams.words
    }

    fn push(&mut self, byte: u8) {
        // A word counts by its first bytes.
        if self.length < WORD {
            self.word[self.length] = byte;
            self.length += 1;
        }
    }

    /// Numbers matter as such, not which: a run of digits counts by whether it is long.
    fn digit(&mut self) {
        if !self.word[..self.length].ends_with(b"000") {
            self.push(b'0');
        }
    }

    fn foreign(&mut self, character: char) {
        let mut buffer = [0; 4];
        match Class::of(character) {
            Class::Space => self.end(),
            Class::Alone => {
                self.end();
                self.add_word(character.encode_utf8(&mut buffer).as_bytes());
            }
            Class::Digit => self.digit(),
            Class::Letter => {
                for lower in character.to_lowercase() {
                    // The sigma that ends a word is the same letter.
                    let lower = if lower == 'ς' { 'σ' } else { lower };
                    let bytes = lower.encode_utf8(&mut buffer).as_bytes();
                    if self.length + bytes.len() <= WORD {
                        self.word[self.length..self.length + bytes.len()].copy_from_slice(bytes);
                        self.length += bytes.len();
                    }
                }
            }
        }
    }

    fn end(&mut self) {
        if self.length > 0 {
            let word = self.word;
            self.add_word(&word[..self.length]);
            self.length = 0;
        }
    }

    fn add_word(&mut self, word: &[u8]) {
        let hash = rapidhash_v3_seeded(word, &SECRETS);
        self.add(hash ^ self.salt);
        if self.words > 0 {
            // Not commutative, so that "not good" and "good not" differ.
            self.add(mix(self.previous.rotate_left(23) ^ hash) ^ self.salt);
        }
        self.previous = hash;
        self.words += 1;
    }

    /// Two signed slots per n-gram: fewer collisions that cannot be told apart than with one.
    fn add(&mut self, hash: u64) {
        for half in [hash as u32, (hash >> 32) as u32] {
            let slot = ((u64::from(half >> 1) * self.out.len() as u64) >> 31) as usize;
            self.out[slot] += if half & 1 == 0 { 1.0 } else { -1.0 };
        }
    }
}

/// What a character that is not ASCII does to words.
enum Class {
    Letter,
    Digit,
    /// A mark, or a letter of a script without spaces.
    Alone,
    Space,
}

impl Class {
    fn of(character: char) -> Self {
        match character {
            '\u{c0}'..='\u{5ff}' if !matches!(character, '×' | '÷') => Self::Letter,
            // Thai, Lao, Tibetan, Burmese, Khmer; kana; Han.
            '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' => {
                Self::Alone
            }
            '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}' => {
                Self::Alone
            }
            _ if character.is_whitespace() => Self::Space,
            // Zero-width joiners and the byte order mark are part of what they stand in.
            '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => Self::Letter,
            _ if character.is_numeric() => Self::Digit,
            // Punctuation, symbols, arrows, operators, boxes, full-width marks, emoji.
            '\u{80}'..='\u{bf}' | '×' | '÷' | '\u{2000}'..='\u{2bff}' | '\u{2e00}'..='\u{3040}' => Self::Alone,
            '\u{fe10}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}' => {
                Self::Alone
            }
            '\u{1f000}'..='\u{1faff}' => Self::Alone,
            _ => Self::Letter,
        }
    }
}

/// The finaliser of MurmurHash3.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    z = (z ^ (z >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    z ^ (z >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(text: &str) -> (u32, Vec<f32>) {
        let mut out = vec![0.0; HASHED];
        let words = NGrams::hash(text, 0, &mut out);
        (words, out)
    }

    #[test]
    fn case_is_folded_in_all_scripts() {
        for (upper, lower) in [
            ("QUICK Brown", "quick brown"),
            ("ПРИВЕТ Мир", "привет мир"),
            ("ΌΔΥΣΣΕΥΣ", "όδυσσευς"),
            ("ÉCOLE Straße", "école straße"),
        ] {
            assert_eq!(vector(upper), vector(lower), "{upper}");
        }
        assert_ne!(vector("é"), vector("e"));
        assert_eq!(vector("year 1984 ٣٤٥"), vector("year 20260 123"));
    }

    #[test]
    fn scripts_without_spaces_are_cut_into_characters() {
        for (text, words) in [
            ("今天天气很好。", 7),
            ("これはペンです", 7),
            ("สวัสดี", 6),
            ("안녕하세요 세계", 2),
            ("Мир, труд", 3),
            ("a\u{a0}b\u{3000}c", 3),
            ("नमस्ते दुनिया", 2),
            ("“quoted” – yes…", 6),
            ("x→y", 3),
            ("don't", 3),
        ] {
            assert_eq!(vector(text).0, words, "{text}");
        }
        let cosine = |a: &str, b: &str| {
            let (mut a, mut b) = (vector(a).1, vector(b).1);
            normalise(&mut a);
            normalise(&mut b);
            a.iter().zip(&b).map(|(x, y)| x * y).sum::<f32>()
        };
        let (near, far) = (cosine("今天天气很好", "明天天气很好"), cosine("今天天气很好", "请写一个排序函数"));
        assert!(near > 0.5 && far < 0.3, "{near} {far}");
    }

    #[test]
    fn long_words_and_order() {
        assert_eq!(vector(&"a".repeat(40)), vector(&"a".repeat(32)));
        assert_eq!(vector(&"я".repeat(17)), vector(&"я".repeat(16)));
        assert_ne!(vector("not good"), vector("good not"));
    }
}
