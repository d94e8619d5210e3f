//! The readers and writers of the common form, by protocol.

use crate::dropped::Dropped;
use crate::endpoint::{Protocol, Upstream};
use crate::fields::Refusal;
use crate::form::{CommonAnswer, CommonRequest, Envelope};
use crate::translate::{Reader, Writer};
use crate::{carries, chat, messages, responses};

/// Reads a request of this protocol into the common form.
///
/// # Errors
/// What of it no other protocol carries.
pub(crate) fn read_request(protocol: Protocol, body: &str) -> Result<CommonRequest, Refusal> {
    match protocol {
        Protocol::Chat => chat::read_request(body),
        Protocol::Responses => responses::read_request(body),
        Protocol::Messages => messages::read_request(body),
    }
}

/// Writes a request for this model, and says what of it was left out.
///
/// # Errors
/// What of it the model's protocol does not carry.
pub(crate) fn write_request(request: &CommonRequest, upstream: Upstream<'_>) -> Result<(String, Dropped), Refusal> {
    carries::check(request, upstream.dialect.wire())?;
    let mut dropped = request.dropped.clone();
    let write = match upstream.dialect.wire() {
        Protocol::Chat => chat::write_request,
        Protocol::Responses => responses::write_request,
        Protocol::Messages => messages::write_request,
    };
    Ok((write(request, upstream, &mut dropped), dropped))
}

pub(crate) fn read_answer(protocol: Protocol, body: &str) -> Result<CommonAnswer, Refusal> {
    match protocol {
        Protocol::Chat => chat::read_answer(body),
        Protocol::Responses => responses::read_answer(body),
        Protocol::Messages => messages::read_answer(body),
    }
}

pub(crate) fn write_answer(protocol: Protocol, answer: &CommonAnswer, envelope: &Envelope) -> String {
    match protocol {
        Protocol::Chat => chat::write_answer(answer, envelope),
        Protocol::Responses => responses::write_answer(answer, envelope),
        Protocol::Messages => messages::write_answer(answer, envelope),
    }
}

pub(crate) fn reader(protocol: Protocol) -> Box<dyn Reader> {
    match protocol {
        Protocol::Chat => Box::<chat::Reader>::default(),
        Protocol::Responses => Box::<responses::Reader>::default(),
        Protocol::Messages => Box::<messages::Reader>::default(),
    }
}

pub(crate) fn writer(protocol: Protocol, wants_usage: bool) -> Box<dyn Writer> {
    match protocol {
        Protocol::Chat => Box::new(chat::Writer::new(wants_usage)),
        Protocol::Responses => Box::<responses::Writer>::default(),
        Protocol::Messages => Box::<messages::Writer>::default(),
    }
}
