//! Entries to log; for the tests of the crate's inside as well, hence the path from outside.

use slarouter_core::{AuditDraw, Candidate, Decision, DecisionId, Rater, Rating, Reason, Source, Timestamp};
use slarouter_store::{DecisionRecord, Entry, FeedbackRecord, Payer};

/// A decision at time 0 with one candidate.
pub(crate) fn decision(id: u128, prompt: Option<String>) -> Entry {
    let only = Candidate { model: "m".into(), probability: 1.0, satisfaction: 0.5, ..Candidate::default() };
    Entry::Decision(DecisionRecord {
        id: DecisionId(id),
        time: Timestamp(0),
        route: "r".into(),
        decision: Decision { candidates: vec![only], chosen: 0, reason: Reason::Exploit },
        features: vec![],
        feature_version: 1,
        input_tokens: 1.0,
        state_seq: 0,
        prompt,
        audit: AuditDraw::default(),
        payer: Payer::default(),
        fallback: None,
        trace: None,
    })
}

pub(crate) fn rating(id: u128, rater: u64, rating: Option<f64>, time: u64) -> FeedbackRecord {
    let rating = rating.map(|value| Rating::new(value).unwrap());
    FeedbackRecord {
        decision: DecisionId(id),
        time: Timestamp(time),
        source: Source::User,
        rater: Rater(rater),
        rating,
        comment: None,
    }
}
