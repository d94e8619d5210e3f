//! The tokens of a usage report, whichever protocol it is written in.

use crate::endpoint::Protocol;
use crate::usage::Usage;
use crate::{messages, responses};

/// The tokens of a raw `usage` object of this protocol.
pub(crate) fn tokens(protocol: Protocol, usage: &[u8]) -> Option<Usage> {
    match protocol {
        Protocol::Chat => Usage::read(usage),
        Protocol::Responses => responses::tokens(usage),
        Protocol::Messages => messages::tokens(usage),
    }
}
