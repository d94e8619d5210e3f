//! Rows of either database as what they stand for.

use std::sync::Arc;

use slarouter_core::{
    AuditDraw, Candidate, Certificate, Decision, DecisionId, Rater, Rating, Receipt, Source, Timestamp,
};

use crate::columns::Columns;
use crate::{
    CertificateSpan, DecisionLine, DecisionRecord, DecisionRef, Event, Failed, LogRow, LoggedFeedback, OutcomeRecord,
    PendingAudit, Rated, RouteCertificate, Snapshot, SpanCertificate, StoreError, StoredDecision,
};

/// What makes an event of a row.
type ParseEvent = fn(&mut Columns<'_>) -> Result<Event, StoreError>;

/// The kinds of events, by their tables, and what reads each.
pub(crate) const KINDS: [(&str, ParseEvent); 6] = [
    ("route_configs", configured),
    ("decisions", decided),
    ("outcomes", finished),
    ("reroutes", rerouted),
    ("feedback", rated),
    ("rollbacks", rolled_back),
];

/// What was read of a row of `table`. One that does not hold what it should is an event too, so that it stops none of the others.
pub(crate) fn or_unreadable(table: &'static str, read: Result<Event, StoreError>) -> Result<Event, StoreError> {
    match read {
        Err(StoreError::Row { seq, what }) => Ok(Event::Unreadable { seq, table, what }),
        read => read,
    }
}

fn configured(row: &mut Columns<'_>) -> Result<Event, StoreError> {
    Ok(Event::Configured { seq: row.seq(), time: row.time()?, route: row.text()?, spec: row.next()? })
}

fn decided(row: &mut Columns<'_>) -> Result<Event, StoreError> {
    let seq = row.seq();
    Ok(Event::Decided { seq, id: row.id()?, time: row.time()?, route: row.text()?, decision: row.decision()? })
}

/// The saved state of each route, and what else is saved beside them.
pub(crate) type States = Vec<(Arc<str>, Vec<u8>)>;

/// Its states follow.
fn rolled_back(row: &mut Columns<'_>) -> Result<Event, StoreError> {
    let (time, to) = (row.time()?, row.next::<i64>()?.cast_unsigned());
    Ok(Event::RolledBack { seq: row.seq(), time, to, states: Vec::new() })
}

/// The columns of `outcomes` in their order.
pub(crate) fn outcome(row: &mut Columns<'_>) -> Result<OutcomeRecord, StoreError> {
    Ok(OutcomeRecord {
        decision: row.id()?,
        time: row.time()?,
        model: row.text()?,
        status: row.next()?,
        ok: row.next()?,
        streamed: row.next()?,
        attempts: row.next()?,
        input_tokens: row.next()?,
        cached_tokens: row.next()?,
        cache_write_tokens: row.next()?,
        output_tokens: row.next()?,
        reasoning_tokens: row.next()?,
        cost: row.next()?,
        latency_ms: row.next()?,
        ttft_ms: row.next()?,
        error: row.next()?,
    })
}

fn finished(row: &mut Columns<'_>) -> Result<Event, StoreError> {
    let outcome = outcome(row)?;
    let (route, decided_at, reason) = (row.text()?, row.time()?, row.reason()?);
    let failed = if row.next()? {
        let (decision, rerouted) = (row.decision()?, row.next::<Option<String>>()?);
        Some(Failed { decided_at, predicted: predicted(&decision, rerouted.as_deref()) })
    } else {
        None
    };
    Ok(Event::Finished { seq: row.seq(), route, reason, outcome, failed })
}

fn rerouted(row: &mut Columns<'_>) -> Result<Event, StoreError> {
    let (decision, model, route, decided_at) = (row.id()?, row.text()?, row.text()?, row.time()?);
    let decided = row.decision()?;
    let reason = decided.reason;
    let (old, new) = (decided.choice().satisfaction, predicted(&decided, Some(&model)));
    Ok(Event::Rerouted { seq: row.seq(), decision, route, reason, decided_at, old, new })
}

/// What was predicted of the model that took the chosen one's place, or else of the chosen one.
fn predicted(decision: &Decision, rerouted: Option<&str>) -> f64 {
    let candidate = rerouted.and_then(|model| decision.candidate(model));
    candidate.unwrap_or_else(|| decision.choice()).satisfaction
}

fn rated(row: &mut Columns<'_>) -> Result<Event, StoreError> {
    let (decision, time) = (row.id()?, row.time()?);
    let rater = Rater(row.next::<i64>()?.cast_unsigned());
    let rating = row.next::<Option<f64>>()?.map(Rating::new).transpose();
    let rating = rating.map_err(|error| row.damaged(&error.to_string()))?;
    let receipt = row.parsed(Receipt::parse, "unknown receipt")?;
    let source = row.parsed(Source::parse, "unknown source of a rating")?;
    let (decided_at, route) = (row.time()?, row.text()?);
    let decided = row.decision()?;
    let reason = decided.reason;
    let (features, feature_version) = (row.features()?, row.next()?);
    let model = row.text()?;
    let predicted = predicted(&decided, row.next::<Option<String>>()?.as_deref());
    let failed = row.next()?;
    let rated = Rated {
        decision,
        decided_at,
        model,
        reason,
        features,
        feature_version,
        predicted,
        failed,
        source,
        rater,
        rating,
        receipt,
    };
    Ok(Event::Rated { seq: row.seq(), time, route, rated })
}

/// A line of the list.
pub(crate) fn line(row: &mut Columns<'_>) -> Result<DecisionLine, StoreError> {
    Ok(DecisionLine {
        seq: row.seq(),
        id: row.id()?,
        time: row.time()?,
        route: row.text()?,
        reason: row.reason()?,
        chosen: row.text()?,
        model: row.text()?,
        satisfaction: row.next()?,
        predicted_cost: row.next()?,
        status: row.next()?,
        cost: row.next()?,
        latency_ms: row.next()?,
        rating: row.next()?,
        trace: row.trace()?,
    })
}

/// The columns `seq`, `time`, `source`, `rater`, `rating`, `receipt` and `comment` of feedback.
pub(crate) fn word(row: &mut Columns<'_>) -> Result<LoggedFeedback, StoreError> {
    let (seq, time) = (row.seq(), row.time()?);
    let source = row.parsed(Source::parse, "unknown source of a rating")?;
    let rater = Rater(row.next::<i64>()?.cast_unsigned());
    let rating = row.next::<Option<f64>>()?.map(Rating::new).transpose();
    let rating = rating.map_err(|error| row.damaged(&error.to_string()))?.map(Rating::get);
    let receipt = row.parsed(Receipt::parse, "unknown receipt")?;
    Ok(LoggedFeedback { seq, time, source, rater, rating, receipt, comment: row.next()? })
}

/// An answer that waits for an auditor.
pub(crate) fn pending_audit(row: &mut Columns<'_>) -> Result<PendingAudit, StoreError> {
    Ok(PendingAudit {
        decision: row.id()?,
        time: row.time()?,
        route: row.text()?,
        rate: row.next()?,
        model: row.text()?,
        status: row.next()?,
        ok: row.next()?,
        prompt: row.next()?,
    })
}

/// The columns of a decision with all that belongs to it.
pub(crate) fn stored_decision(row: &mut Columns<'_>) -> Result<StoredDecision, StoreError> {
    let record = DecisionRecord {
        id: row.id()?,
        time: row.time()?,
        route: row.text()?,
        decision: row.decision()?,
        features: row.features()?,
        feature_version: row.next()?,
        input_tokens: row.next()?,
        state_seq: row.next::<i64>()? as u64,
        prompt: row.next()?,
        audit: AuditDraw { rate: row.next()?, drawn: row.next()? },
        payer: row.payer()?,
        fallback: row.place()?,
        trace: row.trace()?,
    };
    let rerouted: Option<String> = row.next()?;
    Ok(StoredDecision { seq: row.seq(), record, rerouted: rerouted.map(Into::into), archived: false })
}

/// A decision of the archive: of its candidates the chosen one alone, without features.
pub(crate) fn archived_decision(row: &mut Columns<'_>, id: DecisionId) -> Result<StoredDecision, StoreError> {
    let (time, route, reason) = (row.time()?, row.text()?, row.reason()?);
    let chosen = Candidate {
        model: row.text()?,
        probability: row.next()?,
        satisfaction: row.next::<Option<f64>>()?.unwrap_or_default(),
        cost: row.next::<Option<f64>>()?.unwrap_or_default(),
        ..Candidate::default()
    };
    let record = DecisionRecord {
        id,
        time,
        route,
        decision: Decision { candidates: vec![chosen], chosen: 0, reason },
        features: Vec::new(),
        feature_version: 0,
        input_tokens: row.next()?,
        state_seq: 0,
        prompt: None,
        audit: AuditDraw { rate: row.next()?, drawn: row.next()? },
        payer: row.payer()?,
        fallback: None,
        trace: row.trace()?,
    };
    let rerouted = row.next::<Option<Arc<str>>>()?;
    Ok(StoredDecision { seq: row.seq(), record, rerouted, archived: true })
}

/// How the request of a decision of the archive ended, as far as that is kept.
pub(crate) fn archived_outcome(row: &mut Columns<'_>, id: DecisionId) -> Result<OutcomeRecord, StoreError> {
    Ok(OutcomeRecord {
        decision: id,
        time: row.time()?,
        model: row.text()?,
        status: row.next()?,
        ok: row.next()?,
        streamed: row.next()?,
        attempts: row.next()?,
        input_tokens: row.next()?,
        cached_tokens: row.next()?,
        cache_write_tokens: None,
        output_tokens: row.next()?,
        reasoning_tokens: None,
        cost: row.next()?,
        latency_ms: row.next()?,
        ttft_ms: row.next()?,
        error: row.next()?,
    })
}

/// A saved state.
pub(crate) fn snapshot(row: &mut Columns<'_>) -> Result<Snapshot, StoreError> {
    Ok(Snapshot { seq: row.seq(), route: row.text()?, time: row.time()?, state: row.next()?, by: None })
}

/// What makes a row of the log, as it is taken out, of a row of the database.
pub(crate) type ParseRow = fn(&mut Columns<'_>) -> Result<LogRow, StoreError>;

pub(crate) fn configuration_row(row: &mut Columns<'_>) -> Result<LogRow, StoreError> {
    Ok(LogRow::Configuration { seq: row.seq(), time: row.time()?, route: row.text()?, spec: row.next()? })
}

pub(crate) fn decision_row(row: &mut Columns<'_>) -> Result<LogRow, StoreError> {
    Ok(LogRow::Decision(Box::new(stored_decision(row)?)))
}

pub(crate) fn outcome_row(row: &mut Columns<'_>) -> Result<LogRow, StoreError> {
    let outcome = Box::new(outcome(row)?);
    Ok(LogRow::Outcome { seq: row.seq(), of: decision_ref(row)?, counted: row.next()?, outcome })
}

pub(crate) fn feedback_row(row: &mut Columns<'_>) -> Result<LogRow, StoreError> {
    let feedback = Box::new(word(row)?);
    Ok(LogRow::Feedback { of: decision_ref(row)?, counted: row.next()?, feedback })
}

fn decision_ref(row: &mut Columns<'_>) -> Result<DecisionRef, StoreError> {
    Ok(DecisionRef { seq: row.next::<i64>()?.cast_unsigned(), time: row.time()?, route: row.text()? })
}

/// The columns of `certificates`, of which `start` is the first.
pub(crate) fn span_certificate(row: &mut Columns<'_>) -> Result<SpanCertificate, StoreError> {
    let time = Timestamp(row.seq());
    let span = usize::try_from(row.next::<i64>()?).ok().and_then(|span| CertificateSpan::ALL.get(span).copied());
    let span = span.ok_or_else(|| row.damaged("unknown span"))?;
    let (route, alpha) = (row.text()?, row.next()?);
    let (requests, labels) = (row.next::<i64>()?.cast_unsigned(), row.next::<i64>()?.cast_unsigned());
    let certificate = Certificate { requests, labels, lower: row.next()?, estimate: row.next()?, upper: row.next()? };
    Ok(SpanCertificate { span, certificate: RouteCertificate { route, time, alpha, certificate } })
}
