//! Splits a server-sent event stream into its events, whatever pieces it comes in.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Takes the bytes of a stream and gives them back event by event; none is lost or changed. Holds the unfinished event only.
#[derive(Debug)]
pub struct Splitter {
    buffer: Vec<u8>,
    /// Where the next event starts.
    event: usize,
    /// Where its current line starts.
    line: usize,
    /// No line end before this.
    searched: usize,
    /// Whether the next event is the first, which may begin with a byte order mark.
    first: bool,
    closed: bool,
    limit: usize,
}

/// One event, or the blank lines and comments between two.
#[derive(Debug)]
pub struct Event<'a> {
    raw: &'a [u8],
    /// Bytes of a byte order mark at its start.
    skip: usize,
    name: &'a [u8],
    /// Where in `raw` the value of the first `data` line is.
    data: Option<Range<usize>>,
    /// Where in `raw` the values of further `data` lines are.
    more: Vec<Range<usize>>,
}

/// An event over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

// === impl Splitter ===

impl Splitter {
    /// `limit`: the longest event that is let through, in bytes.
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), event: 0, line: 0, searched: 0, first: true, closed: false, limit }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.event > 0 {
            self.buffer.drain(..self.event);
            self.line -= self.event;
            self.searched -= self.event;
            self.event = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Says that nothing more will come: a CR at the end is no half CRLF.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// The next whole event, if there is one.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, TooLong> {
        if self.first && self.event == 0 && self.line == 0 && self.buffer.starts_with(BOM) {
            self.line = BOM.len();
            self.searched = BOM.len();
        }
        while let Some(found) = memchr2(b'\n', b'\r', &self.buffer[self.searched..]) {
            let at = self.searched + found;
            let end = match &self.buffer[at..] {
                [b'\r', b'\n', ..] => at + 2,
                [b'\r'] if !self.closed => {
                    self.searched = at;
                    return self.within(at).map(|()| None);
                }
                _ => at + 1,
            };
            let blank = at == self.line;
            (self.line, self.searched) = (end, end);
            if blank {
                self.within(end)?;
                let raw = &self.buffer[self.event..end];
                let skip = if self.first && raw.starts_with(BOM) { BOM.len() } else { 0 };
                self.event = end;
                self.first = false;
                return Ok(Some(Event::parse(raw, skip)));
            }
        }
        self.searched = self.buffer.len();
        self.within(self.searched).map(|()| None)
    }

    /// After [`Self::close`] and the last whole event: completes the lines of what is left, so that [`Self::next_event`] gives it as an
    /// event too. False if nothing is left.
    pub fn complete(&mut self) -> bool {
        match &self.buffer[self.event..] {
            [] => return false,
            [.., end @ (b'\n' | b'\r')] => self.buffer.push(*end),
            _ => self.buffer.extend_from_slice(b"\n\n"),
        }
        true
    }

    fn within(&self, end: usize) -> Result<(), TooLong> {
        if end - self.event > self.limit { Err(TooLong) } else { Ok(()) }
    }
}

// === impl Event ===

impl<'a> Event<'a> {
    /// Reads the fields of an event after the first `skip` bytes.
    pub fn parse(raw: &'a [u8], skip: usize) -> Self {
        let mut event = Self { raw, skip, name: b"", data: None, more: Vec::new() };
        let mut start = skip;
        while start < raw.len() {
            let end = memchr2(b'\n', b'\r', &raw[start..]).map_or(raw.len(), |length| start + length);
            let line = &raw[start..end];
            let colon = memchr(b':', line);
            let value = colon.map_or(end, |colon| {
                let value = start + colon + 1;
                if value < end && raw[value] == b' ' { value + 1 } else { value }
            });
            match &line[..colon.unwrap_or(line.len())] {
                b"event" => event.name = &raw[value..end],
                b"data" if event.data.is_none() => event.data = Some(value..end),
                b"data" => event.more.push(value..end),
                _ => {}
            }
            start = end + 1;
        }
        event
    }

    /// The bytes as they came.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// How many bytes at its start are no field.
    pub fn skip(&self) -> usize {
        self.skip
    }

    /// The value of the `event` field; empty if there is none.
    pub fn name(&self) -> &'a [u8] {
        self.name
    }

    /// The values of the `data` lines, joined by line feeds; `None` if there are none or all are empty.
    pub fn data(&self) -> Option<Cow<'a, [u8]>> {
        let first = &self.raw[self.data.clone()?];
        if self.more.is_empty() {
            return (!first.is_empty()).then_some(Cow::Borrowed(first));
        }
        let mut data = first.to_vec();
        for line in &self.more {
            data.push(b'\n');
            data.extend_from_slice(&self.raw[line.clone()]);
        }
        Some(Cow::Owned(data))
    }

    /// What comes before and after the data, if it is on one line.
    pub fn frame(&self) -> Option<(&'a [u8], &'a [u8])> {
        let data = self.data.as_ref().filter(|_| self.more.is_empty())?;
        Some((&self.raw[..data.start], &self.raw[data.end..]))
    }

    /// Appends the event to `out` with other data; all around it stays. Each line feed in the data becomes the line break
    /// between two `data` fields, as it was written there in the original.
    pub fn write(&self, data: &[u8], out: &mut Vec<u8>) {
        let Some(first) = self.data.clone() else { return out.extend_from_slice(self.raw) };
        out.extend_from_slice(&self.raw[..first.start]);
        let (mut end, mut more) = (first.end, self.more.iter());
        for (index, line) in data.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                match more.next() {
                    Some(next) => {
                        out.extend_from_slice(&self.raw[end..next.start]);
                        end = next.end;
                    }
                    None => out.extend_from_slice(b"\ndata: "),
                }
            }
            out.extend_from_slice(line);
        }
        out.extend_from_slice(&self.raw[self.more.last().map_or(first.end, |line| line.end)..]);
    }
}

#[cfg(test)]
mod tests;
