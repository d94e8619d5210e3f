//! One block after the other: some servers send the arguments of several calls by turns, which not all protocols allow.

use crate::form::{Block, Event};
use crate::relay::MAX_EVENT;

/// Bytes that may wait for a call to be complete: as long as an event may be.
const MOST_WAITING: usize = MAX_EVENT;

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
    /// Bytes of what waits, and of the names of all calls.
    held: usize,
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
    ///
    /// # Errors
    /// If more waits than [`MOST_WAITING`].
    pub(crate) fn text(&mut self, key: Key, text: &str, out: &mut Vec<Event>) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        let block = match key {
            Key::Reasoning => Block::Reasoning,
            Key::Refusal => Block::Refusal,
            Key::Text | Key::Call(_) => Block::Text,
        };
        if self.held(key).is_none() {
            self.begin(Held { key, block, text: String::new(), nesting: Nesting::default() }, out);
        }
        self.more(key, text, out)
    }

    /// A call begins; what is known of it already counts once.
    ///
    /// # Errors
    /// If more waits than [`MOST_WAITING`].
    pub(crate) fn call(&mut self, index: u64, id: String, name: String, out: &mut Vec<Event>) -> Result<(), String> {
        self.hold(size_of::<Held>() + 2 * id.len() + name.len())?;
        self.ids.push((index, id.clone()));
        let (key, block) = (Key::Call(index), Block::Call { id, name });
        self.begin(Held { key, block, text: String::new(), nesting: Nesting::default() }, out);
        Ok(())
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
    /// If there is no such call, or it was complete; if more waits than [`MOST_WAITING`].
    pub(crate) fn arguments(&mut self, index: u64, text: &str, out: &mut Vec<Event>) -> Result<(), String> {
        let key = Key::Call(index);
        if text.is_empty() {
            return Ok(());
        }
        if self.held(key).is_none() {
            return Err(format!("arguments of call {index}, which is not open"));
        }
        self.more(key, text, out)
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

    /// More has to wait.
    fn hold(&mut self, bytes: usize) -> Result<(), String> {
        self.held += bytes;
        if self.held > MOST_WAITING {
            return Err(format!("over {MOST_WAITING} bytes of it wait for a call that does not end"));
        }
        Ok(())
    }

    fn more(&mut self, key: Key, text: &str, out: &mut Vec<Event>) -> Result<(), String> {
        match &mut self.open {
            Some(open) if open.key == key => {
                open.nesting.follow(text);
                out.push(Event::Delta(text.to_owned()));
            }
            _ => {
                self.hold(text.len())?;
                if let Some(held) = self.waiting.iter_mut().find(|held| held.key == key) {
                    held.nesting.follow(text);
                    held.text.push_str(text);
                }
            }
        }
        self.advance(out);
        Ok(())
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
            self.held = self.held.saturating_sub(held.text.len());
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
        order.text(Key::Text, "hi", &mut out).unwrap();
        order.call(0, "a".into(), "f".into(), &mut out).unwrap();
        order.arguments(0, "{\"x\":", &mut out).unwrap();
        order.call(1, "b".into(), "f".into(), &mut out).unwrap();
        order.arguments(1, "{\"y\"", &mut out).unwrap();
        order.arguments(0, "1}", &mut out).unwrap();
        order.arguments(1, ":2}", &mut out).unwrap();
        order.text(Key::Text, "bye", &mut out).unwrap();
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
            order.call(0, "a".into(), "f".into(), &mut out).unwrap();
            for piece in text.split_inclusive('"') {
                order.arguments(0, piece, &mut out).unwrap();
            }
            assert_eq!(order.is_whole(0), whole, "{text}");
        }
    }

    #[test]
    fn calls_without_arguments_wait_for_the_end() {
        let (mut order, mut out) = (Order::default(), Vec::new());
        order.call(0, "a".into(), "f".into(), &mut out).unwrap();
        order.call(1, "b".into(), "f".into(), &mut out).unwrap();
        assert_eq!(out, [call("a")]);
        order.close(&mut out);
        assert_eq!(out, [call("a"), Event::Close, call("b"), Event::Close]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let piece = "x".repeat(1 << 20);
        for key in [Key::Text, Key::Call(1)] {
            let (mut order, mut out) = (Order::default(), Vec::new());
            order.call(0, "a".into(), "f".into(), &mut out).unwrap();
            order.call(1, "b".into(), "f".into(), &mut out).unwrap();
            let mut more = |order: &mut Order| match key {
                Key::Call(index) => order.arguments(index, &piece, &mut out),
                key => order.text(key, &piece, &mut out),
            };
            let taken = (0..64).take_while(|_| more(&mut order).is_ok()).count();
            assert_eq!(taken, 15, "{key:?}: 16 MiB, and the two calls");
        }
        // Calls without an end are held too, and what streams is not.
        let (mut order, mut out) = (Order::default(), Vec::new());
        let begun =
            (0..).take_while(|index| order.call(*index, "i".repeat(1 << 16), "f".into(), &mut out).is_ok()).count();
        assert!((64..256).contains(&begun), "{begun}");
        let (mut order, mut out) = (Order::default(), Vec::new());
        (0..64).for_each(|_| order.text(Key::Text, &piece, &mut out).unwrap());
    }
}
