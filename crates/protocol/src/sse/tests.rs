use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Raw bytes, name and data of an event.
type Read = (Vec<u8>, Vec<u8>, Option<Vec<u8>>);

/// All events, the completed rest included.
fn events(pieces: &[&[u8]]) -> Vec<Read> {
    fn drain(splitter: &mut Splitter, found: &mut Vec<Read>) {
        while let Some(event) = splitter.next_event().unwrap() {
            found.push((event.raw().to_vec(), event.name().to_vec(), event.data().map(Cow::into_owned)));
        }
    }
    let (mut splitter, mut found) = (Splitter::new(1 << 20), Vec::new());
    for piece in pieces {
        splitter.feed(piece);
        drain(&mut splitter, &mut found);
    }
    splitter.close();
    drain(&mut splitter, &mut found);
    if splitter.complete() {
        drain(&mut splitter, &mut found);
    }
    found
}

fn data(stream: &str) -> Vec<Option<String>> {
    let events = events(&[stream.as_bytes()]);
    events.into_iter().map(|(_, _, data)| data.map(|data| String::from_utf8(data).unwrap())).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn reads_fields_as_the_standard_says() {
    assert_eq!(data("data: a\n\ndata:b\n\ndata:  c \n\n"), [some("a"), some("b"), some(" c ")]);
    assert_eq!(data("data: a\nid: 1\ndata\ndata:b\n\n"), [some("a\n\nb")]);
    assert_eq!(data(": comment\n\n\ndata:\n\nretry: 5\ndatax: 1\n\n"), [None, None, None, None]);
    assert_eq!(events(&[b"event: ping\nevent: error\ndata: {}\n\n"])[0].1, b"error");
}

#[test]
fn all_line_ends_work_mixed() {
    assert_eq!(data("data: a\r\n\r\ndata: b\r\rdata: c\n\r\ndata: d\r\n\n"), ["a", "b", "c", "d"].map(some));
    assert_eq!(data("data: a\r\rdata: b\r\r"), ["a", "b"].map(some));
}

#[test]
fn a_byte_order_mark_counts_at_the_start_only() {
    assert_eq!(data("\u{feff}data: a\n\n\u{feff}data: b\n\n"), [some("a"), None]);
    assert_eq!(data("\u{feff}\n\ndata: a\n\n"), [None, None, some("a")]);
}

#[test]
fn what_is_left_is_completed_with_its_own_line_ends() {
    for (rest, raw) in [("data: a", "data: a\n\n"), ("data: a\n", "data: a\n\n"), ("data: a\r", "data: a\r\r")] {
        assert_eq!(events(&[rest.as_bytes()]), [(raw.into(), vec![], Some(b"a".to_vec()))]);
    }
}

#[test]
fn events_over_the_limit_are_refused_however_they_come() {
    for size in [1, 3, 100] {
        let outcome = |stream: &[u8]| {
            let mut splitter = Splitter::new(10);
            let mut count = 0;
            for piece in stream.chunks(size) {
                splitter.feed(piece);
                while splitter.next_event()?.is_some() {
                    count += 1;
                }
            }
            Ok(count)
        };
        assert_eq!(outcome(b"data: ab\n\ndata: ab\n\n"), Ok(2));
        assert_eq!(outcome(b"data: ab\n\ndata: abc\n\n"), Err(TooLong));
        assert_eq!(outcome(b"data: 12345"), Err(TooLong));
    }
}

#[test]
fn writes_other_data_into_the_same_frame() {
    let write = |raw: &str, data: &str| {
        let mut out = Vec::new();
        Event::parse(raw.as_bytes(), 0).write(data.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    };
    let raw = "id:7\r\ndata:{\r\n: why\r\ndata:  }\r\nretry: 1\r\n\r\n";
    assert_eq!(write(raw, "{\n }"), raw);
    assert_eq!(write(raw, "{1\n2}"), raw.replace("{\r", "{1\r").replace(" }", "2}"));
    assert_eq!(write("data: a\n\n", "b\nc"), "data: b\ndata: c\n\n");
}

proptest! {
    #[test]
    fn any_split_gives_the_same_events(
        stream in "(data|event|id|x|:|: |a|\n|\r|\u{feff}){0,40}",
        cuts in vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let stream = stream.as_bytes();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut from = 0;
        let pieces: Vec<_> = cuts.iter().map(|to| &stream[std::mem::replace(&mut from, *to)..*to]).collect();
        let whole = events(&[stream]);
        prop_assert_eq!(&events(&pieces), &whole);
        let joined: Vec<_> = whole.iter().flat_map(|(raw, _, _)| raw.clone()).collect();
        prop_assert!(joined.starts_with(stream) && joined.len() <= stream.len() + 2);
    }
}
