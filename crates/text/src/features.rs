//! Hashed word n-grams and surface statistics.

use std::ops::Range;

use crate::Conversation;

/// Length of a feature vector.
pub const DIM: usize = 128;

/// Version of the features. Any change of a value in any feature vector needs a new one.
pub const VERSION: u32 = 1;

/// Dimensions that n-grams are hashed into; the rest are surface statistics.
const HASHED: usize = 96;
/// Seed of the hash: part of the version.
const SEED: u64 = 0x51A0_07E5_0000_0001;

/// Turns a conversation into a vector. Implementations are deterministic across platforms.
pub trait Encoder: Send + Sync {
    /// Version of the vectors; stored beside everything learnt from them.
    fn version(&self) -> u32;

    /// Length of the vectors.
    fn dim(&self) -> usize;

    /// Writes the vector into `out`, whose length is [`Encoder::dim`]. All values are finite.
    fn encode(&self, conversation: &Conversation, out: &mut [f32]);
}

/// The default encoder: signed hashing of word 1- and 2-grams straight into 96 dimensions, normalised to length 1, and 32
/// surface statistics in \[0, 1\]. No vocabulary, no download.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashedNgrams;

/// The default features of a conversation, [`DIM`] values.
#[must_use]
pub fn features(conversation: &Conversation) -> Vec<f32> {
    let mut out = vec![0.0; DIM];
    features_into(conversation, &mut out);
    out
}

/// The default features of a conversation, written into `out` without allocating.
///
/// # Panics
/// If `out` is not [`DIM`] long.
pub fn features_into(conversation: &Conversation, out: &mut [f32]) {
    HashedNgrams.encode(conversation, out);
}

impl Encoder for HashedNgrams {
    fn version(&self) -> u32 {
        VERSION
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn encode(&self, conversation: &Conversation, out: &mut [f32]) {
        out.fill(0.0);
        let (hashed, surface) = out.split_at_mut(HASHED);
        let words = hash_ngrams(&conversation.prompt, hashed);
        normalise(hashed);
        Surface::of(&conversation.prompt).write(conversation, words, surface);
    }
}

/// Adds every word and pair of words; returns the number of words.
fn hash_ngrams(text: &str, out: &mut [f32]) -> u32 {
    let mut word = [0_u8; 32];
    let mut length = 0;
    let mut previous = 0;
    let mut words = 0;
    let mut end = |word: &[u8], previous: &mut u64| {
        let hash = rapidhash::v3::rapidhash_v3_seeded(word, &rapidhash::v3::RapidSecrets::seed_cpp(SEED));
        add(out, hash);
        if *previous != 0 {
            // Not commutative, so that "not good" and "good not" differ.
            add(out, mix(previous.rotate_left(23) ^ hash));
        }
        *previous = hash;
        words += 1;
    };
    for byte in text.bytes() {
        let letter = match byte {
            b'A'..=b'Z' => byte | 0x20,
            // Numbers matter as such, not which.
            b'0'..=b'9' => b'0',
            b'a'..=b'z' | 0x80.. => byte,
            _ => {
                if length > 0 {
                    end(&word[..length], &mut previous);
                    length = 0;
                }
                // Marks are words too: code and mathematics live by them.
                if !byte.is_ascii_whitespace() {
                    end(&[byte], &mut previous);
                }
                continue;
            }
        };
        // A run of digits counts by whether it is long, a word by its first 32 bytes.
        if length < word.len() && !(letter == b'0' && length >= 3 && word[length - 3..length] == *b"000") {
            word[length] = letter;
            length += 1;
        }
    }
    if length > 0 {
        end(&word[..length], &mut previous);
    }
    words
}

/// Two signed slots per n-gram: fewer collisions that cannot be told apart than with one.
fn add(out: &mut [f32], hash: u64) {
    for half in [hash as u32, (hash >> 32) as u32] {
        let slot = ((u64::from(half >> 1) * out.len() as u64) >> 31) as usize;
        out[slot] += if half & 1 == 0 { 1.0 } else { -1.0 };
    }
}

/// The finaliser of MurmurHash3.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    z = (z ^ (z >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    z ^ (z >> 33)
}

fn normalise(values: &mut [f32]) {
    let norm = values.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 {
        values.iter_mut().for_each(|x| *x /= norm);
    }
}

/// Counts over the bytes of a prompt.
#[derive(Default)]
struct Surface<'a> {
    text: &'a str,
    digits: u32,
    upper: u32,
    lower: u32,
    spaces: u32,
    newlines: u32,
    foreign: u32,
    marks: [u32; 12],
}

/// Groups of marks that tell kinds of text apart: code, mathematics, quotations, lists, markup.
const MARKS: [&[u8]; 12] =
    [b"?", b"!", b".", b",;:", b"(){}[]", b"\"'`", b"=<>", b"+-*/^", b"\\$", b"_#@", b"%&|~", b"\t"];

const fn mark_table() -> [u8; 256] {
    let mut table = [u8::MAX; 256];
    let mut group = 0;
    while group < MARKS.len() {
        let mut i = 0;
        while i < MARKS[group].len() {
            table[MARKS[group][i] as usize] = group as u8;
            i += 1;
        }
        group += 1;
    }
    table
}

const MARK_OF: [u8; 256] = mark_table();

impl<'a> Surface<'a> {
    fn of(text: &'a str) -> Self {
        let mut seen = Self { text, ..Self::default() };
        for byte in text.bytes() {
            match byte {
                b'0'..=b'9' => seen.digits += 1,
                b'A'..=b'Z' => seen.upper += 1,
                b'a'..=b'z' => seen.lower += 1,
                b' ' => seen.spaces += 1,
                b'\n' => seen.newlines += 1,
                0x80.. => seen.foreign += 1,
                _ => {
                    if let Some(count) = seen.marks.get_mut(usize::from(MARK_OF[usize::from(byte)])) {
                        *count += 1;
                    }
                }
            }
        }
        seen
    }

    fn write(&self, conversation: &Conversation, words: u32, out: &mut [f32]) {
        let length = self.text.len().max(1) as f32;
        let share = |count: u32, scale: f32| (scale * count as f32 / length).min(1.0);
        let flag = |yes: bool| f32::from(u8::from(yes));
        let has = |needle: &str| flag(memchr::memmem::find(self.text.as_bytes(), needle.as_bytes()).is_some());
        let start = lowered_start(self.text);
        let question = [&b"what"[..], b"which", b"who", b"why", b"how", b"when", b"where", b"is ", b"can ", b"does "];
        let values = [
            log_scale(conversation.prompt_bytes, 0..100_000),
            log_scale(words as usize, 0..20_000),
            (length / words.max(1) as f32 / 12.0).min(1.0),
            share(self.digits, 4.0),
            share(self.upper, 4.0),
            share(self.lower, 1.0),
            share(self.newlines, 20.0),
            share(self.foreign, 1.0),
            share(self.marks[0], 50.0),
            share(self.marks[1], 50.0),
            share(self.marks[2], 20.0),
            share(self.marks[3], 20.0),
            share(self.marks[4], 10.0),
            share(self.marks[5], 20.0),
            share(self.marks[6], 20.0),
            share(self.marks[7], 20.0),
            share(self.marks[8], 20.0),
            share(self.marks[9], 20.0),
            share(self.marks[10] + self.marks[11], 20.0),
            flag(self.text.trim_end().ends_with('?')),
            flag(question.iter().any(|word| start.starts_with(word))),
            has("```"),
            has("def ").max(has("fn ")).max(has("class ")).max(has("import ")),
            has("\\frac").max(has("$")).max(has("\\(")),
            has("A.").min(has("B.")).min(has("C.")),
            has("1.").min(has("2.")).max(has("\n- ")),
            has("http"),
            log_scale(conversation.turns as usize, 1..50),
            log_scale(conversation.other_bytes, 0..400_000),
            flag(conversation.has_system),
            flag(conversation.has_tools),
            (conversation.images as f32 / 4.0).min(1.0),
        ];
        out.copy_from_slice(&values);
    }
}

/// The first bytes in lower case, to look for a question word.
fn lowered_start(text: &str) -> [u8; 8] {
    let mut start = [0; 8];
    for (to, from) in start.iter_mut().zip(text.trim_start().bytes()) {
        *to = from.to_ascii_lowercase();
    }
    start
}

/// 0 at the start of the range, 1 at its end and beyond, logarithmic between.
fn log_scale(value: usize, range: Range<usize>) -> f32 {
    let log = |x: usize| libm::log2(1.0 + x as f64);
    let (low, high) = (log(range.start), log(range.end));
    (((log(value) - low) / (high - low)).clamp(0.0, 1.0)) as f32
}
