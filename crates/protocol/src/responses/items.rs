//! Items of answers, which a later request may refer to by their ids.

use std::sync::Arc;

use crate::fields::elements;
use crate::json::{self, Edit, Object, WireError};
use crate::print::list;

/// The type of an item that stands for another one.
const REFERENCE: &[u8] = b"item_reference";

/// The items of an answer that came whole, each with its id, as JSON.
#[must_use]
pub fn items(answer: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let output = Object::scan(answer).ok().and_then(|object| object.get_some(answer, "output"));
    // What is cut off or no list has none.
    let _ = json::each_element(output.unwrap_or_default(), |item| {
        let id = Object::scan(item).ok().and_then(|object| json::text(object.get(item, "id")?));
        found.extend(id.zip(String::from_utf8(item.to_vec()).ok()));
    });
    found
}

/// Those of a streamed answer, if its end is among these events, which are whole.
#[must_use]
pub fn last_items(events: &[u8]) -> Vec<(String, String)> {
    let Some(at) = memchr::memmem::rfind(events, b"\"response.completed\"") else { return Vec::new() };
    let start = memchr::memrchr(b'\n', &events[..at]).map_or(0, |end| end + 1);
    let end = memchr::memchr(b'\n', &events[at..]).map_or(events.len(), |length| at + length);
    let data = events[start..end].strip_prefix(b"data:").unwrap_or_default();
    let response = Object::scan(data).ok().and_then(|object| object.get_some(data, "response"));
    response.map(items).unwrap_or_default()
}

/// The body of a request with the items themselves in the place of references to those that `find` knows; `None` if there are none.
/// `most` bytes are the limit.
///
/// # Errors
/// If it would have more.
pub fn put_in(
    body: &[u8],
    most: usize,
    mut find: impl FnMut(&str) -> Option<Arc<str>>,
) -> Result<Option<Vec<u8>>, TooLarge> {
    if memchr::memmem::find(body, REFERENCE).is_none() {
        return Ok(None);
    }
    let Some((object, items)) = input(body) else { return Ok(None) };
    let (mut whole, mut length, mut known) = (Vec::with_capacity(items.len()), body.len(), false);
    for item in items {
        let Some(found) = referred(item).and_then(|id| find(&id)) else {
            whole.push(item.to_owned());
            continue;
        };
        length += found.len();
        if length > most {
            return Err(TooLarge);
        }
        known = true;
        whole.push(found.to_string());
    }
    let mut out = Vec::with_capacity(length);
    object.splice(body, &[("input", Edit::Set(list(&whole).as_bytes()))], &mut out);
    Ok(known.then_some(out))
}

/// The request is larger with what it refers to than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

fn input(body: &[u8]) -> Option<(Object, Vec<&str>)> {
    let object = Object::scan(body).ok()?;
    let input = std::str::from_utf8(object.get_some(body, "input")?).ok()?;
    let items = elements(input, "").ok()?;
    Some((object, items.into_iter().map(|(item, _)| item).collect()))
}

/// The id that an item refers to, if it is a reference.
fn referred(item: &str) -> Option<String> {
    let item = item.as_bytes();
    let object: Result<Object, WireError> = Object::scan(item);
    let object = object.ok()?;
    let kind = json::text(object.get(item, "type")?)?;
    (kind.as_bytes() == REFERENCE).then(|| json::text(object.get(item, "id")?))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"id":"resp_1","output":[ {"id":"rs_1","type":"reasoning"},{"type":"message","id":"msg_1","content":[]}, 7,{"type":"x"}]}"#;

    fn known(id: &str) -> Option<Arc<str>> {
        items(ANSWER.as_bytes()).into_iter().find(|(held, _)| held == id).map(|(_, item)| item.into())
    }

    #[test]
    fn the_items_of_an_answer_are_found_plain_and_streamed() {
        let expected = [
            ("rs_1".to_owned(), r#"{"id":"rs_1","type":"reasoning"}"#.to_owned()),
            ("msg_1".to_owned(), r#"{"type":"message","id":"msg_1","content":[]}"#.to_owned()),
        ];
        assert_eq!(items(ANSWER.as_bytes()), expected);
        let before = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\"}\n\n";
        let last =
            format!("event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{ANSWER}}}\n\n");
        assert_eq!(last_items(format!("{before}{last}").as_bytes()), expected);
        for none in [before, "data: {\"delta\":\"\\\"response.completed\\\"\"}\n\n", "", "\"response.completed\""] {
            assert_eq!(last_items(none.as_bytes()), []);
        }
        assert_eq!(items(br#"{"output":"x"}"#), []);
    }

    #[test]
    fn what_is_known_takes_the_place_of_its_reference_and_all_else_stays() {
        let body = |items: &str| format!(r#"{{ "model":"m","input":[{items}],"x":1.0 }}"#);
        let put = |body: &str, most| {
            put_in(body.as_bytes(), most, known).map(|out| out.map(|out| String::from_utf8(out).unwrap()))
        };
        let one = r#"{"role":"user","content":"item_reference"}"#;
        let (gone, held) = (r#"{"type":"item_reference","id":"gone"}"#, r#"{"id":"msg_1","type":"item_reference"}"#);
        let item = r#"{"type":"message","id":"msg_1","content":[]}"#;
        let all = body(&[one, held, gone].join(", "));
        assert_eq!(put(&all, 1_000), Ok(Some(body(&[one, item, gone].join(",")))));
        for none in
            [body(one), body(gone), r#"{"input":"item_reference"}"#.to_owned(), "[\"item_reference\"".to_owned()]
        {
            assert_eq!(put(&none, 1_000), Ok(None), "{none}");
        }
        assert_eq!(put(&body(&[held; 100].join(",")), 6_000), Err(TooLarge), "small references to large items");
    }
}
