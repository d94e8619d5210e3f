//! Finds and edits the members of a JSON object without building a tree of it.
//!
//! The scanner accepts what RFC 8259 calls JSON, up to [`MAX_DEPTH`] containers deep, with two liberties that leave more bytes
//! as they are: strings may hold bytes that are not UTF-8, and `\u` escapes need not form pairs.

use std::ops::Range;

use memchr::memchr;

/// How deep objects and arrays may nest; serde_json's limit too. The bits of a `u128` hold the open ones.
const MAX_DEPTH: u32 = u128::BITS;

/// Why bytes could not be read as a JSON object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
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
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("JSON nested more than {MAX_DEPTH} deep at byte {offset}")]
    TooDeep {
        /// Bytes before the bracket too many.
        offset: usize,
    },
}

/// What to do with the members of one name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit<'a> {
    /// Gives all of them this value, raw JSON; adds one if there is none.
    Set(&'a [u8]),
    /// Adds one with this value, raw JSON, if there is none.
    Default(&'a [u8]),
    /// Takes them out.
    #[cfg_attr(not(test), expect(dead_code, reason = "completes the editor; tested against serde_json with the rest"))]
    Remove,
}

/// Where the members of an object lie in its text. Belongs to the bytes it was scanned from.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    /// Just after the opening brace.
    start: usize,
    members: Vec<Member>,
}

/// One member of an object.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// With its quotes.
    key: Range<usize>,
    pub(crate) value: Range<usize>,
}

struct Scanner<'a> {
    json: &'a [u8],
    at: usize,
}

// === impl Object ===

impl Object {
    /// Reads the whole text, once.
    pub(crate) fn scan(json: &[u8]) -> Result<Self, WireError> {
        let mut members = Vec::with_capacity(8);
        let start = each_member(json, |member| members.push(member))?;
        Ok(Self { start, members })
    }

    /// The value of the last member of this name, the one that counts.
    pub(crate) fn get<'a>(&self, json: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.find(json, name).map(|value| &json[value])
    }

    /// As [`Self::get`], where `null` counts as nothing.
    pub(crate) fn get_some<'a>(&self, json: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.get(json, name).filter(|value| *value != b"null")
    }

    /// Where the value of the last member of this name lies.
    pub(crate) fn find(&self, json: &[u8], name: &str) -> Option<Range<usize>> {
        self.members.iter().rev().find(|member| member.is(json, name)).map(|member| member.value.clone())
    }

    /// Appends the edited text to `out`. Members not named keep every byte, and the order stays; new members come last.
    /// The names are distinct.
    pub(crate) fn splice(&self, json: &[u8], edits: &[(&str, Edit<'_>)], out: &mut Vec<u8>) {
        // Everything before `copied` is in `out`, or is to be left out.
        let mut copied = 0;
        let mut last = self.start;
        let mut kept = false;
        for member in &self.members {
            if !kept && last != self.start {
                // All before was taken out, and the comma goes with it.
                copied = member.key.start;
            }
            match edits.iter().find(|(name, _)| member.is(json, name)) {
                Some((_, Edit::Set(value))) => {
                    out.extend_from_slice(&json[copied..member.value.start]);
                    out.extend_from_slice(value);
                    copied = member.value.end;
                    kept = true;
                }
                Some((_, Edit::Remove)) => {
                    let until = if kept { last } else { member.key.start };
                    out.extend_from_slice(&json[copied..until]);
                    copied = member.value.end;
                }
                Some((_, Edit::Default(_))) | None => kept = true,
            }
            last = member.value.end;
        }
        out.extend_from_slice(&json[copied..last]);
        for (name, edit) in edits {
            let (Edit::Set(value) | Edit::Default(value)) = edit else { continue };
            if self.find(json, name).is_none() {
                if kept {
                    out.push(b',');
                }
                kept = true;
                out.extend_from_slice(quote(name).as_bytes());
                out.push(b':');
                out.extend_from_slice(value);
            }
        }
        out.extend_from_slice(&json[last..]);
    }
}

// === impl Member ===

impl Member {
    /// Whether this is the member's name, however it is written.
    pub(crate) fn is(&self, json: &[u8], name: &str) -> bool {
        let inner = &json[self.key.start + 1..self.key.end - 1];
        match memchr(b'\\', inner) {
            None => inner == name.as_bytes(),
            Some(_) => text(&json[self.key.clone()]).is_some_and(|decoded| decoded == name),
        }
    }
}

/// Edits an object's text; see [`Object::splice`].
pub(crate) fn splice(json: &[u8], edits: &[(&str, Edit<'_>)]) -> Result<Vec<u8>, WireError> {
    let object = Object::scan(json)?;
    let added: usize = edits.iter().map(|(name, edit)| name.len() + edit.len() + 4).sum();
    let mut out = Vec::with_capacity(json.len() + added);
    object.splice(json, edits, &mut out);
    Ok(out)
}

impl Edit<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Set(value) | Self::Default(value) => value.len(),
            Self::Remove => 0,
        }
    }
}

/// Calls `f` with each member of an object and returns where the inside of the object starts. All of the text is checked,
/// but members before a fault have been seen by then.
pub(crate) fn each_member(json: &[u8], mut f: impl FnMut(Member)) -> Result<usize, WireError> {
    let mut scanner = Scanner { json, at: 0 };
    scanner.space();
    if scanner.peek() != Some(b'{') {
        scanner.value(MAX_DEPTH)?;
        scanner.end()?;
        return Err(WireError::NotAnObject);
    }
    scanner.at += 1;
    let start = scanner.at;
    scanner.space();
    if scanner.peek() == Some(b'}') {
        scanner.at += 1;
    } else {
        loop {
            let key = scanner.key()?;
            let value = scanner.value(MAX_DEPTH - 1)?;
            f(Member { key, value });
            scanner.space();
            match scanner.peek() {
                Some(b',') => scanner.at += 1,
                Some(b'}') => break scanner.at += 1,
                _ => return Err(scanner.fault("expected a comma or a closing brace")),
            }
            scanner.space();
        }
    }
    scanner.end()?;
    Ok(start)
}

/// Calls `f` with each element of an array; see [`each_member`]. Anything else has none.
pub(crate) fn each_element<'a>(json: &'a [u8], mut f: impl FnMut(&'a [u8])) -> Result<(), WireError> {
    let mut scanner = Scanner { json, at: 0 };
    scanner.space();
    if scanner.peek() != Some(b'[') {
        scanner.value(MAX_DEPTH)?;
        return scanner.end();
    }
    scanner.at += 1;
    scanner.space();
    if scanner.peek() == Some(b']') {
        scanner.at += 1;
        return scanner.end();
    }
    loop {
        f(&json[scanner.value(MAX_DEPTH - 1)?]);
        scanner.space();
        match scanner.peek() {
            Some(b',') => scanner.at += 1,
            Some(b']') => break scanner.at += 1,
            _ => return Err(scanner.fault("expected a comma or a closing bracket")),
        }
        scanner.space();
    }
    scanner.end()
}

/// The text of a JSON string; `None` for anything else.
pub(crate) fn text(raw: &[u8]) -> Option<String> {
    serde_json::from_slice(raw).ok()
}

/// A count; `None` for anything but a number from 0 up. Some servers write 12.0 for 12.
pub(crate) fn count(raw: &[u8]) -> Option<u64> {
    serde_json::from_slice(raw).ok().or_else(|| {
        let number: f64 = serde_json::from_slice(raw).ok()?;
        (number >= 0.0).then_some(number as u64)
    })
}

/// A JSON string of this text.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

// === impl Scanner ===

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn fault(&self, what: &'static str) -> WireError {
        let what = if self.at >= self.json.len() { "it ends too early" } else { what };
        WireError::Syntax { offset: self.at, what }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Nothing but space may follow.
    fn end(&mut self) -> Result<(), WireError> {
        self.space();
        if self.at == self.json.len() { Ok(()) } else { Err(self.fault("something follows the end of the value")) }
    }

    /// A key, its colon, and the space up to the value.
    fn key(&mut self) -> Result<Range<usize>, WireError> {
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
    fn value(&mut self, limit: u32) -> Result<Range<usize>, WireError> {
        let start = self.at;
        // The open containers, innermost in the lowest bit: 1 for an object.
        let (mut open, mut depth) = (0_u128, 0);
        'value: loop {
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
fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let (quote, backslash) = (word ^ ONES * b'"' as u64, word ^ ONES * b'\\' as u64);
        // The lowest high bit set marks the first hit; borrows only ever reach higher ones.
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let hits = (control | quote.wrapping_sub(ONES) & !quote | backslash.wrapping_sub(ONES) & !backslash) & ONES << 7;
        if hits != 0 {
            return 8 * index + hits.trailing_zeros() as usize / 8;
        }
    }
    let plain = rest.iter().take_while(|byte| !matches!(**byte, b'"' | b'\\' | 0..0x20));
    8 * words.len() + plain.count()
}

#[cfg(test)]
mod tests;
