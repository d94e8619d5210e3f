//! Bodies that come whole: requests of every protocol, answers of every upstream.

use bytes::Bytes;
use http::StatusCode;
use slarouter_text::{Conversation, features};

use super::samples::{ID, MODEL, UPSTREAMS, endpoint, model};
use crate::adapter::{Adapter, AnswerOptions};
use crate::endpoint::{Endpoint, ModelProtocol, Protocol};
use crate::fault::Fault;
use crate::form::Envelope;
use crate::forms::{read_answer, read_request, write_request};
use crate::json::{self, Object};
use crate::pass::{Scanned, error_status};
use crate::request::{AnswerLength, Request};

/// The first byte is the endpoint, the rest the body.
pub fn request(data: &[u8]) {
    let Some((first, body)) = data.split_first() else { return };
    let endpoint = endpoint(*first);
    let mut mended = body.to_vec();
    json::mend_surrogates(&mut mended);
    let request = match Request::parse(endpoint, Bytes::copy_from_slice(body)) {
        Ok(request) => request,
        Err(error) => return assert!(!error.to_string().is_empty() && !error.code().is_empty()),
    };
    let outline = request.outline();
    if let Ok(conversation) = Conversation::from_messages(&outline.messages, outline.tools) {
        assert!(features(&conversation).iter().all(|feature| feature.is_finite()));
    }
    if let AnswerLength::UpTo { answers, tokens } = request.answer_length() {
        let most = answers * tokens.unwrap_or(4_096.0);
        assert!(most.is_finite() && most >= 0.0, "{most} tokens would spoil every budget");
    }
    for echoed in request.echo() {
        assert!(!echoed.1.contains('\n'), "{echoed:?} would break an event");
    }
    for upstream in UPSTREAMS {
        let fits = request.fits(upstream).map_err(|refusal| refusal.message);
        let body = request.upstream_body(model(upstream));
        assert_eq!(fits.as_ref().err(), body.as_ref().err().map(|refusal| &refusal.message));
        match body {
            Ok((written, dropped)) if endpoint.passes(upstream) => {
                assert!(dropped.is_empty(), "{dropped} was left out of what passes");
                passed(&request, endpoint, &mended, &written.into_bytes());
            }
            Ok((written, dropped)) => {
                let told = dropped.to_string();
                assert!(told.len() < 1_000 && told.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{told}");
                translated(upstream, &written.into_bytes());
            }
            Err(refusal) => {
                assert!(!endpoint.passes(upstream), "what passes is not ours to judge: {refusal}");
                assert!(!refusal.message.is_empty());
            }
        }
    }
}

/// All members but those that the contract names keep their bytes and their order.
fn passed(request: &Request, endpoint: Endpoint, body: &[u8], written: &[u8]) {
    let own = |raw: &[u8], key: &[u8]| {
        let key = json::text(key).unwrap_or_default();
        let marked = |mark: &[u8]| memchr::memmem::find(raw, mark).is_some();
        let seals = key == endpoint.question() && (marked(b"slarouter-reasoning") || marked(b"rs_slarouter_"));
        seals || key == "model" || (key == "stream_options" && request.stream())
    };
    assert_eq!(members(body, |key| own(body, key)), members(written, |key| own(body, key)));
    let again = Request::parse(endpoint, Bytes::copy_from_slice(written));
    let again = again.map_err(|error| error.to_string());
    let seen = again.as_ref().map(|again| (again.model(), again.stream()));
    assert_eq!(seen, Ok((MODEL, request.stream())));
    assert!(
        !request.stream() || endpoint.protocol() != Protocol::Chat || again.is_ok_and(|again| again.include_usage())
    );
}

fn members(body: &[u8], leave_out: impl Fn(&[u8]) -> bool) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    let whole = json::each_member(body, |member| {
        let key = member.key(body);
        if !leave_out(key) {
            found.push((key, &body[member.value.clone()]));
        }
    });
    assert!(whole.is_ok(), "no JSON object any more");
    found
}

/// What is written for a protocol can be read as one of that protocol, and there is one way to write what was read.
fn translated(upstream: ModelProtocol, written: &[u8]) {
    let again = |text: &str| {
        let form = read_request(upstream.wire(), text);
        let written = form.and_then(|form| write_request(&form, model(upstream)));
        written.map(|(text, _)| text).map_err(|refusal| refusal.to_string())
    };
    let second = again(&String::from_utf8_lossy(written));
    assert!(second.is_ok(), "{second:?}");
    assert_eq!(second.as_deref().map_err(String::clone).and_then(again), second);
}

/// The first byte is the endpoint, the second the upstream's protocol, the third a status, the rest the body.
pub fn answer(data: &[u8]) {
    let [first, second, third, body @ ..] = data else { return };
    let endpoint = endpoint(*first);
    let upstream = UPSTREAMS[usize::from(*second) % UPSTREAMS.len()];
    let adapter = Adapter { endpoint, upstream };
    let status = StatusCode::from_u16(400 + u16::from(*third)).unwrap_or_default();
    error(adapter, status, body);
    if let Some(status) = error_status(body) {
        assert!(!status.is_success(), "{status}");
    }
    if endpoint.upstream_path(upstream).is_none() {
        return;
    }
    let sound = adapter.fault(body, Scanned::of(body).is_ok()).is_none();
    let envelope = Envelope { id: ID.to_owned(), model: MODEL.to_owned(), created: 7, ..Envelope::default() };
    let options = AnswerOptions { envelope, wants_usage: false, wants_metadata: true };
    let written = adapter.plain(body, &options, |usage| {
        let cost = usage.map_or(0.0, |usage| usage.output_tokens as f64);
        (Some(cost), Some(br#"{"route":"default"}"#.to_vec()))
    });
    assert_eq!(written.is_ok(), sound, "one answer is judged in two ways");
    let Ok(written) = written else { return };
    let facts = Scanned::of(&written.body).map(|scanned| scanned.facts(endpoint.protocol())).unwrap_or_default();
    if endpoint != Endpoint::Embeddings {
        assert_eq!(facts.id.as_deref(), Some(ID));
    }
    let object = Object::scan(&written.body);
    let marked = object.map(|object| object.get(&written.body, "slarouter").map(<[u8]>::to_vec));
    assert_eq!(marked, Ok(Some(br#"{"route":"default"}"#.to_vec())));
    if !endpoint.passes(upstream) {
        let text = String::from_utf8_lossy(&written.body);
        let again = read_answer(endpoint.protocol(), &text);
        // Where the upstream reports nothing, protocols that must report write zeros.
        let tokens = again.map(|again| again.usage.map_or(0, |usage| usage.output_tokens));
        let expected = written.usage.map_or(0, |usage| usage.output_tokens);
        assert_eq!(tokens.map_err(|refusal| refusal.to_string()), Ok(expected));
    }
}

/// An error keeps its message on its way to any protocol.
fn error(adapter: Adapter, status: StatusCode, body: &[u8]) {
    let shown = adapter.error(status, &Bytes::copy_from_slice(body));
    let Some(fault) = Fault::read(body) else { return };
    for protocol in [Protocol::Chat, Protocol::Responses, Protocol::Messages] {
        let again = Fault::read(fault.write(protocol, status).as_bytes());
        assert_eq!(again.map(|again| again.message).as_deref(), Some(&*fault.message));
    }
    assert_eq!(Fault::read(&shown).map(|shown| shown.message), Some(fault.message));
}
