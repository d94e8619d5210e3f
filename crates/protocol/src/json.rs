//! Finds and edits the members of a JSON object without building a tree of it.
//!
//! The scanner accepts what RFC 8259 calls JSON, up to 128 containers deep, with two liberties that leave more bytes
//! as they are: strings may hold bytes that are not UTF-8, and `\u` escapes need not form pairs.

mod pieces;
mod scanner;

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::memchr;
use pieces::Splicing;
pub use pieces::{Pieces, Sink};
pub use scanner::WireError;
use scanner::{MAX_DEPTH, Scanner};

/// What becomes of the members of one name.
#[derive(Clone, Copy, Debug)]
pub enum Edit<'a> {
    /// Gives all of them this value, raw JSON; adds one if there is none.
    Set(&'a [u8]),
    /// Adds one with this value, raw JSON, if there is none.
    Default(&'a [u8]),
    /// Takes the members of this name out.
    Remove,
}

/// Where the members of an object lie in its text. Belongs to the bytes it was scanned from.
#[derive(Clone, Debug)]
pub struct Object {
    /// Where the inside of the object starts: just after its opening brace.
    start: usize,
    members: Vec<Member>,
    values: usize,
}

/// One member of an object.
#[derive(Clone, Debug)]
pub struct Member {
    /// Where its name lies, quotes included.
    key: Range<usize>,
    /// Where its value lies.
    pub value: Range<usize>,
}

// === impl Object ===

impl Object {
    /// Reads the whole text of an object, once.
    ///
    /// # Errors
    /// If it is no JSON, or no object.
    pub fn scan(json: &[u8]) -> Result<Self, WireError> {
        Self::scan_up_to(json, usize::MAX)
    }

    /// As [`Self::scan`], of an object with at most so many members: each that is held takes more memory than it may have bytes.
    ///
    /// # Errors
    /// Also if it has more.
    pub fn scan_up_to(json: &[u8], most: usize) -> Result<Self, WireError> {
        let (mut members, mut count) = (Vec::with_capacity(8), 0);
        let Inside { start, values } = each_member(json, |member| {
            count += 1;
            if count <= most {
                members.push(member);
            }
        })?;
        if count > most { Err(WireError::TooMany { most }) } else { Ok(Self { start, members, values }) }
    }

    /// Strings, numbers, words, objects and arrays in it, names and itself left out.
    pub fn values(&self) -> usize {
        self.values
    }

    /// A name that two of its members have, whatever the case of its letters: which of them counts differs from reader to reader. Takes time
    /// with the square of their number.
    pub fn ambiguous(&self, json: &[u8]) -> Option<String> {
        let names: Vec<_> = self.members.iter().map(|member| folded(member.key(json))).collect();
        let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
        twice.map(|(at, _)| text(self.members[at].key(json)).unwrap_or_default())
    }

    /// One of its names that is one of `names` but for the case of letters, and that one.
    pub fn miscased<'n>(&self, json: &[u8], names: &[&'n str]) -> Option<(String, &'n str)> {
        self.members.iter().map(|member| member.key(json)).find_map(|key| {
            let meant = names.iter().find(|name| folded(key) == **name)?;
            text(key).filter(|sent| sent != meant).map(|sent| (sent, *meant))
        })
    }

    /// The value of the last member of this name, the one that counts.
    pub fn get<'a>(&self, json: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.find(json, name).map(|value| &json[value])
    }

    /// As [`Self::get`], where `null` counts as nothing.
    pub fn get_some<'a>(&self, json: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.get(json, name).filter(|value| *value != b"null")
    }

    /// Where the value of the last member of this name lies.
    pub fn find(&self, json: &[u8], name: &str) -> Option<Range<usize>> {
        self.members.iter().rev().find(|member| member.is(json, name)).map(|member| member.value.clone())
    }

    /// The edited text in pieces, which share the long runs of `json`; see [`Self::splice`].
    #[must_use]
    pub fn splice_shared(&self, json: &Bytes, edits: &[(&str, Edit<'_>)]) -> Pieces {
        let mut splicing = Splicing::of(json);
        self.splice(json, edits, &mut splicing);
        splicing.end()
    }

    /// Appends the edited text to `out`. Members not named keep every byte, and the order stays; new members come last.
    /// The names are distinct.
    pub fn splice(&self, json: &[u8], edits: &[(&str, Edit<'_>)], out: &mut impl Sink) {
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
                    out.keep(json, copied..member.value.start);
                    out.add(value);
                    copied = member.value.end;
                    kept = true;
                }
                Some((_, Edit::Remove)) => {
                    let until = if kept { last } else { member.key.start };
                    out.keep(json, copied..until);
                    copied = member.value.end;
                }
                Some((_, Edit::Default(_))) | None => kept = true,
            }
            last = member.value.end;
        }
        out.keep(json, copied..last);
        for (name, edit) in edits {
            let (Edit::Set(value) | Edit::Default(value)) = edit else { continue };
            if self.find(json, name).is_none() {
                if kept {
                    out.add(b",");
                }
                kept = true;
                out.add(quote(name).as_bytes());
                out.add(b":");
                out.add(value);
            }
        }
        out.keep(json, last..json.len());
    }
}

// === impl Member ===

impl Member {
    /// Its name as written, with the quotes.
    pub fn key<'a>(&self, json: &'a [u8]) -> &'a [u8] {
        &json[self.key.clone()]
    }

    /// Whether this is the member's name, however it is written.
    pub fn is(&self, json: &[u8], name: &str) -> bool {
        let inner = &json[self.key.start + 1..self.key.end - 1];
        match memchr(b'\\', inner) {
            None => inner == name.as_bytes(),
            Some(_) => text(&json[self.key.clone()]).is_some_and(|decoded| decoded == name),
        }
    }
}

/// A member's name as the least particular of readers compare names.
fn folded(key: &[u8]) -> Cow<'_, str> {
    let plain = std::str::from_utf8(key)
        .ok()
        .filter(|key| key.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'_' | b'"')));
    match plain {
        Some(key) => key.trim_matches('"').into(),
        None => {
            let name = text(key).unwrap_or_else(|| String::from_utf8_lossy(key).into_owned());
            name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect::<String>().into()
        }
    }
}

/// Edits an object's text; see [`Object::splice`].
pub fn splice(json: &[u8], edits: &[(&str, Edit<'_>)]) -> Result<Vec<u8>, WireError> {
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

/// What is known of an object whose members have been gone through.
#[derive(Clone, Copy, Debug)]
pub struct Inside {
    /// Where it starts: just after the opening brace.
    pub start: usize,
    /// Values in it, those inside of others included.
    pub values: usize,
}

/// Calls `f` with each member of an object. All of the text is checked, but members before a fault have been seen by then.
pub fn each_member(json: &[u8], mut f: impl FnMut(Member)) -> Result<Inside, WireError> {
    let mut scanner = Scanner::new(json);
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
    Ok(Inside { start, values: scanner.values })
}

/// Calls `f` with each element of an array; see [`each_member`]. Anything else has none.
pub fn each_element<'a>(json: &'a [u8], mut f: impl FnMut(&'a [u8])) -> Result<(), WireError> {
    let mut scanner = Scanner::new(json);
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

/// The elements of an array, read no further than they are asked for. A fault ends them, and anything else has none.
pub fn elements(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut scanner = Scanner::new(json);
    scanner.space();
    let mut more = scanner.peek() == Some(b'[');
    std::iter::from_fn(move || {
        if !std::mem::take(&mut more) {
            return None;
        }
        // The bracket or a comma.
        scanner.at += 1;
        scanner.space();
        let element = scanner.value(MAX_DEPTH - 1).ok()?;
        scanner.space();
        more = scanner.peek() == Some(b',');
        Some(&json[element])
    })
}

/// The text of a JSON string; `None` for anything else.
pub fn text(raw: &[u8]) -> Option<String> {
    serde_json::from_slice(raw).ok()
}

/// A count; `None` for anything but a number from 0 up. Some servers write 12.0 for 12.
pub fn count(raw: &[u8]) -> Option<u64> {
    serde_json::from_slice(raw).ok().or_else(|| {
        let number: f64 = serde_json::from_slice(raw).ok()?;
        (number >= 0.0).then_some(number as u64)
    })
}

/// Puts U+FFFD in the place of every escaped half of a surrogate pair that has no other half: clients that cut a text in the middle of a character send
/// them, and what they mean is nobody's guess. All other bytes stay, and none moves.
pub fn mend_surrogates(json: &mut [u8]) {
    let mut at = 0;
    while let Some(found) = memchr(b'\\', &json[at..]) {
        at += found;
        at += match (unit(&json[at..]), json.get(at + 6..).and_then(unit)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => 12,
            (Some(0xd800..0xe000), _) => {
                json[at + 2..at + 6].copy_from_slice(b"fffd");
                6
            }
            // No escape has a backslash in any place but its second.
            _ => 2,
        };
        if at >= json.len() {
            return;
        }
    }
}

/// The unit of UTF-16 that an escape at the beginning stands for.
fn unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().all(u8::is_ascii_hexdigit).then_some(())?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A JSON string of this text.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests;
