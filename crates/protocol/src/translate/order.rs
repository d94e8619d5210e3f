//! One block after the other: some servers send the arguments of several calls by turns, which not all protocols allow.

use crate::form::{Block, Event};

/// What a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Text,
    Reasoning,
    Refusal,
    /// A call, by its index upstream.
    Call(u64),
}

/// Puts pieces in order. The block that is open streams; pieces of others wait until it is complete: a call when its
/// arguments are a whole JSON value, anything else at once.
#[derive(Debug, Default)]
pub(crate) struct Order {
    open: Option<Held>,
    waiting: Vec<Held>,
    ids: Vec<(u64, String)>,
}

#[derive(Debug)]
struct Held {
    key: Key,
    block: Block,
    /// What waits to be let out.
    text: String,
    nesting: Nesting,
}

/// Follows an object's text piece by piece to its closing brace.
#[derive(Debug, Default)]
struct Nesting {
    begun: bool,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

// === impl Order ===

impl Order {
    /// More text of a kind.
    pub(crate) fn text(&mut self, key: Key, text: &str, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let block = match key {
            Key::Reasoning => Block::Reasoning,
            Key::Refusal => Block::Refusal,
            Key::Text | Key::Call(_) => Block::Text,
        };
        if self.held(key).is_none() {
            self.begin(Held { key, block, text: String::new(), nesting: Nesting::default() }, out);
        }
        self.more(key, text, out);
    }

    /// A call begins; what is known of it already counts once.
    pub(crate) fn call(&mut self, index: u64, id: String, name: String, out: &mut Vec<Event>) {
        self.ids.push((index, id.clone()));
        let (key, block) = (Key::Call(index), Block::Call { id, name });
        self.begin(Held { key, block, text: String::new(), nesting: Nesting::default() }, out);
    }

    /// The id of the call of this index, if it has begun.
    pub(crate) fn call_id(&self, index: u64) -> Option<&str> {
        self.ids.iter().find(|(known, _)| *known == index).map(|(_, id)| id.as_str())
    }

    /// Whether the call of this index is complete.
    pub(crate) fn is_whole(&self, index: u64) -> bool {
        match self.held(Key::Call(index)) {
            Some(held) => held.is_complete(),
            None => self.call_id(index).is_some(),
        }
    }

    /// Whether any call has begun.
    pub(crate) fn any_calls(&self) -> bool {
        !self.ids.is_empty()
    }

    /// More of a call's arguments.
    ///
    /// # Errors
    /// If there is no such call, or it was complete.
    pub(crate) fn arguments(&mut self, index: u64, text: &str, out: &mut Vec<Event>) -> Result<(), String> {
        let key = Key::Call(index);
        if text.is_empty() {
            return Ok(());
        }
        if self.held(key).is_none() {
            return Err(format!("arguments of call {index}, which is not open"));
        }
        self.more(key, text, out);
        Ok(())
    }

    /// Closes what is open and lets out all that waits.
    pub(crate) fn close(&mut self, out: &mut Vec<Event>) {
        self.shut(out);
        for held in std::mem::take(&mut self.waiting) {
            self.open(held, out);
            self.shut(out);
        }
    }

    fn held(&self, key: Key) -> Option<&Held> {
        self.open.iter().chain(&self.waiting).find(|held| held.key == key)
    }

    fn begin(&mut self, held: Held, out: &mut Vec<Event>) {
        self.waiting.push(held);
        self.advance(out);
    }

    fn more(&mut self, key: Key, text: &str, out: &mut Vec<Event>) {
        match &mut self.open {
            Some(open) if open.key == key => {
                open.nesting.follow(text);
                out.push(Event::Delta(text.to_owned()));
            }
            _ => {
                if let Some(held) = self.waiting.iter_mut().find(|held| held.key == key) {
                    held.nesting.follow(text);
                    held.text.push_str(text);
                }
            }
        }
        self.advance(out);
    }

    /// Goes on to what waits, as far as what is open is complete.
    fn advance(&mut self, out: &mut Vec<Event>) {
        while !self.waiting.is_empty() && self.open.as_ref().is_none_or(Held::is_complete) {
            self.shut(out);
            let next = self.waiting.remove(0);
            self.open(next, out);
        }
    }

    fn open(&mut self, mut held: Held, out: &mut Vec<Event>) {
        out.push(Event::Open(held.block.clone()));
        if !held.text.is_empty() {
            out.push(Event::Delta(std::mem::take(&mut held.text)));
        }
        self.open = Some(held);
    }

    fn shut(&mut self, out: &mut Vec<Event>) {
        if self.open.take().is_some() {
            out.push(Event::Close);
        }
    }
}

// === impl Held ===

impl Held {
    fn is_complete(&self) -> bool {
        match self.key {
            Key::Call(_) => self.nesting.begun && self.nesting.depth == 0,
            _ => true,
        }
    }
}

// === impl Nesting ===

impl Nesting {
    fn follow(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => {
                    self.begun = true;
                    self.depth += 1;
                }
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> Event {
        Event::Open(Block::Call { id: id.into(), name: "f".into() })
    }

    fn delta(text: &str) -> Event {
        Event::Delta(text.into())
    }

    #[test]
    fn calls_by_turns_come_one_after_the_other() {
        let (mut order, mut out) = (Order::default(), Vec::new());
        order.text(Key::Text, "hi", &mut out);
        order.call(0, "a".into(), "f".into(), &mut out);
        order.arguments(0, "{\"x\":", &mut out).unwrap();
        order.call(1, "b".into(), "f".into(), &mut out);
        order.arguments(1, "{\"y\"", &mut out).unwrap();
        order.arguments(0, "1}", &mut out).unwrap();
        order.arguments(1, ":2}", &mut out).unwrap();
        order.text(Key::Text, "bye", &mut out);
        order.close(&mut out);
        let expected = [
            Event::Open(Block::Text),
            delta("hi"),
            Event::Close,
            call("a"),
            delta("{\"x\":"),
            delta("1}"),
            Event::Close,
            call("b"),
            delta("{\"y\""),
            delta(":2}"),
            Event::Close,
            Event::Open(Block::Text),
            delta("bye"),
            Event::Close,
        ];
        assert_eq!(out, expected);
        assert!(order.any_calls() && order.is_whole(1) && order.call_id(1) == Some("b") && order.call_id(2).is_none());
        assert!(order.arguments(0, "more", &mut out).is_err());
    }

    #[test]
    fn braces_in_strings_close_nothing() {
        for (text, whole) in [
            ("{}", true),
            (r#"{"a":"}"}"#, true),
            (r#"{"a":"}"#, false),
            (r#"{"a":"\"}"#, false),
            (r#"{"a":"\\"}"#, true),
            (r#"{"a":[{}]"#, false),
            ("", false),
            ("7", false),
        ] {
            let (mut order, mut out) = (Order::default(), Vec::new());
            order.call(0, "a".into(), "f".into(), &mut out);
            for piece in text.split_inclusive('"') {
                order.arguments(0, piece, &mut out).unwrap();
            }
            assert_eq!(order.is_whole(0), whole, "{text}");
        }
    }

    #[test]
    fn calls_without_arguments_wait_for_the_end() {
        let (mut order, mut out) = (Order::default(), Vec::new());
        order.call(0, "a".into(), "f".into(), &mut out);
        order.call(1, "b".into(), "f".into(), &mut out);
        assert_eq!(out, [call("a")]);
        order.close(&mut out);
        assert_eq!(out, [call("a"), Event::Close, call("b"), Event::Close]);
    }
}
