//! What becomes of an answer after it has gone out: checks that need no model, on a thread of their own, which are ratings; and a model that
//! judges it.

use std::sync::Arc;

use bytes::Bytes;
use slarouter_core::{DecisionId, Rater, Rating, Reason, Source};
use slarouter_protocol::checks::{Check, Wanted, Written, failed};
use slarouter_protocol::request::Request;
use slarouter_store::FeedbackRecord;
use tokio::task::spawn_blocking;

use super::exchange::Exchange;
use super::judging::{self, Case};
use crate::app::App;
use crate::aside::Expected;
use crate::clock::public_id;

/// Bytes that are taken to keep one answer for its checks, and its request for a judge: a longer one is not checked or judged.
const MOST: usize = 1 << 20;
/// What a piece takes beside its own bytes.
const OVERHEAD: usize = 64;
/// Who rates in the name of the checks. No name of a client's comes to so small a number, except by a chance of one in 10¹⁹.
const CHECKS: Rater = Rater(1);

/// An answer on its way that is to be checked or judged.
pub(super) struct Checking {
    app: Arc<App>,
    id: DecisionId,
    wanted: Wanted,
    written: Written,
    /// The messages of the request, where the answer is to be judged.
    conversation: Option<String>,
    bytes: usize,
    /// Held until it has been offered to a judge.
    _expected: Option<Expected>,
}

impl Checking {
    /// The answer of this exchange, if such are checked and anything is learnt from it, or if it is drawn for a judge.
    pub(super) fn of(exchange: &Exchange, request: &Request, streamed: bool) -> Option<Self> {
        let app = exchange.shared();
        let learns = exchange.endpoint().routes() && exchange.decision().reason != Reason::Pinned;
        let conversation = judging::drawn(exchange, request);
        if (app.config.checks.run.is_empty() || !learns) && conversation.is_none() {
            return None;
        }
        let bytes = conversation.as_ref().map_or(0, String::len);
        let written = Written { upstream: exchange.upstream(), streamed, pieces: Vec::new() };
        let _expected = conversation.is_some().then(|| app.aside.expect());
        Some(Self { id: exchange.id(), wanted: Wanted::of(request), app, written, conversation, bytes, _expected })
    }

    /// Keeps the next piece of the answer.
    pub(super) fn keep(&mut self, piece: &Bytes) {
        self.bytes = self.bytes.saturating_add(piece.len() + OVERHEAD);
        if self.bytes <= MOST {
            // What it is cut from may be larger.
            self.written.pieces.push(Bytes::copy_from_slice(piece));
        } else {
            self.written.pieces = Vec::new();
        }
    }

    /// Checks the answer, which is whole and has been logged, and rates it; and has it judged.
    pub(super) fn finish(mut self) {
        let conversation = self.conversation.take();
        if self.bytes > MOST {
            if conversation.is_some() {
                self.app.metrics.verdict("too_long");
            }
            return;
        }
        if let Some(conversation) = conversation {
            let (app, written) = (self.app.clone(), self.written.clone());
            Case { app, id: self.id, conversation, written }.submit(self.bytes);
        }
        if !self.app.config.checks.run.is_empty() {
            tokio::spawn(self.rate());
        }
    }

    async fn rate(self) {
        let Self { app, id, wanted, written, .. } = self;
        let checks = app.config.checks.run.clone();
        // It ends early only with the runtime.
        let Ok(Some(failed)) = spawn_blocking(move || failed(&checks, &wanted, &written)).await else { return };
        let Some((rating, comment)) = verdict(&failed, app.config.checks.count_all) else { return };
        let record = FeedbackRecord {
            decision: id,
            time: app.clock.now(),
            source: Source::User,
            rater: CHECKS,
            rating: Some(rating),
            comment: Some(comment),
        };
        let request_id = public_id(id);
        match app.store.rate(record, app.config.feedback_window_ms).await {
            Ok(receipt) => {
                app.metrics.feedback(Source::User, receipt);
                tracing::info!(request_id, failed = ?failed, "checked");
            }
            Err(error) => tracing::error!(request_id, %error, "what the checks found is not recorded"),
        }
    }
}

/// What the checks say of an answer, if it counts.
fn verdict(failed: &[Check], count_all: bool) -> Option<(Rating, String)> {
    if failed.is_empty() {
        return if count_all { Some((Rating::new(1.0).ok()?, "checks passed".to_owned())) } else { None };
    }
    let names: Vec<_> = failed.iter().map(|check| check.as_str()).collect();
    Some((Rating::new(0.0).ok()?, format!("checks failed: {}", names.join(", "))))
}
