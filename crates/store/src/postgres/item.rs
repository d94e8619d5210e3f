//! What a process sends to the one that holds the log, as bytes: postcard's form after a byte that says which.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use slarouter_core::{AuditDraw, DecisionId, Rater, Rating, Reason, Source, Timestamp};

use crate::packed::{Unreadable, pack_decision, pack_features, unpack_decision, unpack_features};
use crate::{DecisionRecord, Entry, FeedbackRecord, OutcomeRecord, Payer, Spending, StoreError, TraceId};

/// The first byte: the form that this release writes.
const FORM: u8 = 1;

/// What is sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    Log(Entry),
    Rate { feedback: FeedbackRecord, window_ms: u64 },
    Report { outcome: OutcomeRecord, rerouted: bool },
}

/// Of which kind a row of the inbox is, for those who look for one of them.
pub(super) const DECISION: i32 = 1;
pub(super) const WORD: i32 = 2;
pub(super) const REPORT: i32 = 3;
const OTHER: i32 = 0;

#[derive(Serialize, Deserialize)]
enum Sent {
    Decision(SentDecision),
    Reroute { decision: u128, model: Arc<str> },
    Outcome(SentOutcome),
    Spend { account: Arc<str>, day: u64, nano_usd: i64 },
    Rate { word: SentWord, window_ms: u64 },
    Report { outcome: SentOutcome, rerouted: bool },
}

#[derive(Serialize, Deserialize)]
struct SentDecision {
    id: u128,
    time: u64,
    route: Arc<str>,
    models: Vec<Arc<str>>,
    reason: Reason,
    candidates: Vec<u8>,
    features: Vec<u8>,
    feature_version: u32,
    input_tokens: f64,
    state_seq: u64,
    prompt: Option<String>,
    audit: (f64, bool),
    key: Option<Arc<str>>,
    tenant: Option<Arc<str>>,
    fallback: Option<usize>,
    trace: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SentOutcome {
    decision: u128,
    time: u64,
    model: Arc<str>,
    status: u16,
    ok: bool,
    streamed: bool,
    attempts: u32,
    input_tokens: Option<f64>,
    cached_tokens: Option<f64>,
    cache_write_tokens: Option<f64>,
    output_tokens: Option<f64>,
    reasoning_tokens: Option<f64>,
    cost: f64,
    latency_ms: f64,
    ttft_ms: Option<f64>,
    error: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct SentWord {
    decision: u128,
    time: u64,
    source: Source,
    rater: u64,
    rating: Option<f64>,
    comment: Option<String>,
}

// === impl Item ===

impl Item {
    /// Its kind, and the decision that it is about.
    pub(super) fn about(&self) -> (i32, Option<DecisionId>) {
        match self {
            Self::Log(Entry::Decision(record)) => (DECISION, Some(record.id)),
            Self::Log(Entry::Reroute { decision, .. }) => (OTHER, Some(*decision)),
            Self::Log(Entry::Outcome(outcome)) => (OTHER, Some(outcome.decision)),
            Self::Log(Entry::Spend(_)) => (OTHER, None),
            Self::Rate { feedback, .. } => (WORD, Some(feedback.decision)),
            Self::Report { outcome, .. } => (REPORT, Some(outcome.decision)),
        }
    }

    /// # Errors
    /// [`StoreError::Entry`] never for what was checked.
    pub(super) fn pack(&self) -> Result<Vec<u8>, StoreError> {
        let sent = match self {
            Self::Log(Entry::Decision(record)) => Sent::Decision(packed(record)?),
            Self::Log(Entry::Reroute { decision, model }) => {
                Sent::Reroute { decision: decision.0, model: model.clone() }
            }
            Self::Log(Entry::Outcome(record)) => Sent::Outcome(SentOutcome::from(record)),
            Self::Log(Entry::Spend(Spending { account, day, nano_usd })) => {
                Sent::Spend { account: account.clone(), day: *day, nano_usd: *nano_usd }
            }
            Self::Rate { feedback, window_ms } => Sent::Rate { word: SentWord::from(feedback), window_ms: *window_ms },
            Self::Report { outcome, rerouted } => {
                Sent::Report { outcome: SentOutcome::from(outcome), rerouted: *rerouted }
            }
        };
        postcard::to_extend(&sent, vec![FORM]).map_err(|_| StoreError::Entry)
    }

    /// # Errors
    /// [`Unreadable`] for the form of a newer release, and for what no release writes.
    pub(super) fn unpack(bytes: &[u8]) -> Result<Self, Unreadable> {
        let Some((&FORM, bytes)) = bytes.split_first() else { return Err(Unreadable) };
        Ok(match postcard::from_bytes(bytes).map_err(|_| Unreadable)? {
            Sent::Decision(sent) => Self::Log(Entry::Decision(unpacked(sent)?)),
            Sent::Reroute { decision, model } => Self::Log(Entry::Reroute { decision: DecisionId(decision), model }),
            Sent::Outcome(sent) => Self::Log(Entry::Outcome(sent.into())),
            Sent::Spend { account, day, nano_usd } => Self::Log(Entry::Spend(Spending { account, day, nano_usd })),
            Sent::Rate { word, window_ms } => Self::Rate { feedback: word.record()?, window_ms },
            Sent::Report { outcome, rerouted } => Self::Report { outcome: outcome.into(), rerouted },
        })
    }
}

fn packed(record: &DecisionRecord) -> Result<SentDecision, StoreError> {
    let (mut candidates, mut features) = (Vec::new(), Vec::new());
    pack_decision(&record.decision, &mut candidates).map_err(|_| StoreError::Entry)?;
    pack_features(&record.features, &mut features);
    Ok(SentDecision {
        id: record.id.0,
        time: record.time.0,
        route: record.route.clone(),
        models: record.decision.candidates.iter().map(|candidate| candidate.model.clone()).collect(),
        reason: record.decision.reason,
        candidates,
        features,
        feature_version: record.feature_version,
        input_tokens: record.input_tokens,
        state_seq: record.state_seq,
        prompt: record.prompt.clone(),
        audit: (record.audit.rate, record.audit.drawn),
        key: record.payer.key.clone(),
        tenant: record.payer.tenant.clone(),
        fallback: record.fallback,
        trace: record.trace.as_ref().map(|trace| trace.as_str().to_owned()),
    })
}

fn unpacked(sent: SentDecision) -> Result<DecisionRecord, Unreadable> {
    Ok(DecisionRecord {
        id: DecisionId(sent.id),
        time: Timestamp(sent.time),
        route: sent.route,
        decision: unpack_decision(&sent.candidates, &sent.models, sent.reason)?,
        features: unpack_features(&sent.features)?,
        feature_version: sent.feature_version,
        input_tokens: sent.input_tokens,
        state_seq: sent.state_seq,
        prompt: sent.prompt,
        audit: AuditDraw { rate: sent.audit.0, drawn: sent.audit.1 },
        payer: Payer { key: sent.key, tenant: sent.tenant },
        fallback: sent.fallback,
        trace: sent.trace.map(|text| TraceId::new(&text).ok_or(Unreadable)).transpose()?,
    })
}

impl From<&OutcomeRecord> for SentOutcome {
    fn from(record: &OutcomeRecord) -> Self {
        Self {
            decision: record.decision.0,
            time: record.time.0,
            model: record.model.clone(),
            status: record.status,
            ok: record.ok,
            streamed: record.streamed,
            attempts: record.attempts,
            input_tokens: record.input_tokens,
            cached_tokens: record.cached_tokens,
            cache_write_tokens: record.cache_write_tokens,
            output_tokens: record.output_tokens,
            reasoning_tokens: record.reasoning_tokens,
            cost: record.cost,
            latency_ms: record.latency_ms,
            ttft_ms: record.ttft_ms,
            error: record.error.clone(),
        }
    }
}

impl From<SentOutcome> for OutcomeRecord {
    fn from(sent: SentOutcome) -> Self {
        Self {
            decision: DecisionId(sent.decision),
            time: Timestamp(sent.time),
            model: sent.model,
            status: sent.status,
            ok: sent.ok,
            streamed: sent.streamed,
            attempts: sent.attempts,
            input_tokens: sent.input_tokens,
            cached_tokens: sent.cached_tokens,
            cache_write_tokens: sent.cache_write_tokens,
            output_tokens: sent.output_tokens,
            reasoning_tokens: sent.reasoning_tokens,
            cost: sent.cost,
            latency_ms: sent.latency_ms,
            ttft_ms: sent.ttft_ms,
            error: sent.error,
        }
    }
}

impl From<&FeedbackRecord> for SentWord {
    fn from(record: &FeedbackRecord) -> Self {
        Self {
            decision: record.decision.0,
            time: record.time.0,
            source: record.source,
            rater: record.rater.0,
            rating: record.rating.map(Rating::get),
            comment: record.comment.clone(),
        }
    }
}

impl SentWord {
    fn record(self) -> Result<FeedbackRecord, Unreadable> {
        Ok(FeedbackRecord {
            decision: DecisionId(self.decision),
            time: Timestamp(self.time),
            source: self.source,
            rater: Rater(self.rater),
            rating: self.rating.map(|value| Rating::new(value).map_err(|_| Unreadable)).transpose()?,
            comment: self.comment,
        })
    }
}

#[cfg(test)]
mod tests {
    use slarouter_core::{Candidate, Decision};

    use super::*;
    use crate::sqlite::tests::records::{decision, rating};

    fn decided() -> Entry {
        let Entry::Decision(mut record) = decision(u128::MAX, Some("[\"a\0\"]".to_owned())) else { unreachable!() };
        let of = |model: &str, planned| Candidate {
            model: model.into(),
            probability: 0.5,
            satisfaction: 0.1 + 0.2,
            cost: 1e-9,
            score: -7.25,
            saving: -0.5,
            excluded: true,
            planned,
        };
        record.decision =
            Decision { candidates: vec![of("m", 1.0), of("n", 0.0)], chosen: 1, reason: Reason::Affinity };
        record.features = vec![0.0, 0.1, -1.5];
        record.audit = AuditDraw { rate: 0.3, drawn: true };
        record.payer = Payer { key: Some("k".into()), tenant: Some("t".into()) };
        (record.fallback, record.trace) = (Some(1), TraceId::new("run:7"));
        Entry::Decision(record)
    }

    #[test]
    fn what_is_sent_arrives_as_it_was() {
        let outcome = OutcomeRecord {
            decision: DecisionId(7),
            time: Timestamp(8),
            model: "m".into(),
            status: 499,
            ok: false,
            streamed: true,
            attempts: 2,
            input_tokens: Some(0.1),
            cached_tokens: None,
            cache_write_tokens: Some(3.0),
            output_tokens: None,
            reasoning_tokens: Some(1.0),
            cost: 1e-9,
            latency_ms: 2.5,
            ttft_ms: Some(1.5),
            error: Some("it said \0".to_owned()),
        };
        let items = [
            Item::Log(decided()),
            Item::Log(decision(1, None)),
            Item::Log(Entry::Reroute { decision: DecisionId(1), model: "n".into() }),
            Item::Log(Entry::Outcome(outcome.clone())),
            Item::Log(Entry::Spend(Spending { account: "a".into(), day: 1, nano_usd: -5 })),
            Item::Rate { feedback: rating(1, u64::MAX, Some(0.25), 5), window_ms: u64::MAX },
            Item::Rate { feedback: rating(1, 0, None, 5), window_ms: 0 },
            Item::Report { outcome, rerouted: true },
        ];
        for item in items {
            let bytes = item.pack().unwrap();
            assert_eq!(Item::unpack(&bytes).unwrap(), item);
            assert!(Item::unpack(&bytes[..bytes.len() - 1]).is_err(), "it is cut off");
        }
        assert!(Item::unpack(&[]).is_err() && Item::unpack(&[FORM + 1, 0]).is_err());
    }
}
