//! The grammar of JSON.

use std::ops::Range;

/// How deep objects and arrays may nest; serde_json's limit too. The bits of a `u128` hold the open ones.
pub(super) const MAX_DEPTH: u32 = u128::BITS;

/// Why bytes could not be read as a JSON object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not JSON.
    #[error("not JSON at byte {offset}: {what}")]
    Syntax {
        /// Bytes before the fault.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Objects and arrays nested more than 128 deep.
    #[error("JSON nested more than {MAX_DEPTH} deep at byte {offset}")]
    TooDeep {
        /// Bytes before the bracket too many.
        offset: usize,
    },
    /// An object with more members than are read.
    #[error("an object with more than {most} members")]
    TooMany {
        /// As many as it may have.
        most: usize,
    },
}

/// A place in a JSON text, with what may be passed over from there.
pub(super) struct Scanner<'a> {
    json: &'a [u8],
    pub(super) at: usize,
    /// Values passed over, those inside of others included.
    pub(super) values: usize,
}

// === impl Scanner ===

impl<'a> Scanner<'a> {
    pub(super) fn new(json: &'a [u8]) -> Self {
        Self { json, at: 0, values: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    pub(super) fn fault(&self, what: &'static str) -> WireError {
        let what = if self.at >= self.json.len() { "it ends too early" } else { what };
        WireError::Syntax { offset: self.at, what }
    }

    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Nothing but space may follow.
    pub(super) fn end(&mut self) -> Result<(), WireError> {
        self.space();
        if self.at == self.json.len() { Ok(()) } else { Err(self.fault("something follows the end of the value")) }
    }

    /// A key, its colon, and the space up to the value.
    pub(super) fn key(&mut self) -> Result<Range<usize>, WireError> {
        if self.peek() != Some(b'"') {
            return Err(self.fault("expected a key in double quotes"));
        }
        let start = self.at;
        self.string()?;
        let key = start..self.at;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.fault("expected a colon"));
        }
        self.at += 1;
        self.space();
        Ok(key)
    }

    /// Passes over one value with up to `limit` containers in each other.
    pub(super) fn value(&mut self, limit: u32) -> Result<Range<usize>, WireError> {
        let start = self.at;
        // The open containers, innermost in the lowest bit: 1 for an object.
        let (mut open, mut depth) = (0_u128, 0);
        'value: loop {
            self.values += 1;
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    if depth == limit {
                        return Err(WireError::TooDeep { offset: self.at });
                    }
                    let object = bracket == b'{';
                    (open, depth) = (open << 1 | u128::from(object), depth + 1);
                    self.at += 1;
                    self.space();
                    if self.peek() != Some(if object { b'}' } else { b']' }) {
                        if object {
                            self.key()?;
                        }
                        continue 'value;
                    }
                }
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.fault("expected a value")),
            }
            while depth > 0 {
                self.space();
                let object = open & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.key()?;
                        }
                        continue 'value;
                    }
                    Some(b'}') if object => self.at += 1,
                    Some(b']') if !object => self.at += 1,
                    _ => return Err(self.fault("expected a comma or the end of an object or array")),
                }
                (open, depth) = (open >> 1, depth - 1);
            }
            return Ok(start..self.at);
        }
    }

    /// Passes over a string, from its opening quote on.
    fn string(&mut self) -> Result<(), WireError> {
        self.at += 1;
        loop {
            self.at += plain_run(&self.json[self.at..]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(self.fault("a control character in a string must be escaped")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), WireError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|digit| digit.is_ascii_hexdigit()) {
                        return Err(self.fault("expected four hexadecimal digits"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.fault("no such escape")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), WireError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), WireError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.fault("expected a digit")) } else { Ok(()) }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), WireError> {
        if !self.json[self.at..].starts_with(word) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }
}

/// How many bytes come before the first quote, backslash or control character; eight at a time.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest high bit set marks the first hit; borrows only ever reach higher ones.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word;
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let special = zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\')));
        let hits = (control | special) & (ONES << 7);
        if hits != 0 {
            return 8 * index + hits.trailing_zeros() as usize / 8;
        }
    }
    let plain = rest.iter().take_while(|byte| !matches!(**byte, b'"' | b'\\' | 0..0x20));
    8 * words.len() + plain.count()
}
