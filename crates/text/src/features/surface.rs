//! Surface statistics: lengths, shares of kinds of characters, signs of code, mathematics, lists.

use std::ops::Range;

use crate::Conversation;

/// Number of surface statistics.
pub(crate) const SURFACE: usize = 32;

/// Writes the [`SURFACE`] statistics, all in \[0, 1\]. `words` is the number of words of the prompt. One pass over the prompt.
pub(crate) fn surface_into(conversation: &Conversation, words: u32, out: &mut [f32]) {
    Counts::of(&conversation.prompt).write(conversation, words, out);
}

/// Counts over the bytes of a prompt.
#[derive(Default)]
struct Counts {
    digits: u32,
    upper: u32,
    lower: u32,
    newlines: u32,
    foreign: u32,
    marks: [u32; 12],
    /// A fence of code, a keyword of a programming language.
    fence: bool,
    keyword: bool,
    /// LaTeX.
    formula: bool,
    /// `A.`, `B.`, `C.`, `1.`, `2.`
    label: [bool; 5],
    bullet: bool,
    link: bool,
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

impl Counts {
    fn of(text: &str) -> Self {
        let mut seen = Self::default();
        let bytes = text.as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            match byte {
                b'a'..=b'z' => seen.lower += 1,
                b' ' => seen.keyword |= is_keyword(&bytes[..at]),
                b'A'..=b'Z' => seen.upper += 1,
                b'0'..=b'9' => seen.digits += 1,
                0x80.. => seen.foreign += 1,
                b'\n' => {
                    seen.newlines += 1;
                    seen.bullet |= bytes[at + 1..].starts_with(b"- ");
                }
                _ => seen.mark(byte, &bytes[..at], &bytes[at + 1..]),
            }
        }
        seen
    }

    fn mark(&mut self, byte: u8, before: &[u8], after: &[u8]) {
        if let Some(count) = self.marks.get_mut(usize::from(MARK_OF[usize::from(byte)])) {
            *count += 1;
        }
        match byte {
            b'.' => {
                let place = before.last().and_then(|last| b"ABC12".iter().position(|label| label == last));
                if let Some(place) = place {
                    self.label[place] = true;
                }
            }
            b'`' => self.fence |= before.ends_with(b"``"),
            b'$' => self.formula = true,
            b'\\' => self.formula |= after.starts_with(b"(") || after.starts_with(b"frac"),
            b':' => self.link |= before.ends_with(b"http") || before.ends_with(b"https"),
            _ => {}
        }
    }

    fn write(&self, conversation: &Conversation, words: u32, out: &mut [f32]) {
        let text = conversation.prompt.as_str();
        let length = text.len().max(1) as f32;
        let share = |count: u32, scale: f32| (scale * count as f32 / length).min(1.0);
        let flag = |yes: bool| f32::from(u8::from(yes));
        let start = lowered_start(text);
        let question = [&b"what"[..], b"which", b"who", b"why", b"how", b"when", b"where", b"is ", b"can ", b"does "];
        let [a, b, c, one, two] = self.label;
        let values: [f32; SURFACE] = [
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
            flag(text.trim_end().ends_with(['?', '？', '؟'])),
            flag(question.iter().any(|word| start.starts_with(word))),
            flag(self.fence),
            flag(self.keyword),
            flag(self.formula),
            flag(a && b && c),
            flag(self.bullet || one && two),
            flag(self.link),
            log_scale(conversation.turns as usize, 1..50),
            log_scale(conversation.other_bytes, 0..400_000),
            flag(conversation.has_system),
            flag(conversation.has_tools),
            (conversation.images as f32 / 4.0).min(1.0),
        ];
        out.copy_from_slice(&values);
    }
}

/// Whether a word that begins a definition or an import ends here.
fn is_keyword(before: &[u8]) -> bool {
    let keyword: &[u8] = match before.last() {
        Some(b'f') => b"def",
        Some(b'n') => b"fn",
        Some(b's') => b"class",
        Some(b't') => b"import",
        _ => return false,
    };
    before.ends_with(keyword)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_seen() {
        let signs = |text: &str| {
            let mut out = [0.0; SURFACE];
            surface_into(&Conversation::from_prompt(text), 1, &mut out);
            out[19..27].iter().map(|x| *x as u8).collect::<Vec<_>>()
        };
        assert_eq!(signs("What is this? "), [1, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(signs("```\ndef f(x):\n```"), [0, 0, 1, 1, 0, 0, 0, 0]);
        assert_eq!(signs("Let \\frac{a}{b} be"), [0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(signs("A. one\nB. two\nC. three"), [0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(signs("1. one\n2. two https://x"), [0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(signs("list:\n- a"), [0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(signs("``  classs import"), [0; 8]);
        assert_eq!(signs("多少钱？"), [1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
